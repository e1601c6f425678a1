"""Runs an asynchronous command: the first Ctrl-C or SIGTERM stops it in good order, the second one ends it at once."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any

from goedgepickt_async.cli.messages import say
from goedgepickt_async.cli.outcome import Exit

__all__ = ["run_stoppable"]

_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
_HANG_UP = getattr(signal, "SIGHUP", None)
_SHOW_CURSOR = b"\x1b[?25h"


def run_stoppable(command: Coroutine[Any, Any, int]) -> int:
    """Run a command to its end.

    It is cancelled by the first signal. A command that has something to put in order catches `CancelledError` and
    returns its own exit code.

    Returns:
        The exit code.
    """
    stopper = _Stopper()
    stopper.install()
    try:
        return asyncio.run(_supervise(command, stopper))
    finally:
        stopper.restore()


async def _supervise(command: Coroutine[Any, Any, int], stopper: _Stopper) -> int:
    task = asyncio.ensure_future(command)
    stopper.watch(asyncio.get_running_loop(), task)
    try:
        return await task
    except asyncio.CancelledError:
        if not stopper.stopped:
            raise
        say("stopped")
        return Exit.FAILED


class _Stopper:
    """Handlers of signals, by `signal.signal`: those of asyncio would not be heard while a full pipe blocks a write."""

    def __init__(self) -> None:
        self.stopped = False
        self._stop: Callable[[], object] | None = None
        self._before: dict[int, Any] = {}

    def install(self) -> None:
        """Listen."""
        # An inherited "ignore" counts for SIGHUP (nohup), but not for the others: a job that a script started in the
        # background is to be stoppable too.
        for number in _SIGNALS:
            if number == _HANG_UP and signal.getsignal(number) is signal.SIG_IGN:
                continue
            self._before[number] = signal.signal(number, self._handle)

    def watch(self, loop: asyncio.AbstractEventLoop, task: asyncio.Future[int]) -> None:
        """Say what a signal cancels."""
        self._stop = lambda: loop.call_soon_threadsafe(task.cancel)

    def restore(self) -> None:
        """Listen no more."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self.stopped or self._stop is None:
            _end_at_once(number)
            return
        self.stopped = True
        self._stop()


def _end_at_once(number: int) -> None:
    """End as the signal would have ended any program."""
    if sys.stderr.isatty():
        os.write(2, _SHOW_CURSOR)  # the progress bar hid it
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
