"""Applies a plan: each write once, with a journal and a check of the present state."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from os import PathLike
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import attrs

from goedgepickt_async._transport.request import CallContext
from goedgepickt_async.bulk.journal import Entry, Journal, State
from goedgepickt_async.bulk.runs import Target, TargetLock, UnfinishedRunError, unfinished_runs
from goedgepickt_async.bulk.strategy import PlanStrategy
from goedgepickt_async.bulk.values import Action, Applied, AppliedVia, PlannedWrite, Unchanged
from goedgepickt_async.errors import (
    AlreadyExistsError,
    ConflictError,
    Evidence,
    GoedGepicktError,
    JournalError,
    OutcomeUnknownError,
)
from goedgepickt_async.settings import Settings

__all__ = ["ApplyOptions", "PlanRunner", "StalenessCheck"]

P = TypeVar("P")


class StalenessCheck(Generic[P]):
    """Refreshes the present state of a plan's writes.

    Args:
        kind: The strategy, which reads the state.
        read_at: The time when the plan read the state, in Unix seconds.
        max_age: The largest age of a reading in seconds; None for any age.
        clock: A function that returns the time in Unix seconds.
        left: The remaining writes. They are read again together if that is cheap.
    """

    def __init__(
        self,
        kind: PlanStrategy[P],
        read_at: float,
        max_age: float | None,
        clock: Callable[[], float],
        left: Callable[[], Sequence[PlannedWrite]],
    ) -> None:
        self._kind = kind
        self._read_at = read_at
        self._max_age = max_age
        self._clock = clock
        self._left = left
        self._present: Mapping[str, P] | None = None
        self._covered: frozenset[str] = frozenset()
        self._alone = asyncio.Lock()

    async def checked(self, write: PlannedWrite, *, not_before: float = 0.0) -> PlannedWrite | Unchanged:
        """Return the write with the refreshed state; or that the desired state is present already.

        Args:
            write: The planned write.
            not_before: The time in Unix seconds before which a reading is always too old.

        Raises:
            ConflictError: The item has changed since the plan was made.
        """
        if self._kind.reads_in_pages:
            async with self._alone:  # one reading is used by all writes that wait for it
                if self._is_old(self._read_at, not_before):
                    await self._read_again(write)
                elif self._present is None or write.key not in self._covered:
                    return write
                present = self._present.get(write.key) if self._present is not None else None
        elif self._is_old(self._read_at, not_before):
            present = (await self._kind.read([write.desired])).get(write.key)
        else:
            return write
        return self._compared(write, present)

    def expire(self) -> None:
        """Mark all readings as too old, because something wrote to the target."""
        self._read_at = 0.0
        self._present = None

    async def present(self, write: PlannedWrite) -> P | None:
        """Return the present state."""
        return (await self._kind.read([write.desired])).get(write.key)

    async def _read_again(self, write: PlannedWrite) -> None:
        began = self._clock()
        desired_rows = {left.key: left.desired for left in (*self._left(), write)}
        self._present = await self._kind.read(list(desired_rows.values()))
        self._covered = frozenset(desired_rows)
        self._read_at = began

    def _is_old(self, read_at: float, not_before: float) -> bool:
        if read_at <= not_before:
            return True
        if self._max_age is None:
            return False
        age = self._clock() - read_at
        return age > self._max_age or age < 0  # the clock was set back, so the age is unknown

    def _compared(self, write: PlannedWrite, present: P | None) -> PlannedWrite | Unchanged:
        decision = self._kind.diff(write.desired, present)
        if isinstance(decision, Unchanged):
            return decision
        if not isinstance(decision, PlannedWrite):
            raise ConflictError(f"{write.key}: changed since the plan was made: {decision.reason}; nothing was sent")
        if (decision.action, decision.uuid, decision.changes) != (write.action, write.uuid, write.changes):
            raise ConflictError(
                f"{write.key}: {_what_changed(write, decision)} since the plan was made; nothing was sent"
            )
        return decision


def _what_changed(planned: PlannedWrite, now: PlannedWrite) -> str:
    """Only field names, because values may be personal."""
    if planned.action is not now.action:
        return "it was created or removed"
    if planned.uuid != now.uuid:
        return "another one has taken its place"
    before = {change.field: change.before for change in planned.changes}
    differing = [change.field for change in now.changes if before.get(change.field, object()) != change.before]
    gone = [name for name in before if name not in {change.field for change in now.changes}]
    return ", ".join(differing + gone) + " changed"


_LIST_LAG: Final = 3600.0
"""The seconds until a list shows a new order."""
_ROUNDS: Final = 3
"""The largest number of times that a write is sent, if each lookup shows that it was not carried out."""
_ONCE: Final = frozenset({Action.CREATE, Action.MUTATE})
"""Writes that need a lookup before they are sent again. The other writes set a state and can be repeated."""
_NOTHING_HAPPENED: Final = frozenset({Evidence.NOT_SENT, Evidence.REJECTED, Evidence.FINAL})


@attrs.frozen(kw_only=True)
class ApplyOptions:
    """The options for applying a plan.

    Attributes:
        fingerprint: The id of the plan.
        writes: The writes of the plan.
        read_at: The time when the plan read the state, in Unix seconds.
        journal: The journal file, or None.
        dry_run: Whether to only read.
        run: The id of the run; empty without a run.
        max_age: The largest age of a reading in seconds; None for any age.
        settle_after: The seconds for which the server may still process a write after a lost response.
        clock: A function that returns the time in Unix seconds.
    """

    fingerprint: str
    writes: Sequence[PlannedWrite]
    read_at: float
    journal: str | PathLike[str] | None
    dry_run: bool
    max_age: float | None
    settle_after: float
    run: str = ""
    clock: Callable[[], float] = time.time


class PlanRunner:
    """Applies one plan."""

    def __init__(self, kind: PlanStrategy[Any], settings: Settings, options: ApplyOptions) -> None:
        self._kind = kind
        self._settings = settings
        self._options = options
        self._clock = options.clock
        self._left = {write.key: write for write in options.writes}
        self._staleness = StalenessCheck(
            kind, options.read_at, options.max_age, options.clock, lambda: list(self._left.values())
        )
        self._journal: Journal | None = None
        self._lock = TargetLock(Target.of(settings, kind.webshop, kind.name))
        self.counts: Counter[str] = Counter()

    @property
    def is_ended(self) -> bool:
        """Whether each write has an outcome."""
        return sum(self.counts.values()) >= len(self._options.writes)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Lock the target and its journal. In the context, no other run on this host writes to the target.

        Raises:
            JournalBusyError: Another run uses the target or the journal.
            UnfinishedRunError: A run for this target was interrupted and is not finished or dropped.
            JournalError: The lock or the journal cannot be used.
        """
        options = self._options
        path = options.journal
        try:
            if not options.dry_run:
                await asyncio.to_thread(self._hold_target)
            elif path is not None and not await asyncio.to_thread(Path(path).exists):
                path = None  # there is nothing to say in it
            self._journal = await Journal.open(
                path, self._settings, self._kind.webshop, on_commit=None if options.dry_run else self._lock.touch
            )
            try:
                since = min(options.read_at, self._clock() - _LIST_LAG)
                await self._journal.begin(options.fingerprint, self._kind.name, run=options.run, since=since)
                if self._journal.is_begun or self._lock.last_write >= options.read_at:
                    self._staleness.expire()
                yield
            finally:
                await self._journal.close()
        finally:
            self._lock.release()

    def _hold_target(self) -> None:
        self._lock.take()
        for run in unfinished_runs(self._lock.target):
            if run.id != self._options.run:
                raise UnfinishedRunError(
                    f"{run} was interrupted. Resume it or drop it first; nothing was sent", run=run
                )

    async def apply(self, write: PlannedWrite) -> Applied:
        """Carry out one write, unless it is done already.

        Raises:
            ConflictError: The item has changed since the plan was made.
            OutcomeUnknownError: The server may have carried out the write, and a lookup cannot find out.
            JournalError: The write could not be recorded and was not sent; or its result could not be recorded.
            GoedGepicktError: The write was refused or could not be sent.
        """
        try:
            applied = await self._apply(write)
        except Exception:
            self.counts["failed"] += 1
            raise
        self.counts[applied.via] += 1
        self._left.pop(write.key, None)
        return applied

    async def look_up(self) -> None:
        """Look up the writes with an unknown outcome. Nothing is written.

        Raises:
            JournalError: The result could not be recorded.
            GoedGepicktError: The present state could not be read.
        """
        assert self._journal is not None
        for write in self._options.writes:
            entry = self._journal.entry(write.key)
            if entry is None:
                continue
            if entry.state is not State.INTENT:
                self.counts["failed" if entry.state is State.FAILED else AppliedVia.JOURNAL] += 1
                continue
            sent = attrs.evolve(write, seen=entry.seen)
            try:
                found = await self._look_up(sent, since=entry.at, unknown=None)
            except OutcomeUnknownError:
                self.counts["unknown"] += 1
                continue
            if found is None:
                await self._journal.failed(sent, "NotCarriedOut", self._clock())
            else:
                self.counts[found.via] += 1

    async def _apply(self, write: PlannedWrite) -> Applied:
        assert self._journal is not None
        entry = self._journal.entry(write.key)
        if entry is not None and entry.state is State.DONE:
            return Applied(via=AppliedVia.JOURNAL, uuid=entry.uuid)
        if entry is not None and entry.state is State.INTENT and write.action in _ONCE:
            write = attrs.evolve(write, seen=entry.seen)
            found = await self._look_up(write, since=entry.at, unknown=None)
            if found is not None:
                return found
        not_before = 0.0
        others = self._journal.entry_of_others(write.key)
        if others is not None:
            if _made_order(others, self._kind, self._clock()):
                return Applied(via=AppliedVia.JOURNAL, uuid=others.uuid)
            not_before = await self._wait_for_other(others)
        checked = await self._staleness.checked(write, not_before=not_before)
        if isinstance(checked, Unchanged):
            return await self._done(write, AppliedVia.FOUND, checked.uuid)
        if self._options.dry_run:
            return Applied(via=AppliedVia.DRY_RUN, uuid=checked.uuid)
        return await self._send(checked)

    async def _send(self, write: PlannedWrite) -> Applied:
        """Send the write. Send it again only if a lookup shows that it was not carried out."""
        for left in reversed(range(_ROUNDS)):
            try:
                return await self._send_once(write)
            except OutcomeUnknownError as unknown:
                found = await self._look_up(write, since=self._clock(), unknown=unknown)
                if found is not None:
                    return found
                if not left:
                    raise
        raise AssertionError  # the last round returns or raises

    async def _send_once(self, write: PlannedWrite) -> Applied:
        assert self._journal is not None
        journal = self._journal
        with CallContext(before_write=lambda: journal.intend(write, self._clock())).active():
            try:
                uuid = await self._kind.send(write)
            except (OutcomeUnknownError, JournalError):
                raise
            except GoedGepicktError as error:
                return await self._after(write, error)
        return await self._done(write, AppliedVia.SENT, uuid)

    async def _after(self, write: PlannedWrite, error: GoedGepicktError) -> Applied:
        """Return the result for an error with a known outcome."""
        assert self._journal is not None
        if error.evidence is Evidence.APPLIED and write.action not in _ONCE:
            return await self._done(write, AppliedVia.SENT, write.uuid)  # the response is not needed
        if isinstance(error, AlreadyExistsError):
            resolution, uuid = self._kind.resolve(write, await self._staleness.present(write))
            if resolution.is_done:
                return await self._done(write, AppliedVia.FOUND, uuid)
        if error.evidence in _NOTHING_HAPPENED:
            await self._journal.failed(write, type(error).__name__, self._clock())
        raise error

    async def _look_up(
        self, write: PlannedWrite, *, since: float, unknown: OutcomeUnknownError | None
    ) -> Applied | None:
        """Look up a write after a lost response. None means that it was not carried out.

        Raises:
            OutcomeUnknownError: The outcome stays unknown.
        """
        if unknown is None or unknown.evidence is not Evidence.APPLIED:
            await self._wait_until_settled(since)
        resolution, uuid = self._kind.resolve(write, await self._staleness.present(write))
        if resolution.is_done:
            return await self._done(write, AppliedVia.FOUND, uuid)
        if resolution.is_done is None:
            message = f"{write.key}: it is unknown whether this write was carried out: {resolution.why}"
            raise _never_known(f"{message}; it was not sent again", unknown) from unknown
        return None

    async def _wait_until_settled(self, since: float) -> None:
        """Wait until the server no longer processes the write. After the clock was set back, wait the full time."""
        waited = self._clock() - since
        if waited < self._options.settle_after:
            await asyncio.sleep(self._options.settle_after - max(0.0, waited))

    async def _wait_for_other(self, entry: Entry) -> float:
        """The time after which a reading contains the write of another plan."""
        if entry.state is not State.INTENT:
            return entry.at
        await self._wait_until_settled(entry.at)
        return entry.at + self._options.settle_after

    async def _done(self, write: PlannedWrite, via: AppliedVia, uuid: str | None) -> Applied:
        assert self._journal is not None
        if not self._options.dry_run:
            await self._journal.done(write, uuid, self._clock())
        return Applied(via=via, uuid=uuid)


def _never_known(message: str, unknown: OutcomeUnknownError | None) -> OutcomeUnknownError:
    """The error for a write whose outcome stays unknown, with the details of the sending if there are any."""
    if unknown is None:
        return OutcomeUnknownError(message, evidence=Evidence.UNKNOWN)
    return OutcomeUnknownError(
        message,
        body=unknown.body,
        evidence=unknown.evidence,
        attempts=unknown.attempts,
        method=unknown.method,
        path=unknown.path,
    )


def _made_order(entry: Entry, kind: PlanStrategy[Any], now: float) -> bool:
    """Whether another plan of this journal recently created this order, so that the list may not show it yet."""
    is_made = kind.name == "orders" and entry.action == Action.CREATE and entry.state is State.DONE
    return is_made and now - entry.at < _LIST_LAG
