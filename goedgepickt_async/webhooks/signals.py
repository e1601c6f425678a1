"""Stopping on a signal: the first one in good order, the second one at once."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator

__all__ = ["heeding_signals"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def heeding_signals(stop: Callable[[], object], hurry: Callable[[], object]) -> Iterator[None]:
    """While it is entered, SIGINT and SIGTERM call `stop`, and from the second time on `hurry`.

    Where signals cannot be heard, outside the main thread and on Windows, it does nothing.
    """
    loop = asyncio.get_running_loop()
    calls = iter([stop])

    def heard() -> None:
        next(calls, hurry)()

    before = {number: signal.getsignal(number) for number in _SIGNALS}
    heeded = [number for number in _SIGNALS if _heed(loop, number, heard)]
    try:
        yield
    finally:
        for number in heeded:
            loop.remove_signal_handler(number)
            signal.signal(number, before[number])


def _heed(loop: asyncio.AbstractEventLoop, number: int, heard: Callable[[], None]) -> bool:
    try:
        loop.add_signal_handler(number, heard)
    except (NotImplementedError, RuntimeError, ValueError):
        return False
    return True
