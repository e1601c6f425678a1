"""Stdin, stdout and stderr as the commands expect them, whatever the process was started with."""

from __future__ import annotations

import io
import os
import sys
from typing import Literal, TextIO

__all__ = ["prepare"]

# Reading stdin meets its end. Data written to stdout must fail, not vanish, so it cannot be written; what is only
# said, on stderr, may go unheard.
_FLAGS = (os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)


def prepare() -> None:
    """Fill closed descriptors and missing streams, and let no character that stdout cannot show be an error.

    A descriptor that stayed closed would be given to the next file or socket that is opened, and whatever is said on
    stderr would be written into it.
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
