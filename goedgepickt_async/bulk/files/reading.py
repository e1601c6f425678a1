"""Reads a file of rows: CSV, JSON Lines or a workbook, as mappings with Python field names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from os import PathLike
from pathlib import Path
from typing import Any, Final

import attrs

from goedgepickt_async.bulk.files.cells import CellError, Notation, unescape_cell
from goedgepickt_async.bulk.files.decoding import (
    Record,
    csv_records,
    decode,
    delimiter_of,
    is_workbook,
    json_records,
    unpack,
    workbook_records,
)
from goedgepickt_async.bulk.files.fields import KINDS, PROFILES, Profile, RowKind, detect
from goedgepickt_async.bulk.values import RowSource
from goedgepickt_async.errors import ConfigurationError, InputFileError

__all__ = ["FileRow", "FileRows", "read_bytes", "read_rows"]

_SHOWN = 5
_NO_PROFILE: Final = "none"
_TRANSLATED: Final = frozenset({"status"})
"""The fields whose words are translated; a note lists the translations."""


_APART: Final = re.compile(r"[\W_]+")
_LOOKS_LIKE: Final = re.compile(
    r"prijs|price|preis|\bprix\b|bedrag|actie|\bsale\b|voorraad|stock|\bqty\b|quantity|inventory|bestand|\blager|aantal"
)
_LOOKS_LIKE_OF_ORDERS: Final = re.compile(
    r"quantity|aantal|\bnam[ea]?\b|naam|address|adres|stra(?:at|ss?e)|street|postcode|zip|city|plaats|country|\bland\b"
)
_SHOWN_COLUMNS: Final = 30
_TITLES: Final = 20
"""Lines above the head that are looked at, such as the title of a report."""
_IDENTITY: Final = frozenset({"sku", "uuid", "webshop_uuid"})


@attrs.frozen
class FileRow:
    """A row with its place in the file and its values by Python name, which may be personal data."""

    line: int
    values: Mapping[str, Any] = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class FileRows:
    """The content of a file.

    Attributes:
        rows: The rows that could be read.
        problems: The problems of the other rows, such as `stock.csv:12: voorraad: …`.
        skipped: The skipped rows and the reasons, such as the image rows of a shop's products.
        columns: The column of each field.
        notes: Notes about the reading: the program, the encoding, the columns that are not read.
        profile: The name of the profile; empty without one.
    """

    name: str
    rows: tuple[FileRow, ...]
    problems: tuple[str, ...]
    skipped: tuple[str, ...] = ()
    columns: Mapping[str, str]
    notes: tuple[str, ...] = ()
    profile: str = ""

    def check(self) -> None:
        """Raise an error if there are problems.

        Raises:
            InputFileError: There are problems.
        """
        if self.problems:
            shown = "; ".join(self.problems[:_SHOWN])
            more = f"; and {len(self.problems) - _SHOWN} more" if len(self.problems) > _SHOWN else ""
            raise InputFileError(f"bad rows: {shown}{more}", problems=self.problems)

    @property
    def source(self) -> RowSource:
        """The source for a plan: `plan.with_source(rows.source)`."""
        return RowSource(
            name=self.name,
            lines=tuple(row.line for row in self.rows),
            problems=self.problems,
            skipped=self.skipped,
        )


def read_rows(path: str | PathLike[str], kind: str, **options: Any) -> FileRows:
    """Read a file; see `read_bytes` for the options.

    Raises:
        InputFileError: The file cannot be read.
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
    constants: Mapping[str, str] | None = None,
    profile: str | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
    decimal: str | None = None,
    dates: str | None = None,
    sheet: str | None = None,
    as_json: bool | None = None,
) -> FileRows:
    """Read rows for a plan. An empty cell leaves the field out, so its value is kept. null in JSON empties the field.

    Args:
        data: The bytes of a CSV file with a header, of JSON Lines, or of a workbook; also compressed (gzip, zip).
        kind: `products`, `stock` or `orders`. Adjacent rows with the same order id are lines of one order.
        name: The name of the file, for messages.
        columns: The column for a field, if its name is not detected. An empty text: the field is not read.
        constants: The value of a field for all rows without their own value.
        profile: The program that made the file, such as `shopify`; `none` for no profile; None to detect it.
        delimiter: The character between cells; None to detect `;`, `,`, tab or `|`.
        encoding: The encoding. None: UTF-8 or UTF-16, or else Windows-1252.
        decimal: The decimal sign, `,` or `.`; None refuses ambiguous numbers.
        dates: Whether the day or the month is first, `dmy` or `mdy`; None refuses ambiguous dates.
        sheet: The sheet of a workbook; None for the only one that is not empty.
        as_json: Whether the file is JSON; None to detect it.

    Raises:
        ConfigurationError: An option has a wrong value.
        InputFileError: The file cannot be read: it is not text, has no header, or a column is missing or ambiguous.
    """
    _check_options(kind, delimiter=delimiter, decimal=decimal, dates=dates, profile=profile)
    try:
        reader = _Reader(
            kind_name=kind, name=name, explicit=columns or {}, constants=constants or {},
            notation=Notation(decimal=decimal, dates=dates), wanted_profile=profile,
        )  # fmt: skip
        unpacked = unpack(data)
        if is_workbook(unpacked) or sheet is not None:
            reader.read_table(workbook_records(unpacked, sheet))
        else:
            text, note = decode(unpacked, encoding)
            if note:
                reader.notes.append(note)
            if as_json if as_json is not None else text.lstrip()[:1] in {"{", "["}:
                reader.read_json(text)
            else:
                if text.count("\n") > 1 and not text.endswith(("\n", "\r")):
                    reader.notes.append("the last line has no line end: check that the file is complete")
                delimiter = delimiter or delimiter_of(text, reader.count_known)
                reader.read_table(csv_records(text, delimiter), delimiter=delimiter)
    except InputFileError as error:
        raise InputFileError(f"{name}: {error.message}", problems=error.problems) from None
    return reader.finish()


