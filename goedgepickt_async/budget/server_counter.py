"""The parts of `Slots`: the order in which slots become free, and the server's counter (`X-RateLimit-Remaining`).

Pure; times are integer nanoseconds.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Final, NamedTuple

from goedgepickt_async.budget.config import FAR

__all__ = ["ExpiryIndex", "Observation", "ServerCounter"]


class ExpiryIndex:
    """The used slots, ordered by the time when they become free: two arrays, which are cheap to encode.

    Attributes:
        free_at: The time when each slot becomes free, by its id; only for reading.
        instants: These times in order; only for reading.
        slots: The ids in the same order; only for reading.
    """

    def __init__(self) -> None:
        self.free_at: dict[int, int] = {}
        self.instants: array[int] = array("q")
        self.slots: array[int] = array("q")

    def __len__(self) -> int:
        return len(self.instants)

    def drop_free(self, now: int) -> Sequence[int]:
        """Remove the slots that are free by now, and return their times."""
        if not self.instants or self.instants[0] > now:
            return ()
        number = bisect_right(self.instants, now)
        dropped = self.instants[:number]
        for slot in self.slots[:number]:
            del self.free_at[slot]
        del self.instants[:number], self.slots[:number]
        return dropped

    def add(self, slot: int, free_at: int) -> None:
        """Add a slot."""
        self.free_at[slot] = free_at
        index = bisect_right(self.instants, free_at)
        self.instants.insert(index, free_at)
        self.slots.insert(index, slot)

    def remove(self, slot: int) -> int | None:
        """Remove a slot. Return the time when it would have become free; None if it is unknown."""
        free_at = self.free_at.pop(slot, None)
        if free_at is not None:
            index = self.slots.index(slot, bisect_left(self.instants, free_at))
            del self.instants[index], self.slots[index]
        return free_at

    def move_earlier(self, slot: int, free_at: int) -> None:
        """Move the time of a slot to an earlier one."""
        if self.free_at.get(slot, -FAR) > free_at:
            self.remove(slot)
            self.add(slot, free_at)

    def load(self, data: bytes) -> None:
        """Load the bytes of `instants` and `slots`.

        Raises:
            ValueError: The values are not valid.
        """
        middle = len(data) // 2
        self.instants, self.slots = array("q", data[:middle]), array("q", data[middle:])
        self.free_at = dict(zip(self.slots, self.instants, strict=True))
        if len(self.free_at) != len(self.instants):
            raise ValueError("a slot is in it twice")

    def free_by(self, instant: int) -> int:
        """The number of slots that are free by this time."""
        return bisect_right(self.instants, instant)

    def used_at(self, instant: int) -> int:
        """The number of slots that are not free by this time."""
        return len(self.instants) - bisect_right(self.instants, instant)

    def nth_free_at(self, n: int) -> int:
        """The time when the n-th slot (from 0) becomes free."""
        return self.instants[n] if n < len(self.instants) else FAR


class Observation(NamedTuple):
    """A response with the counter."""

    answered: int
    counter: int
    sent: int


_counter_of = attrgetter("counter")
_SCALARS: Final = ("_newest_sent", "highest", "ends", "began", "since", "told_at", "fell_at", "rolling_until")
_scalars_of = attrgetter(*_SCALARS)


class ServerCounter:
    """A safe upper bound for the server's counter, from the responses with the counter.

    Let R be the latest sent request that has a response. Responses that arrived after R was sent overlap R. No request
    with a response has raised the counter above the highest counter among them. So the present counter is at most this
    value, plus the requests in flight, plus the later requests of other clients.

    With a fixed window, the counter only rises until the window ends. Two falls within half a window prove a rolling
    limit: a sliding window, GCRA or token bucket. Its counter falls with each request that leaves the window.

    Attributes:
        overlapping: The responses that overlap the newest one.
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
        self.overlapping: deque[Observation] = deque()
        self._newest_sent = -FAR
        self.highest: int | None = None
        self.ends: int = FAR
        self.began: int = -FAR
        self.since: int = -FAR
        self.told_at: int = -FAR
        self.fell_at: int = -FAR
        self.rolling_until: int = -FAR

    def observe(self, sent: int, now: int, count: int) -> None:
        """Record a response with the counter."""
        self.told_at = now
        self._newest_sent = max(self._newest_sent, sent)
        self.overlapping.append(Observation(now, count, sent))
        dropped = []
        while self.overlapping[0].answered < self._newest_sent:
            dropped.append(self.overlapping.popleft())
        highest = max(map(_counter_of, self.overlapping))
        # In one fixed window the counter never falls: a higher one that no longer overlaps was an older window's.
        older = [told.sent for told in dropped if told.counter > highest]
        if older:
            if now - self.fell_at < self._cooldown // 2:
                self.rolling_until = now + 20 * self._cooldown
            self.fell_at = now
        if older or not count:  # a counter of zero says that no window is running
            self._began_after(max([sent] if not count else older), now)
        if now < self.rolling_until:
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
            self.overlapping.append(Observation(now, self.highest, -FAR))

    def advance(self, now: int) -> bool:
        """Whether the window is over; then nothing is known about the next one."""
        if now < self.ends:
            return False
        self._began_after(self._newest_sent, now)
        self.forget()
        return True

    def forget(self) -> None:
        """Forget the counter, but keep the start of the window."""
        self.overlapping.clear()
        self.highest, self.ends = None, FAR

    def resume(self, highest: int, ends: int, told_at: int) -> None:
        """Continue with the highest counter of a window, the latest time of its end, and the time of its last response."""
        self.highest, self.ends, self.told_at = highest, ends, told_at

    def _began_after(self, sent: int, now: int) -> None:
        if sent > self.began:
            self.began, self.since = sent, now

    def dump(self) -> list[int]:
        """Return the scalar values; `overlapping` is separate."""
        scalars = [*_scalars_of(self)]
        if self.highest is None:
            scalars[1] = -1
        return scalars

    def load(self, scalars: list[int], overlapping: Iterable[tuple[int, int, int]]) -> None:
        """Load the result of `dump`."""
        vars(self).update(zip(_SCALARS, scalars, strict=True))
        self.highest = None if scalars[1] < 0 else scalars[1]
        self.overlapping = deque(Observation(*told) for told in overlapping)
