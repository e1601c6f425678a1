"""The log records of this package, and reports of drift: each record has a stable event name and fields.

They are made with the standard library's `logging`, below the logger `goedgepickt_async`. Each record carries, as extra
attributes, `gg_event` (the name) and a `gg_…` attribute for each of its fields. The names and fields are part of the
public interface; the wording of the messages is not. No record holds a key, a body, a query, or a path with ids: it has a
route such as `/orders/{id}`.

Drift is what the API sends and this version does not know. Each field or value is reported once per process.
"""

from __future__ import annotations

import enum
import functools
import logging
import os
import re
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal

import attrs

__all__ = [
    "EVENTS",
    "LOGGERS",
    "DriftDetected",
    "LogEvent",
    "log_event",
    "report_drift",
    "report_misfit",
    "report_unknown",
    "subscribe_to_drift",
]

_TOP: Final = "goedgepickt_async"

logging.getLogger(_TOP).addHandler(logging.NullHandler())  # the application decides where records are written


@attrs.frozen
class LogEvent:
    """One kind of log record.

    Attributes:
        name: The value of `gg_event`.
        logger: The part of the logger's name below `goedgepickt_async`; empty for `goedgepickt_async` itself.
        level: The level, a constant of `logging`.
        message: The text of the message, with `%(field)s` for each field.
        fields: The names of its fields; each is an attribute `gg_…` of the record.
    """

    name: str
    logger: str
    level: int
    message: str
    fields: tuple[str, ...]


_CALL: Final = ("call", "method", "route")

