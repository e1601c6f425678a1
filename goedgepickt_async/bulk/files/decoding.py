"""Decodes the bytes of a file to records: compression, encoding, CSV dialect, JSON, workbooks."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final

from goedgepickt_async.errors import InputFileError

__all__ = [
    "csv_records",
    "decode",
    "delimiter_of",
    "is_workbook",
    "json_records",
    "unpack",
    "workbook_records",
]

_DELIMITERS: Final = ";,\t|"
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_GZIP: Final = b"\x1f\x8b"
_ZIP: Final = b"PK\x03\x04"
_OLD_EXCEL: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_MAX_UNPACKED: Final = 1 << 30
_OLDER: Final = re.compile(rb"[^\W\d_][\x82-\x84\x88-\x8b]|[a-z][\x8e\x9f]")
"""Letters in the encodings of DOS and old Macs. In Windows-1252 their bytes are signs that never follow a letter."""
_MULTIBYTE: Final = re.compile(rb"[\xc3-\xf4][\x80-\xbf]+")
_MARKUP: Final = re.compile(r"\s*<(?:!doctype html|html|table|\?xml|meta|head)", re.IGNORECASE)

_QUOTES: Final = {
    "unexpected": "a quote is opened here and never closed",
    **{f"'{sign}'": "a quote within a cell is not doubled" for sign in _DELIMITERS},
}
"""What the csv module's messages about quotes mean, by their first word."""

Record = tuple[int, list[Any]]
"""The line on which a record begins, from 1, and its cells."""


# -- bytes ----------------------------------------------------------------------------------------------------------


def unpack(data: bytes) -> bytes:
    """Decompress a gzip file or a zip with one file. Other bytes are returned unchanged."""
    if data.startswith(_GZIP):
        return _gunzip(data)
    if not data.startswith(_ZIP) or is_workbook(data):
        return data
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            files = [
                info for info in archive.infolist() if not info.is_dir() and not info.filename.startswith("__MACOSX")
            ]
            if len(files) == 1 and files[0].file_size <= _MAX_UNPACKED:
                with archive.open(files[0]) as stream:
                    return stream.read(_MAX_UNPACKED)
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, OSError, EOFError, ValueError) as error:
        raise InputFileError(f"it is a zip that cannot be read: {error}") from None
    if len(files) == 1:
        raise InputFileError("the file in the zip is larger than 1 GiB")
    raise InputFileError(f"it is a zip with {len(files)} files: unpack it and use one of them")


def _gunzip(data: bytes) -> bytes:
    unpacker = zlib.decompressobj(wbits=31)
    try:
        text = unpacker.decompress(data, _MAX_UNPACKED)
    except zlib.error as error:
        raise InputFileError(f"it is a damaged gzip file: {error}") from None
    if unpacker.unconsumed_tail:
        raise InputFileError("it is larger than 1 GiB after unpacking")
    if not unpacker.eof:
        raise InputFileError("it is a gzip file that is incomplete")
    return text


def decode(data: bytes, encoding: str | None = None) -> tuple[str, str]:
    """Return the text, and a note about the encoding.

    The text is decoded by its byte order mark, or else as UTF-8, UTF-16 or Windows-1252.
    """
    said = encoding or next((name for mark, name in _MARKS if data.startswith(mark)), None)
    if said is not None:
        return _decode_as(data, said), ""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        return _not_utf8(data, error)
    if "\0" not in text:
        return text, ""
    return _without_mark(data)


def _decode_as(data: bytes, encoding: str) -> str:
    try:
        text = data.decode(encoding)
    except LookupError:
        raise InputFileError(f"unknown encoding {encoding!r}") from None
    except UnicodeError as error:
        at = getattr(error, "start", 0)
        line = data.count(b"\n", 0, at) + 1
        raise InputFileError(f"line {line}: it is not text in {encoding}: {getattr(error, 'reason', error)}") from None
    if "\0" in text:
        raise InputFileError(f"read as {encoding} it has NUL characters: the encoding is wrong")
    return text.removeprefix("\ufeff")


def _not_utf8(data: bytes, error: UnicodeDecodeError) -> tuple[str, str]:
    """Decode Windows-1252. If the file has UTF-8 characters, the wrong byte is an error."""
    if _has_utf16_zeros(data):
        return _without_mark(data)
    valid = _MULTIBYTE.findall(data[: error.start]) + _MULTIBYTE.findall(data[error.end :])
    if any(_is_utf8(found) for found in valid):
        line = data.count(b"\n", 0, error.start) + 1
        raise InputFileError(
            f"line {line}: the byte 0x{data[error.start]:02X} is not valid UTF-8, but other characters of the file are "
            "UTF-8: fix this line, or pass --encoding"
        )
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        raise InputFileError(
            "it is not text in UTF-8 or Windows-1252: save it as CSV UTF-8, or pass --encoding"
        ) from None
    if "\0" in text:
        raise InputFileError("it is not text: it has NUL bytes; save it as CSV UTF-8")
    if (older := _OLDER.search(data)) is not None:
        line = data.count(b"\n", 0, older.start()) + 1
        shown = data[older.start() : older.end()].decode("cp1252")
        raise InputFileError(
            f"line {line}: read as Windows-1252 it says {shown!r}: is it of DOS (--encoding cp850) or of an old Mac "
            "(--encoding mac_roman)?"
        )
    return text, "read as Windows-1252, because it is not UTF-8; pass --encoding for another encoding"


def _is_utf8(found: bytes) -> bool:
    try:
        found.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _has_utf16_zeros(data: bytes) -> bool:
    head = data[:4096]
    return len(head) >= 4 and max(head[0::2].count(0), head[1::2].count(0)) > len(head) * 0.3


