"""Ending tasks, and seeing them end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

__all__ = ["end_all"]


async def end_all(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel them and wait until the last one has ended, also when the waiting itself is cancelled.

    They end at once as a rule; what they share, such as a journal, may be closed only after them.

    Raises:
        CancelledError: It was cancelled meanwhile; all of them have ended.
    """
    left = {task for task in tasks if not task.done()}
    for task in left:
        task.cancel()
    cancelled: asyncio.CancelledError | None = None
    while left:
        try:
            await asyncio.wait(left)
        except asyncio.CancelledError as error:
            cancelled = error
        left = {task for task in left if not task.done()}
    if cancelled is not None:
        raise cancelled
