"""Exit codes, and how errors and notes are printed."""

from __future__ import annotations

import enum
import os
from collections.abc import Callable

from goedgepickt_async import errors
from goedgepickt_async.text import printable

__all__ = ["CommandError", "Exit", "UsageError", "describe", "info", "report", "sentences"]


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
    """Ends the command with a one-line message.

    Args:
        message: The problem and what to do.
        code: The exit code.
    """

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
    match error:
        case errors.AuthenticationError() | errors.PermissionDeniedError():
            return Exit.KEY_REFUSED
        case errors.ConfigurationError():
            return Exit.USAGE
    return Exit.FAILED


def _of_ours(error: errors.GoedGepicktError) -> str:
    advice = next((text(error) for kind, text in _ADVICE if isinstance(error, kind)), "")
    said = "the API refused the key" if isinstance(error, errors.AuthenticationError) else str(error)
    return sentences(said, advice)


def _of_decode(error: errors.GoedGepicktError) -> str:
    problems = error.problems[:_SHOWN_PROBLEMS] if isinstance(error, errors.DecodeError) else ()
    if not problems:
        return "Check the address of the API with `goedgepickt doctor`"
    return " | ".join(problem for problem in problems if problem not in error.message)


# The first match is used. The messages of other errors need no hint.
_ADVICE: tuple[tuple[type[errors.GoedGepicktError], Callable[[errors.GoedGepicktError], str]], ...] = (
    (
        errors.AuthenticationError,
        lambda _: (
            "Check that GOEDGEPICKT_API_KEY is complete and belongs to this API (--api account|fulfilment), with "
            "`goedgepickt doctor`"
        ),
    ),
    (errors.PermissionDeniedError, lambda _: "On the command line this is --api; check it with `goedgepickt doctor`"),
    (errors.NotFoundError, lambda _: "Check the path and the API (--api, --base-url)"),
    (errors.RequestTimeoutError, lambda _: "Try again, or pass a longer --timeout"),
    (errors.ConnectFailedError, lambda _: "Check the network and the address (--base-url)"),
    (errors.BudgetExhaustedError, lambda _: "Wait, or pass a longer --max-wait"),
    (errors.OutcomeUnknownError, lambda _: "Check whether it was carried out before you send it again"),
    (errors.DecodeError, _of_decode),
    (errors.RateLimitedError, lambda _: "Another program on this IP address uses the API; try again later"),
)
