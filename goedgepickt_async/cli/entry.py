"""From the arguments of the process to its exit code."""

from __future__ import annotations

import contextlib
import inspect
import logging
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from cyclopts import CycloptsError

from goedgepickt_async.cli.app import app
from goedgepickt_async.cli.messages import describe, say
from goedgepickt_async.cli.outcome import Exit
from goedgepickt_async.cli.running import run_stoppable

__all__ = ["run"]


def run(arguments: Sequence[str]) -> int:
    """Parse and run; whatever happens ends in at most one line and an exit code.

    Args:
        arguments: Without the program's name.
    """
    _show_warnings()
    try:
        command, bound, _ = app.parse_args(_with_bare_dashes(arguments), print_error=False, exit_on_error=False)
    except CycloptsError as error:
        return _refuse(error, arguments)
    return _guarded(lambda: _call(command, bound), debug="--debug" in arguments)


def _show_warnings() -> None:
    """What a person should see of the log; but not what the models do not know, which is for those who write code."""
    logging.basicConfig(format="goedgepickt: %(message)s")
    logging.getLogger("goedgepickt_async.drift").setLevel(logging.ERROR)


def _with_bare_dashes(arguments: Sequence[str]) -> list[str]:
    """`--output -` as `--output=-`: cyclopts takes a bare dash for an option, not for a value."""
    joined: list[str] = []
    for word in arguments:
        if word == "-" and joined and joined[-1].startswith("-") and "=" not in joined[-1]:
            joined[-1] += "=-"
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
        say(line)
    return code


def _refuse(error: CycloptsError, arguments: Sequence[str]) -> int:
    known = [word for word in arguments[:1] if word in app]
    say(f"{' '.join(str(error).split())} See: {' '.join(['goedgepickt', *known, '--help'])}")
    return Exit.USAGE


def _let_go_of_stdout() -> None:
    """Nobody reads it any more; or the interpreter would complain when it flushes at its end."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
