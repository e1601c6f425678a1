"""The detailed path: cattrs' own generated functions, and every problem with its place in wire names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import attrs
from cattrs import AttributeValidationNote, ClassValidationError, Converter, IterableValidationError
from cattrs.gen import make_dict_structure_fn, override

from goedgepickt_async.convert.mismatch import Mismatch, mismatch
from goedgepickt_async.convert.novelty import notice_unknown
from goedgepickt_async.convert.read_plan import ReadField, ReadPlan
from goedgepickt_async.models.wire_names import Wire, wire_of

__all__ = ["generate_class", "problems_of"]


def generate_class(plan: ReadPlan, converter: Converter) -> Callable[..., Any]:
    """The structure function of a class by way of cattrs' own generator."""
    names: dict[str, Any] = {field.name: override(rename=field.wire.name) for field in plan.fields}
    names |= {field.name: override(rename=field.wire.name) for field in plan.flat}
    if plan.keeps_extra:
        names["extra"] = override(struct_hook=lambda value, _: value)
    generated = make_dict_structure_fn(
        plan.cls, converter, _cattrs_detailed_validation=converter.detailed_validation, **names
    )

    def structure(value: Any, _: Any = None) -> Any:
        if value.__class__ is not dict:
            mismatch("an object", value)
        return generated(_canonical(value, plan), plan.cls)

    return structure


def _canonical(data: dict[str, Any], plan: ReadPlan) -> dict[str, Any]:
    """The object with one spelling for each field, flat parts as objects of their own, unknown keys below `extra`."""
    found: dict[str, Any] = {}
    for part in plan.flat:
        prefix = part.wire.name
        found[prefix] = {key.removeprefix(prefix): data[key] for key in data if key.startswith(prefix)}
    for field in plan.fields:
        key = _key_of(field, data)
        if key is not None:
            found[field.wire.name] = data[key]
    if plan.keeps_extra:
        extra = found["extra"] = {key: value for key, value in data.items() if key not in plan.known}
        notice_unknown(extra, plan.cls)
    return found


def _key_of(field: ReadField, data: dict[str, Any]) -> str | None:
    """The first of a field's keys that is there and not null; else one that is there; else None."""
    there = [key for key in (field.wire.name, *field.wire.aliases) if key in data]
    return next((key for key in there if data[key] is not None), there[0] if there else None)


def problems_of(error: BaseException, path: str, joint: str = ".") -> Iterator[str]:
    """One line for each bad value below `path`: `$.items[3].totalPaid: expected …`. It never holds the value."""
    if isinstance(error, ClassValidationError):
        yield from _problems_of_object(error, path, joint)
    elif isinstance(error, IterableValidationError):
        noted, plain = error.group_exceptions()
        for part, note in noted:
            yield from problems_of(part, f"{path}[{note.index}]")
        for part in plain:
            yield from problems_of(part, path)
    elif isinstance(error, Mismatch):
        yield f"{path}: {error}"
    else:
        # The text of an error that is not ours may quote the value.
        yield f"{path}: could not be read ({type(error).__name__})"


def _problems_of_object(error: ClassValidationError, path: str, joint: str) -> Iterator[str]:
    noted, plain = error.group_exceptions()
    for part, note in noted:
        wire = _wire_in(error.cl, note)
        below = f"{path}{joint}{wire.name}"
        if isinstance(part, KeyError) and part.args == (wire.name,):
            yield f"{below}: required, but missing"
        else:
            yield from problems_of(part, below, "" if wire.is_flat else ".")
    for part in plain:
        yield from problems_of(part, path)


def _wire_in(cls: type[Any], note: AttributeValidationNote) -> Wire:
    attribute = attrs.fields_dict(cls).get(note.name) if attrs.has(cls) else None
    wire = None if attribute is None else wire_of(attribute.metadata)
    return wire if wire is not None else Wire(note.name)
