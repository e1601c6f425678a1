"""The slots in use, each with the instant at which it comes free. Pure; instants are integer nanoseconds."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable

from goedgepickt_async.budget.server_counter import FAR

__all__ = ["Rows"]


class Rows:
    """The slots in use, ordered by the instant at which they come free."""

    def __init__(self) -> None:
        self._free_at: dict[int, int] = {}
        self._order: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return len(self._order)

    def drop_free(self, now: int) -> list[int]:
        """Drop those that are free by now; which they were: as a rule, none."""
        if not self._order or self._order[0][0] > now:
            return []
        dropped = [slot for _, slot in self._order[: self.free_by(now)]]
        for slot in dropped:
            del self._free_at[slot]
        del self._order[: len(dropped)]
        return dropped

    def add(self, slot: int, free_at: int) -> None:
        """One more."""
        self._free_at[slot] = free_at
        insort(self._order, (free_at, slot))

    def remove(self, slot: int) -> int | None:
        """One less; when it would have come free, or None if it is not there."""
        free_at = self._free_at.pop(slot, None)
        if free_at is not None:
            del self._order[bisect_left(self._order, (free_at, slot))]
        return free_at

    def move_earlier(self, slot: int, free_at: int) -> None:
        """It comes free at this instant, if that is sooner."""
        before = self.remove(slot)
        if before is not None:
            self.add(slot, min(before, free_at))

    def dump(self) -> list[tuple[int, int]]:
        """All of them: when they come free, and which."""
        return list(self._order)

    def load(self, values: Iterable[tuple[int, int]]) -> None:
        """Become what `dump` gave."""
        self._order = sorted((int(free_at), int(slot)) for free_at, slot in values)
        self._free_at = {slot: free_at for free_at, slot in self._order}

    def free_by(self, instant: int) -> int:
        """How many of them are free by then."""
        return bisect_right(self._order, (instant, FAR))

    def nth_free_at(self, n: int) -> int:
        """When the n-th of them (from 0) comes free."""
        return self._order[n][0] if n < len(self._order) else FAR
