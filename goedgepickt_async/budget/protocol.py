"""The interface of budgets: grants, outcomes, events, snapshots. And the parser for `Retry-After`."""

from __future__ import annotations

import math
import re
import weakref
from collections.abc import Callable, Hashable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Protocol, runtime_checkable

import attrs

from goedgepickt_async.budget.config import Lane
from goedgepickt_async.logs import log_event
from goedgepickt_async.text import html_table

__all__ = [
    "Answered",
    "Budget",
    "BudgetEvent",
    "BudgetSnapshot",
    "ForeignTrafficDetected",
    "Grant",
    "Listeners",
    "Lost",
    "NeverSent",
    "Outcome",
    "PauseStarted",
    "Refused",
    "WaitStarted",
    "parse_retry_after",
]


@attrs.frozen(kw_only=True)
class WaitStarted:
    """A call waits for the rate limit.

    Attributes:
        lane: The lane of the call.
        seconds: The expected wait in seconds.
        queued: The number of calls in the queue.
    """

    lane: Lane
    seconds: float
    queued: int


@attrs.frozen(kw_only=True)
class PauseStarted:
    """The server sent a 429 in spite of the budget, so all requests pause.

    Attributes:
        seconds: The length of the pause in seconds.
        throttled: The number of 429 responses so far.
    """

    seconds: float
    throttled: int


@attrs.frozen(kw_only=True)
class ForeignTrafficDetected:
    """The server counts requests from this IP address that are not from this budget.

    Attributes:
        counted: The number of requests that the server has counted in its window.
        ours: The largest number of them that can be from this budget.
    """

    counted: int
    ours: int


BudgetEvent = WaitStarted | PauseStarted | ForeignTrafficDetected


class Listeners:
    """Bound methods that are called with each event, as long as their objects exist."""

    def __init__(self) -> None:
        self._methods: list[weakref.WeakMethod[Callable[[BudgetEvent], Any]]] = []

    def add(self, method: Callable[[BudgetEvent], Any]) -> None:
        """Call a bound method with each later event. The method must be quick and must not raise."""
        alive = [(known, heard) for known in self._methods if (heard := known()) is not None]
        self._methods = [known for known, _ in alive]
        if any(getattr(heard, "__self__", None) is getattr(method, "__self__", self) for _, heard in alive):
            return  # several clients can share hooks and a budget
        self._methods.append(weakref.WeakMethod(method))

    def tell(self, event: BudgetEvent) -> None:
        """Log the event, and call all methods with it."""
        match event:
            case PauseStarted(seconds=seconds, throttled=throttled):
                log_event("budget.paused", seconds=seconds, throttled=throttled)
            case ForeignTrafficDetected(counted=counted, ours=ours):
                log_event("budget.foreign_traffic", counted=counted, ours=ours)
            case WaitStarted():
                pass  # too frequent; the budget logs only long waits
        for known in list(self._methods):
            method = known()
            if method is not None:
                method(event)


@attrs.frozen
class Answered:
    """The headers of the response arrived. `count` is the server's counter, if the response had one for this limit."""

    count: int | None = None


@attrs.frozen
class Lost:
    """The request was sent, but no response of the application arrived."""


@attrs.frozen
class NeverSent:
    """No byte of the request was sent."""


@attrs.frozen
class Refused:
    """The rate limit refused the request with status 429.

    Attributes:
        retry_after: Seconds to wait, from `Retry-After`; None without that header.
    """

    retry_after: float | None = None


Outcome = Answered | Lost | NeverSent | Refused


@attrs.frozen
class Grant:
    """The permission to send one request.

    Attributes:
        slot: The id of the slot.
        place: The place in the queue; a request that got a 429 keeps it.
        waited: The seconds that the call waited for it.
    """

    slot: int
    place: int
    waited: float


@attrs.frozen(kw_only=True)
class BudgetSnapshot:
    """The state of a budget at one moment; durations in seconds.

    Attributes:
        limit: The number of requests that the server allows in a window.
        period: The length of the window.
        used: The number of used slots: in flight, or not yet free again after the response.
        free: The number of requests that may be sent now.
        in_flight: The number of requests in flight.
        next_free_in: The time until the next request may be sent. 0 if it may be sent now, None if that depends on a
            response.
        waiting: The number of calls in the queue, by lane.
        foreign_traffic: Whether the server counts requests of other programs.
        paused_for: The time until the end of the pause after a 429; 0 without a pause.
        throttled: The number of 429 responses so far.
        share: The number of requests in a window that this budget may use now. It is lower while the store cannot be
            used. None: all.
        kind: `"local"`, `"host"` or `"redis"`; another implementation can use its own name.
        place: The place of the state: a file, or a Redis URL without password; empty for memory.
        sharers: The number of processes that recently used the same state, including this one.
        problem: The reason why the store cannot be used at the moment; empty if it can.
    """

    limit: int
    period: float
    used: int
    free: int
    in_flight: int
    next_free_in: float | None
    waiting: dict[Lane, int]
    foreign_traffic: bool
    paused_for: float
    throttled: int
    share: int | None = None
    kind: str = ""
    place: str = ""
    sharers: int = 1
    problem: str = ""

    def _repr_html_(self) -> str:
        """The snapshot as a table for notebooks."""
        return html_table("BudgetSnapshot", attrs.asdict(self).items())


