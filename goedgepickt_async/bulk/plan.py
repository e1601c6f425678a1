"""Plans: made, shown, saved, loaded and applied; and `gg.bulk`."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import aclosing
from datetime import UTC, datetime
from os import PathLike
from typing import Any, Final, TypeVar

import attrs

from goedgepickt_async._transport.context import CallContext
from goedgepickt_async._transport.pipeline import Sender
from goedgepickt_async.budget.queue import bulk_rate
from goedgepickt_async.budget.slots import Lane
from goedgepickt_async.bulk.apply import Application, Applier
from goedgepickt_async.bulk.map import Engine, OutcomeStream, StopAfter, each
from goedgepickt_async.bulk.orders import OrderKind
from goedgepickt_async.bulk.products import ProductKind
from goedgepickt_async.bulk.stock import StockKind
from goedgepickt_async.bulk.strategy import Kind, without_doubles
from goedgepickt_async.bulk.values import (
    UNTOLD,
    Account,
    Action,
    Applied,
    Change,
    Conflict,
    LeftAlone,
    PlannedWrite,
    Unchanged,
    Verdict,
    Wish,
)
from goedgepickt_async.errors import AuthenticationError, ClientClosedError, ConfigurationError, JournalError

__all__ = ["Bulk", "Plan", "bound", "from_json", "make_plan", "mark", "render", "to_dict", "to_json"]

_FATAL = (JournalError, AuthenticationError, ClientClosedError)


def _counted(rows: Sized) -> str:
    return f"<{len(rows)}>"


@attrs.frozen(kw_only=True)
class Plan:
    """What will be written to bring what is there to what is wanted; and what will not, and why.

    It is a value: printing it shows it, `to_json` saves it, `gg.bulk.load_plan` takes it up again, `apply` does it.

    Attributes:
        kind: `products`, `stock` or `orders`.
        options: What it was asked for besides.
        account: Which server, webshop and key it is for; of the key only a keyed hash.
        creates: What will be made.
        updates: What will be changed, field by field.
        unchanged: Rows whose wish is fulfilled already.
        left_alone: Rows that are deliberately not touched.
        conflicts: Rows for which nothing can safely be done.
        read_at: When the reading of what is there began.
        requests_read: Requests that planning took.
        rate: Requests a second at which it is applied.
    """

    kind: str
    options: Mapping[str, Any] = attrs.field(factory=dict)
    account: Account = attrs.field(repr=False)
    creates: tuple[PlannedWrite, ...] = attrs.field(default=(), repr=_counted)
    updates: tuple[PlannedWrite, ...] = attrs.field(default=(), repr=_counted)
    unchanged: tuple[Unchanged, ...] = attrs.field(default=(), repr=_counted)
    left_alone: tuple[LeftAlone, ...] = attrs.field(default=(), repr=_counted)
    conflicts: tuple[Conflict, ...] = attrs.field(default=(), repr=_counted)
    read_at: datetime
    requests_read: int
    rate: float
    _applying: tuple[Sender, Kind[Any]] | None = attrs.field(default=None, alias="applying", repr=False, eq=False)

    @property
    def writes(self) -> tuple[PlannedWrite, ...]:
        """All that will be written, in the order of the input."""
        return tuple(sorted(self.creates + self.updates, key=lambda write: write.index))

    @property
    def requests(self) -> int:
        """Requests that applying it takes, if nothing goes wrong."""
        return len(self.creates) + len(self.updates)

    @property
    def minutes(self) -> float:
        """Minutes that applying it takes, at the pace of the bulk lane."""
        return self.requests / self.rate / 60

    def __str__(self) -> str:
        return self.render()

    def render(self, *, limit: int | None = None, where: Callable[[int], str] | None = None) -> str:
        """The plan as text that reads like a diff; `str(plan)` is that.

        Args:
            limit: Rows of each kind to show; None: all.
            where: How people know a row of the input by its place (from 0); by default `row 1` is the first.
        """
        from goedgepickt_async.bulk.plan import render  # noqa: PLC0415  it knows plans

        return render(self, limit=limit, where=where or (lambda index: f"row {index + 1}"))

    def as_dict(self) -> dict[str, Any]:
        """What `to_json` writes, as values that JSON takes."""
        from goedgepickt_async.bulk.plan import to_dict  # noqa: PLC0415  it knows plans

        return to_dict(self)

    def to_json(self) -> str:
        """The plan as JSON, to be saved. That of orders holds personal data: keep it as you keep those."""
        from goedgepickt_async.bulk.plan import to_json  # noqa: PLC0415  it knows plans

        return to_json(self)

    @classmethod
    def from_json(cls, text: str | bytes) -> Plan:
        """A saved plan, to be looked at; `gg.bulk.load_plan` gives one that can be applied.

        Raises:
            ConfigurationError: It is no plan, or one of another version.
        """
        from goedgepickt_async.bulk.plan import from_json  # noqa: PLC0415  it knows plans

        return from_json(text)

    def apply(
        self,
        *,
        journal: str | PathLike[str] | None = None,
        dry_run: bool = False,
        max_age: float | None = 600.0,
        concurrency: int = 10,
        stop: StopAfter | None = None,
        settle: float = 30.0,
    ) -> OutcomeStream[PlannedWrite, Applied]:
        """Do it: an async iterator of outcomes, one for each planned write, on the bulk lane.

        Args:
            journal: A file that remembers what was sent: with it, applying again does what is left and nothing twice.
            dry_run: Send nothing but reads: with `max_age=0`, says what would be in conflict by now.
            max_age: Seconds after which what a plan has read is read again before it is written to; what has changed
                meanwhile is reported as `ConflictError`, not overwritten. None: never.
            concurrency: Writes under way at once.
            stop: When to give up.
            settle: Seconds that the server may still be at a write whose answer was lost; it is looked up after that.

        Raises:
            ConfigurationError: It was loaded by `Plan.from_json`, and belongs to no client; or a number is unfit.
            JournalError: (while iterated) The journal cannot be used.
        """
        if self._applying is None:
            raise ConfigurationError("this plan belongs to no client: load it with gg.bulk.load_plan")
        if settle < 0 or (max_age is not None and max_age < 0):
            raise ConfigurationError("settle and max_age are seconds, and not negative")
        sender, kind = self._applying
        how = Application(
            mark=self._mark(),
            writes=self.writes,
            read_at=self.read_at.timestamp(),
            journal=journal,
            dry_run=dry_run,
            max_age=max_age,
            settle=settle,
        )
        applier = Applier(kind, sender.settings, how)
        engine = Engine(
            applier.apply, how.writes, sender.pipeline.budget, concurrency=concurrency, stop=stop, fatal=_FATAL,
            lane=Lane.BULK, job=kind.name, told=sender.pipeline.hooks.item,
        )  # fmt: skip
        return OutcomeStream(engine, applier.opened)

    def _mark(self) -> str:
        """What tells this plan apart from all others: what it will do, and when it was made."""
        from goedgepickt_async.bulk.plan import mark  # noqa: PLC0415  it knows plans

        return mark(self)


_FORMAT: Final = "goedgepickt-async plan"
_VERSION: Final = 1


def to_json(plan: Plan) -> str:
    """The plan as text, one line for each write, so that two plans can be compared."""
    parts = to_dict(plan)
    lists = {name: parts.pop(name) for name in ("writes", "conflicts", "left_alone", "unchanged")}
    lines = [f"  {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in parts.items()]
    for name, rows in lists.items():
        inner = ",\n".join(f"    {json.dumps(row, ensure_ascii=False)}" for row in rows)
        lines.append(f"  {json.dumps(name)}: [\n{inner}\n  ]" if rows else f"  {json.dumps(name)}: []")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def to_dict(plan: Plan) -> dict[str, Any]:
    """The plan as values that JSON takes."""
    return {
        "format": _FORMAT,
        "version": _VERSION,
        "kind": plan.kind,
        "options": dict(plan.options),
        "account": plan.account.as_dict(),
        "read_at": plan.read_at.isoformat(),
        "requests_read": plan.requests_read,
        "requests": plan.requests,
        "minutes": round(plan.minutes, 2),
        "rate": plan.rate,
        "writes": [_write_to(write) for write in plan.writes],
        "conflicts": [_conflict_to(conflict) for conflict in plan.conflicts],
        "left_alone": [
            {"key": row.key, "index": row.index, "uuid": row.uuid, "reason": row.reason} for row in plan.left_alone
        ],
        "unchanged": [{"key": row.key, "index": row.index, "uuid": row.uuid} for row in plan.unchanged],
    }


def from_json(text: str | bytes) -> Plan:
    """A plan that was saved.

    Raises:
        ConfigurationError: It is no plan, or one of another version.
    """
    try:
        data = json.loads(text)
        if data["format"] != _FORMAT:
            raise ValueError  # noqa: TRY301  told below
        version = data["version"]
    except (ValueError, LookupError, TypeError, RecursionError):
        raise ConfigurationError("this is no plan that was saved as JSON") from None
    if version != _VERSION:
        raise ConfigurationError(f"the plan is of version {version!r}, and this is a program for version {_VERSION}")
    try:
        return _plan_from(data)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"the plan is damaged: {type(error).__name__}") from None


def mark(plan: Plan) -> str:
    """A hash of what the plan will do, and of when it was made: the same content planned anew is another plan."""
    content = [
        plan.kind,
        dict(plan.options),
        plan.account.server,
        plan.account.webshop,
        plan.read_at.timestamp(),
        [_write_to(write) for write in plan.writes],
    ]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _write_to(write: PlannedWrite) -> dict[str, Any]:
    return {
        "action": write.action.value,
        "key": write.key,
        "index": write.index,
        "uuid": write.uuid,
        "name": write.name,
        "changes": [
            {"field": change.field, "before": change.before, "after": change.after} for change in write.changes
        ],
        "wish": dict(write.wish.values),
        "seen": dict(write.seen),
    }


def _conflict_to(conflict: Conflict) -> dict[str, Any]:
    return {
        "key": conflict.key,
        "indexes": list(conflict.indexes),
        "reason": conflict.reason,
        "uuids": list(conflict.uuids),
        "fields": dict(conflict.fields),
    }


def _plan_from(data: Mapping[str, Any]) -> Plan:
    writes = tuple(_write_from(row) for row in data["writes"])
    read_at = datetime.fromisoformat(data["read_at"])
    if read_at.tzinfo is None or not isinstance(data["options"], dict):
        raise ValueError
    return Plan(
        kind=str(data["kind"]),
        options=data["options"],
        account=Account.from_dict(data["account"]),
        creates=tuple(write for write in writes if write.action is Action.CREATE),
        updates=tuple(write for write in writes if write.action is not Action.CREATE),
        unchanged=tuple(Unchanged(key=row["key"], index=row["index"], uuid=row["uuid"]) for row in data["unchanged"]),
        left_alone=tuple(
            LeftAlone(key=row["key"], index=row["index"], uuid=row["uuid"], reason=row["reason"])
            for row in data["left_alone"]
        ),
        conflicts=tuple(_conflict_from(row) for row in data["conflicts"]),
        read_at=read_at,
        requests_read=int(data["requests_read"]),
        rate=float(data["rate"]),
    )


def _write_from(row: Mapping[str, Any]) -> PlannedWrite:
    return PlannedWrite(
        action=Action(row["action"]),
        wish=Wish(key=str(row["key"]), index=int(row["index"]), values=dict(row["wish"])),
        uuid=None if row["uuid"] is None else str(row["uuid"]),
        name=str(row["name"]),
        changes=tuple(
            Change(field=str(change["field"]), before=change["before"], after=change["after"])
            for change in row["changes"]
        ),
        seen=dict(row["seen"]),
    )


def _conflict_from(row: Mapping[str, Any]) -> Conflict:
    return Conflict(
        key=str(row["key"]),
        indexes=tuple(map(int, row["indexes"])),
        reason=str(row["reason"]),
        uuids=tuple(map(str, row["uuids"])),
        fields=dict(row["fields"]),
    )


Where = Callable[[int], str]

_ONE_LINE: Final = frozenset({"orders"})
_LONGEST: Final = 120


def render(plan: Plan, *, limit: int | None, where: Where) -> str:
    """The plan: a summary, then what is made (`+`), changed (`~`), in conflict (`!`) and left alone (`=`)."""
    lines = [_title(plan), _summary(plan)]
    blocks = [
        [_write(plan, write) for write in plan.creates],
        [_write(plan, write) for write in plan.updates],
        [_conflict(conflict, where) for conflict in plan.conflicts],
        [f"= {_name(row.key)}  {where(row.index)}: left alone: {row.reason}" for row in plan.left_alone],
    ]
    for block in blocks:
        if block:
            lines += ["", *_at_most(block, limit)]
    return "\n".join(lines) + "\n"


def _title(plan: Plan) -> str:
    webshop = "all webshops" if plan.account.webshop is None else f"webshop {plan.account.webshop}"
    read_at = plan.read_at.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
    return f"Plan for {plan.kind} of {webshop} at {plan.account.server}, as it was on {read_at}"


def _summary(plan: Plan) -> str:
    counts = [
        f"{len(plan.creates):,} to create",
        f"{len(plan.updates):,} to change",
        f"{len(plan.unchanged):,} unchanged",
    ]
    if plan.left_alone:
        counts.append(f"{len(plan.left_alone):,} left alone")
    if plan.conflicts:
        counts.append(f"{len(plan.conflicts):,} in conflict, for which nothing is sent")
    if not plan.requests:
        return f"{', '.join(counts)}: there is nothing to send."
    requests = "1 request" if plan.requests == 1 else f"{plan.requests:,} requests"
    return f"{', '.join(counts)}: {requests}, {_duration(plan.minutes)}."


def _duration(minutes: float) -> str:
    if minutes < 1:
        return "less than a minute"
    return "about a minute" if minutes < 1.5 else f"about {minutes:,.0f} minutes"


def _write(plan: Plan, write: PlannedWrite) -> str:
    head = f"{'+' if write.action is Action.CREATE else '~'} {_name(write.key)}"
    is_named = any(change.field == "name" for change in write.changes)
    if write.name and not (is_named and write.action is Action.CREATE):
        head += f"  {_printable(write.name)}"
    shown = [_change(write, change) for change in write.changes if change.field != "sku" or write.uuid is not None]
    if plan.kind in _ONE_LINE or len(shown) == 1:
        return f"{head}  {', '.join(shown)}"
    return "\n".join([head, *(f"      {change}" for change in shown)])


def _change(write: PlannedWrite, change: Change) -> str:
    label = change.field.replace("_", " ")
    if write.action is Action.CREATE:
        return f"{label}: {_value(change.after)}"
    text = f"{label}: {_value(change.before)} → {_value(change.after)}"
    return f"{text}  ({change.after - change.before:+d})" if write.action is Action.MUTATE else text


def _conflict(conflict: Conflict, where: Where) -> str:
    rows = _and([where(index) for index in conflict.indexes])
    return f"! {_name(conflict.key)}  {rows}: {conflict.reason}"


def _name(key: str) -> str:
    return _printable(key) or "(empty)"


def _value(value: Any) -> str:
    if value is None:
        return "(nothing)"
    if value is True or value is False:
        return "yes" if value else "no"
    text = _printable(str(value))
    if value == UNTOLD or not isinstance(value, str) or _is_plain(text):
        return text
    return f'"{text}"'


def _is_plain(text: str) -> bool:
    """A number, a word or a URL: quotes would only be in the way."""
    return bool(text) and " " not in text and not text.startswith('"')


def _printable(text: str) -> str:
    """Without what a terminal would obey, and not longer than a line."""
    shown = "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 1]}…"


def _at_most(block: Sequence[str], limit: int | None) -> Iterator[str]:
    yield from block if limit is None else block[:limit]
    if limit is not None and len(block) > limit:
        yield f"  … and {len(block) - limit:,} more"


def _and(parts: Sequence[str]) -> str:
    most = 5
    if len(parts) > most:
        return f"{', '.join(parts[:most])} and {len(parts) - most} more"
    return " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))


_KINDS: Final[Mapping[str, Any]] = {kind.name: kind for kind in (ProductKind, StockKind, OrderKind)}
_AT_ONCE: Final = 200
"""Rows that are worked on before the event loop's other tasks get their turn: some milliseconds."""


