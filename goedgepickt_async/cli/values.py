"""Values of options: days, whole numbers and seconds. A refused value is reported with its allowed range."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

from goedgepickt_async.cli.errors import UsageError
from goedgepickt_async.text import printable

__all__ = ["MOST_PORTS", "name_values", "read_day", "seconds", "whole"]

MOST_PORTS = 65535
"""The highest port number."""

_DUTCH_DAY = re.compile(r"([0-9]{1,2})[-/. ]([0-9]{1,2})[-/. ]([0-9]{4})")
_ISO_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_COMPACT_DAY = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})")

Converter = Callable[[type[Any], Sequence[Any]], Any]
"""A function that cyclopts calls with the type and the tokens of an option. cyclopts shows the text of a
`ValueError`."""


def read_day(_: type[Any], tokens: Sequence[Any]) -> date:
    """Parse a day, YYYY-MM-DD.

    Raises:
        ValueError: The text is not a day; the message has the right form.
    """
    text = tokens[0].value.strip()
    try:
        if len(text) == len("2026-11-28"):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise ValueError(f"{printable(text)!r} is not a day such as 2026-11-28{_guess(text)}")


def _guess(text: str) -> str:
    """Return a hint for a day in Dutch or American form, or without dashes."""
    if _ISO_DAY.fullmatch(text):
        return "; this day does not exist"
    try:
        if (match := _DUTCH_DAY.fullmatch(text)) and int(match[2]) > 12:
            return f"; write {date(int(match[3]), int(match[1]), int(match[2])).isoformat()}"
        if match := _DUTCH_DAY.fullmatch(text):
            meant = date(int(match[3]), int(match[2]), int(match[1]))
            return f"; write {meant.isoformat()} for {meant.day}-{meant.month}-{meant.year}, the day first"
        if match := _COMPACT_DAY.fullmatch(text):
            return f"; write {date(*map(int, match.groups())).isoformat()}"
    except ValueError:
        pass
    return ""


def whole(least: int | None = 0, most: int | None = None) -> Converter:
    """Return a parser for whole numbers.

    Args:
        least: The smallest allowed number; None for any.
        most: The largest allowed number; None for any.
    """

    def read(_: type[Any], tokens: Sequence[Any]) -> int:
        text = tokens[0].value.strip()
        try:
            number = int(text)
        except ValueError:
            raise ValueError(f"{printable(text)!r} is not a whole number") from None
        if most is not None and not (least or 0) <= number <= most:
            raise ValueError(f"{number} is not between {least} and {most}")
        if least is not None and number < least:
            raise ValueError(f"{number} is less than {least}")
        return number

    return read


def seconds(*, more_than_none: bool = False) -> Converter:
    """Return a parser for durations.

    Args:
        more_than_none: Whether 0 is refused.
    """
    least = "above 0" if more_than_none else "of 0 or more"

    def read(_: type[Any], tokens: Sequence[Any]) -> float:
        text = tokens[0].value.strip()
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not 0 <= number < math.inf or (more_than_none and not number):
            raise ValueError(f"{printable(text)!r} is not a number of seconds {least}")
        return number

    return read


def name_values(option: str, pairs: Sequence[str] | None, form: str = "name=value") -> dict[str, str]:
    """Parse values of the form `name=value`.

    Args:
        option: The option that has them.
        pairs: The values.
        form: What one looks like.

    Raises:
        UsageError: A value has no name or no `=`, or a name is given twice.
    """
    found: dict[str, str] = {}
    for pair in pairs or ():
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise UsageError(f"{option} must be {form}, not {printable(pair)!r}")
        if name in found:
            raise UsageError(f"{option} {printable(name)} is given twice")
        found[name] = value
    return found
