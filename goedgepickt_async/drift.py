"""Drift: what the server sends that this version does not know. Each finding is reported once a process."""

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
"""Things that are noticed in a process; no server can fill the memory, nor the log."""
_LONGEST: Final = 64
_PLAIN: Final = re.compile(rf"[A-Za-z][A-Za-z0-9_ .\[\]-]{{0,{_LONGEST - 1}}}", re.ASCII)
_HIDDEN: Final = "(not shown)"


@attrs.frozen(kw_only=True, cache_hash=True)
class DriftDetected:
    """GoedGepickt sent something that this version of the SDK does not know; nothing was lost by it, unless by a type.

    Attributes:
        kind: `"field"`: a key that no field takes; it is in `extra`. `"value"`: of an open enumeration, such as an
            order's status. `"event"`: of a webhook. `"type"`: a value that could not be read, which raised a
            `DecodeError`.
        model: The class that was read, or the enumeration.
        field: The key on the wire, or the place of the value; empty where there is none.
        value: The new value of an enumeration or the new event's name; empty for the others. Texts that are no plain
            words are not shown.
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
    """Say that something unknown was read; the first time it is logged, and all who listen are told.

    Args:
        kind: What it is.
        model: What was being read.
        field: Where it stood.
        value: The value, where it is the name of something.
    """
    if len(_seen) >= _MOST:
        return
    seen = _thing(kind, model, _cut(field), _cut(value))
    if seen in _seen:  # as a rule; a page of rows that all look different asks thousands of times
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
    """Tell this bound method of each thing once, for as long as its object lives; of those noticed already, now.

    Args:
        method: It must be quick and raise nothing. Of one object it is told once, however often that is handed over.
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
    """What is enough to tell that it is too long to be shown: nothing longer is kept."""
    return text[: _LONGEST + 1] if isinstance(text, str) else _HIDDEN  # a key of a mapping that was no JSON


@functools.lru_cache(maxsize=2 * _MOST)
def _thing(kind: Kind, model: str, field: str, value: str) -> DriftDetected:
    return DriftDetected(kind=kind, model=model, field=_plain(field), value=_plain(value))


def _plain(text: str) -> str:
    """The text, if it is no more than plain words: a key that is somebody's address is nobody's business."""
    return text if not text or _PLAIN.fullmatch(text) else _HIDDEN


_INDEX: Final = re.compile(r"\[[0-9]+\]")


def report_unknown(keys: Iterable[str], cls: type) -> None:
    """Keys of an object that no field of its class takes."""
    for key in keys:
        report("field", cls.__name__, field=key)


def report_misfit(cls: Any, problems: Iterable[str]) -> None:
    """Values that could not be read, by their places; a place in a list loses its number."""
    for problem in problems:
        place = _INDEX.sub("[]", problem.partition(":")[0].removeprefix("$").removeprefix("."))
        report("type", getattr(cls, "__name__", str(cls)), field=place)
