"""What the page hears while it is open: server-sent events, a few a second at most."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Coroutine
from typing import Any, Final

import attrs
from aiohttp import web

from goedgepickt_async.sandbox.control import views
from goedgepickt_async.sandbox.control.views import Controlled
from goedgepickt_async.sandbox.requests import RecordedRequest

__all__ = ["EventStream"]

_TOGETHER: Final = 0.2
"""Seconds for which events are gathered into one message."""
_ALIVE: Final = 15.0
"""Seconds after which a silent stream says that it is there."""
_REQUESTS: Final = 100
"""So many requests at most are told in one message; the page asks for the rest when it shows them."""


@attrs.define(eq=False)
class _Listener:
    loop: asyncio.AbstractEventLoop
    woken: asyncio.Event = attrs.field(factory=asyncio.Event)
    kinds: set[str] = attrs.field(factory=set)
    requests: deque[RecordedRequest] = attrs.field(factory=lambda: deque(maxlen=_REQUESTS))

    def wake(self) -> None:
        self.loop.call_soon_threadsafe(self.woken.set)  # the world may be changed from any thread


class EventStream:
    """Tells every open page what changed; it costs nothing while none is open.

    Args:
        sandbox: What is told of.
    """

    def __init__(self, sandbox: Controlled) -> None:
        self._sandbox = sandbox
        self._listeners: set[_Listener] = set()

    def changed(self, kind: str) -> None:
        """Hear that something changed: a `ChangeKind`, `delivery`, `fault`, `quirk`, `throttle`, `webhook` or `reset`."""
        for listener in tuple(self._listeners):
            listener.kinds.add(kind)
            listener.wake()

    def arrived(self, recorded: RecordedRequest) -> None:
        """Hear of a request that was answered."""
        for listener in tuple(self._listeners):
            listener.requests.append(recorded)
            listener.wake()

    async def until(self, work: Coroutine[Any, Any, None], seconds: float) -> bool:
        """Wait for something, no longer than a time or until the sandbox closes; returns whether it is done."""
        task = asyncio.ensure_future(work)
        closing = asyncio.ensure_future(self._sandbox.closing.wait())
        try:
            await asyncio.wait([task, closing], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            return task.done()
        finally:
            task.cancel()
            closing.cancel()
            await asyncio.wait([task, closing])

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer `GET /_sandbox/events`, until the page or the sandbox closes."""
        headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        listener = _Listener(asyncio.get_running_loop())
        self._listeners.add(listener)
        try:
            await response.write(self._message(listener, {"reset"}))
            while not self._sandbox.closing.is_set():
                heard = await self.until(_wait(listener.woken), _ALIVE)
                if not heard:
                    await response.write(b": still here\n\n")
                    continue
                await self.until(_never(), _TOGETHER)
                listener.woken.clear()
                kinds, listener.kinds = listener.kinds, set()
                await response.write(self._message(listener, kinds))
        except ConnectionError:
            pass  # the page is closed
        finally:
            self._listeners.discard(listener)
        return response

    def _message(self, listener: _Listener, kinds: set[str]) -> bytes:
        sandbox = self._sandbox
        told = {
            "changed": sorted(kinds),
            "requests": [views.recorded(one) for one in listener.requests],
            "total_requests": sandbox.arrived,
            "throttle": views.throttle(sandbox),
        }
        listener.requests.clear()
        return f"data: {json.dumps(told)}\n\n".encode()


async def _wait(event: asyncio.Event) -> None:
    await event.wait()


async def _never() -> None:
    await asyncio.get_running_loop().create_future()
