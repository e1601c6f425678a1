"""`gg.bulk`: many items."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from typing import TypeVar

from goedgepickt_async.bulk.engine import Engine
from goedgepickt_async.bulk.plan import Plan
from goedgepickt_async.bulk.plan_making import bound
from goedgepickt_async.bulk.stopping import StopAfter
from goedgepickt_async.bulk.stream import OutcomeStream
from goedgepickt_async.wire.pipeline import Sender

__all__ = ["Bulk"]

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
