"""What the API writes where it has nothing to say. One such value must not make a whole list unreadable.

PHP has one array for lists and maps, so an empty one of either kind may be written as the other; MySQL has zero dates.
This is what is taken for nothing, and all that is:

| What belongs there | Read as None in a field that may be None |
|---|---|
| anything | null |
| a number, true or false, a uuid | the empty text |
| a date and time | the empty text; zero dates: `0000-00-00`, with or without a time, and `-0001-11-30…`, PHP's reading of it |
| an object | the empty text, `[]`, `{}` |

A list is empty if it is null, `{}` or the empty text. Nulls between the texts of a list are skipped. An empty text
where text or an enumeration belongs is that empty text.

Whatever else cannot be read stays refused (`DecodeError`), also in a field that may be None: no value is better than a
wrong one, and an error is better than a wrong number. Fields that must be there take nothing of this.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import attrs

from goedgepickt_async.models import Secret
from goedgepickt_async.models.wire_names import Identifier, Label

__all__ = ["is_empty_list", "nothing_for", "skips_nulls"]

# The second is what PHP's Carbon makes of the first, in UTC or from Amsterdam's local mean time.
_ZERO_DATE: Final = re.compile(
    r"(?:0000-00-00|-0001-11-(?:29|30))(?:[T ][0-9:.]+(?:Z|[+-][0-9]{2}:?[0-9]{2})?)?", re.ASCII
)


def nothing_for(tp: Any) -> Callable[[Any], bool]:
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