def _check_options(
    kind: str, *, delimiter: str | None, decimal: str | None, dates: str | None, profile: str | None
) -> None:
    if kind not in KINDS:
        raise ConfigurationError(f"there are rows of {', '.join(KINDS)}, not of {kind!r}")
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
        raise ConfigurationError("delimiter must be one character")
    if decimal not in {None, ",", "."}:
        raise ConfigurationError("decimal must be ',' or '.'")
    if dates not in {None, "dmy", "mdy"}:
        raise ConfigurationError("dates must be dmy (day first) or mdy (month first)")
    names = [*(known.name for known in PROFILES), _NO_PROFILE]
    if profile is not None and profile not in names:
        close = get_close_matches(profile, names, n=1)
        guess = f"; did you mean {close[0]}?" if close else "."
        raise ConfigurationError(f"there is no profile {profile!r}{guess} There are: {', '.join(names)}")


@attrs.define(kw_only=True, eq=False, repr=False)
class _Reader:
    """Collects the rows of one file."""

    kind_name: str
    name: str
    explicit: Mapping[str, str]
    constants: Mapping[str, str]
    notation: Notation
    wanted_profile: str | None
    # Each order with the cells and the line of each of its rows.
    _orders: dict[str, tuple[FileRow, dict[tuple[str, ...], int]]] = attrs.field(init=False, factory=dict)
    # The problems with their lines, by order or by line.
    _bad: dict[str | int, dict[int, list[str]]] = attrs.field(init=False, factory=dict)
    _translated: dict[tuple[str, str], str] = attrs.field(init=False, factory=dict)
    _skipped: dict[str | int, str] = attrs.field(init=False, factory=dict)
    _latest: str = attrs.field(init=False, default="")  # the key of the latest row with a key
    _constant_values: dict[str, Any] = attrs.field(init=False, factory=dict)
    profile: Profile | None = attrs.field(init=False, default=None)
    rows: list[FileRow] = attrs.field(init=False, factory=list)
    notes: list[str] = attrs.field(init=False, factory=list)
    columns: dict[str, str] = attrs.field(init=False, factory=dict)
    _kind: RowKind = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._kind = KINDS[self.kind_name]
        for field in (*self.explicit, *self.constants):
            if field not in self._kind.fields:
                raise InputFileError(f"there is no field {field!r}; there are: {', '.join(self._kind.fields)}")

    @property
    def _grouped(self) -> str:
        return self._kind.grouped or ""

    def count_known(self, names: Sequence[str]) -> int:
        """The number of these columns with a known name."""
        known = _known_names(self._kind)
        there = {plain(name) for name in names}
        profile = detect(self.kind_name, list(there))
        extra = {column for columns in profile.columns.values() for column in columns} if profile else set()
        return len((known | extra) & there) + len(set(self.explicit.values()) & set(names))

    def read_table(self, records: Iterator[Record], *, delimiter: str = "") -> None:
        """The rows below a head; without a delimiter they are of a workbook."""
        names, table = self._below_head(list(records))
        self._choose_profile(names)
        for _, cells in table:
            cells[:] = [self._cell(cell, is_csv=bool(delimiter)) for cell in cells]
        filled = [
            any(place < len(cells) and not _is_empty(cells[place]) for _, cells in table) for place in range(len(names))
        ]
        places = self._match(names, filled)
        self._take_columns(names, places)
        parents = self._complete(names, [cells for _, cells in table])
        for (line, cells), is_parent in zip(table, parents, strict=True):
            values = {field: cells[place] if place < len(cells) else "" for field, place in places.items()}
            values = {field: cell for field, cell in values.items() if not _is_empty(cell)}
            key = str(values.get(self._grouped, "")).strip()
            if is_parent:
                self._skipped[line] = f"{self.name}:{line}: the parent of other rows: only its variants have stock"
            elif self._is_skipped(line, names, cells, key):
                pass
            elif wrong := _wrong_length(names, cells, places) or self._wrongly_split(values, delimiter):
                self._refuse(line, "", wrong, self._latest, key)  # it can belong to either
            else:
                self._take(line, values, tuple(str(cell).strip() for cell in cells))

    def _below_head(self, records: list[Record]) -> tuple[list[str], list[Record]]:
        """The names of the columns, and the records below them; a report may have a title above its head."""
        heads = [[str(name) for name in cells] for _, cells in records[:_TITLES]]
        known = [self.count_known(names) for names in heads]
        at = 0 if not known or known[0] else next((place for place, number in enumerate(known) if number > 1), 0)
        if not records or not any(name.strip() for name in heads[at]):
            raise InputFileError("it is empty: a header with the names of the columns is missing")
        if at:
            self.notes.append(f"the header is on line {records[at][0]}: the lines above it are not read")
        return heads[at], records[at + 1 :]

    def _cell(self, cell: Any, *, is_csv: bool) -> Any:
        if not isinstance(cell, str):
            return cell
        kept = unescape_cell(cell) if is_csv else cell
        return "" if self.profile is not None and kept.strip() == self.profile.no_value else kept

    def _match(self, names: Sequence[str], filled: Sequence[bool] = ()) -> dict[str, int]:
        """Return the index of the column for each field.

        An explicit column comes first, then a column of the profile, then a known name. A constant needs no column. Of
        the columns that a profile names, the first with a value counts.
        """
        fields, explicit, profile = self._kind.fields, self.explicit, self.profile
        found = {field: _explicit(field, explicit[field], names) for field in explicit if explicit[field]}
        taken = set(found.values())
        given = {*explicit, *self.constants}
        known = {} if profile is None else profile.columns
        for field, columns in known.items():
            place = None if field in given or field not in fields else _first(columns, names, taken, filled)
            if place is not None:
                found[field] = place
        taken = set(found.values())
        for field, spec in fields.items():
            if field not in given and field not in known:
                place = _by_name(field, spec.names, names, taken)
                if place is not None:
                    found[field] = place
        missing = [field for field, spec in fields.items() if spec.required and field not in {*found, *self.constants}]
        if missing:
            there = ", ".join(repr(name) for name in names[:_SHOWN_COLUMNS])
            constant = f", or give all rows one value, as in --set {missing[0]}=VALUE" if missing[0] == "status" else ""
            raise InputFileError(
                f"no column is known to hold {', '.join(missing)}; say which, as in --column {missing[0]}=NAME{constant}. "
                f"There are: {there}"
            )
        return found

    def _unread(self, names: Sequence[str], taken: Iterable[int]) -> list[str]:
        """The columns that look like a price or a stock, or of orders like a name or an address, and are not read."""
        looks_like = _LOOKS_LIKE_OF_ORDERS if self.kind_name == "orders" else _LOOKS_LIKE
        known = set(self.profile.ignored) if self.profile is not None else set()
        places = set(taken)
        return [
            name
            for place, name in enumerate(names)
            if place not in places and plain(name) not in known and looks_like.search(plain(name))
        ]

    def _take_columns(self, names: Sequence[str], places: Mapping[str, int]) -> None:
        self.columns = {field: names[place] for field, place in places.items()}
        if self.kind_name == "products" and _IDENTITY.issuperset({*places, *self.constants}):
            there = ", ".join(repr(name) for name in names[:_SHOWN_COLUMNS])
            raise InputFileError(
                "only the sku is read, so there is nothing to compare; say which columns hold other fields, as in "
                f"--column price=NAME. There are: {there}"
            )
        if self.kind_name == "orders" and not any(field.startswith("shipping.") for field in places):
            self.notes.append("no column is read as an address: the orders will have no receiver")
        left = self._unread(names, places.values())
        if left:
            self.notes.append("not read: " + ", ".join(repr(name) for name in left))
        self._read_constants()

    def _wrongly_split(self, values: Mapping[str, Any], delimiter: str) -> str:
        """Whether the key of a row holds a delimiter: the row may be written with another one than the head."""
        key = str(values.get(self._grouped or "sku", ""))
        other = next((sign for sign in ";|" if sign in key), "") if delimiter and self.profile is None else ""
        return f"{key!r} has the delimiter {other!r} in it: is the row split at the wrong place?" if other else ""

    def read_json(self, text: str) -> None:
        """The rows of JSON."""
        if self._kind.grouped is not None:
            self._read_constants()
        objects: list[tuple[int, dict[str, Any]]] = []
        for line, value in json_records(text):
            if isinstance(value, str):
                self._refuse(line, "", value)
            elif self._kind.grouped is not None:
                # The value is nested already; the plan checks each part.
                self.rows.append(FileRow(line, {**self._constant_values, **value}))
            else:
                objects.append((line, dict(_flat(value))))
        if not objects:
            return
        names = list(dict.fromkeys(name for _, flat in objects for name in flat))
        self._choose_profile(names)
        self._take_columns(names, self._match(names))
        for line, value in objects:
            flat = value
            if self.profile is not None:  # an export writes null for missing values
                flat = {name: part for name, part in value.items() if part is not None}
                if self._is_skipped(line, names, [flat.get(name, "") for name in names], ""):
                    continue
            self._take(line, {field: flat[name] for field, name in self.columns.items() if name in flat}, ())

    def finish(self) -> FileRows:
        """Return the result. An order with an unreadable line is left out completely."""
        for field in {field for field, _ in self._translated}:
            words = [f"{cell!r} as {value}" for (known, cell), value in self._translated.items() if known == field]
            self.notes.append(f"{field}: read {', '.join(words)}")
        rows = tuple(row for row in self.rows if str(row.values.get(self._grouped)) not in self._bad)
        if not rows and not self._bad and not self._skipped:
            self.notes.append("it has no rows")
        return FileRows(
            name=self.name,
            rows=rows,
            problems=tuple(self._problem(key, lines) for key, lines in self._bad.items()),
            skipped=tuple(self._skipped.values()),
            columns=self.columns,
            notes=tuple(self.notes),
            profile=self.profile.name if self.profile else "",
        )

    def _problem(self, key: str | int, lines: Mapping[int, Sequence[str]]) -> str:
        first, *others = lines
        texts = ["; ".join(lines[first]), *(f"line {line}: {'; '.join(lines[line])}" for line in others)]
        if isinstance(key, str):
            texts.append(f"order {key} is left out")
        return f"{self.name}:{first}: {'; '.join(texts)}"

    def _choose_profile(self, names: Sequence[str]) -> None:
        if self.wanted_profile is None:
            self.profile = detect(self.kind_name, [plain(name) for name in names])
        else:
            self.profile = next((known for known in PROFILES if known.name == self.wanted_profile), None)
        if self.profile is not None:
            self.notes.append(f"read as a file from {self.profile.title} (profile {self.profile.name})")
            if self.notation.decimal is None and self.profile.decimal is not None:
                self.notation = attrs.evolve(self.notation, decimal=self.profile.decimal)

    def _read_constants(self) -> None:
        for field, value in self.constants.items():
            try:
                self._constant_values[field] = self._kind.fields[field].read(value, self.notation)
            except CellError as error:
                raise InputFileError(f"--set {field}={value}: {error}") from None

    def _is_skipped(self, line: int, names: Sequence[str], cells: Sequence[Any], key: str) -> bool:
        if self.profile is None or not self.profile.skip:
            return False
        by_name = {plain(name): str(cell).strip() for name, cell in zip(names, cells, strict=False)}
        given = {*self.explicit, *self.constants}
        for rule in self.profile.skip:
            if self.kind_name in rule.kinds and rule.unless_given not in given and rule.applies(by_name):
                self._skipped.setdefault(key or line, f"{self.name}:{line}: {rule.reason}")
                return True
        return False

    def _complete(self, names: Sequence[str], rows: Sequence[list[Any]]) -> list[bool]:
        """Fill in what another row of the same group or the parent row says; whether each row is a parent of others."""
        if self.profile is None:
            return [False] * len(rows)
        places = {plain(name): place for place, name in reversed(list(enumerate(names)))}
        for group, columns in self.profile.carry.items():
            by_group: dict[str, dict[int, Any]] = {}
            at = [places[name] for name in columns if name in places]
            for cells in rows if group in places else ():
                known = by_group.setdefault(_text_at(cells, places[group]), {})
                known |= {place: cells[place] for place in at if _text_at(cells, place) and place not in known}
            for cells in rows if group in places else ():
                _fill(cells, by_group[_text_at(cells, places[group])] if _text_at(cells, places[group]) else {})
        if self.profile.parents is None or not places.keys() >= set(self.profile.parents):
            return [False] * len(rows)
        own, parent = (places[name] for name in self.profile.parents)
        by_id = {_text_at(cells, own): cells for cells in rows}
        parents = {_text_at(cells, parent) for cells in rows} - {""}
        for cells in rows:
            above = by_id.get(_text_at(cells, parent), []) if _text_at(cells, parent) else []
            _fill(cells, {place: cell for place, cell in enumerate(above) if place not in {own, parent}})
        return [_text_at(cells, own) in parents for cells in rows]

    def _take(self, line: int, cells: Mapping[str, Any], whole: tuple[str, ...]) -> None:
        values: dict[str, Any] = dict(self._constant_values)
        wrong: list[tuple[str, str]] = []
        for field, cell in cells.items():
            try:
                values[field] = self._read_cell(field, cell)
            except CellError as error:
                wrong.append((self.columns[field], str(error)))
        key = str(values.get(self._grouped) or "")
        for field, spec in self._kind.fields.items():
            is_read = field not in cells or field in values
            # The first row of an order may be the only one with its fields.
            is_said = key in self._orders and not field.startswith("line.")
            if spec.required and is_read and not is_said and values.get(field) in {None, ""}:
                wrong.append((self.columns.get(field, field), "is empty"))
        for column, why in wrong:  # a line without an order id is part of the order before
            self._refuse(line, column, why, key or self._latest)
        if not wrong:
            self._add(line, values, whole)
        self._latest = key or self._latest

    def _read_cell(self, field: str, cell: Any) -> Any:
        if cell is None:
            return None
        value = self._kind.fields[field].read(cell, self.notation)
        if field in _TRANSLATED and value.casefold() != str(cell).strip().casefold():
            self._translated[field, str(cell).strip()] = value
        return value

    def _add(self, line: int, values: dict[str, Any], whole: tuple[str, ...]) -> None:
        if self._kind.grouped is None:
            self.rows.append(FileRow(line, values))
            return
        key = values[self._kind.grouped]
        row = _nested(values)
        known = self._orders.get(key)
        if known is None:
            self._orders[key] = FileRow(line, row), {whole: line}
            self.rows.append(self._orders[key][0])
            return
        first, lines = known
        if key != self._latest:
            why = f"has the same order id as line {first.line}, with other orders between: check for a duplicate order"
        elif whole in lines:
            why = f"is equal to line {lines[whole]} of the same order: check for a duplicate line"
        elif differing := _differing(first.values, row):
            why = f"{differing}: differs from line {first.line}, which has the same order id"
        else:
            lines[whole] = line
            _merge(first.values, row)
            return
        self._refuse(line, "", why, key)

    def _refuse(self, line: int, column: str, why: str, *orders: str) -> None:
        keys: set[str | int] = {order for order in orders if order} if self._kind.grouped else set()
        for key in keys or {line}:
            self._bad.setdefault(key, {}).setdefault(line, []).append(f"{column}: {why}" if column else why)


