"""The `goedgepickt` command. It needs the `cli` extra; data goes to stdout, everything else to stderr."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from typing import Literal, TextIO

__all__ = ["main"]

_INTERRUPTED = 130
_EXTRA = frozenset({"cyclopts", "rich"})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the `goedgepickt` command.

    Args:
        arguments: The arguments without the program's name. Default: the arguments of the process.

    Returns:
        The exit code: see `goedgepickt_async.cli.common.Exit`.
    """
    _open_missing_streams()
    try:
        from goedgepickt_async.cli.runner import run  # noqa: PLC0415  what is not installed is said in one line
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        sys.stderr.write("goedgepickt: the command line needs an extra: pip install 'goedgepickt-async[cli]'\n")
        return 2
    except KeyboardInterrupt:
        return _INTERRUPTED
    try:
        return run(sys.argv[1:] if arguments is None else list(arguments))
    except KeyboardInterrupt:  # before the command has its own handler
        return _INTERRUPTED


# stdin is at its end. Writing to stdout must fail, so that no data is lost unnoticed. Messages on stderr may be lost.
_FLAGS = (os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)


def _open_missing_streams() -> None:
    """Open closed descriptors and missing streams, and replace characters that stdout cannot show.

    Otherwise the system gives a closed descriptor to the next file or socket, and messages for stderr would be written
    into it.
    """
    for number, flags in enumerate(_FLAGS):
        _fill(number, flags)
    sys.stdin = sys.stdin or _nothing("r")
    sys.stdout = sys.stdout or _nothing("w")
    sys.stderr = sys.stderr or _nothing("w")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def _fill(number: int, flags: int) -> None:
    try:
        os.fstat(number)
    except OSError:
        opened = os.open(os.devnull, flags)
        if opened != number:
            os.dup2(opened, number)
            os.close(opened)


def _nothing(mode: Literal["r", "w"]) -> TextIO:
    file = os.open(os.devnull, os.O_RDONLY if mode == "r" else os.O_WRONLY)
    return open(file, mode, encoding="utf-8", closefd=False)  # until the process ends
