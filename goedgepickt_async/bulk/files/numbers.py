"""Numbers as people and spreadsheets write them. What can be read in two ways is refused, not guessed."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from goedgepickt_async.bulk.files.refusing import CellError

__all__ = ["amount", "whole"]

_LONGEST: Final = 40
_CURRENCY: Final = re.compile(r"^(?:€|EUR)\s*|\s*(?:€|EUR)$", re.IGNORECASE)
_SPACES: Final = re.compile("(?<=[0-9])[ \u00a0\u2009\u202f'](?=[0-9]{3}(?![0-9]))")
_NO_CENTS: Final = re.compile(r",-{1,2}$")
_PLAIN: Final = re.compile(r"[+-]?[0-9]+", re.ASCII)
_ONE: Final = re.compile(r"([+-]?)([0-9]+)([.,])([0-9]+)", re.ASCII)
_GROUPS: Final = re.compile(r"[+-]?[0-9]{1,3}(?:([.,])[0-9]{3})(?:\1[0-9]{3})*", re.ASCII)
_MIXED: Final = re.compile(r"[+-]?[0-9]{1,3}(?:([.,])[0-9]{3})(?:\1[0-9]{3})*(?!\1)([.,])[0-9]+", re.ASCII)


def amount(text: str, decimal: str | None = None) -> Decimal:
    """An exact number: `12.34`, `12,34`, `1.234,56`, `1,234.56`, `€ 12,34`, `12,-`.

    Args:
        text: What stands in the cell.
        decimal: The sign before the decimals, `,` or `.`; None: as the number shows.

    Raises:
        CellError: It is no number, or `1.234` and the like, which is one thing here and another there.
    """
    if len(text) > _LONGEST:
        raise CellError("is too long for a number")
    kept = _SPACES.sub("", _CURRENCY.sub("", text.strip()))
    if _NO_CENTS.search(kept):
        kept, decimal = _NO_CENTS.sub("", kept), decimal or ","
    if _PLAIN.fullmatch(kept):
        return Decimal(kept)
    mixed = _MIXED.fullmatch(kept)
    if mixed is not None and decimal in {None, mixed[2]}:
        return _decimal(kept, thousands=mixed[1], point=mixed[2])
    return _of_one_sign(kept, text, decimal)


def whole(text: str, decimal: str | None = None) -> int:
    """A whole number; decimals may be there if they are nothing but zeros, as in `5.0000`.

    Raises:
        CellError: It is none, or can be read in two ways.
    """
    number = amount(text, decimal)
    if number != number.to_integral_value():
        raise CellError(f"must be a whole number, not {text.strip()!r}")
    return int(number)


def _of_one_sign(kept: str, text: str, decimal: str | None) -> Decimal:
    groups, one = _GROUPS.fullmatch(kept), _ONE.fullmatch(kept)
    if groups is not None and (decimal is not None or one is None):
        if groups[1] != decimal:
            return _decimal(kept, thousands=groups[1], point=None)
        if one is not None:
            return _decimal(kept, thousands=None, point=groups[1])
    elif one is not None and decimal in {None, one[3]}:
        if decimal is None and groups is not None and one[2] != "0":
            raise CellError(
                f"{text.strip()!r} can mean two numbers: say which sign stands before decimals (--decimal , or .)"
            )
        return _decimal(kept, thousands=None, point=one[3])
    raise CellError(f"{text.strip()!r} is no number")


def _decimal(kept: str, *, thousands: str | None, point: str | None) -> Decimal:
    bare = kept.replace(thousands, "") if thousands else kept
    return Decimal(bare.replace(point, ".") if point else bare)
