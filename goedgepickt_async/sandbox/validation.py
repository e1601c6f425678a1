"""Input checked as Laravel checks it: rules for fields, all errors together, texts in Dutch."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Container, Iterable
from typing import Any, Final
from urllib.parse import urlsplit

import attrs

from goedgepickt_async.sandbox.world.table import parse_moment

TEXTS: Final = {
    "required": "{field} is verplicht.",
    "string": "{field} moet een tekst zijn.",
    "integer": "{field} moet een getal zijn.",
    "numeric": "{field} moet een nummer zijn.",
    "boolean": "{field} moet ja of nee zijn.",
    "array": "{field} moet een array zijn.",
    "date": "{field} moet een datum bevatten.",
    "url": "{field} moet een geldige URL zijn.",
    "in": "{field} is ongeldig.",
    "exists": "{field} bestaat niet.",
    "min": "{field} moet minimaal {minimum} zijn.",
    "unique": "{field} is al in gebruik.",
}


def spoken_name(field: str) -> str:
    """Return a field's name in words, as Laravel makes it: `orderItems.0.sku` becomes `Order items.0.sku`."""
    snake = re.sub(r"(?<=[^A-Z_.])([A-Z])", r"_\1", field).lower()
    words = snake.replace("_", " ")
    return words[:1].upper() + words[1:]


class Errors(dict[str, list[str]]):
    """Field name, with dots for what is nested, to what is wrong with it."""

    def add(self, field: str, rule: str, **values: object) -> None:
        self[field] = [TEXTS[rule].format(field=spoken_name(field), **values)]


_CODES: Final = (
    "ADAEAFAGAIALAMAOAQARASATAUAWAXAZBABBBDBEBFBGBHBIBJBLBMBNBOBQBRBSBTBVBWBYBZCACCCDCFCGCHCICKCLCMCNCOCRCUCVCWCX"
    "CYCZDEDJDKDMDODZECEEEGEHERESETFIFJFKFMFOFRGAGBGDGEGFGGGHGIGLGMGNGPGQGRGSGTGUGWGYHKHMHNHRHTHUIDIEILIMINIOIQIR"
    "ISITJEJMJOJPKEKGKHKIKMKNKPKRKWKYKZLALBLCLILKLRLSLTLULVLYMAMCMDMEMFMGMHMKMLMMMNMOMPMQMRMSMTMUMVMWMXMYMZNANCNE"
    "NFNGNINLNONPNRNUNZOMPAPEPFPGPHPKPLPMPNPRPSPTPWPYQARERORSRURWSASBSCSDSESGSHSISJSKSLSMSNSOSRSSSTSVSXSYSZTCTDTF"
    "TGTHTJTKTLTMTNTOTRTTTVTWTZUAUGUMUSUYUZVAVCVEVGVIVNVUWFWSYEYTZAZMZW"
)
COUNTRIES: Final = frozenset(re.findall("..", _CODES))


Rule = Callable[[Any], Any]
"""Returns the value as it is kept; raises `BrokenRule` if it cannot be."""

_NUMERIC: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_WHOLE: Final = re.compile(r"[+-]?(?:0|[1-9]\d{0,18})", re.ASCII)


class BrokenRule(Exception):  # noqa: N818 - it is no error of ours
    """A value breaks a rule; the rule's name leads to the text."""

    def __init__(self, rule: str, **values: object) -> None:
        super().__init__(rule)
        self.rule = rule
        self.values = values


@attrs.frozen
class Field:
    """One field of the input.

    A list of objects has the fields of each element in `items`, an object has its own in `fields`; the rule is not used
    then.
    """

    name: str
    rule: Rule = attrs.field(default=lambda value: value)
    required: bool = False
    items: tuple[Field, ...] = ()
    fields: tuple[Field, ...] = ()


