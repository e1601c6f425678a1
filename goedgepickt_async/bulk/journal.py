"""The journal of a plan: it records each write on disk before and after it is sent."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, Final, Self

import attrs

from goedgepickt_async._sqlite import sqlite3
from goedgepickt_async.bulk.values import PlannedWrite, PlanScope
from goedgepickt_async.errors import JournalBusyError, JournalError
from goedgepickt_async.paths import make_private_file
from goedgepickt_async.settings import Settings

__all__ = ["Entry", "Journal", "State", "in_memory", "open_file", "translated"]

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


def open_file(path: str | PathLike[str], settings: Settings, webshop: str | None) -> sqlite3.Connection:
    """Open or create the file, and lock it until it is closed or the process ends.

    Raises:
        JournalBusyError: Another process uses it.
        JournalMismatchError: The journal belongs to another account.
        JournalError: The file is not a journal, has another version, is damaged, or cannot be opened.
    """
    place = Path(path)
    try:
        _make(place)
        # By path, because closing another descriptor of the file would release SQLite's lock.
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
    except BaseException:
        connection.close()
        raise
    return connection


def in_memory(settings: Settings, webshop: str | None) -> sqlite3.Connection:
    """Return a journal in memory, which ends with the job."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    _make_schema(connection, PlanScope.of(settings, webshop))
    return connection


