"""A plan: the planned writes, and the rows without a write. It can be printed, saved, loaded and applied."""

from __future__ import annotations

import hashlib
import html
import json
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from datetime import datetime
from os import PathLike
from typing import Any, Final

import attrs

from goedgepickt_async._transport.pipeline import Sender
from goedgepickt_async.bulk.apply import PlanRunner
from goedgepickt_async.bulk.map import OutcomeStream, StopAfter
from goedgepickt_async.bulk.runs import Target
from goedgepickt_async.bulk.strategy import PlanStrategy
from goedgepickt_async.bulk.values import (
    CONVERTER,
    NOT_REPORTED,
    UNREADABLE,
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
from goedgepickt_async.errors import ConfigurationError
from goedgepickt_async.text import for_terminal, printable

__all__ = ["Plan", "runner_of"]

_FORMAT: Final = "goedgepickt-async plan"
_VERSION: Final = 2
_LISTS: Final = ("writes", "conflicts", "skipped", "unchanged")
_SAVED_AS_THEY_ARE: Final = (
    "kind", "scope", "unchanged", "skipped", "conflicts", "notices", "looked_at", "content", "source", "requests_read",
)  # fmt: skip


def _counted(rows: Sized) -> str:
    return f"<{len(rows)}>"


@attrs.frozen(kw_only=True)
class Plan:
    """The writes that change the present state to the desired state, and the reasons for rows without a write.

    It is a frozen value: `print` shows it, `to_json` saves it, `gg.bulk.load_plan` loads it, `apply` carries it out.
    An unpickled plan can only be read, like one from `from_json`.

    Attributes:
        kind: `products`, `stock` or `orders`.
        options: The other options of the plan.
        scope: The server, the webshop and a keyed hash of the API key.
        creates: The objects to create.
        updates: The changes, field by field.
        unchanged: Rows that already have the desired state.
        skipped: Rows that are skipped deliberately.
        conflicts: Rows for which no safe write is possible.
        notices: Warnings about likely mistakes in many rows, such as prices that all become 100 times as high.
        looked_at: The part of the present state that was compared.
        content: A hash of the desired rows and the options. The file name does not change it.
        source: The file of the rows; None without a file.
        read_at: The time when the reading of the present state started.
        requests_read: The number of requests for planning.
        rate: The requests per second at which it is applied.
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
        """All writes, in the order of the input."""
        return tuple(sorted(self.creates + self.updates, key=lambda write: write.index))

    @property
    def requests(self) -> int:
        """The number of requests for applying it, without retries."""
        return len(self.creates) + len(self.updates)

    @property
    def minutes(self) -> float:
        """The minutes for applying it, at the pace of the bulk lane."""
        return self.requests / self.rate / 60

    @property
    def bad_rows(self) -> tuple[str, ...]:
        """The problems in the file, such as `stock.csv:12: voorraad: …`; empty without a file."""
        return () if self.source is None else self.source.problems

    @property
    def skipped_rows(self) -> tuple[str, ...]:
        """The skipped rows of the file and the reasons, such as image rows; empty without a file."""
        return () if self.source is None else self.source.skipped

    @property
    def rows_in_conflict(self) -> int:
        """The number of rows in conflict; one conflict can be about several rows."""
        return sum(len(conflict.indexes) for conflict in self.conflicts)

    @property
    def left_out(self) -> int:
        """The number of rows that are not applied: rows with problems and rows in conflict."""
        return self.rows_in_conflict + len(self.bad_rows)

    @property
    def rows(self) -> int:
        """The number of rows in the input."""
        return self.requests + len(self.unchanged) + len(self.skipped) + len(self.skipped_rows) + self.left_out

    def with_source(self, source: RowSource) -> Plan:
        """Return the plan with the file of its rows: rows are named by line, and rows with problems are counted."""
        return attrs.evolve(self, source=source)

    def __str__(self) -> str:
        return self.render()

    def render(self, *, limit: int | None = None, where: Callable[[int], str] | None = None) -> str:
        """Return the plan as text in the form of a diff; `str(plan)` returns the same.

        Args:
            limit: The number of rows of each kind to show; None for all.
            where: A function that names a row by its index (from 0). Default: its file and line, or `row 1` for the
                first.
        """
        default = (lambda index: f"row {index + 1}") if self.source is None else self.source.where
        return _render(self, limit=limit, where=where or default)

    def to_dict(self) -> dict[str, Any]:
        """Return the content of `to_json`, as values for `json.dumps`."""
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
            **{name: CONVERTER.unstructure(getattr(self, name)) for name in ("source", *_LISTS)},
        }

    def to_json(self) -> str:
        """Return the plan as JSON text. Each row is on its own line, so that two plans can be compared.

        A plan of orders holds personal data: store it as you store orders.
        """
        parts = self.to_dict()
        lists = {name: parts.pop(name) for name in _LISTS}
        lines = [f"  {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in parts.items()]
        for name, rows in lists.items():
            inner = ",\n".join(f"    {json.dumps(row, ensure_ascii=False)}" for row in rows)
            lines.append(f"  {json.dumps(name)}: [\n{inner}\n  ]" if rows else f"  {json.dumps(name)}: []")
        return "{\n" + ",\n".join(lines) + "\n}\n"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the saved plan, without the client."""
        return type(self).from_json, (self.to_json(),)

    def __copy__(self) -> Plan:
        return self

    def __deepcopy__(self, _memo: object) -> Plan:
        return self

    @classmethod
    def from_json(cls, text: str | bytes) -> Plan:
        """Return a saved plan for reading only. `gg.bulk.load_plan` returns one that can be applied.

        Raises:
            ConfigurationError: The text is not a plan, or has another version.
        """
        data: Any
        try:
            data = json.loads(text)
        except (ValueError, TypeError, RecursionError):
            data = {}
        return cls.from_dict(data)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Plan:
        """Return the plan from a result of `to_dict`; see `from_json`.

        Raises:
            ConfigurationError: The text is not a plan, or has another version.
        """
        if not isinstance(data, Mapping) or data.get("format") != _FORMAT:
            raise ConfigurationError(
                "this is not a saved plan: save one with `goedgepickt plan --output plan.json`, or Plan.to_json"
            )
        if data.get("version") != _VERSION:
            raise ConfigurationError(
                f"the plan has version {data.get('version')!r}, but this program reads version {_VERSION}: plan again"
            )
        try:
            return _structure_plan(data)
        except UNREADABLE as error:
            raise ConfigurationError(f"the plan is damaged: {type(error).__name__}; plan again") from None

    def _repr_html_(self) -> str:
        """The display in notebooks: the text of `render` with at most 50 rows of each kind."""
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
        """Apply the plan in the bulk lane. Return an async iterator of outcomes, one for each planned write.

        Args:
            journal: A file that records the writes. If you apply the plan again with it, only the remaining writes are
                sent.
            dry_run: Whether to send no writes. With `max_age=0`, it reports the present conflicts.
            max_age: Seconds after which the plan's readings are refreshed before a write. A change since then is a
                `ConflictError` and is not overwritten. None: never.
            concurrency: The largest number of writes at the same time.
            stop: The limits at which the job stops.
            settle_after: The seconds after a lost response until the write is looked up, because the server may still
                process it.

        Raises:
            ConfigurationError: The plan was loaded by `Plan.from_json` and has no client, or a number is not valid.
            JournalBusyError: (while iterated) Another run on this host writes to the same target.
            UnfinishedRunError: (while iterated) A run for this target was interrupted: resume or drop it first.
            JournalError: (while iterated) The journal cannot be used.
        """
        runner = runner_of(self, journal_path=journal, dry_run=dry_run, max_age=max_age, settle_after=settle_after)
        return runner.stream(concurrency=concurrency, stop=stop)

    @property
    def bound_to(self) -> tuple[Sender, PlanStrategy[Any]]:
        """Return the client's sender and the strategy, for runs.

        Raises:
            ConfigurationError: The plan has no client.
        """
        if self._applying is None:
            raise ConfigurationError("this plan has no client: load it with gg.bulk.load_plan")
        return self._applying

    @property
    def target(self) -> Target:
        """Return the target of the plan. On one host, only one run at a time writes to it.

        Raises:
            ConfigurationError: The plan has no client.
        """
        sender, strategy = self.bound_to
        return Target.of(sender.settings, strategy.webshop, strategy.name)

    @property
    def fingerprint(self) -> str:
        """A hash of the writes and the time of the plan, so the same content planned again has another id."""
        content = [
            self.kind,
            dict(self.options),
            self.scope.server,
            self.scope.webshop,
            self.read_at.timestamp(),
            CONVERTER.unstructure(self.writes),
        ]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def runner_of(plan: Plan, **options: Any) -> PlanRunner:
    """Return what applies a plan; the options are attributes of the `PlanRunner`."""
    sender, strategy = plan.bound_to
    options = {"read_at": plan.read_at.timestamp(), **options}
    return PlanRunner(
        sender=sender, strategy=strategy, fingerprint=lambda: plan.fingerprint, writes=plan.writes, **options
    )


# -- saving and loading ---------------------------------------------------------------------------------------------


def _structure_plan(data: Mapping[str, Any]) -> Plan:
    types: dict[str, Any] = {field.name: field.type for field in attrs.fields(attrs.resolve_types(Plan))}
    same: dict[str, Any] = {name: CONVERTER.structure(data[name], types[name]) for name in _SAVED_AS_THEY_ARE}
    writes = CONVERTER.structure(data["writes"], tuple[PlannedWrite, ...])
    read_at = datetime.fromisoformat(data["read_at"])
    rate = data["rate"]
    is_usable = read_at.tzinfo is not None and same["scope"].webshop is not None and 0 < rate < float("inf")
    if not is_usable or not isinstance(data["options"], dict):
        raise ValueError("unfit")
    return Plan(
        options=data["options"],
        creates=tuple(write for write in writes if write.action is Action.CREATE),
        updates=tuple(write for write in writes if write.action is not Action.CREATE),
        read_at=read_at,
        rate=float(rate),
        **same,
    )


# -- text ----------------------------------------------------------------------------------------------------------------

_MAX_TEXT: Final = 120
_MAX_PLACES: Final = 5


def _render(plan: Plan, *, limit: int | None, where: Callable[[int], str]) -> str:
    """Render a summary, notices, creates (`+`), changes (`~`), conflicts (`!`) and skipped rows (`=`)."""
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
    """Summarise the rows, such as `3 rows: 1 to create, 2 unchanged`."""
    counts = [
        f"{len(plan.creates):,} to create",
        f"{len(plan.updates):,} to change",
        f"{len(plan.unchanged):,} unchanged",
    ]
    if plan.skipped or plan.skipped_rows:
        counts.append(f"{len(plan.skipped) + len(plan.skipped_rows):,} skipped")
    if plan.conflicts:
        counts.append(f"{plan.rows_in_conflict:,} in conflict, which are not sent")
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
    duration = f"about {plan.minutes:,.0f} minutes"
    if plan.minutes < 1.5:
        duration = "less than a minute" if plan.minutes < 1 else "about a minute"
    return f"{_counts(plan)}. It takes {requests}, {duration}."


def _write(plan: Plan, write: PlannedWrite) -> str:
    head = f"{'+' if write.action is Action.CREATE else '~'} {_name(write.key)}"
    has_name = any(change.field == "name" for change in write.changes)
    if write.name and not (has_name and write.action is Action.CREATE):
        head += f"  {_printable(write.name)}"
    shown = [_change(write, change) for change in write.changes if change.field != "sku" or write.uuid is not None]
    if plan.kind == "orders" or len(shown) == 1:
        return f"{head}  {', '.join(shown)}"
    return "\n".join([head, *(f"      {change}" for change in shown)])


def _change(write: PlannedWrite, change: Change) -> str:
    label = _printable(change.field.replace("_", " "))
    if write.action is Action.CREATE:
        return f"{label}: {_value(change.after)}"
    text = f"{label}: {_value(change.before)} → {_value(change.after)}"
    return f"{text}  ({change.after - change.before:+d})" if write.action is Action.MUTATE else text


def _conflict(conflict: Conflict, where: Callable[[int], str]) -> str:
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
    is_plain = bool(text) and " " not in text and not text.startswith('"')  # a number, a word or a URL
    return text if value == NOT_REPORTED or not isinstance(value, str) or is_plain else f'"{text}"'


def _printable(text: str, most: int = _MAX_TEXT) -> str:
    """Return a text without terminal control characters, which fits on a line."""
    return printable(for_terminal(text), most - 1)


def _at_most(block: Sequence[str], limit: int | None) -> Iterator[str]:
    yield from block if limit is None else block[:limit]
    if limit is not None and len(block) > limit:
        yield f"  … and {len(block) - limit:,} more"


def _and(parts: Sequence[str]) -> str:
    if len(parts) > _MAX_PLACES:
        return f"{', '.join(parts[:_MAX_PLACES])} and {len(parts) - _MAX_PLACES} more"
    return " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))
