"""How a class is read: its fields, their wire names, and whether its objects can be filled without `__init__`."""

from __future__ import annotations

from types import NoneType, UnionType
from typing import Any, Final, Union, get_args, get_origin

import attrs

from goedgepickt_async.models.base import FieldInfo, field_info
from goedgepickt_async.models.validators import is_request_model

__all__ = ["FlatField", "ModelSpec", "ReadField", "inner_of_optional", "item_of_tuple", "keys_of", "model_spec"]


@attrs.frozen
class ReadField:
    """One field of a model that is read.

    Attributes:
        name: In Python.
        declared: The type as the class has it.
        type: That without the `| None`.
        is_optional: None is a value, and the default.
        is_required: It must be on the wire.
        wire: Its names there.
    """

    name: str
    declared: Any
    type: Any
    is_optional: bool
    is_required: bool
    wire: FieldInfo


@attrs.frozen
class FlatField:
    """A field whose parts lie flat in the object, behind the prefix `wire.name`."""

    name: str
    wire: FieldInfo
    parts: ModelSpec


@attrs.frozen
class ModelSpec:
    """How to read one class.

    Attributes:
        fields: In the order of the class, without the flat ones and without `extra`.
        flat: The flat ones.
        keeps_extra: There is a field `extra` for unknown keys.
        known: All wire keys that fields take, aliases and flat parts too.
        is_fillable: Setting all fields is all that making an object takes, so that it can be done without `__init__`.
    """

    cls: type[Any]
    fields: tuple[ReadField, ...]
    flat: tuple[FlatField, ...]
    keeps_extra: bool
    known: frozenset[str]
    is_fillable: bool


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


def model_spec(cls: type[Any]) -> ModelSpec | None:
    """The spec of a read model of ours, of a subclass of one, or of a user's class whose fields have wire names.

    A field without a wire name is called there as in Python; fields that `__init__` does not take are left to the class.

    Returns:
        The spec. None for a class without a wire name, for one that is sent, and for one with a flat field whose type
        has no spec.
    """
    if is_request_model(cls):
        return None
    attrs.resolve_types(cls)
    attributes = attrs.fields(cls)
    if all(field_info(attribute.metadata) is None for attribute in attributes):
        return None
    made = [_field_of(attribute) for attribute in attributes if attribute.init]
    if None in made:
        return None
    fields = tuple(field for field in made if isinstance(field, ReadField))
    flat = tuple(field for field in made if isinstance(field, FlatField))
    known = [key for field in fields for key in keys_of(field)]
    known += [part.wire.name + key for part in flat for key in part.parts.known]
    return ModelSpec(
        cls=cls,
        fields=fields,
        flat=flat,
        keeps_extra=_EXTRA in made,
        known=frozenset(known),
        is_fillable=_is_made_by_attrs_alone(cls)
        and all(map(_is_settable, attributes))
        and all(part.parts.is_fillable for part in flat),
    )


_EXTRA: Final = object()


def keys_of(field: ReadField) -> tuple[str, ...]:
    """The wire keys of a field, the best first."""
    return field.wire.name, *field.wire.aliases


def _field_of(attribute: attrs.Attribute[Any]) -> ReadField | FlatField | object | None:
    """How a field is read; `_EXTRA` for the field of unknown keys; None for a flat one that cannot be one."""
    wire = field_info(attribute.metadata)
    if wire is None and attribute.name == "extra":
        return _EXTRA
    if wire is not None and wire.is_flat:
        parts = model_spec(attribute.type) if isinstance(attribute.type, type) and attrs.has(attribute.type) else None
        return None if parts is None or parts.flat else FlatField(attribute.name, wire, parts)
    inner = inner_of_optional(attribute.type)
    return ReadField(
        name=attribute.name,
        declared=attribute.type,
        type=inner or attribute.type,
        is_optional=inner is not None or attribute.type is Any,
        is_required=attribute.default is attrs.NOTHING,
        wire=wire or FieldInfo(attribute.name),
    )


def _is_made_by_attrs_alone(cls: type[Any]) -> bool:
    new, init = (next(base for base in cls.__mro__ if name in base.__dict__) for name in ("__new__", "__init__"))
    has_own_steps = any(hasattr(cls, f"__attrs_{step}__") for step in ("pre_init", "init", "post_init"))
    return new is object and "__attrs_attrs__" in init.__dict__ and not has_own_steps


def _is_settable(attribute: attrs.Attribute[Any]) -> bool:
    """Whether a field takes what was read as it is, and None, the empty tuple or nothing else where it is missing."""
    if not attribute.init or attribute.validator is not None or attribute.converter is not None:
        return False
    wire = field_info(attribute.metadata)
    if (wire is not None and wire.is_flat) or (wire is None and attribute.name == "extra"):
        return True
    takes_none = inner_of_optional(attribute.type) is not None or attribute.type is Any
    if attribute.default is attrs.NOTHING:
        return attribute.type is not None and not takes_none
    if takes_none:
        return attribute.default is None
    return item_of_tuple(attribute.type) is not None and attribute.default == ()
