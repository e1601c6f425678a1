"""Conclusions from the server's counter (`X-RateLimit-Remaining`). Pure; times are integer nanoseconds."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from typing import NamedTuple

from goedgepickt_async.budget.config import FAR

__all__ = ["Observation", "ServerCounter"]


class Observation(NamedTuple):
    """A response with the counter."""

    answered: int
    counter: int
    sent: int


class ServerCounter:
    """A safe upper bound for the server's counter, from the responses with the counter.

    Let R be the latest sent request that has a response. Responses that arrived after R was sent overlap R. No request
    with a response has raised the counter above the highest counter among them. So the present counter is at most this
    value, plus the requests in flight, plus the later requests of other clients.

    With a fixed window, the counter only rises until the window ends. Two falls within half a window prove a rolling
    limit: a sliding window, GCRA or token bucket. Its counter falls with each request that leaves the window.

    Attributes:
        highest: The highest counter among the responses that overlap the newest one; None if it is unknown.
        ends: The time when the window of `highest` is over at the latest.
        began: The earliest start of that window; requests with earlier responses are not counted in it.
        since: Requests that are sent from this time on are counted in that window or a later one.
        told_at: The time of the newest response with the counter.
        fell_at: The time of the last fall of the counter.
        rolling_until: The time until which the limit counts as a rolling one.
    """

    def __init__(self, cooldown: int) -> None:
        self._cooldown = cooldown
        self._overlapping: deque[Observation] = deque()
        self._newest_sent = -FAR
        self.highest: int | None = None
        self.ends: int = FAR
        self.began: int = -FAR
        self.since: int = -FAR
        self.told_at: int = -FAR
        self.fell_at: int = -FAR
        self.rolling_until: int = -FAR

    def is_rolling(self, now: int) -> bool:
        """Whether the limit was recently proven to be a rolling one."""
        return now < self.rolling_until

    def observe(self, sent: int, now: int, count: int) -> None:
        """Record a response with the counter."""
        self.told_at = now
        self._newest_sent = max(self._newest_sent, sent)
        self._overlapping.append(Observation(now, count, sent))
        dropped = []
        while self._overlapping[0].answered < self._newest_sent:
            dropped.append(self._overlapping.popleft())
        highest = max(told.counter for told in self._overlapping)
        # In one fixed window the counter never falls: a higher one that no longer overlaps was an older window's.
        older = [told.sent for told in dropped if told.counter > highest]
        if older:
            if now - self.fell_at < self._cooldown // 2:
                self.rolling_until = now + 20 * self._cooldown
            self.fell_at = now
        if older or not count:  # a counter of zero says that no window is running
            self._began_after(max([sent] if not count else older), now)
        if self.is_rolling(now):
            self.ends = now + self._cooldown
        elif not self.highest or highest < self.highest:
            # A new window, begun not later than now.
            self.ends = now + self._cooldown if highest else FAR
        self.highest = highest

    def unseen(self, now: int) -> None:
        """Record a response without the counter; the server may have counted its request."""
        if self.highest is not None:
            if not self.highest:
                self.ends = now + self._cooldown  # no window was running; this one may have begun one
            self.highest += 1
            self._overlapping.append(Observation(now, self.highest, -FAR))

    def advance(self, now: int) -> bool:
        """Whether the window is over; then nothing is known about the next one."""
        if now < self.ends:
            return False
        self._began_after(self._newest_sent, now)
        self.forget()
        return True

    def forget(self) -> None:
        """Forget the counter, but keep the start of the window."""
        self._overlapping.clear()
        self.highest, self.ends = None, FAR

    def _began_after(self, sent: int, now: int) -> None:
        if sent > self.began:
            self.began, self.since = sent, now

    def dump(self) -> list[int]:
        """Return the scalar values; `observations` are separate."""
        highest = -1 if self.highest is None else self.highest
        scalars = [self._newest_sent, highest, self.ends, self.began, self.since, self.told_at]
        return [*scalars, self.fell_at, self.rolling_until]

    def load(self, scalars: list[int], overlapping: Iterable[tuple[int, int, int]]) -> None:
        """Load the result of `dump`."""
        self._newest_sent, highest, self.ends, self.began, self.since, self.told_at, *others = scalars
        self.fell_at, self.rolling_until = others
        self.highest = None if highest < 0 else highest
        self._overlapping = deque(Observation(*told) for told in overlapping)

    @property
    def overlapping(self) -> Collection[tuple[int, int, int]]:
        """The observations, for `load`."""
        return self._overlapping