def validate(fields: Iterable[Field], data: dict[str, Any], errors: Errors, prefix: str = "") -> dict[str, Any]:
    """Return the values that were given and hold, as they are kept, and add what is wrong to the errors.

    `data` is trimmed, with None for what was empty. Other fields are ignored, as Laravel does. `prefix` begins the
    names in the errors.
    """
    kept: dict[str, Any] = {}
    for field in fields:
        value, name = data.get(field.name), prefix + field.name
        if value is None or (field.required and value in ([], {})):
            if field.required:
                errors.add(name, "required")
            elif field.name in data:
                kept[field.name] = None
            continue
        try:
            kept[field.name] = _check(field, value, errors, name)
        except BrokenRule as broken:
            errors.add(name, broken.rule, **broken.values)
    return kept


def _check(field: Field, value: Any, errors: Errors, name: str) -> Any:
    if field.items:
        # A PHP array has any keys: one that does not count from 0 arrives as an object.
        if not isinstance(value, list | dict):
            raise BrokenRule("array")
        pairs = enumerate(value) if isinstance(value, list) else value.items()
        return [_check_object(field.items, item, errors, f"{name}.{key}") for key, item in pairs]
    if field.fields:
        return _check_object(field.fields, value, errors, name)
    return field.rule(value)


def _check_object(fields: tuple[Field, ...], value: Any, errors: Errors, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        errors.add(name, "array")
        return {}
    return validate(fields, value, errors, f"{name}.")


def text(value: Any) -> str:
    """Take text alone: a JSON number is refused, a form can send nothing else."""
    if not isinstance(value, str):
        raise BrokenRule("string")
    return value


def whole(minimum: int | None = None) -> Rule:
    """Take a whole number, as a number or as text."""

    def check(value: Any) -> int:
        number = _to_int(value)
        if number is None:
            raise BrokenRule("integer")
        if minimum is not None and number < minimum:
            raise BrokenRule("min", minimum=minimum)
        return number

    return check


def decimal(value: Any) -> str:
    """Take a number, or text that PHP reads as a number, and keep it as text."""
    is_number = type(value) is int or (isinstance(value, float) and math.isfinite(value))
    if not is_number and not (isinstance(value, str) and _NUMERIC.fullmatch(value)):
        raise BrokenRule("numeric")
    return str(value)


def boolean(value: Any) -> bool:
    """Take true and false, 1 and 0, as numbers or as text: Laravel refuses words such as `true`, `yes` and `on`."""
    if not isinstance(value, int | float | str) or value not in {0, 1, "0", "1"}:
        raise BrokenRule("boolean")
    return value not in {0, "0"}


def moment(value: Any) -> int:
    """Take an ISO date or date-time and keep its Unix second; without an offset it is Dutch local time."""
    try:
        second = parse_moment(str(value))
    except (ValueError, OverflowError) as problem:
        raise BrokenRule("date") from problem
    if not 0 <= second <= 4_102_444_800:  # what a database's TIMESTAMP can hold, about
        raise BrokenRule("date")
    return second


def url(value: Any) -> str:
    """Take an http or https URL."""
    address = text(value)
    try:
        parts = urlsplit(address)
    except ValueError as problem:
        raise BrokenRule("url") from problem
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise BrokenRule("url")
    return address


def one_of(values: Container[str]) -> Rule:
    """Take one of the values, letter for letter."""

    def check(value: Any) -> str:
        word = text(value)
        if word not in values:
            raise BrokenRule("in")
        return word

    return check


def known(find: Callable[[str], int | None]) -> Rule:
    """Take the uuid of something that exists, and keep its index."""

    def check(value: Any) -> int:
        index = find(text(value))
        if index is None:
            raise BrokenRule("exists")
        return index

    return check


def _to_int(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    if isinstance(value, str) and not _WHOLE.fullmatch(value):
        return None
    number = int(value) if not isinstance(value, float) or value.is_integer() else None
    return number if number is not None and -(2**63) <= number < 2**63 else None
