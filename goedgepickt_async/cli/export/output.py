"""Where an export is written: a growing file, a file that appears whole, or a stream."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from pathlib import Path

from goedgepickt_async.cli.errors import CommandError, UsageError
from goedgepickt_async.paths import lock_file, sync_directory
from goedgepickt_async.text import for_terminal

__all__ = ["AtomicFile", "FileOutput", "StreamOutput", "open_output"]

_TAIL = 1024
_BINARY = getattr(os, "O_BINARY", 0)
_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)
_ANYBODY = 0o666
"""The user's umask takes from it."""
_OWNER_ONLY = 0o600


class FileOutput:
    """A regular file. It is not touched before the first page is there: a failed start leaves an old file alone.

    Args:
        path: Absolute.
        is_personal: Whether a new file is for its owner alone. An old one keeps its mode.

    Attributes:
        offset: Bytes of whole pages so far.
        replaced: Whether it has taken the place of an older file's content.
    """

    is_terminal = False
    grows = True

    def __init__(self, path: Path, *, is_personal: bool = False) -> None:
        self.path = path
        self.is_personal = is_personal
        self.offset: int = 0
        self.replaced: bool = False
        self._file: int | None = None

    def check(self) -> None:
        """See early whether it can be written.

        Raises:
            CommandError: It cannot.
        """
        if self.path.is_dir():
            raise CommandError(f"{self.path} is a directory; --output wants a file")
        folder = self.path.parent
        if not folder.is_dir():
            raise CommandError(f"there is no directory {folder} to write {self.path.name} into")
        if not os.access(self.path if self.path.exists() else folder, os.W_OK):
            raise CommandError(f"{self.path} cannot be written: permission denied")

    def begin(self, offset: int | None, tail: str | None) -> None:
        """Open it for this export alone; what stands behind the offset is cut off.

        Raises:
            UsageError: Another export is writing to it, or it is not the file that was written so far.
        """
        create = os.O_CREAT if offset is None else 0
        mode = _OWNER_ONLY if self.is_personal else _ANYBODY
        try:
            self._file = os.open(self.path, os.O_RDWR | create | _BINARY, mode)
        except FileNotFoundError:
            if create:
                raise
            raise UsageError(f"{self.path} is gone, so the export cannot go on; start it afresh") from None
        if not lock_file(self._file):
            raise UsageError(f"another export is writing to {self.path}; wait for its end, or choose another --output")
        if offset is None:
            self.replaced = os.fstat(self._file).st_size > 0
            os.ftruncate(self._file, 0)
            return
        self.offset = offset
        if os.fstat(self._file).st_size < offset or self.tail() != tail:
            raise UsageError(f"{self.path} was changed since the export stopped; start it afresh")
        os.ftruncate(self._file, offset)
        os.lseek(self._file, offset, os.SEEK_SET)

    def append(self, data: bytes) -> None:
        """Write a page whole or not at all."""
        assert self._file is not None
        try:
            _write_all(self._file, data)
        except BaseException:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self.offset)
            raise
        self.offset += len(data)

    def tail(self) -> str | None:
        """A digest of the last bytes before the offset."""
        assert self._file is not None
        start = max(0, self.offset - _TAIL)
        os.lseek(self._file, start, os.SEEK_SET)
        data = os.read(self._file, self.offset - start)
        os.lseek(self._file, self.offset, os.SEEK_SET)
        return hashlib.sha256(data).hexdigest()[:16]

    def fsync(self) -> None:
        """See that what was written is on the disk, whatever happens to this machine next."""
        assert self._file is not None
        os.fsync(self._file)

    def finish(self) -> None:
        """It is complete; there is nothing to do, since it was whole all the time."""

    def close(self) -> None:
        """Close it, if it is open."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


class AtomicFile(FileOutput):
    """A regular file for formats that end in an index, such as Parquet: half of one is nothing.

    It is written as `NAME.part` and renamed at the end; a link is followed to the file that it names, and what has the
    temporary name is written over only if it is a file of this user.

    Attributes:
        temp_path: What it is called until it is whole.
    """

    grows = False

    def __init__(self, path: Path, *, is_personal: bool = False) -> None:
        super().__init__(path.resolve(), is_personal=is_personal)
        self.temp_path: Path = self.path.with_name(self.path.name + ".part")

    def begin(self, offset: int | None, tail: str | None) -> None:  # noqa: ARG002  it cannot be gone on with
        """Begin it; what a killed export left under the temporary name is written over.

        Raises:
            UsageError: Another export is writing to it, or it is a link or somebody else's.
        """
        mode = _OWNER_ONLY if self.is_personal else _ANYBODY
        old = stat.S_IMODE(self.path.stat().st_mode) if self.path.exists() else None
        flags = os.O_RDWR | os.O_CREAT | _NO_LINKS | _BINARY
        try:
            file = os.open(self.temp_path, flags, mode)
        except OSError:
            if self.temp_path.is_symlink():
                raise self._not_ours() from None
            raise
        found = os.fstat(file)
        is_ours = not hasattr(os, "geteuid") or found.st_uid == os.geteuid()
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1 or not is_ours:
            os.close(file)
            raise self._not_ours()
        if not lock_file(file):
            os.close(file)
            raise UsageError(f"another export is writing to {self.path}; wait for its end, or choose another --output")
        self._file = file
        os.ftruncate(file, 0)
        if old is not None:
            with contextlib.suppress(OSError):
                os.chmod(self.temp_path, old)  # noqa: PTH101  as the file that it replaces
        elif self.is_personal:
            os.chmod(self.temp_path, mode)  # noqa: PTH101  a killed export's may be of another mode

    def tail(self) -> str | None:
        """Nothing: it cannot be gone on with."""
        return None

    def finish(self) -> None:
        """Give it its name, in the place of the file before."""
        self.fsync()
        self.temp_path.replace(self.path)
        sync_directory(self.path.parent)
        super().close()

    def close(self) -> None:
        """Close it; what is not whole goes away."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                os.unlink(self.temp_path)  # noqa: PTH108  while it is locked
        super().close()

    def _not_ours(self) -> UsageError:
        return UsageError(f"{self.temp_path} is a link or somebody else's file; remove it, or choose another --output")


