"""Hypothesis strategies for models that the API can send and models that you can send."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from types import NoneType
from typing import Any, Final, TypeVar, get_args, get_origin
from zoneinfo import ZoneInfo

import attrs

from goedgepickt_async.errors import ConfigurationError
from goedgepickt_async.models import UNSET, Address, OpenEnum, Secret, Unset
from goedgepickt_async.models.base import Identifier, Label
from goedgepickt_async.models.serialization import Model, members
from goedgepickt_async.models.validators import COUNTRY_CODES, is_request_model

try:
    from hypothesis import strategies as st
    from hypothesis.strategies import SearchStrategy
except ImportError:
    raise ConfigurationError("goedgepickt_async.testing.strategies needs hypothesis: pip install hypothesis") from None

__all__ = ["for_model"]

M = TypeVar("M", bound=Model)

_ZONES: Final = st.sampled_from([ZoneInfo("Europe/Amsterdam"), UTC])
_TEXTS: Final = st.text(st.characters(codec="utf-8"), max_size=8)
_NAMES: Final = _TEXTS.filter(str.strip)
_COUNTRIES: Final = st.sampled_from(sorted(COUNTRY_CODES))
_JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
_READ: Final[Mapping[Any, SearchStrategy[Any]]] = {
    str: _TEXTS,
    Identifier: _TEXTS.filter(bool),
    Label: _TEXTS,
    int: st.integers(-(10**12), 10**12),
    bool: st.booleans(),
    Decimal: st.decimals(allow_nan=False, allow_infinity=False),
    datetime: st.datetimes(timezones=_ZONES),
    Secret: _TEXTS.filter(lambda text: text != "***").map(Secret),
}
_SENT: Final[Mapping[Any, SearchStrategy[Any]]] = {
    str: _NAMES,
    int: st.integers(1, 10**6),
    bool: st.booleans(),
    Decimal: st.decimals(-(10**6), 10**6, places=2),
    datetime: st.datetimes(datetime(1901, 1, 1), datetime(2999, 1, 1), timezones=_ZONES),  # noqa: DTZ001
    Address: st.builds(Address, city=_TEXTS, country=_COUNTRIES, house_number=_TEXTS, house_number_addition=_TEXTS),
}
_SENT_FIELDS: Final[Mapping[str, SearchStrategy[Any]]] = {
    "status": st.sampled_from(["open", "on_hold", "completed", "cancelled"]),
    "country": _COUNTRIES,
    "carrier": st.integers(1, 99).map(str),
}


def for_model(cls: type[M], /, **fields: SearchStrategy[Any]) -> SearchStrategy[M]:
    """Return a strategy for a model, with unknown statuses and keys, and both hours of the clock change.

    Args:
        cls: The class, such as `Order` or `NewOrder`.
        **fields: Strategies for single fields: `for_model(Order, status=st.just(OrderStatus.OPEN))`.

    Raises:
        ConfigurationError: The class is not a model.
        TypeError: The model has no such field.
    """
    if not (isinstance(cls, type) and issubclass(cls, Model) and attrs.has(cls)):
        raise ConfigurationError("for_model needs the class of a model, such as Order")
    attrs.resolve_types(cls)
    known = {field.name: field for field in attrs.fields(cls)}
    if unknown := fields.keys() - known.keys():
        raise TypeError(f"{cls.__name__} has no field {', '.join(sorted(unknown))}")
    sent = is_request_model(cls)
    made = {name: _of_type(field.type, _SENT if sent else _READ) for name, field in known.items()}
    if sent:
        special = {name: strategy for name, strategy in _SENT_FIELDS.items() if name in known}
        made |= {name: _optional(known[name].type, strategy) for name, strategy in special.items()}
    build: Any = cls
    return st.builds(build, **made | fields)


def _optional(annotation: Any, strategy: SearchStrategy[Any]) -> SearchStrategy[Any]:
    """The values of an annotation's main type, and None and `UNSET` where it allows them."""
    args = get_args(annotation)
    if Unset in args:
        strategy = st.just(UNSET) | strategy
    return st.none() | strategy if NoneType in args else strategy


def _of_type(annotation: Any, scalars: Mapping[Any, SearchStrategy[Any]]) -> SearchStrategy[Any]:
    if annotation is Any:
        return _JSON
    kind = members(annotation)[0]
    if kind in scalars:
        made = scalars[kind]
    elif get_origin(kind) is tuple:
        parts = st.lists(_of_type(get_args(kind)[0], scalars), min_size=int(scalars is _SENT), max_size=2)
        made = parts.map(tuple)
    elif get_origin(kind) is dict:
        made = st.dictionaries(_TEXTS.map(lambda text: f"x{text}"), _JSON, max_size=2)
    elif issubclass(kind, OpenEnum):
        made = st.sampled_from(list(kind)) | (_NAMES if scalars is _SENT else _TEXTS).map(kind)
    else:
        made = for_model(kind)
    return _optional(annotation, made)
