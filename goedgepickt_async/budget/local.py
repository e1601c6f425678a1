"""LocalBudget: the slots live in this process, for all its clients, keys, tasks, event loops and threads."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from goedgepickt_async.budget.config import FAR, LimiterConfig
from goedgepickt_async.budget.queue import Plan, QueuedBudget
from goedgepickt_async.budget.slots import Slots
from goedgepickt_async.errors import ConfigurationError

__all__ = ["LocalBudget", "limiter_config"]


def limiter_config(**numbers: Any) -> LimiterConfig:
    """The numbers of a budget, checked.

    Raises:
        ConfigurationError: One of them is impossible.
    """
    if numbers.get("share") is None:
        numbers.pop("share", None)
    try:
        return LimiterConfig(**numbers)
    except (ValueError, TypeError) as error:
        reason = str(error.args[0] if error.args else error)
        raise ConfigurationError(f"a budget cannot have these numbers: {reason}") from None


class LocalStore:
    """Slots in the memory of this process."""

    kind = "local"
    sharer = 0

    def __init__(self, config: LimiterConfig, clock: Callable[[], int]) -> None:
        self._slots = Slots(config)
        self._clock = clock

    def begin(self) -> tuple[Slots, int] | None:
        """The slots and the time."""
        return self._slots, self._clock()

    def end(self, slots: Slots, now: int, *, changed: bool) -> bool:  # noqa: ARG002
        """They are kept as they are."""
        return True

    def noted(self, slots: Slots, now: int, plan: Plan) -> None:
        """There is nothing that could be lost."""

    def retry(self, attempt: Callable[[], object]) -> None:
        """`begin` always has the slots."""

    def peek(self) -> tuple[Slots, int]:
        """The slots and the time."""
        return self._slots, self._clock()

    def look_again_in(self, slots: Slots, now: int) -> int:
        """When time alone may free a slot."""
        change = slots.next_change(now)
        return FAR if change == FAR else change - now

    def after_fork(self) -> None:
        """What the parent has in flight comes from the same IP: it stays taken."""
        self._slots.detach_in_flight(self._clock())

    def describe(self) -> dict[str, Any]:
        """It is here."""
        return {"place": ""}


class LocalBudget(QueuedBudget):
    """A budget for this process.

    It may be shared by any number of clients, event loops and threads. Two processes that each have one do not know
    of each other, but for the server's own counter.

    Args:
        limit: Requests that the server allows in a period (150; confidence A). Its counter speaks of this number.
        period: The server's window in seconds (60; confidence B).
        share: How many of those this budget may use; the rest is left to other programs on the IP. None: all.
        safety_margin: Seconds added to the period, for server clocks that tick in whole seconds.
        late_arrival: Seconds after which a request whose client gave up is certain not to be counted any more.
        headroom: Slots that lists and bulk jobs leave to interactive calls at most, and a fifth of the share at most.
        interactive_interval: The expected seconds between two interactive calls: until the next slots come free, lists
            and bulk jobs leave one slot for each.
        use_server_counter: Obey the server's counter too; it makes restarts and foreign traffic on the IP harmless.
        clock: The time in nanoseconds, never going back; for tests.

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
            window=period,
            share=share,
            safety_margin=safety_margin,
            late_arrival=late_arrival,
            headroom=headroom,
            interactive_interval=interactive_interval,
            use_server_counter=use_server_counter,
        )
        super().__init__(LocalStore(config, clock), config, clock)
