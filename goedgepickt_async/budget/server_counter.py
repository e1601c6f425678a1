"""What the server's own counter (`X-RateLimit-Remaining`) proves. Pure; instants are integer nanoseconds."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import attrs

from goedgepickt_async.budget.config import FAR

__all__ = ["Observation", "ServerCounter"]


@attrs.frozen
class Observation:
    """One answer that bore the counter."""

    answered: int
    counter: int
    sent: int


class ServerCounter:
    """A sound upper bound of the server's counter, out of the answers that bore it.

    Let R be the answered request that was sent last. The answers that came after R was sent overlap it; the highest
    counter among those is one that no answered request has raised since. So the counter now is at most that, plus
    what is in flight, plus what other clients sent since.

    With a fixed window the counter only rises until the window ends. Two falls within half a window prove a rolling
    limit (sliding window, GCRA, token bucket): there it falls with each request that leaves the window.

    Attributes:
        highest: The highest counter among the answers that overlap the newest; None: nothing is known.
        ends: The window that `highest` speaks of is over by then.
        began: That window did not begin before; so what was answered before is not counted in it.
        since: What is sent from then on is counted in that window or a later one.
        told_at: When the newest answer that bore the counter came.
        fell_at: When the counter was last seen to have fallen.
        rolling_until: Until then the limit is taken for a rolling one.
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
        """Whether the limit was lately proven to be a rolling one."""
        return now < self.rolling_until

    def observe(self, sent: int, now: int, count: int) -> None:
        """An answer bore the counter."""
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
        """Whether the window is over by now; then nothing is known of the next."""
        if now < self.ends:
            return False
        self._began_after(self._newest_sent, now)
        self.forget()
        return True

    def forget(self) -> None:
        """Nothing is known any more, but that the window began when it did."""
        self._overlapping.clear()
        self.highest, self.ends = None, FAR

    def _began_after(self, sent: int, now: int) -> None:
        if sent > self.began:
            self.began, self.since = sent, now

    def dump(self) -> list[int]:
        """Its scalars; the observations are apart."""
        highest = -1 if self.highest is None else self.highest
        scalars = [self._newest_sent, highest, self.ends, self.began, self.since, self.told_at]
        return [*scalars, self.fell_at, self.rolling_until]

    def load(self, scalars: list[int], overlapping: Iterable[tuple[int, int, int]]) -> None:
        """Become what `dump` gave."""
        self._newest_sent, highest, self.ends, self.began, self.since, self.told_at, *others = scalars
        self.fell_at, self.rolling_until = others
        self.highest = None if highest < 0 else highest
        self._overlapping = deque(Observation(*told) for told in overlapping)

    @property
    def overlapping(self) -> Iterable[tuple[int, int, int]]:
        """The observations, for `load`."""
        return ((told.answered, told.counter, told.sent) for told in self._overlapping)
