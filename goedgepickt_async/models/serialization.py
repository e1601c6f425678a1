"""Serialization of models: dicts, JSON, the schema for pydantic, and the display in notebooks and rich."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from types import NoneType, UnionType
from typing import Any, Final, Self, Union, get_args, get_origin

import attrs

from goedgepickt_async.errors import ValidationError, without_frames
from goedgepickt_async.models.base import AMSTERDAM, UNSET, Identifier, Label, OpenEnum, Secret, Unset, field_info
from goedgepickt_async.models.validators import (
    FieldError,
    check_each,
    coerce,
    is_request_model,
    type_name,
    validation_error,
)
from goedgepickt_async.text import MOST_LEVELS, as_name, html_table, nests_too_deep

__all__ = ["Model", "members", "plain_scalar", "to_plain"]

_WIDEST_AMOUNT: Final = 64
_MASK: Final = str(Secret(""))
_UNCHANGED: Final = frozenset({str, int, float, bool, NoneType})
"""Most values of a row have these types, which JSON has too; their subclasses are looked at."""


class Model:
    """The methods of all models."""

    __slots__ = ()

    def to_dict(self, *, wire: bool = False, show_secrets: bool = False) -> dict[str, Any]:
        """Return the model as values for `json.dumps`; `from_dict` returns an equal model.

        Decimals and enumerations become text, and times become ISO 8601 with their offset. Unknown keys of the API stay
        in `extra`, and fields that are `UNSET` are left out. The result contains personal data.

        Args:
            wire: Use the API's names instead of the Python names. Then addresses are flat, and unknown keys are next to
                the others.
            show_secrets: Show the secret of a webhook subscription. Otherwise it is `***`, which `from_dict` refuses.
        """
        plain: dict[str, Any] = to_plain(self, wire=wire, show_secrets=show_secrets)
        return plain

    def to_json(self, *, wire: bool = False, show_secrets: bool = False) -> str:
        """Return the result of `to_dict` as JSON text."""
        plain = self.to_dict(wire=wire, show_secrets=show_secrets)
        return json.dumps(plain, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], *, wire: bool = False) -> Self:
        """Return the model from a result of `to_dict`. To read a response of the API, use `convert.decode`.

        Args:
            data: The result of `to_dict`, directly or loaded from JSON.
            wire: Whether it has the API's names.

        Raises:
            ValidationError: A field is missing, unknown or has a wrong type; `fields` has the problem of each field.
        """
        try:
            made: Self = _read_model(data, cls, wire=wire)
            return made  # noqa: TRY300
        except FieldError as error:
            problems = error.problems
        del data  # error trackers collect local variables
        raise validation_error(cls, problems, "cannot be read")

    @classmethod
    def from_json(cls, text: str | bytes, *, wire: bool = False) -> Self:
        """Return the model from a result of `to_json`.

        Raises:
            ValidationError: The text is not JSON, or a field is missing, unknown or has a wrong type.
        """
        try:
            data = json.loads(text)
        except (ValueError, RecursionError, TypeError):
            data = UNSET
        del text  # error trackers collect local variables
        if data is UNSET:
            raise validation_error(cls, {"": "is not JSON"}, "cannot be read")
        try:
            return cls.from_dict(data, wire=wire)
        except ValidationError as error:
            del data
            raise without_frames(error) from None

    def __repr__(self) -> str:
        """The fields without personal data, and `…` for the others."""
        shown = [f"{name}={value!r}" for name, value in _shown(self)]
        return f"{type(self).__qualname__}({', '.join([*shown, *(['…'] if _hides(self) else [])])})"

    def __rich_repr__(self) -> Iterator[Any]:
        """The same for rich."""
        yield from _shown(self)
        if _hides(self):
            yield "…"

    def _repr_html_(self) -> str:
        """The same for notebooks, as a table."""
        rows = [(name, repr(value)) for name, value in _shown(self)] + ([("…", "")] if _hides(self) else [])
        return html_table(type(self).__qualname__, rows)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> Any:
        """The schema for pydantic and FastAPI: the form of `to_dict`."""
        from pydantic_core import core_schema  # noqa: PLC0415  only pydantic calls this

        return core_schema.no_info_plain_validator_function(
            lambda value: value if isinstance(value, cls) else _for_pydantic(cls, value),
            serialization=core_schema.plain_serializer_function_ser_schema(cls.to_dict),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: Any, _handler: Any) -> dict[str, Any]:
        """The fields under their Python names; enumerations stay open."""
        return _json_schema(cls)


# -- out --------------------------------------------------------------------------------------------------------


def _shown(model: Any) -> Iterator[tuple[str, Any]]:
    return ((field.name, getattr(model, field.name, UNSET)) for field in attrs.fields(type(model)) if field.repr)


def _hides(model: Any) -> bool:
    return any(not field.repr for field in attrs.fields(type(model)))


def to_plain(value: Any, *, wire: bool = False, show_secrets: bool = False) -> Any:
    """Return an attrs object, or a value in one, for `json.dumps`: see `Model.to_dict`."""
    if type(value) in _UNCHANGED:
        return value
    if isinstance(value, list | tuple):
        return [to_plain(part, wire=wire, show_secrets=show_secrets) for part in value]
    if isinstance(value, dict):
        return {key: to_plain(part, wire=wire, show_secrets=show_secrets) for key, part in value.items()}
    if not attrs.has(type(value)):
        return value.reveal() if show_secrets and isinstance(value, Secret) else plain_scalar(value)
    plain = {
        field.name: part if type(part) in _UNCHANGED else to_plain(part, wire=wire, show_secrets=show_secrets)
        for field in attrs.fields(type(value))
        if (part := getattr(value, field.name)) is not UNSET
    }
    return _by_wire_names(plain, type(value)) if wire else plain


def plain_scalar(value: Any) -> Any:
    """Return one value for `json.dumps`: decimals and enumerations as text, times as ISO 8601, secrets as `***`."""
    if isinstance(value, Secret):
        return _MASK
    if isinstance(value, OpenEnum):
        return value.value
    if isinstance(value, Decimal):
        # Without an exponent, except for numbers of the API with a very large exponent.
        return f"{value:f}" if abs(value.adjusted()) < _WIDEST_AMOUNT else str(value)
    return value.isoformat() if isinstance(value, datetime) else value


def _by_wire_names(plain: dict[str, Any], cls: type[Any]) -> dict[str, Any]:
    """Rename the fields. The parts of a flat field, and the unknown keys, become separate fields."""
    fields = attrs.fields_dict(cls)
    named: dict[str, Any] = {}
    for name, value in plain.items():
        info = field_info(fields[name].metadata)
        if info is None:
            named |= value if name == "extra" else {name: value}
            continue
        key = info.sent if is_request_model(cls) else info.name
        if info.is_flat:
            named |= {key + part: text for part, text in value.items() if text is not None}
        else:
            named[key] = value
    return named


# -- in ---------------------------------------------------------------------------------------------------------


def _read_model(data: Any, cls: type[Any], *, wire: bool) -> Any:
    if not isinstance(data, Mapping):
        raise FieldError(f"must be a mapping of the fields of {cls.__name__}, not {type_name(data)}")
    attrs.resolve_types(cls)
    fields = {field.name: field for field in attrs.fields(cls) if field.init}
    given = _by_python_names(data, cls) if wire else dict(data)
    problems: dict[str, str] = {}
    for name in given.keys() - fields.keys():
        hint = "; it is a name of the API: pass wire=True" if not wire and name in _wire_names(cls) else ""
        problems[as_name(name)] = f"{cls.__name__} has no such field{hint}"
    values: dict[str, Any] = {}
    for name, field in fields.items():
        if name not in given:
            if field.default is attrs.NOTHING:
                problems[name] = "is required"
            continue
        try:
            values[name] = _read(given[name], field.type, wire=wire)
        except FieldError as error:
            problems.update(error.prefixed(name))
    if problems:
        raise FieldError(problems)
    return coerce(cls, values) if is_request_model(cls) else cls(**values)


def _wire_names(cls: type[Any]) -> set[str]:
    return {info.name for field in attrs.fields(cls) if (info := field_info(field.metadata)) is not None}


def _by_python_names(data: Mapping[str, Any], cls: type[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    left = dict(data)
    for field in attrs.fields(cls):
        info = field_info(field.metadata)
        if info is None:
            continue
        if info.is_flat:
            part_names = _wire_names(members(field.type)[-1]) | {"HouseNumberAddition"}
            parts = {key: left.pop(info.name + key) for key in part_names if info.name + key in left}
            if parts or not is_request_model(cls):
                found[field.name] = parts
            continue
        for key in dict.fromkeys((info.name, info.sent, *info.aliases)):
            if key in left:
                found.setdefault(field.name, left.pop(key))
    if any(field.name == "extra" for field in attrs.fields(cls)):
        return found | {"extra": left}
    return found | left


def members(tp: Any) -> tuple[Any, ...]:
    """Return the types of a union, without None and UNSET."""
    if get_origin(tp) not in {Union, UnionType}:
        return (tp,)
    return tuple(arg for arg in get_args(tp) if arg is not NoneType and arg != Unset)


def _read(value: Any, tp: Any, *, wire: bool) -> Any:
    if tp is Any:
        return _json_value(value)
    if value is None and NoneType in get_args(tp):
        return None
    kind = members(tp)[0]
    if get_origin(kind) is tuple:
        if not isinstance(value, list | tuple):
            raise FieldError(f"must be a list, not {type_name(value)}")
        return check_each(value, lambda part: _read(part, get_args(kind)[0], wire=wire))
    if isinstance(kind, type) and issubclass(kind, Model):
        return value if isinstance(value, kind) else _read_model(value, kind, wire=wire)
    if isinstance(kind, type) and issubclass(kind, OpenEnum):
        return kind(_checked(value, str, "text"))
    return _SCALARS[get_origin(kind) if get_origin(kind) is dict else kind](value)


def _checked(value: Any, kind: type[Any], called: str) -> Any:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise FieldError(f"must be {called}, not {type_name(value)}")
    return value


def _json_value(value: Any) -> Any:
    if nests_too_deep(value):
        raise FieldError(f"must have at most {MOST_LEVELS} levels of lists and objects")
    return value


def _decimal(value: Any) -> Decimal:
    if isinstance(value, Decimal):
        return value
    try:
        read = Decimal(_checked(value, str, "a decimal number as text, such as '12.34'"))
    except InvalidOperation:
        read = None
    if read is None or not read.is_finite():
        raise FieldError("must be a decimal number as text, such as '12.34'")
    return read


def _datetime(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    try:
        read = datetime.fromisoformat(_checked(value, str, "an ISO 8601 date and time"))
    except ValueError:
        read = None
    if read is None:
        raise FieldError("must be an ISO 8601 date and time")
    for fold in (0, 1):  # Dutch time if the offset is the same, so that the value is equal
        dutch = read.replace(tzinfo=AMSTERDAM, fold=fold)
        if read.tzinfo is not None and dutch.utcoffset() == read.utcoffset():
            return dutch
    return read


def _secret(value: Any) -> Secret:
    if isinstance(value, Secret):
        return value
    if value == _MASK:
        raise FieldError("is masked as '***': use to_dict(show_secrets=True)")
    return Secret(_checked(value, str, "text"))


_SCALARS: Final[Mapping[Any, Callable[[Any], Any]]] = {
    dict: lambda value: dict(_json_value(_checked(value, dict, "an object"))),
    str: lambda value: _checked(value, str, "text"),
    Identifier: lambda value: _checked(value, str, "text"),
    Label: lambda value: _checked(value, str, "text"),
    int: lambda value: _checked(value, int, "a whole number"),
    bool: lambda value: _checked(value, bool, "True or False"),
    Decimal: _decimal,
    datetime: _datetime,
    Secret: _secret,
}


# -- pydantic ---------------------------------------------------------------------------------------------------


def _for_pydantic(cls: type[Any], value: Any) -> Any:
    try:
        return _read_model(value, cls, wire=False)
    except FieldError as error:
        problems = error.problems
    raise ValueError("; ".join(f"{path}: {text}" if path else text for path, text in problems.items()))


def _json_schema(cls: type[Any]) -> dict[str, Any]:
    attrs.resolve_types(cls)
    fields = [field for field in attrs.fields(cls) if field.init]
    required = [field.name for field in fields if field.default is attrs.NOTHING]
    schema: dict[str, Any] = {
        "title": cls.__name__,
        "type": "object",
        "properties": {field.name: _type_schema(field.type) for field in fields},
    }
    return schema | ({"required": required} if required else {})


def _type_schema(tp: Any) -> dict[str, Any]:
    if tp is Any:
        return {}
    kind = members(tp)[0]
    if get_origin(kind) is tuple:
        made: dict[str, Any] = {"type": "array", "items": _type_schema(get_args(kind)[0])}
    elif get_origin(kind) is dict:
        made = {"type": "object"}
    elif isinstance(kind, type) and issubclass(kind, Model):
        made = _json_schema(kind)
    elif isinstance(kind, type) and issubclass(kind, OpenEnum):
        made = {"type": "string", "examples": [member.value for member in kind]}
    else:
        made = {"type": {int: "integer", bool: "boolean"}.get(kind, "string")}
        if kind is datetime:
            made["format"] = "date-time"
    return {"anyOf": [made, {"type": "null"}]} if NoneType in get_args(tp) else made
