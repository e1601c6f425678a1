"""A lock that knows whether its own thread is in it, and keeps for later what must not happen inside."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["DeferringLock"]


class DeferringLock:
    """One thread at a time; the same thread may enter again."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._holder = 0  # the thread that is in here
        self._deferred: deque[Callable[[], object]] = deque()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock; what was deferred happens after the outermost block."""
        with self._lock:
            outer, self._holder = self._holder, threading.get_ident()
            try:
                yield
            finally:
                self._holder = outer
        while self._deferred and not self.is_mine():
            self._deferred.popleft()()

    def is_mine(self) -> bool:
        """Whether this thread is inside; then the garbage collector may have called in the middle of a change."""
        return self._holder == threading.get_ident()

    def defer(self, act: Callable[[], object]) -> None:
        """Have it happen once the lock is free."""
        self._deferred.append(act)
