"""The journal of a plan: it records each write on disk before and after it is sent."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, Final, Self

import attrs

from goedgepickt_async._sqlite import sqlite3
from goedgepickt_async.bulk.map import in_thread, wait_for_end
from goedgepickt_async.bulk.values import CONVERTER, UNREADABLE, PlannedWrite, PlanScope
from goedgepickt_async.errors import JournalBusyError, JournalError
from goedgepickt_async.paths import make_private_file
from goedgepickt_async.settings import Settings
from goedgepickt_async.text import printable

__all__ = ["Entry", "Journal", "State", "states_of_run"]

_APPLICATION: Final = 0x67674A31
"""The SQLite `application_id` of journals."""
_VERSION: Final = 2
_SCHEMA: Final = (
    "CREATE TABLE scope (json TEXT NOT NULL)",
    "CREATE TABLE plans (id INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL UNIQUE, run TEXT NOT NULL)",
    (
        "CREATE TABLE writes (plan INTEGER NOT NULL REFERENCES plans, kind TEXT NOT NULL, key TEXT NOT NULL,"
        " action TEXT NOT NULL, state TEXT NOT NULL, at REAL NOT NULL, seen TEXT NOT NULL, uuid TEXT, error TEXT,"
        " PRIMARY KEY (plan, key)) WITHOUT ROWID"
    ),
    "CREATE INDEX writes_by_key ON writes (kind, key)",
    f"PRAGMA application_id = {_APPLICATION}",
    f"PRAGMA user_version = {_VERSION}",
)
_OWN: Final = "SELECT key, action, state, at, seen, uuid FROM writes WHERE plan = ?"
_OTHERS: Final = (
    "SELECT key, action, state, at, seen, uuid FROM writes WHERE kind = ? AND plan <> ?"
    " AND (state = 'intent' OR (state = 'done' AND at >= ?)) ORDER BY at"
)


class State(enum.StrEnum):
    """The state of a write."""

    INTENT = "intent"
    """The write was about to be sent, and its result is not recorded."""
    DONE = "done"
    """The write was carried out."""
    FAILED = "failed"
    """The write was certainly not carried out."""


@attrs.frozen(repr=False)
class Entry:
    """The record of one write.

    Attributes:
        action: The kind of the write.
        state: The state of the write.
        at: The time of the record, in Unix seconds.
        seen: The values before the write, as evidence.
        uuid: The uuid of the created or changed object.
    """

    action: str = attrs.field(converter=str)
    state: State = attrs.field(converter=State)
    at: float = attrs.field(converter=float)
    seen: Mapping[str, Any] = attrs.field(converter=json.loads)
    uuid: str | None


class Journal:
    """The journal of one plan. The file can contain the journals of other plans.

    A separate thread uses the disk, and commits several records together if it is busy. The event loop never waits for
    the disk. Earlier records are read once, when the journal is opened.

    Attributes:
        own: The records of the plan, by key.
        others: The latest record of other plans, by key, without writes that were not carried out.

    Raises:
        JournalError: (all methods) The journal cannot be written or read.
    """

    def __init__(
        self,
        path: str | PathLike[str] | None,
        kind: str,
        executor: ThreadPoolExecutor,
        on_commit: Callable[[], object] | None,
    ) -> None:
        self._path = path
        self._name = "in memory" if path is None else printable(str(path), 300)
        self._kind = kind
        self._executor = executor
        self._on_commit = on_commit
        self._connection: sqlite3.Connection
        self._plan = 0
        self.own: dict[str, Entry] = {}
        self.others: dict[str, Entry] = {}
        self._records: list[tuple[tuple[Any, ...], asyncio.Future[None]]] = []
        self._committing: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls,
        path: str | PathLike[str] | None,
        settings: Settings,
        webshop: str | None,
        *,
        kind: str,
        fingerprint: str,
        run: str,
        since: float,
        on_commit: Callable[[], object] | None,
    ) -> Self:
        """Open or create a journal, lock its file, and read the records of the plan, so that it is continued.

        Writes of other plans from before `since` are ignored, unless their outcome is unknown. The thread calls
        `on_commit` after each commit. Without a path, the journal is in memory.

        Raises:
            JournalBusyError: Another process uses it.
            JournalMismatchError: The journal belongs to another account.
            JournalError: The file is not a journal, has another version, is damaged, or cannot be opened.
        """
        executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="goedgepickt-journal")
        journal = cls(path, kind, executor, on_commit)
        try:
            await in_thread(partial(journal._open, settings, webshop, fingerprint, run, since), executor)
        except BaseException:
            await journal.close()
            raise
        return journal

    def _open(self, settings: Settings, webshop: str | None, fingerprint: str, run: str, since: float) -> None:
        self._connection = connection = _connect(self._path, self._name)
        try:
            with _translated(self._name):
                if self._path is not None:
                    _lock(connection)
                if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                    for statement in _SCHEMA:
                        connection.execute(statement)
                    scope = json.dumps(attrs.asdict(PlanScope.of(settings, webshop)))
                    connection.execute("INSERT INTO scope VALUES (?)", (scope,))
                else:
                    _scope_in(connection, self._name).check(settings, webshop, f"the journal {self._name}")
                connection.execute("INSERT OR IGNORE INTO plans (fingerprint, run) VALUES (?, ?)", (fingerprint, run))
                query = "SELECT id FROM plans WHERE fingerprint = ?"
                (self._plan,) = connection.execute(query, (fingerprint,)).fetchone()
                own = connection.execute(_OWN, (self._plan,))
                self.own = {str(key): Entry(*row) for key, *row in own}
                others = connection.execute(_OTHERS, (self._kind, self._plan, since))
                self.others = {str(key): Entry(*row) for key, *row in others}
                if self._path is not None:
                    connection.execute("COMMIT")
        except BaseException:
            connection.close()
            raise

    async def record(self, write: PlannedWrite, state: State, *, uuid: str | None = None, error: str = "") -> None:
        """Record the state of a write, and wait until it is on disk."""
        entry = (write.action.value, state.value, time.time(), json.dumps(dict(write.seen)), uuid)
        self.own[write.key] = Entry(*entry)
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._records.append(((self._plan, self._kind, write.key, *entry, error or None), written))
        if self._committing is None or self._committing.done():
            self._committing = asyncio.create_task(self._commit_all(), name="journal")
        await written

    async def close(self) -> None:
        """Write the pending records and release the file."""
        try:
            if self._committing is not None:
                await wait_for_end([self._committing])
        finally:
            try:
                await in_thread(self._disconnect, self._executor)
            finally:
                self._executor.shutdown(wait=False)

    def _disconnect(self) -> None:
        with contextlib.suppress(AttributeError):  # it was never opened
            self._connection.close()

    async def _commit_all(self) -> None:
        """Commit the pending records, and records that arrive meanwhile."""
        while self._records:
            records, self._records = self._records, []
            error: BaseException | None = None
            rows = [row for row, _ in records]
            try:
                await asyncio.get_running_loop().run_in_executor(self._executor, self._commit, rows)
            except (JournalError, RuntimeError) as failure:  # RuntimeError: the executor was shut down
                error = failure
            for _, written in records:
                if written.done():
                    continue  # the caller was cancelled
                if error is None:
                    written.set_result(None)
                else:
                    written.set_exception(error)

    def _commit(self, rows: Sequence[tuple[Any, ...]]) -> None:
        with _translated(self._name):
            self._connection.execute("BEGIN")
            try:
                self._connection.executemany("INSERT OR REPLACE INTO writes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
                self._connection.execute("COMMIT")
                if self._on_commit is not None:
                    self._on_commit()
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise


def states_of_run(path: Path, run: str) -> dict[str, Mapping[str, Any]]:
    """Return the latest record of each write of a run, by key; the run may be in progress or have no journal."""
    if not path.exists():
        return {}
    with _translated(path):
        # Not mode=ro: a process that was killed while it committed leaves a transaction that must be rolled back first.
        connection = sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=1)
        connection.row_factory = sqlite3.Row
        with contextlib.closing(connection):
            query = "SELECT key, action, uuid, state, at FROM writes JOIN plans ON plans.id = writes.plan WHERE run = ?"
            rows = connection.execute(query, (run,)).fetchall()
    return {str(row["key"]): dict(row) for row in rows}


def _connect(path: str | PathLike[str] | None, name: str) -> sqlite3.Connection:
    try:
        if path is not None:
            make_private_file(Path(path))
        # By path, because closing another descriptor of the file would release SQLite's lock.
        place = ":memory:" if path is None else path
        return sqlite3.connect(place, timeout=0, isolation_level=None, check_same_thread=False)
    except (OSError, ValueError, sqlite3.Error) as error:
        raise JournalError(f"the journal {name} cannot be opened: {_why(error)}") from None


def _lock(connection: sqlite3.Connection) -> None:
    """Begin a transaction, after which no other process can open the file: the lock lasts as long as the connection."""
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("PRAGMA journal_mode = DELETE")  # no second file after it is closed
    connection.execute("PRAGMA synchronous = FULL")  # a written entry survives a power cut
    connection.execute("BEGIN EXCLUSIVE")


def _scope_in(connection: sqlite3.Connection, path: object) -> PlanScope:
    """Return the scope of the journal, if it can be used."""
    if _pragma(connection, "application_id") != _APPLICATION:
        raise JournalError(f"{path} is another database, not a journal")
    if (version := _pragma(connection, "user_version")) != _VERSION:
        raise JournalError(f"the journal {path} has version {version}, but this program needs version {_VERSION}")
    if _pragma(connection, "quick_check") != "ok":
        raise _damaged(path, "its pages do not fit together")
    (text,) = connection.execute("SELECT json FROM scope").fetchone()
    return CONVERTER.structure(json.loads(text), PlanScope)


def _pragma(connection: sqlite3.Connection, name: str) -> object:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


@contextmanager
def _translated(path: object) -> Iterator[None]:
    """A context manager that translates errors of SQLite and the system to `JournalError`."""
    try:
        yield
    except sqlite3.OperationalError as error:
        code = getattr(error, "sqlite_errorcode", None)
        if code is None:  # from the module itself: a text in the file is not UTF-8
            raise _damaged(path, "a text in it is not UTF-8") from None
        if code & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            raise JournalBusyError(f"the journal {path} is in use by another process or plan") from None
        raise JournalError(f"the journal {path} cannot be written: {_why(error)}") from None
    except (OSError, sqlite3.Error, *UNREADABLE) as error:
        raise _damaged(path, _why(error)) from None


def _damaged(path: object, why: str) -> JournalError:
    return JournalError(
        f"the journal {path} is damaged, or is not a journal: {why}. Restore it from a backup, or move it away: then check by "
        "hand which writes of an interrupted run were carried out"
    )


def _why(error: Exception) -> str:
    return printable((isinstance(error, OSError) and error.strerror) or str(error), 300)
