"""Export formats and the resources that can be exported."""

from __future__ import annotations

import csv
import io
import itertools
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol, TypeAlias

import attrs
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from goedgepickt_async import (
    Address,
    GoedGepickt,
    LinkedOrder,
    Order,
    OrderLine,
    OrderShipment,
    Paginator,
    PickLocation,
    Product,
    ProductStock,
    Shipment,
    Supplier,
    Webhook,
    Webshop,
)
from goedgepickt_async.bulk.files import escape_cell
from goedgepickt_async.convert import field_names, to_plain

__all__ = [
    "RESOURCES",
    "CsvEncoder",
    "Encoder",
    "FlatRow",
    "JsonLinesEncoder",
    "ResourceSpec",
    "cell",
    "column_names",
    "flat_rows",
    "print_table",
]


def cell(value: Any) -> str:
    """A value as the text of its cell."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case Decimal():
            return f"{value:f}"
        case int() | float():
            return str(value)
        case datetime():
            return value.isoformat()
    return escape_cell(str(value))


@attrs.frozen(kw_only=True)
class ResourceSpec:
    """One resource, as far as an export knows it.

    Attributes:
        model: The class of its rows.
        lists: From a client and the filters that it takes to the list.
        filters: The names of those filters.
        table: The useful few columns.
        nested: Fields that hold another model: their columns are `field.part`.
        joined: Fields that hold several of another model: columns `field.part`, values joined by "; ".
        lines: The field whose parts `--lines` makes rows of, and their class.
        has_schema: Whether there is a Parquet schema for it.
    """

    model: type[Any]
    lists: Callable[..., Paginator[Any]]
    filters: frozenset[str] = frozenset()
    table: tuple[str, ...]
    nested: Mapping[str, type[Any]] = attrs.field(factory=dict)
    joined: Mapping[str, type[Any]] = attrs.field(factory=dict)
    lines: tuple[str, type[Any]] | None = None
    has_schema: bool = False


def _lister(name: str) -> Callable[..., Paginator[Any]]:
    def lists(client: GoedGepickt, **filters: Any) -> Paginator[Any]:
        paginator: Paginator[Any] = getattr(client, name).list(**filters)
        return paginator

    return lists


RESOURCES: Mapping[str, ResourceSpec] = {
    "orders": ResourceSpec(
        model=Order,
        lists=_lister("orders"),
        filters=frozenset({"created_after", "status"}),
        table=("display_id", "status", "created_at", "total_paid", "shipping.city", "shipping.country", "webshop_name"),
        nested={"billing": Address, "shipping": Address},
        joined={"shipments": OrderShipment},
        lines=("lines", OrderLine),
        has_schema=True,
    ),
    "products": ResourceSpec(
        model=Product,
        lists=_lister("products"),
        table=("sku", "name", "type", "price", "stock.free_stock", "stock.total_stock"),
        nested={"supplier": Supplier, "stock": ProductStock},
        has_schema=True,
    ),
    "shipments": ResourceSpec(
        model=Shipment,
        lists=_lister("shipments"),
        filters=frozenset({"created_after", "status"}),
        table=("status", "created_at", "delivered_at", "shipping_method", "track_trace_code", "shipping_city"),
        nested={"linked_order": LinkedOrder},
        has_schema=True,
    ),
    "webshops": ResourceSpec(model=Webshop, lists=_lister("webshops"), table=("uuid", "name", "url", "platform")),
    "pick-locations": ResourceSpec(model=PickLocation, lists=_lister("pick_locations"), table=("uuid", "name")),
    "webhooks": ResourceSpec(
        model=Webhook, lists=_lister("webhooks"), table=("uuid", "event", "target_url", "webshop_name", "secret")
    ),
}
"""By the name that the command line knows it under."""


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


class Encoder(Protocol):
    """A format that can be written page by page."""

    @property
    def head(self) -> bytes:
        """What stands before the first row, also if there is none."""
        ...

    def encode(self, items: Sequence[Any]) -> bytes:
        """The rows of one page."""
        ...

    def foot(self) -> bytes:
        """What stands behind the last row, also if there is none."""
        ...


@attrs.frozen
class JsonLinesEncoder:
    """One JSON object a line, with all that the model holds."""

    head: bytes = b""

    def encode(self, items: Sequence[Any]) -> bytes:
        """The rows of one page."""
        return b"".join(_json_line(to_plain(item)) for item in items)

    def foot(self) -> bytes:
        """Nothing."""
        return b""


def _json_line(plain: dict[str, Any]) -> bytes:
    try:
        return json.dumps(plain, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    except UnicodeEncodeError:  # half a surrogate pair, which only an escape can carry
        return json.dumps(plain, separators=(",", ":")).encode() + b"\n"


@attrs.frozen
class CsvEncoder:
    """RFC 4180: comma, double quotes where needed, CR LF; see `columns` and `csv_cells` for what stands in it."""

    spec: ResourceSpec
    lines: bool = False

    @property
    def head(self) -> bytes:
        """The names of the columns."""
        return _csv([column_names(self.spec, lines=self.lines)])

    def encode(self, items: Sequence[Any]) -> bytes:
        """The rows of one page."""
        rows = (row for item in items for row in flat_rows(self.spec, item, lines=self.lines))
        return _csv([[cell(value) for value in row.values()] for row in rows])

    def foot(self) -> bytes:
        """Nothing."""
        return b""


def _csv(rows: Sequence[Sequence[str]]) -> bytes:
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue().encode(errors="replace")


_WIDEST_CELL = 60


def print_table(spec: ResourceSpec, items: Sequence[Any]) -> None:
    """Print it to stdout, as wide as the terminal, or as wide as it needs to be where there is none."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    rows = [row for item in items for row in flat_rows(spec, item)]
    for name in spec.table:
        numeric = any(_is_number(row[name]) for row in rows)
        # No cell is wrapped; the first column, by which people find the row again, is the last to be cut.
        table.add_column(name, justify="right" if numeric else "left", no_wrap=True, overflow="ellipsis")
    for row in rows:
        table.add_row(*(_shown(row[name]) for name in spec.table))
    console = Console(file=sys.stdout, highlight=False)
    if not console.is_terminal:
        console = Console(file=sys.stdout, highlight=False, width=_width_needed(table, console))
    console.print(table)


def _width_needed(table: Table, console: Console) -> int:
    wide = console.options.update(width=len(table.columns) * (_WIDEST_CELL + 3))
    return max(1, console.measure(table, options=wide).maximum)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _shown(value: Any) -> Text:
    """A value as plain text: no markup, and no control character that a terminal would obey."""
    match value:
        case None:
            return Text("")
        case datetime():
            return Text(value.strftime("%Y-%m-%d %H:%M"))
        case Decimal():
            return Text(f"{value:f}")
    text = "".join(char if char.isprintable() else " " for char in itertools.islice(str(value), _WIDEST_CELL + 1))
    return Text(text if len(text) <= _WIDEST_CELL else text[: _WIDEST_CELL - 1] + "…")
