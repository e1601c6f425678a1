"""A server for one receiver, with aiohttp: `WebhookReceiver.run`."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import ssl
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol

import attrs
from aiohttp import web

from goedgepickt_async.errors import ConfigurationError
from goedgepickt_async.webhooks.adapters import aiohttp_handler
from goedgepickt_async.webhooks.endpoint import DeliveryReceiver

__all__ = ["BindAddress", "RunnableReceiver", "handle_signals", "serve"]

_SHUTDOWN_TIMEOUT: Final = 5.0
"""Seconds that requests in flight have to be answered when the server stops."""
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class RunnableReceiver(DeliveryReceiver, AbstractAsyncContextManager[object], Protocol):
    """What the server needs of a `WebhookReceiver`."""


@attrs.frozen(kw_only=True)
class BindAddress:
    """Where to listen: see `WebhookReceiver.run`."""

    host: str
    port: int
    path: str
    ssl_context: ssl.SSLContext | None

    def url(self, port: int) -> str:
        """The URL, with the actual port."""
        scheme = "http" if self.ssl_context is None else "https"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{port}{self.path}"


async def serve(receiver: RunnableReceiver, address: BindAddress, ready: Callable[[str], object] | None) -> None:
    """See `WebhookReceiver.run`."""
    stopping, forced = asyncio.Event(), asyncio.Event()
    this_task = asyncio.current_task()
    assert this_task is not None

    def force_stop() -> None:
        forced.set()
        this_task.cancel()

    with handle_signals(stopping.set, force_stop):
        try:
            async with receiver:
                await _listen(receiver, address, ready, stopping)
        except asyncio.CancelledError:
            if not forced.is_set() or this_task.uncancel():  # the cancellation came from the caller
                raise


async def _listen(
    receiver: DeliveryReceiver, address: BindAddress, ready: Callable[[str], object] | None, stopping: asyncio.Event
) -> None:
    application = web.Application()
    application.router.add_post(address.path, aiohttp_handler(receiver))
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=_SHUTDOWN_TIMEOUT)
    await runner.setup()
    try:
        site = web.TCPSite(runner, address.host, address.port, ssl_context=address.ssl_context)
        try:
            await site.start()
        except OSError as error:
            where = f"{address.host}:{address.port}"
            raise ConfigurationError(f"cannot listen on {where}: {error.strerror or error}") from None
        if ready is not None:
            ready(address.url(runner.addresses[0][1]))
        await stopping.wait()
    finally:
        await runner.cleanup()


@contextlib.contextmanager
def handle_signals(stop: Callable[[], object], force_stop: Callable[[], object]) -> Iterator[None]:
    """Within this context, the first SIGINT or SIGTERM calls `stop`, and each further one `force_stop`.

    Outside the main thread and on Windows, where asyncio cannot handle signals, it does nothing.
    """
    loop = asyncio.get_running_loop()
    calls = iter([stop])

    def received() -> None:
        next(calls, force_stop)()

    before = {number: signal.getsignal(number) for number in _SIGNALS}
    handled = [number for number in _SIGNALS if _add_handler(loop, number, received)]
    try:
        yield
    finally:
        for number in handled:
            loop.remove_signal_handler(number)
            signal.signal(number, before[number])


def _add_handler(loop: asyncio.AbstractEventLoop, number: int, received: Callable[[], None]) -> bool:
    try:
        loop.add_signal_handler(number, received)
    except (NotImplementedError, RuntimeError, ValueError):
        return False
    return True
