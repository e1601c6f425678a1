"""The durable inbox: an SQLite file, for one process or for several on one host."""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import random
import re
import shutil
import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Executor, Future
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import attrs

from goedgepickt_async._sqlite import sqlite3
from goedgepickt_async.errors import InboxError
from goedgepickt_async.logs import log_event
from goedgepickt_async.paths import (
    check_directories,
    locked_directory,
    make_private_directory,
    make_private_file,
    state_dir,
)
from goedgepickt_async.webhooks.inbox import Claim, FailedEntry, InboxEntry, InboxStatus, Notifier, long_poll
from goedgepickt_async.webhooks.inbox.tables import (
    DamagedError,
    SqliteTable,
    UnusableFileError,
    check_purpose,
    migrate,
    salvage,
    sizes,
)

__all__ = ["SqliteInbox", "default_inbox_path"]

T = TypeVar("T")
Step = Callable[[SqliteTable], Any]

_BATCH: Final = 1000
"""The largest number of steps in one transaction."""
_BUSY_TIMEOUT: Final = 10.0
"""The longest wait in seconds for other processes, which use the file for milliseconds each."""
_BUSY_PAUSE: Final = 0.002
"""The longest pause between two attempts, in seconds."""
_MAX_BYTES: Final = 1024**3
_KEEP_FAILED: Final = 90 * 86_400.0
_DISK_RESERVE: Final = 1024**2
"""The free disk space in bytes that is kept, so that stored entries can still be handled and removed."""
_PAGE_SIZE: Final = 4096
_DAMAGED_SCHEMA: Final = re.compile("^no such |has no column|^unsupported file format")
_CHECKED_SIZE: Final = 64 * 1024**2
"""The largest file in bytes that is checked completely when it is opened."""


