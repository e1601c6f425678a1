"""Writes the Python source that reads one class of model: no `__init__`, checks of the common case in line.

What the common case does not cover goes to the converter's hooks, and they decide; so the source is never more
tolerant than the hooks, only faster. It holds field names and wire names of classes, never a text from an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Protocol

from cattrs import Converter

from goedgepickt_async.models import OpenEnum

from . import scalars
from .read_plan import ReadField, ReadPlan, item_of_tuple

__all__ = ["Source", "twin_of", "write"]

_IN_LINE: Final = ((scalars.text, "str"), (scalars.integer, "int"), (scalars.boolean, "bool"))
_MOST_MEMBERS: Final = 256
_LONGEST_MEMBER: Final = 64
_NAMES: Final[Mapping[str, Any]] = {
    "new": object.__new__,
    "Decimal": Decimal,
    "iso": datetime.fromisoformat,
    "combine": datetime.combine,
    "AMSTERDAM": scalars.AMSTERDAM,
}


class Source(Protocol):
    """Where raw values come from, as expressions."""

    opening: str
    """The first line of the body."""

    def value(self, keys: list[str], *, is_required: bool) -> str | None:
        """The first value of these keys that is there and not null; None if they are surely not there."""
        ...

    def unknown(self, known: frozenset[str], name: Callable[[Any], str]) -> str:
        """A dict of what no field takes; `name` gives a value a name in the source."""
        ...


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


def twin_of(cls: type[Any]) -> type[Any] | None:
    """A class of the same layout whose attributes take assignment; an object is filled as one, then made a `cls`.

    A frozen attrs class refuses assignment, and going around that for each attribute costs twice the time. None if
    the layout does not allow it (no slots, or a slot for weak references beside them).
    """
    slots = cls.__dict__.get("__slots__")
    if slots is None:
        return None
    try:
        twin = type(cls.__name__, cls.__bases__, {"__slots__": slots})
        object.__setattr__(object.__new__(twin), "__class__", cls)
    except TypeError:
        return None
    return twin


def write(plan: ReadPlan, source: Source, converter: Converter) -> Callable[..., Any]:
    """Writes and compiles the function that reads an object of `plan.cls` from `source`."""
    return _Writer(source, converter).function(plan)


class _Writer:
    """One function in the making, and the names that it uses."""

    def __init__(self, source: Source, converter: Converter) -> None:
        self._source = source
        self._converter = converter
        self._names: dict[str, Any] = dict(_NAMES)

    def function(self, plan: ReadPlan) -> Callable[..., Any]:
        """The compiled function."""
        lines = ["def structure(o, _=None):", f"    {self._source.opening}"]
        for field in plan.flat:
            lines += [f"    {line}" for line in self._made(field.parts, f"p_{field.name}", field.wire.name)]
        lines += [f"    {line}" for line in self._made(plan, "r", "")]
        lines.append("    return r")
        code = compile("\n".join(lines), f"<structure {plan.cls.__qualname__}>", "exec")
        exec(code, self._names)  # noqa: S102 - see the module's docstring
        made: Callable[..., Any] = self._names["structure"]
        return made

    def _made(self, plan: ReadPlan, target: str, prefix: str) -> list[str]:
        """The lines that make one object and put it into the variable `target`."""
        stores = [f"{target}.{field.name} = {self._converted(field, prefix)}" for field in plan.fields]
        stores += [f"{target}.{field.name} = p_{field.name}" for field in plan.flat]
        if plan.keeps_extra:
            stores.append(f"{target}.extra = {self._source.unknown(plan.known, self._name)}")
        twin = self._name(twin_of(plan.cls))
        return [f"{target} = new({twin})", *stores, f"{target}.__class__ = {self._name(plan.cls)}"]

    def _name(self, value: Any) -> str:
        name = f"n{len(self._names)}"
        self._names[name] = value
        return name

    def _converted(self, field: ReadField, prefix: str) -> str:
        """The expression for a field's value."""
        keys = [prefix + key for key in (field.wire.name, *field.wire.aliases)]
        raw = self._source.value(keys, is_required=field.is_required)
        if raw is None:
            return "None" if field.is_optional else "()"
        if field.type is Any:
            return raw
        hook = self._converter.get_structure_hook(field.type)
        if field.is_optional:
            return self._optional(field.type, raw, hook)
        item = item_of_tuple(field.type)
        return self._call(hook, raw, field.type) if item is None else self._tuple(field.type, item, raw, hook)

    def _call(self, hook: Callable[..., Any], raw: str, tp: Any) -> str:
        return f"{self._name(hook)}({raw}, {self._name(tp)})"

    def _optional(self, tp: Any, raw: str, hook: Callable[..., Any]) -> str:
        # A raw value that is a variable already needs no other one.
        v, first = (raw, raw) if raw.isidentifier() else ("v", f"(v := {raw})")
        otherwise = self._call(hook, v, tp)
        for ours, cls in _IN_LINE:
            if hook is ours:
                return f"{v} if {first}.__class__ is {cls} or {v} is None else {otherwise}"
        if hook is scalars.member:
            return f"None if {first} is None else {self._name(_Members(tp))}[{v}]"
        if hook is scalars.decimal:
            exact = f"d if {v}.__class__ is str and '_' not in {v} and (d := Decimal({v})).is_finite() else {otherwise}"
            return f"None if {first} is None or {v} == '' else {exact}"
        if hook is scalars.moment:
            aware = f"d if (d := iso({v})).tzinfo is not None else combine(d, d.time(), AMSTERDAM)"
            return f"None if {first} is None or {v} == '' else {aware}"
        if tp is Decimal or tp is datetime:  # a user's hook; the empty text still means None
            return f"None if {first} is None or {v} == '' else {otherwise}"
        return f"None if {first} is None else {otherwise}"

    def _tuple(self, tp: Any, item: Any, raw: str, hook: Callable[..., Any]) -> str:
        read = self._converter.get_structure_hook(item)
        read_all = getattr(read, "read_all", None)
        if read_all is not None:  # a compiled class reads lists of itself
            all_read = f"{self._name(read_all)}(v)"
        elif read is scalars.text:
            all_read = f"[x if x.__class__ is str else {self._call(read, 'x', item)} for x in v]"
        else:
            all_read = f"[{self._call(read, 'x', item)} for x in v]"
        some = f"tuple({all_read}) if v else ()"
        return f"({some}) if (v := {raw}).__class__ is list else {self._call(hook, 'v', tp)}"
