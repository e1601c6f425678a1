"""The directories of this application, and files that only their owner can read.

All files of the package follow these rules: one application name, and the XDG directories if they are absolute. Modes are
0700 for directories and 0600 for files. Links and files of another user are refused.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = [
    "APPLICATION",
    "FileLock",
    "UnsafePathError",
    "check_directories",
    "config_dir",
    "lock_file",
    "locked_directory",
    "make_private_directory",
    "make_private_file",
    "runtime_dir",
    "state_dir",
    "sync_directory",
    "unlock_file",
    "write_private",
]

APPLICATION: Final = "goedgepickt"
"""The name of this application's directories."""

_PRIVATE_FILE: Final = 0o600
_PRIVATE_DIRECTORY: Final = 0o700
_OTHERS: Final = 0o077
_BINARY: Final = getattr(os, "O_BINARY", 0)
_NO_LINKS: Final = getattr(os, "O_NOFOLLOW", 0)
_HAS_USERS: Final = hasattr(os, "getuid")
_LOCK_PAUSE: Final = 0.02
_NAME_PART: Final = 40


class UnsafePathError(OSError):
    """A file or directory is not private: it is a link, belongs to another user, or others can replace it."""


# -- where ----------------------------------------------------------------------------------------------------------


def state_dir() -> Path:
    """The directory for files that must survive a restart: `$XDG_STATE_HOME/goedgepickt`, or the system's default.

    A relative `XDG_STATE_HOME` is ignored, as the XDG specification requires. The directory may not exist yet.
    """
    return _user_dir("XDG_STATE_HOME", "LOCALAPPDATA", Path(".local", "state"))


def config_dir() -> Path:
    """The directory for configuration files: `$XDG_CONFIG_HOME/goedgepickt`, or the system's default.

    A relative `XDG_CONFIG_HOME` is ignored, as the XDG specification requires. The directory may not exist.
    """
    return _user_dir("XDG_CONFIG_HOME", "APPDATA", Path(".config"))


def _user_dir(variable: str, on_windows: str, below_home: Path) -> Path:
    given = os.environ.get(variable, "")
    if given and Path(given).is_absolute():
        return Path(given) / APPLICATION
    if sys.platform == "win32":
        return Path(os.environ.get(on_windows) or Path.home()) / APPLICATION
    if sys.platform == "darwin":
        below_home = Path("Library", "Application Support")
    return Path.home() / below_home / APPLICATION


def runtime_dir() -> Path:
    """The directory for files that all processes of this user share until a reboot, such as the request budget.

    It depends on the user id only, so it is the same for a shell, a cron job and a service. `TMPDIR` and
    `XDG_RUNTIME_DIR` are not used, because cron does not set them. If that directory belongs to another user, a
    directory below `state_dir()` is used. The directory may not exist yet.
    """
    if not _HAS_USERS:
        return Path(os.environ.get("LOCALAPPDATA") or tempfile.gettempdir()) / APPLICATION
    temporary = Path("/tmp")  # noqa: S108  make_private_directory refuses what is not ours alone
    if not temporary.is_dir():
        temporary = Path(tempfile.gettempdir())
    directory = temporary / f"{APPLICATION}-{os.getuid()}"
    try:
        found = directory.lstat()
    except OSError:
        return directory
    is_ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
    return directory if is_ours else state_dir() / "run"


# -- private files --------------------------------------------------------------------------------------------------


def make_private_directory(path: Path) -> None:
    """Create a private directory and its missing parents, or make an existing directory of this user private.

    Raises:
        UnsafePathError: The path is a link, is not a directory, or belongs to another user.
    """
    missing = [folder for folder in path.parents if not folder.exists()]
    for folder in (*reversed(missing), path):
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=_PRIVATE_DIRECTORY)
    _make_private(path, "directory")


