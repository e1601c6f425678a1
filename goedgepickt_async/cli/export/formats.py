"""The tables of export formats and of resources that can be exported, and the formats that are text.

A format is one entry of `FORMATS`, a resource one list in the table of endpoints. The choices of the command line, its
help and its checks are derived from them. `--help` imports this module, so the models are imported when one is used.
"""

from __future__ import annotations

import csv
import enum
import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, get_args, get_origin, get_type_hints
from zoneinfo import ZoneInfo

import attrs

import goedgepickt_async
from goedgepickt_async.cli.errors import UsageError
from goedgepickt_async.endpoints import ENDPOINTS, Endpoint
from goedgepickt_async.text import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from goedgepickt_async import GoedGepickt, Paginator

__all__ = [
    "DUTCH",
    "FORMATS",
    "RESOURCES",
    "CsvEncoder",
    "Encoder",
    "ExportFormat",
    "FlatRow",
    "JsonLinesEncoder",
    "OutputKind",
    "ResourceSpec",
    "Selection",
    "cell",
    "format_for",
    "parse_fields",
    "print_table",
]


DUTCH = ZoneInfo("Europe/Amsterdam")

# -- resources ------------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class _Details:
    """What the table of endpoints does not say of a resource.

    Attributes:
        table: The columns of `--format table`; empty: the first few.
        lines: The field that `--lines` makes rows of.
        filters: Filters that `list` has and the API does not.
        statuses: The name of the enumeration of its statuses.
        is_personal: Whether its rows hold personal data: its files are made for their owner alone.
    """

    table: tuple[str, ...] = ()
    lines: str | None = None
    filters: frozenset[str] = frozenset()
    statuses: str | None = None
    is_personal: bool = False


_DETAILS: Mapping[str, _Details] = {
    "orders": _Details(
        table=("display_id", "status", "created_at", "total_paid", "shipping.city", "shipping.country", "webshop_name"),
        lines="lines",
        statuses="OrderStatus",
        is_personal=True,
    ),
    "products": _Details(table=("sku", "name", "type", "price", "stock.free_stock", "stock.total_stock")),
    "shipments": _Details(
        table=("status", "created_at", "delivered_at", "shipping_method", "track_trace_code", "shipping_city"),
        filters=frozenset({"status"}),
        statuses="ShipmentStatus",
        is_personal=True,
    ),
    "webshops": _Details(table=("uuid", "name", "url", "platform")),
    "webhooks": _Details(table=("uuid", "event", "target_url", "webshop_name", "secret")),
}
_COLUMNS_OF_A_TABLE = 6


@attrs.define(kw_only=True, slots=False)
class ResourceSpec:
    """One resource, as far as an export knows it.

    Attributes:
        endpoint: Its list.
        details: What the table of endpoints does not say.
    """

    endpoint: Endpoint
    details: _Details

    @property
    def name(self) -> str:
        """Its name on the command line."""
        return self.endpoint.resource.replace("_", "-")

    @property
    def filters(self) -> frozenset[str]:
        """The filters that `list` takes."""
        return self.details.filters | {filter_.name for filter_ in self.endpoint.filters}

    @cached_property
    def model(self) -> type[Any]:
        """The class of its rows."""
        model: type[Any] = getattr(goedgepickt_async, self.endpoint.model or "")
        return model

    @cached_property
    def nested(self) -> dict[str, type[Any]]:
        """Fields that hold another model: their columns are `field.part`."""
        return {name: part for name, (part, is_several) in self._parts.items() if not is_several}

    @cached_property
    def joined(self) -> dict[str, type[Any]]:
        """Fields that hold several of another model: columns `field.part`, values joined by "; "."""
        return {name: part for name, (part, several) in self._parts.items() if several and name != self.details.lines}

    @cached_property
    def line_model(self) -> type[Any]:
        """The class of the rows of `--lines`."""
        return self._parts[self.details.lines or ""][0]

    @property
    def table(self) -> tuple[str, ...]:
        """The columns of `--format table`."""
        return self.details.table or tuple(self.columns()[:_COLUMNS_OF_A_TABLE])

    @property
    def statuses(self) -> list[str]:
        """The statuses that are known; empty if it has none."""
        return (
            []
            if not self.details.statuses
            else [str(each) for each in getattr(goedgepickt_async, self.details.statuses)]
        )

    def paginator(self, client: GoedGepickt, **filters: Any) -> Paginator[Any]:
        """The list, read by a client."""
        paginator: Paginator[Any] = getattr(client, self.endpoint.resource).list(**filters)
        return paginator

    def columns(self, *, lines: bool = False) -> list[str]:
        """The columns, in their order.

        Args:
            lines: Whether each line is a row.
        """
        names = [column for field in self._fields for column in self._columns_of(field)]
        if lines and self.details.lines is not None:
            names += ["line.number", *(f"line.{part}" for part in _field_names(self.line_model))]
        return names

    def rows(self, item: Any, *, lines: bool = False) -> Iterator[FlatRow]:
        """The rows that one item makes: one, or one a line."""
        row = {column: value for field in self._fields for column, value in self._cells_of(field, getattr(item, field))}
        if not lines or self.details.lines is None:
            yield row
            return
        parts = getattr(item, self.details.lines)
        for number, line in enumerate(parts, start=1):
            yield row | {"line.number": number} | _nested("line", self.line_model, line)
        if not parts:
            yield row | {"line.number": None} | _nested("line", self.line_model, None)

    @cached_property
    def _parts(self) -> dict[str, tuple[type[Any], bool]]:
        """Fields that hold models: which, and whether several."""
        found: dict[str, tuple[type[Any], bool]] = {}
        for name, hint in get_type_hints(self.model).items():
            several = get_origin(hint) is tuple
            parts = (part for part in (hint, *get_args(hint)) if isinstance(part, type) and attrs.has(part))
            inner = next(parts, None)
            if inner is not None:
                found[name] = (inner, several)
        return found

    @cached_property
    def _fields(self) -> list[str]:
        return [name for name in _field_names(self.model) if name != self.details.lines]

    def _columns_of(self, field: str) -> list[str]:
        part = self.nested.get(field) or self.joined.get(field)
        return [field] if part is None else [f"{field}.{name}" for name in _field_names(part)]

    def _cells_of(self, field: str, value: Any) -> Iterator[tuple[str, Any]]:
        if field in self.nested:
            yield from _nested(field, self.nested[field], value).items()
        elif field in self.joined:
            for name in _field_names(self.joined[field]):
                yield f"{field}.{name}", _join(getattr(part, name) for part in value)
        else:
            yield field, _scalar(value)


