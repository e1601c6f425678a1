"""Whether two values say the same, however they are written. Pure.

The API writes amounts as text, identifiers as text or numbers, flags as 0 and 1, and nothing as null, as an empty text or
not at all; Laravel trims texts and makes empty ones null. So a comparison by text would find changes for ever.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any, Final

from goedgepickt_async.models import OpenEnum

__all__ = ["AMOUNTS", "FLAGS", "meaning", "plain", "say_the_same"]

AMOUNTS: Final = frozenset({"price"})
FLAGS: Final = frozenset({"stock_management"})
_WORDS: Final = {"0": False, "1": True, "false": False, "true": True}


def say_the_same(field: str, one: Any, other: Any) -> bool:
    """Whether two values of a product's field mean the same."""
    return bool(meaning(field, one) == meaning(field, other))


def meaning(field: str, value: Any) -> Any:
    """What a value says; None for nothing."""
    text = value.strip() if isinstance(value, str) else value
    if text is None or text == "":
        return None
    if field in AMOUNTS:
        return _amount(text)
    if field in FLAGS:
        return _WORDS.get(str(text).lower(), text)
    return str(text)


def plain(value: Any) -> Any:
    """A value of a product as JSON takes it."""
    if isinstance(value, Decimal):
        return format(value, "f")
    return value.value if isinstance(value, OpenEnum) else value


def _amount(value: Any) -> Any:
    try:
        return Decimal(str(value))
    except InvalidOperation:
        return value
