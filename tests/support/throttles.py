"""Laravel's throttle in its four flavours, and rolling limits. The slots must stay under each of them.

The time is an argument, in nanoseconds.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Protocol

SECOND = 1_000_000_000


class Throttle(Protocol):
    def arrive(self, now: int) -> bool:
        """A request arrives: whether it is admitted (and counted)."""
        ...

    def counter(self, now: int) -> int:
        """What the server puts on an answer that leaves now."""
        ...


class CacheThrottle:
    """`ThrottleRequests`: a counter and a timer, which both end a window after the first hit.

    Args:
        limit: Hits in a window.
        window: In seconds.
        store: `redis` keeps milliseconds; `file` whole seconds, rounded down; `memcached` compares whole seconds with
            a clock that has its own phase.
        phase: Of memcached's clock, in [0, 1) seconds.
    """

    def __init__(self, limit: int, window: float, store: str = "redis", phase: float = 0.0) -> None:
        self.limit = limit
        self._window = round(window * SECOND)
        self._store = store
        self._phase = round(phase * SECOND)
        self._hits = 0
        self._ends: int | None = None

    def arrive(self, now: int) -> bool:
        if not self._is_live(now):
            self._hits = 0
            self._ends = (now if self._store == "redis" else _floor(now)) + self._window
        if self._hits >= self.limit:
            return False
        self._hits += 1
        return True

    def counter(self, now: int) -> int:
        return self._hits if self._is_live(now) else 0

    def _is_live(self, now: int) -> bool:
        if self._ends is None:
            return False
        if self._store == "memcached":
            now = _floor(now - self._phase)
        return (now if self._store == "redis" else _floor(now)) < self._ends


class DurationThrottle:
    """`ThrottleRequestsWithRedis`: a window from the whole second of the first hit, its end included."""

    def __init__(self, limit: int, window: float) -> None:
        self.limit = limit
        self._window = round(window * SECOND)
        self._start: int | None = None
        self._hits = 0

    def arrive(self, now: int) -> bool:
        if not self._is_live(now):
            self._start, self._hits = _floor(now), 0
        self._hits += 1
        return self._hits <= self.limit

    def counter(self, now: int) -> int:
        return min(self._hits, self.limit) if self._is_live(now) else 0

    def _is_live(self, now: int) -> bool:
        return self._start is not None and self._start <= now <= self._start + self._window


def _floor(now: int) -> int:
    return math.floor(now / SECOND) * SECOND


class SlidingLog:
    """Admits while the last window holds fewer than the limit; the counter is what that window holds."""

    def __init__(self, limit: int, window: float) -> None:
        self.limit = limit
        self._window = round(window * SECOND)
        self._hits: deque[int] = deque()

    def arrive(self, now: int) -> bool:
        if self.counter(now) >= self.limit:
            return False
        self._hits.append(now)
        return True

    def counter(self, now: int) -> int:
        while self._hits and self._hits[0] <= now - self._window:
            self._hits.popleft()
        return len(self._hits)


class TokenBucket:
    """A bucket of `limit` tokens that is filled evenly, which is GCRA too; the counter is what is missing in it."""

    def __init__(self, limit: int, window: float) -> None:
        self.limit = limit
        self._each = round(window * SECOND) / limit
        self._full_at = 0.0

    def arrive(self, now: int) -> bool:
        full_at = max(self._full_at, now) + self._each
        if full_at - now > self.limit * self._each:
            return False
        self._full_at = full_at
        return True

    def counter(self, now: int) -> int:
        return math.ceil(max(0.0, self._full_at - now) / self._each)


class EstimatedWindow:
    """A sliding window that is estimated from two fixed ones: of the previous one the part counts that it overlaps.

    Args:
        limit: Hits in a window.
        window: In seconds.
        phase: When the fixed windows begin, in seconds.
    """

    def __init__(self, limit: int, window: float, phase: float = 0.0) -> None:
        self.limit = limit
        self._window = round(window * SECOND)
        self._phase = round(phase * SECOND)
        self._number: int | None = None
        self._before = self._hits = 0

    def _estimate(self, now: int) -> float:
        number, passed = divmod(now - self._phase, self._window)
        if number != self._number:
            self._before = self._hits if self._number is not None and number == self._number + 1 else 0
            self._number, self._hits = number, 0
        return self._before * (1 - passed / self._window) + self._hits

    def arrive(self, now: int) -> bool:
        if self._estimate(now) + 1 > self.limit:
            return False
        self._hits += 1
        return True

    def counter(self, now: int) -> int:
        return math.ceil(self._estimate(now))
