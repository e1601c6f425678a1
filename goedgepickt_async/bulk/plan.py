"""Plan: what is there, what is wanted, and the writes that lie between."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sized
from datetime import datetime
from os import PathLike
from typing import Any

import attrs

from goedgepickt_async.budget.slots import Lane
from goedgepickt_async.bulk.account import Account
from goedgepickt_async.bulk.applied import Applied
from goedgepickt_async.bulk.applier import Application, Applier
from goedgepickt_async.bulk.engine import Engine
from goedgepickt_async.bulk.kinds import Kind
from goedgepickt_async.bulk.planned import Conflict, LeftAlone, PlannedWrite, Unchanged
from goedgepickt_async.bulk.stopping import StopAfter
from goedgepickt_async.bulk.stream import OutcomeStream
from goedgepickt_async.errors import AuthenticationError, ClientClosedError, ConfigurationError, JournalError
from goedgepickt_async.wire.pipeline import Sender

__all__ = ["Plan"]

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
        from goedgepickt_async.bulk.plan_text import render  # noqa: PLC0415  it knows plans

        return render(self, limit=limit, where=where or (lambda index: f"row {index + 1}"))

    def as_dict(self) -> dict[str, Any]:
        """What `to_json` writes, as values that JSON takes."""
        from goedgepickt_async.bulk.plan_json import to_dict  # noqa: PLC0415  it knows plans

        return to_dict(self)

    def to_json(self) -> str:
        """The plan as JSON, to be saved. That of orders holds personal data: keep it as you keep those."""
        from goedgepickt_async.bulk.plan_json import to_json  # noqa: PLC0415  it knows plans

        return to_json(self)

    @classmethod
    def from_json(cls, text: str | bytes) -> Plan:
        """A saved plan, to be looked at; `gg.bulk.load_plan` gives one that can be applied.

        Raises:
            ConfigurationError: It is no plan, or one of another version.
        """
        from goedgepickt_async.bulk.plan_json import from_json  # noqa: PLC0415  it knows plans

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
        from goedgepickt_async.bulk.plan_json import mark  # noqa: PLC0415  it knows plans

        return mark(self)
