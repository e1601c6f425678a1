"""A plan that is applied during random faults and `kill -9`, and the state of the sandbox afterwards."""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import attrs

from goedgepickt_async import GoedGepickt, LocalBudget, Plan
from goedgepickt_async.sandbox import Sandbox, faults
from tests.support.waiting import until
from tests.support.warm import Interpreter

__all__ = ["KINDS", "Ordeal", "Report"]

KINDS = ("products", "stock", "levels", "orders")
_ROOT = Path(__file__).parents[2]
_WORKER = "tests.support.chaos_worker"
_FAULTS: tuple[faults.Fault, ...] = (
    faults.Drop(),
    faults.Drop(applied=True),
    faults.KeptAliveDrop(),
    faults.KeptAliveDrop(applied=True),
    faults.CutBody(),
    faults.CutBody(share=0.0, chunked=True),
    faults.Status(500),
    faults.Status(500, applied=True),
    faults.Status(502),
    faults.Status(503, applied=True),
    faults.Garbage(applied=True),
    faults.InvalidUtf8(),
)
_MOST_RUNS = 60
"""After so many runs, an unfinished plan counts as failed."""


@attrs.define
class Report:
    """The result of one play."""

    writes: int = 0
    runs: int = 0
    kills: int = 0
    faults: Counter[str] = attrs.field(factory=Counter)
    wrong: list[str] = attrs.field(factory=list)
    said: list[str] = attrs.field(factory=list)


@attrs.frozen(kw_only=True)
class Ordeal:
    """One plan of one kind, with its faults and kills drawn from a seed.

    Attributes:
        kind: `products` (creates and updates), `stock` (mutations), `levels` (quantities that are set) or `orders`.
        seed: The seed of all random choices.
        writes: How many.
        kills: How often its process is killed, at most.
        share: The share of the requests that meet a fault.
        refusals: How many 429s; each pauses all requests for more than a second.
        directory: The directory of the plan and the journal.
        interpreter: Starts the processes.
    """

    kind: str
    seed: int
    writes: int
    kills: int
    share: float = 0.1
    refusals: int = 1
    directory: Path
    interpreter: Interpreter

    async def endure(self) -> Report:
        """Plan, apply with faults and kills until it is done, and look at what is there."""
        drawn = random.Random(self.seed)
        report = Report()
        async with Sandbox(
            orders=30, products=self.writes, webshops=1, pick_locations=4, seed=self.seed, limit=None, oddities=False
        ) as sandbox:
            plan = await self._plan(sandbox)
            report.writes = plan.requests
            self._path("plan").write_text(plan.to_json())
            sandbox.requests.clear()
            sandbox.fail("*", "*", faults.TooManyRequests(retry_after="0"), times=self.refusals, after=self.writes // 2)
            sandbox.fail("*", "*", faults.Sometimes(_FAULTS, share=self.share, seed=self.seed), times=None)
            await self._apply(sandbox, drawn, report)
            report.faults.update(str(seen.fault) for seen in sandbox.requests if seen.fault is not None)
            self._judge(sandbox, plan, report)
        return report

    async def _plan(self, sandbox: Sandbox) -> Plan:
        async with _client(sandbox) as gg:
            products = await gg.products.list().collect()
            if self.kind == "products":
                half = self.writes // 2
                new: list[dict[str, Any]] = [
                    {"sku": f"NEW-{n}", "name": f"Nieuw {n}", "price": "1.50"} for n in range(self.writes - half)
                ]
                changed: list[dict[str, Any]] = [{"sku": p.sku, "price": "9999.00"} for p in products[:half]]
                return await gg.products.plan(changed + new)
            if self.kind == "stock":
                return await gg.stock.plan({str(p.sku): 100 + n for n, p in enumerate(products)})
            if self.kind == "levels":
                location = str(sandbox.world.pick_locations[0]["uuid"])
                for product in products:
                    sandbox.world.set_stock(product.uuid, location, 1)
                return await gg.stock.plan(
                    {str(p.sku): 200 + n for n, p in enumerate(products)}, mode="set", location=location
                )
            lines = [{"sku": "SB-00001", "product_name": "Mok", "quantity": 1}]
            return await gg.orders.plan(
                [{"order_id": f"S-{n}", "status": "on_hold", "lines": lines} for n in range(self.writes)],
                since=sandbox.world.settings.today,
            )

    async def _apply(self, sandbox: Sandbox, drawn: random.Random, report: Report) -> None:
        while report.runs < _MOST_RUNS:
            report.runs += 1
            order = json.dumps(self._order(sandbox))
            process = self.interpreter.start("-m", _WORKER, order, cwd=_ROOT, env=os.environ, stderr=2)
            assert process.stdout is not None
            await asyncio.to_thread(process.stdout.readline)
            if report.kills < self.kills:
                last = len(sandbox.requests) + drawn.randrange(1, self.writes)
                await until(lambda: len(sandbox.requests) >= last or process.poll() is not None)  # noqa: B023
                if process.returncode is None:
                    process.kill()
                    report.kills += 1
            said, _ = await asyncio.to_thread(process.communicate)
            report.said = said.decode().splitlines()
            if process.returncode == 0:
                return
        report.wrong.append(f"not done after {report.runs} runs: {report.said[:3]}")

    def _order(self, sandbox: Sandbox) -> dict[str, Any]:
        return {
            "key": sandbox.api_key,
            "url": sandbox.url,
            "shop": str(sandbox.world.webshops[0]["uuid"]),
            "plan": str(self._path("plan")),
            "journal": str(self._path("journal")),
            "settle_after": 0.05,
            "max_age": 600.0,
        }

    def _path(self, name: str) -> Path:
        return self.directory / f"{self.kind}-{self.seed}.{name}"

    def _judge(self, sandbox: Sandbox, plan: Plan, report: Report) -> None:
        applied = Counter(
            (recorded.method, recorded.path, _own_id(recorded.body))
            for recorded in sandbox.requests
            if recorded.applied and recorded.method != "GET"
        )
        if self.kind != "levels":
            report.wrong += [
                f"applied {number} times: {call}"
                for call, number in applied.items()
                if number != 1 and (call[0] == "POST" or call[1].endswith("stock-mutation"))
            ]
        wished = {write.key: write.desired.values for write in plan.writes}
        report.wrong += [
            f"{key} is not as wished" for key in wished if not self._is_as_wished(sandbox, key, wished[key])
        ]

    def _is_as_wished(self, sandbox: Sandbox, key: str, values: Any) -> bool:
        world = sandbox.world
        if self.kind == "orders":
            return sum(world.order_id(index) == key for index in world.orders_with_number(key)) == 1
        (index,) = world.products_with_sku(key)
        if self.kind == "products":
            return bool(world.products.row(index)["price"] == values["price"])
        stock = world.inventory.stock(index)
        place = stock.at(0)
        quantity = stock.free if self.kind == "stock" else place.quantity if place is not None else None
        return bool(quantity == values["level"])


def _own_id(body: Any) -> str:
    """What tells one create from another."""
    return str(body.get("orderId") or body.get("sku") or "") if isinstance(body, dict) else ""


def _client(sandbox: Sandbox) -> GoedGepickt:
    budget = LocalBudget(1_000_000, 1.0, safety_margin=0.0, use_server_counter=False)
    shop = str(sandbox.world.webshops[0]["uuid"])
    return GoedGepickt(sandbox.api_key, base_url=sandbox.url, webshop_uuid=shop, budget=budget)
