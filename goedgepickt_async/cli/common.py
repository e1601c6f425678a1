"""What all commands share: exit codes, errors and messages, and the values of options."""

from __future__ import annotations

import enum
import math
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from goedgepickt_async import errors
from goedgepickt_async.text import for_terminal, printable

__all__ = [
    "MOST_PORTS",
    "CommandError",
    "Exit",
    "UsageError",
    "check_writable",
    "describe",
    "info",
    "name_values",
    "read_day",
    "read_ids",
    "read_input",
    "refuse_same_file",
    "report",
    "seconds",
    "sentences",
    "whole",
    "write_all",
    "write_utf8",
]


class Exit(enum.IntEnum):
    """The exit codes, which are part of the public interface."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    KEY_REFUSED = 3
    RESUMABLE = 4
    """The command was stopped; the printed command continues."""
    BROKEN_PIPE = 141
    """The program that reads the output has ended. A shell reports this code after SIGPIPE."""


class CommandError(Exception):
    """Ends the command with a one-line message: the problem and what to do. Any function of `cli` may raise one."""

    def __init__(self, message: str, code: Exit = Exit.FAILED) -> None:
        super().__init__(message)
        self.code = code


class UsageError(CommandError):
    """The options cannot be combined."""

    def __init__(self, message: str) -> None:
        super().__init__(message, Exit.USAGE)


_SHOWN_PROBLEMS = 3


def describe(error: BaseException) -> tuple[str, Exit]:
    """Return the message and the exit code for an error."""
    match error:
        case CommandError():
            return str(error), error.code
        case errors.GoedGepicktError():
            return printable(_of_ours(error)), _code(error)
        case OSError():
            where = f"{error.filename}: " if error.filename else ""
            return f"{where}{error.strerror or error}", Exit.FAILED
    return f"unexpected {type(error).__name__}: {printable(str(error))}; pass --debug to see the traceback", Exit.FAILED


def sentences(*parts: str) -> str:
    """Join the parts that are not empty as sentences."""
    told = [part for part in parts if part]
    ends = [part if part[-1] in "?." else f"{part}." for part in told[:-1]]
    return " ".join([*ends, *told[-1:]])


def report(line: str) -> None:
    """Print one line about a failure to stderr, with the program's name."""
    info(f"goedgepickt: {line}")


def info(line: str) -> None:
    """Print one line of information to stderr."""
    try:
        os.write(2, f"{line}\n".encode(errors="replace"))
    except OSError:
        return  # stderr is closed


def _code(error: errors.GoedGepicktError) -> Exit:
    if isinstance(error, errors.AuthenticationError | errors.PermissionDeniedError):
        return Exit.KEY_REFUSED
    return Exit.USAGE if isinstance(error, errors.ConfigurationError) else Exit.FAILED


def _of_ours(error: errors.GoedGepicktError) -> str:
    said = "the API refused the key" if isinstance(error, errors.AuthenticationError) else str(error)
    if isinstance(error, errors.DecodeError) and error.problems:
        more = (problem for problem in error.problems[:_SHOWN_PROBLEMS] if problem not in error.message)
        return sentences(said, " | ".join(more))
    return sentences(said, next((advice for kind, advice in _ADVICE if isinstance(error, kind)), ""))


# The first match is used. The messages of other errors need no hint.
_ADVICE: tuple[tuple[type[errors.GoedGepicktError], str], ...] = (
    (
        errors.AuthenticationError,
        (
            "Check that GOEDGEPICKT_API_KEY is complete and belongs to this API (--api account|fulfilment), with "
            "`goedgepickt doctor`"
        ),
    ),
    (errors.PermissionDeniedError, "On the command line this is --api; check it with `goedgepickt doctor`"),
    (errors.NotFoundError, "Check the path and the API (--api, --base-url)"),
    (errors.RequestTimeoutError, "Try again, or pass a longer --timeout"),
    (errors.ConnectFailedError, "Check the network and the address (--base-url)"),
    (errors.BudgetExhaustedError, "Wait, or pass a longer --max-wait"),
    (errors.OutcomeUnknownError, "Check whether it was carried out before you send it again"),
    (errors.DecodeError, "Check the address of the API with `goedgepickt doctor`"),
    (errors.RateLimitedError, "Another program on this IP address uses the API; try again later"),
    (errors.ServerError, "The server failed; try again later"),
    (errors.ConnectionLostError, "Try again; if it fails again, check the address (--base-url)"),
)


# -- values of options: a refused value is reported with its allowed range --------------------------------------------

MOST_PORTS = 65535
"""The highest port number."""

_WHOLE = re.compile(r"[-+]?[0-9]+")
_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[-+]?[0-9]+)?", re.IGNORECASE)
_DAY_FIRST = re.compile(r"([0-9]{1,2})[-/. ]+([0-9]{1,2}|[a-z]{3,9})\.?[-/. ]+([0-9]{4}|[0-9]{2})")
_YEAR_FIRST = re.compile(r"([0-9]{4})([-/. ]?)([0-9]{1,2})\2([0-9]{1,2})([t ].*)?")
_LONGEST = 100
_MONTHS = ("jan", "feb", "maa mar mrt", "apr", "mei may", "jun", "jul", "aug", "sep", "okt oct", "nov", "dec")