class SqliteInbox:
    """An inbox in a file: its entries survive a crash of the process and, by default, of the machine.

    Several event loops, threads and processes of one host can use it, but not over a network file system. It opens the
    file at the first call, and again after `close` or in a forked child.

    A damaged file is renamed to `….damaged-…`, its readable entries are copied to a new file, and an error is logged.
    When the disk or the inbox is full, deliveries are answered with 503 until there is room again.

    Args:
        path: The file. It is created, with its directories, for this user alone; the permissions of an existing file
            are reduced. It contains the bodies of deliveries until they are handled, and of failed ones.
        survives_power_cut: Whether each commit waits for the disk. Without it, a power cut may lose the entries of the
            last moments; the end of the process loses nothing either way.
        max_bytes: The largest size. When it is reached, entries are refused.
        keep_failed: Seconds after which failed entries are deleted.
        poll: Seconds after which entries of other processes are noticed, at the latest.
        clock: Seconds since the epoch; for tests.
    """

    is_durable = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        survives_power_cut: bool = True,
        max_bytes: int = _MAX_BYTES,
        keep_failed: float = _KEEP_FAILED,
        poll: float = 0.2,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.path: Path = Path(path)
        self._file = partial(InboxFile, self.path, "FULL" if survives_power_cut else "NORMAL", max_bytes, clock)
        self._max_bytes = max_bytes
        self._keep_failed = keep_failed
        self._poll = poll
        self._notifier = Notifier()
        self._lock = threading.Lock()
        self._committer: Committer | None = None
        self._opened_in = 0

    def __repr__(self) -> str:
        return f"<SqliteInbox {getattr(self, 'path', '')}>"

    def __del__(self) -> None:
        if getattr(self, "_committer", None) is not None and self._opened_in == os.getpid():
            assert self._committer is not None
            self._committer.stop()

    # -- the protocol -------------------------------------------------------------------------------------------

    async def put(self, entries: Sequence[InboxEntry]) -> int:
        """Store entries: see `Intake.put`."""
        return await self._do(lambda table: table.put(entries), needs_room=True)

    async def claim(self, handlers: Collection[str], *, limit: int, lease: float, wait: float) -> list[Claim]:
        """Claim entries that are due: see `Inbox.claim`."""
        names = sorted(handlers)
        return await long_poll(lambda: self._look(names, limit, lease), self._notifier, wait)

    async def renew(self, claims: Sequence[Claim], *, lease: float) -> None:
        """Extend the leases: see `Inbox.renew`."""
        await self._do(lambda table: table.renew(claims, lease))

    async def finish(self, claim: Claim, *, dedup_window: float = 0.0) -> None:
        """Remove a handled entry: see `Inbox.finish`."""
        await self._do(lambda table: table.finish(claim, dedup_window))

    async def postpone(self, claim: Claim, *, delay: float, counts: bool = True) -> None:
        """Return an entry to the inbox: see `Inbox.postpone`."""
        await self._do(lambda table: table.postpone(claim, delay, counts=counts))

    async def give_up(self, claim: Claim, *, reason: str) -> None:
        """Mark an entry as failed: see `Inbox.give_up`, and `failed`."""
        await self._do(lambda table: table.give_up(claim, reason, self._keep_failed))

    async def waiting(self, handlers: Collection[str]) -> int:
        """The number of entries: see `Inbox.waiting`."""
        return await self._do(lambda table: table.waiting(handlers))

    async def close(self) -> None:
        """Close the file, after all submitted steps are committed. The next call opens it again."""
        with self._lock:
            committer, self._committer = self._committer, None
        if committer is not None and self._opened_in == os.getpid():
            committer.stop()
            await asyncio.to_thread(committer.thread.join)

    # -- failed entries, and numbers ----------------------------------------------------------------------------

    async def failed(self, *, limit: int = 1000) -> list[FailedEntry]:
        """The entries that were given up, the oldest first."""
        return await self._do(lambda table: table.failed(limit))

    async def requeue_failed(self, ids: Collection[int] | None = None) -> int:
        """Put failed entries back into the inbox, with all their attempts.

        Args:
            ids: The numbers of the entries; None for all.

        Returns:
            The number of entries.
        """
        return await self._do(lambda table: table.requeue_failed(ids), needs_room=True)

    async def drop_failed(self, ids: Collection[int] | None = None) -> int:
        """Delete failed entries.

        Args:
            ids: The numbers of the entries; None for all.

        Returns:
            The number of entries.
        """
        return await self._do(lambda table: table.drop_failed(ids))

    async def status(self) -> InboxStatus:
        """The current numbers, for metrics."""
        return await self._do(lambda table: table.status(self._max_bytes))

    async def orphans(self, handlers: Collection[str]) -> dict[str, int]:
        """The number of entries for handlers that are none of these, by name."""
        return await self._do(lambda table: table.orphans(handlers))

    # -- inside -------------------------------------------------------------------------------------------------

    async def _do(self, step: Callable[[SqliteTable], T], *, needs_room: bool = False) -> T:
        with self._lock:
            future = self._opened().submit(step, needs_room=needs_room)
        return await in_this_loop(future)

    def _opened(self) -> Committer:
        if self._committer is None or self._opened_in != os.getpid():
            self._committer = Committer(self._file(), self._notifier.notify)
            self._opened_in = os.getpid()
        return self._committer

    async def _look(self, handlers: list[str], limit: int, lease: float) -> tuple[list[Claim], float]:
        with self._lock:
            committer = self._opened()
            step = committer.submit(lambda table: self._claim(table, handlers, limit, lease))
        try:
            return await asyncio.shield(in_this_loop(step))
        except asyncio.CancelledError:
            step.add_done_callback(partial(self._hand_back, committer))
            raise

    def _claim(self, table: SqliteTable, handlers: list[str], limit: int, lease: float) -> tuple[list[Claim], float]:
        claims = table.claim(handlers, limit, lease)
        due_in = None if claims else table.seconds_until_due(handlers)
        return claims, self._poll if due_in is None else min(self._poll, due_in)

    def _hand_back(self, committer: Committer, step: Future[tuple[list[Claim], float]]) -> None:
        """Return the entries of a claim whose caller was cancelled."""
        if step.cancelled() or step.exception() is not None:
            return
        for claim in step.result()[0]:
            committer.submit(partial(SqliteTable.postpone, claim=claim, delay=0.0, counts=False))


def default_inbox_path(port: int) -> Path:
    """The file of a receiver without an inbox. The port distinguishes the receivers of a host."""
    return state_dir() / f"webhooks-{port}.sqlite3"


# -- the thread -----------------------------------------------------------------------------------------------------


