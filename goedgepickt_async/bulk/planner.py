"""Makes plans from the desired rows and the present state; and `gg.bulk`."""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
from collections import Counter
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any, Final, TypeVar

import attrs

from goedgepickt_async._transport.pipeline import Sender
from goedgepickt_async._transport.request import CallContext
from goedgepickt_async.budget.slots import Lane
from goedgepickt_async.budget.waiting import bulk_rate
from goedgepickt_async.bulk.apply import PlanRunner
from goedgepickt_async.bulk.map import BulkRunner, OutcomeStream, StopAfter, aiter_any, compute, in_thread
from goedgepickt_async.bulk.orders import OrderStrategy
from goedgepickt_async.bulk.plan import Plan, runner_of
from goedgepickt_async.bulk.products import ProductStrategy, StockStrategy
from goedgepickt_async.bulk.runs import (
    RunRecord,
    RunState,
    TargetLock,
    end_run,
    find_unfinished,
    refuse_unfinished,
    save_run,
    unfinished_runs,
)
from goedgepickt_async.bulk.strategy import PlanStrategy, resolve_webshop, split_duplicates
from goedgepickt_async.bulk.values import (
    UNREADABLE,
    Action,
    Applied,
    Conflict,
    ConflictCode,
    Decision,
    DesiredRow,
    PlannedWrite,
    PlanScope,
    Skipped,
    Unchanged,
)
from goedgepickt_async.errors import ConfigurationError, JournalError
from goedgepickt_async.text import shown

__all__ = ["Bulk", "Run", "bound", "make_plan"]

_STRATEGIES: Final[Mapping[str, Any]] = {
    strategy.name: strategy for strategy in (ProductStrategy, StockStrategy, OrderStrategy)
}
_AT_ONCE: Final = 20
"""The number of rows between two pauses for other tasks of the event loop: a few milliseconds."""


async def make_plan(
    sender: Sender, name: str, rows: Iterable[Any] | AsyncIterable[Any], *, webshop: str | None, **options: Any
) -> Plan:
    """Return a plan of this kind for these rows.

    Args:
        sender: The sender of the requests.
        name: `products`, `stock` or `orders`.
        rows: The desired rows.
        webshop: The uuid or name of the webshop. None: the webshop of the client, or the only webshop of the account.
        options: The options of the strategy.
    """
    given = (sender.settings.webshop_uuid or None) if webshop is None else webshop
    if given is not None and not isinstance(given, str):
        raise ConfigurationError(f"webshop_uuid must be the uuid or the name of a webshop, not {shown(given)}")
    kind: PlanStrategy[Any] = _STRATEGIES[name](sender, webshop=given or "", **options)
    with CallContext(lane=Lane.NORMAL).active() as shop_context:
        kind.webshop, kind.webshop_name = await resolve_webshop(sender, given)
    desired_rows, conflicts = await _normalize_rows(kind, rows)
    read_at = datetime.now(UTC)
    with CallContext(lane=Lane.NORMAL).active() as context:
        present = await kind.read(desired_rows)
    context.requests += shop_context.requests
    decisions: list[Decision] = list(conflicts)
    for number, desired in enumerate(desired_rows, start=1):
        decisions.append(kind.diff(desired, present.get(desired.key)))
        await _give_way(number)
    decisions = list(await compute(partial(kind.settle, decisions), decisions))
    content = await compute(partial(content_of, kind, desired_rows, conflicts), decisions)
    budget = sender.pipeline.budget.snapshot()
    plan = Plan(
        kind=kind.name,
        options=kind.options,
        scope=PlanScope.of(sender.settings, kind.webshop, name=kind.webshop_name),
        creates=tuple(write for write in _only(PlannedWrite, decisions) if write.action is Action.CREATE),
        updates=tuple(write for write in _only(PlannedWrite, decisions) if write.action is not Action.CREATE),
        unchanged=tuple(_only(Unchanged, decisions)),
        skipped=tuple(_only(Skipped, decisions)),
        conflicts=tuple(sorted(_only(Conflict, decisions), key=lambda conflict: conflict.indexes)),
        read_at=read_at,
        content=content,
        requests_read=context.requests,
        rate=bulk_rate(budget.limit, budget.period),
        looked_at=kind.looked_at,
        applying=(sender, kind),
    )
    return attrs.evolve(plan, notices=_notices(plan))


