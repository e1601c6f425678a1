"""Where an export is written: a file that appears whole, a growing file, or stdout."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from pathlib import Path

from goedgepickt_async.cli.errors import CommandError, UsageError
from goedgepickt_async.cli.private_files import lock_file, sync_directory

__all__ = ["FileOutput", "StreamOutput", "WholeFileOutput", "open_output"]

_TAIL = 1024


class FileOutput:
    """A regular file. It is not touched before the first page is there: a failed start leaves an old file alone.

    Attributes:
        path: Absolute.
        offset: Bytes of whole pages so far.
    """

    is_terminal = False
    grows = True

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offset: int = 0
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
        try:
            self._file = os.open(self.path, os.O_RDWR | create | _BINARY, 0o666)
        except FileNotFoundError:
            if create:
                raise
            raise UsageError(f"{self.path} is gone, so the export cannot go on; start it afresh") from None
        if not lock_file(self._file):
            raise UsageError(f"another export is writing to {self.path}; wait for its end, or choose another --output")
        if offset is None:
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

    def seal(self) -> None:
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
        _write_all(self._file, data)
        self.offset += len(data)

    def tail(self) -> str | None:
        """Nothing: what was written cannot be read again."""
        return None

    def seal(self) -> None:
        """Nothing: whether it is kept is up to the reader."""

    def finish(self) -> None:
        """It is complete."""

    def close(self) -> None:
        """Close what was opened."""
        if self.path is not None and self._file != 1:
            os.close(self._file)
            self._file = 1


_BINARY = getattr(os, "O_BINARY", 0)


def open_output(name: str) -> FileOutput | StreamOutput:
    """What `--output` names; nothing is opened yet.

    Raises:
        CommandError: It cannot be written.
    """
    if name == "-":
        return StreamOutput()
    path = Path(name).absolute()
    if path.exists() and not path.is_dir() and not stat.S_ISREG(path.stat().st_mode):
        return StreamOutput(path)
    output = FileOutput(path)
    output.check()
    return output


def _write_all(file: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]


class WholeFileOutput:
    """A regular file for formats that end in an index, such as Parquet: half of one is nothing.

    Args:
        path: Absolute, checked.

    Attributes:
        offset: Bytes so far.
        unnamed: What it is called until it is whole.
    """

    is_terminal = False
    grows = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self.unnamed: Path = path.with_name(path.name + ".part")
        self._file = FileOutput(self.unnamed)
        self._has_begun = False

    @property
    def offset(self) -> int:
        """Bytes so far."""
        return self._file.offset

    def begin(self, offset: int | None, tail: str | None) -> None:  # noqa: ARG002  it cannot be gone on with
        """Begin it; what a killed export left under the other name is written over.

        Raises:
            UsageError: Another export is writing to it.
        """
        self._file.begin(None, None)
        self._has_begun = True

    def append(self, data: bytes) -> None:
        """Write more."""
        self._file.append(data)

    def tail(self) -> str | None:
        """Nothing: it cannot be gone on with."""
        return None

    def seal(self) -> None:
        """See that all of it is on the disk."""
        self._file.seal()

    def finish(self) -> None:
        """Give it its name, in the place of the file before."""
        self.seal()
        self.unnamed.replace(self.path)
        self._has_begun = False
        sync_directory(self.path.parent)

    def close(self) -> None:
        """Close it; what is not whole goes away."""
        if self._has_begun:
            self._has_begun = False
            with contextlib.suppress(OSError):
                os.unlink(self.unnamed)  # noqa: PTH108  while it is locked
        self._file.close()