EVENTS: Final[Mapping[str, LogEvent]] = {
    event.name: event
    for event in (
        LogEvent(
            "request.sent",
            "transport",
            logging.DEBUG,
            "%(method)s %(route)s: request %(attempt)d, after %(waited).3f s for the rate limit",
            (*_CALL, "query", "lane", "attempt", "waited"),
        ),
        LogEvent(
            "response.received",
            "transport",
            logging.DEBUG,
            "%(method)s %(route)s: %(status)d in %(seconds).3f s",
            (*_CALL, "status", "attempts", "seconds"),
        ),
        LogEvent(
            "request.failed",
            "transport",
            logging.DEBUG,
            "%(method)s %(route)s: no response (%(error)s, %(evidence)s) in %(seconds).3f s",
            (*_CALL, "error", "evidence", "attempts", "seconds"),
        ),
        LogEvent(
            "response.throttled",
            "transport",
            logging.WARNING,
            "rate limit exceeded: %(method)s %(route)s got HTTP status 429, although the budget allowed the request",
            (*_CALL, "attempts"),
        ),
        LogEvent(
            "retry.scheduled",
            "transport",
            logging.INFO,
            "retrying %(method)s %(route)s in %(pause).1f s, after %(error)s (%(evidence)s)",
            (*_CALL, "error", "evidence", "status", "attempts", "pause"),
        ),
        LogEvent(
            "retry.exhausted",
            "transport",
            logging.WARNING,
            "not retrying %(method)s %(route)s: too many calls fail",
            _CALL,
        ),
        LogEvent(
            "call.finished",
            "transport",
            logging.DEBUG,
            "%(method)s %(route)s: done with %(attempts)d requests in %(seconds).3f s",
            (*_CALL, "attempts", "seconds"),
        ),
        LogEvent(
            "call.failed",
            "transport",
            logging.DEBUG,
            "%(method)s %(route)s: failed with %(error)s (%(evidence)s) in %(seconds).3f s",
            (*_CALL, "error", "evidence", "status", "attempts", "seconds"),
        ),
        LogEvent(
            "write.found",
            "lookup",
            logging.INFO,
            "%(method)s %(route)s: the response was lost, and a lookup found the created object",
            ("method", "route"),
        ),
        LogEvent(
            "budget.waited",
            "budget",
            logging.INFO,
            "waiting %(seconds).0f s for the rate limit, %(queued)d requests in the queue",
            ("seconds", "queued"),
        ),
        LogEvent(
            "budget.paused",
            "budget",
            logging.INFO,
            "429 received: all calls pause for %(seconds).0f s",
            ("seconds", "throttled"),
        ),
        LogEvent(
            "budget.foreign_traffic",
            "budget",
            logging.INFO,
            "the server counts %(counted)d requests of this IP address; at most %(ours)d are from this budget",
            ("counted", "ours"),
        ),
        LogEvent(
            "budget.degraded",
            "budget",
            logging.WARNING,
            "%(why)s; until this is fixed, this process uses %(share)d of the %(limit)d requests per %(period)g s",
            ("why", "share", "limit", "period"),
        ),
        LogEvent("budget.restored", "budget", logging.INFO, "%(what)s", ("what",)),
        LogEvent("budget.moved", "budget", logging.WARNING, "%(why)s; the budget's file is %(path)s", ("why", "path")),
        LogEvent("budget.reset", "budget", logging.WARNING, "%(why)s", ("why",)),
        LogEvent(
            "page.read",
            "paging",
            logging.DEBUG,
            "%(route)s: page %(number)d, %(new)d new of %(rows)d rows",
            ("route", "number", "rows", "new", "known", "requests"),
        ),
        LogEvent(
            "page.unreadable",
            "paging",
            logging.WARNING,
            "%(route)s: %(rows)d rows of page %(number)d cannot be read and are skipped",
            ("route", "number", "rows"),
        ),
        LogEvent(
            "page.size_fixed",
            "paging",
            logging.INFO,
            "the server ignores the page size and always sends %(rows)d rows. Pages cannot overlap, so each is read "
            "twice",
            ("rows",),
        ),
        LogEvent(
            "page.window",
            "paging",
            logging.INFO,
            "after %(rows)d rows: continuing by date, from %(since)s",
            ("rows", "since"),
        ),
        LogEvent(
            "item.failed",
            "bulk",
            logging.DEBUG,
            "an item of %(job)s failed with %(error)s in %(seconds).3f s",
            ("job", "index", "error", "seconds"),
        ),
        LogEvent(
            "drift.detected",
            "drift",
            logging.WARNING,
            "GoedGepickt sent something that this version does not know: %(kind)s %(model)s %(field)s %(value)s",
            ("kind", "model", "field", "value"),
        ),
        LogEvent("hook.failed", "", logging.ERROR, "a hook raised an exception on %(on)s", ("on",)),
        LogEvent(
            "webhook.rejected",
            "webhooks",
            logging.ERROR,
            "%(since)s refused with %(status)d: %(why)s (logged at most once per minute)",
            ("since", "count", "status", "why"),
        ),
        LogEvent(
            "webhook.retried",
            "webhooks",
            logging.WARNING,
            "the handler %(handler)s failed (attempt %(attempt)d: %(error)s); next attempt in %(pause).1f s",
            ("handler", "attempt", "error", "pause"),
        ),
        LogEvent(
            "webhook.given_up",
            "webhooks",
            logging.ERROR,
            "the handler %(handler)s failed %(attempts)d times and is not called again for this event",
            ("handler", "attempts"),
        ),
        LogEvent("webhook.error", "webhooks", logging.ERROR, "%(why)s", ("why",)),
        LogEvent(
            "webhook.unhandled",
            "webhooks",
            logging.WARNING,
            "%(count)d deliveries in %(inbox)s wait for the handler %(handler)s, which is not registered in this "
            "process",
            ("count", "inbox", "handler"),
        ),
    )
}
"""All kinds of log records, by name."""

LOGGERS: Final = {
    event.name: logging.getLogger(f"{_TOP}.{event.logger}" if event.logger else _TOP) for event in EVENTS.values()
}
"""The logger of each event, to check whether it is enabled before a field is computed."""


def log_event(name: str, *, exc_info: BaseException | bool | None = None, **fields: object) -> None:
    """Log an event. If its logger is disabled, this costs one dict lookup and formats nothing.

    Args:
        name: A name from `EVENTS`.
        exc_info: The exception to show, as for `logging`.
        fields: The values of all its fields.
    """
    event, logger = EVENTS[name], LOGGERS[name]
    if not logger.isEnabledFor(event.level):
        return
    allowed = {field: fields[field] for field in event.fields}
    allowed |= {field: value.value for field, value in allowed.items() if isinstance(value, enum.Enum)}
    extra = {"gg_event": name} | {f"gg_{field}": value for field, value in allowed.items()}
    logger.log(event.level, event.message, allowed, exc_info=exc_info, extra=extra, stacklevel=2)