class Committer:
    """A thread that owns the connection and commits many steps together.

    A commit that reaches the disk takes milliseconds, regardless of its size. The steps that come meanwhile go into the next
    one. So the event loop never waits for a disk, and no step waits for more than two commits. The thread opens the
    file at the first step, and again after a failure. After each commit that changed something, it calls `committed`.
    """

    def __init__(self, file: InboxFile, committed: Callable[[], None]) -> None:
        self._file = file
        self._committed = committed
        self._steps: queue.SimpleQueue[tuple[Step, Future[Any], bool] | None] = queue.SimpleQueue()
        # A daemon, so that a program that does not close its inbox can end: unanswered steps were not promised.
        self.thread: threading.Thread = threading.Thread(target=self._run, name="goedgepickt-inbox", daemon=True)
        self.thread.start()

    def submit(self, step: Callable[[SqliteTable], T], *, needs_room: bool = False) -> Future[T]:
        """Run a step. The future has its result after the commit, or an `InboxError`.

        With `needs_room`, the step is refused when the inbox or the disk is full.
        """
        future: Future[T] = Future()
        self._steps.put((step, future, needs_room))
        return future

    def stop(self) -> None:
        """Let the thread end after the steps that were submitted, without waiting for that."""
        self._steps.put(None)

    def _run(self) -> None:
        try:
            while self._commit_next():
                pass
            while not self._steps.empty():  # steps that the last ones caused
                self._commit_next()
        finally:
            self._file.close()

    def _commit_next(self) -> bool:
        """Wait for a step, and commit it with all that have come by then; False when told to stop."""
        batch: list[tuple[Step, Future[Any], bool]] = []
        goes_on = True
        step = self._steps.get()
        while step is not None:
            if step[1].set_running_or_notify_cancel():
                batch.append(step)
            if len(batch) >= _BATCH:
                break
            try:
                step = self._steps.get_nowait()
            except queue.Empty:
                break
        else:
            goes_on = False
        if batch:
            self._commit(batch)
        return goes_on

    def _commit(self, batch: list[tuple[Step, Future[Any], bool]]) -> None:
        try:
            results, changed = self._file.transact([(step, needs_room) for step, _, needs_room in batch])
        except Exception as error:  # noqa: BLE001  the callers are told, whatever it is
            self._fail(batch, error)
            return
        for (_, future, _), result in zip(batch, results, strict=True):
            if isinstance(result, InboxError):
                future.set_exception(result)
            else:
                future.set_result(result)
        if changed:
            self._committed()

    def _fail(self, batch: list[tuple[Step, Future[Any], bool]], error: Exception) -> None:
        is_the_file = isinstance(error, (sqlite3.OperationalError, InboxError, OSError))
        if len(batch) > 1 and not is_the_file:  # one of the steps may be the cause: each by itself
            for one in batch:
                self._commit([one])
            return
        for _, future, _ in batch:
            failure = error if isinstance(error, InboxError) else InboxError(f"the inbox cannot be used: {error}")
            if failure is not error:
                failure.__cause__ = error
            future.set_exception(failure)


class _Submitted(Executor):
    """The work that a thread of ours is doing already, in the form that asyncio expects."""

    def __init__(self, future: Future[Any]) -> None:
        self._future = future

    def submit(self, _fn: Callable[..., Any], /, *_args: Any, **_kwargs: Any) -> Future[Any]:
        """Nothing more is to be done."""
        return self._future


def in_this_loop(future: Future[T]) -> asyncio.Future[T]:
    """A step's future, to be awaited. `VirtualClock` counts the threads that work in `run_in_executor`."""
    return asyncio.get_running_loop().run_in_executor(_Submitted(future), future.result)


# -- the file -------------------------------------------------------------------------------------------------------


