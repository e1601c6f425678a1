"""Laravel's throttle: a counter and a timer for each client, as its middleware keeps them in its cache.

Written from the description of Laravel's `ThrottleRequests` and `RateLimiter` (8.x to 13.x behave the same): a fixed
window that starts at the first request, refusals that are not counted, and whole seconds in the headers.
"""

from __future__ import annotations

import math
from typing import Final, Literal

import attrs

__all__ = ["CacheFlavour", "Throttle"]

CacheFlavour = Literal["redis", "file", "memcached"]
"""Which cache Laravel keeps its counters in; they differ in when an entry dies.

`redis`: exactly after the period. `file`: in whole seconds, so up to one second early. `memcached`: in whole seconds
of a clock of its own, so up to one second early or late.
"""

_MEMCACHED_PHASE: Final = 0.37
"""How far memcached's clock ticks behind the second; any fraction will do."""


@attrs.define
class _Entry:
    value: int
    expires: float


class _Cache:
    """The three operations that the throttle needs of Laravel's cache."""

    def __init__(self, flavour: CacheFlavour) -> None:
        self._flavour = flavour
        self._entries: dict[str, _Entry] = {}

    def get(self, now: float, key: str) -> int | None:
        entry = self._entries.get(key)
        if entry is None or self._tick(now) >= entry.expires:
            self._entries.pop(key, None)
            return None
        return entry.value

    def add(self, now: float, key: str, value: int, ttl: float) -> None:
        """Put a value unless one is alive."""
        if self.get(now, key) is None:
            start = now if self._flavour == "redis" else math.floor(now)
            self._entries[key] = _Entry(value, start + ttl)

    def increment(self, key: str) -> None:
        """Add one to a value that is there; how long it lives does not change."""
        self._entries[key].value += 1

    def forget(self, key: str) -> None:
        self._entries.pop(key, None)

    def _tick(self, now: float) -> float:
        if self._flavour == "redis":
            return now
        return math.floor(now - _MEMCACHED_PHASE) if self._flavour == "memcached" else math.floor(now)


class Throttle:
    """Counts the requests of each client (IP address) and refuses those above the limit.

    Args:
        limit: How many requests one window admits.
        period: How many seconds a window lasts; a fraction is allowed, the headers then speak in whole seconds.
        flavour: Which cache the counters live in.
    """

    def __init__(self, limit: int, period: float, flavour: CacheFlavour = "redis") -> None:
        self.limit = limit
        self.period = period
        self._cache = _Cache(flavour)

    def arrive(self, now: float, client: str) -> dict[str, str] | None:
        """Count a request before the controller runs.

        Args:
            now: The server's clock, in Unix seconds.
            client: Who asks.

        Returns:
            None if the request is admitted, and counted; the headers of the refusal if not, uncounted.
        """
        timer_key = f"{client}:timer"
        if (self._cache.get(now, client) or 0) >= self.limit:
            timer = self._cache.get(now, timer_key)
            if timer is not None:
                return self._refusal(now, timer)
            self._cache.forget(client)
        self._cache.add(now, timer_key, int(math.floor(now) + self.period), self.period)
        self._cache.add(now, client, 0, self.period)
        self._cache.increment(client)
        return None

    def leave(self, now: float, client: str) -> dict[str, str]:
        """Return the headers of an admitted request's answer, as they are after the controller ran."""
        count = self._cache.get(now, client) or 0
        return {"X-RateLimit-Limit": str(self.limit), "X-RateLimit-Remaining": str(max(0, self.limit - count))}

    def _refusal(self, now: float, timer: int) -> dict[str, str]:
        retry_after = max(0, timer - math.floor(now))
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": "0",
            "Retry-After": str(retry_after),
            "X-RateLimit-Reset": str(math.floor(now) + retry_after),
        }
