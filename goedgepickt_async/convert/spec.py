"""The spec of a class: its fields, their JSON keys, and whether its objects can be filled without `__init__`."""

from __future__ import annotations

from types import NoneType, UnionType
from typing import Any, Final, Union, get_args, get_origin

import attrs

from goedgepickt_async.models.base import FieldInfo, field_info
from goedgepickt_async.models.validators import is_request_model

__all__ = ["FlatField", "ModelSpec", "ReadField", "inner_of_optional", "item_of_tuple", "keys_of", "model_spec"]


@attrs.frozen
class ReadField:
    """A field of a model that is read.

    Attributes:
        name: The Python name.
        declared: The type annotation.
        type: The type without `| None`.
        is_optional: Whether None is allowed, and is the default.
        is_required: Whether it must be in the JSON.
        wire: The facts about the field.
    """

    name: str
    declared: Any
    type: Any
    is_optional: bool
    is_required: bool
    wire: FieldInfo


@attrs.frozen
class FlatField:
    """A field whose parts are flat in the object, with the prefix `wire.name`."""

    name: str
    wire: FieldInfo
    parts: ModelSpec


@attrs.frozen
class ModelSpec:
    """The spec of a class.

    Attributes:
        fields: The fields in the order of the class, without flat fields and `extra`.
        flat: The flat fields.
        keeps_extra: Whether there is a field `extra` for unknown keys.
        known: All JSON keys of the fields, including aliases and flat parts.
        is_fillable: Whether an object can be made by setting all fields, without `__init__`.
    """

    cls: type[Any]
    fields: tuple[ReadField, ...]
    flat: tuple[FlatField, ...]
    keeps_extra: bool
    known: frozenset[str]
    is_fillable: bool


def inner_of_optional(tp: Any) -> Any:
    """Return X of `X | None`, or else None."""
    args = get_args(tp)
    if get_origin(tp) not in {Union, UnionType} or len(args) != 2 or NoneType not in args:
        return None
    return args[0] if args[1] is NoneType else args[1]


def item_of_tuple(tp: Any) -> Any:
    """Return X of `tuple[X, ...]`, or else None."""
    args = get_args(tp)
    return args[0] if get_origin(tp) is tuple and len(args) == 2 and args[1] is Ellipsis else None


def model_spec(cls: type[Any]) -> ModelSpec | None:
    """Return the spec of a model, of a subclass of one, or of a user's class with API names in its metadata.

    A field without metadata has its Python name in the JSON. Fields that are not arguments of `__init__` are ignored.

    Returns:
        The spec. None for a class without metadata, for a class that is sent, and if the type of a flat field has no
        spec.
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
    """Return the JSON keys of a field, the best one first."""
    return field.wire.name, *field.wire.aliases


def _field_of(attribute: attrs.Attribute[Any]) -> ReadField | FlatField | object | None:
    """Return how a field is read; `_EXTRA` for the field of unknown keys; None if a flat field is not possible."""
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
    """Whether a field has no converter or validator, and no default except None or the empty tuple."""
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
