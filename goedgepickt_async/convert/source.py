"""Writes the Python source that reads one class of model: no `__init__`, checks of the common case in line.

What the common case does not cover goes to the converter's hooks, and they decide; so the source is never more
tolerant than the hooks, only faster. It holds field names and wire names of classes, never a text from an answer.

Names in the source never meet: what comes from outside begins with `read_`, `type_`, `class_`, `twin_`, `members_`,
`texts_`, `known_` or `key_`; raw values with `raw_` or `unknown_`; what is made is `made` or begins with `made_`.
`tests/convert/test_source.py` shows the source of a small class as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple, Protocol

from cattrs import Converter

from goedgepickt_async.convert import scalars
from goedgepickt_async.convert.nothing import skips_nulls
from goedgepickt_async.convert.read_plan import ReadField, ReadPlan, item_of_tuple
from goedgepickt_async.convert.twin import twin_of
from goedgepickt_async.models import OpenEnum

__all__ = ["Name", "Source", "Written", "write"]

_TEXTS: Final = (scalars.text, scalars.label)
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


class Written(NamedTuple):
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
        found = scalars.member(value, self._cls)
        if len(self) < _MOST_MEMBERS and len(value) <= _LONGEST_MEMBER:
            self[found.value] = found
        return found


class _Texts(dict[str, str]):
    """Text → the first one that is equal to it, so that what repeats from row to row is held once."""

    def __missing__(self, text: str) -> str:
        """Itself; kept while there is room."""
        if len(self) < _MOST_MEMBERS and len(text) <= _LONGEST_MEMBER:
            self[text] = text
        return text


def write(plan: ReadPlan, source: Source, converter: Converter) -> Written:
    """Writes the function that reads an object of `plan.cls` from `source`."""
    return _Writer(source, converter).function(plan)


class _Writer:
    """One function in the making, and the names that it uses."""

    def __init__(self, source: Source, converter: Converter) -> None:
        self._source = source
        self._converter = converter
        self._names: dict[str, Any] = dict(_NAMES)

    def function(self, plan: ReadPlan) -> Written:
        """The whole function."""
        body = [self._source.opening]
        for flat in plan.flat:
            body += self._made(flat.parts, f"made_{flat.name}", f"{flat.name}_", flat.wire.name)
        body += [*self._made(plan, "made", "", ""), "return made"]
        text = "\n".join(["def structure(data, _=None):", *(f"    {line}" for line in body), ""])
        return Written(text, self._names)

    def _made(self, plan: ReadPlan, target: str, owner: str, prefix: str) -> list[str]:
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
        twin = self._name(f"twin_of_{title}", twin_of(plan.cls))
        return [f"{target} = new({twin})", *stores, f"{target}.__class__ = {self._name(f'class_{title}', plan.cls)}"]

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
        if hook is not scalars.identifier:
            return self._call(hook, what, raw, field.type)
        value, first = _named(raw)
        return f"{value} if {first}.__class__ is str and {value} else {self._call(hook, what, value, field.type)}"

    def _optional(self, field: ReadField, what: str, raw: str) -> str:
        value, first = _named(raw)
        hook = self._converter.get_structure_hook(field.type)
        if hook is scalars.member:
            members = self._name(f"members_of_{what}", _Members(field.type))
            return f"None if {first} is None else {members}[{value}]"
        # Only this hook knows what else means None.
        otherwise = self._call(self._converter.get_structure_hook(field.declared), what, value, field.declared)
        if hook is scalars.text and field.wire.repeats:
            texts = self._name(f"texts_of_{what}", _Texts())
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
            kept_once = f"{self._name(f'texts_of_{what}', _Texts())}[item]" if field.wire.repeats else "item"
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
    if hook is scalars.boolean:
        digit = f"{value} == 1 if {value}.__class__ is int and 0 <= {value} <= 1 else {otherwise}"
        return f"{value} if {first}.__class__ is bool or {value} is None else {digit}"
    if hook is scalars.text:
        return f"{value} if {first}.__class__ is str or {value} is None else {otherwise}"
    if hook is scalars.integer:
        digits = f"{value}.__class__ is str and {value}.isdecimal() and {value}.isascii() and len({value}) < 19"
        return f"{value} if {first}.__class__ is int or {value} is None else int({value}) if {digits} else {otherwise}"
    if hook is scalars.decimal:
        digits = f"{value}.__class__ is str and '_' not in {value} and (number := Decimal({value})).is_finite()"
        return f"None if {first} is None or {value} == '' else number if {digits} else {otherwise}"
    if hook is scalars.moment:
        # Before '1' come the empty text and zero dates, and nothing that is worth a shorter way.
        aware = f"moment if (moment := from_iso({value})).tzinfo is not None"
        local = "combine(moment, moment.time(), AMSTERDAM)"
        return f"None if {first} is None else {otherwise} if {value} < '1' else {aware} else {local}"
    return None