@attrs.define(eq=False)
class InboxFile:
    """The connection to the file: whose it must be, how it is opened, and what happens when it is damaged or full."""

    _path: Path
    _synchronous: str
    _max_bytes: int
    _clock: Callable[[], float]
    _connection: sqlite3.Connection | None = attrs.field(default=None, init=False)
    _inode: int = attrs.field(default=0, init=False)

    def transact(self, steps: Sequence[tuple[Step, bool]]) -> tuple[list[Any], bool]:
        """Run all steps in one transaction, all or none; a damaged file is replaced first.

        Returns:
            The result of each step, an `InboxError` for one that is refused; and whether something was changed.
        """
        for last in (False, True):
            try:
                return self._transact(steps)
            except UnusableFileError as error:
                self.close()
                raise InboxError(f"the inbox {self._path} cannot be used: {error}") from error
            except (sqlite3.Error, UnicodeDecodeError) as error:
                self.close()  # rolls back
                if last or not self._is_damaged(error):
                    raise
                self._recover(error)
            except _FileReplacedError:
                self.close()
                if last:
                    raise InboxError(f"the inbox {self._path} is replaced repeatedly") from None
            except BaseException:
                self.close()
                raise
        raise AssertionError

    def _transact(self, steps: Sequence[tuple[Step, bool]]) -> tuple[list[Any], bool]:
        if self._connection is not None and self._current_inode() != self._inode:
            self.close()  # another process set the file aside
        if self._connection is None:
            self._connection = _retry_while_busy(self._connect)
        connection = self._connection
        problem = self._room_problem(connection, any(needs_room for _, needs_room in steps))
        _retry_while_busy(lambda: connection.execute("BEGIN IMMEDIATE"))
        table = SqliteTable(connection, self._clock())  # the time after the wait for other processes
        before = connection.total_changes
        results = [InboxError(problem) if needs_room and problem else step(table) for step, needs_room in steps]
        _retry_while_busy(lambda: connection.execute("COMMIT"))
        if self._current_inode() != self._inode:
            raise _FileReplacedError
        return results, connection.total_changes > before

    def close(self) -> None:
        """Close the connection, which rolls back what is not committed."""
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def _current_inode(self) -> int:
        try:
            return self._path.stat().st_ino
        except FileNotFoundError:
            return -1

    def _connect(self) -> sqlite3.Connection:
        _make_private(self._path)
        connection = sqlite3.connect(self._path, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            check_purpose(connection)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {self._synchronous}")
            connection.execute(f"PRAGMA journal_size_limit = {_DISK_RESERVE}")
            if self._path.stat().st_size <= _CHECKED_SIZE:
                _check_integrity(connection)
            migrate(connection)
            _make_companions_private(self._path)
            self._inode = self._path.stat().st_ino
        except BaseException:
            connection.close()
            raise
        return connection

    # -- no room ------------------------------------------------------------------------------------------------

    def _room_problem(self, connection: sqlite3.Connection, needs_room: bool) -> str | None:  # noqa: FBT001
        """The reason why nothing more can be stored, or None.

        If the disk is short, the log is moved into the file and cut.
        """
        if self._is_disk_short(0) and self._is_disk_short(sizes(connection)[1]):
            with contextlib.suppress(sqlite3.Error):
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            if self._is_disk_short(sizes(connection)[1]):
                return f"the disk of the inbox {self._path} is full"
        if needs_room and (used := sizes(connection)[0]) >= self._max_bytes:
            return f"the inbox {self._path} is full: {used:,} of {self._max_bytes:,} bytes"
        return None

    def _is_disk_short(self, free: int) -> bool:
        usage = shutil.disk_usage(self._path.parent)
        try:
            log = _companion(self._path, "-wal").stat().st_size
        except OSError:
            log = 0
        reserve = min(_DISK_RESERVE, usage.total // 4)
        # Free pages of the file are used again without more of the disk; the log always needs some of it.
        return usage.free < reserve // 2 + log or usage.free + free < reserve + log

    # -- damage -------------------------------------------------------------------------------------------------

    def _is_damaged(self, error: Exception) -> bool:
        """Whether an error comes from the content of the file."""
        # Without a code, the module and not SQLite raised it: a text of the file is not UTF-8, or a row is damaged.
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
        if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
            return True
        if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_NOMEM}:
            return False
        if code == sqlite3.SQLITE_READONLY:  # the header says so, and the system does not
            return os.access(self._path, os.W_OK) and os.access(self._path.parent, os.W_OK)
        if code == sqlite3.SQLITE_ERROR and _DAMAGED_SCHEMA.search(str(error)):
            return True
        try:
            with contextlib.closing(sqlite3.connect(self._path, timeout=0, isolation_level=None)) as connection:
                _check_integrity(connection)
        except sqlite3.Error as found:
            again = getattr(found, "sqlite_errorcode", 0) & 0xFF
            return isinstance(found, DamagedError) or again in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
        return False

    def _recover(self, error: Exception) -> None:
        """Rename a damaged file, and copy its readable entries to a new one."""
        damaged = self._current_inode()
        with locked_directory(self._path.parent):
            if damaged == -1 or self._current_inode() != damaged:
                return  # another process was first
            aside = self._path.with_name(f"{self._path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}")
            for suffix in ("-wal", "-shm", ""):  # the file last: from then on the others open a new one
                with contextlib.suppress(FileNotFoundError):
                    _companion(self._path, suffix).rename(_companion(aside, suffix))
            saved = self._copy_from(aside)
        log_event(
            "webhook.error",
            why=f"the inbox {self._path} is damaged ({error}); it is renamed to {aside.name}, and {saved} of its entries were saved",
        )

    def _copy_from(self, aside: Path) -> int:
        found: list[tuple[InboxEntry, str | None]] = []
        opened = partial(sqlite3.connect, aside, timeout=0, isolation_level=None)
        with contextlib.suppress(sqlite3.Error, UnicodeDecodeError), contextlib.closing(opened()) as old:
            found.extend(salvage(old))
        self._connection = _retry_while_busy(self._connect)
        connection = self._connection
        if aside.stat().st_size <= _CHECKED_SIZE:
            # Some builds of Python cannot read a database from memory.
            with (
                contextlib.suppress(sqlite3.Error, AttributeError),
                contextlib.closing(sqlite3.connect(":memory:")) as old,
            ):
                old.deserialize(_with_new_first_page(aside, connection))
                found = max(found, list(salvage(old)), key=len)
        _retry_while_busy(lambda: connection.execute("BEGIN IMMEDIATE"))
        table = SqliteTable(connection, self._clock())
        for entry, reason in found:
            if reason is None:
                table.put([entry])
            else:
                table.add_failed(entry, reason, attempts=0)
        _retry_while_busy(lambda: connection.execute("COMMIT"))
        return len(found)


def _with_new_first_page(damaged: Path, connection: sqlite3.Connection) -> bytes:
    """A damaged file with the header and the list of tables of a new one, since without these SQLite reads no page."""
    content = bytearray(damaged.read_bytes())
    page = bytearray(connection.serialize()[:_PAGE_SIZE])
    page[18:20] = b"\x01\x01"  # there is no log
    page[28:40] = (len(content) // _PAGE_SIZE).to_bytes(4, "big") + bytes(8)  # pages, none of them free
    content[:_PAGE_SIZE] = page
    return bytes(content)


class _FileReplacedError(Exception):
    """Another process set the file aside while we wrote to it: do it again, in the new one."""


def _check_integrity(connection: sqlite3.Connection) -> None:
    (result,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if result != "ok":
        raise DamagedError(f"integrity check: {str(result)[:200]}")


def _retry_while_busy(act: Callable[[], T]) -> T:
    """Do it, again and again while another process uses the file: SQLite's own busy handler sleeps too long."""
    until = time.monotonic() + _BUSY_TIMEOUT
    while True:
        try:
            return act()
        except sqlite3.OperationalError as error:
            is_busy = getattr(error, "sqlite_errorcode", 0) & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
            if not is_busy or time.monotonic() >= until:
                raise
        time.sleep(random.uniform(0.2, 1.0) * _BUSY_PAUSE)  # noqa: S311  no secret


# -- the file is the user's own -------------------------------------------------------------------------------------


def _companion(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _make_private(path: Path) -> None:
    """Create the file and its directories for this user alone, or check that no other user can read or replace it."""
    if not path.parent.exists():
        make_private_directory(path.parent)
    check_directories(path)
    make_private_file(path)
    _make_companions_private(path)


def _make_companions_private(path: Path) -> None:
    """The files with the same name and a suffix, which SQLite writes and reads."""
    for suffix in ("-wal", "-shm", "-journal"):
        companion = _companion(path, suffix)
        if os.path.lexists(companion):
            with contextlib.suppress(FileNotFoundError):  # another process closed the inbox
                make_private_file(companion)