RESOURCES: Mapping[str, ResourceSpec] = {
    spec.name: spec
    for spec in sorted(
        (
            ResourceSpec(endpoint=endpoint, details=_DETAILS.get(endpoint.resource, _Details()))
            for endpoint in ENDPOINTS.values()
            if endpoint.operation.endswith(".list") and endpoint.is_list
        ),
        key=lambda spec: spec.name,
    )
}
"""By the name that the command line knows it under."""


# -- rows -----------------------------------------------------------------------------------------------------------

FlatRow: TypeAlias = dict[str, Any]
"""By column: None, a bool, a number, a moment, or text."""

_SEPARATOR = "; "


def _field_names(model: type[Any]) -> list[str]:
    from goedgepickt_async.convert import field_names  # noqa: PLC0415  `--help` must not wait for cattrs

    return list(field_names(model))


def _nested(prefix: str, model: type[Any], value: Any) -> FlatRow:
    names = _field_names(model)
    return {f"{prefix}.{name}": None if value is None else _scalar(getattr(value, name)) for name in names}


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


def parse_fields(text: str | None) -> tuple[str, ...]:
    """The names that `--fields` gives, with commas between them.

    Raises:
        UsageError: One is empty, or given twice.
    """
    if text is None:
        return ()
    names = tuple(name.strip() for name in text.split(","))
    if not all(names) or len(set(names)) < len(names):
        raise UsageError(f"--fields are names with commas between them, each once, such as uuid,status; not {text!r}")
    return names


# -- formats --------------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Selection:
    """Which part of a resource is written.

    Attributes:
        spec: The resource.
        lines: Whether each line of an order is a row.
        fields: The columns; empty: all.
    """

    spec: ResourceSpec
    lines: bool = False
    fields: tuple[str, ...] = ()

    def check(self) -> None:
        """Refuse columns that the resource does not have.

        Raises:
            UsageError: It names one, and those that there are.
        """
        known = self.spec.columns(lines=self.lines)
        for name in self.fields:
            if name not in known:
                raise UsageError(f"--fields: {self.spec.name} have no field {name!r}; there are {', '.join(known)}")

    @property
    def columns(self) -> list[str]:
        """The columns, in their order."""
        return list(self.fields) or self.spec.columns(lines=self.lines)

    def rows(self, items: Sequence[Any]) -> Iterator[FlatRow]:
        """The rows of some items."""
        for item in items:
            for row in self.spec.rows(item, lines=self.lines):
                yield {name: row[name] for name in self.fields} if self.fields else row