async def make_plan(sender: Sender, kind: Kind[Any], rows: Iterable[Any] | AsyncIterable[Any]) -> Plan:
    """A plan of this kind for these rows.

    Raises:
        GoedGepicktError: What is there could not be read.
    """
    wishes, conflicts = await _wishes(kind, rows)
    read_at = datetime.now(UTC)
    with CallContext(lane=Lane.NORMAL).active() as context:
        present = await kind.read(wishes)
    verdicts: list[Verdict] = list(conflicts)
    for number, wish in enumerate(wishes, start=1):
        verdicts.append(kind.judge(wish, present.get(wish.key)))
        await _give_way(number)
    budget = sender.pipeline.budget.snapshot()
    return Plan(
        kind=kind.name,
        options=kind.options,
        account=Account.of(sender.settings, kind.webshop),
        creates=tuple(write for write in _only(PlannedWrite, verdicts) if write.action is Action.CREATE),
        updates=tuple(write for write in _only(PlannedWrite, verdicts) if write.action is not Action.CREATE),
        unchanged=tuple(_only(Unchanged, verdicts)),
        left_alone=tuple(_only(LeftAlone, verdicts)),
        conflicts=tuple(sorted(_only(Conflict, verdicts), key=lambda conflict: conflict.indexes)),
        read_at=read_at,
        requests_read=context.requests,
        rate=bulk_rate(budget.limit, budget.period),
        applying=(sender, kind),
    )


