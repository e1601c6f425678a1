"""The two cattrs converters: one set of rules, read fast or read in detail."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple

import attrs
from cattrs import Converter, IterableValidationError, IterableValidationNote

from goedgepickt_async.convert import scalars
from goedgepickt_async.convert.explain import generate_class
from goedgepickt_async.convert.fast import compile_class
from goedgepickt_async.convert.mismatch import mismatch
from goedgepickt_async.convert.nothing import is_empty_list, nothing_for, skips_nulls
from goedgepickt_async.convert.read_plan import inner_of_optional, item_of_tuple, read_plan
from goedgepickt_async.models import OpenEnum, ProductStock, Secret
from goedgepickt_async.models.wire_names import Identifier, Label

__all__ = ["Converters", "converters"]

Hook = Callable[[Any, Any], Any]


class Converters(NamedTuple):
    """The converters of this package.

    Attributes:
        fast: Reads every answer; stops at the first problem and does not say where.
        explain: Reads again what `fast` refused, and finds all problems with their places.
    """

    fast: Converter
    explain: Converter


def converters() -> Converters:
    """Both cattrs converters, to register hooks on. What is registered on one must be registered on the other.

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
    class_hook = _class_hooks(converter, is_fast=is_fast)
    converter.register_structure_hook_factory(_is_model, class_hook)
    converter.register_structure_hook_factory(lambda tp: tp is ProductStock, lambda tp: _or_bare(class_hook(tp)))
    return converter


def _register_scalars(converter: Converter) -> None:
    converter.register_structure_hook(str, scalars.text)
    converter.register_structure_hook(int, scalars.integer)
    converter.register_structure_hook(bool, scalars.boolean)
    converter.register_structure_hook(Decimal, scalars.decimal)
    converter.register_structure_hook(dt.datetime, scalars.moment)
    converter.register_structure_hook(Secret, scalars.secret)
    converter.register_structure_hook_factory(lambda tp: tp == Identifier, lambda _: scalars.identifier)
    converter.register_structure_hook_factory(lambda tp: tp == Label, lambda _: scalars.label)
    # By class, not by predicate: cattrs would take the hook of str, their base class, first.
    converter.register_structure_hook(OpenEnum, scalars.member)


def _register_containers(converter: Converter) -> None:
    def optional(tp: Any) -> Hook:
        inner = inner_of_optional(tp)
        hook = converter.get_structure_hook(inner)
        is_nothing = nothing_for(inner)
        return lambda value, _: None if is_nothing(value) else hook(value, inner)

    def many(tp: Any) -> Hook:
        item = item_of_tuple(tp)
        read_all = _all_in_detail if converter.detailed_validation else _all
        hook = converter.get_structure_hook(item)
        return lambda value, _: () if is_empty_list(value) else read_all(value, hook, item)

    converter.register_structure_hook_factory(lambda tp: inner_of_optional(tp) is not None, optional)
    converter.register_structure_hook_factory(lambda tp: item_of_tuple(tp) is not None, many)


def _all(values: Any, hook: Hook, item: Any) -> tuple[Any, ...]:
    if values.__class__ is not list:
        mismatch("a list", values)
    is_sparse = skips_nulls(item)
    return tuple([hook(value, item) for value in values if not (is_sparse and value is None)])


def _all_in_detail(values: Any, hook: Hook, item: Any) -> tuple[Any, ...]:
    if values.__class__ is not list:
        mismatch("a list", values)
    read: list[Any] = []
    errors: list[Exception] = []
    is_sparse = skips_nulls(item)
    for index, value in enumerate(values):
        if is_sparse and value is None:
            continue
        try:
            read.append(hook(value, item))
        except Exception as error:  # noqa: BLE001 - a user's hook may raise anything
            error.add_note(IterableValidationNote("", index, item))
            errors.append(error)
    if errors:
        raise IterableValidationError("", errors, tuple)  # pyright: ignore[reportCallIssue] # it reads __init__, not __new__
    return tuple(read)


def _is_model(tp: Any) -> bool:
    return isinstance(tp, type) and attrs.has(tp) and read_plan(tp) is not None


def _class_hooks(converter: Converter, *, is_fast: bool) -> Callable[[Any], Hook]:
    def class_hook(tp: Any) -> Hook:
        plan = read_plan(tp)
        assert plan is not None
        compiled = compile_class(plan, converter) if is_fast else None
        return compiled or generate_class(plan, converter)

    return class_hook


def _or_bare(hook: Hook) -> Hook:
    """Stock also comes as a bare number or numeric text (C): then it is the free stock."""

    def structure(value: Any, tp: Any = None) -> Any:
        if value.__class__ is int or value.__class__ is str or value.__class__ is float:
            return ProductStock(free_stock=scalars.integer(value))
        return hook(value, tp)

    structure.read_object = hook  # type: ignore[attr-defined]  # for the source of other classes
    return structure


_CONVERTERS = Converters(fast=_configured(is_fast=True), explain=_configured(is_fast=False))
