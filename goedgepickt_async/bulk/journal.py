"""The journal of a plan that is applied: what was begun and what was done, durable before the next step."""

from __future__ import annotations

import contextlib
import enum
import json
import os
import sqlite3
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any, Final, Self

import attrs

from goedgepickt_async.bulk.values import PlannedWrite, PlanScope
from goedgepickt_async.errors import JournalBusyError, JournalError
from goedgepickt_async.settings import Settings

__all__ = ["Entry", "Journal", "State", "in_memory", "open_file", "translated"]

_APPLICATION: Final = 0x67674A31
"""SQLite's `application_id` of our journals."""
_VERSION: Final = 2
_SCHEMA: Final = (
    "CREATE TABLE scope (json TEXT NOT NULL)",
    "CREATE TABLE plans (id INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL UNIQUE)",
    (
        "CREATE TABLE writes (plan INTEGER NOT NULL REFERENCES plans, kind TEXT NOT NULL, key TEXT NOT NULL,"
        " action TEXT NOT NULL, state TEXT NOT NULL, at REAL NOT NULL, seen TEXT NOT NULL, uuid TEXT, error TEXT,"
        " PRIMARY KEY (plan, key)) WITHOUT ROWID"
    ),
    "CREATE INDEX writes_by_key ON writes (kind, key)",
    f"PRAGMA application_id = {_APPLICATION}",
    f"PRAGMA user_version = {_VERSION}",
)


