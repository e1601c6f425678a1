"""Starlette and FastAPI: `app.add_route("/webhooks", starlette_endpoint(receiver), methods=["POST"])`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from goedgepickt_async.webhooks.receiver import WebhookReceiver
from goedgepickt_async.webhooks.signature import HEADER

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

__all__ = ["starlette_endpoint"]


def starlette_endpoint(receiver: WebhookReceiver) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint of Starlette, or a path operation of FastAPI, that lets deliveries in."""
    from starlette.requests import Request  # noqa: PLC0415
    from starlette.responses import PlainTextResponse, Response  # noqa: PLC0415

    async def goedgepickt_webhook(request: Request) -> Response:
        answer = await receiver.receive_chunks(request.stream(), request.headers.get(HEADER))
        return PlainTextResponse(answer.text, status_code=answer.status)

    # FastAPI looks at the classes, and would not find them by their names in this module.
    goedgepickt_webhook.__annotations__ = {"request": Request, "return": Response}
    return goedgepickt_webhook
