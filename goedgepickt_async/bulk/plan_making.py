"""Makes plans: wishes out of rows, what is there, and what lies between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Iterable, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, Final

import attrs

from goedgepickt_async.budget.queue import bulk_rate
from goedgepickt_async.budget.slots import Lane
from goedgepickt_async.bulk.account import Account
from goedgepickt_async.bulk.kind_orders import OrderKind
from goedgepickt_async.bulk.kind_products import ProductKind
from goedgepickt_async.bulk.kind_stock import StockKind
from goedgepickt_async.bulk.kinds import Kind
from goedgepickt_async.bulk.plan import Plan
from goedgepickt_async.bulk.planned import Action, Conflict, LeftAlone, PlannedWrite, Unchanged, Verdict, Wish
from goedgepickt_async.bulk.rows import without_doubles
from goedgepickt_async.bulk.source import each
from goedgepickt_async.errors import ConfigurationError
from goedgepickt_async.wire.errand import Errand
from goedgepickt_async.wire.pipeline import Sender

__all__ = ["bound", "make_plan"]

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
    with Errand(lane=Lane.NORMAL).under_way() as errand:
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
        requests_read=errand.requests,
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