@runtime_checkable
class Budget(Protocol):
    """A budget keeps the requests of an IP address under the rate limit."""

    @property
    def limit(self) -> int:
        """The number of requests that the server allows in a window, from which its counter counts down."""
        ...

    async def take(
        self,
        lane: Lane,
        *,
        max_lifetime: float,
        max_wait: float | None = None,
        place: int | None = None,
        key: Hashable = None,
    ) -> Grant:
        """Wait for a slot to send one request.

        Args:
            lane: The lane of the request.
            max_lifetime: The longest time of the attempt in seconds.
            max_wait: The longest wait in seconds; None for no limit.
            place: The place in the queue from an earlier grant of the same call.
            key: The key of the tenant: within a lane, the calls of different keys take turns.

        Raises:
            BudgetExhaustedError: The wait would be longer than `max_wait`. It is raised immediately if the wait can be
                predicted.
            ConfigurationError: A setting of the budget's store is wrong.
        """
        ...

    def settle(self, grant: Grant, outcome: Outcome) -> None:
        """Report the outcome of a request. A second report for the same grant is ignored."""
        ...

    def pause(self, retry_after: float | None) -> None:
        """Pause all requests after a 429 whose grant was already settled."""
        ...

    def predicted_wait(self, lane: Lane, *, ahead: int = 0, key: Hashable = None) -> float:
        """Return the expected wait in seconds for a new call in this lane.

        Args:
            lane: The lane of the new call.
            ahead: The number of calls that will queue before it.
            key: The key of the tenant, as in `take`.
        """
        ...

    def snapshot(self) -> BudgetSnapshot:
        """Return the present state."""
        ...

    def listen(self, method: Callable[[BudgetEvent], Any]) -> None:
        """Call a bound method for each wait, pause and sight of foreign traffic, as long as its object exists."""
        ...


def parse_retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the wait in seconds from `Retry-After`, at least 0; None if the header is missing or not valid.

    The standard has whole seconds and HTTP dates (RFC 9110, 10.2.3). Other forms of servers are read too: decimals
    (rounded up), units (`5s`, `2 minutes`), several values (the longest is used), ISO dates and Unix times. A date is
    compared with the response's `Date`, so the local clock has no effect.
    """
    text = headers.get("Retry-After")
    if text is None or len(text) > _LONGEST_HEADER:
        return None
    waits = [_seconds(part, headers) for part in (text, *(text.split(",") if "," in text else ()))]
    return max((wait for wait in waits if wait is not None), default=None)


_LONGEST_HEADER = 100
_DURATION = re.compile(r"\s*([+-]?[0-9]{1,12}(?:\.[0-9]{0,12})?)\s*([a-z]*)\s*", re.ASCII | re.IGNORECASE)
_UNITS = {"": 1.0, "ms": 0.001} | dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0)
_UNITS |= dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60.0)
_UNITS |= dict.fromkeys(("h", "hr", "hour", "hours"), 3600.0)
_FIRST_UNIX_TIME = 1_000_000_000
"""From this number on, seconds are a Unix time (2001 or later), not a wait of 31 years."""


def _seconds(text: str, headers: Mapping[str, str]) -> float | None:
    number = _DURATION.fullmatch(text)
    if number is not None:
        factor = _UNITS.get(number[2].lower())
        if factor is None:
            return None
        value = float(number[1]) * factor
        if value < _FIRST_UNIX_TIME:
            return float(max(0, math.ceil(value)))
        until: datetime | None = datetime.fromtimestamp(min(value, 99_999_999_999), UTC)
    else:
        until = _date(text.strip())
    if until is None:
        return None
    now = _date(headers.get("Date")) or datetime.now(UTC)
    return max(0.0, (until - now).total_seconds())


def _date(text: str | None) -> datetime | None:
    if not text or len(text) > _LONGEST_HEADER:
        return None
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            moment = read(text)
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
    return None
