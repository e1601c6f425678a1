"""UNSET: the value of a field that is to be left as it is."""

from __future__ import annotations

import enum
from typing import Final, Literal

__all__ = ["UNSET", "Unset"]


class _Unset(enum.Enum):
    """An enumeration of one member, because type checkers narrow `x is UNSET` on those."""

    UNSET = enum.auto()

    def __repr__(self) -> str:
        return "UNSET"

    def __bool__(self) -> Literal[False]:
        return False


Unset = Literal[_Unset.UNSET]
"""The type of `UNSET`, for annotations: `price: Decimal | None | Unset`."""

UNSET: Final = _Unset.UNSET
"""The field is not sent, so the server leaves what it has. None, in contrast, empties it."""
