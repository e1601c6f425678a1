"""A budget on a virtual clock, which tells whoever calls from another event loop."""

from __future__ import annotations

import asyncio
from typing import Any

from goedgepickt_async.budget import Lane, LocalBudget
from goedgepickt_async.budget.protocol import Grant
from goedgepickt_async.errors import ConfigurationError
from goedgepickt_async.testing.clock import VirtualClock
from goedgepickt_async.testing.virtual_loop import VirtualLoop

__all__ = ["ClockBudget"]


class ClockBudget(LocalBudget):
    """A budget that goes by a virtual clock.

    Beside such a clock the sandbox lives in the clock's event loop. A call from another one, as with `asyncio.run`,
    would find nobody at home and wait for its time-out, so it is refused at once.

    Args:
        clock: The clock.
        limit: Requests in a period.
        period: In seconds.
        options: Further ones of `LocalBudget`.
    """

    def __init__(self, clock: VirtualClock, limit: int, period: float, **options: Any) -> None:
        super().__init__(limit, period, clock=clock.monotonic_ns, **options)

    async def take(
        self, lane: Lane, *, max_lifetime: float, max_wait: float | None = None, place: int | None = None
    ) -> Grant:
        """Wait for the right to send one request; see `Budget.take`.

        Raises:
            ConfigurationError: It was called in an event loop that does not go by a virtual clock.
        """
        if not isinstance(asyncio.get_running_loop(), VirtualLoop):
            raise ConfigurationError(
                "this client goes by a virtual clock: run what uses it with goedgepickt_clock.run(…), "
                "not with asyncio.run or in an asynchronous fixture"
            )
        return await super().take(lane, max_lifetime=max_lifetime, max_wait=max_wait, place=place)
