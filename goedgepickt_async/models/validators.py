"""Validation of what is sent: converters and validators of fields, and their errors."""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, TypeVar

import attrs

from goedgepickt_async.errors import Evidence, ValidationError
from goedgepickt_async.models.base import UNSET, OrderStatus, Unset, WebhookEvent, field_info
from goedgepickt_async.text import safe_repr

__all__ = [
    "COUNTRY_CODES",
    "FieldError",
    "amount",
    "aware_datetime",
    "coerce",
    "creation_status",
    "digits",
    "event",
    "is_request_model",
    "nullable_amount",
    "nullable_datetime",
    "nullable_text",
    "optional_amount",
    "optional_datetime",
    "optional_digits",
    "optional_flag",
    "optional_house_number",
    "optional_name",
    "optional_text",
    "quantity",
    "request_model",
    "text",
    "type_name",
    "validation_error",
]

_SHOWN: Final = 6
_KINDS: Final[dict[type, str]] = {
    bool: "true/false",
    int: "a number",
    float: "a float",
    str: "text",
    bytes: "bytes",
    type(None): "None",
}


class FieldError(Exception):
    """A value is not fit to be sent.

    Args:
        problems: What is wrong, by path below the checked value; the path of the value itself is the empty text.
    """

    def __init__(self, problems: str | Mapping[str, str]) -> None:
        super().__init__()
        self.problems: Mapping[str, str] = {"": problems} if isinstance(problems, str) else problems

    def prefixed(self, name: str) -> dict[str, str]:
        """The problems with paths that start at the field `name`."""
        return {join(name, path): text for path, text in self.problems.items()}


def join(name: str, path: str) -> str:
    """`lines` and `[2].quantity` are `lines[2].quantity`; `billing` and `country` are `billing.country`."""
    return name + path if not path or path.startswith("[") else f"{name}.{path}"


def type_name(value: object) -> str:
    """What kind of thing a value is; never the value, which may be personal."""
    return _KINDS.get(type(value), type(value).__name__)


