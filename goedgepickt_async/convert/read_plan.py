"""What there is to know of a model class to read it: a field, its type, where it stands on the wire."""

from __future__ import annotations

from types import NoneType, UnionType
from typing import Any, Final, Union, get_args, get_origin

import attrs

from goedgepickt_async.models.outgoing import is_outgoing
from goedgepickt_async.models.wire_names import Wire, wire_of

__all__ = ["FlatField", "ReadField", "ReadPlan", "inner_of_optional", "item_of_tuple", "read_plan"]

_EXTRA: Final = object()


@attrs.frozen
class ReadField:
    """One field of a model that is read.

    Attributes:
        name: In Python.
        type: Without the `| None`.
        is_optional: None is a value, and the default.
        is_required: It must be on the wire.
        wire: Its names there.
    """

    name: str
    type: Any
    is_optional: bool
    is_required: bool
    wire: Wire


@attrs.frozen
class FlatField:
    """A field whose parts lie flat in the object, behind the prefix `wire.name`."""

    name: str
    wire: Wire
    parts: ReadPlan


@attrs.frozen
class ReadPlan:
    """How to read one class.

    Attributes:
        fields: In the order of the class, without the flat ones and without `extra`.
        flat: The flat ones.
        keeps_extra: There is a field `extra` for unknown keys.
        known: All wire keys that fields take, aliases and flat parts too.
    """

    cls: type[Any]
    fields: tuple[ReadField, ...]
    flat: tuple[FlatField, ...]
    keeps_extra: bool
    known: frozenset[str]


def inner_of_optional(tp: Any) -> Any:
    """X of `X | None`, else None."""
    args = get_args(tp)
    if get_origin(tp) not in {Union, UnionType} or len(args) != 2 or NoneType not in args:
        return None
    return args[0] if args[1] is NoneType else args[1]


def item_of_tuple(tp: Any) -> Any:
    """X of `tuple[X, ...]`, else None."""
    args = get_args(tp)
    return args[0] if get_origin(tp) is tuple and len(args) == 2 and args[1] is Ellipsis else None


def read_plan(cls: type[Any]) -> ReadPlan | None:
    """The plan of a read model of ours, or of a user's class that follows the same rules; None for all other classes.

    The rules: every field but `extra` has a wire name, none has a validator or converter, there is no pre- or
    post-init; a field is required, or `X | None` with default None, or `tuple[X, ...]` with default `()`, or flat.
    """
    if is_outgoing(cls) or hasattr(cls, "__attrs_post_init__") or hasattr(cls, "__attrs_pre_init__"):
        return None
    attrs.resolve_types(cls)
    fields: list[ReadField] = []
    flat: list[FlatField] = []
    keeps_extra = False
    for attribute in attrs.fields(cls):
        made = _planned(attribute)
        if made is None:
            return None
        keeps_extra |= made is _EXTRA
        if isinstance(made, ReadField):
            fields.append(made)
        if isinstance(made, FlatField):
            flat.append(made)
    known = [key for field in fields for key in (field.wire.name, *field.wire.aliases)]
    known += [part.wire.name + key for part in flat for key in part.parts.known]
    return ReadPlan(cls, tuple(fields), tuple(flat), keeps_extra, frozenset(known))


def _planned(attribute: attrs.Attribute[Any]) -> ReadField | FlatField | object | None:
    """A field's plan; `_EXTRA` for the field of unknown keys; None if it breaks the rules."""
    wire = wire_of(attribute.metadata)
    if attribute.validator is not None or attribute.converter is not None or not attribute.init:
        return None
    if wire is None:
        return _EXTRA if attribute.name == "extra" else None
    if wire.is_flat:
        parts = read_plan(attribute.type) if attribute.type is not None else None
        return None if parts is None or parts.flat else FlatField(attribute.name, wire, parts)
    inner = inner_of_optional(attribute.type)
    takes_none = inner is not None or attribute.type is Any
    field = ReadField(attribute.name, inner or attribute.type, takes_none, attribute.default is attrs.NOTHING, wire)
    return field if _is_plain(field, attribute.default) else None


def _is_plain(field: ReadField, default: Any) -> bool:
    if field.is_required:
        return not field.is_optional
    if field.is_optional:
        return default is None
    return item_of_tuple(field.type) is not None and default == ()
