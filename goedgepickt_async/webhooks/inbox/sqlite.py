"""The durable inbox: a file of SQLite, for one process or for several on one host."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import TypeVar

from goedgepickt_async.errors import InboxError
from goedgepickt_async.webhooks.inbox.bell import Bell
from goedgepickt_async.webhooks.inbox.committer import Committer, in_this_loop
from goedgepickt_async.webhooks.inbox.long_poll import long_poll
from goedgepickt_async.webhooks.inbox.protocol import Claim, Entry
from goedgepickt_async.webhooks.inbox.sqlite_table import SCHEMA, VERSION, SqliteTable

__all__ = ["SqliteInbox"]

T = TypeVar("T")


class SqliteInbox:
    """An inbox in a file: what it took survives a crash of the process and, unless told otherwise, of the machine.

    It may be used from several event loops and threads, and by several processes of one host at once; not over a
    network file system. It opens the file at the first call, and again after `close` or in a forked child.

    Args:
        path: The file; it is made, with its directory, for this user alone. It holds the bodies of deliveries until
            they are handled, and of those that were given up until they are revived.
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
        self._bell = Bell()
        self._lock = threading.Lock()
        self._committer: Committer | None = None
        self._opened_in = 0

    def __repr__(self) -> str:
        return f"<SqliteInbox {self.path}>"

    def __del__(self) -> None:
        if self._committer is not None and self._opened_in == os.getpid():
            self._committer.stop()

    # -- the protocol -------------------------------------------------------------------------------------------

    async def put(self, entries: Sequence[Entry]) -> int:
        """Keep entries: see `Intake.put`."""
        return await self._do(lambda table: table.put(entries, self._clock()))

    async def claim(self, routes: Collection[str], *, limit: int, lease: float, wait: float) -> list[Claim]:
        """Hand out what is due: see `Inbox.claim`."""
        names = sorted(routes)
        return await long_poll(lambda: self._look(names, limit, lease), self._bell, wait)

    async def renew(self, claims: Sequence[Claim], *, lease: float) -> None:
        """Let the leases end later: see `Inbox.renew`."""
        await self._do(lambda table: table.renew(claims, lease, self._clock()))

    async def finish(self, claim: Claim, *, remember: float = 0.0) -> None:
        """Forget what was handled: see `Inbox.finish`."""
        await self._do(lambda table: table.finish(claim, remember, self._clock()))

    async def postpone(self, claim: Claim, *, delay: float, counts: bool = True) -> None:
        """Hand it back: see `Inbox.postpone`."""
        await self._do(lambda table: table.postpone(claim, delay, self._clock(), counts=counts))

    async def give_up(self, claim: Claim, *, reason: str) -> None:
        """Put it aside; `revive` takes it up again: see `Inbox.give_up`."""
        await self._do(lambda table: table.give_up(claim, reason, self._clock()))

    async def waiting(self, routes: Collection[str]) -> int:
        """How many there are: see `Inbox.waiting`."""
        return await self._do(lambda table: table.waiting(routes))

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

    async def revive(self) -> int:
        """Take up again all that was put aside, when the reason is mended; how many."""
        return await self._do(lambda table: table.revive(self._clock()))

    async def strays(self, routes: Collection[str]) -> dict[str, int]:
        """How many entries lie there for handlers that are none of these, by their names."""
        return await self._do(lambda table: table.strays(routes))

    # -- inside -------------------------------------------------------------------------------------------------

    async def _do(self, step: Callable[[SqliteTable], T]) -> T:
        return await in_this_loop(self._submit(step))

    def _submit(self, step: Callable[[SqliteTable], T]) -> Future[T]:
        with self._lock:
            return self._opened().submit(step)

    def _opened(self) -> Committer:
        if self._committer is None or self._opened_in != os.getpid():
            self._committer = Committer(partial(_connect, self.path, self._synchronous), self._bell.ring)
            self._opened_in = os.getpid()
        return self._committer

    async def _look(self, routes: list[str], limit: int, lease: float) -> tuple[list[Claim], float]:
        with self._lock:
            committer = self._opened()
            step = committer.submit(lambda table: self._claim(table, routes, limit, lease))
        try:
            return await asyncio.shield(in_this_loop(step))
        except asyncio.CancelledError:
            step.add_done_callback(partial(self._hand_back, committer))
            raise

    def _claim(self, table: SqliteTable, routes: list[str], limit: int, lease: float) -> tuple[list[Claim], float]:
        now = self._clock()
        claims = table.claim(routes, limit, lease, now)
        due = None if claims else table.next_due(routes)
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
