"""An outcome knows its item and its result; so does the stream that it comes from."""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from collections.abc import AsyncIterator
from typing import assert_type

from goedgepickt_async import (
    Applied,
    BudgetSnapshot,
    GoedGepickt,
    NewOrder,
    Order,
    Outcome,
    OutcomeStream,
    Plan,
    PlannedWrite,
    Progress,
)


async def mapped(gg: GoedGepickt, uuids: list[str]) -> None:
    stream = gg.bulk.map(gg.orders.get, uuids)
    assert_type(stream, OutcomeStream[str, Order])
    assert_type(stream.progress, Progress)
    async for outcome in stream:
        assert_type(outcome, Outcome[str, Order])
        assert_type(outcome.item, str)
        assert_type(outcome.result, Order | None)
        assert_type(outcome.error, Exception | None)
        assert_type(outcome.unwrap(), Order)


async def from_a_generator(gg: GoedGepickt, numbers: AsyncIterator[int]) -> None:
    async def order_of(number: int) -> bool:
        return await gg.orders.list().limit(number).first() is not None

    assert_type(gg.bulk.map(order_of, numbers), OutcomeStream[int, bool])


async def planned(gg: GoedGepickt, orders: list[NewOrder]) -> None:
    plan = await gg.orders.plan(orders)
    assert_type(plan, Plan)
    async for outcome in plan.apply(journal="orders.journal"):
        assert_type(outcome, Outcome[PlannedWrite, Applied])
    assert_type(gg.budget.snapshot(), BudgetSnapshot)


async def mistakes(gg: GoedGepickt, numbers: list[int]) -> None:
    gg.bulk.map(gg.orders.get, numbers)  # type: ignore[arg-type]  # a uuid is text
    gg.bulk.map(str, numbers)  # type: ignore[arg-type]  # it returns nothing to await
