"""`LocalBudget`: the slots are in this process, for all its clients, keys, tasks, event loops and threads."""

from __future__ import annotations

import time
from collections.abc import Callable

from goedgepickt_async.budget.config import LimiterConfig, limiter_config
from goedgepickt_async.budget.queue import QueuedBudget
from goedgepickt_async.budget.slots import Slots
from goedgepickt_async.budget.store import SlotStore

__all__ = ["LocalBudget"]


class LocalStore(SlotStore):
    """Slots in the memory of this process."""

    kind = "local"

    def __init__(self, config: LimiterConfig, clock: Callable[[], int]) -> None:
        self._slots = Slots(config)
        self._clock = clock

    def begin(self, *, settles: bool = False) -> tuple[Slots, int]:  # noqa: ARG002
        """The slots and the time."""
        return self._slots, self._clock()

    def peek(self) -> tuple[Slots, int]:
        """The slots and the time."""
        return self._slots, self._clock()

    def after_fork(self) -> None:
        """Called in a forked child: the parent's slots stay taken, because both have the same IP address."""
        self._slots.detach_in_flight(self._clock())


class LocalBudget(QueuedBudget):
    """A budget for this process.

    Any number of clients, event loops and threads can share it. Budgets of two processes do not share slots; they only
    see each other in the server's counter.

    Args:
        limit: The number of requests that the server allows in a period (150; confidence A). The server's counter
            counts down from it.
        period: The server's window in seconds (60; confidence B).
        share: The number of them that this budget may use. The rest is for other programs on the IP address. None: all.
        safety_margin: Seconds added to the period, for server clocks that tick in whole seconds.
        late_arrival: Seconds after which the server no longer counts a request whose client gave up.
        headroom: The largest number of slots that lists and bulk jobs leave free for interactive calls; at most a fifth
            of the share.
        interactive_interval: The expected seconds between two interactive calls. Lists and bulk jobs leave one slot
            free for each, until the next slots become free.
        use_server_counter: Whether to respect the server's counter, which protects against restarts and foreign traffic
            on the IP address.
        clock: A function that returns the time in nanoseconds, for tests. It must never go back.

    Raises:
        ConfigurationError: A number is impossible.
    """

    def __init__(
        self,
        limit: int = 150,
        period: float = 60.0,
        *,
        share: int | None = None,
        safety_margin: float = 1.0,
        late_arrival: float = 30.0,
        headroom: int = 30,
        interactive_interval: float = 1.0,
        use_server_counter: bool = True,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        config = limiter_config(
            limit=limit,
            period=period,
            share=share,
            safety_margin=safety_margin,
            late_arrival=late_arrival,
            headroom=headroom,
            interactive_interval=interactive_interval,
            use_server_counter=use_server_counter,
        )
        super().__init__(LocalStore(config, clock), config, clock)
