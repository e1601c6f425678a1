"""The spec of a class, and the generated structure function that is made of it.

The functions are fast, and accept or refuse a row without a reason.

The body of a function uses local variables, one for each key of the class. Its head fills them. The general head looks
up each key. For a frequent shape, with the same keys in the same order, the head unpacks the values, which takes a
third of the time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from types import NoneType, UnionType
from typing import Any, Final, Union, get_args, get_origin
from weakref import WeakKeyDictionary

import attrs
from cattrs import Converter

from goedgepickt_async.convert import hooks as scalars
from goedgepickt_async.convert.hooks import skips_nulls
from goedgepickt_async.logs import report_unknown
from goedgepickt_async.models import OpenEnum
from goedgepickt_async.models.base import AMSTERDAM, FieldInfo, field_info
from goedgepickt_async.models.validators import is_request_model

__all__ = [
    "FlatField",
    "ModelSpec",
    "ReadField",
    "assignable_clone",
    "compile_class",
    "inner_of_optional",
    "item_of_tuple",
    "model_spec",
]


@attrs.frozen
class ReadField:
    """A field of a model that is read."""

    name: str
    declared: Any
    type: Any  # the declared type without `| None`
    is_optional: bool  # whether None is allowed, and is the default
    is_required: bool  # whether it must be in the JSON
    wire: FieldInfo


@attrs.frozen
class FlatField:
    """A field whose parts are flat in the object, with the prefix `wire.name`."""

    name: str
    wire: FieldInfo
    parts: ModelSpec


@attrs.frozen
class ModelSpec:
    """The spec of a class."""

    cls: type[Any]
    fields: tuple[ReadField, ...]  # in the order of the class, without flat fields and `extra`
    flat: tuple[FlatField, ...]
    keeps_extra: bool  # whether there is a field `extra` for unknown keys
    known: frozenset[str]  # all JSON keys of the fields, including aliases and flat parts
    is_fillable: bool  # whether an object can be made by setting all fields, without `__init__`


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
    known = [key for field in fields for key in field.wire.keys]
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


# -- filling frozen objects ------------------------------------------------------------------------------------

_CLONES: Final[WeakKeyDictionary[type[Any], type[Any] | None]] = WeakKeyDictionary()


def assignable_clone(cls: type[Any]) -> type[Any] | None:
    """A class with the same layout and assignable attributes. An object is filled as this class, then becomes a `cls`.

    A frozen attrs class refuses assignment, and `object.__setattr__` for each attribute takes twice the time.
    Subclasses inherit the refusal, so the clone has the `__setattr__` of `object`. A class whose layout allows no
    clone, such as one with slots and a slot for weak references, has none.
    """
    if cls not in _CLONES:
        _CLONES[cls] = _cloned(cls)
    return _CLONES[cls]


def _cloned(cls: type[Any]) -> type[Any] | None:
    namespace: dict[str, Any] = {"__setattr__": object.__setattr__}
    if "__slots__" in cls.__dict__:
        namespace["__slots__"] = cls.__dict__["__slots__"]
    try:
        clone: type[Any] = type(cls.__name__, cls.__bases__, namespace)
        made = object.__new__(clone)
        for field in attrs.fields(cls):
            setattr(made, field.name, None)
        object.__setattr__(made, "__class__", cls)
    except Exception:  # noqa: BLE001 - a base's `__init_subclass__` may raise anything
        return None
    return clone


# -- the source -------------------------------------------------------------------------------------------------

_MOST_REMEMBERED: Final = 256
_LONGEST_REMEMBERED: Final = 64


class _Members(dict[Any, Any]):
    """Text → member of an open enumeration. Unknown texts use the hook. A dict is faster than `Enum.__call__`."""

    def __init__(self, cls: type[OpenEnum]) -> None:
        super().__init__((member.value, member) for member in cls)
        self._cls = cls

    def __missing__(self, value: Any) -> OpenEnum:
        """Call the hook, and keep its result if there is room."""
        found = scalars.enum_member(value, self._cls)
        if len(self) < _MOST_REMEMBERED and len(value) <= _LONGEST_REMEMBERED:
            self[found.value] = found
        return found


class _InternedTexts(dict[str, str]):
    """Text → the first equal text, so that texts that repeat from row to row are in memory once."""

    def __missing__(self, text: str) -> str:
        """Add the text. A full table is emptied, so that newer texts are shared too."""
        if len(text) <= _LONGEST_REMEMBERED:
            if len(self) >= _MOST_REMEMBERED:
                self.clear()
            self[text] = text
        return text


# Inline code for the usual forms of a value; other forms use the hook, as `otherwise`.
_INLINE: Final[dict[Callable[..., Any], str]] = {
    scalars.parse_text: "{v} if {v}.__class__ is str or {v} is None else {otherwise}",
    scalars.parse_bool: (
        "{v} if {v}.__class__ is bool or {v} is None else {v} == 1 if {v}.__class__ is int and 0 <= {v} <= 1"
        " else {otherwise}"
    ),
    scalars.parse_int: (
        "{v} if {v}.__class__ is int or {v} is None else int({v}) if {v}.__class__ is str and {v}.isdecimal()"
        " and {v}.isascii() and len({v}) < 19 else {otherwise}"
    ),
    scalars.parse_decimal: (
        "None if {v} is None or {v} == '' else number if {v}.__class__ is str and '_' not in {v} and ',' not in {v}"
        " and (number := Decimal({v})).is_finite() else {otherwise}"
    ),
    # Texts before '1' are the empty text and zero dates, which use the hook.
    scalars.parse_datetime: (
        "None if {v} is None else {otherwise} if {v}.__class__ is not str or {v} < '1'"
        " else combine(moment, moment.time(), AMSTERDAM) if (moment := from_iso({v})).tzinfo is None"
        " else in_amsterdam(moment)"
    ),
}


class _Writer:
    """The code for the functions of one class: the keys of their arguments, and the names that they use."""

    def __init__(self, converter: Converter) -> None:
        self._converter = converter
        self.keys: dict[str, str] = {}
        self.names: dict[str, Any] = {
            "new": object.__new__,
            "Decimal": Decimal,
            "from_iso": datetime.fromisoformat,
            "combine": datetime.combine,
            "AMSTERDAM": AMSTERDAM,
            "in_amsterdam": scalars.in_amsterdam,
            "read_json": scalars.parse_json,
        }

    def body(self, spec: ModelSpec) -> list[str]:
        """Return the lines that make the object from its raw values `v0`, `v1`, … of `keys`, and `extra`."""
        lines: list[str] = []
        for flat in spec.flat:
            lines += self._made(flat.parts, f"made_{flat.name}", flat.wire.name)
        return [*lines, *self._made(spec, "made", ""), "return made"]

    def _made(self, spec: ModelSpec, target: str, prefix: str) -> Iterator[str]:
        """Return the lines that make one object and assign it to the variable `target`."""
        yield f"{target} = new({self._name('clone', assignable_clone(spec.cls))})"
        for field in spec.fields:
            first, *others = (self.keys.setdefault(prefix + key, f"v{len(self.keys)}") for key in field.wire.keys)
            if others:
                found = others.pop()
                for other in reversed([first, *others]):
                    found = f"{other} if {other} is not None else {found}"
                first = f"first_of_{first}"
                yield f"{first} = {found}"
            yield f"{target}.{field.name} = {self._read(field, first)}"
        for flat in spec.flat:
            yield f"{target}.{flat.name} = made_{flat.name}"
        if spec.keeps_extra:
            yield f"{target}.extra = extra"
        yield f"{target}.__class__ = {self._name('class', spec.cls)}"

    def _name(self, suggested: str, value: Any) -> str:
        name = f"{suggested}_{len(self.names)}"
        self.names[name] = value
        return name

    def _call(self, hook: Callable[..., Any], argument: str, tp: Any) -> str:
        return f"{self._name('read', hook)}({argument}, {self._name('type', tp)})"

    def _read(self, field: ReadField, v: str) -> str:
        """Return the expression for a field, whose raw value is in the variable `v`."""
        if field.type is Any:
            return f"read_json({v})"
        get_hook = self._converter.get_structure_hook
        item = item_of_tuple(field.type)
        if item is not None and not field.is_optional:
            otherwise = self._call(get_hook(field.type), v, field.type)
            return f"(tuple({self._all_read(item, field, v)}) if {v} else ()) if {v}.__class__ is list else () if {v} is None else {otherwise}"
        hook, otherwise = get_hook(field.type), self._call(get_hook(field.declared), v, field.declared)
        read_object = getattr(hook, "read_object", None)
        if not field.is_optional:
            is_usual, usual = f"{v}.__class__ is str and {v}" if hook is scalars.parse_identifier else "False", v
            return f"{usual} if {is_usual} else {otherwise}"
        if hook is scalars.enum_member:
            is_usual, usual = f"{v}.__class__ is str", f"{self._name('members', _Members(field.type))}[{v}]"
        elif hook is scalars.parse_text and field.wire.intern:
            is_usual, usual = f"{v}.__class__ is str", f"{self._name('texts', _InternedTexts())}[{v}]"
        elif read_object is not None:
            is_usual, usual = f"{v}.__class__ is dict and {v}", f"{self._name('read_object', read_object)}({v})"
        else:
            return _INLINE.get(hook, "None if {v} is None else {otherwise}").format(v=v, otherwise=otherwise)
        return f"None if {v} is None else {usual} if {is_usual} else {otherwise}"

    def _all_read(self, item: Any, field: ReadField, v: str) -> str:
        hook = self._converter.get_structure_hook(item)
        read_all = getattr(hook, "read_all", None)
        if read_all is not None:  # a generated class reads lists itself
            return f"{self._name('read_all', read_all)}({v})"
        read = self._call(hook, "item", item)
        if hook in {scalars.parse_text, scalars.parse_label}:
            text = f"{self._name('texts', _InternedTexts())}[item]" if field.wire.intern else "item"
            read = f"{text} if item.__class__ is str else {read}"
        return f"[{read} for item in {v}{' if item is not None' if skips_nulls(item) else ''}]"


# -- from objects to values -------------------------------------------------------------------------------------

Keys = tuple[str, ...]
Read = Callable[..., Any]
_HOT: Final = 128
_MOST_SHAPES: Final = 64
_MOST_COUNTED: Final = 256
_MOST_KEYS: Final = 200
_MOST_KNOWN_KEYS: Final = 1024
"""The largest number of unknown keys that are reported."""


def compile_class(spec: ModelSpec, converter: Converter) -> Read | None:
    """Return the structure function of a class; None if the class has its own `__init__` logic or another layout."""
    if not spec.is_fillable or any(
        assignable_clone(part.cls) is None for part in (spec, *(field.parts for field in spec.flat))
    ):
        return None
    shapes = _Shapes(spec, converter)

    def structure(value: Any, _: Any = None) -> Any:
        return shapes[(*value,)](value)

    # For the functions of other classes, which have already checked for a list or an object.
    structure.read_all = shapes.read_all  # type: ignore[attr-defined]
    structure.read_object = structure  # type: ignore[attr-defined]
    return structure


class _Shapes(dict[Keys, Read]):
    """The keys of an object in order → the function that reads it. The number of entries is limited."""

    def __init__(self, spec: ModelSpec, converter: Converter) -> None:
        super().__init__()
        self._spec = spec
        self._writer = _Writer(converter)
        self._body = self._writer.body(spec)
        self._any_shape = self._compiled(
            [
                f"{', '.join(self._writer.keys.values())}, = map(data.get, keys)",
                "extra = {} if known.issuperset(data) else read_json({k: v for k, v in data.items() if k not in known})",
            ],
            keys=tuple(self._writer.keys),
            known=spec.known,
        )
        self._required = [frozenset(field.wire.keys) for field in spec.fields if field.is_required]
        self._seen: dict[Keys, int] = {}
        self._reported = set(spec.known)
        self._latest: tuple[list[str], Read] = ([], self._any_shape)

    def read_all(self, values: list[Any]) -> list[Any]:
        """Read the objects of a list, which mostly have the same shape.

        Comparing lists is cheaper than hashing tuples.
        """
        keys, read = self._latest
        return [read(value) if [*value] == keys else self[(*value,)](value) for value in values]

    def __missing__(self, keys: Keys) -> Read:
        """Return the general function, until this shape is frequent enough for its own function.

        Raises:
            KeyError: A required key is missing.
        """
        for names in self._required:
            if names.isdisjoint(keys):
                raise KeyError(*names)
        if len(self._seen) >= _MOST_COUNTED:
            self._seen.clear()
        seen = self._seen[keys] = self._seen.get(keys, 0) + 1
        if seen == 1:
            self._report(keys)
        if seen < _HOT or len(self) >= _MOST_SHAPES or not 0 < len(keys) <= _MOST_KEYS:
            return self._any_shape
        del self._seen[keys]
        read = self[keys] = self._for_shape(keys)
        self._latest = ([*keys], read)
        return read

    def _for_shape(self, keys: Keys) -> Read:
        # An unknown key comes from a response: the function gets it as data, never as code.
        variables = self._writer.keys
        unknown = {key: f"u{index}" for index, key in enumerate(keys) if key not in variables}
        missing = [variable for key, variable in variables.items() if key not in keys]
        head = [f"{''.join(f'{variables.get(key) or unknown[key]}, ' for key in keys)}= data.values()"]
        if missing:
            head.append(f"{' = '.join(missing)} = None")
        extra = f"{{{', '.join(f'key_{variable}: {variable}' for variable in unknown.values())}}}"
        head.append(f"extra = read_json({extra})" if unknown else "extra = {}")
        return self._compiled(head, **{f"key_{variable}": key for key, variable in unknown.items()})

    def _compiled(self, head: list[str], **names: Any) -> Read:
        source = "\n    ".join(["def structure(data, _=None):", *head, *self._body])
        known = self._writer.names | names
        exec(compile(source, f"<structure {self._spec.cls.__qualname__}>", "exec"), known)  # noqa: S102 - see above
        made: Read = known["structure"]
        return made

    def _report(self, keys: Iterable[str]) -> None:
        """Report the unknown keys. Rows of different shapes mostly have the same keys in another order."""
        reported = self._reported
        if len(reported) >= _MOST_KNOWN_KEYS or reported.issuperset(keys):
            return
        report_unknown([key for key in keys if key not in reported], self._spec.cls)
        reported.update(keys)
