"""The rows that this process has a part in, remembered here as well, so that a Redis that forgets can be told again."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from goedgepickt_async.budget.protocol import Answered, Lost, Outcome
from goedgepickt_async.budget.redis.store import Operation, microseconds
from goedgepickt_async.budget.slots import LimiterConfig, nanoseconds

__all__ = ["OwnRow", "OwnRows", "mark"]


@attrs.define(eq=False)
class OwnRow:
    """One request of this process; instants in nanoseconds of this process's clock.

    Attributes:
        member: Its name in Redis.
        taken: When it was granted.
        free_at: When its slot comes free; pessimistic until it is settled, as everywhere.
        settled: Whether its outcome is known.
        in_redis: Whether Redis has the row, as far as we know.
    """

    member: str
    taken: int
    free_at: int
    settled: bool = False
    in_redis: bool = True

    def carried(self, now: int) -> Operation:
        """What tells Redis of it."""
        age = -1 if self.settled else microseconds(now - self.taken)
        return Operation("carry", self.member, microseconds(self.free_at - now), age)


class OwnRows:
    """All of them that are not free yet. Not thread-safe."""

    def __init__(self, config: LimiterConfig) -> None:
        self._hold = config.cooldown
        self._late = nanoseconds(config.late_arrival)
        self._rows: dict[str, OwnRow] = {}
        self._tidy_at = 0

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, member: str, now: int, max_lifetime: int, *, in_redis: bool) -> None:
        """A slot was taken; `life` in nanoseconds."""
        if now >= self._tidy_at:
            self._drop_free(now)
            self._tidy_at = now + self._hold
        self._rows[member] = OwnRow(member, now, now + max_lifetime + self._late + self._hold, in_redis=in_redis)

    def settle(self, member: str, now: int, outcome: Outcome) -> bool:
        """What came of it; whether Redis knows the row."""
        row = self._rows.get(member)
        if row is None:
            return True  # so long ago that its slot is free already
        if not isinstance(outcome, Answered | Lost):
            del self._rows[member]
            return row.in_redis
        late = self._late if isinstance(outcome, Lost) else 0
        row.settled, row.free_at = True, min(row.free_at, now + late + self._hold)
        return row.in_redis

    def in_flight(self) -> int:
        """How many that Redis knows are not settled."""
        return sum(1 for row in self._rows.values() if row.in_redis and not row.settled)

    def any_in_redis(self, now: int) -> bool:
        """Whether Redis knows any that is not free yet."""
        self._drop_free(now)
        return any(row.in_redis for row in self._rows.values())

    def not_in_redis(self, now: int) -> list[OwnRow]:
        """Those that Redis is to be told of."""
        self._drop_free(now)
        return [row for row in self._rows.values() if not row.in_redis]

    def all_forgotten(self) -> None:
        """Redis may know none of them any more."""
        for row in self._rows.values():
            row.in_redis = False

    def _drop_free(self, now: int) -> None:
        for member in [row.member for row in self._rows.values() if row.free_at <= now]:
            del self._rows[member]


def mark(rows: Iterable[OwnRow], *, in_redis: bool) -> None:
    """Note that Redis has these rows, or that it is not sure that it has."""
    for row in rows:
        row.in_redis = in_redis
