"""How an object of a frozen class is filled fast: as one of a class of the same layout that takes assignment."""

from __future__ import annotations

from typing import Any, Final
from weakref import WeakKeyDictionary

import attrs

__all__ = ["twin_of"]


_TWINS: Final[WeakKeyDictionary[type[Any], type[Any] | None]] = WeakKeyDictionary()


def twin_of(cls: type[Any]) -> type[Any] | None:
    """A class of the same layout whose attributes take assignment; an object is filled as one, then made a `cls`.

    A frozen attrs class refuses assignment, and going around that for each attribute costs twice the time. A subclass
    of a frozen class inherits the refusal, so the twin always brings the assignment of `object`.

    Returns:
        The twin, tried out on each field; None if the layout does not allow one, such as that of a class with both
        slots and a slot for weak references.
    """
    if cls not in _TWINS:
        _TWINS[cls] = _made(cls)
    return _TWINS[cls]


def _made(cls: type[Any]) -> type[Any] | None:
    namespace: dict[str, Any] = {"__setattr__": object.__setattr__}
    if "__slots__" in cls.__dict__:
        namespace["__slots__"] = cls.__dict__["__slots__"]
    try:
        twin: type[Any] = type(cls.__name__, cls.__bases__, namespace)
        made = object.__new__(twin)
        for field in attrs.fields(cls):
            setattr(made, field.name, None)
        object.__setattr__(made, "__class__", cls)
    except Exception:  # noqa: BLE001 - a base's `__init_subclass__` may raise anything
        return None
    return twin
