"""The cattrs converters: a fast one, and a detailed one for error messages. `decode` uses both."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import islice, repeat
from typing import Any, Final, NamedTuple, TypeVar

import attrs
from cattrs import (
    AttributeValidationNote,
    ClassValidationError,
    Converter,
    IterableValidationError,
    IterableValidationNote,
)
from cattrs.gen import make_dict_structure_fn, override

from goedgepickt_async.convert import hooks as scalars
from goedgepickt_async.convert.generate import (
    ModelSpec,
    ReadField,
    compile_class,
    inner_of_optional,
    item_of_tuple,
    model_spec,
)
from goedgepickt_async.convert.hooks import Mismatch, kind_of, list_in_row, mismatch, null_check, skips_nulls
from goedgepickt_async.errors import DecodeError
from goedgepickt_async.logs import report_misfit, report_unknown
from goedgepickt_async.models import OpenEnum, ProductStock, Secret
from goedgepickt_async.models.base import FieldInfo, Identifier, Label, field_info

__all__ = [
    "BadRow",
    "Converters",
    "converters",
    "decode",
    "decode_error",
    "decode_readable",
    "decode_rows",
    "generate_class",
    "problems_of",
]


def generate_class(spec: ModelSpec, converter: Converter) -> Callable[..., Any]:
    """The structure function of a class from cattrs' own generator."""
    names: dict[str, Any] = {field.name: override(rename=field.wire.name) for field in spec.fields}
    names |= {field.name: override(rename=field.wire.name) for field in spec.flat}
    if spec.keeps_extra:
        names["extra"] = override(struct_hook=scalars.parse_json)
    generated = make_dict_structure_fn(
        spec.cls, converter, _cattrs_detailed_validation=converter.detailed_validation, **names
    )

    def structure(value: Any, _: Any = None) -> Any:
        if value.__class__ is not dict:
            mismatch("an object", value)
        return generated(_canonical(value, spec), spec.cls)

    return structure


def _canonical(data: dict[str, Any], spec: ModelSpec) -> dict[str, Any]:
    """Return the object with one key for each field, flat parts as separate objects, and unknown keys in `extra`."""
    found: dict[str, Any] = {}
    for part in spec.flat:
        prefix = part.wire.name
        found[prefix] = {key.removeprefix(prefix): data[key] for key in data if key.startswith(prefix)}
    for field in spec.fields:
        key = _key_of(field, data)
        if key is not None:
            found[field.wire.name] = data[key]
    if spec.keeps_extra:
        extra = found["extra"] = {key: value for key, value in data.items() if key not in spec.known}
        report_unknown(extra, spec.cls)
    return found


def _key_of(field: ReadField, data: dict[str, Any]) -> str | None:
    """Return the first key of a field that is present and not null, or else one that is present, or else None."""
    there = [key for key in field.wire.keys if key in data]
    return next((key for key in there if data[key] is not None), there[0] if there else None)


def problems_of(error: BaseException, path: str, joint: str = ".") -> Iterator[str]:
    """Return one line for each wrong value, such as `$.items[3].totalPaid: expected …`, without the value."""
    if isinstance(error, ClassValidationError):
        yield from _problems_of_object(error, path, joint)
    elif isinstance(error, IterableValidationError):
        noted, plain = error.group_exceptions()
        for part, note in noted:
            yield from problems_of(part, f"{path}[{note.index}]")
        for part in plain:
            yield from problems_of(part, path)
        yield from repeat("", getattr(error, "more", 0))  # only counted, because the list is full
    elif isinstance(error, Mismatch):
        yield f"{path}: {error}"
    else:
        # The text of an error from another package may contain the value.
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


def _wire_in(cls: type[Any], note: AttributeValidationNote) -> FieldInfo:
    attribute = attrs.fields_dict(cls).get(note.name) if attrs.has(cls) else None
    wire = None if attribute is None else field_info(attribute.metadata)
    return wire if wire is not None else FieldInfo(note.name)


Hook = Callable[[Any, Any], Any]


class Converters(NamedTuple):
    """The converters of this package.

    Attributes:
        fast: Reads every response. It stops at the first problem and does not report the place.
        detailed: Reads the values that `fast` refused, and reports all problems with their places.
    """

    fast: Converter
    detailed: Converter


def converters() -> Converters:
    """Both cattrs converters, for your own hooks. Register each hook on both of them.

    Example:
        ```python
        for converter in convert.converters():
            converter.register_structure_hook(Colour, lambda value, _: Colour.parse(value))
        ```
    """
    return _CONVERTERS


