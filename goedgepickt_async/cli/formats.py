"""The export formats: their table, their encoders, and the table for the terminal.

A format is an entry of `FORMATS`. The choices of the command line, its help and its checks are derived from it. `--help`
imports this module, so what a format needs is imported when it is used.
"""

from __future__ import annotations

import csv
import enum
import io
import json
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import attrs

from goedgepickt_async.cli.common import UsageError
from goedgepickt_async.cli.resources import Selection, in_dutch_time
from goedgepickt_async.text import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text


__all__ = [
    "FORMATS",
    "CsvEncoder",
    "Encoder",
    "ExcelEncoder",
    "ExportFormat",
    "JsonLinesEncoder",
    "OutputKind",
    "ParquetEncoder",
    "cell",
    "format_for",
    "print_table",
]


_MOST_PLACES = 64
"""Numbers with more digits before or after the point are written with an exponent."""


class Encoder:
    """Encodes an export page by page; close it at the end.

    Attributes:
        selection: The part of the resource that is written.
        head: The bytes before the first row.
    """

    head: bytes = b""

    def __init__(self, selection: Selection) -> None:
        self.selection = selection

    def encode(self, items: Sequence[Any]) -> bytes:
        """Return the bytes of the rows of one page, as far as they can be written."""
        raise NotImplementedError

    def foot(self) -> Iterable[bytes]:
        """Return the bytes after the last row."""
        return ()

    @property
    def remark(self) -> str | None:
        """A note for the end."""
        return None

    def close(self) -> None:
        """Remove temporary files."""


class JsonLinesEncoder(Encoder):
    """One JSON object per line, with all values of the model or the selected fields."""

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


def _json(value: Any) -> Any:
    match value:
        case Decimal():
            return _digits(value)
        case datetime():
            return value.isoformat()
        case None | bool() | int() | float():
            return value
    return str(value)


def _digits(value: Decimal) -> str:
    """Return the number without an exponent, unless it would have very many digits."""
    return f"{value:f}" if abs(value.adjusted()) < _MOST_PLACES else str(value)


