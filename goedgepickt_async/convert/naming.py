"""From the wire names in a server's complaint to the Python names of a model that was sent."""

from __future__ import annotations

import re
from typing import Any, Final, get_args

import attrs

from goedgepickt_async.models.wire_names import wire_of

__all__ = ["python_name"]

_SEPARATOR: Final = re.compile(r"[.\[\]]+")


def python_name(cls: type[Any], path: str) -> str:
    """The Python path of a wire field, as `ValidationError.fields` has it.

    Args:
        cls: A model that is sent.
        path: As Laravel writes it: `billingHouseNumber`, `orderItems.0.sku`.

    Returns:
        `billing.house_number`, `lines[0].sku`; what is unknown stays as it is.
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
    """Wire name (any case) -> Python path, and the model below it."""
    attrs.resolve_types(cls)
    names: dict[str, tuple[str, type[Any] | None]] = {}
    for field in attrs.fields(cls):
        wire = wire_of(field.metadata)
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
