"""Structure functions, generated per model class. They are fast and accept or refuse a row without saying why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from types import NoneType, UnionType
from typing import Any, Final, NamedTuple, Protocol, Union, get_args, get_origin
from weakref import WeakKeyDictionary

import attrs
from cattrs import Converter

from goedgepickt_async.convert import hooks as scalars
from goedgepickt_async.convert.hooks import skips_nulls
from goedgepickt_async.drift import report_unknown
from goedgepickt_async.models import OpenEnum
from goedgepickt_async.models.base import FieldInfo, field_info
from goedgepickt_async.models.validators import is_request_model

__all__ = [
    "FlatField",
    "GeneratedSource",
    "ModelSpec",
    "Name",
    "ReadField",
    "Source",
    "assignable_clone",
    "compile_class",
    "inner_of_optional",
    "item_of_tuple",
    "model_spec",
    "write",
]

_CLONES: Final[WeakKeyDictionary[type[Any], type[Any] | None]] = WeakKeyDictionary()


def assignable_clone(cls: type[Any]) -> type[Any] | None:
    """A class of the same layout whose attributes take assignment; an object is filled as one, then made a `cls`.

    A frozen attrs class refuses assignment, and going around that for each attribute costs twice the time. A subclass
    of a frozen class inherits the refusal, so the clone always brings the assignment of `object`.

    Returns:
        The clone, tried out on each field; None if the layout does not allow one, such as that of a class with both
        slots and a slot for weak references.
    """
    if cls not in _CLONES:
        _CLONES[cls] = _made(cls)
    return _CLONES[cls]


def _made(cls: type[Any]) -> type[Any] | None:
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


_EXTRA: Final = object()


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
    """The plan of a read model of ours, of a subclass of one, or of a user's class with wire names beside its fields.

    A field without a wire name is called there as in Python; fields that `__init__` does not take are left to the class.

    Returns:
        The plan; None for a class without a single wire name, for one that is sent, and for one with a flat field of
        a type that has no plan or flat fields itself.
    """
    if is_request_model(cls):
        return None
    attrs.resolve_types(cls)
    attributes = attrs.fields(cls)
    if all(field_info(attribute.metadata) is None for attribute in attributes):
        return None
    made = [_planned(attribute) for attribute in attributes if attribute.init]
    if None in made:
        return None
    fields = tuple(field for field in made if isinstance(field, ReadField))
    flat = tuple(field for field in made if isinstance(field, FlatField))
    known = [key for field in fields for key in (field.wire.name, *field.wire.aliases)]
    known += [part.wire.name + key for part in flat for key in part.parts.known]
    return ModelSpec(
        cls=cls,
        fields=fields,
        flat=flat,
        keeps_extra=_EXTRA in made,
        known=frozenset(known),
        is_fillable=_is_made_by_attrs_alone(cls)
        and all(_is_settable(attribute) for attribute in attributes)
        and all(part.parts.is_fillable for part in flat),
    )


def _planned(attribute: attrs.Attribute[Any]) -> ReadField | FlatField | object | None:
    """A field's plan; `_EXTRA` for the field of unknown keys; None for a flat one that cannot be one."""
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
    new, init = (_owner(cls, name) for name in ("__new__", "__init__"))
    has_own_steps = any(hasattr(cls, f"__attrs_{step}__") for step in ("pre_init", "init", "post_init"))
    return new is object and "__attrs_attrs__" in init.__dict__ and not has_own_steps


def _owner(cls: type[Any], name: str) -> type[Any]:
    """The class that a method comes from."""
    return next(base for base in cls.__mro__ if name in base.__dict__)


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


_TEXTS: Final = (scalars.parse_text, scalars.parse_label)
_MOST_MEMBERS: Final = 256
_LONGEST_MEMBER: Final = 64
_NAMES: Final[Mapping[str, Any]] = {
    "new": object.__new__,
    "Decimal": Decimal,
    "from_iso": datetime.fromisoformat,
    "combine": datetime.combine,
    "AMSTERDAM": scalars.AMSTERDAM,
}

Name = Callable[[str, Any], str]
"""Makes a value known to the source, under the suggested name or one like it, and returns that name."""


class Source(Protocol):
    """Where raw values come from, as expressions."""

    opening: str
    """The first line of the body."""

    def value(self, keys: list[str], *, is_required: bool) -> str | None:
        """The first value of these keys that is there and not null; None if they are surely not there."""
        ...

    def unknown(self, known: frozenset[str], name: Name) -> str:
        """A dict of what no field takes."""
        ...


