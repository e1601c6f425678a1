"""Enumerations that a value from the future does not break."""

from __future__ import annotations

import enum
from typing import Any, Final, Self

__all__ = ["OpenEnum"]

_REMEMBERED: Final = 256
_LONGEST: Final = 64


class OpenEnum(enum.StrEnum):
    """A text enumeration that takes unknown values too.

    `OrderStatus("shiny_new")` is an `OrderStatus` that equals the text `"shiny_new"` and whose `is_known` is False.
    Iterating the class yields the known members only. Unknown values compare by `==`; of the first few hundred short
    ones there is one object each, so that a page of them costs nothing, and no server can fill the memory.
    """

    @property
    def is_known(self) -> bool:
        """Whether this version of the SDK has a name for the value."""
        return type(self)._value2member_map_.get(self._value_) is self

    def __reduce_ex__(self, _protocol: object) -> tuple[Any, ...]:
        """By value: some releases of Python go by the name, which an unknown value has none of."""
        return type(self), (self._value_,)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: object) -> Self:
        return self

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        """The member-like value of an unknown text; None (thus a ValueError) for what is no text."""
        if type(value) is not str:
            return None
        known = _UNKNOWN.get((cls, value))
        if known is not None:
            return known  # type: ignore[return-value]  # the class is in the key
        member = str.__new__(cls, value)
        member._name_ = value
        member._value_ = value
        if len(_UNKNOWN) < _REMEMBERED and len(value) <= _LONGEST:
            _UNKNOWN[cls, value] = member
        return member


_UNKNOWN: Final[dict[tuple[type[OpenEnum], str], OpenEnum]] = {}
