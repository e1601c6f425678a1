"""A virtual clock, which jumps to the next timer when all tasks wait; and a budget for it."""

from __future__ import annotations

import asyncio
import math
import selectors
import socket
import time
from collections.abc import Callable, Coroutine, Hashable
from concurrent.futures import Executor
from types import TracebackType
from typing import Any, Self, TypeVar, TypeVarTuple, Unpack

from goedgepickt_async.budget import Lane, LocalBudget
from goedgepickt_async.budget.protocol import Grant
from goedgepickt_async.errors import ConfigurationError

__all__ = ["ClockBudget", "VirtualClock", "VirtualLoop"]


_A_PASS = 1e-9
"""Seconds that a pass of the loop takes: code that is woken a rounding error too early relies on real time."""

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop that lets time pass instead of waiting for it.

    Args:
        now: The time in seconds.
        advance: A function that advances the time by a number of seconds.
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
        """Run a function in a thread. The clock does not jump until it is done."""
        future = super().run_in_executor(executor, func, *args)
        self._jumping.threads_at_work += 1
        future.add_done_callback(self._thread_is_done)
        return future

    async def shutdown_default_executor(self, *timeout: float | None) -> None:
        """End the threads. Python 3.12 and later wait with a timeout, to which the clock must not jump."""
        self._jumping.threads_at_work += 1
        try:
            await super().shutdown_default_executor(*timeout)
        finally:
            self._jumping.threads_at_work -= 1

    def _thread_is_done(self, _future: asyncio.Future[Any]) -> None:
        self._jumping.threads_at_work -= 1


class _JumpingSelector(selectors.DefaultSelector):
    """Waits for sockets only while bytes are in transit, and otherwise advances the clock.

    Attributes:
        threads_at_work: The number of threads that do something; as long as there are any, it waits in real time.
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
    """A byte over the loopback: when it has arrived, all bytes that were sent before it have arrived, too.

    A system may deliver bytes to itself a moment later. Without this wait, the clock would jump too early.
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


_SECOND = 1_000_000_000


class VirtualClock:
    """A virtual clock for tests with its own event loop: waits take no time, and events keep their order.

    Sockets, tasks and timeouts are real. When no task can continue and no byte is in transit, the time jumps to the next
    moment that a task waits for. So an hour of waiting for the rate limit takes as long as its requests do.

    ```python
    with VirtualClock() as clock:

        async def main():
            budget = LocalBudget(10, 60.0, clock=clock.monotonic_ns)
            async with Sandbox(limit=10, clock=clock.time) as sandbox:
                ...  # a client with this budget


        clock.run(main())
        print(clock.elapsed)
    ```

    All servers and clients must run in this loop. Another process, another thread's server or a remote database is not
    waited for: the time jumps past it. `asyncio.to_thread` is waited for. What reads `time.time` or
    `datetime.now` itself sees the real time.

    Args:
        start: The start in Unix seconds; None for the present time.
    """

    def __init__(self, start: float | None = None) -> None:
        self._start = time.time() if start is None else start
        self._now = 0
        self._runner: asyncio.Runner | None = None

    @property
    def elapsed(self) -> float:
        """The virtual seconds since the clock was made."""
        return self._now / _SECOND

    def time(self) -> float:
        """Return the time in Unix seconds, for `Sandbox(clock=clock.time)`."""
        return self._start + self._now / _SECOND

    def monotonic(self) -> float:
        """Return the seconds since the clock was made, for `MemoryInbox(clock=clock.monotonic)`."""
        return self._now / _SECOND

    def monotonic_ns(self) -> int:
        """Return the nanoseconds since the clock was made, for `LocalBudget(clock=clock.monotonic_ns)`."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Advance the time. A waiting task continues when the loop runs next.

        Args:
            seconds: The number of seconds, at least 0.

        Raises:
            ValueError: The number is negative.
        """
        if not 0 <= seconds < float("inf"):
            raise ValueError("advance needs a number of seconds, at least 0")
        self._now += math.ceil(seconds * _SECOND)  # what falls due then, is due then

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on this clock, and return its result.

        You can call it several times. The loop is the same, so its tasks continue.

        Args:
            main: A coroutine.

        Raises:
            RuntimeError: It was called inside an event loop.
        """
        if _is_in_a_loop():
            main.close()
            raise RuntimeError("a VirtualClock has its own event loop: call run from plain code")
        if self._runner is None:
            self._runner = asyncio.Runner(loop_factory=lambda: VirtualLoop(self.monotonic, self.advance))
        return self._runner.run(main)

    def close(self) -> None:
        """Cancel its tasks and close its loop. A second close does nothing."""
        runner, self._runner = self._runner, None
        if runner is not None:
            runner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _is_in_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class ClockBudget(LocalBudget):
    """A budget with a virtual clock.

    The sandbox is in the clock's event loop. A call from another loop, as with `asyncio.run`, would get no response, so
    it is refused immediately.
    """

    def __init__(self, clock: VirtualClock, limit: int, period: float, **options: Any) -> None:
        super().__init__(limit, period, clock=clock.monotonic_ns, **options)

    async def take(
        self,
        lane: Lane,
        *,
        max_lifetime: float,
        max_wait: float | None = None,
        place: int | None = None,
        key: Hashable = None,
    ) -> Grant:
        """Like `Budget.take`; refused in an event loop without a virtual clock."""
        if not isinstance(asyncio.get_running_loop(), VirtualLoop):
            raise ConfigurationError(
                "this client uses a virtual clock: run its code with goedgepickt_clock.run(…), not with asyncio.run or "
                "in an async fixture"
            )
        return await super().take(lane, max_lifetime=max_lifetime, max_wait=max_wait, place=place, key=key)
