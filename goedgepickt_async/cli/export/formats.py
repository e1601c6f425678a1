"""The tables of export formats and of resources that can be exported, and the formats that are text.

A format is an entry of `FORMATS`, and a resource is a list in the table of endpoints. The choices of the command line,
its help and its checks are derived from them. `--help` imports this module, so the models are imported when one is
used.
"""

from __future__ import annotations

import csv
import enum
import io
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from difflib import get_close_matches
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
    """Properties of a resource that are not in the table of endpoints.

    Attributes:
        table: The columns of `--format table`; empty for the first few.
        lines: The field whose items are rows with `--lines`.
        filters: The filters that `list` has but the API does not.
        statuses: The name of the enumeration of its statuses.
        is_personal: Whether its rows contain personal data, so that its files are private.
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
    """A resource for exports.

    Attributes:
        endpoint: The endpoint of its list.
        details: Further properties.
    """

    endpoint: Endpoint
    details: _Details

    @property
    def name(self) -> str:
        """The name on the command line."""
        return self.endpoint.resource.replace("_", "-")

    @property
    def filters(self) -> frozenset[str]:
        """The filters of `list`."""
        return self.details.filters | {filter_.name for filter_ in self.endpoint.filters}

    @cached_property
    def model(self) -> type[Any]:
        """The class of its rows."""
        model: type[Any] = getattr(goedgepickt_async, self.endpoint.model or "")
        return model

    @cached_property
    def nested(self) -> dict[str, type[Any]]:
        """The fields with another model; their columns are `field.part`."""
        return {name: part for name, (part, is_several) in self._parts.items() if not is_several}

    @cached_property
    def joined(self) -> dict[str, type[Any]]:
        """The fields with several models; their columns are `field.part`, with values joined by "; "."""
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
        """The known statuses; empty if it has no status."""
        return (
            []
            if not self.details.statuses
            else [str(each) for each in getattr(goedgepickt_async, self.details.statuses)]
        )

    def paginator(self, client: GoedGepickt, **filters: Any) -> Paginator[Any]:
        """Return the list of a client."""
        paginator: Paginator[Any] = getattr(client, self.endpoint.resource).list(**filters)
        return paginator

    def columns(self, *, lines: bool = False) -> list[str]:
        """Return the columns in order.

        Args:
            lines: Whether each line is a row.
        """
        names = [column for field in self._fields for column in self._columns_of(field)]
        if lines and self.details.lines is not None:
            names += ["line.number", *(f"line.{part}" for part in _field_names(self.line_model))]
        return names

    def rows(self, item: Any, *, lines: bool = False) -> Iterator[FlatRow]:
        """Return the rows of one item: one row, or one row for each line."""
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
        """Return the fields with models, and whether they hold several."""
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
"""The resources by their name on the command line."""


# -- rows -----------------------------------------------------------------------------------------------------------

FlatRow: TypeAlias = dict[str, Any]
"""The values by column: None, a bool, a number, a datetime, or text."""

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
    """Return the names in `--fields`, which are separated by commas.

    Raises:
        UsageError: A name is empty or given twice.
    """
    if text is None:
        return ()
    names = tuple(name.strip() for name in text.split(","))
    if not all(names) or len(set(names)) < len(names):
        raise UsageError(f"--fields must be different names separated by commas, such as uuid,status, not {text!r}")
    return names


# -- formats --------------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Selection:
    """The part of a resource that is written.

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
            UsageError: A column does not exist; the message has the existing columns.
        """
        known = self.spec.columns(lines=self.lines)
        for name in self.fields:
            if name not in known:
                raise UsageError(f"--fields: {self.spec.name} have no field {printable(name)!r}{_advice(name, known)}")

    @property
    def columns(self) -> list[str]:
        """Return the columns in order."""
        return list(self.fields) or self.spec.columns(lines=self.lines)

    def rows(self, items: Sequence[Any]) -> Iterator[FlatRow]:
        """Return the rows of items."""
        for item in items:
            for row in self.spec.rows(item, lines=self.lines):
                yield {name: row[name] for name in self.fields} if self.fields else row


def _advice(name: str, known: Sequence[str]) -> str:
    """Return what to write for a column that does not exist."""
    parts = [each for each in known if each.startswith(f"{name}.")]
    if parts:
        return f"; it has the parts {', '.join(parts)}"
    if any(mark in name for mark in "; |\t"):
        return "; separate the names by commas"
    if name == "lines":
        return "; --lines writes a row for each line"
    snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    close = get_close_matches(snake, known, n=3)
    guess = f"; did you mean {' or '.join(close)}?" if close else "."
    return f"{guess} There are {', '.join(known)}"


class Encoder(Protocol):
    """Encodes an export page by page; close it at the end."""

    @property
    def head(self) -> bytes:
        """Return the bytes before the first row."""
        ...

    def encode(self, items: Sequence[Any]) -> bytes:
        """Return the bytes of the rows of one page."""
        ...

    def foot(self) -> Iterable[bytes]:
        """Return the bytes after the last row."""
        ...

    @property
    def remark(self) -> str | None:
        """Return a note for the end, or an empty text."""
        ...

    def close(self) -> None:
        """Close resources."""
        ...


@attrs.frozen
class JsonLinesEncoder:
    """One JSON object per line, with all values of the model or the selected fields."""

    selection: Selection
    head: bytes = b""
    remark: None = None

    def encode(self, items: Sequence[Any]) -> bytes:
        """Return the bytes of the rows of one page."""
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
        """Do nothing: there is nothing to close."""


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
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can only contain as an escape
        return json.dumps(plain, separators=(",", ":")).encode() + b"\n"


@attrs.frozen
class CsvEncoder:
    """CSV as in RFC 4180, or for a Dutch spreadsheet.

    Attributes:
        selection: The part of the resource that is written.
        delimiter: The delimiter between cells.
        decimal: The decimal sign.
        mark: The first bytes of the file.
    """

    selection: Selection
    delimiter: str = ","
    decimal: str = "."
    mark: bytes = b""
    remark: None = None

    @property
    def head(self) -> bytes:
        """Return the header with the names of the columns."""
        return self.mark + self._csv([self.selection.columns])

    def encode(self, items: Sequence[Any]) -> bytes:
        """Return the bytes of the rows of one page."""
        rows = self.selection.rows(items)
        return self._csv([[cell(value, decimal=self.decimal) for value in row.values()] for row in rows])

    def foot(self) -> Iterable[bytes]:
        """Nothing."""
        return ()

    def close(self) -> None:
        """Do nothing: there is nothing to close."""

    def _csv(self, rows: Sequence[Sequence[str]]) -> bytes:
        buffer = io.StringIO(newline="")
        csv.writer(buffer, delimiter=self.delimiter).writerows(rows)
        return buffer.getvalue().encode(errors="replace")


def cell(value: Any, *, decimal: str = ".") -> str:
    """Return a value as the text of a cell.

    Args:
        value: The value in a flat row.
        decimal: The decimal sign; with a comma, times have the form of spreadsheets.
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
    """The kinds of output of a format."""

    GROWING = enum.auto()
    """A file or a stream, which has complete rows at any time."""
    WHOLE = enum.auto()
    """A file that appears only when it is complete."""
    TERMINAL = enum.auto()
    """stdout, after the last row."""


