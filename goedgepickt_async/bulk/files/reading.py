"""Reads a file of rows: encoding, CSV dialect, header, columns, rows."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from os import PathLike
from pathlib import Path
from typing import Any, Final

import attrs

from goedgepickt_async.bulk.files.fields import KINDS, CellError, Kind
from goedgepickt_async.errors import InputFileError

__all__ = [
    "FileRow",
    "FileRows",
    "csv_records",
    "decode",
    "delimiter_of",
    "json_records",
    "match",
    "plain",
    "read_bytes",
    "read_rows",
]

_APART = re.compile(r"[\W_]+")


def plain(name: str) -> str:
    """A column's name without case and punctuation."""
    return _APART.sub(" ", name.casefold()).strip()


def match(kind: Kind, names: Sequence[str], said: Mapping[str, str]) -> dict[str, int]:
    """The place of the column that holds each field.

    Args:
        kind: Of the rows.
        names: Of the columns, as they stand in the file.
        said: By field, the column that its user says holds it; an empty one: none does.

    Raises:
        InputFileError: A column is not there, or two could be meant; or one that is required is missing.
    """
    for field in said:
        if field not in kind.fields:
            raise InputFileError(f"there is no field {field!r}; there are: {', '.join(kind.fields)}")
    found = {field: _said(field, said[field], names) for field in said if said[field]}
    taken = set(found.values())
    for field, spec in kind.fields.items():
        if field not in said:
            place = _known(field, spec.names, names, taken)
            if place is not None:
                found[field] = place
    missing = [field for field, spec in kind.fields.items() if spec.required and field not in found]
    if missing:
        there = ", ".join(repr(name) for name in names[:30])
        raise InputFileError(
            f"no column is known to hold {', '.join(missing)}; say which, as in --column {missing[0]}=NAME. "
            f"There are: {there}"
        )
    return found


def _said(field: str, column: str, names: Sequence[str]) -> int:
    places = [place for place, name in enumerate(names) if name == column]
    places = places or [place for place, name in enumerate(names) if plain(name) == plain(column)]
    if len(places) != 1:
        there = "there is no such column" if not places else "several columns are called so"
        raise InputFileError(f"--column {field}={column}: {there}")
    return places[0]


def _known(field: str, groups: Sequence[Sequence[str]], names: Sequence[str], taken: set[int]) -> int | None:
    own = plain(field)
    for group in ((own,), *groups):
        places = [place for place, name in enumerate(names) if plain(name) in group and place not in taken]
        if len(places) > 1:
            both = " and ".join(repr(names[place]) for place in places)
            raise InputFileError(
                f"{both} could both hold {field}; say which, as in --column {field}={names[places[0]]}"
            )
        if places:
            return places[0]
    return None


_DELIMITERS: Final = ";,\t|"
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def decode(data: bytes, encoding: str | None = None) -> str:
    """The text: as its byte order mark says, else UTF-8, else Windows-1252, the two that spreadsheets write.

    Raises:
        InputFileError: It is no text in any of them, or not in the one that was said.
    """
    said = [encoding] if encoding else [name for mark, name in _MARKS if data.startswith(mark)]
    for name in said or ["utf-8", "cp1252"]:
        try:
            text = data.decode(name)
        except LookupError:
            raise InputFileError(f"there is no encoding {name!r}") from None
        except UnicodeError:
            continue
        if "\0" not in text:
            return text.removeprefix("\ufeff")
    raise InputFileError("it is no text in UTF-8 or Windows-1252; say which it is in with --encoding")


def delimiter_of(text: str, known: Callable[[list[str]], int]) -> str:
    """The delimiter that gives the most columns whose names are known, and else the most columns."""
    said = text.split("\n", 1)[0].strip()
    if said.lower().startswith("sep=") and len(said) == 5:
        return said[4]
    best = (0, 0, -1)
    for place, delimiter in enumerate(_DELIMITERS):
        try:
            names = next((names for _, names in csv_records(text, delimiter)), [])
        except InputFileError:
            continue
        best = max(best, (known(names), len(names), -place - 1))
    return _DELIMITERS[-best[2] - 1] if best[0] or best[1] else ","


