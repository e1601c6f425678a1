"""The entry point of the command: standard streams, signals, exit codes."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import inspect
import logging
import os
import re
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Coroutine, Iterator, Sequence
from difflib import get_close_matches
from types import FrameType
from typing import Any

from cyclopts import (
    CycloptsError,
    MissingArgumentError,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
)

from goedgepickt_async.cli.app import app
from goedgepickt_async.cli.common import Exit, describe, report, sentences
from goedgepickt_async.cli.resources import RESOURCES
from goedgepickt_async.text import printable

__all__ = ["run", "run_stoppable"]


_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
_HANG_UP = getattr(signal, "SIGHUP", None)
_SHOW_CURSOR = b"\x1b[?25h"
_OF_STDOUT = {errno.ENOSPC, errno.EBADF, errno.EIO, errno.EFBIG}
"""The errors of a write; without a file name, stdout is meant."""


def run_stoppable(command: Coroutine[Any, Any, int]) -> int:
    """Run a command to its end, and return its exit code.

    The first signal cancels it. A command that needs to clean up catches `CancelledError` and returns its own exit
    code.
    """
    stopper = _Stopper()
    stopper.install()
    try:
        return asyncio.run(_supervise(command, stopper))
    finally:
        stopper.restore()


async def _supervise(command: Coroutine[Any, Any, int], stopper: _Stopper) -> int:
    task = asyncio.ensure_future(command)
    stopper.watch(asyncio.get_running_loop(), task)
    try:
        return await task
    except asyncio.CancelledError:
        if not stopper.stopped:
            raise
        report("stopped")
        return Exit.FAILED


class _Stopper:
    """Signal handlers by `signal.signal`. asyncio's handlers do not run while a full pipe blocks a write."""

    def __init__(self) -> None:
        self.stopped = False
        self._stop: Callable[[], object] | None = None
        self._before: dict[int, Any] = {}

    def install(self) -> None:
        # An inherited "ignore" counts for SIGHUP only (nohup). A job that a script starts in the background can be stopped.
        for number in _SIGNALS:
            if number == _HANG_UP and signal.getsignal(number) is signal.SIG_IGN:
                continue
            self._before[number] = signal.signal(number, self._handle)

    def watch(self, loop: asyncio.AbstractEventLoop, task: asyncio.Future[int]) -> None:
        self._stop = lambda: loop.call_soon_threadsafe(task.cancel)

    def restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self.stopped or self._stop is None:
            _end_at_once(number)
            return
        self.stopped = True
        self._stop()


def _end_at_once(number: int) -> None:
    if sys.stderr.isatty():
        os.write(2, _SHOW_CURSOR)  # the progress bar hid it
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def run(arguments: Sequence[str]) -> int:
    """Parse and run. Every failure ends in one line and an exit code."""
    _show_log()
    arguments = _with_help_words(arguments)
    if (empty := _empty_value(arguments)) is not None:
        report(empty)
        return Exit.USAGE
    try:
        command, bound, _ = app.parse_args(_with_bare_dashes(arguments), print_error=False, exit_on_error=False)
    except CycloptsError as error:
        return _refuse(error, arguments)
    with _plain_warnings():
        return _guarded(lambda: _call(command, bound), debug="--debug" in arguments)


def _empty_value(arguments: Sequence[str]) -> str | None:
    """Return a message if a value is empty, such as one from a variable of the shell that is not set."""
    before = ""
    for word in arguments:
        if word == "--":
            break
        name, equals, value = word.partition("=")
        if not word or (word.startswith("--") and equals and not value):
            where = f"the value of {name or before}" if (name or before).startswith("-") else "an argument"
            return f"{where} is empty; is a variable of the shell not set? Leave it out, or pass a value"
        before = name
    return None


@contextlib.contextmanager
def _plain_warnings() -> Iterator[None]:
    """Show each warning once, without its place in the code."""
    shown = set[str]()

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        if str(message) not in shown:
            shown.add(str(message))
            report(f"warning: {message}")

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def _show_log() -> None:
    """Show the log records that are useful for users, without drift, which is for developers."""
    logging.basicConfig(format="goedgepickt: %(message)s")
    logging.getLogger("goedgepickt_async.drift").setLevel(logging.ERROR)


def _with_help_words(arguments: Sequence[str]) -> list[str]:
    """`help`, `help COMMAND`, `COMMAND help` and `version` as the corresponding options."""
    match list(arguments):
        case ["version"]:
            return ["--version"]
        case ["help", *words]:
            return [*words, "--help"]
        case [word, "help"] if word in app:
            return [word, "--help"]
    return list(arguments)


def _with_bare_dashes(arguments: Sequence[str]) -> list[str]:
    """`--output -` as `--output=-`, and a file `-` as `./-`, because cyclopts reads a dash as an option."""
    joined: list[str] = []
    for word in arguments:
        if word == "-" and joined and joined[-1].startswith("-") and "=" not in joined[-1]:
            joined[-1] += "=-"
        elif word == "-" and joined[:1] in (["plan"], ["apply"]):
            joined.append("./-")
        else:
            joined.append(word)
    return joined