def bound(plan: Plan, sender: Sender) -> Plan:
    """A plan that was saved, to be applied by this client, for the webshop that it was made for.

    Raises:
        ConfigurationError: It is of a kind that this version does not know.
        JournalMismatchError: It was made for another server or API key.
    """
    webshop = plan.account.webshop
    plan.account.check(sender.settings, webshop, "the plan")
    if plan.kind not in _KINDS:
        raise ConfigurationError(f"there is no such kind of plan: {plan.kind}")
    try:
        kind = _KINDS[plan.kind](sender, webshop=webshop, **plan.options)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"the plan has options that nobody knows: {error}") from None
    return attrs.evolve(plan, applying=(sender, kind))


async def _wishes(
    kind: Kind[Any], rows: Iterable[Any] | AsyncIterable[Any]
) -> tuple[Sequence[Wish], Sequence[Conflict]]:
    """The rows, checked and in one form; and those for which nothing can be done."""
    checked: list[Wish | Conflict] = []
    async with aclosing(each(rows)) as source:
        async for row in source:
            checked.append(kind.wish(row, len(checked)))
            await _give_way(len(checked))
    wishes, doubled = without_doubles(_only(Wish, checked), kind.noun)
    return wishes, [*_only(Conflict, checked), *doubled]


def _only(cls: Any, things: Iterable[Any]) -> list[Any]:
    return [thing for thing in things if isinstance(thing, cls)]


