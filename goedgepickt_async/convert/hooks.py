"""Conversion of single values: texts, numbers, booleans, dates, enumerations, and values that mean "nothing"."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime, timezone
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NoReturn
from zoneinfo import ZoneInfo

import attrs

from goedgepickt_async.logs import report_drift
from goedgepickt_async.models import OpenEnum, Secret
from goedgepickt_async.models.base import AMSTERDAM, Identifier, Label
from goedgepickt_async.text import MOST_LEVELS, nests_too_deep

__all__ = [
    "Mismatch",
    "as_list",
    "enum_member",
    "in_amsterdam",
    "kind_of",
    "list_in_row",
    "mismatch",
    "null_check",
    "parse_bool",
    "parse_datetime",
    "parse_decimal",
    "parse_identifier",
    "parse_int",
    "parse_json",
    "parse_label",
    "parse_secret",
    "parse_text",
    "skips_nulls",
]

_TIME: Final = r"(?:[T ]?\s*[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]+)?)?)?"
_OFFSET: Final = r"\s*(?:Z|UTC|GMT|[+-][0-9]{2}(?::?[0-9]{2}(?::?[0-9]{2})?)?)?"
# MySQL's zero date, and PHP's form of it: 30 November of the year -1, or 29 November in UTC. PHP writes the year with
# two, four or more digits. The day is first with `d-m-Y`, and the month has a name with `r`.
_ZERO_DATE: Final = re.compile(
    rf"(?:0{{2,4}}[-/.]0{{1,2}}[-/.]0{{1,2}}|0{{1,2}}[-/.]0{{1,2}}[-/.]0{{4}}|-0*1[-/.]11[-/.](?:29|30)"
    rf"|(?:29|30)[-/.]11[-/.]-0*1|(?:[A-Z][a-z]{{2}}, )?(?:29|30) Nov -0*1){_TIME}{_OFFSET}",
    re.ASCII | re.IGNORECASE,
)
# The same time as Unix seconds, in any zone.
_ZERO_TIMESTAMPS: Final = range(-62_170_041_600, -62_169_897_600)
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)
_LONGEST_DATE: Final = 64


def null_check(tp: Any) -> Callable[[Any], bool]:
    """Return the function that decides whether a JSON value means None for a type.

    PHP writes `false`, `[]` or `{}` for a missing value, and databases write zero dates.
    """
    if tp is datetime:
        return _is_no_datetime
    if tp is bool:
        return _is_empty_but_false
    if tp in {int, Decimal, Identifier} or (isinstance(tp, type) and attrs.has(tp) and tp is not Secret):
        return _is_empty
    if tp in {str, Secret} or (isinstance(tp, type) and issubclass(tp, OpenEnum)):
        return _is_empty_but_text
    return _is_null


def as_list(value: Any) -> list[Any] | None:
    """Return a JSON array as a list. PHP writes an array with gaps as an object with numeric keys.

    Returns:
        The list; None for other values. `{}` is the empty list, like `[]`.
    """
    if value.__class__ is list:
        return value
    if value.__class__ is dict and all(key.__class__ is str and _INDEX.fullmatch(key) for key in value):
        return list(value.values())
    return None


def list_in_row(value: Any) -> list[Any]:
    """Return the list in a field of a row; null, the empty text and false are an empty list.

    Raises:
        Mismatch: The value is not a list.
    """
    if value is None or value is False or value == "":
        return []
    found = as_list(value)
    return mismatch("a list", value) if found is None else found


def skips_nulls(item: Any) -> bool:
    """Whether null items of a list with this type are left out."""
    return item is str or item == Label


def _is_null(value: Any) -> bool:
    return value is None


def _is_empty(value: Any) -> bool:
    return value is None or value is False or (value.__class__ in {str, list, dict} and not value)


def _is_empty_but_false(value: Any) -> bool:
    return value is None or (value.__class__ in {str, list, dict} and not value)


def _is_empty_but_text(value: Any) -> bool:
    return value is None or value is False or (value.__class__ in {list, dict} and not value)


def _is_no_datetime(value: Any) -> bool:
    if value.__class__ is str:
        return not value or (len(value) <= _LONGEST_DATE and _ZERO_DATE.fullmatch(value.strip()) is not None)
    if value.__class__ is int:
        return value in _ZERO_TIMESTAMPS
    if value.__class__ is dict and value.keys() == _PHP_DATE:
        return _is_no_datetime(value["date"])
    return _is_empty(value)


_PHP_DATE: Final = {"date", "timezone_type", "timezone"}
"""The keys of PHP's `DateTime` as JSON."""

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
    """A JSON value does not fit; the message has the expected type and the type of the value."""


def kind_of(value: Any) -> str:
    """The JSON type of a value. The value itself may be personal and is never shown."""
    return _KINDS.get(type(value), "something that is not JSON")


def mismatch(wanted: str, value: Any) -> NoReturn:
    """Raise the `Mismatch` for a value that is not `wanted`."""
    raise Mismatch(f"expected {wanted}, got {kind_of(value)}")


_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,30}(?:\.0{1,30})?", re.ASCII)
_EXACT_FLOAT: Final = 2**53
_BOOLEANS: Final[dict[Any, bool]] = {"0": False, "1": True, "false": False, "true": True}


def parse_text(value: Any, _: Any = None) -> str:
    """Read text. A whole number becomes text too, because the API writes digits (SKU, zip code, phone) either way."""
    if value.__class__ is str:
        return value
    if value.__class__ is int:
        return str(value)
    return mismatch("text", value)