def _known_names(kind: RowKind) -> set[str]:
    fields = kind.fields.items()
    return {plain(field) for field, _ in fields} | {n for _, spec in fields for tier in spec.names for n in tier}


def _text_at(cells: Sequence[Any], place: int) -> str:
    return str(cells[place]).strip() if place < len(cells) and cells[place] is not None else ""


def _fill(cells: list[Any], others: Mapping[int, Any]) -> None:
    for place, cell in others.items():
        if place < len(cells) and _is_empty(cells[place]):
            cells[place] = cell


def _is_empty(cell: Any) -> bool:
    return cell is None or (isinstance(cell, str) and not cell.strip())


def _wrong_length(names: Sequence[str], cells: Sequence[Any], places: Mapping[str, int]) -> str:
    """The problem with the number of cells in a row; empty without a problem."""
    if len(cells) > len(names) and not all(_is_empty(cell) for cell in cells[len(names) :]):
        return f"has {len(cells)} cells, but the header has {len(names)}"
    for name, cell in zip(names, cells, strict=False):
        if not name.strip() and not _is_empty(cell):
            return "has a value in a column without a name: check for a missing comma or quote"
    lacking = [names[place] for place in places.values() if place >= len(cells)]
    if lacking:
        return f"has {len(cells)} cells, but the header has {len(names)}: {', '.join(map(repr, lacking))} is missing"
    return ""


