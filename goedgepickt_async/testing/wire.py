"""Read models as the API would write them, and changed by the names of their fields."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

import attrs

from goedgepickt_async.convert import decode
from goedgepickt_async.models import OpenEnum, Secret
from goedgepickt_async.models.wire_names import Wire, wire_of

__all__ = ["changed", "to_wire"]

T = TypeVar("T")


def to_wire(model: Any) -> dict[str, Any]:
    """A model that is read, as the JSON-ready object that the API would answer.

    Decimals are texts, as the API writes money; instants carry their offset; what is in `extra` stands beside the rest.

    Args:
        model: An `Order`, a `Product`, a `Shipment`, or another attrs class of this package that is read.

    Returns:
        A new dict with wire names. Reading it gives an equal model.

    Raises:
        TypeError: It is no such model.
    """
    if not attrs.has(type(model)):
        raise TypeError(f"{type(model).__name__} is no model")
    body: dict[str, Any] = {}
    for name, wire in _wires(type(model)).items():
        body |= _written(wire, getattr(model, name))
    return body | getattr(model, "extra", {})


def changed(model: T, changes: Mapping[str, Any]) -> T:
    """A model with some fields replaced, read as if the API had answered it so: what comes out is always valid.

    Args:
        model: A model that is read.
        changes: Field names and values: of the field's own type, or as JSON has it; for a field that holds a model, a
            mapping changes that one. `extra` is what the API sent besides.

    Raises:
        TypeError: There is no such field.
        DecodeError: No API could answer this.
    """
    cls = type(model)
    wires = _wires(cls)
    unknown = sorted(changes.keys() - wires.keys() - {"extra"})
    if unknown:
        raise TypeError(f"{cls.__name__} has no {', '.join(unknown)}; it has {', '.join(sorted(wires))}")
    body = to_wire(model)
    for name in wires.keys() & changes.keys():
        present, value = getattr(model, name), changes[name]
        if isinstance(value, Mapping) and attrs.has(type(present)):
            value = changed(present, value)
        body |= _written(wires[name], value)
    return decode(body | changes.get("extra", {}), cls)


def _wires(cls: Any) -> dict[str, Wire]:
    found = {field.name: wire_of(field.metadata) for field in attrs.fields(cls)}
    return {name: wire for name, wire in found.items() if wire is not None}


def _written(wire: Wire, value: Any) -> dict[str, Any]:
    if not wire.is_flat:
        return {wire.name: _json(value)}
    return {wire.name + key: part for key, part in to_wire(value).items()}


def _json(value: Any) -> Any:
    match value:
        case Decimal():
            return format(value, "f")
        case datetime():
            return value.isoformat()
        case OpenEnum():
            return value.value
        case Secret():
            return value.reveal()
        case tuple() | list():
            return [_json(part) for part in value]
    return to_wire(value) if attrs.has(type(value)) else value