def bound(plan: Plan, sender: Sender) -> Plan:
    """Return a saved plan with a client, which can apply it to the plan's webshop."""
    webshop = plan.scope.webshop
    if plan.kind not in _STRATEGIES:
        raise ConfigurationError(f"unknown kind of plan: {plan.kind}")
    try:
        plan.scope.check(sender.settings, webshop, "the plan")
        kind = _STRATEGIES[plan.kind](sender, webshop=webshop, **plan.options)
    except UNREADABLE as error:
        raise ConfigurationError(f"the plan has options that this version does not know: {error}") from None
    try:
        is_sound = all(kind.is_sound(write) for write in plan.writes)
    except UNREADABLE:
        is_sound = False
    if not is_sound:
        raise ConfigurationError("the plan is damaged: it has a write that was not planned. Plan again")
    return attrs.evolve(plan, applying=(sender, kind))


async def _normalize_rows(
    kind: PlanStrategy[Any], rows: Iterable[Any] | AsyncIterable[Any]
) -> tuple[Sequence[DesiredRow], Sequence[Conflict]]:
    """Return the checked rows, and the conflicts of rows that are not valid."""
    checked: list[DesiredRow | Conflict] = []
    async with aclosing(aiter_any(rows)) as source:
        async for row in source:
            checked.append(kind.normalize(row, len(checked)))
            await _give_way(len(checked))
    desired_rows, doubled = await compute(partial(split_duplicates, _only(DesiredRow, checked), kind.noun), checked)
    return desired_rows, [*_only(Conflict, checked), *doubled]


def content_of(kind: PlanStrategy[Any], desired_rows: Sequence[DesiredRow], conflicts: Sequence[Conflict]) -> str:
    """Return a hash of the rows and options, which identifies a run without its file name."""
    digest = hashlib.sha256(json.dumps([kind.name, dict(kind.options)], sort_keys=True).encode())
    for desired in sorted(desired_rows, key=lambda row: row.key):
        digest.update(json.dumps([desired.key, desired.values], sort_keys=True, default=str).encode())
    for conflict in conflicts:
        digest.update(json.dumps([conflict.key, conflict.reason]).encode())
    return digest.hexdigest()


def _register(record: RunRecord, plan_json: str) -> RunRecord | None:
    """Record a new run, or return an interrupted run with the same content."""
    with TargetLock(record.target):
        left = unfinished_runs(record.target)
        if left and left[0].content == record.content:
            return left[0]
        refuse_unfinished(left)
        if record.writes:  # of a plan without writes, there is nothing to keep
            save_run(record, plan_json)
    return None


def _only(cls: Any, things: Iterable[Any]) -> list[Any]:
    return [thing for thing in things if isinstance(thing, cls)]


async def _give_way(number: int) -> None:
    if number % _AT_ONCE == 0:
        await asyncio.sleep(0)


class Run:
    """A plan that is applied with a record, so that the next run finds an interrupted one.

    Attributes:
        plan: The plan; for a resumed run, its original plan.
        record: The record of the run.
        is_resumed: Whether the run was started earlier.
    """

    def __init__(self, plan: Plan, record: RunRecord, *, is_resumed: bool) -> None:
        self.plan = plan
        self.record: RunRecord = record
        self.is_resumed = is_resumed

    def apply(
        self, *, concurrency: int = 10, stop: StopAfter | None = None, settle_after: float = 30.0
    ) -> OutcomeStream[PlannedWrite, Applied]:
        """Start or continue the run: see `Plan.apply`. A resumed run is compared with the present state first.

        Args:
            concurrency: The largest number of writes at the same time.
            stop: The limits at which the job stops.
            settle_after: The seconds after a lost response until the write is looked up.
        """
        runner = self._runner(settle_after=settle_after, on_end=self._write_down)
        return runner.stream(concurrency=concurrency, stop=stop)

    def _runner(self, **options: Any) -> PlanRunner:
        if self.is_resumed:
            options["read_at"] = 0.0
        journal = self.record.journal_path if self.plan.writes else None
        return runner_of(self.plan, journal_path=journal, run=self.record.id, **options)

    async def look_up(self) -> RunRecord:
        """Look up the writes with an unknown outcome, and drop the run.

        Returns:
            The ended run: The record. `counts["unknown"]` is the number of writes whose outcome is still unknown.

        Raises:
            JournalBusyError: The run is in progress.
            JournalError: The result cannot be recorded.
            GoedGepicktError: The present state cannot be read.
        """
        runner = self._runner(settle_after=30.0)
        async with runner.opened():
            await runner.look_up()
            self.record = await in_thread(partial(end_run, self.record, RunState.DROPPED, runner.counts))
        return self.record

    def _write_down(self, runner: PlanRunner) -> None:
        if not self.record.writes:
            return
        if not runner.is_ended:
            self.record = attrs.evolve(self.record, counts=dict(runner.counts))
            save_run(self.record)
            return
        state = RunState.FAILED if runner.counts["failed"] else RunState.DONE
        self.record = end_run(self.record, state, runner.counts)