def _differing(known: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    """The first field in which a row of an order contradicts earlier rows; empty without a contradiction."""
    for name, value in row.items():
        before = known.get(name)
        if name == "lines" or before is None:
            continue
        if isinstance(value, Mapping):
            parts = (part for part in value if before.get(part, value[part]) != value[part])
            if (part := next(parts, None)) is not None:
                return f"{name} {part}"
        elif before != value:
            return name
    return ""


def _merge(known: Mapping[str, Any], row: Mapping[str, Any]) -> None:
    """Add the line of a row, and the fields of the order that earlier rows did not have."""
    target: Any = known
    for name, value in row.items():
        if name == "lines":
            target["lines"].extend(value)
        elif isinstance(value, Mapping):
            target[name] = {**value, **target.get(name, {})}
        else:
            target.setdefault(name, value)


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
    for address in (row.get("shipping"), row.get("billing")):
        if isinstance(address, dict) and "name" in address:
            _split_name(address)
    return row


def _split_name(address: dict[str, Any]) -> None:
    """Split a full name into first and last name, if the file has no columns for them."""
    first, _, last = str(address.pop("name")).strip().partition(" ")
    if not address.get("first_name") and not address.get("last_name"):
        names = {"first_name": first, "last_name": last.strip()} if last.strip() else {"last_name": first}
        address.update({part: value for part, value in names.items() if value})


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, part in value.items():
        if isinstance(part, dict) and not prefix:
            yield from _flat(part, f"{name}.")
        else:
            yield prefix + name, part


# -- columns ---------------------------------------------------------------------------------------------------------


def plain(name: object) -> str:
    """A column's name without case and punctuation."""
    return _APART.sub(" ", str(name).casefold()).strip()


def _explicit(field: str, column: str, names: Sequence[str]) -> int:
    places = [place for place, name in enumerate(names) if name == column]
    places = places or [place for place, name in enumerate(names) if plain(name) == plain(column)]
    if len(places) != 1:
        there = "the column does not exist" if not places else "several columns are called so"
        raise InputFileError(f"--column {field}={column}: {there}")
    return places[0]


def _first(columns: Sequence[str], names: Sequence[str], taken: set[int], filled: Sequence[bool]) -> int | None:
    there = [
        place for column in columns for place, name in enumerate(names) if plain(name) == column and place not in taken
    ]
    return next((place for place in there if filled and filled[place]), there[0] if there else None)


def _by_name(field: str, tiers: Sequence[Sequence[str]], names: Sequence[str], taken: set[int]) -> int | None:
    """Return the only column of the first tier that the file has. The field's own name is in the first tier."""
    own = plain(field)
    first, *others = tiers or ((),)
    for tier in ((own, *first), *others):
        places = [place for place, name in enumerate(names) if plain(name) in tier and place not in taken]
        if len(places) > 1:
            both = " and ".join(repr(names[place]) for place in places)
            raise InputFileError(
                f"{both} could both hold {field}; say which, as in --column {field}={names[places[0]]}"
            )
        if places:
            return places[0]
    return None
