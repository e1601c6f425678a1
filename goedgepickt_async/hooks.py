"""Callables that a user may hang into a client, to see what it does. They see no key, no body and no personal data."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import Any

import attrs

from goedgepickt_async.budget.events import BudgetEvent, PauseSeen, StrangersSeen, WaitSeen
from goedgepickt_async.errors import ConfigurationError, Evidence

__all__ = ["AnswerSeen", "Hooks", "PauseSeen", "RetrySeen", "StrangersSeen", "WaitSeen"]

_log = logging.getLogger("goedgepickt_async")


@attrs.frozen(kw_only=True)
class AnswerSeen:
    """An answer came, of whatever status.

    Attributes:
        method: The HTTP method.
        path: Below the base URL, without the query.
        status: The HTTP status.
        attempts: Requests on the wire so far in this call.
        waited: Seconds that this attempt waited for the budget.
    """

    method: str
    path: str
    status: int
    attempts: int
    waited: float


@attrs.frozen(kw_only=True)
class RetrySeen:
    """A call will be sent again.

    Attributes:
        method: The HTTP method.
        path: Below the base URL, without the query.
        evidence: What is known of the attempt that failed.
        reason: What happened.
        pause: Seconds until it queues again.
        attempts: Requests on the wire so far in this call.
    """

    method: str
    path: str
    evidence: Evidence
    reason: str
    pause: float
    attempts: int


def _is_plain(_hooks: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None and (not callable(value) or inspect.iscoroutinefunction(value)):
        raise ConfigurationError(f"the hook {attribute.name} must be a plain function: nobody would await it")


@attrs.frozen(kw_only=True)
class Hooks:
    """What to call when: plain functions, quick ones; one that raises is logged and otherwise ignored.

    Attributes:
        answer: On every answer.
        retry: Before a call is sent again.
        throttled: On every 429, which ought never to come; gets the `AnswerSeen`.
        wait: When a call queues for the rate limit, of whichever client shares the budget, like the following.
        pause: When a 429 makes everybody pause.
        strangers: When the server counts requests of somebody else on this IP, once until they are gone.
    """

    answer: Callable[[AnswerSeen], object] | None = attrs.field(default=None, validator=_is_plain)
    retry: Callable[[RetrySeen], object] | None = attrs.field(default=None, validator=_is_plain)
    throttled: Callable[[AnswerSeen], object] | None = attrs.field(default=None, validator=_is_plain)
    wait: Callable[[WaitSeen], object] | None = attrs.field(default=None, validator=_is_plain)
    pause: Callable[[PauseSeen], object] | None = attrs.field(default=None, validator=_is_plain)
    strangers: Callable[[StrangersSeen], object] | None = attrs.field(default=None, validator=_is_plain)

    def hear(self, event: BudgetEvent) -> None:
        """Pass on what a budget tells."""
        match event:
            case WaitSeen():
                call_hook(self.wait, event)
            case PauseSeen():
                call_hook(self.pause, event)
            case StrangersSeen():
                call_hook(self.strangers, event)


def call_hook(hook: Callable[[Any], object] | None, event: object) -> None:
    """Call it, if there is one; what it raises is its own affair."""
    if hook is None:
        return
    try:
        hook(event)
    except Exception:  # noqa: BLE001  a user's code may raise anything
        _log.exception("a hook failed on %s", type(event).__name__)