def csv_records(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The records that are not empty, each with its first line, from 1.

    Raises:
        InputFileError: A quote is never closed, or a cell is absurdly long.
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    begins = 1
    while True:
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise InputFileError(f"line {begins}: {error}", problems=[f"line {begins}: {error}"]) from None
        line, begins = begins, reader.line_num + 1
        is_hint = line == 1 and text[:4].lower() == "sep="
        if not is_hint and any(cell.strip() for cell in record):
            yield line, record


def json_records(text: str) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """The objects of JSON Lines, each with its line; or the text of what is wrong with it."""
    for line, row in enumerate(text.split("\n"), start=1):
        if not row.strip():
            continue
        try:
            value = json.loads(row, parse_float=_exact, parse_constant=_refuse)
        except (ValueError, RecursionError):
            yield line, "is not valid JSON"
            continue
        yield line, value if isinstance(value, dict) else "must be a JSON object"


def _exact(digits: str) -> Decimal:
    return Decimal(digits)


def _refuse(_: str) -> None:
    raise ValueError


_SHOWN = 5


@attrs.frozen
class FileRow:
    """One row: where it begins in the file, and its values under Python names. They may be personal."""

    line: int
    values: Mapping[str, Any] = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class FileRows:
    """What a file holds.

    Attributes:
        rows: The good rows.
        problems: What is wrong with the others, as `stock.csv:12: voorraad: …`.
        columns: By field, the column that it was read from.
    """

    name: str
    rows: tuple[FileRow, ...]
    problems: tuple[str, ...]
    columns: Mapping[str, str]

    def check(self) -> None:
        """Refuse bad rows.

        Raises:
            InputFileError: There are some.
        """
        if self.problems:
            shown = "; ".join(self.problems[:_SHOWN])
            more = f"; and {len(self.problems) - _SHOWN} more" if len(self.problems) > _SHOWN else ""
            raise InputFileError(f"bad rows: {shown}{more}", problems=self.problems)

    def where(self, index: int) -> str:
        """The place of a row, as `stock.csv:12`."""
        return f"{self.name}:{self.rows[index].line}"


def read_rows(path: str | PathLike[str], kind: str, **options: Any) -> FileRows:
    """Read a file; see `read_bytes` for the options.

    Raises:
        InputFileError: It cannot be read at all.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputFileError(f"{path}: {error.strerror or 'cannot be read'}") from None
    return read_bytes(data, kind, name=Path(path).name, **options)


def read_bytes(
    data: bytes,
    kind: str,
    *,
    name: str = "the file",
    columns: Mapping[str, str] | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
    decimal: str | None = None,
    as_json: bool | None = None,
) -> FileRows:
    """Rows for a plan. An empty cell leaves a field out, so that the plan leaves it as it is; null in JSON empties it.

    Args:
        data: The bytes of a CSV file with a head, or of JSON Lines.
        kind: `products`, `stock` or `orders`. Rows of a CSV file with the same order id are lines of one order.
        name: Of the file, for messages.
        columns: By field, the column that holds it, where its name is not known; an empty one: the field is not read.
        delimiter: Between cells; None: the one of `;`, `,`, tab and `|` that makes sense of the head.
        encoding: None: UTF-8 (also UTF-16 with its mark), else Windows-1252.
        decimal: The sign before decimals, `,` or `.`; None: what can mean two numbers is refused.
        as_json: Whether it is JSON Lines; None: whether it begins as such.

    Raises:
        InputFileError: It cannot be read at all: no text, no head, a column that is missing or may be one of two.
    """
    if kind not in KINDS:
        raise InputFileError(f"there are rows of {', '.join(KINDS)}, not of {kind!r}")
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
        raise InputFileError("a delimiter is one character")
    if decimal not in {None, ",", "."}:
        raise InputFileError("the sign before decimals is a comma or a point")
    reader = _Reader(KINDS[kind], name, dict(columns or {}), decimal)
    try:
        text = decode(data, encoding)
        if as_json if as_json is not None else text.lstrip().startswith("{"):
            reader.read_json(text)
        else:
            reader.read_csv(text, delimiter)
    except InputFileError as error:
        raise InputFileError(f"{name}: {error.message}", problems=error.problems) from None
    return FileRows(name=name, rows=tuple(reader.rows), problems=tuple(reader.problems), columns=reader.columns)


class _Reader:
    """Collects the rows of one file."""

    def __init__(self, kind: Kind, name: str, said: dict[str, str], decimal: str | None) -> None:
        self._kind, self._name, self._said, self._decimal = kind, name, said, decimal
        self._grouped: dict[str, FileRow] = {}
        self._spoiled: set[str] = set()
        self._latest = ""  # the key of the latest row that has one
        self.rows: list[FileRow] = []
        self.problems: list[str] = []
        self.columns: dict[str, str] = {}

    def read_csv(self, text: str, delimiter: str | None) -> None:
        records = csv_records(text, delimiter or delimiter_of(text, self._known))
        _, names = next(records, (0, []))
        if not names:
            raise InputFileError("it is empty: there is no head with the names of the columns")
        places = match(self._kind, names, self._said)
        self.columns = {field: names[place] for field, place in places.items()}
        for line, record in records:
            cells = {field: record[place] if place < len(record) else "" for field, place in places.items()}
            cells = {field: cell for field, cell in cells.items() if cell.strip()}
            if len(record) > len(names) and any(cell.strip() for cell in record[len(names) :]):
                self._refuse(line, "", f"has {len(record)} cells, and the head has {len(names)}")
                self._spoil("", cells.get(self._kind.grouped or "", "").strip())  # which of the two, nobody can tell
                continue
            self._take(line, cells)
        self.rows = [row for row in self.rows if row.values.get(self._kind.grouped or "") not in self._spoiled]

    def read_json(self, text: str) -> None:
        for line, value in json_records(text):
            if isinstance(value, str):
                self._refuse(line, "", value)
            elif self._kind.grouped is not None:
                self.rows.append(FileRow(line, value))  # nested already; the plan checks each part
            else:
                flat = dict(_flat(value))
                try:
                    places = match(self._kind, list(flat), self._said)
                except InputFileError as error:
                    self._refuse(line, "", error.message)
                    continue
                names = list(flat)
                self.columns |= {field: names[place] for field, place in places.items()}
                self._take(line, {field: flat[names[place]] for field, place in places.items()})

    def _known(self, names: Sequence[str]) -> int:
        fields = self._kind.fields.items()
        known = {plain(field) for field, _ in fields} | {n for _, spec in fields for group in spec.names for n in group}
        return len(known & {plain(name) for name in names}) + len(set(self._said.values()) & set(names))

    def _take(self, line: int, cells: Mapping[str, Any]) -> None:
        values: dict[str, Any] = {}
        before = len(self.problems)
        for field, cell in cells.items():
            try:
                values[field] = None if cell is None else self._kind.fields[field].read(cell, self._decimal)
            except CellError as error:
                self._refuse(line, self.columns[field], str(error))
        for field, spec in self._kind.fields.items():
            if spec.required and values.get(field) in {None, ""} and field not in cells:
                self._refuse(line, self.columns.get(field, field), "is empty")
            elif spec.required and field in values and values[field] in {None, ""}:
                self._refuse(line, self.columns[field], "is empty")
        self._latest = values.get(self._kind.grouped or "") or self._latest
        if len(self.problems) == before:
            self._add(line, values)
        else:
            self._spoil(self._latest)

    def _add(self, line: int, values: dict[str, Any]) -> None:
        if self._kind.grouped is None:
            self.rows.append(FileRow(line, values))
            return
        key = values[self._kind.grouped]
        row = _nested(values)
        known = self._grouped.get(key)
        if known is None:
            self._grouped[key] = FileRow(line, row)
            self.rows.append(self._grouped[key])
            return
        differing = [name for name in row if name != "lines" and known.values.get(name, row[name]) != row[name]]
        if differing:
            self._refuse(line, differing[0], f"differs from line {known.line}, which is of the same order")
            self._spoil(key)
            return
        known.values["lines"].extend(row["lines"])

    def _spoil(self, *keys: str) -> None:
        """An order that lacks a line is no order; a line that does not say of which it is, is of the one before."""
        if self._kind.grouped is not None:
            self._spoiled.update(key or self._latest for key in keys)

    def _refuse(self, line: int, column: str, why: str) -> None:
        where = f"{self._name}:{line}: "
        self.problems.append(where + (f"{column}: {why}" if column else why))


def _nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """`shipping.city` as a part of `shipping`, `line.sku` as a part of the one line."""
    row: dict[str, Any] = {"lines": [{}]}
    for name, value in values.items():
        head, _, part = name.partition(".")
        if head == "line" and part:
            row["lines"][0][part] = value
        elif part:
            row.setdefault(head, {})[part] = value
        else:
            row[name] = value
    return row


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, part in value.items():
        if isinstance(part, dict) and not prefix:
            yield from _flat(part, f"{name}.")
        else:
            yield prefix + name, part