def _configured(*, is_fast: bool) -> Converter:
    converter = Converter(detailed_validation=not is_fast)
    _register_scalars(converter)
    _register_containers(converter)

    def class_hook(tp: Any) -> Hook:
        spec = model_spec(tp)
        assert spec is not None
        _python_names(tp)  # computed here, and not at the first object
        compiled = compile_class(spec, converter) if is_fast else None
        return compiled or generate_class(spec, converter)

    converter.register_structure_hook_factory(_is_model, class_hook)
    converter.register_structure_hook_factory(lambda tp: tp is ProductStock, lambda tp: _or_bare(class_hook(tp)))
    return converter


def _register_scalars(converter: Converter) -> None:
    converter.register_structure_hook(str, scalars.parse_text)
    converter.register_structure_hook(int, scalars.parse_int)
    converter.register_structure_hook(bool, scalars.parse_bool)
    converter.register_structure_hook(Decimal, scalars.parse_decimal)
    converter.register_structure_hook(dt.datetime, scalars.parse_datetime)
    converter.register_structure_hook(Secret, scalars.parse_secret)
    converter.register_structure_hook_factory(lambda tp: tp == Identifier, lambda _: scalars.parse_identifier)
    converter.register_structure_hook_factory(lambda tp: tp == Label, lambda _: scalars.parse_label)
    converter.register_structure_hook_factory(lambda tp: tp is Any, lambda _: scalars.parse_json)
    # By class and not by predicate, because cattrs would use the hook of the base class `str` first.
    converter.register_structure_hook(OpenEnum, scalars.enum_member)


def _register_containers(converter: Converter) -> None:
    def optional(tp: Any) -> Hook:
        inner = inner_of_optional(tp)
        hook = converter.get_structure_hook(inner)
        is_nothing = null_check(inner)
        return lambda value, _: None if is_nothing(value) else hook(value, inner)

    def many(tp: Any) -> Hook:
        item = item_of_tuple(tp)
        read_all = _all_in_detail if converter.detailed_validation else _all
        hook = converter.get_structure_hook(item)
        return lambda value, _: read_all(list_in_row(value), hook, item)

    converter.register_structure_hook_factory(lambda tp: inner_of_optional(tp) is not None, optional)
    converter.register_structure_hook_factory(lambda tp: item_of_tuple(tp) is not None, many)


def _all(values: list[Any], hook: Hook, item: Any) -> tuple[Any, ...]:
    is_sparse = skips_nulls(item)
    return tuple([hook(value, item) for value in values if not (is_sparse and value is None)])


def _all_in_detail(values: list[Any], hook: Hook, item: Any) -> tuple[Any, ...]:
    """As `_all`, with all problems. The detailed hook is ten times slower: it gets only what the fast one refuses."""
    fast = converters().fast.get_structure_hook(item)
    read: list[Any] = []
    errors: list[Exception] = []
    more = 0
    is_sparse = skips_nulls(item)
    for index, value in enumerate(values):
        if is_sparse and value is None:
            continue
        try:
            read.append(fast(value, item))
            continue
        except Exception:  # noqa: BLE001 - the detailed path tells why
            if len(errors) >= _KEPT:
                more += 1
                if more >= _COUNTED:
                    break
                continue
        try:
            read.append(hook(value, item))
        except Exception as error:  # noqa: BLE001 - a user's hook may raise anything
            error.add_note(IterableValidationNote("", index, item))
            errors.append(error)
    if errors:
        refused = IterableValidationError("", errors, tuple)  # pyright: ignore[reportCallIssue] # it reads __init__, not __new__
        refused.more = more  # type: ignore[attr-defined]  # the number of further problems
        raise refused
    return tuple(read)


def _is_model(tp: Any) -> bool:
    return isinstance(tp, type) and attrs.has(tp) and model_spec(tp) is not None


def _or_bare(hook: Hook) -> Hook:
    """Stock can also be a number or numeric text (C): then it is the free stock."""

    def structure(value: Any, tp: Any = None) -> Any:
        if value.__class__ is int or value.__class__ is str or value.__class__ is float:
            return ProductStock(free_stock=scalars.parse_int(value))
        return hook(value, tp)

    structure.read_object = hook  # type: ignore[attr-defined]  # for the generated code of other classes
    return structure


_CONVERTERS = Converters(fast=_configured(is_fast=True), detailed=_configured(is_fast=False))


_T = TypeVar("_T")
_SHOWN: Final = 5
_KEPT: Final = 100
_COUNTED: Final = 10_000
"""More problems are not counted exactly, because a response of 2 MB can have a million."""


@attrs.frozen(kw_only=True)
class BadRow:
    """A row of a response that cannot be read.

    Attributes:
        index: Its index in the list.
        lines: The first hundred problems, each with its place in the response.
        count: The number of wrong values.
    """

    index: int
    lines: tuple[str, ...]
    count: int

    @property
    def problems(self) -> tuple[str, ...]:
        """The lines, with a last line such as `and 4,812 more` if there are more."""
        return _with_more(self.lines, self.count)


