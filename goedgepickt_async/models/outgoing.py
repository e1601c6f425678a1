"""What makes an attrs class a model that is sent: it checks all its fields at once and refuses with our own error."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import attrs

from goedgepickt_async.models.refusal import Refused, refuse

__all__ = ["build", "is_outgoing", "outgoing"]

_T = TypeVar("_T")
_MARK: Final = "__goedgepickt_outgoing__"


def outgoing(cls: type[_T]) -> type[_T]:
    """Gives a keyword-only attrs class an `__init__` that checks every field and names every bad one.

    Type checkers keep seeing the `__init__` that attrs declares. Each field's attrs converter is its checker: it
    returns what is to be kept, or raises `Refused`.

    Raises:
        ValidationError: (the new `__init__`) with `status` None and `fields` by dotted Python path. A missing or an
            unknown keyword is such a problem too, so that data from a file needs one except clause only.
    """

    @functools.wraps(cls.__init__)
    def init(self: Any, **given: Any) -> None:
        try:
            values = check(cls, given)
        except Refused as refused:
            problems = refused.problems
        else:
            for name, value in values.items():
                object.__setattr__(self, name, value)
            return
        raise refuse(cls, problems)

    cls.__init__ = init  # type: ignore[method-assign]
    setattr(cls, _MARK, True)
    return cls


def is_outgoing(cls: type[Any]) -> bool:
    """Whether a class is made to be sent."""
    return getattr(cls, _MARK, False) is True


def check(cls: type[Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The values that the fields of `cls` are to have.

    Raises:
        Refused: Something is missing, unknown or wrong; all of it is named.
    """
    fields = {field.name: field for field in attrs.fields(cls)}
    problems = {name: f"{cls.__name__} has no such field" for name in given if name not in fields}
    values: dict[str, Any] = {}
    for name, field in fields.items():
        value = given.get(name, field.default)
        if value is attrs.NOTHING:
            problems[name] = "is required"
            continue
        try:
            values[name] = value if field.converter is None else field.converter(value)
        except Refused as refused:
            problems.update(refused.below(name))
    if problems:
        raise Refused(problems)
    return values


def build(cls: type[_T], value: object) -> _T:
    """`value` if it is a `cls` already, or the `cls` that a mapping of its fields describes.

    Raises:
        Refused: It is neither, or the mapping's values are not fit to be sent.
    """
    if isinstance(value, cls):
        return value
    if not isinstance(value, Mapping):
        raise Refused(f"must be a {cls.__name__}")
    for_init = {str(name): part for name, part in value.items()}
    values = check(cls, for_init)
    made = object.__new__(cls)
    for name, part in values.items():
        object.__setattr__(made, name, part)
    return made
