"""Waiting for what must come, on a machine of any speed: events decide, and the limit is a safety net alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

__all__ = ["SAFETY", "until", "until_in_thread"]

SAFETY = 240.0
"""Seconds after which a wait is a failure; a quiet machine needs some thousandths, a busy one some seconds."""


async def until(condition: Callable[[], object], seconds: float = SAFETY) -> None:
    """Wait in an event loop until the condition holds.

    Args:
        condition: Asked every two thousandths of a second.
        seconds: How long at most.

    Raises:
        TimeoutError: It never held.
    """
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  the condition may be anything
            await asyncio.sleep(0.002)


def until_in_thread(condition: Callable[[], object], seconds: float = SAFETY) -> None:
    """Wait without an event loop until the condition holds.

    Args:
        condition: Asked every ten thousandths of a second.
        seconds: How long at most.

    Raises:
        TimeoutError: It never held.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("the condition never held")
        time.sleep(0.01)
