"""The outputs of an export: a growing file, a file that appears when it is complete, or a stream."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import sys
from pathlib import Path

from goedgepickt_async.cli.common import UsageError, check_writable, write_all
from goedgepickt_async.paths import lock_file, sync_directory
from goedgepickt_async.text import for_terminal

__all__ = ["AtomicFile", "FileOutput", "Output", "open_output", "temporary"]

_TAIL = 1024
_BINARY = getattr(os, "O_BINARY", 0)
_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)
_ANYBODY = 0o666
"""The mode of new files before the umask."""
_OWNER_ONLY = 0o600


class Output:
    """stdout, a pipe or a device, which is written immediately; and what all outputs have.

    Attributes:
        path: The absolute path; None for stdout.
        grows: Whether it has complete rows at any time.
        offset: The size of the complete pages so far, in bytes.
    """

    grows: bool = True

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.offset: int = 0
        self._file: int | None = 1 if path is None else None

    @property
    def is_terminal(self) -> bool:
        """Whether the rows appear on a terminal."""
        return self.path is None and os.isatty(1)

    def begin(self, offset: int | None, tail: str | None) -> None:  # noqa: ARG002  a stream cannot be read again
        """Open the output. With an offset the export continues there, if the bytes before it have this `tail`."""
        self.offset = offset or 0
        if self.path is not None:
            self._file = os.open(self.path, os.O_WRONLY)

    def append(self, data: bytes) -> None:
        """Write a page."""
        assert self._file is not None
        shown = for_terminal(data.decode(errors="replace")).encode(errors="replace") if self.is_terminal else data
        write_all(self._file, shown)
        self.offset += len(data)

    def tail(self) -> str | None:
        """Return a digest of the last bytes before the offset; None if they cannot be read."""
        return None

    def fsync(self) -> None:
        """Flush a file to the disk."""

    def finish(self) -> None:
        """Make the complete file appear."""

    def close(self) -> None:
        """Close the file, if one was opened."""
        if self.path is not None and self._file is not None:
            os.close(self._file)
            self._file = None


class FileOutput(Output):
    """A regular file. It is not changed before the first page arrives, so a failed start keeps an old file.

    Args:
        path: The absolute path.
        is_personal: Whether a new file is private. An existing file keeps its mode.

    Attributes:
        replaced: Whether it has overwritten an older file.
    """

    def __init__(self, path: Path, *, is_personal: bool = False) -> None:
        super().__init__(path)
        self.path: Path = path
        self.offset: int = 0
        self.is_personal: bool = is_personal
        self.replaced: bool = False

    def begin(self, offset: int | None, tail: str | None) -> None:
        """Open and lock the file, and cut off bytes after the offset."""
        create = os.O_CREAT if offset is None else 0
        mode = _OWNER_ONLY if self.is_personal else _ANYBODY
        try:
            self._file = os.open(self.path, os.O_RDWR | create | _BINARY, mode)
        except FileNotFoundError:
            if create:
                raise
            raise UsageError(
                f"{self.path} does not exist any more, so the export cannot continue; start it again"
            ) from None
        self._lock(self._file)
        if offset is None:
            self.replaced = os.fstat(self._file).st_size > 0
            os.ftruncate(self._file, 0)
            return
        self.offset = offset
        if os.fstat(self._file).st_size < offset or self.tail() != tail:
            raise UsageError(f"{self.path} was changed after the export stopped; start it again")
        os.ftruncate(self._file, offset)
        os.lseek(self._file, offset, os.SEEK_SET)

    def append(self, data: bytes) -> None:
        """Write a complete page or nothing."""
        assert self._file is not None
        try:
            write_all(self._file, data)
        except BaseException:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self.offset)
            raise
        self.offset += len(data)

    def tail(self) -> str | None:
        """Return a digest of the last bytes before the offset."""
        assert self._file is not None
        start = max(0, self.offset - _TAIL)
        os.lseek(self._file, start, os.SEEK_SET)
        data = os.read(self._file, self.offset - start)
        os.lseek(self._file, self.offset, os.SEEK_SET)
        return hashlib.sha256(data).hexdigest()[:16]

    def fsync(self) -> None:
        """Flush the file to the disk."""
        assert self._file is not None
        os.fsync(self._file)

    def _lock(self, file: int) -> None:
        if not lock_file(file):
            raise UsageError(f"another export is writing to {self.path}; wait for its end, or pass another --output")


def temporary(path: Path) -> Path:
    """Return the name of a file until it is complete."""
    return path.with_name(path.name + ".part")


class AtomicFile(FileOutput):
    """A regular file for formats with an index at the end, such as Parquet, which appears when it is complete.

    It is written as `NAME.part` and renamed at the end. A link is followed to its target. An existing `NAME.part` is
    overwritten only if it is a regular file of this user.
    """

    grows: bool = False

    def __init__(self, path: Path, *, is_personal: bool = False) -> None:
        super().__init__(path.resolve(), is_personal=is_personal)
        self.temp_path: Path = temporary(self.path)

    def begin(self, offset: int | None, tail: str | None) -> None:  # noqa: ARG002  it cannot be continued
        """Open the temporary file, and overwrite one from a killed export."""
        mode = _OWNER_ONLY if self.is_personal else _ANYBODY
        old = stat.S_IMODE(self.path.stat().st_mode) if self.path.exists() else None
        try:
            file = os.open(self.temp_path, os.O_RDWR | os.O_CREAT | _NO_LINKS | _BINARY, mode)
        except OSError:
            if self.temp_path.is_symlink():
                raise self._not_ours() from None
            raise
        try:
            found = os.fstat(file)
            is_ours = not hasattr(os, "geteuid") or found.st_uid == os.geteuid()
            if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1 or not is_ours:
                raise self._not_ours()
            self._lock(file)
        except UsageError:
            os.close(file)
            raise
        self._file = file
        os.ftruncate(file, 0)
        if old is not None:
            with contextlib.suppress(OSError):
                os.chmod(self.temp_path, old)  # noqa: PTH101  as the file that it replaces
        elif self.is_personal:
            os.chmod(self.temp_path, mode)  # noqa: PTH101  a killed export's may be of another mode

    def tail(self) -> str | None:
        """Return nothing: the file cannot be continued."""
        return None

    def finish(self) -> None:
        """Rename the file, which replaces an older file."""
        self.fsync()
        self._close_on_windows()
        self.temp_path.replace(self.path)
        sync_directory(self.path.parent)
        super().close()

    def close(self) -> None:
        """Close the file, and delete it if it is incomplete."""
        if self._file is not None:
            self._close_on_windows()
            with contextlib.suppress(OSError):
                self.temp_path.unlink()  # while it is locked
        super().close()

    def _close_on_windows(self) -> None:
        """Close the file before it is renamed or deleted: Windows does neither with an open file."""
        if sys.platform == "win32":
            super().close()

    def _not_ours(self) -> UsageError:
        return UsageError(f"{self.temp_path} is a link or belongs to another user; delete it, or pass another --output")


def open_output(name: str, *, whole: bool = False, is_personal: bool = False) -> Output:
    """Return the output for `--output`, which is not open yet.

    Args:
        name: A path, or `-` for stdout.
        whole: Whether the format has an index at the end.
        is_personal: Whether a new file is private.
    """
    if name == "-":
        return Output()
    path = Path(name).absolute()
    if path.exists() and not path.is_dir() and not stat.S_ISREG(path.stat().st_mode):
        return Output(path)
    check_writable(path)
    return (AtomicFile if whole else FileOutput)(path, is_personal=is_personal)