def _call(command: Callable[..., Any], bound: inspect.BoundArguments) -> int:
    result = command(*bound.args, **bound.kwargs)
    return run_stoppable(result) if inspect.iscoroutine(result) else int(result or Exit.DONE)


def _guarded(work: Callable[[], int], *, debug: bool) -> int:
    try:
        code = work()
        sys.stdout.flush()
    except BrokenPipeError:
        _let_go_of_stdout()
        return Exit.BROKEN_PIPE
    except Exception as error:  # noqa: BLE001  the outermost: nothing but a line may leave here
        if debug:
            traceback.print_exc()
        line, code = describe(error)
        of_stdout = isinstance(error, OSError) and error.filename is None and error.errno in _OF_STDOUT
        report(f"cannot write to stdout: {line}" if of_stdout else line)
    return code


def _refuse(error: CycloptsError, arguments: Sequence[str]) -> int:
    known, group = [], app
    for word in arguments:
        if word.startswith("-") or word not in group:
            break
        known.append(word)
        group = group[word]
    report(
        sentences(printable(_reason(error, arguments, known)), f"See: {' '.join(['goedgepickt', *known, '--help'])}")
    )
    return Exit.USAGE


def _reason(error: CycloptsError, arguments: Sequence[str], known: list[str]) -> str:
    match error:
        case UnknownCommandError():
            return _unknown_command(list(arguments), known)
        case UnusedCliTokensError(unused_tokens=[first, *_] as words):
            return f"{' '.join(words)!r} is not an argument of this command{_dashes(first, arguments)}"
        case MissingArgumentError(argument=argument) if argument is not None:
            option = next((name for name in argument.names if name in arguments), None)
            return f"{option} needs a value" if option else f"{argument.name} is missing"
        case UnknownOptionError():
            if "--" in arguments:
                return "after -- options are not read; leave out --"
            names = (word.partition("=")[0] for word in arguments)
            name = next((name for name in names if name in _OTHER_OPTIONS and name in str(error)), None)
            if name is not None:
                return f"Unknown option: {name}. {_OTHER_OPTIONS[name]}."
    text = " ".join(str(error).split())
    is_short = isinstance(error, UnknownOptionError) and "--" not in text  # cyclopts 4.0 reads `-output` as `-o -u ...`
    return text.rstrip(".") + _dashes("-", arguments) if is_short else text


def _dashes(first: str, arguments: Sequence[str]) -> str:
    """Return a hint for an option with one dash, or with a dash from a text processor."""
    if first[:1] in _LONG_DASHES:
        return f"; write two hyphens: --{first.lstrip(_LONG_DASHES)}"
    short = next((word for word in arguments if _ONE_DASH.fullmatch(word)), None)
    return f"; write two hyphens: -{short}" if short else ""


_LONG_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"
_ONE_DASH = re.compile(r"-[a-z][a-z-]{2,}")


def _unknown_command(arguments: list[str], known: list[str]) -> str:
    group = app[known[0]] if known else app
    names = sorted(name for name in group if not name.startswith("-"))
    word = next((word for word in arguments[len(known) :] if not known or not word.startswith("-")), "")
    if word.startswith("-"):
        return f"options must be after the command, such as goedgepickt doctor {word}."
    if word in RESOURCES and not known:
        return f"unknown command {word}; to export a list: goedgepickt export {word}; to get one object: goedgepickt get {word} ID."
    lower = word.lower()
    close = [_SYNONYMS[lower]] if lower in _SYNONYMS and not known else get_close_matches(lower, names, n=1)
    guess = f" Did you mean {close[0]}?" if close else ""
    return f"unknown command {' '.join([*known, word])}.{guess} Commands: {', '.join(names)}."


_SYNONYMS = dict.fromkeys(("list", "ls", "download", "dump", "fetch"), "export") | {
    "show": "get",
    "view": "get",
    "find": "get",
    "check": "doctor",
    "status": "doctor",
    "curl": "request",
    "call": "request",
    "import": "plan",
    "sync": "plan",
    "serve": "sandbox",
    "webhook": "webhooks",
    "listen": "webhooks",
}
"""The names of commands in other tools."""

_OTHER_OPTIONS = (
    dict.fromkeys(
        ("--api-key", "--key", "--token"), "The key comes from GOEDGEPICKT_API_KEY or a tenant, never from an option"
    )
    | dict.fromkeys(("--data", "--body", "-d"), "A body is given with --json JSON, --json @FILE or --json -")
    | dict.fromkeys(("--shop", "--store"), "The webshop is named with --webshop")
    | dict.fromkeys(("--from", "--after"), "A first day is given with --created-after 2026-11-28")
    | {
        "--to": "There is no last day: the API filters by the first day only",
        "--resume": "`goedgepickt apply` continues a run when it gets the same file again",
    }
)
"""Options of other tools, and what to write instead."""


def _let_go_of_stdout() -> None:
    """Replace stdout after its reader has ended. Otherwise the interpreter's last flush raises."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
