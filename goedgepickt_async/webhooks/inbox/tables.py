"""The inbox as tables of SQLite: what each step reads and writes. Each runs inside a transaction of its caller's.

Of each line of entries (one route, one topic) the first one alone has a time in `due`, so that claiming looks at an
index of those that may be handed out and at nothing else. A claim moves `due` to the end of its lease: whoever dies
with it has handed it back by that.

The times are the wall clock's, which alone survives a reboot, and which may be set back: then all that is there moves
with it, or it would lie for as long as the clock was set back.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Collection, Sequence
from typing import Any

from goedgepickt_async.webhooks.inbox.protocol import Claim, InboxEntry

__all__ = ["SCHEMA", "VERSION", "SqliteTable"]

VERSION = 1
"""Of the schema, in the file's `user_version`."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    route TEXT NOT NULL, topic TEXT NOT NULL, key TEXT NOT NULL, body BLOB NOT NULL,
    not_before REAL NOT NULL,            -- when it may be handed out, once it is the first of its line
    due REAL,                            -- when it may be handed out; NULL behind the first of its line
    token TEXT,                          -- of the claim, while it is handed out
    attempts INTEGER NOT NULL DEFAULT 0  -- how often it was handed out
);
CREATE INDEX IF NOT EXISTS entries_by_line ON entries (route, topic, id);
CREATE INDEX IF NOT EXISTS entries_by_due ON entries (route, due, id) WHERE due IS NOT NULL;
CREATE TABLE IF NOT EXISTS handled (     -- the last one of each line, for a short while
    route TEXT NOT NULL, topic TEXT NOT NULL, key TEXT NOT NULL, until REAL NOT NULL, PRIMARY KEY (route, topic)
);
CREATE INDEX IF NOT EXISTS handled_by_until ON handled (until);
CREATE TABLE IF NOT EXISTS failed (      -- put aside
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    route TEXT NOT NULL, topic TEXT NOT NULL, key TEXT NOT NULL, body BLOB NOT NULL,
    reason TEXT NOT NULL, at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS clock (       -- one row: when something was last written here
    id INTEGER PRIMARY KEY CHECK (id = 1), seen REAL NOT NULL
);
INSERT OR IGNORE INTO clock (id, seen) VALUES (1, 0);
"""

_SET_BACK = 1.0
"""Seconds; a clock that is further behind than this was set back."""


class SqliteTable:
    """The steps. Times are seconds since the epoch.

    Args:
        connection: Whose transactions are begun and ended by the caller.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._sql = connection.execute

    def put(self, entries: Sequence[InboxEntry], now: float) -> int:
        """Add entries, but for those whose equal waits; the number of those added."""
        self._follow_the_clock(now)
        self._sql("DELETE FROM handled WHERE until <= ?", (now,))
        added = sum(self._put(entry, now) for entry in entries)
        if added:  # what was dropped writes nothing, and so waits for no disk
            self._see_the_clock(now)
        return added

    def _put(self, entry: InboxEntry, now: float) -> bool:
        line = (entry.handler, entry.ordering_key)
        last = self._sql(
            "SELECT id, key, token, attempts FROM entries WHERE route = ? AND topic = ? ORDER BY id DESC LIMIT 1", line
        ).fetchone()
        if last is not None and last[1] == entry.dedup_key and last[2] is None:
            if last[3]:  # it failed before: it was asked for anew, so it gets all its attempts
                self._sql("UPDATE entries SET attempts = 0 WHERE id = ?", last[:1])
            return False
        not_before = max(now + entry.delay, self._quiet_until(line, entry.dedup_key))
        self._sql(
            "INSERT INTO entries (route, topic, key, body, not_before, due) VALUES (?, ?, ?, ?, ?, ?)",
            (*line, entry.dedup_key, entry.body, not_before, not_before if last is None else None),
        )
        return True

    def _quiet_until(self, line: tuple[str, str], key: str) -> float:
        row = self._sql("SELECT key, until FROM handled WHERE route = ? AND topic = ?", line).fetchone()
        return row[1] if row is not None and row[0] == key else 0.0

    def claim(self, routes: Collection[str], limit: int, lease: float, now: float) -> list[Claim]:
        """Hand out what is due, the longest due first."""
        self._follow_the_clock(now)
        rows: list[tuple[Any, ...]] = []
        for route in routes:
            rows += self._sql(
                "SELECT due, id, route, topic, key, body, attempts FROM entries"
                " WHERE route = ? AND due <= ? ORDER BY due, id LIMIT ?",
                (route, now, limit),
            )
        rows.sort(key=lambda row: row[:2])
        if rows:  # looking alone writes nothing, and so waits for no disk
            self._see_the_clock(now)
        return [self._hand_out(row, now + lease) for row in rows[:limit]]

    def _hand_out(self, row: tuple[Any, ...], until: float) -> Claim:
        _, number, route, topic, key, body, attempts = row
        token = uuid.uuid4().hex
        self._sql("UPDATE entries SET due = ?, token = ?, attempts = attempts + 1 WHERE id = ?", (until, token, number))
        entry = InboxEntry(handler=route, ordering_key=topic, dedup_key=key, body=bytes(body))
        return Claim(entry=entry, id=number, token=token, attempt=attempts + 1)

    def next_due(self, routes: Collection[str]) -> float | None:
        """When the next one may be handed out."""
        dues = [self._sql("SELECT min(due) FROM entries WHERE route = ?", (route,)).fetchone()[0] for route in routes]
        return min((due for due in dues if due is not None), default=None)

    def renew(self, claims: Sequence[Claim], lease: float, now: float) -> None:
        """Move the ends of leases."""
        self._heed_the_clock(now)
        for claim in claims:
            self._sql("UPDATE entries SET due = ? WHERE id = ? AND token = ?", (now + lease, claim.id, claim.token))

    def finish(self, claim: Claim, dedup_window: float, now: float) -> bool:
        """Forget it, and let the next of its line come forward; whether it was still this claim's."""
        self._heed_the_clock(now)
        if not self._delete(claim):
            return False
        entry = claim.entry
        if dedup_window > 0:
            self._sql(
                "INSERT OR REPLACE INTO handled (route, topic, key, until) VALUES (?, ?, ?, ?)",
                (entry.handler, entry.ordering_key, entry.dedup_key, now + dedup_window),
            )
        else:
            self._sql("DELETE FROM handled WHERE route = ? AND topic = ?", (entry.handler, entry.ordering_key))
        self._promote((entry.handler, entry.ordering_key))
        return True

    def _delete(self, claim: Claim) -> bool:
        return self._sql("DELETE FROM entries WHERE id = ? AND token = ?", (claim.id, claim.token)).rowcount > 0

    def _promote(self, line: tuple[str, str]) -> None:
        following = self._sql(
            "SELECT id, key, not_before FROM entries WHERE route = ? AND topic = ? ORDER BY id LIMIT 1", line
        ).fetchone()
        if following is not None:
            due = max(following[2], self._quiet_until(line, following[1]))
            self._sql("UPDATE entries SET due = ? WHERE id = ?", (due, following[0]))

    def postpone(self, claim: Claim, delay: float, now: float, *, counts: bool) -> bool:
        """Hand it back; whether it was still this claim's."""
        self._heed_the_clock(now)
        changed = self._sql(
            "UPDATE entries SET due = ?, token = NULL, attempts = attempts - ? WHERE id = ? AND token = ?",
            (now + delay, 0 if counts else 1, claim.id, claim.token),
        )
        return changed.rowcount > 0

    def give_up(self, claim: Claim, reason: str, now: float) -> bool:
        """Put it aside; whether it was still this claim's."""
        if not self._delete(claim):
            return False
        entry = claim.entry
        self._sql(
            "INSERT INTO failed (route, topic, key, body, reason, at) VALUES (?, ?, ?, ?, ?, ?)",
            (entry.handler, entry.ordering_key, entry.dedup_key, entry.body, reason, now),
        )
        self._promote((entry.handler, entry.ordering_key))
        return True

    def requeue_failed(self, now: float) -> int:
        """Put back all that was put aside; how many."""
        rows = self._sql("SELECT route, topic, key, body FROM failed ORDER BY id").fetchall()
        self.put(
            [InboxEntry(handler=row[0], ordering_key=row[1], dedup_key=row[2], body=bytes(row[3])) for row in rows], now
        )
        self._sql("DELETE FROM failed")
        return len(rows)

    def waiting(self, routes: Collection[str]) -> int:
        """How many there are."""
        counts = [self._sql("SELECT count(*) FROM entries WHERE route = ?", (route,)).fetchone()[0] for route in routes]
        return sum(counts)

    def failed(self) -> int:
        """How many were put aside."""
        count: int = self._sql("SELECT count(*) FROM failed").fetchone()[0]
        return count

    def orphans(self, routes: Collection[str]) -> dict[str, int]:
        """How many there are for other routes, by route."""
        rows = self._sql("SELECT route, count(*) FROM entries GROUP BY route").fetchall()
        return {route: count for route, count in rows if route not in routes}

    def _heed_the_clock(self, now: float) -> None:
        """Before times are written."""
        self._follow_the_clock(now)
        self._see_the_clock(now)

    def _see_the_clock(self, now: float) -> None:
        self._sql("UPDATE clock SET seen = ?", (now,))

    def _follow_the_clock(self, now: float) -> None:
        """If the clock was set back, set back with it all that waits for a time."""
        (seen,) = self._sql("SELECT seen FROM clock").fetchone()
        behind = seen - now
        if behind <= _SET_BACK:
            return
        self._sql("UPDATE entries SET not_before = not_before - ?, due = due - ?", (behind, behind))
        self._sql("UPDATE handled SET until = until - ?", (behind,))
        self._see_the_clock(now)
