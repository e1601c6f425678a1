"""Journal: what was sent, written down before the bytes leave, so that after any end nothing is done twice."""

from __future__ import annotations

import enum
import json
import sqlite3
from collections.abc import Mapping
from os import PathLike
from typing import Any, Final, Self

import attrs

from goedgepickt_async.bulk.journal_file import in_memory, open_file, translated
from goedgepickt_async.bulk.planned import PlannedWrite
from goedgepickt_async.settings import Settings

__all__ = ["Entry", "Journal", "State"]

_COLUMNS: Final = "action, state, at, seen, uuid"


class State(enum.StrEnum):
    """How far a write is."""

    INTENT = "intent"
    """It was about to leave; nobody has written down what became of it."""
    DONE = "done"
    """It was carried out."""
    FAILED = "failed"
    """It was not carried out, for certain."""


@attrs.frozen(kw_only=True)
class Entry:
    """What is written down of one write.

    Attributes:
        action: What it does.
        state: How far it is.
        at: When that was written down, in Unix seconds.
        seen: The evidence that was there before it was sent.
        uuid: Of what was made or changed.
    """

    action: str
    state: State
    at: float
    seen: Mapping[str, Any]
    uuid: str | None


class Journal:
    """The journal of one plan that is being applied; its file may hold those of others.

    Each method is one transaction, on the disk when it returns.

    Raises:
        JournalError: (all methods) It could not be written or read.
    """

    def __init__(self, connection: sqlite3.Connection, path: object) -> None:
        self._connection = connection
        self._path = path
        self._plan = 0
        self._kind = ""

    @classmethod
    def open(cls, path: str | PathLike[str] | None, settings: Settings, webshop: str | None) -> Self:
        """Open or make it; without a path, one that ends with the job.

        Raises:
            JournalBusyError: Another process has it.
            JournalMismatchError: It is of another account.
            JournalError: It is no journal, of another version, damaged, or cannot be opened.
        """
        if path is None:
            return cls(in_memory(settings, webshop), "in memory")
        return cls(open_file(path, settings, webshop), path)

    def begin(self, mark: str, kind: str) -> None:
        """Say which plan is being applied, and of which kind; one that was begun before is gone on with."""
        with translated(self._path):
            self._connection.execute("INSERT INTO plans (mark) VALUES (?) ON CONFLICT DO NOTHING", (mark,))
            (self._plan,) = self._connection.execute("SELECT id FROM plans WHERE mark = ?", (mark,)).fetchone()
        self._kind = kind

    def entry(self, key: str) -> Entry | None:
        """What is written down of this plan's write for a key."""
        return self._read(f"SELECT {_COLUMNS} FROM writes WHERE plan = ? AND key = ?", self._plan, key)  # noqa: S608

    def entry_of_others(self, key: str) -> Entry | None:
        """The latest that is written down of other plans' writes for a key, but for those that did nothing."""
        return self._read(
            f"SELECT {_COLUMNS} FROM writes WHERE kind = ? AND key = ? AND plan <> ?"  # noqa: S608
            " AND state <> 'failed' ORDER BY at DESC LIMIT 1",
            self._kind,
            key,
            self._plan,
        )

    def intend(self, write: PlannedWrite, at: float) -> None:
        """The write is about to leave."""
        self._write(write, State.INTENT, at, None, None)

    def done(self, write: PlannedWrite, uuid: str | None, at: float) -> None:
        """It was carried out."""
        self._write(write, State.DONE, at, uuid, None)

    def failed(self, write: PlannedWrite, error: str, at: float) -> None:
        """It was not carried out, for certain."""
        self._write(write, State.FAILED, at, None, error)

    def close(self) -> None:
        """Let others have it."""
        self._connection.close()

    def _read(self, query: str, *values: object) -> Entry | None:
        with translated(self._path):
            row = self._connection.execute(query, values).fetchone()
            if row is None:
                return None
            action, state, at, seen, uuid = row
            return Entry(action=str(action), state=State(state), at=float(at), seen=json.loads(seen), uuid=uuid)

    def _write(self, write: PlannedWrite, state: State, at: float, uuid: str | None, error: str | None) -> None:
        with translated(self._path):
            self._connection.execute(
                "INSERT OR REPLACE INTO writes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    self._plan,
                    self._kind,
                    write.key,
                    write.action.value,
                    state.value,
                    at,
                    json.dumps(dict(write.seen)),
                    uuid,
                    error,
                ),
            )
