"""The tables of `SqliteInbox`: what each step reads and writes. Each step runs inside a transaction of its caller's.

A line is all entries with the same handler and ordering key. Only its first entry has a `due` time, so that a claim
reads an index of entries that can be handed out. A claim moves `due` to the end of its lease: the entries of a process that dies are
then due again.

Times are wall-clock times, since only these survive a reboot. If the clock is set back, all stored times move with it.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from typing import Any, Final

from goedgepickt_async._sqlite import sqlite3
from goedgepickt_async.webhooks.inbox import Claim, FailedEntry, InboxEntry, InboxStatus

__all__ = [
    "SCHEMA",
    "VERSION",
    "DamagedError",
    "SqliteTable",
    "UnusableFileError",
    "check_purpose",
    "migrate",
    "salvage",
    "sizes",
]

VERSION: Final = 2
"""The version of the schema, in the file's `user_version`."""
_HIGHEST_PLAUSIBLE_VERSION: Final = 100

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS entries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    handler TEXT NOT NULL, ordering_key TEXT NOT NULL, dedup_key TEXT NOT NULL, body BLOB NOT NULL,
    not_before REAL NOT NULL,             -- when it may be handed out, once it is the first of its line
    due REAL,                             -- when it may be handed out; NULL behind the first of its line
    token TEXT,                           -- of the claim, while it is handed out
    attempts INTEGER NOT NULL DEFAULT 0,  -- how often it was handed out
    stored REAL NOT NULL DEFAULT 0        -- when it was put here
);
CREATE INDEX IF NOT EXISTS entries_by_line ON entries (handler, ordering_key, id);
CREATE INDEX IF NOT EXISTS entries_by_due ON entries (handler, due, id) WHERE due IS NOT NULL;
CREATE TABLE IF NOT EXISTS handled (      -- the last one of each line, for the dedup window
    handler TEXT NOT NULL, ordering_key TEXT NOT NULL, dedup_key TEXT NOT NULL, until REAL NOT NULL,
    PRIMARY KEY (handler, ordering_key)
);
CREATE INDEX IF NOT EXISTS handled_by_until ON handled (until);
CREATE TABLE IF NOT EXISTS failed (       -- given up
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    handler TEXT NOT NULL, ordering_key TEXT NOT NULL, dedup_key TEXT NOT NULL, body BLOB NOT NULL,
    reason TEXT NOT NULL, at REAL NOT NULL, attempts INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS clock (        -- one row: when something was last written here
    id INTEGER PRIMARY KEY CHECK (id = 1), seen REAL NOT NULL
);
INSERT OR IGNORE INTO clock (id, seen) VALUES (1, 0);
"""

_FROM_VERSION_1: Final = """
ALTER TABLE entries RENAME COLUMN route TO handler;
ALTER TABLE entries RENAME COLUMN topic TO ordering_key;
ALTER TABLE entries RENAME COLUMN key TO dedup_key;
ALTER TABLE entries ADD COLUMN stored REAL NOT NULL DEFAULT 0;
UPDATE entries SET stored = (SELECT seen FROM clock);
ALTER TABLE handled RENAME COLUMN route TO handler;
ALTER TABLE handled RENAME COLUMN topic TO ordering_key;
ALTER TABLE handled RENAME COLUMN key TO dedup_key;
ALTER TABLE failed RENAME COLUMN route TO handler;
ALTER TABLE failed RENAME COLUMN topic TO ordering_key;
ALTER TABLE failed RENAME COLUMN key TO dedup_key;
ALTER TABLE failed ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;
"""

_TABLES: Final = {"entries", "handled", "failed", "clock"}

_CLOCK_TOLERANCE: Final = 1.0
"""Seconds; a clock that is further behind than this was set back."""


class DamagedError(sqlite3.DatabaseError):
    """A row holds values that were never written there."""


class UnusableFileError(Exception):
    """A later version of this package made the file, or another program."""


def check_purpose(connection: sqlite3.Connection) -> None:
    """Refuse the database of another program, which has other tables; nothing is written."""
    query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!'"
    found = {name for (name,) in connection.execute(query)}
    if found - _TABLES and len(found & _TABLES) < 2:  # one name may be damaged, and one the same by chance
        raise UnusableFileError("it is a database of another program")


def migrate(connection: sqlite3.Connection) -> None:
    """Create the tables, or update the tables of an earlier version, in one transaction."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    (version,) = connection.execute("PRAGMA user_version").fetchone()  # another process may have been first
    if version < 0 or version > _HIGHEST_PLAUSIBLE_VERSION:
        raise DamagedError(f"the file has the impossible version {version}")
    if version > VERSION:
        raise UnusableFileError(f"the file has version {version}; this goedgepickt-async knows up to {VERSION}")
    script = _FROM_VERSION_1 if version == 1 else SCHEMA if version == 0 else ""
    for statement in script.split(";\n"):
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def salvage(connection: sqlite3.Connection) -> Iterator[tuple[InboxEntry, str | None]]:
    """What can be read of a damaged file: entries, and failed ones with their reason. Unreadable rows are left out."""
    connection.text_factory = partial(str, encoding="utf-8", errors="replace")  # a damaged key is still a key
    for table, reason in (("entries", "NULL"), ("failed", "reason")):
        for columns in ("handler, ordering_key, dedup_key", "route, topic, key"):  # this version, and version 1
            for row in _rows_that_can_be_read(connection, f"SELECT {columns}, body, {reason} FROM {table}"):  # noqa: S608
                with contextlib.suppress(DamagedError):
                    yield _entry(*row[:4]), None if reason == "NULL" else str(row[4])


def _rows_that_can_be_read(connection: sqlite3.Connection, query: str) -> Iterator[tuple[Any, ...]]:
    """The rows of a table, in the order of their ids, from both ends towards what cannot be read."""
    seen: set[int] = set()
    for order in ("ASC", "DESC"):
        rows: list[tuple[Any, ...]] = []
        try:
            cursor = connection.execute(query.replace(" FROM", ", rowid FROM") + f" NOT INDEXED ORDER BY rowid {order}")
            for row in cursor:
                if row[-1] in seen:
                    break
                seen.add(row[-1])
                rows.append(row)
        except (sqlite3.Error, OverflowError, ValueError, MemoryError):
            pass
        yield from rows if order == "ASC" else reversed(rows)


class SqliteTable:
    """The steps of one transaction, which the caller begins and ends. Times are seconds since the epoch.

    Each statement lets the event loop's thread run and then waits for it, so there are as few as possible.
    """

    def __init__(self, connection: sqlite3.Connection, now: float) -> None:
        self._connection = connection
        self._sql = connection.execute
        self._now = now
        self._has_followed_clock = self._has_recorded_clock = self._has_dropped_old = False

    def put(self, entries: Sequence[InboxEntry]) -> int:
        """Add entries, except those whose equal waits; the number of those added."""
        self._follow_clock()
        if not self._has_dropped_old:
            # A few at a time: more are deleted than added, and a transaction stays small on a full disk.
            old = "SELECT rowid FROM handled WHERE until <= ? ORDER BY until LIMIT ?"
            limit = 4 + 2 * len(entries)
            dropped = self._sql(f"DELETE FROM handled WHERE rowid IN ({old})", (self._now, limit)).rowcount  # noqa: S608
            self._has_dropped_old = dropped < limit
        added = sum(self._put(entry) for entry in entries)
        if added:  # otherwise nothing is written, and no disk is waited for
            self._record_clock()
        return added

    def _put(self, entry: InboxEntry) -> bool:
        line = (entry.handler, entry.ordering_key)
        quiet_until, last, *state = self._sql(
            "SELECT (SELECT until FROM handled WHERE handler = ? AND ordering_key = ? AND dedup_key = ?),"
            " id, dedup_key, token, attempts FROM (SELECT 1) LEFT JOIN (SELECT id, dedup_key, token, attempts"
            " FROM entries WHERE handler = ? AND ordering_key = ? ORDER BY id DESC LIMIT 1)",
            (*line, entry.dedup_key, *line),  # by order: Python 3.14 refuses numbered places for a sequence
        ).fetchone()
        if last is not None and state[:2] == [entry.dedup_key, None]:
            if state[2]:  # it failed before: it was requested again, so it has all its attempts again
                self._sql("UPDATE entries SET attempts = 0 WHERE id = ?", (last,))
            return False
        not_before = max(self._now + entry.delay, quiet_until or 0.0)
        self._sql(
            "INSERT INTO entries (handler, ordering_key, dedup_key, body, not_before, due, stored)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*line, entry.dedup_key, entry.body, not_before, not_before if last is None else None, self._now),
        )
        return True

    def claim(self, handlers: Collection[str], limit: int, lease: float) -> list[Claim]:
        """Hand out what is due, in the order of `due`."""
        self._follow_clock()
        rows: list[tuple[Any, ...]] = []
        for handler in handlers:
            rows += self._sql(
                "SELECT due, id, attempts, handler, ordering_key, dedup_key, body FROM entries"
                " WHERE handler = ? AND due <= ? ORDER BY due, id LIMIT ?",
                (handler, self._now, limit),
            )
        rows.sort(key=lambda row: row[:2])
        if rows:  # otherwise nothing is written, and no disk is waited for
            self._record_clock()
        return [self._hand_out(row, self._now + lease) for row in rows[:limit]]

    def _hand_out(self, row: tuple[Any, ...], until: float) -> Claim:
        _, number, attempts, *content = row
        if not isinstance(attempts, int):
            raise DamagedError(f"the attempts of entry {number} are damaged")
        token = uuid.uuid4().hex
        self._sql("UPDATE entries SET due = ?, token = ?, attempts = attempts + 1 WHERE id = ?", (until, token, number))
        return Claim(entry=_entry(*content), id=number, token=token, attempt=attempts + 1)

    def seconds_until_due(self, handlers: Collection[str]) -> float | None:
        """The time until the next entry may be handed out; None if no entry waits."""
        query = "SELECT min(due) FROM entries WHERE handler = ?"
        dues = [self._sql(query, (handler,)).fetchone()[0] for handler in handlers]
        return min((due - self._now for due in dues if isinstance(due, (int, float))), default=None)

    def renew(self, claims: Sequence[Claim], lease: float) -> None:
        """Move the ends of leases."""
        self._update_clock()
        for claim in claims:
            self._sql(
                "UPDATE entries SET due = ? WHERE id = ? AND token = ?", (self._now + lease, claim.id, claim.token)
            )

    def finish(self, claim: Claim, dedup_window: float) -> None:
        """Remove it, and let the next of its line come forward."""
        self._update_clock()
        if not self._delete(claim):
            return
        line = (claim.entry.handler, claim.entry.ordering_key)
        if dedup_window > 0:
            self._sql(
                "INSERT OR REPLACE INTO handled (handler, ordering_key, dedup_key, until) VALUES (?, ?, ?, ?)",
                (*line, claim.entry.dedup_key, self._now + dedup_window),
            )
        else:
            self._sql("DELETE FROM handled WHERE handler = ? AND ordering_key = ?", line)
        self._promote(line)

    def _delete(self, claim: Claim) -> bool:
        return self._sql("DELETE FROM entries WHERE id = ? AND token = ?", (claim.id, claim.token)).rowcount > 0

    def _promote(self, line: tuple[str, str]) -> None:
        following = self._sql(
            "SELECT id, not_before, until FROM entries LEFT JOIN handled USING (handler, ordering_key, dedup_key)"
            " WHERE handler = ? AND ordering_key = ? ORDER BY id LIMIT 1",
            line,
        ).fetchone()
        if following is not None:
            number, not_before, quiet_until = following
            self._sql("UPDATE entries SET due = ? WHERE id = ?", (max(not_before, quiet_until or 0.0), number))

    def postpone(self, claim: Claim, delay: float, *, counts: bool) -> None:
        """Hand it back."""
        self._update_clock()
        self._sql(
            "UPDATE entries SET due = ?, token = NULL, attempts = attempts - ? WHERE id = ? AND token = ?",
            (self._now + delay, 0 if counts else 1, claim.id, claim.token),
        )

    # -- failed entries -----------------------------------------------------------------------------------------

    def give_up(self, claim: Claim, reason: str, keep: float) -> None:
        """Set it aside, and drop what was set aside over `keep` seconds ago."""
        if self._delete(claim):
            self.add_failed(claim.entry, reason, claim.attempt)
            self._sql("DELETE FROM failed WHERE at < ?", (self._now - keep,))
            self._promote((claim.entry.handler, claim.entry.ordering_key))

    def add_failed(self, entry: InboxEntry, reason: str, attempts: int) -> None:
        """Store a failed entry."""
        self._sql(
            "INSERT INTO failed (handler, ordering_key, dedup_key, body, reason, at, attempts)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (entry.handler, entry.ordering_key, entry.dedup_key, entry.body, reason, self._now, attempts),
        )

    def failed(self, limit: int) -> list[FailedEntry]:
        """The failed entries, the oldest first."""
        rows = self._sql(
            "SELECT id, reason, at, attempts, handler, ordering_key, dedup_key, body FROM failed ORDER BY id LIMIT ?",
            (limit,),
        ).fetchall()
        return [
            FailedEntry(id=number, entry=_entry(*content), reason=str(reason), failed_at=at, attempts=attempts)
            for number, reason, at, attempts, *content in rows
        ]

    def requeue_failed(self, ids: Collection[int] | None) -> int:
        """Put failed entries back, all of them if `ids` is None; the number."""
        chosen = [one for one in self.failed(-1) if ids is None or one.id in ids]
        self.put([one.entry for one in chosen])
        return self._drop([one.id for one in chosen])

    def drop_failed(self, ids: Collection[int] | None) -> int:
        """Delete failed entries, all of them if `ids` is None; the number."""
        if ids is None:
            return self._sql("DELETE FROM failed").rowcount
        return self._drop(ids)

    def _drop(self, ids: Collection[int]) -> int:
        return sum(self._sql("DELETE FROM failed WHERE id = ?", (number,)).rowcount for number in ids)

    # -- numbers ------------------------------------------------------------------------------------------------

    def waiting(self, handlers: Collection[str]) -> int:
        """The number of entries."""
        query = "SELECT count(*) FROM entries WHERE handler = ?"
        return sum(self._sql(query, (handler,)).fetchone()[0] for handler in handlers)

    def status(self, limit: int) -> InboxStatus:
        """The current numbers, for a file of at most `limit` bytes."""
        waiting, oldest = self._sql("SELECT count(*), min(stored) FROM entries").fetchone()
        age = 0.0 if oldest is None else max(0.0, self._now - oldest)
        (failed,) = self._sql("SELECT count(*) FROM failed").fetchone()
        return InboxStatus(waiting=waiting, oldest_age=age, failed=failed, used=sizes(self._connection)[0], limit=limit)

    def orphans(self, handlers: Collection[str]) -> dict[str, int]:
        """The number of entries for each other handler."""
        rows = self._sql("SELECT handler, count(*) FROM entries GROUP BY handler").fetchall()
        return {handler: count for handler, count in rows if handler not in handlers}

    # -- the clock ----------------------------------------------------------------------------------------------

    def _update_clock(self) -> None:
        """Before times are written."""
        self._follow_clock()
        self._record_clock()

    def _record_clock(self) -> None:
        if not self._has_recorded_clock:
            self._sql("UPDATE clock SET seen = ?", (self._now,))
            self._has_recorded_clock = True

    def _follow_clock(self) -> None:
        """If the clock was set back, set back with it all that waits for a time."""
        if self._has_followed_clock:
            return
        self._has_followed_clock = True
        row = self._sql("SELECT seen FROM clock").fetchone()
        if row is None or not isinstance(row[0], (int, float)):
            raise DamagedError("the table of the clock is damaged")
        behind = row[0] - self._now
        if behind <= _CLOCK_TOLERANCE:
            return
        self._sql("UPDATE entries SET not_before = not_before - ?, due = due - ?", (behind, behind))
        self._sql("UPDATE entries SET stored = min(stored, ?)", (self._now,))
        self._sql("UPDATE handled SET until = until - ?", (behind,))
        self._record_clock()


def sizes(connection: sqlite3.Connection) -> tuple[int, int]:
    """The bytes of the pages that are used, and of those that are free."""
    pages, free, page_size = connection.execute(
        "SELECT page_count, freelist_count, page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
    ).fetchone()
    return (pages - free) * page_size, free * page_size


def _entry(handler: Any, ordering_key: Any, dedup_key: Any, body: Any) -> InboxEntry:
    """The entry of a row. A value of a type that is never written is a `DamagedError`."""
    if not (all(isinstance(text, str) for text in (handler, ordering_key, dedup_key)) and isinstance(body, bytes)):
        raise DamagedError("an entry is damaged")
    return InboxEntry(handler=handler, ordering_key=ordering_key, dedup_key=dedup_key, body=body)
