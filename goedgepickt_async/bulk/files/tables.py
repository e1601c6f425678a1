"""From bytes to records with the line that each begins on; CSV with any delimiter, and JSON Lines."""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, Final

from goedgepickt_async.errors import InputFileError

__all__ = ["csv_records", "decode", "delimiter_of", "json_records"]

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
