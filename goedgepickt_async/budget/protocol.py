"""What the rest of the package expects of a budget: grants, outcomes, events, snapshots; and how `Retry-After` is read."""

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
    """A call queues for the rate limit.

    Attributes:
        lane: The lane it queues in.
        seconds: How long that will probably take.
        queued: How many queue with it.
    """

    lane: Lane
    seconds: float
    queued: int


@attrs.frozen(kw_only=True)
class PauseStarted:
    """The server's throttle refused a request in spite of the budget, so all requests pause.

    Attributes:
        seconds: For how long.
        throttled: How many such refusals there were so far.
    """

    seconds: float
    throttled: int


@attrs.frozen(kw_only=True)
class ForeignTrafficDetected:
    """The server counts requests from this IP that are not this budget's.

    Attributes:
        counted: How many requests the server has counted in its window.
        ours: How many of them can be this budget's, at most.
    """

    counted: int
    ours: int


BudgetEvent = WaitStarted | PauseStarted | ForeignTrafficDetected


class Listeners:
    """Bound methods that are called with each event, as long as their objects exist."""

    def __init__(self) -> None:
        self._methods: list[weakref.WeakMethod[Callable[[BudgetEvent], Any]]] = []

    def add(self, method: Callable[[BudgetEvent], Any]) -> None:
        """Call this bound method with each later event. It must be quick and must not raise."""
        alive = [(known, heard) for known in self._methods if (heard := known()) is not None]
        self._methods = [known for known, _ in alive]
        if any(getattr(heard, "__self__", None) is getattr(method, "__self__", self) for _, heard in alive):
            return  # clients that share hooks and a budget
        self._methods.append(weakref.WeakMethod(method))

    def tell(self, event: BudgetEvent) -> None:
        """Call all methods with the event, and log it."""
        match event:
            case PauseStarted(seconds=seconds, throttled=throttled):
                log_event("budget.paused", seconds=seconds, throttled=throttled)
            case ForeignTrafficDetected(counted=counted, ours=ours):
                log_event("budget.foreign_traffic", counted=counted, ours=ours)
            case WaitStarted():
                pass  # too frequent: the budget logs the long ones
        for known in list(self._methods):
            method = known()
            if method is not None:
                method(event)


@attrs.frozen
class Answered:
    """The response's headers arrived. `count` is the server's counter, if the response had one for this limit."""

    count: int | None = None


@attrs.frozen
class Lost:
    """The request was sent, and no response of the application arrived."""


@attrs.frozen
class NeverSent:
    """The connection sent no byte of the request."""


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
        limit: Requests that the server allows in a window.
        period: The window's length.
        used: Slots in use: in flight, or cooling.
        free: Requests that may go now.
        in_flight: Requests on the wire.
        next_free_in: Until time alone lets the next request go; 0 if one may go now, None if only an answer can tell.
        waiting: Calls in the queue, by lane.
        foreign_traffic: Whether the server counts requests that no sharer of this budget sent.
        paused_for: Until the end of the pause after a 429; 0 without a pause.
        throttled: 429s seen so far.
        share: How many of the limit this budget may use now; less while its store cannot be used. None: all.
        kind: `"local"`, `"host"` or `"redis"`; another implementation can use its own name.
        place: Where the state is stored: a file, or a Redis without its password; empty for memory.
        sharers: Processes that lately used the same state, this one included.
        problem: Why the store cannot be used at the moment; empty if it can.
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
        """For notebooks: a row for each value."""
        return html_table("BudgetSnapshot", attrs.asdict(self).items())


@runtime_checkable
class Budget(Protocol):
    """The requests that one IP may make."""

    @property
    def limit(self) -> int:
        """Requests that the server allows in a window: what its counter speaks of."""
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
        """Wait for the right to send one request.

        Args:
            lane: Which requests go first.
            max_lifetime: Seconds that the attempt lives at most.
            max_wait: Seconds that the caller will wait at most; None: as long as it takes.
            place: The place in the queue that an earlier grant of the same call had.
            key: The tenant: inside a lane, the calls of different keys take turns.

        Raises:
            BudgetExhaustedError: The wait would be longer than `max_wait`. It is raised before queueing if the wait is predictable.
            ConfigurationError: The store of the budget is set up wrong.
        """
        ...

    def settle(self, grant: Grant, outcome: Outcome) -> None:
        """Report the outcome of a request. A second report for the same grant is ignored."""
        ...

    def pause(self, retry_after: float | None) -> None:
        """Pause all requests after a 429 whose grant was settled already."""
        ...

    def predicted_wait(self, lane: Lane, *, ahead: int = 0, key: Hashable = None) -> float:
        """Seconds that a newcomer in this lane would wait, if all goes as usual.

        Args:
            lane: Which lane.
            ahead: How many will queue before it that do not yet.
            key: Its tenant, as in `take`.
        """
        ...

    def snapshot(self) -> BudgetSnapshot:
        """The state now."""
        ...

    def listen(self, method: Callable[[BudgetEvent], Any]) -> None:
        """Call a bound method for waits, pauses and foreign traffic, as long as its object exists."""
        ...


def parse_retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that `Retry-After` asks to wait, never negative; None if it is missing or invalid.

    Whole seconds and HTTP dates are the standard (RFC 9110, 10.2.3). Some servers send other forms, which are read, too:
    decimals (rounded up), units (`5s`, `2 minutes`), several values (the longest counts), ISO dates and Unix times.
    A date is compared with the response's `Date`, so the local clock has no effect.
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
"""A number of seconds from here on is a moment (2001 or later), not a wait of 31 years."""


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