async def _give_way(number: int) -> None:
    if number % _AT_ONCE == 0:
        await asyncio.sleep(0)


T = TypeVar("T")
R = TypeVar("R")


class Bulk:
    """Jobs of many items, on the bulk lane, which leaves room for everybody else."""

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
        """Do something with each item: an async iterator of outcomes, one for each item.

        Args:
            operation: What to do; the calls of the API that it makes go on the bulk lane.
            items: Of any length; they are taken as room comes free.
            concurrency: Items that are begun and whose outcome nobody has taken yet; memory grows with this alone.
            ordered: Outcomes in the order of the items, instead of as they come.
            total: How many items there are, for the progress; None: what `len` says, if it does.
            stop: When to give up.

        Raises:
            ConfigurationError: `concurrency` is no whole number of at least 1.
        """
        pipeline = self._sender.pipeline
        engine = Engine(
            operation, items, pipeline.budget, concurrency=concurrency, ordered=ordered, total=total, stop=stop,
            job="map", told=pipeline.hooks.item,
        )  # fmt: skip
        return OutcomeStream(engine)

    def load_plan(self, text: str | bytes) -> Plan:
        """A plan that `to_json` saved, to be applied by this client, for the webshop that it was made for.

        Raises:
            ConfigurationError: It is no plan, or one of another version.
            JournalMismatchError: It was made for another server or API key.
        """
        return bound(Plan.from_json(text), self._sender)