class GeneratedSource(NamedTuple):
    """A function as source.

    Attributes:
        text: The source.
        names: What it refers to.
    """

    text: str
    names: dict[str, Any]

    def compiled(self, title: str) -> Callable[..., Any]:
        """The function; tracebacks show it under the title."""
        names = dict(self.names)
        exec(compile(self.text, f"<structure {title}>", "exec"), names)  # noqa: S102 - see the module's docstring
        made: Callable[..., Any] = names["structure"]
        return made


class _Members(dict[Any, Any]):
    """Text → member of an open enumeration, unknown ones by the hook; a dict is faster than `Enum.__call__`."""

    def __init__(self, cls: type[OpenEnum]) -> None:
        super().__init__((member.value, member) for member in cls)
        self._cls = cls

    def __missing__(self, value: Any) -> OpenEnum:
        """What the hook says; kept while there is room."""
        found = scalars.enum_member(value, self._cls)
        if len(self) < _MOST_MEMBERS and len(value) <= _LONGEST_MEMBER:
            self[found.value] = found
        return found


class _InternedTexts(dict[str, str]):
    """Text → the first one that is equal to it, so that what repeats from row to row is held once."""

    def __missing__(self, text: str) -> str:
        """Itself; kept while there is room."""
        if len(self) < _MOST_MEMBERS and len(text) <= _LONGEST_MEMBER:
            self[text] = text
        return text


def write(plan: ModelSpec, source: Source, converter: Converter) -> GeneratedSource:
    """Writes the function that reads an object of `plan.cls` from `source`."""
    return _Writer(source, converter).function(plan)


class _Writer:
    """One function in the making, and the names that it uses."""

    def __init__(self, source: Source, converter: Converter) -> None:
        self._source = source
        self._converter = converter
        self._names: dict[str, Any] = dict(_NAMES)

    def function(self, plan: ModelSpec) -> GeneratedSource:
        """The whole function."""
        body = [self._source.opening]
        for flat in plan.flat:
            body += self._made(flat.parts, f"made_{flat.name}", f"{flat.name}_", flat.wire.name)
        body += [*self._made(plan, "made", "", ""), "return made"]
        text = "\n".join(["def structure(data, _=None):", *(f"    {line}" for line in body), ""])
        return GeneratedSource(text, self._names)

    def _made(self, plan: ModelSpec, target: str, owner: str, prefix: str) -> list[str]:
        """The lines that make one object and put it into the variable `target`.

        Args:
            plan: Of the object.
            target: The variable.
            owner: What the names of helpers begin with.
            prefix: What the wire names begin with.
        """
        stores = [f"{target}.{field.name} = {self._read(field, owner + field.name, prefix)}" for field in plan.fields]
        stores += [f"{target}.{flat.name} = made_{flat.name}" for flat in plan.flat]
        if plan.keeps_extra:
            stores.append(f"{target}.extra = {self._source.unknown(plan.known, self._name)}")
        title = plan.cls.__name__
        clone = self._name(f"twin_of_{title}", assignable_clone(plan.cls))
        return [f"{target} = new({clone})", *stores, f"{target}.__class__ = {self._name(f'class_{title}', plan.cls)}"]

    def _name(self, suggested: str, value: Any) -> str:
        name = suggested
        while name in self._names and self._names[name] is not value:
            name += "_"
        self._names[name] = value
        return name

    def _call(self, hook: Callable[..., Any], what: str, raw: str, tp: Any) -> str:
        return f"{self._name(f'read_{what}', hook)}({raw}, {self._name(f'type_{what}', tp)})"

    def _read(self, field: ReadField, what: str, prefix: str) -> str:
        """The expression for a field's value; `what` tells its helpers from others."""
        keys = [prefix + key for key in (field.wire.name, *field.wire.aliases)]
        raw = self._source.value(keys, is_required=field.is_required)
        if raw is None:
            return "None" if field.is_optional else "()"
        if field.type is Any:
            return raw
        if field.is_optional:
            return self._optional(field, what, raw)
        item = item_of_tuple(field.type)
        if item is not None:
            return self._tuple(field, item, what, raw)
        return self._required(field, what, raw)

    def _required(self, field: ReadField, what: str, raw: str) -> str:
        hook = self._converter.get_structure_hook(field.type)
        if hook is not scalars.parse_identifier:
            return self._call(hook, what, raw, field.type)
        value, first = _named(raw)
        return f"{value} if {first}.__class__ is str and {value} else {self._call(hook, what, value, field.type)}"

    def _optional(self, field: ReadField, what: str, raw: str) -> str:
        value, first = _named(raw)
        hook = self._converter.get_structure_hook(field.type)
        if hook is scalars.enum_member:
            members = self._name(f"members_of_{what}", _Members(field.type))
            return f"None if {first} is None else {members}[{value}]"
        # Only this hook knows what else means None.
        otherwise = self._call(self._converter.get_structure_hook(field.declared), what, value, field.declared)
        if hook is scalars.parse_text and field.wire.intern:
            texts = self._name(f"texts_of_{what}", _InternedTexts())
            return f"{texts}[{value}] if {first}.__class__ is str else None if {value} is None else {otherwise}"
        scalar = _scalar(hook, value, first, otherwise)
        if scalar is not None:
            return scalar
        read_object = getattr(hook, "read_object", None)
        if read_object is None:
            return f"None if {first} is None else {otherwise}"
        made = f"{self._name(f'read_object_{what}', read_object)}({value})"
        return f"{made} if {first}.__class__ is dict and {value} else None if {value} is None else {otherwise}"

    def _tuple(self, field: ReadField, item: Any, what: str, raw: str) -> str:
        hook = self._converter.get_structure_hook(item)
        read_all = getattr(hook, "read_all", None)
        if read_all is not None:  # a compiled class reads lists of itself
            all_read = f"{self._name(f'read_all_{what}', read_all)}(value)"
        else:
            read = self._call(hook, f"item_of_{what}", "item", item)
            kept_once = f"{self._name(f'texts_of_{what}', _InternedTexts())}[item]" if field.wire.intern else "item"
            read = f"{kept_once} if item.__class__ is str else {read}" if hook in _TEXTS else read
            kept = " if item is not None" if skips_nulls(item) else ""
            all_read = f"[{read} for item in value{kept}]"
        otherwise = self._call(self._converter.get_structure_hook(field.type), what, "value", field.type)
        return f"(tuple({all_read}) if value else ()) if (value := {raw}).__class__ is list else {otherwise}"


