"""Validation of models that are sent: converters of fields, and their errors."""

from __future__ import annotations

import difflib
import functools
import itertools
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, TypeVar

import attrs

from goedgepickt_async.errors import Evidence, ValidationError
from goedgepickt_async.models.base import UNSET, OrderStatus, Unset, WebhookEvent, field_info
from goedgepickt_async.text import as_name, limited_fields, safe_repr

__all__ = [
    "COUNTRY_CODES",
    "FieldError",
    "amount",
    "aware_datetime",
    "check_each",
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
    "whole",
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
    """A value is not valid for the API.

    Args:
        problems: The problems by path below the checked value. The path of the value itself is the empty text.
    """

    def __init__(self, problems: str | Mapping[str, str]) -> None:
        super().__init__()
        self.problems: Mapping[str, str] = {"": problems} if isinstance(problems, str) else problems

    def prefixed(self, name: str) -> dict[str, str]:
        """Return the problems with paths that start with the field `name`."""
        return {join(name, path): text for path, text in self.problems.items()}


def join(name: str, path: str) -> str:
    """Join two paths, such as `lines` and `[2].quantity`, or `billing` and `country` to `billing.country`."""
    return name + path if not path or path.startswith("[") else f"{name}.{path}"


def type_name(value: object) -> str:
    """The type of a value, without the value, which may be personal data."""
    return _KINDS.get(type(value), type(value).__name__)


def validation_error(
    cls: type[Any], problems: Mapping[str, str], why: str = "is not valid and was not sent"
) -> ValidationError:
    """The error for input that was refused before a request was sent, with the problem of each field."""
    fields = limited_fields(problems)  # the names of unknown fields are the caller's: any text, any number
    lines = [f"{path}: {text}" if path else text for path, (text,) in itertools.islice(fields.items(), _SHOWN)]
    if len(problems) > _SHOWN:
        lines.append(f"and {len(problems) - _SHOWN:,} more")
    return ValidationError(f"{cls.__name__} {why}: {'; '.join(lines)}", fields=fields, evidence=Evidence.NOT_SENT)


_T = TypeVar("_T")
_FIRST_YEAR: Final = 1900
_LAST_YEAR: Final = 9998  # the last year that can be expressed in every time zone
_PLAIN_NUMBER: Final = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?", re.ASCII)
_MOST_WHOLE_DIGITS: Final = 12
_MOST_DECIMALS: Final = 6
_CREATION: Final = frozenset(
    {OrderStatus.OPEN, OrderStatus.ON_HOLD, OrderStatus.COMPLETED, OrderStatus.CANCELLED},
)


def any_text(value: str) -> str:
    """Check for text, which may be empty."""
    if not isinstance(value, str):
        raise FieldError(f"must be text, not {type_name(value)}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise FieldError("must be valid Unicode text, without half a surrogate pair") from None
    return str(value)


def text(value: str) -> str:
    """Check for text that is not empty."""
    kept = any_text(value)
    if not kept.strip():
        raise FieldError("must not be empty")
    return kept


def amount(value: Decimal | str | int) -> Decimal:
    """Check for a decimal number with at most 12 digits before the point and 6 after it.

    Floats are refused, because 0.1 is not exact. Text may have a sign, digits, a point and digits. An exponent, a
    space, an underscore or a decimal comma is refused, because it is usually a mistake.
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
            f"must have at most {_MOST_WHOLE_DIGITS} digits before the point and {_MOST_DECIMALS} after it"
        )
    return kept


def aware_datetime(value: datetime | str) -> datetime:
    """Check for a datetime with a time zone, or ISO 8601 text with an offset, as `to_dict` writes it."""
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
        raise FieldError(f"must have a year from {_FIRST_YEAR} to {_LAST_YEAR}")
    return value


def quantity(value: int) -> int:
    """Check for a number of pieces, at least 1."""
    kept = whole(value)
    if kept < 1:
        raise FieldError("must be at least 1")
    return kept


def whole(value: int) -> int:
    """Check for a whole number of at most 12 digits, which every JSON reader keeps exactly."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise FieldError(f"must be a whole number, not {type_name(value)}")
    if abs(value) >= 10**_MOST_WHOLE_DIGITS:
        raise FieldError(f"must have at most {_MOST_WHOLE_DIGITS} digits")
    return int(value)


def flag(value: bool) -> bool:  # noqa: FBT001 - a checker's one argument
    """Check for True or False; other types are refused."""
    if not isinstance(value, bool):
        raise FieldError(f"must be True or False, not {type_name(value)}")
    return value


def house_number(value: str | int) -> str:
    """Return the house number as text, as the API requires; a whole number becomes text (A)."""
    if isinstance(value, int) and not isinstance(value, bool):
        try:
            return str(value)
        except ValueError:
            raise FieldError("must have fewer digits") from None
    return any_text(value)  # type: ignore[arg-type]  # `text` refuses other types


def digits(value: str | int) -> str:
    """Return a number as text, as the API requires."""
    kept = house_number(value)
    if not (kept.isascii() and kept.isdigit()):
        raise FieldError("must be text of digits only")
    return kept


def creation_status(value: OrderStatus | str) -> OrderStatus:
    """Check for a status that is allowed for a new order (A/B)."""
    status = OrderStatus(any_text(value))
    if status not in _CREATION:
        raise FieldError(f"must be one of {', '.join(sorted(_CREATION))}")
    return status


def event(value: WebhookEvent | str) -> WebhookEvent:
    """Check for a webhook event; unknown events are accepted."""
    return WebhookEvent(text(value))


def _unless_unset(check: Callable[[Any], _T], value: Any) -> _T | Unset:
    return UNSET if value is UNSET else check(value)


def _unless_empty(check: Callable[[Any], _T], value: Any) -> _T | Unset | None:
    return None if value is None else _unless_unset(check, value)


def optional_text(value: str | Unset) -> str | Unset:
    return _unless_unset(any_text, value)


def optional_name(value: str | Unset) -> str | Unset:
    return _unless_unset(text, value)


def nullable_text(value: str | Unset | None) -> str | Unset | None:
    return _unless_empty(any_text, value)


def optional_amount(value: Decimal | str | int | Unset) -> Decimal | Unset:
    return _unless_unset(amount, value)


def nullable_amount(value: Decimal | str | int | Unset | None) -> Decimal | Unset | None:
    return _unless_empty(amount, value)


def optional_datetime(value: datetime | Unset) -> datetime | Unset:
    return _unless_unset(aware_datetime, value)


def nullable_datetime(value: datetime | Unset | None) -> datetime | Unset | None:
    return _unless_empty(aware_datetime, value)


def optional_flag(value: bool | Unset) -> bool | Unset:  # noqa: FBT001 - a checker's one argument
    return _unless_unset(flag, value)


def optional_house_number(value: str | int | Unset) -> str | Unset:
    return _unless_unset(house_number, value)


def optional_digits(value: str | int | Unset) -> str | Unset:
    return _unless_unset(digits, value)


_MARK: Final = "__goedgepickt_request_model__"


def request_model(cls: type[_T]) -> type[_T]:
    """A class decorator: the `__init__` of a keyword-only attrs class checks all fields and reports all problems.

    Type checkers see the `__init__` that attrs declares. The attrs converter of a field checks it: it returns the value
    to keep, or raises `FieldError`.

    Raises:
        ValidationError: (the new `__init__`) with `status` None and `fields` by Python path. Missing and unknown
            keywords are in `fields` too, so data from a file needs only one except clause.
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
        del given  # error trackers collect local variables
        raise validation_error(cls, problems)

    cls.__init__ = init  # type: ignore[method-assign]
    setattr(cls, _MARK, True)
    return safe_repr(cls)


def is_request_model(cls: type[Any]) -> bool:
    """Whether a class is sent to the API."""
    return getattr(cls, _MARK, False) is True


def check(cls: type[Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the checked values for the fields of `cls`.

    Raises:
        FieldError: A value is missing, unknown or not valid; the error has all problems.
    """
    fields = {field.name: field for field in attrs.fields(cls)}
    unknown = [name for name in given if name not in fields]
    problems = dict.fromkeys(unknown, f"{cls.__name__} has no such field")
    for name in unknown[:_SHOWN]:  # a hint takes time, and the message does not show more
        problems[name] += _hint(cls, name)
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
    """Return the Python name for a name of the API, or else the most similar Python name."""
    fields = attrs.fields(cls)
    wires = {info.sent: field.name for field in fields if (info := field_info(field.metadata)) is not None}
    near = difflib.get_close_matches(name[:64], [field.name for field in fields], 1)
    meant = wires.get(name) or (near[0] if near else None)
    return "" if meant is None else f"; did you mean {meant}?"


def check_each(values: Iterable[Any], check_one: Callable[[Any], _T]) -> tuple[_T, ...]:
    """Return the checked values of a list.

    Raises:
        FieldError: Values are not valid; the error has all problems, each with the index of its value.
    """
    checked: list[_T] = []
    problems: dict[str, str] = {}
    for index, value in enumerate(values):
        try:
            checked.append(check_one(value))
        except FieldError as error:
            problems.update(error.prefixed(f"[{index}]"))
    if problems:
        raise FieldError(problems)
    return tuple(checked)


def coerce(cls: type[_T], value: object) -> _T:
    """Return the value if it is a `cls`, or make a `cls` from a mapping of its fields.

    Raises:
        FieldError: The value is neither, or a value of the mapping is not valid.
    """
    if isinstance(value, cls):
        return value
    if not isinstance(value, Mapping):
        raise FieldError(f"must be a {cls.__name__} or a mapping of its fields, not {type_name(value)}")
    values = check(cls, {as_name(name): part for name, part in value.items()})
    made = object.__new__(cls)
    for name, part in values.items():
        object.__setattr__(made, name, part)
    return made


def coerce_input(cls: type[_T], value: object) -> _T:
    """`coerce`, for the argument of a call.

    Raises:
        ValidationError: The value is neither a `cls` nor a valid mapping; nothing was sent.
    """
    try:
        return coerce(cls, value)
    except FieldError as error:
        problems = error.problems
    del value  # error trackers collect local variables
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
"""`XK` (Kosovo) is a user-assigned code that carriers use. `UK` and `EL` are not valid: the codes are `GB` and `GR`."""