@attrs.frozen(kw_only=True)
class ExportFormat:
    """An export format.

    Attributes:
        summary: A description for the help.
        suffixes: The file endings. An ending selects the first format that has it.
        output: The kind of its output.
        encoder: Makes the encoder; None for a table.
        has_lines: Whether `--lines` is allowed.
        has_fields: Whether `--fields` is allowed.
        extra: The required module, and the extra that installs it.
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
        summary="JSON Lines: all data of the API, one object per line",
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
        summary="CSV for a Dutch spreadsheet: semicolon, decimal comma, byte order mark",
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
"""The formats by name."""

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
    """Return the format of an export.

    Args:
        name: The given name; None to use the file's ending.
        output: The file, or `-`.

    Raises:
        UsageError: The ending belongs to another format or to no format.
    """
    ending = "" if output == "-" else PurePath(output).suffix.lower()
    by_ending = next((known for known, each in FORMATS.items() if ending in each.suffixes), None)
    if name is None:
        if ending and by_ending is None:
            raise UsageError(f"no format has the ending {ending}; {_endings()}. For another file name, pass --format")
        return by_ending or "jsonl"
    if ending in FORMATS[name].suffixes or (by_ending is None and ending not in _OTHER_ENDINGS):
        return name
    theirs = f"is the ending of --format {by_ending}" if by_ending else "is the ending of another format"
    raise UsageError(f"--output {output}: {ending} {theirs}, not of {name}; {_endings()}")


def _endings() -> str:
    return "the endings are " + ", ".join(
        f"{each.suffixes[0]} ({name})" for name, each in FORMATS.items() if each.suffixes
    )


# -- the table ------------------------------------------------------------------------------------------------------

_WIDEST_CELL = 60


def print_table(selection: Selection, items: Sequence[Any]) -> None:
    """Print a table to stdout. Its width is the terminal's width, or unlimited without a terminal."""
    from rich import box  # noqa: PLC0415  `--help` must not wait for it
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    names = selection.fields or selection.spec.table
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    rows = [row for item in items for row in selection.spec.rows(item)]
    for name in names:
        numeric = any(_is_number(row[name]) for row in rows)
        # No cell is wrapped. The first column, which identifies the row, is cut last.
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
    """Return a value as plain text, without markup and control characters."""
    from rich.text import Text  # noqa: PLC0415

    match value:
        case None:
            return Text("")
        case datetime():
            return Text(value.strftime("%Y-%m-%d %H:%M"))
        case Decimal():
            return Text(f"{value:f}")
    return Text(printable(str(value), _WIDEST_CELL - 1))