def _without_mark(data: bytes) -> tuple[str, str]:
    head = data[:4096]
    if _has_utf16_zeros(data):
        encoding = "utf-16-be" if head[0::2].count(0) > head[1::2].count(0) else "utf-16-le"
        return _decode_as(data, encoding), "read as UTF-16"
    raise InputFileError("it is not text: it has NUL bytes; save it as CSV UTF-8")


# -- CSV ------------------------------------------------------------------------------------------------------------


def delimiter_of(text: str, known: Callable[[list[str]], int]) -> str:
    """Return the delimiter with the most known column names, or else with the most columns."""
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


def csv_records(text: str, delimiter: str) -> Iterator[Record]:
    """Return the records that are not empty, each with its first line, from 1."""
    if _MARKUP.match(text):
        raise InputFileError("it is HTML or XML: save it as CSV UTF-8 or as .xlsx")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    begins = 1
    while True:
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            problem = f"line {begins}: {_QUOTES.get(str(error).partition(' ')[0], error)}"
            raise InputFileError(problem, problems=[problem]) from None
        line, begins = begins, reader.line_num + 1
        is_hint = line == 1 and text[:4].lower() == "sep="
        if not is_hint and any(cell.strip() for cell in record):
            yield line, record


# -- JSON -----------------------------------------------------------------------------------------------------------


def json_records(text: str) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """The objects of JSON Lines, of an array, or of an answer with `items`; or the text of what is wrong with one.

    Each has its line; of an array, its place from 1.
    """
    whole = _json_list(text)
    if whole is not None:
        for place, value in enumerate(whole, start=1):
            yield place, value if isinstance(value, dict) else "must be a JSON object"
        return
    for line, row in enumerate(text.split("\n"), start=1):
        if not row.strip():
            continue
        try:
            value = _parse(row)
        except _TwiceError as error:
            yield line, f"has the key {error} twice"
        except (ValueError, RecursionError):
            yield line, "is not valid JSON"
        else:
            yield line, value if isinstance(value, dict) else "must be a JSON object"


def _json_list(text: str) -> list[Any] | None:
    """The rows of a file that is one JSON value, if it is an array, an object over several lines, or has `items`."""
    kept = text.strip()
    is_lines = kept.startswith("{") and _is_json(kept.split("\n", 1)[0])
    if is_lines and "\n" in kept:
        return None
    try:
        value = _parse(kept)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, dict) and isinstance(value.get("items"), list) and "sku" not in value:
        return list(value["items"])
    if isinstance(value, list):
        return value
    return [value] if isinstance(value, dict) and "\n" in kept else None


def _is_json(text: str) -> bool:
    try:
        _parse(text)
    except (ValueError, RecursionError):
        return False
    return True


class _TwiceError(ValueError):
    """An object has a key twice."""


def _parse(text: str) -> Any:
    return json.loads(text, parse_float=Decimal, parse_constant=_refuse, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise _TwiceError(repr(name[:40]))
        found[name] = value
    return found


def _refuse(_: str) -> None:
    raise ValueError


# -- workbooks ------------------------------------------------------------------------------------------------------


def is_workbook(data: bytes) -> bool:
    """Whether it is a workbook of Excel or LibreOffice."""
    if data.startswith(_OLD_EXCEL):
        return True
    if not data.startswith(_ZIP):
        return False
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False
    return bool({"xl/workbook.xml", "xl/workbook.bin", "content.xml"} & names)


def workbook_records(data: bytes, sheet: str | None = None) -> Iterator[Record]:
    """Return the rows of a sheet that are not empty: text stays text, formulas are their values, dates are ISO 8601.

    Without a name, it is the only sheet that is not empty.
    """
    if not is_workbook(data):
        raise InputFileError("it has no sheets, because it is not a workbook (.xlsx): leave out sheet (--sheet)")
    try:
        import python_calamine  # noqa: PLC0415  an optional extra
    except ImportError:
        raise InputFileError(
            "it is an Excel workbook: save it as CSV UTF-8, or install 'goedgepickt-async[excel]' to read it"
        ) from None
    try:
        book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(data))
        sheets: Mapping[str, list[list[Any]]] = {
            name: book.get_sheet_by_name(name).to_python(skip_empty_area=False) for name in book.sheet_names
        }
    except Exception as error:  # noqa: BLE001  a reader in another language: what it raises is of many kinds
        raise InputFileError(f"the workbook cannot be read: {type(error).__name__}: {str(error)[:200]}") from None
    if sheet is None:
        filled = [name for name, rows in sheets.items() if any(_is_filled(row) for row in rows)]
        if len(filled) > 1:
            names = ", ".join(repr(name) for name in filled)
            raise InputFileError(f"it has several sheets: {names}; say which with --sheet NAME")
        sheet = filled[0] if filled else ""
    elif sheet not in sheets:
        raise InputFileError(f"it has no sheet {sheet!r}; there are: {', '.join(repr(name) for name in sheets)}")
    for line, row in enumerate(sheets.get(sheet, ()), start=1):
        if _is_filled(row):
            yield line, [_cell(value) for value in row]


def _is_filled(row: list[Any]) -> bool:
    return any(value not in ("", None) for value in row)


def _cell(value: Any) -> Any:
    """Return a value of a workbook: numbers with the 15 digits of Excel, dates as ISO 8601 text."""
    if isinstance(value, bool) or value is None:
        return "" if value is None else value
    if isinstance(value, float):
        exact = Decimal(f"{value:.15g}")
        return int(exact) if exact == exact.to_integral_value() and abs(exact) < 10**15 else exact
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value) if isinstance(value, timedelta) else value
