"""The budgets that the soak and the tables are run with, and a stopwatch around one."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from goedgepickt_async import LocalBudget
from goedgepickt_async.budget import Budget, BudgetSnapshot, Lane
from goedgepickt_async.budget.protocol import Answered, Grant, Outcome

__all__ = ["KINDS", "WINDOW", "Stopwatch", "make_budget"]

KINDS = ("local", "host", "redis")
WINDOW = 60.0
"""Seconds of the real server's window, to which all scaled figures are scaled back."""


def make_budget(kind: str, limit: int, period: float, *, directory: str, redis_url: str, processes: int) -> Budget:
    """A budget for one of several processes, its durations scaled like the window.

    Args:
        kind: One of `KINDS`; each process has its share of a local one.
        limit: Requests in a window, over all processes.
        period: The window in seconds.
        directory: Where a host budget's file lies.
        redis_url: Where Redis is.
        processes: How many share it.
    """
    second = period / WINDOW
    if kind == "local":
        return LocalBudget(
            limit // processes, period, safety_margin=second, late_arrival=30 * second, interactive_interval=second
        )
    if kind == "host":
        from goedgepickt_async.budget.host import HostBudget  # noqa: PLC0415  only where it is wanted

        return HostBudget(
            limit,
            period,
            name="soak",
            directory=directory,
            safety_margin=second,
            late_arrival=30 * second,
            interactive_interval=second,
        )
    from goedgepickt_async.budget.redis import RedisBudget  # noqa: PLC0415  needs the extra

    return RedisBudget(
        limit,
        period,
        url=redis_url,
        name="soak",
        safety_margin=second,
        late_arrival=30 * second,
        interactive_interval=second,
    )


class Stopwatch:
    """A budget that notes how long answered requests were under way, from the grant to the answer's headers."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._since: dict[int, float] = {}
        self.trips = 0
        self.seconds = 0.0

    @property
    def limit(self) -> int:
        return self._budget.limit

    async def take(
        self, lane: Lane, *, max_lifetime: float, max_wait: float | None = None, place: int | None = None
    ) -> Grant:
        grant = await self._budget.take(lane, max_lifetime=max_lifetime, max_wait=max_wait, place=place)
        self._since[grant.slot] = time.monotonic()
        return grant

    def settle(self, grant: Grant, outcome: Outcome) -> None:
        self._budget.settle(grant, outcome)
        since = self._since.pop(grant.slot, None)
        if since is not None and isinstance(outcome, Answered):
            self.trips += 1
            self.seconds += time.monotonic() - since

    def pause(self, retry_after: float | None) -> None:
        self._budget.pause(retry_after)

    def predicted_wait(self, lane: Lane, *, ahead: int = 0) -> float:
        return self._budget.predicted_wait(lane, ahead=ahead)

    def snapshot(self) -> BudgetSnapshot:
        return self._budget.snapshot()

    def listen(self, method: Callable[[Any], Any]) -> None:
        self._budget.listen(method)
