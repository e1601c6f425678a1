"""The formats with an index at the end, Parquet and Excel, written with limited memory."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from goedgepickt_async.cli.export.formats import DUTCH, Selection

__all__ = ["ExcelEncoder", "ParquetEncoder"]

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
        """Return the bytes since the last call."""
        data = bytes(self._data)
        self._data.clear()
        return data


class ParquetEncoder:
    """A Parquet file with one of the fixed schemas, compressed with zstd, written in row groups.

    Args:
        resource: `orders`, `products` or `shipments`.
    """

    head = b""
    remark = None

    def __init__(self, resource: str) -> None:
        from pyarrow import parquet  # noqa: PLC0415  needs the extra `arrow`

        from goedgepickt_async.contrib.arrow import schema  # noqa: PLC0415

        self._resource = resource
        self._sink = _Sink()
        self._waiting: list[Any] = []
        self._writer = parquet.ParquetWriter(self._sink, schema(resource), compression="zstd")

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

    def close(self) -> None:
        """Do nothing: there is nothing to close."""

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
_EXACT_DIGITS = 15
_CHUNK = 1024 * 1024
_FIRST_YEAR = 1900


class ExcelEncoder:
    """An Excel workbook. Rows are in a private temporary directory until the workbook is written.

    Text stays text: leading zeros are kept, and nothing becomes a formula. A number with more digits than Excel
    supports becomes text. Times are Dutch local time. Rows after Excel's limit are in another sheet.

    Args:
        selection: The part of the resource that is written.
    """

    head = b""

    def __init__(self, selection: Selection) -> None:
        import xlsxwriter  # noqa: PLC0415  needs the extra `excel`

        self._selection = selection
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
        for row in self._selection.rows(items):
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
        """Return a note about the number of cut cells."""
        return (
            None
            if not self._cut
            else f"{self._cut:,} cells were cut off at {_LONGEST_CELL:,} characters, Excel's limit"
        )

    def close(self) -> None:
        """Remove the temporary files."""
        for sheet in self._book.worksheets():
            rows = getattr(sheet, "row_data_fh", None)  # open until the workbook is written
            if rows is not None:
                rows.close()
        self._folder.cleanup()

    def _add_sheet(self) -> None:
        self._sheets += 1
        name = self._selection.spec.name
        self._sheet = self._book.add_worksheet(name if self._sheets == 1 else f"{name} {self._sheets}")
        self._sheet.freeze_panes(1, 0)
        for column, title in enumerate(self._selection.columns):
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
                local = value.astimezone(DUTCH).replace(tzinfo=None)
                self._sheet.write_datetime(row, column, local, self._time_format)
            case _:
                text = f"{value:f}" if isinstance(value, Decimal) else str(value)
                text = text.encode(errors="replace").decode()
                if len(text) > _LONGEST_CELL:
                    self._cut += 1
                    text = text[: _LONGEST_CELL - 1] + "…"
                self._sheet.write_string(row, column, text, self._text_format)


def _is_exact(value: Decimal | float) -> bool:
    """Whether Excel can store the number, which has 15 digits at most."""
    number = Decimal(value) if isinstance(value, int) else Decimal(str(value))
    return number.is_finite() and len(number.normalize().as_tuple().digits) <= _EXACT_DIGITS
