"""How single values are read: texts, numbers, booleans, dates, enumerations, and values that mean "nothing"."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NoReturn
from zoneinfo import ZoneInfo

import attrs

from goedgepickt_async.drift import report
from goedgepickt_async.models import OpenEnum, Secret
from goedgepickt_async.models.base import Identifier, Label

__all__ = [
    "AMSTERDAM",
    "Mismatch",
    "enum_member",
    "is_empty_list",
    "kind_of",
    "mismatch",
    "null_check",
    "parse_bool",
    "parse_datetime",
    "parse_decimal",
    "parse_identifier",
    "parse_int",
    "parse_label",
    "parse_secret",
    "parse_text",
    "skips_nulls",
]

# The second is what PHP's Carbon makes of the first, in UTC or from Amsterdam's local mean time.
_ZERO_DATE: Final = re.compile(
    r"(?:0000-00-00|-0001-11-(?:29|30))(?:[T ][0-9:.]+(?:Z|[+-][0-9]{2}:?[0-9]{2})?)?", re.ASCII
)


def null_check(tp: Any) -> Callable[[Any], bool]:
    """Says of a wire value whether it means None where a `tp` belongs."""
    if tp is datetime:
        return _is_no_moment
    if tp in {int, bool, Decimal, Identifier}:
        return _is_empty_text
    if tp is not Secret and isinstance(tp, type) and attrs.has(tp):
        return _is_empty
    return _is_null


def is_empty_list(value: Any) -> bool:
    """Whether what is no list means the empty one."""
    return value is None or (value.__class__ in {str, dict} and not value)


def skips_nulls(item: Any) -> bool:
    """Whether nulls between items of this type are left out."""
    return item is str or item == Label


def _is_null(value: Any) -> bool:
    return value is None


def _is_empty_text(value: Any) -> bool:
    return value is None or (value.__class__ is str and not value)


def _is_empty(value: Any) -> bool:
    return value is None or (value.__class__ in {str, list, dict} and not value)


def _is_no_moment(value: Any) -> bool:
    return _is_empty_text(value) or (value.__class__ is str and _ZERO_DATE.fullmatch(value) is not None)


_KINDS: Final[dict[type, str]] = {
    str: "text",
    int: "a number",
    float: "a number",
    bool: "true/false",
    type(None): "null",
    list: "a list",
    dict: "an object",
}


class Mismatch(ValueError):  # noqa: N818 - it never leaves the package
    """One wire value does not fit; the message says what was expected and what kind of thing came."""


def kind_of(value: Any) -> str:
    """What JSON calls a value. The value itself may be personal and is never shown."""
    return _KINDS.get(type(value), "something that is not JSON")


def mismatch(wanted: str, value: Any) -> NoReturn:
    """Raises the `Mismatch` for a value that is not `wanted`."""
    raise Mismatch(f"expected {wanted}, got {kind_of(value)}")


AMSTERDAM: Final = ZoneInfo("Europe/Amsterdam")
"""The zone of the API's date-times that lack an offset (reference 4.5, A/B)."""

_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,30}(?:\.0{1,30})?", re.ASCII)
_EXACT_FLOAT: Final = 2**53
_BOOLEANS: Final[dict[Any, bool]] = {"0": False, "1": True, "false": False, "true": True}


def parse_text(value: Any, _: Any = None) -> str:
    """Text. A whole number becomes text too: the API writes digits (sku, zip code, phone) either way."""
    if value.__class__ is str:
        return value
    if value.__class__ is int:
        return str(value)
    return mismatch("text", value)


def parse_identifier(value: Any, _: Any = None) -> str:
    """A uuid: text that is not empty."""
    if value.__class__ is not str:
        mismatch("an identifier", value)
    if not value:
        raise Mismatch("expected an identifier, got empty text")
    return value


def parse_label(value: Any, _: Any = None) -> str:
    """Text; anything else is kept as its JSON text, so that nothing is lost and users have one type to deal with."""
    if value.__class__ is str:
        return value
    if value is None:
        mismatch("text", value)
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def parse_int(value: Any, _: Any = None) -> int:
    """A whole number, also as text (`"5"`, `"5.0"`) or as a float without a fraction."""
    if value.__class__ is int:
        return value
    if value.__class__ is str and _WHOLE.fullmatch(value):
        return int(value.partition(".")[0])
    if value.__class__ is float:
        if value.is_integer() and abs(value) <= _EXACT_FLOAT:
            return int(value)
        raise Mismatch("expected an integer, got a number with a fraction or out of range")
    return mismatch("an integer", value)


def parse_bool(value: Any, _: Any = None) -> bool:
    """True or false, also as 0, 1, or the text of either."""
    if value.__class__ is bool:
        return value
    if value.__class__ is int and value in {0, 1}:
        return bool(value)
    if value.__class__ is str and (found := _BOOLEANS.get(value.lower())) is not None:
        return found
    return mismatch("true or false", value)


def parse_decimal(value: Any, _: Any = None) -> Decimal:
    """An exact decimal number from text or a number; a float counts as the digits it is written with."""
    if value.__class__ is str:
        return _decimal_of(value)
    if value.__class__ is int:
        return Decimal(value)
    if value.__class__ is float:
        return _decimal_of(repr(value))
    return mismatch("a decimal number", value)


def _decimal_of(digits: str) -> Decimal:
    try:
        read = Decimal(digits)
    except InvalidOperation:
        raise Mismatch("expected a decimal number, got other text") from None
    if not read.is_finite() or "_" in digits:
        raise Mismatch("expected a decimal number, got other text")
    return read


def parse_datetime(value: Any, _: Any = None) -> datetime:
    """An aware date-time from ISO 8601 with `T` or a space; without an offset it is Dutch local time.

    Dutch local time is ambiguous for one hour in autumn: the first of the two instants is taken. An hour that the
    clocks skipped in spring is read with the offset from before the change.
    """
    if value.__class__ is not str:
        mismatch("a date and time", value)
    try:
        read = datetime.fromisoformat(value)
    except ValueError:
        raise Mismatch("expected a date and time, got other text") from None
    if read.tzinfo is not None:
        return read
    # datetime.replace(tzinfo=) costs four times as much before Python 3.13.
    return datetime.combine(read, read.time(), AMSTERDAM)


def parse_secret(value: Any, _: Any = None) -> Secret:
    """Text that is not to be shown."""
    return Secret(parse_text(value))


def enum_member(value: Any, cls: type[OpenEnum]) -> OpenEnum:
    """A member of an open enumeration, known or not."""
    if value.__class__ is not str:
        mismatch("text", value)
    found = cls(value)
    if not found.is_known:
        report("value", cls.__name__, value=found.value)
    return found
