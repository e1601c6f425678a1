"""The durable inbox: a file of SQLite, for one process or for several on one host."""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Executor, Future
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from goedgepickt_async.errors import InboxError
from goedgepickt_async.webhooks.inbox.memory import Notifier, long_poll
from goedgepickt_async.webhooks.inbox.protocol import Claim, InboxEntry
from goedgepickt_async.webhooks.inbox.tables import SCHEMA, VERSION, SqliteTable

__all__ = ["SqliteInbox", "default_inbox_path"]

T = TypeVar("T")
Step = Callable[[SqliteTable], Any]

_BATCH = 1000
"""Steps in one transaction, at most."""
_BUSY_TIMEOUT = 10.0
"""Seconds to wait for other processes that are in the file; they are out again within milliseconds."""
_BUSY_PAUSE = 0.002
"""Seconds between two tries, at most."""


class SqliteInbox:
    """An inbox in a file: what it took survives a crash of the process and, unless told otherwise, of the machine.

    It may be used from several event loops and threads, and by several processes of one host at once; not over a
    network file system. It opens the file at the first call, and again after `close` or in a forked child.

    Args:
        path: The file; it is made, with its directory, for this user alone. It holds the bodies of deliveries until
            they are handled, and of those that were given up until they are requeued.
        survives_power_cut: Whether each commit waits until the disk has it. Without, what came in the last moments
            before a power cut may be lost, but nothing by the end of a process, however sudden.
        poll: Seconds after which what other processes put in is noticed, at the latest.
        clock: Seconds since the epoch; for tests.
    """

    is_durable = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        survives_power_cut: bool = True,
        poll: float = 0.2,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.path: Path = Path(path)
        self._synchronous = "FULL" if survives_power_cut else "NORMAL"
        self._poll = poll
        self._clock = clock
        self._notifier = Notifier()
        self._lock = threading.Lock()
        self._committer: Committer | None = None
        self._opened_in = 0

    def __repr__(self) -> str:
        return f"<SqliteInbox {self.path}>"

    def __del__(self) -> None:
        if self._committer is not None and self._opened_in == os.getpid():
            self._committer.stop()

    # -- the protocol -------------------------------------------------------------------------------------------

    async def put(self, entries: Sequence[InboxEntry]) -> int:
        """Keep entries: see `Intake.put`."""
        return await self._do(lambda table: table.put(entries, self._clock()))

    async def claim(self, handlers: Collection[str], *, limit: int, lease: float, wait: float) -> list[Claim]:
        """Hand out what is due: see `Inbox.claim`."""
        names = sorted(handlers)
        return await long_poll(lambda: self._look(names, limit, lease), self._notifier, wait)

    async def renew(self, claims: Sequence[Claim], *, lease: float) -> None:
        """Let the leases end later: see `Inbox.renew`."""
        await self._do(lambda table: table.renew(claims, lease, self._clock()))

    async def finish(self, claim: Claim, *, dedup_window: float = 0.0) -> None:
        """Forget what was handled: see `Inbox.finish`."""
        await self._do(lambda table: table.finish(claim, dedup_window, self._clock()))

    async def postpone(self, claim: Claim, *, delay: float, counts: bool = True) -> None:
        """Hand it back: see `Inbox.postpone`."""
        await self._do(lambda table: table.postpone(claim, delay, self._clock(), counts=counts))

    async def give_up(self, claim: Claim, *, reason: str) -> None:
        """Put it aside; `requeue_failed` takes it up again: see `Inbox.give_up`."""
        await self._do(lambda table: table.give_up(claim, reason, self._clock()))

    async def waiting(self, handlers: Collection[str]) -> int:
        """How many there are: see `Inbox.waiting`."""
        return await self._do(lambda table: table.waiting(handlers))

    async def close(self) -> None:
        """Close the file, when all that was asked for is committed. The next call opens it again."""
        with self._lock:
            committer, self._committer = self._committer, None
        if committer is not None and self._opened_in == os.getpid():
            committer.stop()
            await asyncio.to_thread(committer.join)

    # -- besides ------------------------------------------------------------------------------------------------

    async def failed(self) -> int:
        """How many entries were put aside."""
        return await self._do(lambda table: table.failed())

    async def requeue_failed(self) -> int:
        """Take up again all that was put aside, when the reason is mended; how many."""
        return await self._do(lambda table: table.requeue_failed(self._clock()))

    async def orphans(self, handlers: Collection[str]) -> dict[str, int]:
        """How many entries lie there for handlers that are none of these, by their names."""
        return await self._do(lambda table: table.orphans(handlers))

    # -- inside -------------------------------------------------------------------------------------------------

    async def _do(self, step: Callable[[SqliteTable], T]) -> T:
        return await in_this_loop(self._submit(step))

    def _submit(self, step: Callable[[SqliteTable], T]) -> Future[T]:
        with self._lock:
            return self._opened().submit(step)

    def _opened(self) -> Committer:
        if self._committer is None or self._opened_in != os.getpid():
            self._committer = Committer(partial(_connect, self.path, self._synchronous), self._notifier.notify)
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
        now = self._clock()
        claims = table.claim(handlers, limit, lease, now)
        due = None if claims else table.next_due(handlers)
        return claims, self._poll if due is None else min(self._poll, due - now)

    def _hand_back(self, committer: Committer, step: Future[tuple[list[Claim], float]]) -> None:
        """What a claim took whose caller is gone."""
        if step.cancelled() or step.exception() is not None:
            return
        for claim in step.result()[0]:
            committer.submit(partial(_postpone_at_once, claim, self._clock()))


