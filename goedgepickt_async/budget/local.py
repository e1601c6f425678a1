"""LocalBudget: the slots live in this process, for all its clients, keys, tasks, event loops and threads."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from goedgepickt_async.budget.queue import QueuedBudget
from goedgepickt_async.budget.slots import FAR, LimiterConfig, Slots

__all__ = ["LocalBudget", "LocalStore"]


class LocalStore:
    """Slots in this process's memory."""

    def __init__(self, config: LimiterConfig, clock: Callable[[], int], *, first_id: int = 0) -> None:
        self._slots = Slots(config, first_id=first_id)
        self._clock = clock

    def open(self) -> AbstractContextManager[tuple[Slots, int]]:
        """The slots and the time."""
        return nullcontext((self._slots, self._clock()))

    def look_again_in(self, slots: Slots, now: int) -> int:
        """When time alone may free a slot."""
        change = slots.next_change(now)
        return FAR if change == FAR else change - now

    def after_fork(self) -> None:
        """What the parent has in flight comes from the same IP: it stays taken."""
        self._slots.orphan_all(self._clock())


class LocalBudget(QueuedBudget):
    """A budget for this process.

    It may be shared by any number of clients, event loops and threads. Two processes that each have one do not know
    of each other, but for the server's own counter.

    Args:
        limit: Requests that the server allows in a period (150; confidence A).
        period: The server's window in seconds (60; confidence B).
        safety_margin: Seconds added to the period, for server clocks that tick in whole seconds.
        late_arrival: Seconds after which a request whose client gave up is certain not to be counted any more.
        headroom: Slots that lists and bulk jobs leave to interactive calls at most, and a fifth of the limit at most.
        interactive_interval: Seconds between two interactive calls that there is to be room for: until the next slots come free, lists
            and bulk jobs leave one slot for each.
        use_server_counter: Obey the server's counter too; it makes restarts and strangers on the same IP harmless.
        clock: The time in nanoseconds, never going back; for tests.
    """

    def __init__(
        self,
        limit: int = 150,
        period: float = 60.0,
        *,
        safety_margin: float = 1.0,
        late_arrival: float = 30.0,
        headroom: int = 30,
        interactive_interval: float = 1.0,
        use_server_counter: bool = True,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        config = LimiterConfig(
            limit=limit,
            window=period,
            safety_margin=safety_margin,
            late_arrival=late_arrival,
            headroom=headroom,
            interactive_interval=interactive_interval,
            use_server_counter=use_server_counter,
        )
        super().__init__(LocalStore(config, clock), config, clock)
