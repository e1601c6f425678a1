"""A plan: what will be written and what will not; shown, saved, loaded and applied."""

from __future__ import annotations

import hashlib
import html
import json
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from os import PathLike
from typing import Any, Final

import attrs
import cattrs

from goedgepickt_async._transport.pipeline import Sender
from goedgepickt_async.budget.slots import Lane
from goedgepickt_async.bulk.apply import ApplyOptions, PlanRunner
from goedgepickt_async.bulk.map import BulkRunner, OutcomeStream, StopAfter
from goedgepickt_async.bulk.runs import Target
from goedgepickt_async.bulk.strategy import PlanStrategy
from goedgepickt_async.bulk.values import (
    CONVERTER,
    NOT_REPORTED,
    Action,
    Applied,
    Change,
    Conflict,
    PlannedWrite,
    PlanScope,
    RowSource,
    Skipped,
    Unchanged,
)
from goedgepickt_async.errors import AuthenticationError, ClientClosedError, ConfigurationError, JournalError
from goedgepickt_async.text import for_terminal, printable

__all__ = ["Plan"]

_FATAL = (JournalError, AuthenticationError, ClientClosedError)
_FORMAT: Final = "goedgepickt-async plan"
_VERSION: Final = 2
_LISTS: Final = ("writes", "conflicts", "skipped", "unchanged")


def _counted(rows: Sized) -> str:
    return f"<{len(rows)}>"


