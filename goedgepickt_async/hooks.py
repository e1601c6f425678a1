"""Hooks: functions that a client calls when something happens. They get no key, no body and no personal data."""

from __future__ import annotations

import inspect
import sys
from asyncio import CancelledError
from collections.abc import Callable
from functools import partial
from typing import Any

import attrs

from goedgepickt_async.budget.protocol import BudgetEvent, ForeignTrafficDetected, PauseStarted, WaitStarted
from goedgepickt_async.budget.slots import Lane
from goedgepickt_async.errors import ConfigurationError, Evidence
from goedgepickt_async.logs import DriftDetected, log_event
from goedgepickt_async.text import safe_repr

__all__ = [
    "CallEvent",
    "CallFinished",
    "CallStarted",
    "DriftDetected",
    "ForeignTrafficDetected",
    "Hooks",
    "ItemFinished",
    "PageRead",
    "PauseStarted",
    "RequestFailed",
    "RequestSent",
    "ResponseReceived",
    "RetryScheduled",
    "WaitStarted",
]


@attrs.frozen(kw_only=True)
class CallEvent:
    """The base class of the events of one call.

    Attributes:
        call: The number of the call in this process.
        method: The HTTP method.
        path: The path below the base URL, without the query.
        route: The path with `{id}` in the place of each id.
    """

    call: int
    method: str
    path: str
    route: str


@attrs.frozen(kw_only=True)
class CallStarted(CallEvent):
    """A call starts. It always ends with a `CallFinished` of the same `call`.

    Attributes:
        lane: The lane of the call.
        address: The server's host.
        port: The server's port.
    """

    lane: Lane
    address: str
    port: int


@attrs.frozen(kw_only=True)
class RequestSent(CallEvent):
    """A request has its slot and is about to be sent. A call can send several requests.

    Attributes:
        attempt: The number of the request within the call, from 1.
        waited: The seconds that it waited for the rate limit.
    """

    attempt: int
    waited: float


@attrs.frozen(kw_only=True)
class ResponseReceived(CallEvent):
    """A response arrived, with any status.

    Attributes:
        status: The HTTP status.
        attempts: The number of requests sent so far in this call.
        waited: The seconds that this attempt waited for the rate limit.
        seconds: The seconds from the slot to the last byte of the response.
    """

    status: int
    attempts: int
    waited: float
    seconds: float


@attrs.frozen(kw_only=True)
class RequestFailed(CallEvent):
    """A request had its slot, and no complete response arrived.

    Attributes:
        error: The error's type, such as `"ConnectionLostError"`; `"CancelledError"` after a cancellation.
        evidence: What is known about the request.
        attempts: The number of requests sent so far in this call.
        seconds: The seconds from the slot to the failure.
    """

    error: str
    evidence: Evidence
    attempts: int
    seconds: float


@attrs.frozen(kw_only=True)
class RetryScheduled(CallEvent):
    """A call failed and will be retried.

    Attributes:
        error: The type of the error without the retry, such as `"ServerError"`.
        evidence: What is known about the attempt that failed.
        reason: What happened, without text of the response.
        status: The HTTP status of the response; None without a response.
        pause: The seconds until the call queues again.
        attempts: The number of requests sent so far in this call.
    """

    error: str
    evidence: Evidence
    reason: str
    status: int | None
    pause: float
    attempts: int


@attrs.frozen(kw_only=True)
class CallFinished(CallEvent):
    """A call ended.

    Attributes:
        error: The type of the error that it raised; `"CancelledError"` if it was cancelled; None if it succeeded.
        evidence: What is known about the effect of the request, if the call failed.
        status: The HTTP status of the last response; None without a response.
        attempts: The number of requests sent for the call.
        waited: The seconds of all waits for the rate limit.
        seconds: From its start, with waits and pauses.
    """

    error: str | None
    evidence: Evidence | None
    status: int | None
    attempts: int
    waited: float
    seconds: float


@attrs.frozen(kw_only=True)
class PageRead:
    """A page of a list was read.

    Attributes:
        path: The path of the list below the base URL, without the query.
        route: The path with `{id}` in the place of each id.
        number: The number of the page in this reading, from 1.
        rows: The number of rows that the server sent.
        new: The number of rows that become items.
        known: The number of rows that were on an earlier page, because pages overlap; they are left out.
        requests: The number of requests for the page; more than 1 if the overlap with the last page was read again.
        unreadable: The number of new rows that cannot be read and were skipped (`on_unreadable=`).
    """

    path: str
    route: str
    number: int
    rows: int
    new: int
    known: int
    requests: int
    unreadable: int = 0