class Encoder(Protocol):
    """Writes one export, page by page; close it at the end, however that comes."""

    @property
    def head(self) -> bytes:
        """What stands before the first row, also if there is none."""
        ...

    def encode(self, items: Sequence[Any]) -> bytes:
        """The rows of one page."""
        ...

    def foot(self) -> Iterable[bytes]:
        """What stands behind the last row, also if there is none."""
        ...

    @property
    def remark(self) -> str | None:
        """What its user should know at the end."""
        ...

    def close(self) -> None:
        """Give back what it holds."""
        ...


@attrs.frozen
class JsonLinesEncoder:
    """One JSON object a line: all that the model holds, or the chosen fields by their names."""

    selection: Selection
    head: bytes = b""
    remark: None = None

    def encode(self, items: Sequence[Any]) -> bytes:
        """The rows of one page."""
        return b"".join(_json_line(row) for row in self.objects(items))

    def objects(self, items: Sequence[Any]) -> Iterator[dict[str, Any]]:
        """The rows of one page, as values that JSON takes."""
        if self.selection.fields:
            yield from ({name: _json(value) for name, value in row.items()} for row in self.selection.rows(items))
            return
        from goedgepickt_async.convert import to_plain  # noqa: PLC0415  `--help` must not wait for cattrs

        yield from map(to_plain, items)

    def foot(self) -> Iterable[bytes]:
        """Nothing."""
        return ()

    def close(self) -> None:
        """Nothing to give back."""


def _json(value: Any) -> Any:
    match value:
        case Decimal():
            return f"{value:f}"
        case datetime():
            return value.isoformat()
        case None | bool() | int() | float():
            return value
    return str(value)


