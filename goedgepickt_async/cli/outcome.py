"""How a command can end."""

from __future__ import annotations

import enum

__all__ = ["CommandError", "Exit", "UsageError"]


class Exit(enum.IntEnum):
    """The exit codes; they are part of the command line's public face."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    KEY_REFUSED = 3
    RESUMABLE = 4
    """Stopped part-way; what it printed goes on from there."""
    BROKEN_PIPE = 141
    """Whoever read the output went away; what a shell reports for any tool that SIGPIPE ended."""


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
