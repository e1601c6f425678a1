"""The readers of single cells: from text, or from a JSON value, to what a plan takes."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, TypeAlias
from zoneinfo import ZoneInfo

from goedgepickt_async.bulk.files import numbers
from goedgepickt_async.bulk.files.refusing import CellError

__all__ = ["Reader", "amount", "country", "flag", "link", "moment", "sku", "text", "whole"]

Reader: TypeAlias = Callable[[Any, str | None], Any]
"""From a value that is not empty, and the decimal sign that was said, to what is kept."""

_DUTCH: Final = ZoneInfo("Europe/Amsterdam")
_SHORTENED: Final = re.compile(r"[0-9][.,][0-9]+E\+[0-9]{2,}", re.IGNORECASE)
_FLAGS: Final = {
    **dict.fromkeys(("1", "true", "yes", "ja", "waar", "aan", "on", "y", "j"), True),
    **dict.fromkeys(("0", "false", "no", "nee", "onwaar", "uit", "off", "n"), False),
}
_DUTCH_DAY: Final = re.compile(r"([0-9]{1,2})-([0-9]{1,2})-([0-9]{4})(?:[ T]+([0-9]{2}:[0-9]{2}(?::[0-9]{2})?))?")


def text(value: Any, _: str | None = None) -> str:
    """Text as it stands; a whole number of JSON becomes text."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise CellError("must be text")


def sku(value: Any, _: str | None = None) -> str:
    """An identifier: leading zeros stay, and what a spreadsheet made of a long number is refused."""
    kept = text(value).strip()
    if _SHORTENED.fullmatch(kept):
        raise CellError(f"{kept!r} is what a spreadsheet made of a longer number; export that column as text")
    return kept


def amount(value: Any, decimal: str | None = None) -> Decimal:
    """An exact number."""
    if isinstance(value, Decimal | int) and not isinstance(value, bool):
        return Decimal(value)
    return numbers.amount(text(value), decimal)


def whole(value: Any, decimal: str | None = None) -> int:
    """A whole number."""
    if isinstance(value, Decimal) and value == value.to_integral_value() and abs(value.adjusted()) < 30:
        return int(value)
    if isinstance(value, Decimal):
        raise CellError("must be a whole number")
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return numbers.whole(text(value), decimal)


def flag(value: Any, _: str | None = None) -> bool:
    """Yes or no, in Dutch or English."""
    if isinstance(value, bool):
        return value
    try:
        return _FLAGS[text(value).strip().lower()]
    except KeyError:
        raise CellError("must be yes or no (ja, nee, true, false, 1, 0)") from None


def link(value: Any, _: str | None = None) -> str:
    """A URL; the first one, where a shop lists several."""
    first = re.split(r",\s*(?=https?://)|\s*\|\s*|;\s*(?=https?://)", text(value).strip())[0]
    if not re.match(r"https?://\S+$", first):
        raise CellError("must be a URL that begins with http:// or https://")
    return first


def country(value: Any, _: str | None = None) -> str:
    """A country's code, upper-case."""
    return text(value).strip().upper()


def moment(value: Any, _: str | None = None) -> datetime:
    """ISO 8601, or day-month-year; without an offset it is Dutch local time."""
    kept = text(value).strip()
    try:
        dutch = _DUTCH_DAY.fullmatch(kept)
        if dutch is not None:
            kept = f"{dutch[3]}-{int(dutch[2]):02}-{int(dutch[1]):02} {dutch[4] or '00:00'}"
        read = datetime.fromisoformat(kept)
    except ValueError:
        raise CellError("must be a date such as 2026-11-25 or 25-11-2026, with or without a time") from None
    return read if read.tzinfo is not None else read.replace(tzinfo=_DUTCH)