def validation_error(
    cls: type[Any], problems: Mapping[str, str], why: str = "was refused before it was sent"
) -> ValidationError:
    """The error for input that was refused before a request was spent on it, with every bad field in it."""
    lines = [f"{path}: {text}" if path else text for path, text in problems.items()]
    if len(lines) > _SHOWN:
        lines[_SHOWN:] = [f"and {len(lines) - _SHOWN} more"]
    return ValidationError(
        f"{cls.__name__} {why}: {'; '.join(lines)}",
        fields={path: (text,) for path, text in problems.items()},
        evidence=Evidence.NOT_SENT,
    )


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
        raise FieldError(f"must be text, not {type_name(value)}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise FieldError("must be text that UTF-8 can carry") from None
    return str(value)


def text(value: str) -> str:
    """Text that says something."""
    kept = any_text(value)
    if not kept.strip():
        raise FieldError("must not be empty")
    return kept


def amount(value: Decimal | str | int) -> Decimal:
    """An exact decimal number of at most 12 digits before the point and 6 behind it.

    Floats are refused, because 0.1 is not exact. Text is refused unless it is a sign, digits, a point and digits. An
    exponent, a space, an underscore or a decimal comma is more often a mistake than an amount.
    """
    if isinstance(value, bool) or not isinstance(value, Decimal | str | int):
        raise FieldError(f"must be a Decimal, a whole number or text such as '12.34', not {type_name(value)}")
    if isinstance(value, str) and not _PLAIN_NUMBER.fullmatch(value):
        raise FieldError("must be plain decimal text such as '12.34'")
    kept = Decimal(value)
    exponent = kept.as_tuple().exponent
    if not isinstance(exponent, int):
        raise FieldError("must be a finite number")
    if kept.adjusted() >= _MOST_WHOLE_DIGITS or -exponent > _MOST_DECIMALS:
        raise FieldError(
            f"must have at most {_MOST_WHOLE_DIGITS} digits before the point and {_MOST_DECIMALS} behind it"
        )
    return kept


def aware_datetime(value: datetime | str) -> datetime:
    """A date and time that says which instant it is; also as ISO 8601 text with an offset, as `to_dict` writes it."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise FieldError("must be a datetime, or ISO 8601 text with an offset") from None
    if not isinstance(value, datetime):
        raise FieldError(f"must be a datetime, not {type_name(value)}")
    if value.utcoffset() is None:
        raise FieldError("must have a time zone; a naive datetime does not say which instant it is")
    if not _FIRST_YEAR <= value.year <= _LAST_YEAR:
        raise FieldError(f"must be of a year from {_FIRST_YEAR} to {_LAST_YEAR}")
    return value


def quantity(value: int) -> int:
    """A number of pieces, at least 1."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise FieldError(f"must be a whole number, not {type_name(value)}")
    if value < 1:
        raise FieldError("must be at least 1")
    return int(value)


def flag(value: bool) -> bool:  # noqa: FBT001 - a checker's one argument
    """True or False; other types are refused."""
    if not isinstance(value, bool):
        raise FieldError(f"must be True or False, not {type_name(value)}")
    return value


def house_number(value: str | int) -> str:
    """Text, as the API insists; a whole number is written as text (A)."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return any_text(value)  # type: ignore[arg-type]  # what is not text is refused there


def digits(value: str | int) -> str:
    """A number that the API requires as text."""
    kept = house_number(value)
    if not (kept.isascii() and kept.isdigit()):
        raise FieldError("must be text of digits only")
    return kept


def creation_status(value: OrderStatus | str) -> OrderStatus:
    """A status that an order can be created with (A/B)."""
    status = OrderStatus(any_text(value))
    if status not in _CREATION:
        raise FieldError(f"must be one of {', '.join(sorted(_CREATION))}")
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


def optional_datetime(value: datetime | Unset) -> datetime | Unset:
    """`aware_datetime`, or UNSET."""
    return _unless_unset(aware_datetime, value)


def nullable_datetime(value: datetime | Unset | None) -> datetime | Unset | None:
    """`aware_datetime`, None or UNSET."""
    return _unless_empty(aware_datetime, value)


def optional_flag(value: bool | Unset) -> bool | Unset:  # noqa: FBT001 - a checker's one argument
    """`flag`, or UNSET."""
    return _unless_unset(flag, value)


def optional_house_number(value: str | int | Unset) -> str | Unset:
    """`house_number`, or UNSET."""
    return _unless_unset(house_number, value)


def optional_digits(value: str | int | Unset) -> str | Unset:
    """`digits`, or UNSET."""
    return _unless_unset(digits, value)


_MARK: Final = "__goedgepickt_request_model__"


def request_model(cls: type[_T]) -> type[_T]:
    """Gives a keyword-only attrs class an `__init__` that checks every field and names every bad one.

    Type checkers keep seeing the `__init__` that attrs declares. Each field's attrs converter is its checker: it
    returns what is to be kept, or raises `FieldError`.

    Raises:
        ValidationError: (the new `__init__`) with `status` None and `fields` by dotted Python path. A missing or an
            unknown keyword is such a problem too, so that data from a file needs one except clause only.
    """

    @functools.wraps(cls.__init__)
    def init(self: Any, **given: Any) -> None:
        try:
            values = check(cls, given)
        except FieldError as error:
            problems = error.problems
        else:
            for name, value in values.items():
                object.__setattr__(self, name, value)
            return
        del given  # error trackers collect the local variables of what raises
        raise validation_error(cls, problems)

    cls.__init__ = init  # type: ignore[method-assign]
    setattr(cls, _MARK, True)
    return safe_repr(cls)


def is_request_model(cls: type[Any]) -> bool:
    """Whether a class is made to be sent."""
    return getattr(cls, _MARK, False) is True


def check(cls: type[Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The values that the fields of `cls` are to have.

    Raises:
        FieldError: Something is missing, unknown or wrong; all of it is named.
    """
    fields = {field.name: field for field in attrs.fields(cls)}
    problems = {name: f"{cls.__name__} has no such field{_hint(cls, name)}" for name in given if name not in fields}
    values: dict[str, Any] = {}
    for name, field in fields.items():
        value = given.get(name, field.default)
        if value is attrs.NOTHING:
            problems[name] = "is required"
            continue
        try:
            values[name] = value if field.converter is None else field.converter(value)
        except FieldError as error:
            problems.update(error.prefixed(name))
    if problems:
        raise FieldError(problems)
    return values


def _hint(cls: type[Any], name: str) -> str:
    """The Python name for a name of the API, or else the nearest Python name."""
    fields = attrs.fields(cls)
    wires = {info.sent: field.name for field in fields if (info := field_info(field.metadata)) is not None}
    near = difflib.get_close_matches(name[:64], [field.name for field in fields], 1)
    meant = wires.get(name) or (near[0] if near else None)
    return "" if meant is None else f"; did you mean {meant}?"


def coerce(cls: type[_T], value: object) -> _T:
    """`value` if it is a `cls` already, or the `cls` that a mapping of its fields describes.

    Raises:
        FieldError: It is neither, or the mapping's values are not fit to be sent.
    """
    if isinstance(value, cls):
        return value
    if not isinstance(value, Mapping):
        raise FieldError(f"must be a {cls.__name__} or a mapping of its fields, not {type_name(value)}")
    for_init = {str(name): part for name, part in value.items()}
    values = check(cls, for_init)
    made = object.__new__(cls)
    for name, part in values.items():
        object.__setattr__(made, name, part)
    return made


def coerce_input(cls: type[_T], value: object) -> _T:
    """`coerce`, for what a user gives to a call.

    Raises:
        ValidationError: It is neither a `cls` nor a mapping that describes one; nothing was sent.
    """
    try:
        return coerce(cls, value)
    except FieldError as error:
        problems = error.problems
    raise validation_error(cls, problems)


_BY_FIRST_LETTER: Final = """
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ
    BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ
    CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ
    DE DJ DK DM DO DZ
    EC EE EG EH ER ES ET
    FI FJ FK FM FO FR
    GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY
    HK HM HN HR HT HU
    ID IE IL IM IN IO IQ IR IS IT
    JE JM JO JP
    KE KG KH KI KM KN KP KR KW KY KZ
    LA LB LC LI LK LR LS LT LU LV LY
    MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ
    NA NC NE NF NG NI NL NO NP NR NU NZ
    OM
    PA PE PF PG PH PK PL PM PN PR PS PT PW PY
    QA
    RE RO RS RU RW
    SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ
    TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ
    UA UG UM US UY UZ
    VA VC VE VG VI VN VU
    WF WS
    YE YT
    ZA ZM ZW
"""

COUNTRY_CODES: Final = frozenset(_BY_FIRST_LETTER.split()) | {"XK"}
"""`XK` is of ISO's user-assigned range; carriers know Kosovo by it. Not in it: `UK` (it is `GB`), `EL` (`GR`)."""
