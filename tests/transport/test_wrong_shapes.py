"""A server that answers at random with valid JSON of the wrong shape: no list short, no write without proof, our errors.

The server is a GoedGepickt of a few rows. Each response is true, or it is some other JSON. What the client returns must
be what the server has, or an error of ours.
"""

import asyncio
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from goedgepickt_async import Address, GoedGepickt, GoedGepicktError, NewOrder, NewOrderLine, RetryPolicy, WebhookEvent
from goedgepickt_async.testing import unlimited_budget
from tests.support.raw_server import Exchange, raw_server

ROWS = 25
TEXTS = ("", "Mok", "Even geduld, er wordt onderhoud gepleegd.", "0", "-1", "null", "[]", "\u202e\x1b[2J", "é" * 50)
KEYS = (
    *(
        "items",
        "pageInfo",
        "uuid",
        "orderUuid",
        "productUuid",
        "sku",
        "message",
        "error",
        "errors",
        "success",
        "status",
    ),
    *("data", "totalItems", "lastPage", "currentPage", "itemsPerPage", "next", "name", "externalOrderId", "0", "1"),
)


class Server:
    """The rows of an account, and responses that may be something else."""

    def __init__(self, chance: random.Random, lies: float) -> None:
        self._chance = chance
        self._lies = lies
        self.writes: list[str] = []
        self.lied = 0
        self.base = ""

    def value(self, depth: int = 0) -> Any:
        """Any JSON."""
        draw = self._chance
        kind = draw.randrange(9 if depth < 3 else 6)
        if kind == 0:
            return None
        if kind == 1:
            return draw.choice([True, False])
        if kind == 2:
            return draw.choice([0, 1, -1, 10**18, 10**30, 1.5, 1e300])
        if kind in {3, 4, 5}:
            return draw.choice(TEXTS)
        if kind == 6:
            return [self.value(depth + 1) for _ in range(draw.randrange(4))]
        return {draw.choice(KEYS): self.value(depth + 1) for _ in range(draw.randrange(5))}

    def bent(self, truth: Any) -> Any:
        """The truth with something in it replaced, or something else altogether."""
        draw, self.lied = self._chance, self.lied + 1
        if draw.random() < 0.4:
            others = (self.value() for _ in range(1_000))
            return next(other for other in others if not is_empty_list(other))
        copy = json.loads(json.dumps(truth))
        at = copy
        while isinstance(at, dict | list) and at:
            key = draw.choice(list(at)) if isinstance(at, dict) else draw.randrange(len(at))
            if not isinstance(at[key], dict | list) or draw.random() < 0.4:
                if isinstance(at, dict) and draw.random() < 0.4:
                    del at[key]
                else:  # another type: another text would be another truth
                    others = (self.value(1) for _ in range(1_000))
                    at[key] = next(other for other in others if type(other) is not type(at[key]))
                break
            at = at[key]
        return copy

    async def __call__(self, exchange: Exchange) -> None:
        method, target, _ = exchange.request_line.split(" ")
        status, truth = self.truth(method, target)
        if self._chance.random() < self._lies:
            truth, status = self.bent(truth), "200 OK"
        await exchange.answer(json.dumps(truth).encode(), status)

    def truth(self, method: str, target: str) -> tuple[str, Any]:
        parts = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        path = parts.path.removeprefix(self.base).strip("/").split("/")
        if method != "GET":
            self.writes.append(path[0])
            return "200 OK", {"message": "ok", "orderUuid": "new", "uuid": "new", "productUuid": "new"}
        if len(path) == 1:
            return "200 OK", self.page(rows(path[0]), query)
        if len(path) == 3:
            return "200 OK", {"stockLocations": [{"freeStock": 5, "totalStock": 5}]}
        found = [row for row in rows(path[0]) if row["uuid"] == path[1]]
        return ("200 OK", found[0]) if found else ("404 Not Found", {"message": "not found"})

    @staticmethod
    def page(every: list[dict[str, Any]], query: dict[str, str]) -> Any:
        name, wanted = query.get("searchAttribute"), query.get("searchValue")
        if name:
            every = [row for row in every if row.get(name) == wanted]
        size, number = int(query.get("perPage", "10")), int(query.get("page", "1"))
        shown = every[(number - 1) * size : number * size]
        info = {"totalItems": len(every), "itemsPerPage": size, "currentPage": number}
        return {"items": shown, "pageInfo": info | {"lastPage": max(1, -(-len(every) // size))}}


def is_empty_list(value: Any) -> bool:
    """The truth of another account, and no wrong shape."""
    return isinstance(value, dict) and value.get("items", 1) in ([], {})


def rows(kind: str) -> list[dict[str, Any]]:
    if kind == "webshops":
        return [{"uuid": "w", "name": "Shop"}]
    if kind == "webhooks":
        return []
    extra = {"sku": "S", "name": "Mok", "price": "1.00"} if kind == "products" else {"status": "open"}
    return [
        {"uuid": f"{kind}-{n}", "createDate": f"2026-01-01 00:00:{n:02}"}
        | extra
        | ({"sku": f"S-{n}"} if "sku" in extra else {})
        for n in range(ROWS)
    ]


def order() -> NewOrder:
    who = Address(
        first_name="A", last_name="B", address="C", house_number="1", zipcode="1234 AB", city="D", country="NL"
    )
    line = NewOrderLine(sku="S-1", product_name="Mok", quantity=1, tax_rate="21")
    return NewOrder(webshop_uuid="w", order_id="X-1", status="open", billing=who, shipping=who, lines=[line])


async def listed(gg: GoedGepickt, kind: str) -> None:
    found = [row.uuid async for row in getattr(gg, kind).list()]
    assert found == [row["uuid"] for row in rows(kind)], f"a list of {kind} that is not whole"


async def found(gg: GoedGepickt) -> None:
    assert getattr(await gg.products.find_by_sku("S-3"), "uuid", None) == "products-3", "what is there was not found"
    assert await gg.products.find_by_sku("none") is None


async def got(gg: GoedGepickt) -> None:
    assert (await gg.orders.get("orders-3")).uuid


async def planned(gg: GoedGepickt) -> None:
    plan = await gg.products.plan([{"sku": f"S-{n}", "price": "1.00"} for n in range(5)], webshop_uuid="w")
    assert not [write for write in plan.writes if write.action == "create"], "a plan creates what is there"


CALLS: dict[str, Callable[[GoedGepickt], Awaitable[object]]] = {
    "list of orders": lambda gg: listed(gg, "orders"),
    "list of products": lambda gg: listed(gg, "products"),
    "find": found,
    "get": got,
    "stock": lambda gg: gg.stock.get("products-1"),
    "create": lambda gg: gg.orders.create(order()),
    "ensure": lambda gg: gg.webhooks.ensure("https://hooks.example.test/", [WebhookEvent.ORDER_STATUS_CHANGED]),
    "plan": planned,
    "webshops": lambda gg: gg.webshops.list().collect(),
}


async def play(seed: int, call: str, lies: float) -> str:
    """One call against one server; how it ended."""
    server = Server(random.Random(f"{seed} {call}"), lies)
    async with (
        raw_server(server) as running,
        GoedGepickt(
            "k", base_url=running.url, webshop_uuid="w", budget=unlimited_budget(), retry=RetryPolicy(base=0.0)
        ) as gg,
    ):
        server.base = urlsplit(running.url).path
        try:
            await CALLS[call](gg)
        except GoedGepicktError as error:
            assert str(error).isprintable(), "a message with control characters"
            return type(error).__name__
        finally:
            if call not in {"create", "ensure"}:
                assert not server.writes, "a read wrote"
            assert len(server.writes) <= 1, "a write was sent twice"
    return "done"


@pytest.mark.virtual_time
@pytest.mark.parametrize("call", CALLS)
async def test_call_with_any_json_is_right_or_raises_our_error(call: str) -> None:
    for seed in range(8):
        await play(seed, call, lies=(0.15, 0.5, 1.0)[seed % 3])


async def _run_for(seconds: float) -> None:
    """`python -m tests.transport.test_wrong_shapes SECONDS`: as long as wanted, with new seeds, and the loop watched."""
    ended: Counter[tuple[str, str]] = Counter()
    worst = 0.0

    async def watch() -> None:
        nonlocal worst
        while True:
            before = time.thread_time()  # of the processor: another program may use the wall-clock time
            await asyncio.sleep(0.005)
            worst = max(worst, time.thread_time() - before)

    watching = asyncio.create_task(watch())
    until, seed = time.monotonic() + seconds, random.randrange(10**9)
    while time.monotonic() < until:
        seed += 1
        for call in CALLS:
            try:
                ended[call, await play(seed, call, random.choice([0.05, 0.15, 0.5, 1.0]))] += 1
            except BaseException as error:
                print("FAULT", seed, call, type(error).__name__, error)  # noqa: T201
                ended[call, "FAULT"] += 1
    watching.cancel()
    print(sum(ended.values()), "calls; the loop stood still for at most", f"{worst * 1000:.0f} ms", dict(ended))  # noqa: T201


if __name__ == "__main__":
    asyncio.run(_run_for(float(sys.argv[1])))
