"""Callables that a user may hang into a client, to see what it does. They see no key, no body and no personal data."""

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
from goedgepickt_async.drift import DriftDetected
from goedgepickt_async.errors import ConfigurationError, Evidence
from goedgepickt_async.logs import log_event
from goedgepickt_async.text import safe_repr

__all__ = [
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
class CallStarted:
    """A call starts. It always ends with a `CallFinished` of the same `call`.

    Attributes:
        call: The number of the call in this process.
        method: The HTTP method.
        path: Below the base URL, without the query.
        route: The path with `{id}` in the place of each id.
        lane: Where it queues.
        address: The server's host.
        port: The server's port.
    """

    call: int
    method: str
    path: str
    route: str
    lane: Lane
    address: str
    port: int


@attrs.frozen(kw_only=True)
class RequestSent:
    """A request is about to leave: the rate limit lets it go. A call may take several.

    Attributes:
        call: The call's number.
        method: The HTTP method.
        path: Below the base URL, without the query.
        route: The path with `{id}` in the place of each id.
        attempt: Which request of the call, from 1.
        waited: Seconds that it waited for the rate limit.
    """

    call: int
    method: str
    path: str
    route: str
    attempt: int
    waited: float


@attrs.frozen(kw_only=True)
class ResponseReceived:
    """A response came, with any status.

    Attributes:
        call: The call's number.
        method: The HTTP method.
        path: Below the base URL, without the query.
        route: The path with `{id}` in the place of each id.
        status: The HTTP status.
        attempts: Requests sent so far in this call.
        waited: Seconds that this attempt waited for the budget.
        seconds: From when the request could leave to the answer's last byte.
    """

    call: int
    method: str
    path: str
    route: str
    status: int
    attempts: int
    waited: float
    seconds: float


@attrs.frozen(kw_only=True)
class RequestFailed:
    """A request that could leave got no whole answer.

    Attributes:
        call: The call's number.
        method: The HTTP method.
        path: Below the base URL, without the query.
        route: The path with `{id}` in the place of each id.
        error: The error's type, such as `"ConnectionLostError"`; `"CancelledError"` after a cancellation.
        evidence: What is known about the request.
        attempts: Requests sent so far in this call.
        seconds: From the request's release until it was given up.
    """

    call: int
    method: str
    path: str
    route: str
    error: str
    evidence: Evidence
    attempts: int
    seconds: float


@attrs.frozen(kw_only=True)
class RetryScheduled:
    """A call will be sent again.

    Attributes:
        call: The call's number.
        method: The HTTP method.
        path: Below the base URL, without the query.
        route: The path with `{id}` in the place of each id.
        error: The type of the error that this would have been, such as `"ServerError"`.
        evidence: What is known about the attempt that failed.
        reason: What happened, in words of ours.
        status: The HTTP status of the response; None without a response.
        pause: Seconds until it queues again.
        attempts: Requests sent so far in this call.
    """

    call: int
    method: str
    path: str
    route: str
    error: str
    evidence: Evidence
    reason: str
    status: int | None
    pause: float
    attempts: int


@attrs.frozen(kw_only=True)
class CallFinished:
    """A call ended.

    Attributes:
        call: The call's number.
        method: The HTTP method.
        path: Below the base URL, without the query.
        route: The path with `{id}` in the place of each id.
        error: The type of the error that it raised; `"CancelledError"` if it was cancelled; None if it succeeded.
        evidence: What is known about the request, if the call failed.
        status: The HTTP status of the last response; None without a response.
        attempts: Requests sent for it.
        waited: Seconds of all waits for the rate limit.
        seconds: From its start, with waits and pauses.
    """

    call: int
    method: str
    path: str
    route: str
    error: str | None
    evidence: Evidence | None
    status: int | None
    attempts: int
    waited: float
    seconds: float


@attrs.frozen(kw_only=True)
class PageRead:
    """A page of a list was read, and its items are handed out.

    Attributes:
        path: Of the list.
        route: The path with `{id}` in the place of each id.
        number: Which page of this reading, from 1.
        rows: How many rows the server sent.
        new: How many of them become items.
        known: How many had been read before, as pages overlap; they are left out.
        requests: The number of requests for it; more than 1 if the overlap with the last page had to be read again.
        unreadable: The number of new rows that cannot be read and were set aside (`on_unreadable=`).
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
    """An item of a bulk job is done with.

    Attributes:
        job: `"map"` for `gg.bulk.map`; `"products"`, `"stock"` or `"orders"` where a plan is applied.
        index: The item's place in the input, from 0.
        error: The type of the error that it ended in; None if it succeeded.
        seconds: From its start, with waits.
    """

    job: str
    index: int
    error: str | None
    seconds: float


def _is_plain(_hooks: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None and (not callable(value) or inspect.iscoroutinefunction(value)):
        raise ConfigurationError(f"the hook {attribute.name} must be a plain function, not async")


@safe_repr
@attrs.frozen(kw_only=True)
class Hooks:
    """What to call when: plain functions, quick ones; one that raises is logged and otherwise ignored.

    Those from `call` to `done` are called in the task that makes the call, so context variables are the caller's.

    Attributes:
        call_started: When a call begins.
        request: Before each request, when the rate limit lets it go.
        response: On every answer.
        request_failed: When a request that could leave got no whole answer.
        throttled: At every 429, which should never come; gets the `ResponseReceived`.
        retry: Before a call is sent again.
        call_failed: When a call raises an error; gets the `CallFinished`.
        call_finished: When a call ends, also by an error or a cancellation.
        page: When a page of a list was read.
        item: When an item of a bulk job, or of a plan that is applied, is done with.
        drift: When GoedGepickt sends a field, a value or an event that this version does not know; once for each thing.
            For earlier things, it is called when the first client with these hooks is created.
        wait: When a call of any client of the budget queues for the rate limit.
        pause: When all calls pause after a 429.
        foreign_traffic: When the server counts requests of other programs on this IP address; once until they stop.
    """

    call_started: Callable[[CallStarted], object] | None = attrs.field(default=None, validator=_is_plain)
    request: Callable[[RequestSent], object] | None = attrs.field(default=None, validator=_is_plain)
    response: Callable[[ResponseReceived], object] | None = attrs.field(default=None, validator=_is_plain)
    request_failed: Callable[[RequestFailed], object] | None = attrs.field(default=None, validator=_is_plain)
    throttled: Callable[[ResponseReceived], object] | None = attrs.field(default=None, validator=_is_plain)
    retry: Callable[[RetryScheduled], object] | None = attrs.field(default=None, validator=_is_plain)
    call_failed: Callable[[CallFinished], object] | None = attrs.field(default=None, validator=_is_plain)
    call_finished: Callable[[CallFinished], object] | None = attrs.field(default=None, validator=_is_plain)
    page: Callable[[PageRead], object] | None = attrs.field(default=None, validator=_is_plain)
    item: Callable[[ItemFinished], object] | None = attrs.field(default=None, validator=_is_plain)
    drift: Callable[[DriftDetected], object] | None = attrs.field(default=None, validator=_is_plain)
    wait: Callable[[WaitStarted], object] | None = attrs.field(default=None, validator=_is_plain)
    pause: Callable[[PauseStarted], object] | None = attrs.field(default=None, validator=_is_plain)
    foreign_traffic: Callable[[ForeignTrafficDetected], object] | None = attrs.field(default=None, validator=_is_plain)

    @classmethod
    def combined(cls, *several: Hooks) -> Hooks:
        """Hooks that call all of these, in this order; one that raises keeps no other from being called.

        Combine once, and give the result to all clients. Each `Hooks` object gets the events of a budget once, and two
        combinations of the same hooks are two objects.

        Args:
            several: For example your hooks and the hooks of `contrib.opentelemetry`.
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
        """Pass on what was noticed while reading."""
        call_hook(self.drift, seen)


def call_hook(hook: Callable[[Any], object] | None, event: object) -> None:
    """Call it, if there is one; what it raises is its own affair."""
    if hook is None:
        return
    handled = sys.exception()
    try:
        hook(event)
    except (Exception, CancelledError) as error:  # noqa: BLE001  a user's code may raise anything; nobody cancels here
        _part(error, handled)
        log_event("hook.failed", exc_info=error, on=type(event).__name__)


def _part(error: BaseException, handled: BaseException | None) -> None:
    """A hook's error is logged without the call's, during which it was raised: that one may name an order."""
    link: BaseException | None = error
    while link is not None and handled is not None:
        if link.__context__ is handled:
            link.__context__ = None
        link = link.__context__


def _call_all(hooks: list[Callable[[Any], object]], event: object) -> None:
    first, *others = hooks
    try:
        call_hook(first, event)
    finally:  # also where it ends the program: the others may have something to close
        if others:
            _call_all(others, event)