def _postpone_at_once(claim: Claim, now: float, table: SqliteTable) -> bool:
    return table.postpone(claim, 0.0, now, counts=False)


def _connect(path: Path, synchronous: str) -> sqlite3.Connection:
    """A connection to a file of ours alone, with our tables.

    Raises:
        InboxError: Another version made the file.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        _make_tables(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _make_tables(connection: sqlite3.Connection) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == VERSION:
        return
    if version:
        raise InboxError("another version of goedgepickt-async keeps it in its own way")
    connection.execute("BEGIN IMMEDIATE")
    for statement in SCHEMA.split(";\n"):
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def default_inbox_path(port: int) -> Path:
    """The file of a receiver that was given no inbox; the port distinguishes the receivers of a host."""
    if hasattr(os, "getuid"):
        state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    else:
        state = os.environ.get("LOCALAPPDATA") or Path.home()
    return Path(state) / "goedgepickt-async" / f"webhooks-{port}.sqlite3"


class Committer:
    """The thread. It ends when it is told to, or with the process.

    Args:
        connect: Opens the connection; called in the thread, when there is a first step and again after a failure.
        committed: Called in the thread after each commit that changed something.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection], committed: Callable[[], None]) -> None:
        self._connect = connect
        self._committed = committed
        self._steps: queue.SimpleQueue[tuple[Step, Future[Any]] | None] = queue.SimpleQueue()
        self._connection: sqlite3.Connection | None = None
        # A daemon, so that a program that forgets to close its inbox can end: what has no answer yet was not promised.
        self._thread = threading.Thread(target=self._run, name="goedgepickt-inbox", daemon=True)
        self._thread.start()

    def submit(self, step: Callable[[SqliteTable], T]) -> Future[T]:
        """Have a step done; the future is fulfilled when it is committed.

        It fails with `InboxError` where it is not.
        """
        future: Future[T] = Future()
        self._steps.put((step, future))
        return future

    def stop(self) -> None:
        """Let the thread end after what was submitted; it does not wait for that."""
        self._steps.put(None)

    def join(self) -> None:
        """Wait until it has ended."""
        self._thread.join()

    def _run(self) -> None:
        try:
            while self._commit_what_is_there():
                pass
            while not self._steps.empty():  # what the last steps brought about
                self._commit_what_is_there()
        finally:
            self._disconnect()

    def _commit_what_is_there(self) -> bool:
        """Wait for a step, and commit it with all that have come by then; False when told to stop."""
        batch: list[tuple[Step, Future[Any]]] = []
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

    def _commit(self, batch: list[tuple[Step, Future[Any]]]) -> None:
        try:
            results, changed = self._transact([step for step, _ in batch])
        except Exception as error:  # noqa: BLE001  whatever it is, those who wait are told
            self._fail(batch, error)
            return
        for (_, future), result in zip(batch, results, strict=True):
            future.set_result(result)
        if changed:
            self._committed()

    def _fail(self, batch: list[tuple[Step, Future[Any]]], error: Exception) -> None:
        self._disconnect()  # rolls back
        is_the_file = isinstance(error, (sqlite3.OperationalError, InboxError, OSError))
        if len(batch) > 1 and not is_the_file:  # one of the steps may be to blame for it: each by itself
            for one in batch:
                self._commit([one])
            return
        for _, future in batch:
            failure = InboxError(f"the inbox cannot be used: {error}")
            failure.__cause__ = error
            future.set_exception(failure)

    def _transact(self, steps: list[Step]) -> tuple[list[Any], bool]:
        if self._connection is None:
            self._connection = _retry_while_busy(self._connect)
        connection = self._connection
        _retry_while_busy(lambda: connection.execute("BEGIN IMMEDIATE"))
        before = connection.total_changes
        table = SqliteTable(connection)
        results = [step(table) for step in steps]
        _retry_while_busy(lambda: connection.execute("COMMIT"))
        return results, connection.total_changes > before

    def _disconnect(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None


class _Submitted(Executor):
    """What a thread of ours is doing already, as asyncio wants work of threads to be."""

    def __init__(self, future: Future[Any]) -> None:
        self._future = future

    def submit(self, _fn: Callable[..., Any], /, *_args: Any, **_kwargs: Any) -> Future[Any]:
        """Nothing more is to be done."""
        return self._future


def in_this_loop(future: Future[T]) -> asyncio.Future[T]:
    """A step's future, to be awaited.

    It goes through `run_in_executor`, as a loop whose time jumps while all wait (`VirtualClock`) counts the threads at
    work there.
    """
    return asyncio.get_running_loop().run_in_executor(_Submitted(future), future.result)


def _retry_while_busy(act: Callable[[], T]) -> T:
    """Do it, again and again while another process is in the file: SQLite's own patience sleeps too long."""
    until = time.monotonic() + _BUSY_TIMEOUT
    while True:
        try:
            return act()
        except sqlite3.OperationalError as error:
            is_busy = error.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
            if not is_busy or time.monotonic() >= until:
                raise
        time.sleep(random.uniform(0.2, 1.0) * _BUSY_PAUSE)  # noqa: S311  no secret
