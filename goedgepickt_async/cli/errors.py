"""Exit codes, and how errors and notes are printed."""

from __future__ import annotations

import enum
import os
from collections.abc import Callable

from goedgepickt_async import errors
from goedgepickt_async.text import printable

__all__ = ["CommandError", "Exit", "UsageError", "describe", "info", "report", "sentences"]


class Exit(enum.IntEnum):
    """The exit codes; they are part of the command line's public face."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    KEY_REFUSED = 3
    RESUMABLE = 4
    """Stopped part-way; the printed command continues."""
    BROKEN_PIPE = 141
    """The reader of the output has ended: the exit code that a shell reports after SIGPIPE."""


class CommandError(Exception):
    """The command ends here, with one line for its user.

    Args:
        message: What is wrong and what to do about it.
        code: The exit code.
    """

    def __init__(self, message: str, code: Exit = Exit.FAILED) -> None:
        super().__init__(message)
        self.code = code


class UsageError(CommandError):
    """The options make no sense together."""

    def __init__(self, message: str) -> None:
        super().__init__(message, Exit.USAGE)


_SHOWN_PROBLEMS = 3


def describe(error: BaseException) -> tuple[str, Exit]:
    """What to say of an error, and the exit code it means."""
    match error:
        case CommandError():
            return str(error), error.code
        case errors.GoedGepicktError():
            return printable(_of_ours(error)), _code(error)
        case OSError():
            where = f"{error.filename}: " if error.filename else ""
            return f"{where}{error.strerror or error}", Exit.FAILED
    return f"unexpected {type(error).__name__}: {printable(str(error))}; --debug shows where", Exit.FAILED


def sentences(*parts: str) -> str:
    """Parts as sentences behind each other; those that are empty are left out."""
    told = [part for part in parts if part]
    ends = [part if part[-1] in "?." else f"{part}." for part in told[:-1]]
    return " ".join([*ends, *told[-1:]])


def report(line: str) -> None:
    """Print one line about a failure to stderr, with the program's name."""
    info(f"goedgepickt: {line}")


def info(line: str) -> None:
    """One line about what went well."""
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
    said = "the API key is refused" if isinstance(error, errors.AuthenticationError) else str(error)
    return sentences(said, advice)


def _of_decode(error: errors.GoedGepicktError) -> str:
    problems = error.problems[:_SHOWN_PROBLEMS] if isinstance(error, errors.DecodeError) else ()
    if not problems:
        return "Is that the API's address? `goedgepickt doctor` looks."
    return " | ".join(problem for problem in problems if problem not in error.message)


# The first that fits; what is not here says enough by itself.
_ADVICE: tuple[tuple[type[errors.GoedGepicktError], Callable[[errors.GoedGepicktError], str]], ...] = (
    (
        errors.AuthenticationError,
        lambda _: (
            "Is GOEDGEPICKT_API_KEY whole, and of this API (--api account|fulfilment)? `goedgepickt doctor` looks."
        ),
    ),
    (errors.PermissionDeniedError, lambda _: "Here that is --api; `goedgepickt doctor` looks"),
    (errors.NotFoundError, lambda _: "Is the path right, and the API (--api, --base-url)?"),
    (errors.RequestTimeoutError, lambda _: "Try again, or give it longer with --timeout"),
    (errors.ConnectFailedError, lambda _: "Is there a network, and is the address right (--base-url)?"),
    (errors.BudgetExhaustedError, lambda _: "Wait, or allow more with --max-wait"),
    (errors.OutcomeUnknownError, lambda _: "Look whether it was carried out before you send it again"),
    (errors.DecodeError, _of_decode),
    (errors.RateLimitedError, lambda _: "Something else on this IP address uses the API; try later"),
)
