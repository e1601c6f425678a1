"""Runs: what is applied to which target, one at a time on a host, and what is left over of interrupted ones.

A run is what it resolves to: server, webshop, kind, and the content of its rows. The spelling of a command, the name of
a file and the environment do not matter. Its files are in one directory of the user; `goedgepickt runs` lists them.
"""

from __future__ import annotations

import contextlib
import enum
import hashlib
import json
import os
import secrets
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

import attrs
import cattrs

from goedgepickt_async._sqlite import sqlite3
from goedgepickt_async.errors import ConfigurationError, JournalBusyError, JournalError
from goedgepickt_async.paths import FileLock, make_private_directory, runtime_dir, state_dir, write_private
from goedgepickt_async.settings import Settings

__all__ = [
    "RunRecord",
    "RunState",
    "Target",
    "TargetLock",
    "UnfinishedRunError",
    "drop_run",
    "end_run",
    "find_run",
    "list_runs",
    "read_changes",
    "save_run",
    "unfinished_runs",
]

_KEPT: Final = timedelta(days=42)
"""How long the record of an ended run is kept."""


class UnfinishedRunError(JournalError):
    """A run of the same target was interrupted: finish or drop it before another one begins.

    Attributes:
        run: The interrupted run.
    """

    def __init__(self, message: str, *, run: RunRecord) -> None:
        super().__init__(message)
        self.run = run

    def __reduce__(self) -> tuple[Any, ...]:
        return _unfinished, (self.message, self.run)


def _unfinished(message: str, run: RunRecord) -> UnfinishedRunError:
    return UnfinishedRunError(message, run=run)


@attrs.frozen(kw_only=True)
class Target:
    """What a run writes to. One run at a time writes to a target on a host.

    Attributes:
        server: Host, port and path of the API.
        webshop: The uuid of the webshop.
        kind: `products`, `stock` or `orders`.
    """

    server: str
    webshop: str
    kind: str

    @classmethod
    def of(cls, settings: Settings, webshop: str, kind: str) -> Target:
        """The target of a plan: another API key of the same account has the same one."""
        parts = urlsplit(settings.base_url)
        return cls(server=f"{parts.netloc.lower()}{parts.path.rstrip('/')}", webshop=webshop.lower(), kind=kind)

    @property
    def name(self) -> str:
        """A file name for it."""
        text = json.dumps([self.server, self.webshop, self.kind])
        return f"{self.kind}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"

    def __str__(self) -> str:
        return f"{self.kind} of webshop {self.webshop} at {self.server}"


