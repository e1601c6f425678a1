"""Runs: the applied plans of each target, one at a time on a host, and the interrupted ones.

A run is identified by server, webshop, kind and the content of its rows, not by the command or the file name. Its files
are in one directory of the user. `goedgepickt runs` lists the runs.
"""

from __future__ import annotations

import contextlib
import enum
import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

import attrs
from cattrs.preconf.json import make_converter

from goedgepickt_async.bulk.journal import states_of_run
from goedgepickt_async.bulk.values import UNREADABLE
from goedgepickt_async.errors import ConfigurationError, JournalBusyError, JournalError
from goedgepickt_async.paths import FileLock, make_private_directory, runtime_dir, state_dir, write_private
from goedgepickt_async.settings import Settings
from goedgepickt_async.text import shown

__all__ = [
    "RunRecord",
    "RunState",
    "Target",
    "TargetLock",
    "UnfinishedRunError",
    "drop_run",
    "end_run",
    "find_run",
    "find_unfinished",
    "list_runs",
    "read_changes",
    "refuse_unfinished",
    "save_run",
    "unfinished_runs",
]

_KEPT: Final = timedelta(days=42)
"""The time for which the record of an ended run is kept."""


class UnfinishedRunError(JournalError):
    """A run for the same target was interrupted: resume or drop it before you start another one.

    Attributes:
        run: The interrupted run.
    """

    def __init__(self, message: str, *, run: RunRecord) -> None:
        super().__init__(message)
        self.run = run


@attrs.frozen(kw_only=True)
class Target:
    """The target of a run. On a host, one run at a time writes to it.

    Attributes:
        server: The host, port and path of the API.
        webshop: The uuid of the webshop.
        kind: `products`, `stock` or `orders`.
    """

    server: str
    webshop: str
    kind: str

    @classmethod
    def of(cls, settings: Settings, webshop: str, kind: str) -> Target:
        """Return the target of a plan. It is the same for all API keys of an account."""
        parts = urlsplit(settings.base_url)
        host = parts.netloc
        if settings.is_local:
            host = "localhost" if parts.port is None else f"localhost:{parts.port}"
        return cls(server=host + parts.path, webshop=webshop.lower(), kind=kind)

    @property
    def name(self) -> str:
        """A file name for the target."""
        text = json.dumps([self.server, self.webshop, self.kind])
        return f"{self.kind}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"

    def __str__(self) -> str:
        return f"{self.kind} of webshop {self.webshop} at {self.server}"


class TargetLock:
    """The lock of a target on this host. It ends with its process.

    The modification time of its file is the time of the latest write to the target. Earlier readings may be outdated.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self._lock: FileLock | None = None  # created on first use, because finding its directory needs the disk
        self.last_write: float = 0.0

    def take(self) -> None:
        """Take the lock.

        Raises:
            JournalError: Another run has the lock, or its file cannot be used.
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
            self.release()
            raise JournalError(f"the lock {path} cannot be used: {error.strerror or error}") from None

    def touch(self) -> None:
        """Record that the target is written to now."""
        if self._lock is not None:
            with contextlib.suppress(OSError):
                os.utime(self._lock.path)

    def release(self) -> None:
        """Release the lock."""
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> Self:
        self.take()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class RunState(enum.StrEnum):
    """The state of a run."""

    UNFINISHED = "unfinished"
    """The run is in progress or was interrupted."""
    DONE = "done"
    """All writes are done."""
    FAILED = "failed"
    """The run has ended, and some writes failed."""
    DROPPED = "dropped"
    """The run was interrupted, and the user dropped it."""


