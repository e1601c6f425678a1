"""A budget that grants everything immediately and records its calls."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import attrs

from goedgepickt_async.budget.protocol import BudgetSnapshot, Grant, Outcome
from goedgepickt_async.budget.slots import Lane

__all__ = ["Asked", "RecordingBudget"]


@attrs.frozen
class Asked:
    """What a request for a slot said."""

    lane: Lane
    max_lifetime: float
    max_wait: float | None
    place: int | None


class RecordingBudget:
    """Grants places 101, 102, … and slots 1, 2, …; `settled` is by slot, and a slot settled twice is an error."""

    def __init__(self, limit: int = 150) -> None:
        self.limit = limit
        self.asked: list[Asked] = []
        self.granted: list[Grant] = []
        self.settled: dict[int, Outcome] = {}
        self.pauses: list[float | None] = []
        self.has_granted, self.has_settled = asyncio.Event(), asyncio.Event()
        self._numbers = itertools.count(1)

    async def take(
        self,
        lane: Lane,
        *,
        max_lifetime: float,
        max_wait: float | None = None,
        place: int | None = None,
        key: Any = None,
    ) -> Grant:
        self.asked.append(Asked(lane, max_lifetime, max_wait, place))
        number = next(self._numbers)
        grant = Grant(slot=number, place=100 + number if place is None else place, waited=0.0)
        self.granted.append(grant)
        self.has_granted.set()
        return grant

    def settle(self, grant: Grant, outcome: Outcome) -> None:
        assert grant.slot not in self.settled, "a slot was settled twice"
        self.settled[grant.slot] = outcome
        self.has_settled.set()

    def pause(self, retry_after: float | None) -> None:
        self.pauses.append(retry_after)

    def predicted_wait(self, lane: Lane, *, ahead: int = 0, key: Any = None) -> float:
        return 0.0

    def snapshot(self) -> BudgetSnapshot:
        in_flight = len(self.granted) - len(self.settled)
        return BudgetSnapshot(
            limit=self.limit,
            period=60.0,
            used=len(self.granted),
            free=self.limit,
            in_flight=in_flight,
            next_free_in=0.0,
            waiting=dict.fromkeys(Lane, 0),
            foreign_traffic=False,
            paused_for=0.0,
            throttled=0,
        )

    def listen(self, method: Callable[[Any], Any]) -> None:
        """There is nothing to tell."""

    @property
    def outcomes(self) -> list[Outcome]:
        """What came of the slots, in the order of granting; all must be settled."""
        return [self.settled[grant.slot] for grant in self.granted]