@attrs.frozen(kw_only=True)
class Plan:
    """What will be written to bring the present state to the desired one; and what will not, and why.

    It is a value: printing it shows it, `to_json` saves it, `gg.bulk.load_plan` loads it, `apply` carries it out.

    Attributes:
        kind: `products`, `stock` or `orders`.
        options: Its other options.
        scope: Which server, webshop and key it is for; of the key only a keyed hash.
        creates: What will be made.
        updates: What will be changed, field by field.
        unchanged: Rows that are as desired already.
        skipped: Rows that are deliberately not touched.
        conflicts: Rows for which nothing can safely be done.
        notices: What looks like one mistake in many rows, such as prices that all become 100 times as high.
        looked_at: Where the plan looked for what is there.
        content: A hash of the desired rows and the options: the same file, under any name, gives the same.
        source: The file that the rows came from; None: no file.
        read_at: When the reading of the present state began.
        requests_read: Requests that planning took.
        rate: Requests a second at which it is applied.
    """

    kind: str
    options: Mapping[str, Any] = attrs.field(factory=dict)
    scope: PlanScope = attrs.field(repr=False)
    creates: tuple[PlannedWrite, ...] = attrs.field(default=(), repr=_counted)
    updates: tuple[PlannedWrite, ...] = attrs.field(default=(), repr=_counted)
    unchanged: tuple[Unchanged, ...] = attrs.field(default=(), repr=_counted)
    skipped: tuple[Skipped, ...] = attrs.field(default=(), repr=_counted)
    conflicts: tuple[Conflict, ...] = attrs.field(default=(), repr=_counted)
    notices: tuple[str, ...] = ()
    looked_at: str = ""
    content: str = attrs.field(default="", repr=False)
    source: RowSource | None = None
    read_at: datetime
    requests_read: int
    rate: float
    _applying: tuple[Sender, PlanStrategy[Any]] | None = attrs.field(
        default=None, alias="applying", repr=False, eq=False
    )

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

    @property
    def bad_rows(self) -> tuple[str, ...]:
        """What could not be read of the file, as `stock.csv:12: voorraad: …`; empty without a file."""
        return () if self.source is None else self.source.problems

    @property
    def skipped_rows(self) -> tuple[str, ...]:
        """Rows of the file that are no rows of this kind, such as image rows, and why; empty without a file."""
        return () if self.source is None else self.source.skipped

    @property
    def rows_in_conflict(self) -> int:
        """How many rows are in conflict; one conflict may be about several."""
        return sum(len(conflict.indexes) for conflict in self.conflicts)

    @property
    def left_out(self) -> int:
        """How many rows were asked for and are not done: bad rows and those in conflict."""
        return self.rows_in_conflict + len(self.bad_rows)

    @property
    def rows(self) -> int:
        """How many rows were asked for."""
        return self.requests + len(self.unchanged) + len(self.skipped) + len(self.skipped_rows) + self.left_out

    def with_source(self, source: RowSource) -> Plan:
        """The same plan, with the file that its rows came from: its lines name rows, and its bad rows are counted."""
        return attrs.evolve(self, source=source)

    def __str__(self) -> str:
        return self.render()

    def render(self, *, limit: int | None = None, where: Callable[[int], str] | None = None) -> str:
        """The plan as text that reads like a diff; `str(plan)` is that.

        Args:
            limit: Rows of each kind to show; None: all.
            where: The name of a row by its place (from 0); by default its file and line, or `row 1` for the first.
        """
        default = (lambda index: f"row {index + 1}") if self.source is None else self.source.where
        return _render(self, limit=limit, where=where or default)

    def to_dict(self) -> dict[str, Any]:
        """What `to_json` writes, as values that JSON takes."""
        return {
            "format": _FORMAT,
            "version": _VERSION,
            "kind": self.kind,
            "options": dict(self.options),
            "scope": CONVERTER.unstructure(self.scope),
            "read_at": self.read_at.isoformat(),
            "requests_read": self.requests_read,
            "requests": self.requests,
            "minutes": round(self.minutes, 2),
            "rate": self.rate,
            "content": self.content,
            "looked_at": self.looked_at,
            "counts": {
                "rows": self.rows,
                "creates": len(self.creates),
                "updates": len(self.updates),
                "unchanged": len(self.unchanged),
                "skipped": len(self.skipped) + len(self.skipped_rows),
                "in_conflict": self.rows_in_conflict,
                "bad_rows": len(self.bad_rows),
                "left_out": self.left_out,
            },
            "notices": list(self.notices),
            "source": CONVERTER.unstructure(self.source),
            "writes": CONVERTER.unstructure(self.writes),
            "conflicts": CONVERTER.unstructure(self.conflicts),
            "skipped": CONVERTER.unstructure(self.skipped),
            "unchanged": CONVERTER.unstructure(self.unchanged),
        }

    def to_json(self) -> str:
        """The plan as JSON, to be saved, one line for each row, so that two plans can be compared.

        A plan of orders holds personal data: store it as you store orders.
        """
        parts = self.to_dict()
        lists = {name: parts.pop(name) for name in _LISTS}
        lines = [f"  {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in parts.items()]
        for name, rows in lists.items():
            inner = ",\n".join(f"    {json.dumps(row, ensure_ascii=False)}" for row in rows)
            lines.append(f"  {json.dumps(name)}: [\n{inner}\n  ]" if rows else f"  {json.dumps(name)}: []")
        return "{\n" + ",\n".join(lines) + "\n}\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Plan:
        """A saved plan, to be looked at; `gg.bulk.load_plan` gives one that can be applied.

        Raises:
            ConfigurationError: It is not a plan, or one of another version.
        """
        data: Any
        try:
            data = json.loads(text)
        except (ValueError, TypeError, RecursionError):
            data = {}
        return cls.from_dict(data)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Plan:
        """The plan that `to_dict` wrote; see `from_json`.

        Raises:
            ConfigurationError: It is not a plan, or one of another version.
        """
        if not isinstance(data, Mapping) or data.get("format") != _FORMAT:
            raise ConfigurationError("this is not a plan that was saved as JSON")
        if data.get("version") != _VERSION:
            raise ConfigurationError(
                f"the plan is of version {data.get('version')!r}, and this program reads version {_VERSION}: plan again"
            )
        try:
            return _structure_plan(data)
        except (
            cattrs.BaseValidationError,
            ValueError,
            LookupError,
            TypeError,
            AttributeError,
            RecursionError,
        ) as error:
            raise ConfigurationError(f"the plan is damaged: {type(error).__name__}; plan again") from None

    def _repr_html_(self) -> str:
        """The text of `render` for notebooks, at most 50 rows of each kind."""
        return f"<pre>{html.escape(self.render(limit=50))}</pre>"

    def apply(
        self,
        *,
        journal: str | PathLike[str] | None = None,
        dry_run: bool = False,
        max_age: float | None = 600.0,
        concurrency: int = 10,
        stop: StopAfter | None = None,
        settle_after: float = 30.0,
    ) -> OutcomeStream[PlannedWrite, Applied]:
        """Carry it out: an async iterator of outcomes, one for each planned write, on the bulk lane.

        Args:
            journal: A file that remembers what was sent: with it, applying again does what is left and nothing twice.
            dry_run: Only read: with `max_age=0`, says what would be in conflict by now.
            max_age: Seconds after which the plan's readings are refreshed before a write. A change since then is a
                `ConflictError` and is not overwritten. None: never.
            concurrency: Writes in progress at the same time.
            stop: When to give up.
            settle_after: Seconds that the server may still be at a write whose answer was lost; it is looked up then.

        Raises:
            ConfigurationError: It was loaded by `Plan.from_json`, and belongs to no client; or a number is unfit.
            JournalBusyError: (while iterated) Another run on this host writes to the same target.
            UnfinishedRunError: (while iterated) A run of this target was interrupted: resume or drop it first.
            JournalError: (while iterated) The journal cannot be used.
        """
        if settle_after < 0 or (max_age is not None and max_age < 0):
            raise ConfigurationError("settle_after and max_age are seconds, and not negative")
        sender, strategy = self.bound_to
        options = ApplyOptions(
            fingerprint=self.fingerprint,
            writes=self.writes,
            read_at=self.read_at.timestamp(),
            journal=journal,
            dry_run=dry_run,
            max_age=max_age,
            settle_after=settle_after,
        )
        plan_runner = PlanRunner(strategy, sender.settings, options)
        return self.stream(plan_runner, plan_runner.opened, concurrency=concurrency, stop=stop)

    def stream(
        self,
        plan_runner: PlanRunner,
        opened: Callable[[], AbstractAsyncContextManager[object]],
        *,
        concurrency: int,
        stop: StopAfter | None,
    ) -> OutcomeStream[PlannedWrite, Applied]:
        """The outcomes of a runner of this plan; for `apply` and for runs."""
        sender, strategy = self.bound_to
        runner = BulkRunner(
            plan_runner.apply, self.writes, sender.pipeline.budget, concurrency=concurrency, stop=stop,
            fatal=_FATAL, lane=Lane.BULK, job=strategy.name, on_item=sender.pipeline.hooks.item,
        )  # fmt: skip
        return OutcomeStream(runner, opened)

    @property
    def bound_to(self) -> tuple[Sender, PlanStrategy[Any]]:
        """The client's sender and the strategy, for runs.

        Raises:
            ConfigurationError: It belongs to no client.
        """
        if self._applying is None:
            raise ConfigurationError("this plan belongs to no client: load it with gg.bulk.load_plan")
        return self._applying

    @property
    def target(self) -> Target:
        """What applying it writes to; one run at a time may, on one host.

        Raises:
            ConfigurationError: It belongs to no client.
        """
        sender, strategy = self.bound_to
        return Target.of(sender.settings, strategy.webshop, strategy.name)

    @property
    def fingerprint(self) -> str:
        """A hash of what it will do and of when it was made: the same content planned again is another plan."""
        content = [
            self.kind,
            dict(self.options),
            self.scope.server,
            self.scope.webshop,
            self.read_at.timestamp(),
            CONVERTER.unstructure(self.writes),
        ]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


# -- saving and loading ---------------------------------------------------------------------------------------------


def _structure_plan(data: Mapping[str, Any]) -> Plan:
    writes = CONVERTER.structure(data["writes"], tuple[PlannedWrite, ...])
    read_at = datetime.fromisoformat(data["read_at"])
    rate = data["rate"]
    if read_at.tzinfo is None or not isinstance(data["options"], dict) or not 0 < rate < float("inf"):
        raise ValueError("unfit")
    source = data["source"]
    return Plan(
        kind=CONVERTER.structure(data["kind"], str),
        options=data["options"],
        scope=CONVERTER.structure(data["scope"], PlanScope),
        creates=tuple(write for write in writes if write.action is Action.CREATE),
        updates=tuple(write for write in writes if write.action is not Action.CREATE),
        unchanged=CONVERTER.structure(data["unchanged"], tuple[Unchanged, ...]),
        skipped=CONVERTER.structure(data["skipped"], tuple[Skipped, ...]),
        conflicts=CONVERTER.structure(data["conflicts"], tuple[Conflict, ...]),
        notices=CONVERTER.structure(data["notices"], tuple[str, ...]),
        looked_at=CONVERTER.structure(data["looked_at"], str),
        content=CONVERTER.structure(data["content"], str),
        source=None if source is None else CONVERTER.structure(source, RowSource),
        read_at=read_at,
        requests_read=CONVERTER.structure(data["requests_read"], int),
        rate=float(rate),
    )


# -- text ----------------------------------------------------------------------------------------------------------------

Where = Callable[[int], str]

_ONE_LINE: Final = frozenset({"orders"})
_MAX_TEXT: Final = 120
_MAX_PLACES: Final = 5


def _render(plan: Plan, *, limit: int | None, where: Where) -> str:
    """The plan: a summary, notices, then creates (`+`), changes (`~`), conflicts (`!`) and skipped rows (`=`)."""
    looked_at = [f"Looked at: {_printable(plan.looked_at, 400)}."] if plan.looked_at else []
    lines = [_title(plan), _summary(plan), *looked_at, *(f"Note: {_printable(notice, 400)}" for notice in plan.notices)]
    blocks = [
        [_write(plan, write) for write in plan.creates],
        [_write(plan, write) for write in plan.updates],
        [_conflict(conflict, where) for conflict in plan.conflicts],
        [f"! {_printable(problem, 400)}" for problem in plan.bad_rows],
        [
            *(
                f"= {_name(row.key)}  {_printable(where(row.index))}: skipped: {_printable(row.reason, 400)}"
                for row in plan.skipped
            ),
            *(f"= {_printable(row, 400)}: skipped" for row in plan.skipped_rows),
        ],
    ]
    for block in blocks:
        if block:
            lines += ["", *_at_most(block, limit)]
    return "\n".join(lines) + "\n"


def _counts(plan: Plan) -> str:
    """How many rows were asked for and what becomes of them, such as `3 rows: 1 to create, 2 unchanged`."""
    counts = [
        f"{len(plan.creates):,} to create",
        f"{len(plan.updates):,} to change",
        f"{len(plan.unchanged):,} unchanged",
    ]
    if plan.skipped or plan.skipped_rows:
        counts.append(f"{len(plan.skipped) + len(plan.skipped_rows):,} skipped")
    if plan.conflicts:
        counts.append(f"{plan.rows_in_conflict:,} in conflict, for which nothing is sent")
    if plan.bad_rows:
        counts.append(f"{len(plan.bad_rows):,} that cannot be read")
    noun = "order" if plan.kind == "orders" else "row"
    return f"{plan.rows:,} {noun if plan.rows == 1 else f'{noun}s'}: {', '.join(counts)}"


def _title(plan: Plan) -> str:
    read_at = plan.read_at.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
    webshop = _printable(plan.scope.webshop_text, 200)
    server = _printable(plan.scope.address or plan.scope.server, 200)
    return f"Plan for {_printable(plan.kind)} of {webshop} at {server}, as it was on {read_at}"


def _summary(plan: Plan) -> str:
    if not plan.requests:
        return f"{_counts(plan)}. There is nothing to send."
    requests = "1 request" if plan.requests == 1 else f"{plan.requests:,} requests"
    return f"{_counts(plan)}. It takes {requests}, {_duration(plan.minutes)}."


def _duration(minutes: float) -> str:
    if minutes < 1:
        return "less than a minute"
    return "about a minute" if minutes < 1.5 else f"about {minutes:,.0f} minutes"


def _write(plan: Plan, write: PlannedWrite) -> str:
    head = f"{'+' if write.action is Action.CREATE else '~'} {_name(write.key)}"
    has_name = any(change.field == "name" for change in write.changes)
    if write.name and not (has_name and write.action is Action.CREATE):
        head += f"  {_printable(write.name)}"
    shown = [_change(write, change) for change in write.changes if change.field != "sku" or write.uuid is not None]
    if plan.kind in _ONE_LINE or len(shown) == 1:
        return f"{head}  {', '.join(shown)}"
    return "\n".join([head, *(f"      {change}" for change in shown)])


def _change(write: PlannedWrite, change: Change) -> str:
    label = _printable(change.field.replace("_", " "))
    if write.action is Action.CREATE:
        return f"{label}: {_value(change.after)}"
    text = f"{label}: {_value(change.before)} → {_value(change.after)}"
    return f"{text}  ({change.after - change.before:+d})" if write.action is Action.MUTATE else text


def _conflict(conflict: Conflict, where: Where) -> str:
    rows = _and([where(index) for index in conflict.indexes])
    return f"! {_name(conflict.key)}  {_printable(rows, 400)}: {_printable(conflict.reason, 400)}"


def _name(key: str) -> str:
    return _printable(key) or "(empty)"


def _value(value: Any) -> str:
    if value is None:
        return "(nothing)"
    if value is True or value is False:
        return "yes" if value else "no"
    text = _printable(str(value))
    if value == NOT_REPORTED or not isinstance(value, str) or _is_plain(text):
        return text
    return f'"{text}"'


def _is_plain(text: str) -> bool:
    """Whether it is a number, a word or a URL, which needs no quotes."""
    return bool(text) and " " not in text and not text.startswith('"')


def _printable(text: str, most: int = _MAX_TEXT) -> str:
    """Without characters that control a terminal, and not longer than a line."""
    return printable(for_terminal(text), most - 1)


def _at_most(block: Sequence[str], limit: int | None) -> Iterator[str]:
    yield from block if limit is None else block[:limit]
    if limit is not None and len(block) > limit:
        yield f"  … and {len(block) - limit:,} more"


def _and(parts: Sequence[str]) -> str:
    if len(parts) > _MAX_PLACES:
        return f"{', '.join(parts[:_MAX_PLACES])} and {len(parts) - _MAX_PLACES} more"
    return " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))
