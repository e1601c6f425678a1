"""Time that jumps, for tests marked `virtual_time`: their loop, and clocks that go with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from goedgepickt_async.testing import VirtualClock
from goedgepickt_async.testing.clock import VirtualLoop

__all__ = ["loop_nanoseconds", "loop_seconds", "virtual_loop"]


def virtual_loop() -> asyncio.AbstractEventLoop:
    """A new event loop that lets time pass instead of waiting for it."""
    clock = VirtualClock()
    return VirtualLoop(clock.monotonic, clock.advance)


def loop_seconds() -> Callable[[], float]:
    """The time of the running loop, for `Sandbox(clock=...)`: its zero is a moment of 2026."""
    loop = asyncio.get_running_loop()
    return lambda: 1_790_000_000 + loop.time()


def loop_nanoseconds() -> Callable[[], int]:
    """The time of the running loop, for `LocalBudget(clock=...)`."""
    loop = asyncio.get_running_loop()
    return lambda: round(loop.time() * 1e9)