def make_private_file(path: Path) -> None:
    """Create a private empty file, or make an existing file of this user private.

    An existing file is checked by its path and never opened. Closing a descriptor would release the locks that SQLite
    or this process hold.

    Raises:
        UnsafePathError: The path is a link, is not a regular file, or belongs to another user.
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | _BINARY, _PRIVATE_FILE))
    _make_private(path, "file")


def _make_private(path: Path, kind: str) -> None:
    found = path.lstat()
    is_kind = stat.S_ISDIR(found.st_mode) if kind == "directory" else stat.S_ISREG(found.st_mode)
    if not is_kind:
        raise UnsafePathError(f"{path} must be a {kind}, not a link or something else")
    if not _HAS_USERS:
        return
    if found.st_uid != os.geteuid():
        raise UnsafePathError(f"{path} belongs to another user: delete it, or use another directory")
    if kind == "file" and found.st_nlink > 1:
        raise UnsafePathError(f"{path} has a second hard link, so others may be able to read it: use another file")
    if found.st_mode & _OTHERS:
        path.chmod(_PRIVATE_FILE if kind == "file" else _PRIVATE_DIRECTORY)


def check_directories(path: Path) -> None:
    """Check that no other user can replace a file or one of its parent directories.

    Raises:
        UnsafePathError: A parent directory belongs to another user, or others can write to it.
    """
    if not _HAS_USERS:
        return
    folder = path.parent.resolve()
    for place in (folder, *folder.parents):
        found = place.stat()
        if found.st_uid not in {0, os.geteuid()}:
            raise UnsafePathError(f"{path} is in {place}, which belongs to another user: use another directory")
        shared = found.st_mode & stat.S_IWOTH or (found.st_mode & stat.S_IWGRP and not _is_own_group(found.st_gid))
        if shared and not found.st_mode & stat.S_ISVTX:
            raise UnsafePathError(
                f"{path} is in {place}, where other users can write: run `chmod go-w` on that directory, or use "
                "another directory"
            )


def _is_own_group(number: int) -> bool:
    """Whether this user is the only member of a group, as in the private groups of many systems."""
    try:
        import grp  # noqa: PLC0415  not on Windows
        import pwd  # noqa: PLC0415

        user, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(number)
    except (ImportError, KeyError):
        return False
    return number == user.pw_gid and group.gr_name in {user.pw_name, "root"} and set(group.gr_mem) <= {user.pw_name}


def write_private(path: Path, content: str | bytes) -> None:
    """Replace a file atomically: after a crash or a power failure it has the old or the new content, never a part.

    A device or a pipe, such as `/dev/null`, is not replaced: the content is written to it.

    Args:
        path: The file. The file and its missing directories are created as private.
        content: The complete content; text is written as UTF-8.

    Raises:
        OSError: The file cannot be written; the old file is unchanged.
    """
    path.parent.mkdir(mode=_PRIVATE_DIRECTORY, parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    if path.exists() and not path.is_file():
        path.write_bytes(data)
        return
    file, name = tempfile.mkstemp(prefix=f".{path.name[:_NAME_PART]}.", dir=path.parent)  # only its owner can read it
    try:
        with os.fdopen(file, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
    sync_directory(path.parent)


def sync_directory(folder: Path) -> None:
    """Flush a rename in a directory to the disk, where the system supports this."""
    with contextlib.suppress(OSError):
        file = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(file)
        finally:
            os.close(file)


# -- locks ----------------------------------------------------------------------------------------------------------


if sys.platform == "win32":
    import msvcrt

    _LOCKED_BYTE: Final = 0x7FFF_FFFE
    """The byte that is locked on Windows.

    It is after the end of every file, because Windows also blocks reads of locked bytes.
    """

    def _lock(file: int) -> None:
        _at_locked_byte(file, msvcrt.LK_NBLCK)

    def _unlock(file: int) -> None:
        _at_locked_byte(file, msvcrt.LK_UNLCK)

    def _at_locked_byte(file: int, mode: int) -> None:
        position = os.lseek(file, 0, os.SEEK_CUR)
        os.lseek(file, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(file, mode, 1)
        finally:
            os.lseek(file, position, os.SEEK_SET)

else:
    import fcntl

    def _lock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)


def lock_file(file: int) -> bool:
    """Lock an open file for this process until it is unlocked or closed. Return whether the lock was free.

    Where files cannot be locked, as on some network file systems, it returns True.
    """
    try:
        _lock(file)
    except (BlockingIOError, PermissionError):  # what flock and Windows raise while another handle has the lock
        return False
    except OSError:
        return True
    return True


def unlock_file(file: int) -> None:
    """End the lock on an open file. Closing the file also ends the lock, on Windows perhaps with a delay."""
    with contextlib.suppress(OSError):
        _unlock(file)


@contextlib.contextmanager
def locked_directory(folder: Path, *, timeout: float = 30.0) -> Iterator[None]:
    """A context manager that only one process at a time can enter for a directory. It blocks the thread.

    After the timeout, in seconds, the block runs without the lock. On Windows the file `.goedgepickt.lock` in the
    directory is locked instead.
    """
    try:
        if sys.platform == "win32":
            file = os.open(folder / f".{APPLICATION}.lock", os.O_RDWR | os.O_CREAT | _BINARY, _PRIVATE_FILE)
        else:
            file = os.open(folder, os.O_RDONLY)
    except OSError:
        yield
        return
    try:
        until = time.monotonic() + timeout
        while not lock_file(file) and time.monotonic() < until:
            time.sleep(_LOCK_PAUSE)
        yield
    finally:
        unlock_file(file)
        os.close(file)


class FileLock:
    """A lock that one process on this host can hold at a time. It ends with the process.

    The file stays empty. It is never removed, because a lock on a removed file has no effect.

    Args:
        path: The file. The first `acquire` creates it as a private file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None

    def take(self) -> bool:
        """Try to take the lock. Return whether this process has it now.

        Raises:
            UnsafePathError: The path is a link or belongs to another user.
            OSError: The file cannot be created.
        """
        self.path.parent.mkdir(mode=_PRIVATE_DIRECTORY, parents=True, exist_ok=True)
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | _NO_LINKS | _BINARY, _PRIVATE_FILE)
        found = os.fstat(file)
        is_safe = stat.S_ISREG(found.st_mode) and (not _HAS_USERS or found.st_uid == os.geteuid())
        if is_safe and lock_file(file):
            self._file = file
            return True
        os.close(file)
        if not is_safe:
            raise UnsafePathError(f"{self.path} must be a file of this user")
        return False

    def release(self) -> None:
        """Release the lock. A second release does nothing."""
        if self._file is not None:
            unlock_file(self._file)
            os.close(self._file)
            self._file = None
