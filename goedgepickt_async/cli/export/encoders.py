"""Pages of models as bytes to append to a file: JSON Lines and CSV, both UTF-8."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any, Protocol

import attrs

from goedgepickt_async.cli.export.columns import column_names, flat_rows
from goedgepickt_async.cli.export.csv_cells import cell
from goedgepickt_async.cli.export.resources import ResourceSpec
from goedgepickt_async.convert import to_plain

__all__ = ["CsvEncoder", "Encoder", "JsonLinesEncoder"]


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