class TargetLock:
    """The right to write to a target; one holder on this host. It ends with its process.

    The time of its file is the time of the latest write to the target: what was read before that may be old.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self._lock: FileLock | None = None  # made when it is taken: to find its directory asks the disk
        self.last_write: float = 0.0

    def take(self) -> None:
        """Take it.

        Raises:
            JournalBusyError: Another run has it.
            JournalError: The lock's file cannot be used.
        """
        path = runtime_dir() / "locks" / f"{self.target.name}.lock"
        lock = FileLock(path)
        try:
            make_private_directory(path.parent.parent)
            make_private_directory(path.parent)
            is_new = not path.exists()
            if not lock.take():
                raise JournalBusyError(
                    f"another run is writing {self.target}: the target is in use, and nothing was sent; wait until "
                    "that run has ended"
                )
            self._lock = lock
            if is_new:
                os.utime(path, (0, 0))
            self.last_write = path.stat().st_mtime
        except OSError as error:
            raise JournalError(f"the lock {path} cannot be used: {error.strerror or error}") from None

    def touch(self) -> None:
        """Something is written to the target now."""
        if self._lock is not None:
            with contextlib.suppress(OSError):
                os.utime(self._lock.path)

    def release(self) -> None:
        """Let others write."""
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> Self:
        self.take()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class RunState(enum.StrEnum):
    """How a run stands."""

    UNFINISHED = "unfinished"
    """It is in progress, or it was interrupted."""
    DONE = "done"
    """All of its writes are done."""
    FAILED = "failed"
    """It came to its end, and some writes failed."""
    DROPPED = "dropped"
    """It was interrupted, and its user decided not to finish it."""


@attrs.frozen(kw_only=True)
class RunRecord:
    """What is kept of a run.

    Attributes:
        id: Its id, such as `20261128-101500-3fa9`.
        target: What it writes to.
        webshop_name: What people call the webshop.
        source: The file that its rows came from; empty without one.
        content: A hash of its rows and options.
        state: How it stands.
        started_at: When it began.
        ended_at: When it ended; None while it has not.
        writes: How many writes were planned.
        left_out: How many rows were asked for and could not be planned.
        counts: How many writes ended how: `sent`, `found`, `journal`, `failed`; `unknown` were sent, and nothing tells
            yet whether they were carried out.
    """

    id: str
    target: Target
    webshop_name: str = ""
    source: str = ""
    content: str = attrs.field(default="", repr=False)
    state: RunState = RunState.UNFINISHED
    started_at: datetime
    ended_at: datetime | None = None
    writes: int
    left_out: int = 0
    counts: Mapping[str, int] = attrs.field(factory=dict)

    @classmethod
    def new(
        cls, target: Target, *, webshop_name: str, source: str, content: str, writes: int, left_out: int
    ) -> RunRecord:
        """The record of a run that begins now."""
        now = datetime.now(UTC)
        return cls(
            id=f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}",
            target=target,
            webshop_name=webshop_name,
            source=source,
            content=content,
            started_at=now,
            writes=writes,
            left_out=left_out,
        )

    @property
    def done(self) -> int:
        """How many of its writes are done."""
        return sum(number for name, number in self.counts.items() if name not in {"failed", "unknown"})

    @property
    def folder(self) -> Path:
        """The directory of its target's runs."""
        return _root() / self.target.name

    @property
    def plan_path(self) -> Path:
        """Its saved plan."""
        return self.folder / f"{self.id}.plan.json"

    @property
    def journal_path(self) -> Path:
        """The journal of its target."""
        return self.folder / "journal.sqlite3"

    def __str__(self) -> str:
        shop = f"{self.webshop_name!r} ({self.target.webshop})" if self.webshop_name else self.target.webshop
        began = self.started_at.astimezone().strftime("%Y-%m-%d %H:%M")
        source = f" from {self.source}" if self.source else ""
        others = "".join(
            f", {self.counts[name]} {words}"
            for name, words in (("failed", "failed"), ("unknown", "sent without a known outcome"))
            if self.counts.get(name)
        )
        return (
            f"run {self.id} of {began}: {self.target.kind}{source} to webshop {shop}, "
            f"{self.state}, {self.done} of {self.writes} writes done{others}"
        )


def _root() -> Path:
    return state_dir() / "runs"


def _make_converter() -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=False)
    converter.register_unstructure_hook(datetime, lambda moment: moment.isoformat())
    converter.register_structure_hook(datetime, lambda text, _: datetime.fromisoformat(text))
    return converter


_converter: Final = _make_converter()


def save_run(run: RunRecord, plan_json: str | None = None) -> None:
    """Write down a run, and its plan.

    Raises:
        JournalError: It cannot be written.
    """
    try:
        make_private_directory(run.folder.parent)
        make_private_directory(run.folder)
        if plan_json is not None:
            write_private(run.plan_path, plan_json)
        write_private(run.folder / f"{run.id}.json", json.dumps(_converter.unstructure(run), indent=1) + "\n")
    except OSError as error:
        raise JournalError(
            f"the run cannot be recorded in {run.folder}: {error.strerror or error}. XDG_STATE_HOME names another directory"
        ) from None


def list_runs(target: Target | None = None) -> list[RunRecord]:
    """The runs of this user on this host, the latest first; records of ended ones are kept for six weeks.

    Args:
        target: Only the runs of this target.

    Raises:
        JournalError: The directory cannot be read.
    """
    found: list[RunRecord] = []
    pattern = f"{target.name if target else '*'}/*.json"
    try:
        files = [path for path in _root().glob(pattern) if not path.name.endswith(".plan.json")]
        for path in files:
            with contextlib.suppress(FileNotFoundError):
                found.append(_as_it_is(_read(path)))
    except OSError as error:
        raise JournalError(f"the runs in {_root()} cannot be read: {error.strerror or error}") from None
    return sorted(found, key=lambda run: run.started_at, reverse=True)


def _as_it_is(run: RunRecord) -> RunRecord:
    """An unfinished run with what its journal says: a process that was killed wrote no record."""
    if run.state is not RunState.UNFINISHED:
        return run
    try:
        states = Counter(row["state"] for row in _journal_rows(run).values())
    except JournalError:
        return run  # it is in progress, or the journal is damaged: resuming it raises
    counts = {"sent": states["done"], "failed": states["failed"], "unknown": states["intent"]}
    return attrs.evolve(run, counts={name: number for name, number in counts.items() if number})


