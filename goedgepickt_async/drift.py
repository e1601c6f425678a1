"""Drift: fields and values of the API that this version does not know. Each one is reported once per process."""

from __future__ import annotations

import functools
import os
import re
import threading
import weakref
from collections.abc import Callable, Iterable
from typing import Any, Final, Literal

import attrs

from goedgepickt_async.logs import log_event

__all__ = ["DriftDetected", "report", "report_misfit", "report_unknown", "subscribe"]

Kind = Literal["field", "value", "event", "type"]

_MOST: Final = 256
"""The largest number of reports, so that a server cannot fill the memory or the log."""
_LONGEST: Final = 64
_PLAIN: Final = re.compile(rf"[A-Za-z][A-Za-z0-9_ .\[\]-]{{0,{_LONGEST - 1}}}", re.ASCII)
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

    kind: Kind
    model: str
    field: str = ""
    value: str = ""


Listener = Callable[[DriftDetected], Any]

_seen: Final[dict[DriftDetected, None]] = {}
_listeners: Final[list[weakref.WeakMethod[Listener]]] = []
_lock = threading.Lock()


def _after_fork_in_child() -> None:
    global _lock  # noqa: PLW0603  another thread of the parent may have held it
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def report(kind: Kind, model: str, *, field: str = "", value: str = "") -> None:
    """Report something unknown. The first report of a thing is logged, and the subscribers are called.

    Args:
        kind: The kind of drift.
        model: The class that was read.
        field: The place of the value.
        value: The value of an enumeration, or the name of an event.
    """
    if len(_seen) >= _MOST:
        return
    seen = _thing(kind, model, _cut(field), _cut(value))
    if seen in _seen:  # the usual case; one page can report thousands of rows
        return
    with _lock:
        if seen in _seen or len(_seen) >= _MOST:
            return
        _seen[seen] = None
        listeners = [method for known in _listeners if (method := known()) is not None]
    log_event("drift.detected", kind=kind, model=model, field=seen.field, value=seen.value)
    for method in listeners:
        method(seen)


def subscribe(method: Listener) -> None:
    """Call a bound method once for each report, as long as its object exists.

    For earlier reports it is called immediately.

    Args:
        method: The method must be quick and must not raise. A second subscription of the same object does nothing.
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
    return text[: _LONGEST + 1] if isinstance(text, str) else _HIDDEN  # a key that is not a text


@functools.lru_cache(maxsize=2 * _MOST)
def _thing(kind: Kind, model: str, field: str, value: str) -> DriftDetected:
    return DriftDetected(kind=kind, model=model, field=_plain(field), value=_plain(value))


def _plain(text: str) -> str:
    """The text if it is plain words, because a key can be personal data, such as an e-mail address."""
    return text if not text or _PLAIN.fullmatch(text) else _HIDDEN


_INDEX: Final = re.compile(r"\[[0-9]+\]")


def report_unknown(keys: Iterable[str], cls: type) -> None:
    """Report the keys of an object for which its class has no field."""
    for key in keys:
        report("field", cls.__name__, field=key)


def report_misfit(cls: Any, problems: Iterable[str]) -> None:
    """Report the places of values that cannot be read, without list indexes."""
    for problem in problems:
        place = _INDEX.sub("[]", problem.partition(":")[0].removeprefix("$").removeprefix("."))
        report("type", getattr(cls, "__name__", str(cls)), field=place)
