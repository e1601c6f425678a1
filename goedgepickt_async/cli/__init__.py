"""The `goedgepickt` command. It needs the `cli` extra; data goes to stdout, everything else to stderr."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from goedgepickt_async.cli.main import prepare

__all__ = ["main"]

_INTERRUPTED = 130
_EXTRA = frozenset({"cyclopts", "rich"})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: Without the program's name; those of the process by default.

    Returns:
        The exit code: see `goedgepickt_async.cli.errors.Exit`.
    """
    prepare()
    try:
        from goedgepickt_async.cli.main import run  # noqa: PLC0415  what is not installed is said in one line
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        sys.stderr.write("goedgepickt: the command line is an extra: pip install 'goedgepickt-async[cli]'\n")
        return 2
    except KeyboardInterrupt:
        return _INTERRUPTED
    try:
        return run(sys.argv[1:] if arguments is None else list(arguments))
    except KeyboardInterrupt:  # before the command itself listened
        return _INTERRUPTED
