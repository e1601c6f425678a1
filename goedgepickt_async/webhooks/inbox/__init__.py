"""The inbox, where deliveries wait between the response and the handler: its interface, and the inbox in memory."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Final, Protocol, Self

import attrs

from goedgepickt_async.errors import InboxError

__all__ = [
    "Claim",
    "FailedEntry",
    "Inbox",
    "InboxEntry",
    "InboxStatus",
    "Intake",
    "MemoryInbox",
    "Notifier",
    "long_poll",
]


@attrs.frozen(kw_only=True)
class InboxEntry:
    """One delivery for one handler.

    Attributes:
        handler: The handler's name, which is the same in the next process.
        ordering_key: Entries with the same key are handled one at a time, in the order of arrival.
        dedup_key: Entries with the same ordering key and the same dedup key ask for the same work.
        body: The verified bytes of the delivery.
        delay: Seconds to wait before it is handed out, so that equal entries can be combined.
    """

    handler: str
    ordering_key: str
    dedup_key: str
    body: bytes = attrs.field(repr=False)
    delay: float = 0.0

    def dump(self) -> dict[str, Any]:
        """Values that JSON can hold, for a task queue."""
        return {**attrs.asdict(self), "body": self.body.decode()}

    @classmethod
    def load(cls, dumped: Mapping[str, Any]) -> Self:
        """The entry from which `dump` made these values."""
        return cls(**{**dumped, "body": dumped["body"].encode()})


@attrs.frozen(kw_only=True)
class Claim:
    """An entry that was handed out, until its lease ends.

    Attributes:
        entry: The entry.
        id: Its number in the inbox.
        token: Distinguishes this claim from other claims of the same entry.
        attempt: The delivery attempt, starting at 1.
    """

    entry: InboxEntry
    id: int | str
    token: str
    attempt: int


@attrs.frozen(kw_only=True)
class FailedEntry:
    """An entry that was given up.

    Attributes:
        id: Its number, for `requeue_failed` and `drop_failed`.
        entry: The entry.
        reason: The type of the last error.
        failed_at: When it was given up, in seconds since the epoch.
        attempts: The number of attempts; 0 if it is not known.
    """

    id: int
    entry: InboxEntry
    reason: str
    failed_at: float
    attempts: int


@attrs.frozen(kw_only=True)
class InboxStatus:
    """The state of an inbox, for metrics.

    Attributes:
        waiting: Entries that wait or are being handled.
        oldest_age: Seconds since the oldest of these was stored; 0 if no entry waits.
        failed: Entries that were given up.
        used: The size, in bytes; 0 if it is not known.
        limit: The largest size, in bytes; 0 for no limit.
    """

    waiting: int
    oldest_age: float
    failed: int
    used: int = 0
    limit: int = 0

    @property
    def is_full(self) -> bool:
        """Whether the size is at its limit, so that deliveries are answered with 503."""
        return 0 < self.limit <= self.used


class Intake(Protocol):
    """The part of an inbox that the response needs. A task queue needs no more, since it has its own workers."""

    async def put(self, entries: Sequence[InboxEntry]) -> int:
        """Store entries, all or none. When this returns, they are as durable as the inbox promises.

        An entry may be dropped if the last entry of its ordering key has the same dedup key and still waits. The
        handler of that entry reads later than now. It must not be dropped because an equal entry is being handled or
        was handled: it may report a change that came after that.

        Returns:
            The number of entries that were not dropped.

        Raises:
            Exception: They were not stored. The response is 503, and the service sends the delivery again.
        """
        ...


class Inbox(Intake, Protocol):
    """An inbox with workers that claim its entries. Several receivers and processes can share one.

    All calls can be cancelled. A call with a claim that expired and was handed out again does nothing.

    Attributes:
        is_durable: Whether its entries survive this process.
    """

    is_durable: bool

    async def claim(self, handlers: Collection[str], *, limit: int, lease: float, wait: float) -> list[Claim]:
        """Claim entries that are due. Until the lease ends, no other caller gets them.

        When the call is cancelled, entries that it took are handed back.

        Args:
            handlers: The names of the handlers.
            limit: The largest number of entries.
            lease: Seconds until the claims expire.
            wait: The longest time to wait for a first entry, in seconds.
        """
        ...

    async def renew(self, claims: Sequence[Claim], *, lease: float) -> None:
        """Let the claims expire `lease` seconds from now."""
        ...

    async def finish(self, claim: Claim, *, dedup_window: float = 0.0) -> None:
        """Remove an entry that was handled.

        Args:
            claim: The claim.
            dedup_window: Seconds in which an equal entry is stored but not handed out. So a burst of equal deliveries is
                handled twice instead of ten times.
        """
        ...

    async def postpone(self, claim: Claim, *, delay: float, counts: bool = True) -> None:
        """Hand an entry back.

        Args:
            claim: The claim.
            delay: Seconds until it is handed out again.
            counts: Whether the attempt counts.
        """
        ...

    async def give_up(self, claim: Claim, *, reason: str) -> None:
        """Set an entry aside as failed, so that the next one of its ordering key can go. A durable inbox keeps it."""
        ...

    async def waiting(self, handlers: Collection[str]) -> int:
        """The number of entries for these handlers, handed out or not, without failed ones."""
        ...

    async def close(self) -> None:
        """Close files and threads. The entries stay, and the next call opens the inbox again."""
        ...


# -- waiting for entries -----------------------------------------------------------------------------------------------

_SHORTEST_WAIT: Final = 0.001


class Notifier:
    """A condition variable for tasks in any event loop and any thread. Each `notify` increases `version`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiters: set[asyncio.Future[None]] = set()
        self.version: int = 0

    def notify(self) -> None:
        """Wake all waiting tasks; callable from any thread."""
        with self._lock:
            self.version += 1
            waiters, self._waiters = self._waiters, set()
        for waiter in waiters:
            with contextlib.suppress(RuntimeError):  # its event loop is closed
                waiter.get_loop().call_soon_threadsafe(_wake, waiter)

    async def wait(self, version: int, seconds: float) -> None:
        """Return when `version` is no longer current, or after this number of seconds."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        with self._lock:
            if self.version != version:
                return
            self._waiters.add(waiter)
        try:
            await asyncio.wait([waiter], timeout=seconds)
        finally:
            with self._lock:
                self._waiters.discard(waiter)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


async def long_poll(
    look: Callable[[], Awaitable[tuple[list[Claim], float]]], notifier: Notifier, wait: float
) -> list[Claim]:
    """Call `look` until it returns claims, for `wait` seconds at most.

    It also returns the seconds until it must be called again. The notifier says when there may be something new.
    """
    until = time.monotonic() + wait
    while True:
        version = notifier.version
        claims, again_in = await look()
        left = until - time.monotonic()
        if claims or left <= 0:
            return claims
        await notifier.wait(version, min(left, max(again_in, _SHORTEST_WAIT)))


# -- the inbox in memory -----------------------------------------------------------------------------------------------

_NO_ENTRY_DUE = 3600.0
_KEPT_FAILED = 1000


_Line = tuple[str, str]  # handler and ordering key


@attrs.define(eq=False)
class _Row:
    """One entry. `due` is valid only for the first row of its line."""

    number: int
    entry: InboxEntry
    not_before: float
    due: float = 0.0
    stored: float = 0.0
    token: str | None = None
    attempts: int = 0


class MemoryInbox:
    """An inbox in memory: all features of `SqliteInbox` except durability. Usable from several loops and threads.

    Args:
        limit: The largest number of entries. More are refused with `InboxError`, and the service sends them again.
        clock: A monotonic clock, in seconds; for tests.
    """

    is_durable = False

    def __init__(self, *, limit: int = 100_000, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._notifier = Notifier()
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._tokens = itertools.count(1)
        self._rows: dict[int, _Row] = {}
        self._lines: dict[_Line, deque[_Row]] = {}
        self._heads: dict[str, list[tuple[float, int]]] = {}  # by handler; an item whose due time changed is stale
        self._handled: dict[_Line, tuple[str, float]] = {}
        self._failed: dict[int, FailedEntry] = {}

    # -- the protocol -------------------------------------------------------------------------------------------

    async def put(self, entries: Sequence[InboxEntry]) -> int:
        """Store entries: see `Intake.put`."""
        with self._lock:
            if len(self._rows) + len(entries) > self._limit:
                raise InboxError(f"the inbox is full: {self._limit} entries wait in memory")
            added = sum(self._put(entry, self._clock()) for entry in entries)
        self._notifier.notify()
        return added

    async def claim(self, handlers: Collection[str], *, limit: int, lease: float, wait: float) -> list[Claim]:
        """Claim entries that are due: see `Inbox.claim`."""

        async def look() -> tuple[list[Claim], float]:
            with self._lock:
                return self._claim(sorted(handlers), limit, lease, self._clock())

        return await long_poll(look, self._notifier, wait)

    async def renew(self, claims: Sequence[Claim], *, lease: float) -> None:
        """Extend the leases: see `Inbox.renew`."""
        with self._lock:
            for claim in claims:
                if (row := self._row_of(claim)) is not None:
                    self._set_due(row, self._clock() + lease)

    async def finish(self, claim: Claim, *, dedup_window: float = 0.0) -> None:
        """Remove a handled entry: see `Inbox.finish`."""
        with self._lock:
            if (row := self._row_of(claim)) is None:
                return
            line = (row.entry.handler, row.entry.ordering_key)
            self._handled.pop(line, None)
            if dedup_window > 0:
                self._handled[line] = (row.entry.dedup_key, self._clock() + dedup_window)
            self._remove(row)
        self._notifier.notify()

    async def postpone(self, claim: Claim, *, delay: float, counts: bool = True) -> None:
        """Return an entry to the inbox: see `Inbox.postpone`."""
        with self._lock:
            if (row := self._row_of(claim)) is None:
                return
            row.token = None
            row.attempts -= not counts
            self._set_due(row, self._clock() + delay)
        self._notifier.notify()

    async def give_up(self, claim: Claim, *, reason: str) -> None:
        """Mark an entry as failed; the last thousand failed entries are kept."""
        with self._lock:
            if (row := self._row_of(claim)) is None:
                return
            failed = FailedEntry(
                id=row.number, entry=row.entry, reason=reason, failed_at=time.time(), attempts=claim.attempt
            )
            self._failed[row.number] = failed
            if len(self._failed) > _KEPT_FAILED:
                del self._failed[next(iter(self._failed))]
            self._remove(row)
        self._notifier.notify()

    async def waiting(self, handlers: Collection[str]) -> int:
        """The number of entries: see `Inbox.waiting`."""
        with self._lock:
            return sum(row.entry.handler in handlers for row in self._rows.values())

    async def failed(self, *, limit: int = 1000) -> list[FailedEntry]:
        """The entries that were given up: see `SqliteInbox.failed`."""
        with self._lock:
            return list(self._failed.values())[:limit]

    async def requeue_failed(self, ids: Collection[int] | None = None) -> int:
        """Put failed entries back: see `SqliteInbox.requeue_failed`."""
        with self._lock:
            chosen = self._take_failed(ids)
            for one in chosen:
                self._put(attrs.evolve(one.entry, delay=0.0), self._clock())
        self._notifier.notify()
        return len(chosen)

    async def drop_failed(self, ids: Collection[int] | None = None) -> int:
        """Delete failed entries: see `SqliteInbox.drop_failed`."""
        with self._lock:
            return len(self._take_failed(ids))

    async def status(self) -> InboxStatus:
        """The current numbers, for metrics."""
        with self._lock:
            oldest = next(iter(self._rows.values()), None)
            age = 0.0 if oldest is None else max(0.0, self._clock() - oldest.stored)
            return InboxStatus(waiting=len(self._rows), oldest_age=age, failed=len(self._failed))

    async def close(self) -> None:
        """Nothing to close. The entries stay."""

    # -- inside, under the lock ---------------------------------------------------------------------------------

    def _put(self, entry: InboxEntry, now: float) -> bool:
        line = (entry.handler, entry.ordering_key)
        rows = self._lines.setdefault(line, deque())
        if rows and rows[-1].entry.dedup_key == entry.dedup_key and rows[-1].token is None:
            rows[-1].attempts = 0  # it was requested again, so it has all its attempts again
            return False
        quiet_until = self._quiet_until(line, entry.dedup_key, now)
        row = _Row(next(self._numbers), entry, max(now + entry.delay, quiet_until), stored=now)
        self._rows[row.number] = row
        rows.append(row)
        if len(rows) == 1:
            self._set_due(row, row.not_before)
        return True

    def _take_failed(self, ids: Collection[int] | None) -> list[FailedEntry]:
        chosen = [number for number in self._failed if ids is None or number in ids]
        return [self._failed.pop(number) for number in chosen]

    def _quiet_until(self, line: _Line, key: str, now: float) -> float:
        while self._handled and self._handled[oldest := next(iter(self._handled))][1] <= now:
            del self._handled[oldest]
        handled, until = self._handled.get(line, ("", 0.0))
        return until if handled == key else 0.0

    def _claim(self, handlers: list[str], limit: int, lease: float, now: float) -> tuple[list[Claim], float]:
        claims: list[Claim] = []
        while len(claims) < limit:
            heads = [heap[0] for handler in handlers if (heap := self._fresh_heads(handler))]
            first = min(heads, default=(now + _NO_ENTRY_DUE, 0))
            if first[0] > now:
                return claims, first[0] - now
            claims.append(self._hand_out(self._rows[first[1]], now + lease))
        return claims, 0.0

    def _hand_out(self, row: _Row, until: float) -> Claim:
        row.token = str(next(self._tokens))
        row.attempts += 1
        self._set_due(row, until)
        return Claim(entry=row.entry, id=row.number, token=row.token, attempt=row.attempts)

    def _row_of(self, claim: Claim) -> _Row | None:
        row = self._rows.get(claim.id) if isinstance(claim.id, int) else None
        return row if row is not None and row.token == claim.token else None

    def _remove(self, row: _Row) -> None:
        line = (row.entry.handler, row.entry.ordering_key)
        rows = self._lines[line]
        assert rows[0] is row, "only the first row of a line is handed out"
        rows.popleft()
        del self._rows[row.number]
        if not rows:
            del self._lines[line]
            return
        quiet_until = self._quiet_until(line, rows[0].entry.dedup_key, self._clock())
        self._set_due(rows[0], max(rows[0].not_before, quiet_until))

    def _set_due(self, row: _Row, due: float) -> None:
        row.due = due
        heapq.heappush(self._heads.setdefault(row.entry.handler, []), (due, row.number))

    def _fresh_heads(self, handler: str) -> list[tuple[float, int]]:
        heap = self._heads.get(handler, [])
        while heap and ((row := self._rows.get(heap[0][1])) is None or row.due != heap[0][0]):
            heapq.heappop(heap)
        return heap