def decode(data: Any, cls: type[_T]) -> _T:
    """Read one object of a response.

    Args:
        data: JSON values, as from `parse`.
        cls: The model, or any type for which the converters have a hook.

    Returns:
        The model.

    Raises:
        DecodeError: The value does not fit the model; `problems` has a line for each wrong value, with the API's names.
    """
    model: Any = cls
    if data.__class__ is dict and not _python_names(model).isdisjoint(data):
        _refuse_python_names(data, model)
    rows, bad = _read_each([data], cls, ["$"])
    if bad:
        raise decode_error(cls, bad)
    return rows[0]


@functools.lru_cache(maxsize=256)
def _python_names(cls: Any) -> frozenset[str]:
    """The Python names of a model's fields that cannot be wire names."""
    if not attrs.has(cls):
        return frozenset()
    return frozenset(field.name for field in attrs.fields(cls) if "_" in field.name and field_info(field.metadata))


def _refuse_python_names(data: dict[str, Any], cls: Any) -> None:
    """Refuse a result of `to_dict`: with Python names all keys would be unknown, and the model empty."""
    for field in attrs.fields(cls):
        wire = field_info(field.metadata)
        if wire is not None and "_" in field.name and field.name in data and wire.name not in data:
            message = (
                f"{field.name} is a Python name, so this is not a response of the API: use {cls.__name__}.from_dict"
            )
            raise DecodeError(message, problems=[f"$.{field.name}: expected {wire.name}"])


def decode_rows(rows: Any, cls: type[_T], *, path: str = "$.items") -> list[_T]:
    """Read the rows of one page.

    Args:
        rows: The list.
        cls: The model of a row.
        path: The place of the list in the response, for the problems.

    Returns:
        The models, in order.

    Raises:
        DecodeError: The value is not a list, or rows do not fit; `problems` has a line for each wrong value, with its
            index.
    """
    read, bad = decode_readable(rows, cls, path=path)
    if bad:
        raise decode_error(cls, bad)
    return read


def decode_readable(
    rows: Any, cls: type[_T], *, path: str = "$.items", places: Sequence[int] | None = None
) -> tuple[list[_T], list[BadRow]]:
    """Like `decode_rows`, but also return the rows that cannot be read, instead of raising.

    `places` has the index of each row in the response, if it differs from the index in `rows`.
    """
    if rows.__class__ is not list:
        problem = f"{path}: expected a list, got {kind_of(rows)}"
        raise decode_error(cls, [BadRow(index=0, lines=(problem,), count=1)])
    read_all = getattr(converters().fast.get_structure_hook(cls), "read_all", None)
    if read_all is not None:
        try:
            return read_all(rows), []
        except Exception:  # noqa: BLE001, S110 - `_read_each` tells which row and why
            pass
    return _read_each(rows, cls, [f"{path}[{place}]" for place in places or range(len(rows))])


def _read_each(rows: list[Any], cls: type[_T], paths: list[str]) -> tuple[list[_T], list[BadRow]]:
    """Return the models, and the problems of the rows that cannot be read.

    The detailed converter reads only the rows that the fast one refuses, because it takes ten times as long.
    """
    fast, detailed = converters()
    hook = fast.get_structure_hook(cls)
    read: list[_T] = []
    bad: list[BadRow] = []
    for index, row in enumerate(rows):
        try:
            read.append(hook(row, cls))
            continue
        except Exception:  # noqa: BLE001, S110 - the detailed path tells why
            pass
        try:
            read.append(detailed.structure(row, cls))
        except Exception as error:  # noqa: BLE001 - a user's hook may raise anything
            lines = problems_of(error, paths[index])
            kept = tuple(islice(lines, _KEPT))
            bad.append(BadRow(index=index, lines=kept, count=len(kept) + sum(1 for _ in lines)))
    return read, bad


def _with_more(lines: tuple[str, ...], count: int) -> tuple[str, ...]:
    return (*lines, _more(count, len(lines))) if count > len(lines) else lines


def _more(count: int, shown: int) -> str:
    return f"and {'at least ' if count >= _COUNTED else ''}{count - shown:,} more"


def decode_error(cls: Any, bad: Iterable[BadRow]) -> DecodeError:
    """The error for rows that cannot be read, with a few of their problems in its message."""
    rows = list(bad)
    count = sum(row.count for row in rows)
    lines = tuple(islice((line for row in rows for line in row.lines), _KEPT))
    report_misfit(cls, lines)
    shown = "; ".join(lines[:_SHOWN])
    more = f"; {_more(count, _SHOWN)}" if count > _SHOWN else ""
    name = getattr(cls, "__name__", str(cls))
    return DecodeError(f"the response cannot be read as {name}: {shown}{more}", problems=_with_more(lines, count))
