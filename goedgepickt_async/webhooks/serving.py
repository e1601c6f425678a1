"""A receiver that serves by itself, with aiohttp."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

import attrs
from aiohttp import web

from goedgepickt_async.errors import ConfigurationError
from goedgepickt_async.webhooks.adapters import aiohttp_handler
from goedgepickt_async.webhooks.receiver import WebhookReceiver
from goedgepickt_async.webhooks.signals import heeding_signals

__all__ = ["Place", "serve"]

_FOR_ANSWERS = 5.0
"""Seconds that requests under way have to be answered on stopping."""


@attrs.frozen(kw_only=True)
class Place:
    """Where to serve: see `WebhookReceiver.run`."""

    host: str
    port: int
    path: str
    ssl_context: ssl.SSLContext | None

    def url(self, port: int) -> str:
        """The place's URL, with the port that it has got."""
        scheme = "http" if self.ssl_context is None else "https"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{port}{self.path}"


async def serve(receiver: WebhookReceiver, place: Place, ready: Callable[[str], object] | None) -> None:
    """See `WebhookReceiver.run`."""
    stopping, hurried = asyncio.Event(), asyncio.Event()
    us = asyncio.current_task()
    assert us is not None

    def hurry() -> None:
        hurried.set()
        us.cancel()

    with heeding_signals(stopping.set, hurry):
        try:
            async with receiver:
                await _listen(receiver, place, ready, stopping)
        except asyncio.CancelledError:
            if not hurried.is_set() or us.uncancel():  # somebody else cancelled us
                raise


async def _listen(
    receiver: WebhookReceiver, place: Place, ready: Callable[[str], object] | None, stopping: asyncio.Event
) -> None:
    application = web.Application()
    application.router.add_post(place.path, aiohttp_handler(receiver))
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=_FOR_ANSWERS)
    await runner.setup()
    try:
        site = web.TCPSite(runner, place.host, place.port, ssl_context=place.ssl_context)
        try:
            await site.start()
        except OSError as error:
            raise ConfigurationError(f"cannot listen on {place.host}:{place.port}: {error.strerror or error}") from None
        if ready is not None:
            ready(place.url(runner.addresses[0][1]))
        await stopping.wait()
    finally:
        await runner.cleanup()
