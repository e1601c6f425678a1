"""Requests and time: an applied plan, compared with search-then-write for each item with the same limiter, in one run.

Run it as `python benchmarks/bulk.py`; it takes some minutes. The window of the sandbox's throttle is scaled down: to
6 s for plans, to 1 s for the long way. Durations are printed scaled back to a window of 60 s. They include the scaled
time of the processor, so they are upper bounds.
"""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import attrs
from _harness import Table, parser, tell

from goedgepickt_async import GoedGepickt, LocalBudget, NewOrder, NewOrderLine, NewProduct, ProductUpdate
from goedgepickt_async.sandbox import Sandbox

_LIMIT, _WINDOW = 150, 60.0
_ITEMS = 1_000_000
Job = Callable[[GoedGepickt, Sandbox], Awaitable[None]]


@attrs.frozen
class Case:
    """The same task, done in two ways."""

    name: str
    world: dict[str, Any]
    planned: Job
    each: Job


@asynccontextmanager
async def _client(case: Case, period: float) -> AsyncIterator[tuple[GoedGepickt, Sandbox]]:
    async with Sandbox(**case.world, webshops=1, limit=_LIMIT, period=period, oddities=False) as sandbox:
        # The guard is scaled down with the window; the sandbox's counter is exact.
        budget = LocalBudget(_LIMIT, period, safety_margin=period / _WINDOW)
        shop = str(sandbox.world.webshops[0]["uuid"])
        async with GoedGepickt(sandbox.api_key, base_url=sandbox.url, webshop_uuid=shop, budget=budget) as gg:
            yield gg, sandbox


async def _all(stream: Any) -> None:
    async with stream as outcomes:
        async for outcome in outcomes:
            outcome.unwrap()


# -- 10,000 products, 1 % changed


def _catalogue(sandbox: Sandbox, number: int) -> Iterator[dict[str, Any]]:
    for index in range(number):
        row = sandbox.world.products.bare(index)
        price = "0.01" if index % 100 == 0 else str(row["price"])
        yield {"sku": row["sku"], "name": row["name"], "price": price}


async def _products_planned(gg: GoedGepickt, sandbox: Sandbox) -> None:
    plan = await gg.products.plan(_catalogue(sandbox, sandbox.world.settings.products))
    await _all(plan.apply())


async def _products_each(gg: GoedGepickt, sandbox: Sandbox) -> None:
    async def push(row: dict[str, Any]) -> None:
        found = await gg.products.find_by_sku(row["sku"])
        if found is None:
            await gg.products.create(NewProduct(**row))
        else:
            await gg.products.update(found.uuid, ProductUpdate(name=row["name"], price=row["price"]))

    await _all(gg.bulk.map(push, _catalogue(sandbox, sandbox.world.settings.products)))


# -- 2,000 stock levels, 5 % changed


def _levels(sandbox: Sandbox, number: int) -> dict[str, int]:
    world = sandbox.world
    return {
        str(world.products.bare(index)["sku"]): world.inventory.stock(index).free + (7 if index % 20 == 0 else 0)
        for index in range(number)
    }


async def _stock_planned(gg: GoedGepickt, sandbox: Sandbox) -> None:
    plan = await gg.stock.plan(_levels(sandbox, sandbox.world.settings.products))
    await _all(plan.apply())


async def _stock_each(gg: GoedGepickt, sandbox: Sandbox) -> None:
    async def push(pair: tuple[str, int]) -> None:
        found = await gg.products.find_by_sku(pair[0])
        assert found is not None
        assert found.stock is not None
        delta = pair[1] - (found.stock.free_stock or 0)
        # Search-then-write also writes unchanged values where that is possible; a mutation of 0 is not possible.
        if delta:
            await gg.stock.mutate(found.uuid, delta)
        else:
            await gg.stock.get(found.uuid)

    await _all(gg.bulk.map(push, _levels(sandbox, sandbox.world.settings.products).items()))


# -- 1,000 orders, 400 exist


def _orders(number: int) -> list[NewOrder]:
    line = NewOrderLine(sku="SB-00001", product_name="Mok", quantity=1)
    now = datetime.now(UTC)
    return [NewOrder(order_id=f"S-{n}", status="on_hold", created_at=now, lines=[line]) for n in range(number)]


def _add_some(sandbox: Sandbox, number: int) -> None:
    for order in _orders(number):
        sandbox.world.add_order(orderId=order.order_id, orderNumber=order.order_id, externalDisplayId=order.order_id)


