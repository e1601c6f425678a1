"""Work that must not be done twice at once in this process, whichever clients, event loops and threads ask for it."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Hashable
from types import TracebackType
from typing import Final, Self

import attrs

__all__ = ["OneAtATime"]

_LOOK_AGAIN: Final = 0.02
"""Seconds. It is for rare work, so looking again is dear to nobody, and nobody can forget to wake the others."""

_guard = threading.Lock()
_holders: dict[Hashable, asyncio.AbstractEventLoop] = {}


@attrs.define
class OneAtATime:
    """An asynchronous context that one task at a time is in; a loop that has ended holds nobody up.

    Attributes:
        key: What the work is on; other keys are other work.
    """

    key: Hashable

    async def __aenter__(self) -> Self:
        """Wait for one's turn."""
        while not self._take():  # noqa: ASYNC110  the others may be in other event loops
            await asyncio.sleep(_LOOK_AGAIN)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the next one in."""
        with _guard:
            _holders.pop(self.key, None)

    def _take(self) -> bool:
        with _guard:
            holder = _holders.get(self.key)
            if holder is not None and not holder.is_closed():
                return False
            _holders[self.key] = asyncio.get_running_loop()
            return True


def _after_fork_in_child() -> None:
    global _guard  # noqa: PLW0603  another thread of the parent may have held it
    _guard = threading.Lock()
    _holders.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