class Bulk:
    """Bulk jobs, which use the bulk lane and so leave slots for other calls."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    def map(
        self,
        operation: Callable[[T], Awaitable[R]],
        items: Iterable[T] | AsyncIterable[T],
        *,
        concurrency: int = 10,
        ordered: bool = False,
        total: int | None = None,
        stop: StopAfter | None = None,
    ) -> OutcomeStream[T, R]:
        """Call an operation for each item. Return an async iterator of outcomes, one for each item.

        Args:
            operation: A coroutine function that gets one item. Its API calls use the bulk lane.
            items: An iterable or async iterable of any length.
            concurrency: The largest number of items that are started and whose outcome you have not taken yet. Only
                this needs memory.
            ordered: Whether outcomes have the order of the items.
            total: The number of items, for the progress; None for `len(items)`, if available.
            stop: The limits at which the job stops.

        Raises:
            ConfigurationError: `concurrency` is not a whole number of at least 1.
        """
        pipeline = self._sender.pipeline
        runner = BulkRunner(
            operation, items, pipeline.budget, concurrency=concurrency, ordered=ordered, total=total, stop=stop,
            job="map", on_item=pipeline.hooks.item,
        )  # fmt: skip
        return OutcomeStream(runner)

    async def start_run(self, plan: Plan) -> Run:
        """Start a run of a plan. The run is recorded before the first write.

        If a run for the same target with the same content was interrupted, it is resumed with its own plan.

        Args:
            plan: A plan of this client.

        Raises:
            ConfigurationError: The plan has no client.
            UnfinishedRunError: A run for this target with another content was interrupted: resume or drop it first.
            JournalBusyError: Another run is writing to the target.
            JournalError: The run cannot be recorded.
        """
        if not isinstance(plan, Plan):
            raise ConfigurationError(f"start_run takes a plan, such as `await gg.stock.plan(…)`, not {shown(plan)}")
        target = plan.target
        now = datetime.now(UTC)
        record = RunRecord(
            id=f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}",
            target=target,
            started_at=now,
            webshop_name=plan.scope.webshop_name,
            source=plan.source.name if plan.source else "",
            content=plan.content,
            writes=plan.requests,
            left_out=plan.left_out,
        )
        older = await in_thread(lambda: _register(record, plan.to_json()))
        if older is not None:
            return await self.resume_run(older.id)
        return Run(plan, record, is_resumed=False)

    async def resume_run(self, run_id: str) -> Run:
        """Continue an interrupted run.

        Writes in flight are looked up, and items that have changed meanwhile are not overwritten.

        Args:
            run_id: The id of the run, or the start of the id.

        Raises:
            ConfigurationError: The run does not exist or has ended, or its plan is damaged.
            JournalMismatchError: The run is for another server or API key.
            JournalError: The run cannot be read.
        """
        record = await asyncio.to_thread(find_unfinished, run_id)
        try:
            text = await asyncio.to_thread(record.plan_path.read_bytes)
        except OSError as error:
            raise JournalError(f"the plan of run {record.id} cannot be read: {error.strerror}") from None
        plan = await in_thread(partial(self.load_plan, text))
        return Run(plan, record, is_resumed=True)

    def load_plan(self, text: str | bytes) -> Plan:
        """Load a plan that `to_json` saved. This client can apply it to the plan's webshop.

        Raises:
            ConfigurationError: The text is not a plan, or has another version.
            JournalMismatchError: The plan was made for another server or API key.
        """
        return bound(Plan.from_json(text), self._sender)


# -- likely mistakes -----------------------------------------------------------------------------------------------------

_FACTORS: Final = tuple(Decimal(10) ** power for power in (-3, -2, -1, 1, 2, 3))
_LEAST_PRICES: Final = 3
_LEAST_ZEROES: Final = 5
_MANY: Final = 0.5
_MANY_ZEROES: Final = 0.2
_HUGE_LEVEL: Final = 1_000_000
_BARCODE_DIGITS: Final = frozenset({8, 12, 13, 14})


def _notices(plan: Plan) -> tuple[str, ...]:
    """Warn about likely mistakes in many rows: a lost decimal sign, an empty stock column, a barcode as a quantity."""
    changes = [(write, change) for write in plan.updates for change in write.changes]
    prices = [
        (before, after)
        for _, change in changes
        if change.field == "price"
        and (before := _number(change.before))
        and (after := _number(change.after)) is not None
    ]
    levels = [
        (write.key, change.before or 0, change.after)
        for write, change in changes
        if write.action in {Action.SET, Action.MUTATE}
    ]
    looked = plan.requests + len(plan.unchanged)
    emptied_stocks = sum(before > 0 and after == 0 for _, before, after in levels)
    free = sum(after == 0 for _, after in prices)
    return (
        *_price_factors([(before, after) for before, after in prices if after]),
        *_zeroes(emptied_stocks, looked, "stocks become 0: check for an empty stock column"),
        *_zeroes(free, looked, "prices become 0: is the column of prices empty?"),
        *_odd_levels(levels),
        *_other_webshop(plan),
    )


def _number(value: Any) -> Decimal | None:
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _price_factors(pairs: Sequence[tuple[Decimal, Decimal]]) -> Iterator[str]:
    factors = Counter(factor for before, after in pairs for factor in _FACTORS if _is_about(after / before, factor))
    for factor, count in factors.most_common(1):
        if count >= _LEAST_PRICES and count >= _MANY * len(pairs):
            before, after = next(pair for pair in pairs if _is_about(pair[1] / pair[0], factor))
            becomes = f"{factor:f} times as high" if factor > 1 else f"{1 / factor:f} times as low"
            yield (
                f"{count} of {len(pairs)} changed prices become {becomes} ({before:f} → {after:f}): "
                "check for a lost decimal sign"
            )


def _is_about(ratio: Decimal, factor: Decimal) -> bool:
    """Whether a ratio is a factor, apart from the rounding of cents."""
    return abs(ratio / factor - 1) < Decimal("0.005")


def _zeroes(count: int, looked: int, text: str) -> Iterator[str]:
    if count >= _LEAST_ZEROES and count >= _MANY_ZEROES * looked:
        yield f"{count} of {looked} {text}"


def _odd_levels(levels: Sequence[tuple[str, int, int]]) -> Iterator[str]:
    odd = [(key, after) for key, before, after in levels if _is_implausible(before, after)]
    if odd:
        key, level = odd[0]
        what = "a barcode" if _is_barcode(level) else "too high"
        rows = "1 level looks" if len(odd) == 1 else f"{len(odd)} levels look"
        yield f"{rows} like {what} rather than a number of pieces, such as {level} for {key}"


def _is_implausible(before: int, after: int) -> bool:
    return after > 100 * max(before, 1) and (after >= _HUGE_LEVEL or _is_barcode(after))


def _is_barcode(level: int) -> bool:
    """Whether a number has the length and the check digit of an EAN or UPC, or at least their length."""
    digits = str(level)
    if len(digits) not in _BARCODE_DIGITS:
        return False
    weighted = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(reversed(digits)))
    return weighted % 10 == 0 or len(digits) > 8


def _other_webshop(plan: Plan) -> Iterator[str]:
    count = sum(len(each.indexes) for each in plan.conflicts if each.code is ConflictCode.OTHER_WEBSHOP)
    if count and count >= _MANY * plan.rows:
        rows = "1 row is" if count == 1 else f"{count:,} rows are"
        yield f"{rows} of another webshop, not of {plan.scope.webshop_text}: check the webshop"


T = TypeVar("T")
R = TypeVar("R")