def _json_line(plain: dict[str, Any]) -> bytes:
    try:
        return json.dumps(plain, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    except UnicodeEncodeError:  # half a surrogate pair, which only an escape can carry
        return json.dumps(plain, separators=(",", ":")).encode() + b"\n"


@attrs.frozen
class CsvEncoder:
    """CSV as RFC 4180 has it, or as a Dutch spreadsheet opens it.

    Attributes:
        selection: What is written.
        delimiter: Between cells.
        decimal: The sign before decimals.
        mark: What the file begins with.
    """

    selection: Selection
    delimiter: str = ","
    decimal: str = "."
    mark: bytes = b""
    remark: None = None

    @property
    def head(self) -> bytes:
        """The names of the columns."""
        return self.mark + self._csv([self.selection.columns])

    def encode(self, items: Sequence[Any]) -> bytes:
        """The rows of one page."""
        rows = self.selection.rows(items)
        return self._csv([[cell(value, decimal=self.decimal) for value in row.values()] for row in rows])

    def foot(self) -> Iterable[bytes]:
        """Nothing."""
        return ()

    def close(self) -> None:
        """Nothing to give back."""

    def _csv(self, rows: Sequence[Sequence[str]]) -> bytes:
        buffer = io.StringIO(newline="")
        csv.writer(buffer, delimiter=self.delimiter).writerows(rows)
        return buffer.getvalue().encode(errors="replace")


def cell(value: Any, *, decimal: str = ".") -> str:
    """A value as the text of its cell.

    Args:
        value: As it is in a flat row.
        decimal: The sign before decimals; with a comma, times are written as a spreadsheet reads them.
    """
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case Decimal():
            return f"{value:f}".replace(".", decimal)
        case int() | float():
            return str(value).replace(".", decimal)
        case datetime():
            return value.isoformat() if decimal == "." else f"{value.astimezone(DUTCH):%Y-%m-%d %H:%M:%S}"
    from goedgepickt_async.bulk.files import escape_cell  # noqa: PLC0415  `--help` must not wait for it

    return escape_cell(str(value))


def _excel_csv(selection: Selection) -> Encoder:
    return CsvEncoder(selection, delimiter=";", decimal=",", mark=b"\xef\xbb\xbf")


def _parquet(selection: Selection) -> Encoder:
    from goedgepickt_async.cli.export.binary import ParquetEncoder  # noqa: PLC0415  needs an extra

    return ParquetEncoder(selection.spec.name)


def _xlsx(selection: Selection) -> Encoder:
    from goedgepickt_async.cli.export.binary import ExcelEncoder  # noqa: PLC0415  needs an extra

    return ExcelEncoder(selection)


class OutputKind(enum.Enum):
    """Where a format can be written."""

    GROWING = enum.auto()
    """A file or a stream: whole rows at any time."""
    WHOLE = enum.auto()
    """A file that is there as a whole or not at all."""
    TERMINAL = enum.auto()
    """Stdout, when the last row is there."""


@attrs.frozen(kw_only=True)
class ExportFormat:
    """One format.

    Attributes:
        summary: What it is, for the help.
        suffixes: The endings of its files; a file's ending chooses the first format that has it.
        output: Where it can be written.
        encoder: Writes it; None: a table.
        has_lines: Whether `--lines` makes sense.
        has_fields: Whether `--fields` makes sense.
        extra: What must be installed: a module, and the extra that brings it.
    """

    summary: str
    suffixes: tuple[str, ...] = ()
    output: OutputKind = OutputKind.GROWING
    encoder: Callable[[Selection], Encoder] | None
    has_lines: bool = False
    has_fields: bool = True
    extra: tuple[str, str] | None = None


FORMATS: Mapping[str, ExportFormat] = {
    "jsonl": ExportFormat(
        summary="JSON Lines: all that the API gave, one object a line",
        suffixes=(".jsonl", ".ndjson"),
        encoder=JsonLinesEncoder,
    ),
    "csv": ExportFormat(
        summary="CSV: comma, UTF-8; addresses and stock flattened (billing.city, stock.free_stock), lists joined by "
        '"; ", unknown fields as JSON in "extra"',
        suffixes=(".csv",),
        encoder=CsvEncoder,
        has_lines=True,
    ),
    "excel-csv": ExportFormat(
        summary="CSV that a Dutch spreadsheet opens with a double click: semicolon, decimal comma, byte order mark",
        suffixes=(".csv",),
        encoder=_excel_csv,
        has_lines=True,
    ),
    "xlsx": ExportFormat(
        summary="Excel workbook: text stays text, with its leading zeros; times are Dutch (the extra `excel`)",
        suffixes=(".xlsx",),
        output=OutputKind.WHOLE,
        encoder=_xlsx,
        has_lines=True,
        extra=("xlsxwriter", "excel"),
    ),
    "parquet": ExportFormat(
        summary="Parquet with a fixed schema for each resource (the extra `arrow`)",
        suffixes=(".parquet",),
        output=OutputKind.WHOLE,
        encoder=_parquet,
        has_fields=False,
        extra=("pyarrow", "arrow"),
    ),
    "table": ExportFormat(
        summary="A table of a few columns, for the terminal",
        output=OutputKind.TERMINAL,
        encoder=None,
    ),
}
"""By name."""

_OTHER_ENDINGS = (
    ".json",
    ".xls",
    ".xlsm",
    ".ods",
    ".tsv",
    ".xml",
    ".html",
    ".pdf",
    ".gz",
    ".zip",
    ".bz2",
    ".xz",
    ".zst",
)


def format_for(name: str | None, output: str) -> str:
    """The format of an export.

    Args:
        name: As given; None: by the file's ending.
        output: The file, or `-`.

    Raises:
        UsageError: The ending is that of another format, or of none.
    """
    ending = "" if output == "-" else PurePath(output).suffix.lower()
    by_ending = next((known for known, each in FORMATS.items() if ending in each.suffixes), None)
    if name is None:
        if ending and by_ending is None:
            raise UsageError(f"no export makes {ending} files; {_endings()}. --format says it for any other name")
        return by_ending or "jsonl"
    if ending in FORMATS[name].suffixes or (by_ending is None and ending not in _OTHER_ENDINGS):
        return name
    theirs = f"is the ending of --format {by_ending}" if by_ending else "is that of another format"
    raise UsageError(f"--output {output}: {ending} {theirs}, not of {name}; {_endings()}")


def _endings() -> str:
    return "there are " + ", ".join(f"{each.suffixes[0]} ({name})" for name, each in FORMATS.items() if each.suffixes)


# -- the table ------------------------------------------------------------------------------------------------------

_WIDEST_CELL = 60


def print_table(selection: Selection, items: Sequence[Any]) -> None:
    """Print it to stdout, as wide as the terminal, or as wide as it needs to be where there is none."""
    from rich import box  # noqa: PLC0415  `--help` must not wait for it
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    names = selection.fields or selection.spec.table
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    rows = [row for item in items for row in selection.spec.rows(item)]
    for name in names:
        numeric = any(_is_number(row[name]) for row in rows)
        # No cell is wrapped; the first column, by which people find the row again, is the last to be cut.
        table.add_column(name, justify="right" if numeric else "left", no_wrap=True, overflow="ellipsis")
    for row in rows:
        table.add_row(*(_shown(row[name]) for name in names))
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
    from rich.text import Text  # noqa: PLC0415

    match value:
        case None:
            return Text("")
        case datetime():
            return Text(value.strftime("%Y-%m-%d %H:%M"))
        case Decimal():
            return Text(f"{value:f}")
    return Text(printable(str(value), _WIDEST_CELL - 1))
