"""The inbox of a process that may forget: what lies in it is lost with the process."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence

import attrs

from goedgepickt_async.errors import InboxError
from goedgepickt_async.webhooks.inbox.bell import Bell
from goedgepickt_async.webhooks.inbox.long_poll import long_poll
from goedgepickt_async.webhooks.inbox.protocol import Claim, Entry

__all__ = ["MemoryInbox"]

_LONG = 3600.0

_Line = tuple[str, str]


@attrs.define(eq=False)
class _Row:
    """One entry; `due` counts for the first of its line only."""

    number: int
    entry: Entry
    not_before: float
    due: float = 0.0
    token: str | None = None
    attempts: int = 0


class MemoryInbox:
    """An inbox in memory, with all that the durable one does but surviving. For several loops and threads too.

    Args:
        limit: Entries that it takes at most; what comes over it is refused, and so comes again later.
        clock: Seconds, never going back; for tests.
    """

    is_durable = False

    def __init__(self, *, limit: int = 100_000, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._bell = Bell()
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._tokens = itertools.count(1)
        self._rows: dict[int, _Row] = {}
        self._lines: dict[_Line, deque[_Row]] = {}
        self._heads: dict[str, list[tuple[float, int]]] = {}  # by route; those whose due has changed since are stale
        self._handled: dict[_Line, tuple[str, float]] = {}
        self._given_up = 0

    # -- the protocol -------------------------------------------------------------------------------------------

    async def put(self, entries: Sequence[Entry]) -> int:
        """Keep entries: see `Intake.put`."""
        with self._lock:
            if len(self._rows) + len(entries) > self._limit:
                raise InboxError(f"the inbox is full: {self._limit} entries wait in memory")
            added = sum(self._put(entry, self._clock()) for entry in entries)
        self._bell.ring()
        return added

    async def claim(self, routes: Collection[str], *, limit: int, lease: float, wait: float) -> list[Claim]:
        """Hand out what is due: see `Inbox.claim`."""

        async def look() -> tuple[list[Claim], float]:
            with self._lock:
                return self._claim(sorted(routes), limit, lease, self._clock())

        return await long_poll(look, self._bell, wait)

    async def renew(self, claims: Sequence[Claim], *, lease: float) -> None:
        """Let the leases end later: see `Inbox.renew`."""
        with self._lock:
            for claim in claims:
                if (row := self._row_of(claim)) is not None:
                    self._set_due(row, self._clock() + lease)

    async def finish(self, claim: Claim, *, remember: float = 0.0) -> None:
        """Forget what was handled: see `Inbox.finish`."""
        with self._lock:
            if (row := self._row_of(claim)) is None:
                return
            line = (row.entry.route, row.entry.topic)
            self._handled.pop(line, None)
            if remember > 0:
                self._handled[line] = (row.entry.key, self._clock() + remember)
            self._remove(row)
        self._bell.ring()

    async def postpone(self, claim: Claim, *, delay: float, counts: bool = True) -> None:
        """Hand it back: see `Inbox.postpone`."""
        with self._lock:
            if (row := self._row_of(claim)) is None:
                return
            row.token = None
            row.attempts -= not counts
            self._set_due(row, self._clock() + delay)
        self._bell.ring()

    async def give_up(self, claim: Claim, *, reason: str) -> None:  # noqa: ARG002  there is no place to keep it
        """Forget it: the hook for errors is all that hears of it."""
        with self._lock:
            if (row := self._row_of(claim)) is None:
                return
            self._given_up += 1
            self._remove(row)
        self._bell.ring()

    async def waiting(self, routes: Collection[str]) -> int:
        """How many there are: see `Inbox.waiting`."""
        with self._lock:
            return sum(row.entry.route in routes for row in self._rows.values())

    async def close(self) -> None:
        """There is nothing to close; what lies in it stays."""

    # -- inside, under the lock ---------------------------------------------------------------------------------

    def _put(self, entry: Entry, now: float) -> bool:
        line = (entry.route, entry.topic)
        rows = self._lines.setdefault(line, deque())
        if rows and rows[-1].entry.key == entry.key and rows[-1].token is None:
            rows[-1].attempts = 0  # it was asked for anew, so it gets all its attempts
            return False
        row = _Row(next(self._numbers), entry, max(now + entry.delay, self._quiet_until(line, entry.key, now)))
        self._rows[row.number] = row
        rows.append(row)
        if len(rows) == 1:
            self._set_due(row, row.not_before)
        return True

    def _quiet_until(self, line: _Line, key: str, now: float) -> float:
        while self._handled and self._handled[oldest := next(iter(self._handled))][1] <= now:
            del self._handled[oldest]
        handled, until = self._handled.get(line, ("", 0.0))
        return until if handled == key else 0.0

    def _claim(self, routes: list[str], limit: int, lease: float, now: float) -> tuple[list[Claim], float]:
        claims: list[Claim] = []
        while len(claims) < limit:
            heads = [heap[0] for route in routes if (heap := self._fresh_heads(route))]
            first = min(heads, default=(now + _LONG, 0))
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
        line = (row.entry.route, row.entry.topic)
        rows = self._lines[line]
        assert rows[0] is row, "only the first of a line is handed out"
        rows.popleft()
        del self._rows[row.number]
        if not rows:
            del self._lines[line]
            return
        quiet_until = self._quiet_until(line, rows[0].entry.key, self._clock())
        self._set_due(rows[0], max(rows[0].not_before, quiet_until))

    def _set_due(self, row: _Row, due: float) -> None:
        row.due = due
        heapq.heappush(self._heads.setdefault(row.entry.route, []), (due, row.number))

    def _fresh_heads(self, route: str) -> list[tuple[float, int]]:
        heap = self._heads.get(route, [])
        while heap and ((row := self._rows.get(heap[0][1])) is None or row.due != heap[0][0]):
            heapq.heappop(heap)
        return heap
