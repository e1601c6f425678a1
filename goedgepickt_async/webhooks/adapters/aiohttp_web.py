"""aiohttp.web: `app.router.add_post("/webhooks", aiohttp_handler(receiver))`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from goedgepickt_async.webhooks.receiver import WebhookReceiver
from goedgepickt_async.webhooks.signature import HEADER

if TYPE_CHECKING:
    from aiohttp import web

__all__ = ["aiohttp_handler"]


def aiohttp_handler(receiver: WebhookReceiver) -> Callable[[web.Request], Awaitable[web.Response]]:
    """A handler of aiohttp.web that lets deliveries in."""
    from aiohttp import web  # noqa: PLC0415

    async def goedgepickt_webhook(request: web.Request) -> web.Response:
        answer = await receiver.receive_chunks(request.content.iter_any(), request.headers.get(HEADER))
        return web.Response(status=answer.status, text=answer.text)

    return goedgepickt_webhook
