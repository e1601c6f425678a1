"""A thread that owns a connection to SQLite and commits many steps at once.

A commit that reaches the disk costs milliseconds, whatever is in it. While one is under way the next steps gather, and
go into the following one together; so the event loop never waits for a disk, and no step waits longer than for two
commits.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import random
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

from goedgepickt_async.errors import InboxError
from goedgepickt_async.webhooks.inbox.sqlite_table import SqliteTable

__all__ = ["Committer", "in_this_loop"]

T = TypeVar("T")
Step = Callable[[SqliteTable], Any]

_AT_ONCE = 1000
"""Steps in one transaction, at most."""
_PATIENCE = 10.0
"""Seconds to wait for other processes that are in the file; they are out again within milliseconds."""
_MOMENT = 0.002
"""Seconds between two tries, at most."""


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
            if len(batch) >= _AT_ONCE:
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
            self._connection = _persistently(self._connect)
        connection = self._connection
        _persistently(lambda: connection.execute("BEGIN IMMEDIATE"))
        before = connection.total_changes
        table = SqliteTable(connection)
        results = [step(table) for step in steps]
        _persistently(lambda: connection.execute("COMMIT"))
        return results, connection.total_changes > before

    def _disconnect(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None


class _UnderWay(Executor):
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
    return asyncio.get_running_loop().run_in_executor(_UnderWay(future), future.result)


def _persistently(act: Callable[[], T]) -> T:
    """Do it, again and again while another process is in the file: SQLite's own patience sleeps too long."""
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            return act()
        except sqlite3.OperationalError as error:
            is_busy = error.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
            if not is_busy or time.monotonic() >= until:
                raise
        time.sleep(random.uniform(0.2, 1.0) * _MOMENT)  # noqa: S311  no secret