def _read(path: Path) -> RunRecord:
    try:
        return _converter.structure(json.loads(path.read_bytes()), RunRecord)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, cattrs.BaseValidationError):
        raise JournalError(f"the record of a run in {path} is damaged: look at it, and remove it by hand") from None


def find_run(run_id: str) -> RunRecord:
    """The run with this id, or with the only id that begins so.

    Raises:
        ConfigurationError: No run has it, or several have it.
        JournalError: The directory cannot be read.
    """
    found = [run for run in list_runs() if run.id == run_id] or [
        run for run in list_runs() if run_id and run.id.startswith(run_id)
    ]
    if len(found) != 1:
        raise ConfigurationError(f"there {'are several runs' if found else 'is no run'} {run_id!r}; list them")
    return found[0]


def unfinished_runs(target: Target) -> list[RunRecord]:
    """The runs of a target that were interrupted, or are in progress.

    Raises:
        JournalError: The directory cannot be read.
    """
    return [run for run in list_runs(target) if run.state is RunState.UNFINISHED]


def drop_run(run_id: str) -> RunRecord:
    """Decide not to finish an interrupted run. What it did stays done, and its record is kept.

    Raises:
        ConfigurationError: There is no such run, or it has ended.
        JournalBusyError: It is in progress.
        JournalError: It cannot be recorded.
    """
    run = find_run(run_id)
    if run.state is not RunState.UNFINISHED:
        raise ConfigurationError(f"run {run.id} has ended: it is {run.state}")
    with TargetLock(run.target):
        return end_run(run, RunState.DROPPED, run.counts)


def end_run(run: RunRecord, state: RunState, counts: Mapping[str, int]) -> RunRecord:
    """Write down how a run ended, and remove records that are too old.

    The plan of an ended run of orders holds addresses: it is not kept.

    Raises:
        JournalError: It cannot be recorded.
    """
    ended = attrs.evolve(run, state=state, ended_at=datetime.now(UTC), counts=dict(counts))
    save_run(ended)
    if run.target.kind == "orders":
        run.plan_path.unlink(missing_ok=True)
    for old in list_runs(run.target):
        if old.ended_at is not None and datetime.now(UTC) - old.ended_at > _KEPT:
            for path in (old.plan_path, old.folder / f"{old.id}.json"):
                path.unlink(missing_ok=True)
    return ended


def read_changes(run: RunRecord) -> Iterator[dict[str, Any]]:
    """What a run changed, from what to what, as far as it is done: rows of values that JSON takes.

    Each has `key`, `action`, `uuid`, `state` (`done`, `failed`, `intent`: sent without a known outcome, or `open`: not
    begun), `at` and `changes`. Of orders, whose plan is not kept after the end, there are no changes.

    Raises:
        JournalError: The record is damaged.
    """
    plan: dict[str, Any] = {}
    try:
        plan = json.loads(run.plan_path.read_bytes())
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        raise JournalError(f"the plan of run {run.id} cannot be read: {type(error).__name__}") from None
    states = _journal_rows(run)
    planned = {str(write.get("key")): write for write in plan.get("writes", [])}
    for key in planned or states:
        write, row = planned.get(key, {}), states.get(key)
        yield {
            "key": key,
            "action": write.get("action") or (row and row["action"]),
            "uuid": (row and row["uuid"]) or write.get("uuid"),
            "state": row["state"] if row else "open",
            "at": row and datetime.fromtimestamp(row["at"], UTC).isoformat(),
            "changes": write.get("changes", []),
        }


def _journal_rows(run: RunRecord) -> dict[str, Mapping[str, Any]]:
    if not run.journal_path.exists():
        return {}
    try:
        # Not mode=ro: a process that was killed while it committed leaves a transaction that must be rolled back first.
        connection = sqlite3.connect(f"{run.journal_path.as_uri()}?mode=rw", uri=True, timeout=1)
        connection.row_factory = sqlite3.Row
        with contextlib.closing(connection):
            rows = connection.execute(
                "SELECT key, action, uuid, state, at FROM writes JOIN plans ON plans.id = writes.plan WHERE run = ?",
                (run.id,),
            ).fetchall()
    except sqlite3.Error as error:
        raise JournalError(f"the journal {run.journal_path} cannot be read: {error}") from None
    return {str(row["key"]): dict(row) for row in rows}