async def _orders_planned(gg: GoedGepickt, sandbox: Sandbox, number: int) -> None:
    _add_some(sandbox, 2 * number // 5)
    await _all((await gg.orders.plan(_orders(number))).apply())


async def _orders_each(gg: GoedGepickt, sandbox: Sandbox, number: int) -> None:
    _add_some(sandbox, 2 * number // 5)

    async def push(order: NewOrder) -> None:
        query = {"searchAttribute": "orderId", "searchDelimiter": "=", "searchValue": order.order_id}
        found = await gg.request("GET", "/orders", query=query)  # the sandbox has this search; the service may not
        if not found.json["items"]:
            await gg.orders.create(order)

    await _all(gg.bulk.map(push, _orders(number)))


def cases(scale: float) -> list[Case]:
    products, levels, orders = int(10_000 * scale), int(2_000 * scale), max(int(1_000 * scale), 5)
    return [
        Case(
            f"{products:,} products, 1 % changed",
            {"products": products, "orders": 0},
            _products_planned,
            _products_each,
        ),
        Case(f"{levels:,} stock levels, 5 % changed", {"products": levels, "orders": 0}, _stock_planned, _stock_each),
        Case(
            f"{orders:,} orders, {2 * orders // 5:,} exist",
            {"products": 10, "orders": 0},
            partial(_orders_planned, number=orders),
            partial(_orders_each, number=orders),
        ),
    ]


async def measure(case: Case, job: Job, period: float) -> tuple[int, float, int]:
    async with _client(case, period) as (gg, sandbox):
        began = time.monotonic()
        await job(gg, sandbox)
        took = (time.monotonic() - began) * _WINDOW / period
        return len(sandbox.requests), took, sandbox.throttled


async def memory(number: int) -> tuple[float, float]:
    """Mebibytes above the start, and seconds, of bulk.map over so many items."""

    async def nothing(item: int) -> int:
        return item

    async with GoedGepickt("no-key", base_url="http://127.0.0.1:9", budget=LocalBudget()) as gg:
        await _all(gg.bulk.map(nothing, range(1_000)))
        gc.collect()
        before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
        seen = 0
        async with gg.bulk.map(nothing, iter(range(number)), concurrency=100) as outcomes:
            async for outcome in outcomes:
                seen += outcome.unwrap() is not None
        assert seen == number
        return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, time.monotonic() - began


async def run(scale: float, period: float, period_each: float) -> list[Table]:
    number = int(_ITEMS * scale)
    above, took = await memory(number)
    stream = Table("Memory of `bulk.map`", ["items", "MiB above the start", "seconds"])
    stream.add(f"{number:,}", f"{above:.1f}", f"{took:.0f}")
    table = Table(
        "A plan compared with search-then-write, with the same limiter",
        ["task", "way", "requests", "minutes", "429s"],
        f"Measured in windows of {period:g} s (plans) and {period_each:g} s (the other way), printed scaled back to {_WINDOW:g}.",
    )
    for case in cases(scale):
        ways = (("plan, then apply", case.planned, period), ("search, then write", case.each, period_each))
        for way, job, window in ways:
            requests, seconds, refusals = await measure(case, job, window)
            table.add(case.name, way, f"{requests:,}", f"{seconds / 60:.1f}", refusals)
    return [table, stream]


async def endure(seeds: range, writes: int, kills: int, share: float) -> int:
    """Plans that are applied while the server and the process fail; `share` of the requests meet a fault."""
    from tests.support.chaos import KINDS, Ordeal  # noqa: PLC0415  only a checkout has the tests
    from tests.support.warm import Interpreter  # noqa: PLC0415

    total, played = Counter[str](), Counter[str]()
    wrong: list[str] = []
    for seed in seeds:
        kind, began = KINDS[seed % len(KINDS)], time.monotonic()
        with tempfile.TemporaryDirectory() as folder, Interpreter(["goedgepickt_async.bulk.apply"], os.environ) as warm:
            ordeal = Ordeal(
                kind=kind,
                seed=seed,
                writes=writes,
                kills=kills,
                share=share,
                directory=Path(folder),
                interpreter=warm,
            )
            report = await ordeal.endure()
        print(_line(seed, kind, report, time.monotonic() - began), flush=True)
        total.update(seeds=1, writes=report.writes, kills=report.kills, runs=report.runs)
        played.update(report.faults)
        wrong += [f"seed {seed}, {kind}: {what}" for what in report.wrong]
    print(f"\n{dict(total)}\nfaults: {dict(played)}\nwrong: {len(wrong)}")
    print("\n".join(wrong[:20]))
    return 1 if wrong else 0


def _line(seed: int, kind: str, report: Any, took: float) -> str:
    return (
        f"seed {seed:3d}  {kind:9s} {report.writes:5d} writes  {report.kills} kills  {report.runs} runs  "
        f"{sum(report.faults.values()):4d} faults  {len(report.wrong)} wrong  {took:.0f} s"
    )


def main() -> int:
    made = parser(__doc__)
    made.add_argument("--period", type=float, default=6.0, help="the scaled window in seconds, for plans")
    made.add_argument("--period-each", type=float, default=1.0, help="and for the long way")
    made.add_argument("--scale", type=float, default=1.0, help="of the numbers of items")
    made.add_argument("--chaos", type=int, metavar="SEEDS", help="exactly once, through faults and kills, instead")
    made.add_argument("--writes", type=int, default=2_000, help="of each seed, with --chaos")
    chosen = made.parse_args()
    if chosen.chaos:
        return asyncio.run(endure(range(chosen.chaos), chosen.writes, kills=4, share=0.05))
    tables = asyncio.run(run(chosen.scale, chosen.period, chosen.period_each))
    return tell(tables, as_json=chosen.json)


if __name__ == "__main__":
    raise SystemExit(main())