Converter = Callable[[type[Any], Sequence[Any]], Any]
"""A function that cyclopts calls with the type and the tokens of an option. cyclopts shows the text of a
`ValueError`."""


def read_day(_: type[Any], tokens: Sequence[Any]) -> date:
    """Parse a day, YYYY-MM-DD. The message for another form has the right form."""
    text = tokens[0].value.strip()
    try:
        if len(text) == len("2026-11-28"):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise ValueError(f"{printable(text)!r} is not a day such as 2026-11-28{_guess(text)}")


def _guess(text: str) -> str:
    """Return a hint for a day in Dutch or American form, with a time, or without dashes."""
    lower = text.lower()
    try:
        if match := _YEAR_FIRST.fullmatch(lower):
            return f"; write {date(int(match[1]), int(match[3]), int(match[4])).isoformat()}"
        if match := _DAY_FIRST.fullmatch(lower):
            day, month, year = int(match[1]), _month(match[2]), int(match[3]) + (2000 if len(match[3]) == 2 else 0)
            if month > 12:
                return f"; write {date(year, day, month).isoformat()}"
            meant = date(year, month, day)
            return f"; write {meant.isoformat()} for {meant.day}-{meant.month}-{meant.year}, the day first"
    except ValueError:
        return "; this day does not exist"
    return "; write year, month and day"


def _month(text: str) -> int:
    """Return the number of a month; its name may be Dutch or English, and shortened."""
    if text.isdigit():
        return int(text)
    return next((number for number, names in enumerate(_MONTHS, 1) if text[:3] in names.split()), 0)


def whole(least: int | None = 0, most: int | None = None) -> Converter:
    """Return a parser for whole numbers from `least` to `most`; None allows any."""

    def read(_: type[Any], tokens: Sequence[Any]) -> int:
        text = tokens[0].value.strip()
        if not _WHOLE.fullmatch(text) or len(text) > _LONGEST:
            raise ValueError(f"{printable(text, _LONGEST)!r} is not a whole number")
        number = int(text)
        if most is not None and not (least or 0) <= number <= most:
            raise ValueError(f"{number} is not between {least} and {most}")
        if least is not None and number < least:
            raise ValueError(f"{number} is less than {least}")
        return number

    return read


def read_ids(_: type[Any], tokens: Sequence[Any]) -> list[int]:
    """Parse the numbers of deliveries."""
    read = whole(1)
    return [read(int, [token]) for token in tokens]


def seconds(*, more_than_none: bool = False, most: float = math.inf) -> Converter:
    """Return a parser for durations up to `most` seconds, which refuses 0 with `more_than_none`."""
    allowed = ("above 0" if more_than_none else "of 0 or more") + (f", at most {most:g}" if most < math.inf else "")

    def read(_: type[Any], tokens: Sequence[Any]) -> float:
        text = tokens[0].value.strip()
        number = float(text) if _NUMBER.fullmatch(text) else math.nan
        if not 0 <= number <= most or number == math.inf or (more_than_none and not number):
            raise ValueError(f"{printable(text)!r} is not a number of seconds {allowed}")
        return number

    return read


def name_values(option: str, pairs: Sequence[str] | None, form: str = "name=value") -> dict[str, str]:
    """Parse the values of an option, which have the form `name=value`, with different names."""
    found: dict[str, str] = {}
    for pair in pairs or ():
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise UsageError(f"{option} must be {form}, not {printable(pair)!r}")
        if name in found:
            raise UsageError(f"{option} {printable(name)} is given twice")
        found[name] = value
    return found


def refuse_same_file(files: Mapping[str, Path | str | None]) -> None:
    """Refuse two names of one file.

    Args:
        files: The files by what they are, such as `--output`; the options of the user are last. None and `-` are no files.
    """
    seen: dict[str, str] = {}
    for name, file in files.items():
        if file is not None and str(file) != "-":
            other = seen.setdefault(os.path.realpath(file), name)
            if other != name:
                raise UsageError(f"{other} and {name} are the same file; pass another file name with {name}")


def check_writable(file: Path, option: str = "--output") -> None:
    """Check before the first request whether the file of an option can be written."""
    if str(file) == "-":
        raise UsageError(f"{option} needs a file, and - is none; leave {option} out to print to stdout")
    path = file.absolute()
    if path.is_dir():
        raise CommandError(f"{path} is a directory; {option} needs a file")
    if not path.parent.is_dir():
        raise CommandError(f"there is no directory {path.parent} to write {path.name} into")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise CommandError(f"{path} cannot be written: permission denied; pass another file with {option}")


def write_all(file: int, data: bytes) -> None:
    """Write all bytes to a descriptor."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]


def write_utf8(text: str) -> None:
    """Write text to stdout as UTF-8, which readers of JSON expect, in every locale."""
    sys.stdout.flush()
    sys.stdout.buffer.write(for_terminal(text).encode())
    sys.stdout.buffer.flush()


def read_input(text: str) -> bytes:
    """Return the value of an option: the text itself, the content of `@FILE`, or stdin for `-`."""
    if text != "-" and not text.startswith("@"):
        return text.encode(errors="surrogateescape")
    try:
        return sys.stdin.buffer.read() if text == "-" else Path(text[1:]).read_bytes()
    except OSError as error:
        raise CommandError(f"{'stdin' if text == '-' else text[1:]} cannot be read: {error.strerror}") from None