@contextmanager
def translated(path: object) -> Iterator[None]:
    """A context manager that translates errors of SQLite and the system.

    Raises:
        JournalError: The translated error.
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            raise JournalBusyError(f"the journal {path} is in use by another process or plan") from None
        raise JournalError(f"the journal {path} cannot be written: {_why(error)}") from None
    except (OSError, sqlite3.Error, ValueError, LookupError, TypeError) as error:
        raise _damaged(path, _why(error)) from None


def _damaged(path: object, why: str) -> JournalError:
    return JournalError(
        f"the journal {path} is damaged, or is not a journal: {why}. Restore it from a backup, or move it away: then check by "
        "hand which writes of an interrupted run were carried out"
    )


def _make(path: Path) -> None:
    """Create the file if it does not exist, and check that it is a private regular file."""
    make_private_file(path)


def _lock(connection: sqlite3.Connection) -> None:
    """Run one transaction, after which no other process can open the file: the lock lasts as long as the connection."""
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("PRAGMA journal_mode = DELETE")  # no second file after it is closed
    connection.execute("PRAGMA synchronous = FULL")  # a written entry survives a power cut
    connection.execute("BEGIN EXCLUSIVE")


def _is_new(connection: sqlite3.Connection) -> bool:
    return not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]


def _scope_in(connection: sqlite3.Connection, path: Path) -> PlanScope:
    """Return the scope of the journal, if it can be used.

    Raises:
        JournalError: The journal cannot be used.
    """
    if _pragma(connection, "application_id") != _APPLICATION:
        raise JournalError(f"{path} is another database, not a journal")
    if (version := _pragma(connection, "user_version")) != _VERSION:
        raise JournalError(f"the journal {path} has version {version}, but this program needs version {_VERSION}")
    if _pragma(connection, "quick_check") != "ok":
        raise _damaged(path, "its pages do not fit together")
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
    """The state of a write."""

    INTENT = "intent"
    """The write was about to be sent, and its result is not recorded."""
    DONE = "done"
    """The write was carried out."""
    FAILED = "failed"
    """The write was certainly not carried out."""


@attrs.frozen(kw_only=True)
class Entry:
    """The record of one write.

    Attributes:
        action: The kind of the write.
        state: The state of the write.
        at: The time of the record, in Unix seconds.
        seen: The values before the write, as evidence.
        uuid: The uuid of the created or changed object.
    """

    action: str
    state: State
    at: float
    seen: Mapping[str, Any]
    uuid: str | None


Step = Callable[["sqlite3.Connection"], None]


class Journal:
    """The journal of one plan. The file can contain the journals of other plans.

    A separate thread uses the disk, and commits several records together if it is busy. The event loop never waits for
    the disk. Earlier records are read once, when the journal is opened.

    Raises:
        JournalError: (all methods) The journal cannot be written or read.
    """

    def __init__(
        self,
        path: object,
        connection: sqlite3.Connection,
        executor: ThreadPoolExecutor,
        on_commit: Callable[[], object] | None,
    ) -> None:
        self._path = path
        self._on_commit = on_commit
        self._connection = connection
        self._executor = executor
        self._plan = 0
        self._kind = ""
        self._own: dict[str, Entry] = {}
        self._others: dict[str, Entry] = {}
        self._steps: list[tuple[Step, asyncio.Future[None]]] = []
        self._committing: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls,
        path: str | PathLike[str] | None,
        settings: Settings,
        webshop: str | None,
        *,
        on_commit: Callable[[], object] | None = None,
    ) -> Self:
        """Open or create a journal; without a path, it is in memory. `on_commit` is called in its thread.

        Raises:
            JournalBusyError: Another process uses it.
            JournalMismatchError: The journal belongs to another account.
            JournalError: The file is not a journal, has another version, is damaged, or cannot be opened.
        """
        executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="goedgepickt-journal")
        make = partial(in_memory, settings, webshop) if path is None else partial(open_file, path, settings, webshop)
        try:
            connection = await asyncio.get_running_loop().run_in_executor(executor, make)
        except BaseException:
            executor.shutdown(wait=False)
            raise
        return cls("in memory" if path is None else path, connection, executor, on_commit)

    async def begin(self, fingerprint: str, kind: str, *, run: str = "", since: float = 0.0) -> None:
        """Set the plan and read its records, so that a started plan is continued.

        Args:
            fingerprint: The id of the plan.
            kind: The kind of the plan.
            run: The id of the run, if there is one.
            since: The Unix time before which writes of other plans are ignored, unless their outcome is unknown.
        """
        self._kind = kind
        await asyncio.get_running_loop().run_in_executor(self._executor, self._begin, fingerprint, run, since)

    def _begin(self, fingerprint: str, run: str, since: float) -> None:
        with translated(self._path):
            self._connection.execute(
                "INSERT INTO plans (fingerprint, run) VALUES (?, ?) ON CONFLICT DO NOTHING", (fingerprint, run)
            )
            query = "SELECT id FROM plans WHERE fingerprint = ?"
            (self._plan,) = self._connection.execute(query, (fingerprint,)).fetchone()
            rows = self._connection.execute(f"SELECT key, {_COLUMNS} FROM writes WHERE plan = ?", (self._plan,))  # noqa: S608
            self._own = {str(key): _entry(*row) for key, *row in rows}
            rows = self._connection.execute(
                f"SELECT key, {_COLUMNS} FROM writes WHERE kind = ? AND plan <> ?"  # noqa: S608
                " AND (state = 'intent' OR (state = 'done' AND at >= ?)) ORDER BY at",
                (self._kind, self._plan, since),
            )
            self._others = {str(key): _entry(*row) for key, *row in rows}

    @property
    def is_begun(self) -> bool:
        """Whether there were records of this plan before it was opened."""
        return bool(self._own)

    def entry(self, key: str) -> Entry | None:
        """Return the record of this plan's write for a key."""
        return self._own.get(key)

    def entry_of_others(self, key: str) -> Entry | None:
        """Return the latest record of another plan's write for a key, without writes that were not carried out."""
        return self._others.get(key)

    async def intend(self, write: PlannedWrite, at: float) -> None:
        """Record that the write is about to be sent."""
        await self._write(write, State.INTENT, at, None, None)

    async def done(self, write: PlannedWrite, uuid: str | None, at: float) -> None:
        """The write was carried out."""
        await self._write(write, State.DONE, at, uuid, None)

    async def failed(self, write: PlannedWrite, error: str, at: float) -> None:
        """The write was certainly not carried out."""
        await self._write(write, State.FAILED, at, None, error)

    async def close(self) -> None:
        """Write the pending records and release the file."""
        if self._committing is not None:
            await asyncio.wait([self._committing])
        try:
            await asyncio.get_running_loop().run_in_executor(self._executor, self._connection.close)
        finally:
            self._executor.shutdown(wait=False)

    async def _write(self, write: PlannedWrite, state: State, at: float, uuid: str | None, error: str | None) -> None:
        seen = json.dumps(dict(write.seen))
        values = (self._plan, self._kind, write.key, write.action.value, state.value, at, seen, uuid, error)
        self._own[write.key] = _entry(write.action.value, state.value, at, seen, uuid)
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._steps.append((lambda db: _insert(db, values), written))
        if self._committing is None or self._committing.done():
            self._committing = asyncio.create_task(self._commit_all(), name="journal")
        await written

    async def _commit_all(self) -> None:
        """Commit the pending records, and records that arrive meanwhile."""
        while self._steps:
            steps, self._steps = self._steps, []
            error: BaseException | None = None
            try:
                await asyncio.get_running_loop().run_in_executor(
                    self._executor, self._commit, [step for step, _ in steps]
                )
            except (JournalError, RuntimeError) as failure:  # RuntimeError: the executor was shut down
                error = failure
            for _, written in steps:
                if written.done():
                    continue  # the caller was cancelled
                if error is None:
                    written.set_result(None)
                else:
                    written.set_exception(error)

    def _commit(self, steps: Sequence[Step]) -> None:
        with translated(self._path):
            self._connection.execute("BEGIN")
            try:
                for step in steps:
                    step(self._connection)
                self._connection.execute("COMMIT")
                if self._on_commit is not None:
                    self._on_commit()
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise


def _insert(connection: sqlite3.Connection, values: tuple[Any, ...]) -> None:
    connection.execute("INSERT OR REPLACE INTO writes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)


def _entry(action: str, state: str, at: float, seen: str, uuid: str | None) -> Entry:
    return Entry(action=str(action), state=State(state), at=float(at), seen=json.loads(seen), uuid=uuid)
