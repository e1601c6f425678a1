"""From models to plain values in Python names, for exports and logs of one's own."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import attrs

from goedgepickt_async.models import UNSET, OpenEnum, Secret

__all__ = ["field_names", "to_plain"]

_WIDEST_AMOUNT: Final = 64


def field_names(cls: type[Any]) -> tuple[str, ...]:
    """The Python names of a model's fields, in the order in which `to_plain` gives them."""
    return tuple(field.name for field in attrs.fields(cls))


def to_plain(model: Any) -> dict[str, Any]:
    """A model as values that JSON takes, under its Python names.

    Decimals become text, instants ISO 8601 with their offset, enumerations their text, secrets `***`; unknown wire
    keys stay below `extra`; fields that are UNSET are left out. Personal data is in it: it is what was asked for.
    """
    named = ((name, getattr(model, name)) for name in field_names(type(model)))
    return {name: _plain(value) for name, value in named if value is not UNSET}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_plain(part) for part in value]
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return _plain_scalar(value)


def _plain_scalar(value: Any) -> Any:
    if isinstance(value, Secret):
        return str(value)
    if isinstance(value, OpenEnum):
        return value.value
    if isinstance(value, Decimal):
        return _amount_text(value)
    if isinstance(value, datetime):
        return value.isoformat()
    return to_plain(value) if attrs.has(type(value)) else value


def _amount_text(value: Decimal) -> str:
    """`12.34`, without an exponent unless spelling it out would take pages of zeros, as only an answer can want it."""
    return f"{value:f}" if abs(value.adjusted()) < _WIDEST_AMOUNT else str(value)
