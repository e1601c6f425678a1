"""Values as the cells of a CSV file that no spreadsheet takes for a formula.

Text that begins with = + - @ (or their full-width twins), a tab, a line feed or a carriage return gets an apostrophe
before it; so does such text behind apostrophes, and nothing else (`'s-Hertogenbosch` stays as it is). A program that
reads the file gets the data back by taking one apostrophe away where `UNSAFE_ESCAPED` matches. Numbers of the model
(quantities, prices) are written bare, `-2` too; text that looks like a number is text.
"""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from typing import Any

__all__ = ["UNSAFE_ESCAPED", "cell", "unescape"]

_STARTS = "=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20"
_UNSAFE = re.compile(f"'*[{_STARTS}]")
UNSAFE_ESCAPED = re.compile(f"'+[{_STARTS}]")
"""What an escaped cell begins with."""


def cell(value: Any) -> str:
    """A value as the text of its cell."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case Decimal():
            return f"{value:f}"
        case int() | float():
            return str(value)
        case datetime():
            return value.isoformat()
    text = str(value)
    return "'" + text if _UNSAFE.match(text) else text


def unescape(text: str) -> str:
    """The text that a cell was made from."""
    return text[1:] if UNSAFE_ESCAPED.match(text) else text
