"""The file that the processes of a host share their slots in: whose it must be, and how it is read and written."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import sqlite3
import stat
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from goedgepickt_async.budget.slots import Rules, Slots

__all__ = ["HostFile", "UnusableFileError"]

_log = logging.getLogger("goedgepickt_async.budget")

_VERSION = 1
"""Of what stands in the row. A later one may add keys; one that means something else gets a higher number."""
_PATIENCE = 0.5
"""Seconds to wait for another process that is in the file; it needs less than one of a thousand of it."""
_TRIES, _MOMENT = 20, 0.01
"""How often, and every how many seconds, to try while another process makes the file."""
_OURS_ALONE = 0o077
"""Permissions that nobody but the owner may have."""


class UnusableFileError(Exception):
    """The file cannot be used, for now; the text says why."""


class _BusyError(sqlite3.OperationalError):
    """Another process is making the file."""


class HostFile:
    """One budget's file. Not for several threads at once."""

    def __init__(self, name: str, directory: Path | None) -> None:
        self._name = f"budget-{re.sub('[^A-Za-z0-9.-]', '_', name)}.sqlite3"
        self._directory = directory
        self._connection: sqlite3.Connection | None = None
        self._inode = 0
        self._inherited: list[sqlite3.Connection] = []
        self.path = Path(self._name)

    def begin(self, rules: Rules, clock: Callable[[], int]) -> Slots:
        """The slots in the file, locked for all others until `commit`. The clock is read within the lock.

        Raises:
            UnusableFileError: It cannot be used.
        """
        try:
            row = self._read_locked()
        except sqlite3.OperationalError as error:  # locked, full, read-only: not the file's fault
            self._close()
            raise UnusableFileError(str(error)) from None
        except sqlite3.DatabaseError as error:
            self._start_anew(str(error))
            raise UnusableFileError("it was damaged, and is made anew") from None
        except OSError as error:
            self._close()
            raise UnusableFileError(error.strerror or type(error).__name__) from None
        try:
            return _slots_in(row, rules, clock())
        except BaseException:
            self._close()
            raise

    def _read_locked(self) -> tuple[Any, ...] | None:
        for _ in range(_TRIES):
            with contextlib.suppress(_BusyError):
                return self._try_to_read_locked()
            time.sleep(_MOMENT)  # two processes made the file at once, which SQLite's own patience does not cover
        return self._try_to_read_locked()

    def _try_to_read_locked(self) -> tuple[Any, ...] | None:
        try:
            connection = self._open()
            connection.execute("BEGIN IMMEDIATE")
            row: tuple[Any, ...] | None = connection.execute(
                "SELECT version, boot, at, slots FROM state WHERE id = 1"
            ).fetchone()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_BUSY and self._connection is None:
                raise _BusyError(str(error)) from None
            raise
        return row

    def commit(self, slots: Slots, now: int) -> None:
        """Write the slots back and let the others in.

        Raises:
            UnusableFileError: They could not be written.
        """
        assert self._connection is not None
        try:
            self._connection.execute(
                "INSERT INTO state (id, version, boot, at, slots) VALUES (1, ?, ?, ?, ?)"
                " ON CONFLICT (id) DO UPDATE SET version = excluded.version, boot = excluded.boot,"
                " at = excluded.at, slots = excluded.slots",
                (_VERSION, _boot(), now, json.dumps(slots.dump())),
            )
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._close()
            raise UnusableFileError(str(error)) from None

    def __del__(self) -> None:
        self._close()  # in a child there is none: see `after_fork`

    def after_fork(self) -> None:
        """A connection must not be used, nor closed, in a child."""
        if self._connection is not None:
            self._inherited.append(self._connection)
            self._connection = None

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None:
            if _inode_of(self.path) == self._inode:
                return self._connection
            self._close()  # somebody removed or replaced it
        self.path = (self._directory or _runtime_directory()) / self._name
        _make_ours(self.path)
        connection = sqlite3.connect(self.path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = OFF")  # what a power cut takes, the reboot makes up for
            connection.execute(
                "CREATE TABLE IF NOT EXISTS state"
                " (id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER, boot TEXT, at INTEGER, slots TEXT)"
            )
        except BaseException:
            connection.close()
            raise
        self._connection, self._inode = connection, _inode_of(self.path)
        return connection

    def _close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()  # rolls back
            self._connection = None

    def _start_anew(self, why: str) -> None:
        self._close()
        _log.warning("the budget's file %s is damaged (%s): it is made anew", self.path, why)
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(OSError):
                Path(f"{self.path}{suffix}").unlink()


def _slots_in(row: tuple[Any, ...] | None, rules: Rules, now: int) -> Slots:
    slots = Slots(rules)
    if row is None:
        return slots
    version, boot, at, text = row
    if version != _VERSION:
        raise UnusableFileError("another version of goedgepickt-async keeps it in its own way")
    if boot != _boot() or not isinstance(at, int) or at > now:
        return slots  # from before a reboot: one request alone finds out how things stand
    try:
        slots.load(json.loads(text))
    except (LookupError, TypeError, ValueError) as error:
        _log.warning("what stands in the budget's file makes no sense (%s): starting afresh", type(error).__name__)
        return Slots(rules)
    return slots


def _boot() -> str:
    """What tells this run of the system from others; empty where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _runtime_directory() -> Path:
    """A directory of the user's own that a reboot empties, or else one in the directory for temporary files."""
    given = os.environ.get("XDG_RUNTIME_DIR") or os.environ.get("LOCALAPPDATA")
    if given and Path(given).is_dir():
        directory = Path(given) / "goedgepickt-async"
    else:
        user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
        directory = Path(tempfile.gettempdir()) / f"goedgepickt-async-{user}"
    directory.mkdir(mode=0o700, exist_ok=True)
    _refuse_unless_ours(directory, stat.S_ISDIR)
    return directory


def _make_ours(path: Path) -> None:
    """The file, made if it is not there, and nobody's but ours."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    # By its status, not by opening it: closing it again would drop SQLite's locks on it.
    _refuse_unless_ours(path, stat.S_ISREG)


def _refuse_unless_ours(path: Path, is_kind: Any) -> None:
    status = path.lstat()
    if not is_kind(status.st_mode):
        raise UnusableFileError(f"{path} is a link or something else unexpected")
    if hasattr(os, "getuid") and (status.st_uid != os.getuid() or status.st_mode & _OURS_ALONE):
        raise UnusableFileError(f"{path} is not this user's alone")


def _inode_of(path: Path) -> int:
    try:
        return path.lstat().st_ino
    except OSError:
        return 0
