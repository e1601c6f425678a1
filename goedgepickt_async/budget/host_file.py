"""The file that the processes of a host share their slots in: whose it must be, and how it is read and written."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import random
import re
import sqlite3
import stat
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from goedgepickt_async.budget.slots import LimiterConfig, Slots
from goedgepickt_async.logs import log_event

__all__ = ["HostFile", "UnusableFileError"]

T = TypeVar("T")

_VERSION = 1
"""Of what stands in the row. A later one may add keys; one that means something else gets a higher number."""
_PATIENCE = 1.0
"""Seconds to wait for another process that is in the file: a thousand times what it needs, should it be given time."""
_MOMENT = 0.001
"""Seconds between two tries, at most."""
_OURS_ALONE = 0o077
"""Permissions that nobody but the owner may have."""


class UnusableFileError(Exception):
    """The file cannot be used, for now; the text says why."""


class HostFile:
    """One budget's file. Not for several threads at once."""

    def __init__(self, name: str, directory: Path | None) -> None:
        self._connection: sqlite3.Connection | None = None
        self._name = f"budget-{re.sub('[^A-Za-z0-9.-]', '_', name)}.sqlite3"
        self._directory = directory
        self._inode = 0
        self._path: Path | None = None
        self._inherited: list[sqlite3.Connection] = []

    @property
    def path(self) -> Path:
        """Where it is, or will be: until it is used its user may change, as that of a server's workers does."""
        return self._path or (self._directory or _place_of_the_user()) / self._name

    def begin(self, config: LimiterConfig, clock: Callable[[], int], *, patient: bool) -> Slots:
        """The slots in the file, locked for all others until `commit`. The clock is read within the lock.

        Args:
            config: The numbers to read them by.
            clock: The time.
            patient: Wait for another process that is in the file, for a while.

        Raises:
            UnusableFileError: It cannot be used.
        """
        try:
            row = _persistently(self._read_locked, _PATIENCE if patient else 0.0)
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
            return _slots_in(row, config, clock())
        except BaseException:
            self._close()
            raise

    def _read_locked(self) -> tuple[Any, ...] | None:
        """The row, in a transaction that keeps all others out; they are out of it again within a millisecond."""
        connection = self._open()
        connection.execute("BEGIN IMMEDIATE")
        row: tuple[Any, ...] | None = connection.execute(
            "SELECT version, boot, at, slots FROM state WHERE id = 1"
        ).fetchone()
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
            _persistently(partial(self._connection.execute, "COMMIT"), _PATIENCE)  # others may be reading the schema
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
        self._path = None
        self._path = self.path
        if self._directory is None:
            _make_directory_ours(self.path.parent)
        _make_ours(self.path)
        connection = sqlite3.connect(self.path, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = TRUNCATE")  # no second file that could be lost by itself
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
        log_event("budget.reset", why=f"the budget's file {self.path} is damaged ({why}): it is made anew")
        for suffix in ("", "-journal"):
            with contextlib.suppress(OSError):
                Path(f"{self.path}{suffix}").unlink()


def _persistently(act: Callable[[], T], patience: float) -> T:
    """Do it, again and again while another process is in the file.

    SQLite's own patience sleeps longer than a transaction takes, and the event loop with it.
    """
    until = time.monotonic() + patience
    while True:
        try:
            return act()
        except sqlite3.OperationalError as error:
            is_busy = error.sqlite_errorcode in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
            if not is_busy or time.monotonic() >= until:
                raise
        time.sleep(random.uniform(0.2, 1.0) * _MOMENT)  # noqa: S311  no secret


def _slots_in(row: tuple[Any, ...] | None, config: LimiterConfig, now: int) -> Slots:
    slots = Slots(config)
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
        name = type(error).__name__
        log_event("budget.reset", why=f"what stands in the budget's file makes no sense ({name}): starting afresh")
        return Slots(config)
    return slots


@functools.cache
def _boot() -> str:
    """What tells this run of the system from others; empty where the system does not say. No process outlives it."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _place_of_the_user() -> Path:
    """A directory of the user's own, and the same whoever starts the process; made when it is first needed.

    A cron job has no XDG_RUNTIME_DIR, a shell its TMPDIR. It need not be emptied by a reboot: the file knows which run
    of the system it speaks of.
    """
    if not hasattr(os, "getuid"):
        return Path(os.environ.get("LOCALAPPDATA") or tempfile.gettempdir()) / "goedgepickt-async"
    below = Path("/tmp")  # noqa: S108  checked to be ours alone, and no link
    return (below if below.is_dir() else Path(tempfile.gettempdir())) / f"goedgepickt-async-{os.getuid()}"


def _make_directory_ours(directory: Path) -> None:
    """The directory, made if it is not there, and nobody's but ours."""
    directory.mkdir(mode=0o700, exist_ok=True)
    _refuse_unless_ours(directory, stat.S_ISDIR)


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
