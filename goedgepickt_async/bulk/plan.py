"""Plan: what is there, what is wanted, and the writes that lie between."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from os import PathLike
from typing import Any

import attrs

from goedgepickt_async.bulk.applied import Applied
from goedgepickt_async.bulk.planned import Conflict, LeftAlone, PlannedWrite, Unchanged
from goedgepickt_async.bulk.stopping import StopAfter
from goedgepickt_async.bulk.stream import OutcomeStream

__all__ = ["Plan"]


@attrs.frozen(kw_only=True)
class Plan:
    """What will be written to bring what is there to what is wanted; and what will not, and why.

    It is a value: printing it shows it, `to_json` saves it, `gg.bulk.load_plan` takes it up again, `apply` does it.

    Attributes:
        kind: `products`, `stock` or `orders`.
        creates: What will be made.
        updates: What will be changed, field by field.
        unchanged: Rows whose wish is fulfilled already.
        left_alone: Rows that are deliberately not touched.
        conflicts: Rows for which nothing can safely be done.
        read_at: When the reading of what is there began.
        requests_read: Requests that planning took.
    """

    kind: str
    creates: tuple[PlannedWrite, ...]
    updates: tuple[PlannedWrite, ...]
    unchanged: tuple[Unchanged, ...]
    left_alone: tuple[LeftAlone, ...]
    conflicts: tuple[Conflict, ...]
    read_at: datetime
    requests_read: int

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
        """Minutes that applying it takes at the pace of the bulk lane."""
        raise NotImplementedError

    def render(self, *, limit: int | None = None) -> str:
        """The plan as text that reads like a diff; `str(plan)` is that.

        Args:
            limit: Rows of each kind to show; None: all.
        """
        raise NotImplementedError

    def to_json(self) -> str:
        """The plan as JSON, to be saved. That of orders holds personal data: keep it as you keep those."""
        raise NotImplementedError

    @classmethod
    def from_json(cls, text: str | bytes) -> Plan:
        """A saved plan, to be looked at; `gg.bulk.load_plan` gives one that can be applied.

        Raises:
            ConfigurationError: It is no plan, or one of another version.
        """
        raise NotImplementedError

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
        """
        raise NotImplementedError

    def as_dict(self) -> Mapping[str, Any]:
        """What `to_json` writes, as values that JSON takes."""
        raise NotImplementedError
