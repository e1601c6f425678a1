"""What a process keeps to while Redis is away: a share of the limit, of its own."""

from __future__ import annotations

import asyncio
import math

import attrs

from goedgepickt_async.budget.local import LocalBudget
from goedgepickt_async.budget.protocol import Listeners
from goedgepickt_async.budget.redis.picture import Picture
from goedgepickt_async.budget.slots import Lane, LimiterConfig, nanoseconds

__all__ = ["Outage", "Share"]


class Share(LocalBudget):
    """A fraction of a budget that was shared a moment ago.

    It begins with its fraction of the slots that were in use then, whoever used them: if all the processes do so, and
    they are not more than 1 / fraction, the requests of before and after the fall fit into the limit together. What
    they took after this one last looked, only the server's own counter can show.

    Args:
        config: The numbers of the whole budget.
        fraction: Of the limit.
        last: How the whole stood when it was last seen.
        listeners: Of the whole budget; they hear of this one.
    """

    def __init__(self, config: LimiterConfig, fraction: float, last: Picture, listeners: Listeners) -> None:
        super().__init__(
            max(1, math.floor(config.limit * fraction)),
            config.window,
            safety_margin=config.safety_margin,
            late_arrival=config.late_arrival,
            headroom=config.headroom,
            interactive_interval=config.interactive_interval,
            use_server_counter=config.use_server_counter,
        )
        self._listeners = listeners
        if self._clock() - last.seen_at < config.cooldown + nanoseconds(config.late_arrival):
            in_flight = math.ceil(last.in_flight * fraction)
            self._begin_with(in_flight, math.ceil(last.used * fraction) - in_flight)

    def _begin_with(self, in_flight: int, cooling: int) -> None:
        with self._open() as (slots, now):
            for number in range(in_flight + cooling):
                slot = slots.take(now, Lane.INTERACTIVE, 0)
                if slot is None:
                    break
                if number >= in_flight:
                    slots.answered(slot, now)
                slots.orphan_all(now)  # whose it is and how it ends, nobody here will tell


@attrs.define(eq=False)
class Outage:
    """One spell without Redis; instants in nanoseconds.

    Attributes:
        began: When it was noticed.
        share: What this process keeps to.
        next_try: When to ask Redis again.
        ends: When to return to Redis, which has answered again but is not told yet by everybody; None: no answer yet.
        waiting: The callers that wait for the share, each with its event loop; their clocks call them back.
    """

    began: int
    share: Share
    next_try: int
    ends: int | None = None
    waiting: dict[asyncio.Timeout, asyncio.AbstractEventLoop] = attrs.field(factory=dict)

    @property
    def due(self) -> int:
        """When something is to be done next."""
        return self.next_try if self.ends is None else self.ends
