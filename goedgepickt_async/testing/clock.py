"""A clock that hurries on: where everybody waits, it jumps to the moment when somebody need no longer."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

from goedgepickt_async.testing.virtual_loop import VirtualLoop

__all__ = ["VirtualClock"]

T = TypeVar("T")
_SECOND = 1_000_000_000


class VirtualClock:
    """Time for tests, with an event loop that runs on it: nobody waits, and everything is in its order and place.

    Sockets, tasks and time-outs are real. When no task can go on and no byte is under way, the time jumps to the next
    moment that anybody waits for. So an hour of waiting for the rate limit takes as long as its requests do.

    ```python
    with VirtualClock() as clock:

        async def main():
            budget = LocalBudget(10, 60.0, clock=clock.monotonic_ns)
            async with Sandbox(limit=10, clock=clock.time) as sandbox:
                ...  # a client with this budget


        clock.run(main())
        print(clock.elapsed)
    ```

    Everything that talks must do so in this loop: another process, another thread's server or a remote database is not
    waited for, and the time jumps past it. `asyncio.to_thread` is waited for. What reads `time.time` or
    `datetime.now` itself sees the real time.

    Args:
        start: What it shows to begin with, in Unix seconds; None: the present, so that dates agree with the real one.
    """

    def __init__(self, start: float | None = None) -> None:
        self._start = time.time() if start is None else start
        self._now = 0
        self._runner: asyncio.Runner | None = None

    @property
    def elapsed(self) -> float:
        """Seconds that have passed on it since it was made."""
        return self._now / _SECOND

    def time(self) -> float:
        """The time in Unix seconds: for `Sandbox(clock=clock.time)`."""
        return self._start + self._now / _SECOND

    def monotonic(self) -> float:
        """Seconds since it was made: for `MemoryInbox(clock=clock.monotonic)`."""
        return self._now / _SECOND

    def monotonic_ns(self) -> int:
        """Nanoseconds since it was made: for `LocalBudget(clock=clock.monotonic_ns)`."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass by hand; who waited for it goes on when the loop runs next.

        Args:
            seconds: How many, at least 0.

        Raises:
            ValueError: Time does not go back.
        """
        if not 0 <= seconds < float("inf"):
            raise ValueError("time passes by a number of seconds, at least 0")
        self._now += math.ceil(seconds * _SECOND)  # what falls due then, is due then

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run something asynchronous on this clock, and return what it returns.

        It may be called again and again; it is the same loop, so what runs in it goes on.

        Args:
            main: A coroutine.

        Raises:
            RuntimeError: It was called in an event loop, where it would have to wait for itself.
        """
        if _is_in_a_loop():
            main.close()
            raise RuntimeError("a VirtualClock has an event loop of its own: call run from plain code")
        if self._runner is None:
            self._runner = asyncio.Runner(loop_factory=lambda: VirtualLoop(self.monotonic, self.advance))
        return self._runner.run(main)

    def close(self) -> None:
        """End what still runs on it, and its loop. Twice is once."""
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