def _json_line(plain: dict[str, Any]) -> bytes:
    try:
        return json.dumps(plain, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can only contain as an escape
        return json.dumps(plain, separators=(",", ":")).encode() + b"\n"


class CsvEncoder(Encoder):
    """CSV as in RFC 4180, or for a Dutch spreadsheet.

    Args:
        selection: The part of the resource that is written.
        delimiter: The delimiter between cells.
        decimal: The decimal sign.
        mark: The first bytes of the file.
    """

    def __init__(self, selection: Selection, *, delimiter: str = ",", decimal: str = ".", mark: bytes = b"") -> None:
        super().__init__(selection)
        self._delimiter, self._decimal = delimiter, decimal
        self.head: bytes = mark + self._csv([selection.columns])

    def encode(self, items: Sequence[Any]) -> bytes:
        """Return the bytes of the rows of one page."""
        rows = self.selection.rows(items)
        return self._csv([[cell(value, decimal=self._decimal) for value in row.values()] for row in rows])

    def _csv(self, rows: Sequence[Sequence[str]]) -> bytes:
        buffer = io.StringIO(newline="")
        csv.writer(buffer, delimiter=self._delimiter).writerows(rows)
        return buffer.getvalue().encode(errors="replace")


def cell(value: Any, *, decimal: str = ".") -> str:
    """Return a value of a flat row as the text of a cell. With a decimal comma, times have the form of spreadsheets."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case Decimal():
            return _digits(value).replace(".", decimal)
        case int() | float():
            return str(value).replace(".", decimal)
        case datetime():
            return value.isoformat() if decimal == "." else f"{in_dutch_time(value):%Y-%m-%d %H:%M:%S}"
    from goedgepickt_async.bulk.files import escape_cell  # noqa: PLC0415  `--help` must not wait for it

    return escape_cell(str(value))


# -- formats with an index at the end, written with limited memory ---

_ROWS_IN_A_GROUP = 10_000
_BYTES_IN_A_GROUP = 32 * 1024 * 1024


class _Sink(io.RawIOBase):
    """The stream for pyarrow, which is emptied repeatedly."""

    def __init__(self) -> None:
        super().__init__()
        self._data = bytearray()
        self._written = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._data += data
        self._written += len(data)
        return len(data)

    def tell(self) -> int:
        return self._written

    def take(self) -> bytes:
        data = bytes(self._data)
        self._data.clear()
        return data


class ParquetEncoder(Encoder):
    """A Parquet file with one of the fixed schemas, compressed with zstd, written in row groups."""

    def __init__(self, selection: Selection) -> None:
        from pyarrow import parquet  # noqa: PLC0415  needs the extra `arrow`

        from goedgepickt_async.contrib.arrow import schema  # noqa: PLC0415

        super().__init__(selection)
        self._resource = selection.spec.endpoint.resource
        self._sink = _Sink()
        self._waiting: list[Any] = []
        self._writer = parquet.ParquetWriter(self._sink, schema(self._resource), compression="zstd")

    def encode(self, items: Sequence[Any]) -> bytes:
        """Add rows. Return the bytes of a complete row group, or nothing."""
        from goedgepickt_async.contrib.arrow import to_batch  # noqa: PLC0415

        self._waiting.append(to_batch(self._resource, items))
        rows = sum(batch.num_rows for batch in self._waiting)
        if rows >= _ROWS_IN_A_GROUP or sum(batch.nbytes for batch in self._waiting) >= _BYTES_IN_A_GROUP:
            self._write()
        return self._sink.take()

    def foot(self) -> Iterable[bytes]:
        """Return the last row group and the index."""
        self._write()
        self._writer.close()
        return (self._sink.take(),)

    def _write(self) -> None:
        import pyarrow as pa  # noqa: PLC0415

        rows = sum(batch.num_rows for batch in self._waiting)
        if rows:
            table = pa.Table.from_batches(self._waiting)
            self._writer.write_table(table, row_group_size=rows)
        self._waiting.clear()


_ROWS_IN_A_SHEET = 1_048_576
"""The largest number of rows in Excel, including the header."""
_LONGEST_CELL = 32_767
"""The largest number of characters in a cell; Excel counts a character above U+FFFF as two."""
_NOT_IN_XML = re.compile("[\ud800-\udfff\ufffe\uffff]")
_EXACT_DIGITS = 15
_CHUNK = 1024 * 1024
_FIRST_YEAR = 1900


class ExcelEncoder(Encoder):
    """An Excel workbook. Rows are in a private temporary directory until the workbook is written.

    Text stays text: leading zeros are kept, and nothing becomes a formula. A number with more digits than Excel
    supports becomes text. Times are Dutch local time. Rows after Excel's limit are in another sheet.
    """

    def __init__(self, selection: Selection) -> None:
        import xlsxwriter  # noqa: PLC0415  needs the extra `excel`

        super().__init__(selection)
        self._folder = tempfile.TemporaryDirectory(prefix="goedgepickt-")
        self._path = Path(self._folder.name) / "export.xlsx"
        options = {"constant_memory": True, "tmpdir": self._folder.name}
        self._book = xlsxwriter.Workbook(str(self._path), options)
        self._head_format = self._book.add_format({"bold": True})
        self._time_format = self._book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        self._text_format = self._book.add_format({"num_format": "@"})
        self._sheets = self._cut = 0
        self._add_sheet()

    def encode(self, items: Sequence[Any]) -> bytes:
        """Add rows. They are kept until the end, so nothing is returned."""
        for row in self.selection.rows(items):
            if self._row >= _ROWS_IN_A_SHEET:
                self._add_sheet()
            for column, value in enumerate(row.values()):
                self._write(self._row, column, value)
            self._row += 1
        return b""

    def foot(self) -> Iterator[bytes]:
        """Return the whole workbook in pieces."""
        self._book.close()
        with self._path.open("rb") as file:
            while piece := file.read(_CHUNK):
                yield piece

    @property
    def remark(self) -> str | None:
        """A note about the number of cut cells."""
        return f"{self._cut:,} cells were cut off at {_LONGEST_CELL:,} characters, Excel's limit" if self._cut else None

    def close(self) -> None:
        """Remove the temporary files."""
        for sheet in self._book.worksheets():
            rows = getattr(sheet, "row_data_fh", None)  # open until the workbook is written
            if rows is not None:
                rows.close()
        self._folder.cleanup()

    def _add_sheet(self) -> None:
        self._sheets += 1
        name = self.selection.spec.name
        self._sheet = self._book.add_worksheet(name if self._sheets == 1 else f"{name} {self._sheets}")
        self._sheet.freeze_panes(1, 0)
        for column, title in enumerate(self.selection.columns):
            self._sheet.write_string(0, column, title, self._head_format)
        self._row = 1

    def _write(self, row: int, column: int, value: Any) -> None:
        match value:
            case None:
                return
            case bool():
                self._sheet.write_boolean(row, column, value)
            case int() | float() | Decimal() if _is_exact(value):
                self._sheet.write_number(row, column, float(value))
            case datetime() if value.year >= _FIRST_YEAR:
                local = in_dutch_time(value).replace(tzinfo=None)
                self._sheet.write_datetime(row, column, local, self._time_format)
            case _:
                text = _digits(value) if isinstance(value, Decimal) else str(value)
                text = _NOT_IN_XML.sub("\ufffd", text)
                units = text.encode("utf-16-le")
                if len(units) > 2 * _LONGEST_CELL:
                    self._cut += 1
                    text = units[: 2 * (_LONGEST_CELL - 1)].decode("utf-16-le", errors="ignore") + "…"
                self._sheet.write_string(row, column, text, self._text_format)


def _is_exact(value: Decimal | float) -> bool:
    """Whether Excel can store the number, which has 15 digits at most."""
    number = Decimal(value) if isinstance(value, int) else Decimal(str(value))
    is_usual = number.is_finite() and abs(number.adjusted()) < _MOST_PLACES
    return is_usual and len(number.normalize().as_tuple().digits) <= _EXACT_DIGITS


# -- the table of formats ---


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
        encoder=lambda selection: CsvEncoder(selection, delimiter=";", decimal=",", mark=b"\xef\xbb\xbf"),
        has_lines=True,
    ),
    "xlsx": ExportFormat(
        summary="Excel workbook: text stays text, with its leading zeros; times are Dutch (the extra `excel`)",
        suffixes=(".xlsx",),
        output=OutputKind.WHOLE,
        encoder=ExcelEncoder,
        has_lines=True,
        extra=("xlsxwriter", "excel"),
    ),
    "parquet": ExportFormat(
        summary="Parquet with a fixed schema for each resource (the extra `arrow`)",
        suffixes=(".parquet",),
        output=OutputKind.WHOLE,
        encoder=ParquetEncoder,
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

_OTHER_ENDINGS = frozenset(
    [".json", ".xls", ".xlsm", ".ods", ".tsv", ".xml", ".html", ".pdf", ".gz", ".zip", ".bz2", ".xz", ".zst"]
)


def format_for(name: str | None, output: str) -> str:
    """Return the name of the format: the given one, or by the ending of the file (`-` has none), or JSON Lines."""
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
            return Text(_digits(value))
    return Text(printable(str(value), _WIDEST_CELL - 1))
