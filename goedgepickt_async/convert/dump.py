"""Conversion of models to the JSON of a request, and to plain rows for exports."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, get_args

import attrs

from goedgepickt_async.models import UNSET, OpenEnum, serialization
from goedgepickt_async.models.base import AMSTERDAM, FieldInfo, field_info
from goedgepickt_async.models.validators import is_request_model

__all__ = ["encode", "field_names", "python_name", "to_plain"]


def encode(model: Any) -> dict[str, Any]:
    """Return the body of a request, as values for `json.dumps`.

    Fields that are UNSET are left out, and None is null. Decimals become text (`"12.34"`), times become Dutch local
    time (`2026-11-01 09:30:00`, A), and addresses become flat keys. The API accepts no offset. So in the repeated hour
    in autumn, two times an hour apart are the same text.

    Args:
        model: A model that is sent: `NewOrder`, `NewProduct`, `ProductUpdate`, `NewWebhook` or a part of one.

    Returns:
        A new dict with the API's names.

    Raises:
        TypeError: The model is not one that is sent.
    """
    if not is_request_model(type(model)):
        raise TypeError(f"{type(model).__name__} is not a model that is sent")
    return _body_of(model)


def _body_of(model: Any) -> dict[str, Any]:
    body: dict[str, Any] = {}
    for wire, value in _sent(model):
        if wire.is_flat:
            body |= {wire.sent + part.sent: text for part, text in _sent(value) if text is not None}
        else:
            body[wire.sent] = _json(value)
    return body


def _sent(model: Any) -> Iterator[tuple[FieldInfo, Any]]:
    for field in attrs.fields(type(model)):
        wire = field_info(field.metadata)
        value = getattr(model, field.name)
        if wire is not None and value is not UNSET:
            yield wire, value


def _json(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return value.astimezone(AMSTERDAM).replace(tzinfo=None).isoformat(" ", "seconds")
    if isinstance(value, OpenEnum):
        return value.value
    if isinstance(value, tuple):
        return [_json(part) for part in value]
    return _body_of(value) if attrs.has(type(value)) else value


def field_names(cls: type[Any]) -> tuple[str, ...]:
    """Return the Python names of a model's fields, in the order of `to_plain`."""
    return tuple(field.name for field in attrs.fields(cls))


def to_plain(model: Any) -> dict[str, Any]:
    """Return a model or an event as values for `json.dumps`, with its Python names: what `Model.to_dict` returns."""
    plain: dict[str, Any] = serialization.to_plain(model)
    return plain


_SEPARATOR: Final = re.compile(r"[.\[\]]+")


def python_name(cls: type[Any], path: str) -> str:
    """Return the Python path of an API field, as in `ValidationError.fields`.

    Args:
        cls: The class of a model that is sent.
        path: The path in Laravel's form: `billingHouseNumber`, `orderItems.0.sku`.

    Returns:
        The path, such as `billing.house_number` or `lines[0].sku`; an unknown name stays unchanged.
    """
    python = ""
    model: type[Any] | None = cls
    for part in filter(None, _SEPARATOR.split(path)):
        if part.isdigit():
            python += f"[{part}]"
            continue
        name, model = (part, None) if model is None else _names(model).get(part.lower(), (part, None))
        python += f".{name}" if python else name
    return python or path


def _names(cls: type[Any]) -> dict[str, tuple[str, type[Any] | None]]:
    """The API's name in lower case -> Python path, and the model below it."""
    attrs.resolve_types(cls)
    names: dict[str, tuple[str, type[Any] | None]] = {}
    for field in attrs.fields(cls):
        wire = field_info(field.metadata)
        below = _model_in(field.type)
        if wire is not None and wire.is_flat and below is not None:
            parts = _names(below).items()
            names |= {wire.sent.lower() + name: (f"{field.name}.{path}", inner) for name, (path, inner) in parts}
        elif wire is not None:
            names[wire.sent.lower()] = (field.name, below)
    return names


def _model_in(tp: Any) -> type[Any] | None:
    if isinstance(tp, type) and attrs.has(tp):
        return tp
    return next((model for arg in get_args(tp) if (model := _model_in(arg)) is not None), None)