# -- drift -------------------------------------------------------------------------------------------------------------


DriftKind = Literal["field", "value", "event", "type"]

_MOST_REPORTS: Final = 256
"""The largest number of reports, so that a server cannot fill the memory or the log."""
_LONGEST_NAME: Final = 64
_PLAIN_WORDS: Final = re.compile(rf"[A-Za-z][A-Za-z0-9_ .\[\]-]{{0,{_LONGEST_NAME - 1}}}", re.ASCII)
_HIDDEN: Final = "(not shown)"


@attrs.frozen(kw_only=True, cache_hash=True)
class DriftDetected:
    """GoedGepickt sent something that this version does not know.

    With `kind="type"` a value could not be read; otherwise no data is lost.

    Attributes:
        kind: `"field"`: an unknown key; it is in `extra`. `"value"`: an unknown value of an open enumeration, such as
            an order's status. `"event"`: an unknown webhook event. `"type"`: a value that cannot be read, which raised
            a `DecodeError`.
        model: The name of the class or the enumeration.
        field: The key in the JSON, or the place of the value; empty if not applicable.
        value: The new value of an enumeration, or the name of the new event; otherwise empty. Only plain words are
            shown.
    """

    kind: DriftKind
    model: str
    field: str = ""
    value: str = ""


DriftListener = Callable[[DriftDetected], Any]

_seen: Final[dict[DriftDetected, None]] = {}
_listeners: Final[list[weakref.WeakMethod[DriftListener]]] = []
_lock = threading.Lock()


def _after_fork_in_child() -> None:
    global _lock  # noqa: PLW0603  another thread of the parent may have held it
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def report_drift(kind: DriftKind, model: str, *, field: str = "", value: str = "") -> None:
    """Report something unknown: see `DriftDetected`. The first report is logged, and the subscribers are called."""
    if len(_seen) >= _MOST_REPORTS:
        return
    seen = _thing(kind, model, _cut(field), _cut(value))
    if seen in _seen:  # the usual case; one page can report thousands of rows
        return
    with _lock:
        if seen in _seen or len(_seen) >= _MOST_REPORTS:
            return
        _seen[seen] = None
        listeners = [method for known in _listeners if (method := known()) is not None]
    log_event("drift.detected", kind=kind, model=model, field=seen.field, value=seen.value)
    for method in listeners:
        method(seen)


def subscribe_to_drift(method: DriftListener) -> None:
    """Call a bound method once for each report, as long as its object exists.

    For earlier reports it is called immediately. A second subscription of the same object does nothing. The method
    must be quick and must not raise.
    """
    with _lock:
        _listeners[:] = [known for known in _listeners if known() is not None]
        if any(getattr(known(), "__self__", None) is getattr(method, "__self__", _listeners) for known in _listeners):
            return
        _listeners.append(weakref.WeakMethod(method))
        seen = list(_seen)
    for thing in seen:
        method(thing)


def _cut(text: object) -> str:
    """The first characters: enough to find out that the text is too long to show."""
    return text[: _LONGEST_NAME + 1] if isinstance(text, str) else _HIDDEN  # a key that is not a text


@functools.lru_cache(maxsize=2 * _MOST_REPORTS)
def _thing(kind: DriftKind, model: str, field: str, value: str) -> DriftDetected:
    return DriftDetected(kind=kind, model=model, field=_plain(field), value=_plain(value))


def _plain(text: str) -> str:
    """The text if it is plain words, because a key can be personal data, such as an e-mail address."""
    return text if not text or _PLAIN_WORDS.fullmatch(text) else _HIDDEN


_LIST_INDEX: Final = re.compile(r"\[[0-9]+\]")


def report_unknown(keys: Iterable[str], cls: type) -> None:
    """Report the keys of an object for which its class has no field."""
    for key in keys:
        report_drift("field", cls.__name__, field=key)


def report_misfit(cls: Any, problems: Iterable[str]) -> None:
    """Report the places of values that cannot be read, without list indexes."""
    for problem in problems:
        place = _LIST_INDEX.sub("[]", problem.partition(":")[0].removeprefix("$").removeprefix("."))
        report_drift("type", getattr(cls, "__name__", str(cls)), field=place)