class StreamOutput:
    """Stdout, a pipe or a device: written as it comes, never taken back.

    Args:
        path: Absolute; None is stdout.

    Attributes:
        offset: Bytes of whole pages so far.
    """

    grows = True

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.offset: int = 0
        self._file = 1

    @property
    def is_terminal(self) -> bool:
        """Whether people see the rows as they come."""
        return self.path is None and os.isatty(1)

    def begin(self, offset: int | None, tail: str | None) -> None:  # noqa: ARG002  nothing to compare with
        """Open it; going on means that the rows from there on follow."""
        self.offset = offset or 0
        if self.path is not None:
            self._file = os.open(self.path, os.O_WRONLY)

    def append(self, data: bytes) -> None:
        """Write a page."""
        shown = data if not self.is_terminal else for_terminal(data.decode(errors="replace")).encode(errors="replace")
        _write_all(self._file, shown)
        self.offset += len(data)

    def tail(self) -> str | None:
        """Nothing: what was written cannot be read again."""
        return None

    def fsync(self) -> None:
        """Nothing: whether it is kept is up to the reader."""

    def finish(self) -> None:
        """It is complete."""

    def close(self) -> None:
        """Close what was opened."""
        if self.path is not None and self._file != 1:
            os.close(self._file)
            self._file = 1


def open_output(name: str, *, whole: bool = False, is_personal: bool = False) -> FileOutput | StreamOutput:
    """What `--output` names; nothing is opened yet.

    Args:
        name: A path, or `-` for stdout.
        whole: Whether half of it is nothing.
        is_personal: Whether a new file is for its owner alone.

    Raises:
        CommandError: It cannot be written.
    """
    if name == "-":
        return StreamOutput()
    path = Path(name).absolute()
    if path.exists() and not path.is_dir() and not stat.S_ISREG(path.stat().st_mode):
        return StreamOutput(path)
    output = (AtomicFile if whole else FileOutput)(path, is_personal=is_personal)
    output.check()
    return output


def _write_all(file: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]
