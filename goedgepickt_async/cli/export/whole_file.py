"""An output that is there as a whole or not at all: made beside its place, and given its name at the end."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from goedgepickt_async.cli.export.output import FileOutput
from goedgepickt_async.cli.private_files import sync_directory

__all__ = ["WholeFileOutput"]


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