def _named(raw: str) -> tuple[str, str]:
    """A variable for a raw value, and the expression that it is first used by; what is a variable needs no other one."""
    return (raw, raw) if raw.isidentifier() else ("value", f"(value := {raw})")


def _scalar(hook: Callable[..., Any], value: str, first: str, otherwise: str) -> str | None:
    """The expression for one value that may be None, its common spellings in line; None for hooks that have none."""
    if hook is scalars.parse_bool:
        digit = f"{value} == 1 if {value}.__class__ is int and 0 <= {value} <= 1 else {otherwise}"
        return f"{value} if {first}.__class__ is bool or {value} is None else {digit}"
    if hook is scalars.parse_text:
        return f"{value} if {first}.__class__ is str or {value} is None else {otherwise}"
    if hook is scalars.parse_int:
        digits = f"{value}.__class__ is str and {value}.isdecimal() and {value}.isascii() and len({value}) < 19"
        return f"{value} if {first}.__class__ is int or {value} is None else int({value}) if {digits} else {otherwise}"
    if hook is scalars.parse_decimal:
        digits = f"{value}.__class__ is str and '_' not in {value} and (number := Decimal({value})).is_finite()"
        return f"None if {first} is None or {value} == '' else number if {digits} else {otherwise}"
    if hook is scalars.parse_datetime:
        # Before '1' come the empty text and zero dates, and nothing that is worth a shorter way.
        aware = f"moment if (moment := from_iso({value})).tzinfo is not None"
        local = "combine(moment, moment.time(), AMSTERDAM)"
        return f"None if {first} is None else {otherwise} if {value} < '1' else {aware} else {local}"
    return None


_HOT: Final = 128
_MOST_SHAPES: Final = 64
_MOST_COUNTED: Final = 256
_LONGEST_SHAPE: Final = 200
_MOST_KNOWN_KEYS: Final = 1024
"""Names of keys that are remembered as told of; past that, nobody wants to hear of any more."""

Keys = tuple[str, ...]
Read = Callable[..., Any]


