"""What the rest of the package expects of a budget, wherever its slots live."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import attrs

from goedgepickt_async.budget.events import BudgetEvent
from goedgepickt_async.budget.slots import Lane

__all__ = ["Answered", "Budget", "BudgetSnapshot", "Grant", "Lost", "NeverSent", "Outcome", "Refused"]


@attrs.frozen
class Answered:
    """The answer's headers came; `count` is the server's counter, where it spoke of our limit."""

    count: int | None = None


@attrs.frozen
class Lost:
    """It was sent, and no answer of the application came."""


@attrs.frozen
class NeverSent:
    """Not a byte of it left."""


@attrs.frozen
class Refused:
    """The throttle answered 429.

    Attributes:
        retry_after: Seconds that the server asked to wait; None if it did not say.
    """

    retry_after: float | None = None


Outcome = Answered | Lost | NeverSent | Refused


@attrs.frozen
class Grant:
    """The right to send one request, once.

    Attributes:
        slot: The slot it holds.
        place: The place in the queue; a request that the throttle refused keeps it.
        waited: Seconds from asking to granting.
    """

    slot: int
    place: int
    waited: float


@attrs.frozen(kw_only=True)
class BudgetSnapshot:
    """The state of a budget at one moment; durations in seconds.

    Attributes:
        limit: Requests in a window.
        period: The window's length.
        used: Slots in use: in flight, or cooling.
        free: Requests that may go now.
        in_flight: Requests on the wire.
        next_free_in: Until time alone lets the next request go; 0 if one may go now, None if only an answer can tell.
        waiting: Callers in the queue, by lane.
        strangers_seen: Whether the server counts requests that are not ours.
        paused_for: Until the end of the pause that a 429 ordered; 0 if there is none.
        throttled: 429s seen so far.
    """

    limit: int
    period: float
    used: int
    free: int
    in_flight: int
    next_free_in: float | None
    waiting: dict[Lane, int]
    strangers_seen: bool
    paused_for: float
    throttled: int


@runtime_checkable
class Budget(Protocol):
    """The requests that one IP may make."""

    @property
    def limit(self) -> int:
        """Requests in a window."""
        ...

    async def take(self, lane: Lane, *, life: float, max_wait: float | None = None, place: int | None = None) -> Grant:
        """Wait for the right to send one request.

        Args:
            lane: Who goes first.
            life: Seconds that the attempt lives at most.
            max_wait: Seconds that the caller will wait at most; None: as long as it takes.
            place: The place in the queue that an earlier grant of the same call had.

        Raises:
            BudgetExhaustedError: The wait would be longer than `max_wait`; before queueing, if that can be told.
        """
        ...

    def settle(self, grant: Grant, outcome: Outcome) -> None:
        """Say what came of it; each grant is settled once, a second time is ignored."""
        ...

    def pause(self, retry_after: float | None) -> None:
        """The throttle spoke in an answer that was settled already: pause everybody."""
        ...

    def predicted_wait(self, lane: Lane, *, ahead: int = 0) -> float:
        """Seconds that a newcomer in this lane would wait, if all goes as usual.

        Args:
            lane: Which lane.
            ahead: How many will queue before them who do not yet.
        """
        ...

    def snapshot(self) -> BudgetSnapshot:
        """The state now."""
        ...

    def listen(self, method: Callable[[BudgetEvent], Any]) -> None:
        """Tell a bound method of waits, pauses and strangers, for as long as its object lives."""
        ...
