"""Small files of the command line's own: replaced as a whole, on the disk when the call returns, for the user alone."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

__all__ = ["Lock", "lock_file", "state_directory", "write_private"]

_PRIVATE = 0o600
_BINARY = getattr(os, "O_BINARY", 0)


def state_directory() -> Path:
    """Where programs of this user keep what they must remember: `$XDG_STATE_HOME/goedgepickt`, or what the system has.

    It is made when something is written into it.
    """
    given = os.environ.get("XDG_STATE_HOME", "")
    if given and Path(given).is_absolute():
        return Path(given) / "goedgepickt"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home()) / "goedgepickt"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "goedgepickt"
    return Path.home() / ".local" / "state" / "goedgepickt"


def write_private(path: Path, text: str) -> None:
    """Write a file in the place of the one before; whoever is killed here, or loses power, leaves one of the two.

    Args:
        path: Readable and writable for its owner alone; its directory is made, if need be, for the owner alone too.
        text: All of it.

    Raises:
        OSError: It cannot be written; the one before is still there.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)  # of somebody who was killed
    try:
        file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, _PRIVATE)
        with os.fdopen(file, "wb") as stream:
            stream.write(text.encode())
            stream.flush()
            os.fsync(stream.fileno())
        fresh.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise
    sync_directory(path.parent)


def sync_directory(folder: Path) -> None:
    """Make the disk keep what was renamed in it; not all systems can, and some need not."""
    with contextlib.suppress(OSError):
        file = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(file)
        finally:
            os.close(file)


def lock_file(file: int) -> bool:
    """Whether nobody else has it; it is ours until it is closed. Where files cannot be locked, nobody has."""
    try:
        import fcntl  # noqa: PLC0415  not on Windows
    except ImportError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # some network file systems
        return True
    return True


class Lock:
    """One process at a time, by a file that stays empty and stays there: a lock on what is replaced locks nothing.

    Args:
        path: Of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def take(self) -> bool:
        """Whether it is ours now.

        Raises:
            OSError: The file cannot be made.
        """
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | _BINARY, _PRIVATE)
        return lock_file(self._file)

    def release(self) -> None:
        """Let others in."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
