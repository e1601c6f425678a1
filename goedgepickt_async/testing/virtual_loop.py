"""An event loop whose time jumps, made of what asyncio offers for it: a selector of one's own, and `time`."""

from __future__ import annotations

import asyncio
import selectors
import socket
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, TypeVar, TypeVarTuple, Unpack

__all__ = ["VirtualLoop"]

_A_PASS = 1e-9
"""Seconds that a pass of the loop takes: code that is woken a rounding error too early relies on time's going on."""

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop that lets time pass instead of waiting for it.

    Args:
        now: The time in seconds.
        advance: Lets so many seconds pass.
    """

    def __init__(self, now: Callable[[], float], advance: Callable[[float], None]) -> None:
        self._now = now
        self._jumping = _JumpingSelector(advance)
        super().__init__(self._jumping)

    def time(self) -> float:
        """The clock's."""
        return self._now()

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Have a thread do it; no time is jumped over until it is done."""
        future = super().run_in_executor(executor, func, *args)
        self._jumping.threads_at_work += 1
        future.add_done_callback(self._thread_is_done)
        return future

    async def shutdown_default_executor(self, *timeout: float | None) -> None:
        """End the threads; since Python 3.12 with a time-out, which is not to be jumped to."""
        self._jumping.threads_at_work += 1
        try:
            await super().shutdown_default_executor(*timeout)
        finally:
            self._jumping.threads_at_work -= 1

    def _thread_is_done(self, _future: asyncio.Future[Any]) -> None:
        self._jumping.threads_at_work -= 1


class _JumpingSelector(selectors.DefaultSelector):
    """Waits for sockets only as long as bytes are under way, and then lets the time pass that it was to wait.

    Attributes:
        threads_at_work: While there are any, it waits in earnest.
    """

    def __init__(self, advance: Callable[[float], None]) -> None:
        super().__init__()
        self._advance = advance
        self._courier = _Courier()
        self.threads_at_work = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._advance(_A_PASS)
        if timeout is not None and timeout <= 0:
            return super().select(0)
        ready = super().select(timeout if timeout is None or self.threads_at_work else 0)
        if not ready and timeout is not None and not self.threads_at_work:
            self._courier.go()
            ready = super().select(0)
        if not ready and timeout is not None:
            self._advance(timeout)
        return ready

    def close(self) -> None:
        self._courier.close()
        super().close()


class _Courier:
    """A byte of ours over the loopback: when it is there, so is what was sent before it.

    A system may deliver what is sent to itself a moment later. Then nothing is ready to be read, though something is
    under way, and a jump to the next time-out would be one too early.
    """

    def __init__(self) -> None:
        self._ends: tuple[socket.socket, socket.socket] | None = None

    def go(self) -> None:
        """Send it, and wait for it."""
        if self._ends is None:
            self._ends = _connected()
        sender, receiver = self._ends
        sender.send(b".")
        receiver.recv(1)

    def close(self) -> None:
        for end in self._ends or ():
            end.close()
        self._ends = None


def _connected() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        sender = socket.create_connection(server.getsockname())
        receiver, _ = server.accept()
    sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sender, receiver