def compile_class(plan: ModelSpec, converter: Converter) -> Read | None:
    """The structure function of a class, or None where its `__init__` has a say or its layout does not allow one."""
    if not plan.is_fillable or any(
        assignable_clone(part.cls) is None for part in (plan, *(field.parts for field in plan.flat))
    ):
        return None
    shapes = _Shapes(plan, converter)

    def structure(value: Any, _: Any = None) -> Any:
        return shapes[(*value,)](value)

    # For the source of other classes, which knows already that it has a list or an object in hand.
    structure.read_all = shapes.read_all  # type: ignore[attr-defined]
    structure.read_object = structure  # type: ignore[attr-defined]
    return structure


class _Lookup:
    """Raw values by key, for objects of any shape."""

    opening = "get = data.get"

    def value(self, keys: list[str], *, is_required: bool) -> str:
        found = f"data[{keys[-1]!r}]" if is_required else f"get({keys[-1]!r})"
        for key in reversed(keys[:-1]):
            found = f"(found if (found := get({key!r})) is not None else {found})"
        return found

    def unknown(self, known: frozenset[str], name: Name) -> str:
        return f"{{key: value for key, value in data.items() if key not in {name('known_keys', known)}}}"


class _Unpacked:
    """Raw values in local variables, for objects of one shape. All its required keys are there."""

    def __init__(self, keys: Keys, known: frozenset[str]) -> None:
        self._variables = {key: self._variable(index, key, known) for index, key in enumerate(keys)}
        self.opening = f"{', '.join(self._variables.values())}, = data.values()"

    @staticmethod
    def _variable(index: int, key: str, known: frozenset[str]) -> str:
        """A key that the classes do not know came with an answer, so it must not become source code."""
        if key not in known:
            return f"unknown_{index}"
        return f"raw_{key}" if key.isidentifier() and key.isascii() else f"raw_{index}"

    def value(self, keys: list[str], *, is_required: bool) -> str | None:  # noqa: ARG002 - as the protocol says
        found: str | None = None
        for key in reversed(keys):
            variable = self._variables.get(key)
            if variable is not None:
                found = variable if found is None else f"({variable} if {variable} is not None else {found})"
        return found

    def unknown(self, known: frozenset[str], name: Name) -> str:
        pairs = (
            f"{name(f'key_of_{variable}', key)}: {variable}"
            for key, variable in self._variables.items()
            if key not in known
        )
        return f"{{{', '.join(pairs)}}}"


class _Shapes(dict[Keys, Read]):
    """Shape → the function that reads it. Bounded, whatever an API sends."""

    def __init__(self, plan: ModelSpec, converter: Converter) -> None:
        super().__init__()
        self._plan = plan
        self._converter = converter
        self._any_shape = write(plan, _Lookup(), converter).compiled(plan.cls.__qualname__)
        self._seen: dict[Keys, int] = {}
        self._latest: tuple[list[str], Read] = ([], self._any_shape)
        self._known_keys = set(plan.known)

    def read_all(self, values: list[Any]) -> list[Any]:
        """Reads the objects of a list, which mostly are of one shape: comparing lists is cheaper than hashing tuples."""
        keys, read = self._latest
        return [read(value) if [*value] == keys else self[(*value,)](value) for value in values]

    def __missing__(self, keys: Keys) -> Read:
        """The function for any shape, until this one is worth its own."""
        if len(self._seen) >= _MOST_COUNTED:
            self._seen.clear()
        seen = self._seen[keys] = self._seen.get(keys, 0) + 1
        if seen == 1:
            self._notice(keys)
        if seen < _HOT or len(self) >= _MOST_SHAPES or not self._is_fit(keys):
            return self._any_shape
        self._seen.pop(keys, None)
        source = _Unpacked(keys, self._plan.known)
        read = write(self._plan, source, self._converter).compiled(self._plan.cls.__qualname__)
        self[keys] = read
        self._latest = ([*keys], read)
        return read

    def _notice(self, keys: Keys) -> None:
        """Say what is new here; rows that all look different have mostly the same keys, in other orders and choices."""
        known_keys = self._known_keys
        if len(known_keys) >= _MOST_KNOWN_KEYS or known_keys.issuperset(keys):
            return
        report_unknown([key for key in keys if key not in known_keys], self._plan.cls)
        known_keys.update(keys)

    def _is_fit(self, keys: Keys) -> bool:
        required = (field.wire for field in self._plan.fields if field.is_required)
        return 0 < len(keys) <= _LONGEST_SHAPE and all(
            any(key in keys for key in (wire.name, *wire.aliases)) for wire in required
        )