@attrs.frozen(kw_only=True)
class RunRecord:
    """The record of a run.

    Attributes:
        id: Its id, such as `20261128-101500-3fa9`.
        target: The target of the run.
        webshop_name: The name of the webshop.
        source: The file of its rows; empty without a file.
        content: The hash of its rows and options.
        state: The state of the run.
        started_at: The time of its start.
        ended_at: The time of its end; None before that.
        writes: The number of planned writes.
        left_out: The number of rows that could not be planned.
        counts: The number of writes by result: `sent`, `found`, `journal`, `failed`, and `unknown` for writes with an
            unknown outcome.
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

    @property
    def done(self) -> int:
        """The number of its finished writes."""
        return sum(number for name, number in self.counts.items() if name not in {"failed", "unknown"})

    @property
    def folder(self) -> Path:
        """The directory for the runs of its target."""
        return _root() / self.target.name

    @property
    def plan_path(self) -> Path:
        """The file of its plan."""
        return self.folder / f"{self.id}.plan.json"

    @property
    def journal_path(self) -> Path:
        """The journal file of its target."""
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


_CONVERTER: Final = make_converter(detailed_validation=False)


def save_run(run: RunRecord, plan_json: str | None = None) -> None:
    """Save a run and its plan."""
    try:
        make_private_directory(run.folder.parent)
        make_private_directory(run.folder)
        if plan_json is not None:
            write_private(run.plan_path, plan_json)
        write_private(run.folder / f"{run.id}.json", json.dumps(_CONVERTER.unstructure(run), indent=1) + "\n")
    except OSError as error:
        raise JournalError(
            f"the run cannot be recorded in {run.folder}: {error.strerror or error}. Set XDG_STATE_HOME to another directory"
        ) from None


def list_runs(
    target: Target | None = None, *, on_damaged: Callable[[JournalError], object] | None = None
) -> list[RunRecord]:
    """Return the runs of this user on this host, the latest first. Records of ended runs are kept for six weeks.

    Args:
        target: The target; None for all targets.
        on_damaged: A function that gets the error of each damaged record, which is then left out. None: it is raised.

    Raises:
        JournalError: The directory cannot be read, or a record is damaged.
    """
    found: list[RunRecord] = []
    pattern = f"{target.name if target else '*'}/*.json"
    try:
        files = [path for path in _root().glob(pattern) if not path.name.endswith(".plan.json")]
        for path in files:
            try:
                found.append(_as_it_is(_read(path)))
            except FileNotFoundError:
                continue
            except JournalError as error:
                if on_damaged is None:
                    raise
                on_damaged(error)
    except OSError as error:
        raise JournalError(f"the runs in {_root()} cannot be read: {error.strerror or error}") from None
    return sorted(found, key=lambda run: run.started_at, reverse=True)


def _as_it_is(run: RunRecord) -> RunRecord:
    """Return an unfinished run with the counts from its journal, because a killed process wrote no record."""
    if run.state is not RunState.UNFINISHED:
        return run
    try:
        states = Counter(row["state"] for row in states_of_run(run.journal_path, run.id).values())
    except JournalError:
        return run  # the run is in progress, or the journal is damaged (then resuming raises)
    counts = {"sent": states["done"], "failed": states["failed"], "unknown": states["intent"]}
    return attrs.evolve(run, counts={name: number for name, number in counts.items() if number})


def _read(path: Path) -> RunRecord:
    try:
        return _CONVERTER.structure(json.loads(path.read_bytes()), RunRecord)
    except UNREADABLE:
        raise JournalError(f"the record of a run in {path} is damaged: check it, and delete it by hand") from None


def find_run(run_id: str) -> RunRecord:
    """Return the run with this id, or with the only id that starts with it.

    Raises:
        ConfigurationError: No run or several runs have this id.
        JournalError: The directory cannot be read; or no run has this id, and a record is damaged.
    """
    damaged: list[JournalError] = []
    runs = list_runs(on_damaged=damaged.append)
    start = run_id if isinstance(run_id, str) and run_id else " "
    found = [run for run in runs if run.id == start] or [run for run in runs if run.id.startswith(start)]
    if damaged and not found:
        raise damaged[0]
    if len(found) != 1:
        raise ConfigurationError(
            f"there {'are several runs' if found else 'is no run'} {shown(run_id)}; `goedgepickt runs` (list_runs) lists them"
        )
    return found[0]


def unfinished_runs(target: Target) -> list[RunRecord]:
    """Return the runs of a target that were interrupted or are in progress.

    Raises:
        JournalError: The directory cannot be read, or a record is damaged: its run may not be finished.
    """
    return [run for run in list_runs(target) if run.state is RunState.UNFINISHED]


def refuse_unfinished(runs: Iterable[RunRecord]) -> None:
    """Refuse to start a run in addition to these."""
    for run in runs:
        raise UnfinishedRunError(f"{run} was interrupted. Resume it or drop it first; nothing was sent", run=run)


def find_unfinished(run_id: str) -> RunRecord:
    """Return the run like `find_run`, if it has not ended."""
    run = find_run(run_id)
    if run.state is not RunState.UNFINISHED:
        raise ConfigurationError(f"run {run.id} has ended: it is {run.state}")
    return run


def drop_run(run_id: str) -> RunRecord:
    """Drop an interrupted run. Its finished writes stay, and its record is kept.

    Raises:
        ConfigurationError: The run does not exist or has ended.
        JournalBusyError: It is in progress.
        JournalError: It cannot be recorded.
    """
    run = find_unfinished(run_id)
    with TargetLock(run.target):
        return end_run(run, RunState.DROPPED, run.counts)


def end_run(run: RunRecord, state: RunState, counts: Mapping[str, int]) -> RunRecord:
    """Save the end of a run, and remove old records.

    The plan of an ended run of orders is not kept, because it contains addresses.
    """
    ended = attrs.evolve(run, state=state, ended_at=datetime.now(UTC), counts=dict(counts))
    save_run(ended)
    if run.target.kind == "orders":
        run.plan_path.unlink(missing_ok=True)
    for old in list_runs(run.target, on_damaged=lambda _: None):
        if old.ended_at is not None and datetime.now(UTC) - old.ended_at > _KEPT:
            for path in (old.plan_path, old.folder / f"{old.id}.json"):
                path.unlink(missing_ok=True)
    return ended


def read_changes(run: RunRecord) -> Iterator[dict[str, Any]]:
    """Return the changes of a run, with old and new values: rows of values for `json.dumps`.

    Each row has `key`, `action`, `uuid`, `state`, `at` and `changes`. The state is `done`, `failed`, `intent` (sent,
    with an unknown outcome) or `open` (not started). Ended runs of orders have no changes, because their plan is not
    kept.

    Raises:
        JournalError: The record is damaged.
    """
    try:
        return iter([*_changes(run)])
    except (OSError, *UNREADABLE) as error:
        raise JournalError(f"the changes of run {run.id} cannot be read: {type(error).__name__}") from None


def _changes(run: RunRecord) -> Iterator[dict[str, Any]]:
    planned: dict[str, Any] = {}
    with contextlib.suppress(FileNotFoundError):
        planned = {str(write["key"]): write for write in json.loads(run.plan_path.read_bytes())["writes"]}
    states = states_of_run(run.journal_path, run.id)
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
