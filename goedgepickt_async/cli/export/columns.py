"""Models as flat rows: which columns a resource has, and what stands in each.

Columns come from the models, never from the data, so they are the same in every export of one version:

- nested models give `billing.city`, `stock.free_stock`; what is missing as a whole gives empty cells;
- several parts give one cell, joined by "; " (`tags`, `shipments.track_trace_code`);
- what has no fixed shape (`extra`, `product_attributes`) is JSON in one cell, empty if there is nothing;
- the lines of an order are left out, unless each line is to be a row: then there are the columns `line.number` (from 1)
  and `line.sku` and so on, the order's columns are repeated, and an order without lines is one row.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, TypeAlias

from goedgepickt_async.cli.export.resources import ResourceSpec
from goedgepickt_async.convert import field_names

__all__ = ["FlatRow", "column_names", "flat_rows"]

FlatRow: TypeAlias = dict[str, Any]
"""By column: None, a bool, a number, a moment, or text."""

_SEPARATOR = "; "


def column_names(spec: ResourceSpec, *, lines: bool = False) -> list[str]:
    """The columns, in their order.

    Args:
        spec: The resource.
        lines: Whether each line is a row.
    """
    names = [column for field in _fields(spec) for column in _columns_of(spec, field)]
    if lines and spec.lines is not None:
        names += ["line.number", *(f"line.{part}" for part in field_names(spec.lines[1]))]
    return names


def flat_rows(spec: ResourceSpec, item: Any, *, lines: bool = False) -> Iterator[FlatRow]:
    """The rows that one item makes: one, or one a line."""
    row = {column: value for field in _fields(spec) for column, value in _cells_of(spec, field, getattr(item, field))}
    if not lines or spec.lines is None:
        yield row
        return
    field, part = spec.lines
    for number, line in enumerate(getattr(item, field), start=1):
        yield row | {"line.number": number} | _nested("line", part, line)
    if not getattr(item, field):
        yield row | {"line.number": None} | _nested("line", part, None)


def _fields(spec: ResourceSpec) -> list[str]:
    left_out = None if spec.lines is None else spec.lines[0]
    return [name for name in field_names(spec.model) if name != left_out]


def _columns_of(spec: ResourceSpec, field: str) -> list[str]:
    part = spec.nested.get(field) or spec.joined.get(field)
    return [field] if part is None else [f"{field}.{name}" for name in field_names(part)]


def _cells_of(spec: ResourceSpec, field: str, value: Any) -> Iterator[tuple[str, Any]]:
    if field in spec.nested:
        yield from _nested(field, spec.nested[field], value).items()
    elif field in spec.joined:
        for name in field_names(spec.joined[field]):
            yield f"{field}.{name}", _join(getattr(part, name) for part in value)
    else:
        yield field, _scalar(value)


def _nested(prefix: str, model: type[Any], value: Any) -> FlatRow:
    return {f"{prefix}.{name}": None if value is None else _scalar(getattr(value, name)) for name in field_names(model)}


def _scalar(value: Any) -> Any:
    match value:
        case dict():
            return json.dumps(value, ensure_ascii=False, default=str) if value else None
        case list() | tuple() if all(isinstance(part, str) for part in value):
            return _join(iter(value))
        case list() | tuple():
            return json.dumps(value, ensure_ascii=False, default=str)
    return value


def _join(parts: Iterator[Any]) -> str | None:
    texts = (_text(part) for part in parts if part is not None and part != {})
    return _SEPARATOR.join(text for text in texts if text) or None


def _text(value: Any) -> str:
    scalar = _scalar(value)
    return scalar.isoformat() if hasattr(scalar, "isoformat") else str(scalar)
