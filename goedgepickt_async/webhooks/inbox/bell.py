"""Wakes those who wait for something to do, in whichever event loop or thread they are."""

from __future__ import annotations

import asyncio
import contextlib
import threading

__all__ = ["Bell"]


class Bell:
    """A bell that is rung when an inbox has something new."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: set[asyncio.Future[None]] = set()
        self.rung: int = 0

    def ring(self) -> None:
        """Wake all who wait; from any thread."""
        with self._lock:
            self.rung += 1
            listeners, self._listeners = self._listeners, set()
        for listener in listeners:
            with contextlib.suppress(RuntimeError):  # its loop is closed
                listener.get_loop().call_soon_threadsafe(_wake, listener)

    async def wait(self, since: int, seconds: float) -> None:
        """Returns when it was rung after `rung` was `since`, or when the seconds are over."""
        listener: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        with self._lock:
            if self.rung != since:
                return
            self._listeners.add(listener)
        try:
            await asyncio.wait([listener], timeout=seconds)
        finally:
            with self._lock:
                self._listeners.discard(listener)


def _wake(listener: asyncio.Future[None]) -> None:
    if not listener.done():
        listener.set_result(None)