@attrs.frozen(kw_only=True)
class ItemFinished:
    """An item of a bulk job is finished.

    Attributes:
        job: `"map"` for `gg.bulk.map`; `"products"`, `"stock"` or `"orders"` for a plan.
        index: The item's place in the input, from 0.
        error: The type of its error; None if it succeeded.
        seconds: The seconds from its start to its end, with waits.
    """

    job: str
    index: int
    error: str | None
    seconds: float


@safe_repr
@attrs.frozen(kw_only=True)
class Hooks:
    """The functions that a client calls for its events.

    They must be quick and not async. If one raises, this is logged and otherwise ignored.

    The functions from `call` to `done` run in the task that makes the call, with its context variables.

    Attributes:
        call_started: Called when a call starts.
        request: Called before each request is sent, when it has its slot.
        response: Called for each response.
        request_failed: Called when a request got no complete response.
        throttled: Called for each 429 with the `ResponseReceived`. A 429 should never happen.
        retry: Called before a call is retried.
        call_failed: Called with the `CallFinished` when a call raises an error.
        call_finished: Called when a call ends, also by an error or a cancellation.
        page: Called when a page of a list was read.
        item: Called when an item of a bulk job or of a plan is finished.
        drift: Called once for each field, value or event that this version does not know. The first client with these
            hooks calls it for earlier findings too.
        wait: Called when a call of any client of the budget waits for the rate limit.
        pause: Called when all calls pause after a 429.
        foreign_traffic: Called when the server counts requests of other programs on this IP address; once until they
            stop.
    """

    call_started: Callable[[CallStarted], object] | None = None
    request: Callable[[RequestSent], object] | None = None
    response: Callable[[ResponseReceived], object] | None = None
    request_failed: Callable[[RequestFailed], object] | None = None
    throttled: Callable[[ResponseReceived], object] | None = None
    retry: Callable[[RetryScheduled], object] | None = None
    call_failed: Callable[[CallFinished], object] | None = None
    call_finished: Callable[[CallFinished], object] | None = None
    page: Callable[[PageRead], object] | None = None
    item: Callable[[ItemFinished], object] | None = None
    drift: Callable[[DriftDetected], object] | None = None
    wait: Callable[[WaitStarted], object] | None = None
    pause: Callable[[PauseStarted], object] | None = None
    foreign_traffic: Callable[[ForeignTrafficDetected], object] | None = None

    def __attrs_post_init__(self) -> None:
        for name in attrs.fields_dict(type(self)):
            hook = getattr(self, name)
            if hook is not None and (not callable(hook) or inspect.iscoroutinefunction(hook)):
                raise ConfigurationError(f"the hook {name} must be a plain function, not async")

    @classmethod
    def combined(cls, *several: Hooks) -> Hooks:
        """Return hooks that call all the given ones, in this order. If one raises, the others are called anyway.

        Combine once, and pass the result to all clients. Each `Hooks` object gets an event of a budget once, and two
        combinations are two objects.

        Args:
            several: The hooks to combine, such as your own hooks and the hooks of `contrib.opentelemetry`.
        """
        made = {}
        for field in attrs.fields(cls):
            present = [hook for hooks in several if (hook := getattr(hooks, field.name)) is not None]
            made[field.name] = partial(_call_all, present) if len(present) > 1 else next(iter(present), None)
        return cls(**made)

    def dispatch(self, event: BudgetEvent) -> None:
        """Pass on an event of a budget."""
        match event:
            case WaitStarted():
                call_hook(self.wait, event)
            case PauseStarted():
                call_hook(self.pause, event)
            case ForeignTrafficDetected():
                call_hook(self.foreign_traffic, event)

    def on_drift(self, seen: DriftDetected) -> None:
        """Pass on a drift event."""
        call_hook(self.drift, seen)


def call_hook(hook: Callable[[Any], object] | None, event: object) -> None:
    """Call the function, if there is one; log its errors."""
    if hook is None:
        return
    handled = sys.exception()
    try:
        hook(event)
    except (Exception, CancelledError) as error:  # noqa: BLE001  a user's code may raise anything; nobody cancels here
        _part(error, handled)
        log_event("hook.failed", exc_info=error, on=type(event).__name__)


def _part(error: BaseException, handled: BaseException | None) -> None:
    """The error of a hook is logged without the call's error as its context, because that error may name an order."""
    link: BaseException | None = error
    while link is not None and handled is not None:
        if link.__context__ is handled:
            link.__context__ = None
        link = link.__context__


def _call_all(hooks: list[Callable[[Any], object]], event: object) -> None:
    first, *others = hooks
    try:
        call_hook(first, event)
    finally:  # also if it ends the program: other hooks may have something to close
        if others:
            _call_all(others, event)
