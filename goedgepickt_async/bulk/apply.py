"""Applies a plan: each write once, with a journal and a check of the present state."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, Final

import attrs

from goedgepickt_async._transport.pipeline import Sender
from goedgepickt_async._transport.request import CallContext
from goedgepickt_async.bulk.journal import Entry, Journal, State
from goedgepickt_async.bulk.map import BulkRunner, OutcomeStream, StopAfter, compute, in_thread
from goedgepickt_async.bulk.runs import Target, TargetLock, refuse_unfinished, unfinished_runs
from goedgepickt_async.bulk.strategy import PlanStrategy
from goedgepickt_async.bulk.values import Action, Applied, AppliedVia, Decision, PlannedWrite, Unchanged
from goedgepickt_async.errors import (
    AlreadyExistsError,
    AuthenticationError,
    ClientClosedError,
    ConfigurationError,
    ConflictError,
    Evidence,
    GoedGepicktError,
    JournalError,
    OutcomeUnknownError,
)

__all__ = ["PlanRunner"]

_LIST_LAG: Final = 3600.0
"""The seconds until a list shows a new order."""
_LONGEST: Final = 86_400.0 * 365
"""The longest duration in seconds."""
_ROUNDS: Final = 3
"""The largest number of times that a write is sent, if each lookup shows that it was not carried out."""
_ONCE: Final = frozenset({Action.CREATE, Action.MUTATE})
"""Writes that need a lookup before they are sent again. The other writes set a state and can be repeated."""
_FATAL: Final = (JournalError, AuthenticationError, ClientClosedError)
_NOTHING_HAPPENED: Final = frozenset({Evidence.NOT_SENT, Evidence.REJECTED, Evidence.FINAL})


@attrs.define(kw_only=True, eq=False, repr=False)
class PlanRunner:
    """Applies one plan.

    Attributes:
        sender: The sender of the client.
        strategy: The strategy of the plan.
        fingerprint: Returns the id of the plan.
        writes: The writes of the plan.
        read_at: The time when the present state was read, in Unix seconds.
        journal_path: The journal file, or None.
        dry_run: Whether to only read.
        max_age: The largest age of a reading in seconds; None for any age.
        settle_after: The seconds for which the server may still process a write after a lost response.
        run: The id of the run; empty without a run.
        on_end: A function that is called in a thread before the target is released.
        counts: The number of writes by result.
    """

    sender: Sender
    strategy: PlanStrategy[Any]
    fingerprint: Callable[[], str]
    writes: Sequence[PlannedWrite]
    read_at: float
    journal_path: str | PathLike[str] | None
    dry_run: bool = False
    max_age: float | None = 600.0
    settle_after: float
    run: str = ""
    on_end: Callable[[PlanRunner], object] | None = None
    counts: Counter[str] = attrs.field(init=False, factory=Counter)
    _left: dict[str, PlannedWrite] = attrs.field(init=False)
    _lock: TargetLock = attrs.field(init=False)
    _journal: Journal = attrs.field(init=False)
    # The latest reading: it is shared by the writes whose keys it covers.
    _reading: asyncio.Lock = attrs.field(init=False, factory=asyncio.Lock)
    _present: Mapping[str, Any] = attrs.field(init=False, factory=dict)
    _covered: frozenset[str] = attrs.field(init=False, default=frozenset())

    def __attrs_post_init__(self) -> None:
        for seconds in (self.settle_after, 0.0 if self.max_age is None else self.max_age):
            if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= _LONGEST:
                raise ConfigurationError("settle_after and max_age must be seconds, at least 0")
        if not isinstance(self.journal_path, str | PathLike | None):
            raise ConfigurationError(f"journal must be the path of a file, not {type(self.journal_path).__name__}")
        self._left = {write.key: write for write in self.writes}
        self._lock = TargetLock(Target.of(self.sender.settings, self.strategy.webshop, self.strategy.name))

    @property
    def is_ended(self) -> bool:
        """Whether each write has an outcome."""
        return sum(self.counts.values()) >= len(self.writes)

    def stream(self, *, concurrency: int, stop: StopAfter | None) -> OutcomeStream[PlannedWrite, Applied]:
        """Return the outcomes of the writes. The job starts with the iteration."""
        pipeline = self.sender.pipeline
        job = BulkRunner(
            self.apply, self.writes, pipeline.budget, concurrency=concurrency, stop=stop, fatal=_FATAL,
            job=self.strategy.name, on_item=pipeline.hooks.item, opened=self.opened,
        )  # fmt: skip
        return OutcomeStream(job)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Lock the target and its journal. In the context, no other run on this host writes to the target.

        Raises:
            JournalError: The target or the journal is in use or cannot be used, or a run for the target is unfinished.
        """
        path = self.journal_path
        try:
            if not self.dry_run:
                await in_thread(self._hold_target)
            elif path is not None and not await asyncio.to_thread(Path(path).exists):
                path = None  # there is nothing to say in it
            self._journal = await Journal.open(
                path,
                self.sender.settings,
                self.strategy.webshop,
                kind=self.strategy.name,
                fingerprint=await compute(self.fingerprint, self.writes),
                run=self.run,
                since=min(self.read_at, time.time() - _LIST_LAG),
                on_commit=None if self.dry_run else self._lock.touch,
            )
            try:
                if self._journal.own or self._lock.last_write >= self.read_at:
                    self.read_at = 0.0  # something wrote to the target since
                try:
                    yield
                finally:
                    if self.on_end is not None:
                        await in_thread(partial(self.on_end, self))
            finally:
                await self._journal.close()
        finally:
            self._lock.release()

    def _hold_target(self) -> None:
        self._lock.take()
        refuse_unfinished(run for run in unfinished_runs(self._lock.target) if run.id != self.run)

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
        """Look up the writes with an unknown outcome. Nothing is written."""
        for write in self.writes:
            entry = self._journal.own.get(write.key)
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
                await self._journal.record(sent, State.FAILED, error="NotCarriedOut")
            else:
                self.counts[found.via] += 1

    async def _apply(self, write: PlannedWrite) -> Applied:
        entry = self._journal.own.get(write.key)
        if entry is not None and entry.state is State.DONE:
            return Applied(via=AppliedVia.JOURNAL, uuid=entry.uuid)
        if entry is not None and entry.state is State.INTENT and write.action in _ONCE:
            write = attrs.evolve(write, seen=entry.seen)
            found = await self._look_up(write, since=entry.at, unknown=None)
            if found is not None:
                return found
        not_before = 0.0
        others = self._journal.others.get(write.key)
        if others is not None:
            if self._is_new_order(others):
                return Applied(via=AppliedVia.JOURNAL, uuid=others.uuid)
            not_before = await self._wait_for_other(others)
        checked = await self._refreshed(write, not_before)
        if isinstance(checked, Unchanged):
            return await self._done(write, AppliedVia.FOUND, checked.uuid)
        if self.dry_run:
            return Applied(via=AppliedVia.DRY_RUN, uuid=checked.uuid)
        return await self._send(checked)

    def _is_new_order(self, entry: Entry) -> bool:
        """Whether another plan of this journal recently created this order, so that the list may not show it yet."""
        is_created = self.strategy.name == "orders" and entry.action == Action.CREATE and entry.state is State.DONE
        return is_created and time.time() - entry.at < _LIST_LAG

    # -- the present state ----------------------------------------------------------------------------------------

    async def _refreshed(self, write: PlannedWrite, not_before: float) -> PlannedWrite | Unchanged:
        """Return the write with the refreshed state; or that the desired state is present already.

        A reading from before `not_before` is always too old. A change since the plan was made is a `ConflictError`.
        """
        if not self.strategy.reads_in_pages:
            return _compared(write, await self._decide(write)) if self._is_old(not_before) else write
        async with self._reading:
            if self._is_old(not_before):
                began = time.time()
                rows = {each.key: each.desired for each in (*self._left.values(), write)}
                self._present = await self.strategy.read(list(rows.values()))
                self._covered = frozenset(rows)
                self.read_at = began
            elif write.key not in self._covered:
                return write
            return _compared(write, self.strategy.diff(write.desired, self._present.get(write.key)))

    async def _decide(self, write: PlannedWrite) -> Decision:
        return self.strategy.diff(write.desired, await self._present_state(write))

    async def _present_state(self, write: PlannedWrite) -> Any:
        return (await self.strategy.read([write.desired])).get(write.key)

    def _is_old(self, not_before: float) -> bool:
        if self.read_at <= not_before:
            return True
        age = time.time() - self.read_at
        return self.max_age is not None and (age > self.max_age or age < 0)  # the clock was set back: unknown

    # -- sending --------------------------------------------------------------------------------------------------

    async def _send(self, write: PlannedWrite) -> Applied:
        """Send the write. Send it again only if a lookup shows that it was not carried out."""
        for left in reversed(range(_ROUNDS)):
            try:
                return await self._send_once(write)
            except OutcomeUnknownError as unknown:
                found = await self._look_up(write, since=time.time(), unknown=unknown)
                if found is not None:
                    return found
                if not left:
                    raise
        raise AssertionError  # the last round returns or raises

    async def _send_once(self, write: PlannedWrite) -> Applied:
        with CallContext(before_write=lambda: self._journal.record(write, State.INTENT)).active():
            try:
                uuid = await self.strategy.send(write)
            except (OutcomeUnknownError, JournalError):
                raise
            except GoedGepicktError as error:
                return await self._after(write, error)
        return await self._done(write, AppliedVia.SENT, uuid)

    async def _after(self, write: PlannedWrite, error: GoedGepicktError) -> Applied:
        """Return the result for an error with a known outcome."""
        if error.evidence is Evidence.APPLIED and write.action not in _ONCE:
            return await self._done(write, AppliedVia.SENT, write.uuid)  # the response is not needed
        if isinstance(error, AlreadyExistsError):
            resolution, uuid = self.strategy.resolve(write, await self._present_state(write))
            if resolution.is_done:
                return await self._done(write, AppliedVia.FOUND, uuid)
        if error.evidence in _NOTHING_HAPPENED:
            await self._journal.record(write, State.FAILED, error=type(error).__name__)
        raise error

    async def _look_up(
        self, write: PlannedWrite, *, since: float, unknown: OutcomeUnknownError | None
    ) -> Applied | None:
        """Look up a write after a lost response. None: it was not carried out. An unknown outcome is an error."""
        if unknown is None or unknown.evidence is not Evidence.APPLIED:
            await self._wait_until_settled(since)
        resolution, uuid = self.strategy.resolve(write, await self._present_state(write))
        if resolution.is_done:
            return await self._done(write, AppliedVia.FOUND, uuid)
        if resolution.is_done is None:
            message = f"{write.key}: it is unknown whether this write was carried out: {resolution.why}"
            raise _never_known(f"{message}; it was not sent again", unknown) from unknown
        return None

    async def _wait_until_settled(self, since: float) -> None:
        """Wait until the server no longer processes the write. After the clock was set back, wait the full time."""
        waited = time.time() - since
        if waited < self.settle_after:
            await asyncio.sleep(self.settle_after - max(0.0, waited))

    async def _wait_for_other(self, entry: Entry) -> float:
        """The time after which a reading contains the write of another plan."""
        if entry.state is not State.INTENT:
            return entry.at
        await self._wait_until_settled(entry.at)
        return entry.at + self.settle_after

    async def _done(self, write: PlannedWrite, via: AppliedVia, uuid: str | None) -> Applied:
        if not self.dry_run:
            await self._journal.record(write, State.DONE, uuid=uuid)
        return Applied(via=via, uuid=uuid)


def _compared(write: PlannedWrite, decision: Decision) -> PlannedWrite | Unchanged:
    if isinstance(decision, Unchanged):
        return decision
    if not isinstance(decision, PlannedWrite):
        raise ConflictError(f"{write.key}: changed since the plan was made: {decision.reason}; nothing was sent")
    if (decision.action, decision.uuid, decision.changes) != (write.action, write.uuid, write.changes):
        raise ConflictError(f"{write.key}: {_what_changed(write, decision)} since the plan was made; nothing was sent")
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
