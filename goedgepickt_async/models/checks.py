"""The checkers of scalar fields that are sent: each returns what is to be kept, or raises `Refused`.

Named by what they take: `text` is required and not empty; `optional_…` also takes UNSET (not sent); `nullable_…` also
takes None (sent as null, which empties the field). Type checkers read the arguments' types off these functions.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, TypeVar

from goedgepickt_async.models.enumerations import OrderStatus, WebhookEvent
from goedgepickt_async.models.refusal import Refused, describe
from goedgepickt_async.models.unset import UNSET, Unset

__all__ = [
    "amount",
    "creation_status",
    "digits",
    "event",
    "moment",
    "nullable_amount",
    "nullable_moment",
    "nullable_text",
    "optional_amount",
    "optional_digits",
    "optional_flag",
    "optional_house_number",
    "optional_moment",
    "optional_name",
    "optional_text",
    "quantity",
    "text",
]

_T = TypeVar("_T")
_FIRST_YEAR: Final = 1900
_LAST_YEAR: Final = 9998  # the last one that every time zone can express
_PLAIN_NUMBER: Final = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?", re.ASCII)
_MOST_WHOLE_DIGITS: Final = 12
_MOST_DECIMALS: Final = 6
_CREATION: Final = frozenset(
    {OrderStatus.OPEN, OrderStatus.ON_HOLD, OrderStatus.COMPLETED, OrderStatus.CANCELLED},
)


def any_text(value: str) -> str:
    """Text, also the empty one."""
    if not isinstance(value, str):
        raise Refused(f"must be text, not {describe(value)}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Refused("must be text that UTF-8 can carry") from None
    return str(value)


def text(value: str) -> str:
    """Text that says something."""
    kept = any_text(value)
    if not kept.strip():
        raise Refused("must not be empty")
    return kept


def amount(value: Decimal | str | int) -> Decimal:
    """An exact decimal number of at most 12 digits before the point and 6 behind it.

    Floats are refused: 0.1 is not what it says. So is text that is more than a sign, digits, a point and digits: an
    exponent, a space, an underscore or a decimal comma is more often a mistake than an amount.
    """
    if isinstance(value, bool) or not isinstance(value, Decimal | str | int):
        raise Refused(f"must be a Decimal, a whole number or text such as '12.34', not {describe(value)}")
    if isinstance(value, str) and not _PLAIN_NUMBER.fullmatch(value):
        raise Refused("must be plain decimal text such as '12.34'")
    kept = Decimal(value)
    exponent = kept.as_tuple().exponent
    if not isinstance(exponent, int):
        raise Refused("must be a finite number")
    if kept.adjusted() >= _MOST_WHOLE_DIGITS or -exponent > _MOST_DECIMALS:
        raise Refused(f"must have at most {_MOST_WHOLE_DIGITS} digits before the point and {_MOST_DECIMALS} behind it")
    return kept


def moment(value: datetime) -> datetime:
    """A date and time that says which instant it is."""
    if not isinstance(value, datetime):
        raise Refused(f"must be a datetime, not {describe(value)}")
    if value.utcoffset() is None:
        raise Refused("must have a time zone; a naive datetime does not say which instant it is")
    if not _FIRST_YEAR <= value.year <= _LAST_YEAR:
        raise Refused(f"must be of a year from {_FIRST_YEAR} to {_LAST_YEAR}")
    return value


def quantity(value: int) -> int:
    """A number of pieces, at least 1."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise Refused(f"must be a whole number, not {describe(value)}")
    if value < 1:
        raise Refused("must be at least 1")
    return int(value)


def flag(value: bool) -> bool:  # noqa: FBT001 - a checker's one argument
    """True or False, and nothing that merely behaves alike."""
    if not isinstance(value, bool):
        raise Refused(f"must be True or False, not {describe(value)}")
    return value


def house_number(value: str | int) -> str:
    """Text, as the API insists; a whole number is written as text (A)."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return any_text(value)  # type: ignore[arg-type]  # what is no text is refused there


def digits(value: str | int) -> str:
    """A number that the API wants as text."""
    kept = house_number(value)
    if not (kept.isascii() and kept.isdigit()):
        raise Refused("must be text of digits only")
    return kept


def creation_status(value: OrderStatus | str) -> OrderStatus:
    """A status that an order can be created with (A/B)."""
    status = OrderStatus(any_text(value))
    if status not in _CREATION:
        raise Refused(f"must be one of {', '.join(sorted(_CREATION))}")
    return status


def event(value: WebhookEvent | str) -> WebhookEvent:
    """An event to subscribe to; an unknown one is the caller's to know."""
    return WebhookEvent(text(value))


def _unless_unset(check: Callable[[Any], _T], value: Any) -> _T | Unset:
    return UNSET if value is UNSET else check(value)


def _unless_empty(check: Callable[[Any], _T], value: Any) -> _T | Unset | None:
    return None if value is None else _unless_unset(check, value)


def optional_text(value: str | Unset) -> str | Unset:
    """`any_text`, or UNSET."""
    return _unless_unset(any_text, value)


def optional_name(value: str | Unset) -> str | Unset:
    """`text`, or UNSET."""
    return _unless_unset(text, value)


def nullable_text(value: str | Unset | None) -> str | Unset | None:
    """`any_text`, None or UNSET."""
    return _unless_empty(any_text, value)


def optional_amount(value: Decimal | str | int | Unset) -> Decimal | Unset:
    """`amount`, or UNSET."""
    return _unless_unset(amount, value)


def nullable_amount(value: Decimal | str | int | Unset | None) -> Decimal | Unset | None:
    """`amount`, None or UNSET."""
    return _unless_empty(amount, value)


def optional_moment(value: datetime | Unset) -> datetime | Unset:
    """`moment`, or UNSET."""
    return _unless_unset(moment, value)


def nullable_moment(value: datetime | Unset | None) -> datetime | Unset | None:
    """`moment`, None or UNSET."""
    return _unless_empty(moment, value)


def optional_flag(value: bool | Unset) -> bool | Unset:  # noqa: FBT001 - a checker's one argument
    """`flag`, or UNSET."""
    return _unless_unset(flag, value)


def optional_house_number(value: str | int | Unset) -> str | Unset:
    """`house_number`, or UNSET."""
    return _unless_unset(house_number, value)


def optional_digits(value: str | int | Unset) -> str | Unset:
    """`digits`, or UNSET."""
    return _unless_unset(digits, value)