def open_file(path: str | PathLike[str], settings: Settings, webshop: str | None) -> sqlite3.Connection:
    """The file, made if it is not there, and locked until it is closed or its process dies.

    Raises:
        JournalBusyError: Another process has it.
        JournalMismatchError: It is of another account.
        JournalError: It is no journal, of another version, damaged, or cannot be opened.
    """
    place = Path(path)
    try:
        _make(place)
        # By path, never through a descriptor of our own: closing that would drop SQLite's lock on the file.
        connection = sqlite3.connect(place, timeout=0, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as error:
        raise JournalError(f"the journal {place} cannot be opened: {_why(error)}") from None
    try:
        with translated(place):
            _lock(connection)
            if _is_new(connection):
                _make_schema(connection, PlanScope.of(settings, webshop))
            else:
                _scope_in(connection, place).check(settings, webshop, f"the journal {place}")
            connection.execute("COMMIT")
            place.chmod(0o600)
    except BaseException:
        connection.close()
        raise
    return connection


def in_memory(settings: Settings, webshop: str | None) -> sqlite3.Connection:
    """A journal that ends with the job."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    _make_schema(connection, PlanScope.of(settings, webshop))
    return connection


@contextmanager
def translated(path: object) -> Iterator[None]:
    """What SQLite and the system raise, as errors of ours.

    Raises:
        JournalError: In their place.
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            raise JournalBusyError(f"the journal {path} is in use by another process or plan") from None
        raise JournalError(f"the journal {path} cannot be written: {_why(error)}") from None
    except (OSError, sqlite3.Error, ValueError, LookupError, TypeError) as error:
        raise JournalError(f"the journal {path} is damaged or cannot be used: {_why(error)}") from None


def _make(path: Path) -> None:
    """The file, made if it is not there; nothing but a regular file."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    if not stat.S_ISREG(path.lstat().st_mode):
        raise OSError("it is no regular file")


def _lock(connection: sqlite3.Connection) -> None:
    """One transaction, and from now on nobody else can open it: the lock lives as long as the connection."""
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("PRAGMA journal_mode = DELETE")  # nothing beside the file once it is closed
    connection.execute("PRAGMA synchronous = FULL")  # what is said to be written survives a power cut
    connection.execute("BEGIN EXCLUSIVE")


def _is_new(connection: sqlite3.Connection) -> bool:
    return not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]


def _scope_in(connection: sqlite3.Connection, path: Path) -> PlanScope:
    """Whose journal it is, if it is one that can be used.

    Raises:
        JournalError: It is not.
    """
    if _pragma(connection, "application_id") != _APPLICATION:
        raise JournalError(f"{path} is a database of something else, not a journal")
    if (version := _pragma(connection, "user_version")) != _VERSION:
        raise JournalError(f"the journal {path} is of version {version}, and this is a program for version {_VERSION}")
    if _pragma(connection, "quick_check") != "ok":
        raise JournalError(f"the journal {path} is damaged")
    (text,) = connection.execute("SELECT json FROM scope").fetchone()
    return PlanScope(**json.loads(text))


def _pragma(connection: sqlite3.Connection, name: str) -> object:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


def _make_schema(connection: sqlite3.Connection, scope: PlanScope) -> None:
    for statement in _SCHEMA:
        connection.execute(statement)
    connection.execute("INSERT INTO scope VALUES (?)", (json.dumps(attrs.asdict(scope)),))


def _why(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


_COLUMNS: Final = "action, state, at, seen, uuid"


class State(enum.StrEnum):
    """How far a write is."""

    INTENT = "intent"
    """It was about to leave; nobody has written down what became of it."""
    DONE = "done"
    """It was carried out."""
    FAILED = "failed"
    """It was not carried out, for certain."""


@attrs.frozen(kw_only=True)
class Entry:
    """What is written down of one write.

    Attributes:
        action: What it does.
        state: How far it is.
        at: When that was written down, in Unix seconds.
        seen: The evidence that was there before it was sent.
        uuid: Of what was made or changed.
    """

    action: str
    state: State
    at: float
    seen: Mapping[str, Any]
    uuid: str | None


class Journal:
    """The journal of one plan that is being applied; its file may hold those of others.

    Each method is one transaction, on the disk when it returns.

    Raises:
        JournalError: (all methods) It could not be written or read.
    """

    def __init__(self, connection: sqlite3.Connection, path: object) -> None:
        self._connection = connection
        self._path = path
        self._plan = 0
        self._kind = ""

    @classmethod
    def open(cls, path: str | PathLike[str] | None, settings: Settings, webshop: str | None) -> Self:
        """Open or make it; without a path, one that ends with the job.

        Raises:
            JournalBusyError: Another process has it.
            JournalMismatchError: It is of another account.
            JournalError: It is no journal, of another version, damaged, or cannot be opened.
        """
        if path is None:
            return cls(in_memory(settings, webshop), "in memory")
        return cls(open_file(path, settings, webshop), path)

    def begin(self, fingerprint: str, kind: str) -> None:
        """Say which plan is being applied, and of which kind; one that was begun before is gone on with."""
        with translated(self._path):
            self._connection.execute(
                "INSERT INTO plans (fingerprint) VALUES (?) ON CONFLICT DO NOTHING", (fingerprint,)
            )
            (self._plan,) = self._connection.execute(
                "SELECT id FROM plans WHERE fingerprint = ?", (fingerprint,)
            ).fetchone()
        self._kind = kind

    def entry(self, key: str) -> Entry | None:
        """What is written down of this plan's write for a key."""
        return self._read(f"SELECT {_COLUMNS} FROM writes WHERE plan = ? AND key = ?", self._plan, key)  # noqa: S608

    def entry_of_others(self, key: str) -> Entry | None:
        """The latest that is written down of other plans' writes for a key, but for those that did nothing."""
        return self._read(
            f"SELECT {_COLUMNS} FROM writes WHERE kind = ? AND key = ? AND plan <> ?"  # noqa: S608
            " AND state <> 'failed' ORDER BY at DESC LIMIT 1",
            self._kind,
            key,
            self._plan,
        )

    def intend(self, write: PlannedWrite, at: float) -> None:
        """The write is about to leave."""
        self._write(write, State.INTENT, at, None, None)

    def done(self, write: PlannedWrite, uuid: str | None, at: float) -> None:
        """It was carried out."""
        self._write(write, State.DONE, at, uuid, None)

    def failed(self, write: PlannedWrite, error: str, at: float) -> None:
        """It was not carried out, for certain."""
        self._write(write, State.FAILED, at, None, error)

    def close(self) -> None:
        """Let others have it."""
        self._connection.close()

    def _read(self, query: str, *values: object) -> Entry | None:
        with translated(self._path):
            row = self._connection.execute(query, values).fetchone()
            if row is None:
                return None
            action, state, at, seen, uuid = row
            return Entry(action=str(action), state=State(state), at=float(at), seen=json.loads(seen), uuid=uuid)

    def _write(self, write: PlannedWrite, state: State, at: float, uuid: str | None, error: str | None) -> None:
        with translated(self._path):
            self._connection.execute(
                "INSERT OR REPLACE INTO writes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    self._plan,
                    self._kind,
                    write.key,
                    write.action.value,
                    state.value,
                    at,
                    json.dumps(dict(write.seen)),
                    uuid,
                    error,
                ),
            )