def parse_identifier(value: Any, _: Any = None) -> str:
    """Read a uuid: text that is not empty."""
    if value.__class__ is not str:
        mismatch("an identifier", value)
    if not value:
        raise Mismatch("expected an identifier, got empty text")
    return value


def parse_json(value: Any, _: Any = None) -> Any:
    """Check a value that is kept as it is: a field of unknown form, or the unknown fields of an object."""
    if (value.__class__ is dict or value.__class__ is list) and nests_too_deep(value):
        raise Mismatch(f"expected at most {MOST_LEVELS} levels of lists and objects, got more")
    return value


def parse_label(value: Any, _: Any = None) -> str:
    """Read text. Other values are kept as their JSON text, so that nothing is lost and the type is always `str`."""
    if value.__class__ is str:
        return value
    if value is None:
        mismatch("text", value)
    return _AS_JSON(value)


_AS_JSON: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def parse_int(value: Any, _: Any = None) -> int:
    """Read a whole number, also from text (`"5"`, `"5.0"`) or from a float without a fraction."""
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
    """Read true or false, also from 0, 1 or text."""
    if value.__class__ is bool:
        return value
    if value.__class__ is int and value in {0, 1}:
        return bool(value)
    if value.__class__ is str and (found := _BOOLEANS.get(value.lower())) is not None:
        return found
    return mismatch("true or false", value)


def parse_decimal(value: Any, _: Any = None) -> Decimal:
    """Read a decimal number from text or a number. A float has exactly the digits that are written.

    A comma is read as the decimal point if it has no other meaning. `12,50` is read. `1,234` and `1.234,56` are
    refused, because a comma or a point can separate thousands.
    """
    if value.__class__ is str:
        return _decimal_of(value)
    if value.__class__ is int:
        return Decimal(value)
    if value.__class__ is float:
        return _decimal_of(repr(value))
    return mismatch("a decimal number", value)


_DECIMAL_COMMA: Final = re.compile(
    r"\s*[+-]?(?:[0-9]{0,30},(?:[0-9]{1,2}|[0-9]{4,30})|(?:0|[0-9]{4,30}),[0-9]{3})\s*", re.ASCII
)


def _decimal_of(digits: str) -> Decimal:
    if "," in digits and _DECIMAL_COMMA.fullmatch(digits):
        digits = digits.replace(",", ".")
    try:
        read = Decimal(digits)
    except InvalidOperation:
        raise Mismatch("expected a decimal number, got other text") from None
    if not read.is_finite() or "_" in digits:
        raise Mismatch("expected a decimal number, got other text")
    return read


def parse_datetime(value: Any, _: Any = None) -> datetime:
    """Read a datetime in Europe/Amsterdam, from ISO 8601 with `T` or a space, or from PHP's `DateTime` as JSON.

    Without an offset it is Dutch local time. One hour in autumn is ambiguous: the first of the two times is used. The
    skipped hour in spring is read with the offset from before the change.
    """
    zone: ZoneInfo | timezone = AMSTERDAM
    if value.__class__ is dict and value.keys() == _PHP_DATE:
        value, zone = value["date"], _zone_of(value)
    if value.__class__ is not str:
        mismatch("a date and time", value)
    try:
        read = datetime.fromisoformat(value.strip().upper() if len(value) <= _LONGEST_DATE else value)
    except ValueError:
        raise Mismatch("expected a date and time, got other text") from None
    # datetime.replace(tzinfo=) costs four times as much before Python 3.13.
    return in_amsterdam(read if read.tzinfo is not None else datetime.combine(read, read.time(), zone))


def in_amsterdam(moment: datetime) -> datetime:
    """Return the same time in the Dutch zone. The last day of Python's range keeps its zone."""
    if moment.tzinfo is AMSTERDAM:
        return moment
    try:
        return moment.astimezone(AMSTERDAM)
    except OverflowError:
        return moment


def _zone_of(php: dict[str, Any]) -> ZoneInfo | timezone:
    """Read the zone of PHP's `DateTime`: an offset or a name.

    Abbreviations are refused, because they are not unique.
    """
    name = php["timezone"]
    if php["timezone_type"] == _PHP_ZONE_OF_NAME and name.__class__ is str and len(name) <= _LONGEST_DATE:
        try:
            return ZoneInfo(name)
        except (ValueError, OSError, KeyError):
            pass
    elif php["timezone_type"] == _PHP_ZONE_OF_OFFSET and name.__class__ is str:
        try:
            zone = datetime.fromisoformat(f"2000-01-01T00:00:00{name}").tzinfo
        except ValueError:
            zone = None
        if isinstance(zone, timezone):
            return zone
    raise Mismatch("expected a date and time, got one with an unknown time zone")


_PHP_ZONE_OF_OFFSET: Final = 1
_PHP_ZONE_OF_NAME: Final = 3


def parse_secret(value: Any, _: Any = None) -> Secret:
    """Read a secret text."""
    return Secret(parse_text(value))


def enum_member(value: Any, cls: type[OpenEnum]) -> OpenEnum:
    """Read a known or unknown member of an open enumeration."""
    if value.__class__ is not str:
        mismatch("text", value)
    found = cls(value)
    if not found.is_known:
        report_drift("value", cls.__name__, value=found.value)
    return found
