"""A server that answers at random with valid JSON of the wrong shape: no list short, no write without proof, our errors.

The server is a GoedGepickt of a few rows. Each response is true, or it is some other JSON. What the client returns must
be what the server has, or an error of ours.
"""

import asyncio
import contextlib
import gc
import io
import json
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import attrs
import pytest

from goedgepickt_async import (
    Address,
    GoedGepickt,
    GoedGepicktError,
    NewOrder,
    NewOrderLine,
    RetryPolicy,
    WebhookEvent,
)
from goedgepickt_async.cli import export as command
from goedgepickt_async.cli.doctor import as_text, examine
from goedgepickt_async.cli.options import ExportOptions
from goedgepickt_async.cli.progress import RequestCounter
from goedgepickt_async.cli.resources import RESOURCES
from goedgepickt_async.testing import unlimited_budget
from tests.support import fuzz
from tests.support.raw_server import Exchange, Play, RawServer, raw_server
from tests.support.tables import each_row

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
        self._largest = chance.choice([10, 100])
        self._rows = {kind: rows(kind) for kind in ("webshops", "webhooks", "products", "orders")}
        self.writes: list[tuple[str, str]] = []
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
        while is_empty_list(copy := self.changed(truth)):
            pass
        return copy

    def changed(self, truth: Any) -> Any:
        """The truth with something in it replaced or left out."""
        draw = self._chance
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
        if isinstance(truth, dict) and isinstance(truth.get("items"), list) and self._chance.random() < 0.2:
            truth["items"] = {str(n + 1): row for n, row in enumerate(truth["items"])}  # as PHP does with holes
        await exchange.answer(json.dumps(truth).encode(), status)

    def truth(self, method: str, target: str) -> tuple[str, Any]:
        parts = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        path = parts.path.removeprefix(self.base).strip("/").split("/")
        if method != "GET":
            self.writes.append((method, "/".join(path)))
            self.carry_out(path)
            return "200 OK", {"message": "ok", "orderUuid": "new", "uuid": "new", "productUuid": "new"}
        if len(path) == 1:
            return "200 OK", self.page(self._rows[path[0]], query)
        if len(path) == 3:
            return "200 OK", {"stockLocations": [{"picklocationUuid": f"p{n}", "stockQuantity": 5} for n in range(2)]}
        found = [row for row in self._rows[path[0]] if row["uuid"] == path[1]]
        return ("200 OK", found[0]) if found else ("404 Not Found", {"message": "not found"})

    def carry_out(self, path: list[str]) -> None:
        """Change the rows: each call here sends the same write to a path."""
        if path[0] == "orders":
            self._rows["orders"].append({"uuid": "new", "createDate": "2026-01-02 00:00:00"} | sold("new"))
        for row in self._rows["products"]:
            if path[-1] == row["uuid"]:
                row["price"] = "2.00"
            elif path[-1] == "stock-mutation" and path[1] == row["uuid"]:
                row["stock"] |= {"freeStock": 7, "totalStock": 7}

    def page(self, every: list[dict[str, Any]], query: dict[str, str]) -> Any:
        name, wanted = query.get("searchAttribute"), query.get("searchValue")
        if name:
            every = [row for row in every if row.get(name) == wanted]
        size, number = min(int(query.get("perPage", "10")), self._largest), int(query.get("page", "1"))
        shown = every[(number - 1) * size : number * size]
        info = {"totalItems": len(every), "itemsPerPage": size, "currentPage": number}
        return {"items": shown, "pageInfo": info | {"lastPage": max(1, -(-len(every) // size))}}


def is_empty_list(value: Any) -> bool:
    """The truth of another account, and no wrong shape; unless the list's own total contradicts it."""
    if not isinstance(value, dict):
        return False
    info = value.get("pageInfo")
    if isinstance(info, dict) and info.get("totalItems") == ROWS:
        return False
    return any(value.get(name, 1) in ([], {}) for name in ("items", "stockLocations"))


def rows(kind: str) -> list[dict[str, Any]]:
    if kind == "webshops":
        return [{"uuid": "w", "name": "Shop"}]
    if kind == "webhooks":
        return []
    return [
        {"uuid": f"{kind}-{n}", "createDate": f"2026-01-01 00:00:{n:02}"}
        | (product(n) if kind == "products" else sold(n))
        for n in range(ROWS)
    ]


def product(n: int) -> dict[str, Any]:
    stock = {"freeStock": 5, "totalStock": 5, "reservedStock": 0, "unlimitedStock": False}
    return {"sku": f"S-{n}", "name": "Mok", "price": "1.00", "type": "normal", "stock": stock}


def sold(n: object) -> dict[str, Any]:
    """An order with its number under all names: one that is missing is no other order."""
    return {"status": "open", "externalDisplayId": f"X-{n}", "orderNumber": f"X-{n}", "orderId": f"X-{n}"}


def order(number: str = "X-new") -> NewOrder:
    who = Address(
        first_name="A", last_name="B", address="C", house_number="1", zipcode="1234 AB", city="D", country="NL"
    )
    line = NewOrderLine(sku="S-1", product_name="Mok", quantity=1, tax_rate="21")
    return NewOrder(webshop_uuid="w", order_id=number, status="open", billing=who, shipping=who, lines=[line])


async def listed(gg: GoedGepickt, kind: str) -> None:
    found = [row.uuid async for row in getattr(gg, kind).list()]
    assert found == [row["uuid"] for row in rows(kind)], f"a list of {kind} that is not whole"


async def found(gg: GoedGepickt) -> None:
    assert getattr(await gg.products.find_by_sku("S-3"), "uuid", None) == "products-3", "what is there was not found"
    assert await gg.products.find_by_sku("none") is None


async def got(gg: GoedGepickt) -> None:
    assert (await gg.orders.get("orders-3")).uuid


async def located(gg: GoedGepickt) -> None:
    found = [location.pick_location_uuid for location in await gg.stock.get("products-1")]
    assert found == ["p0", "p1"], "locations that are not whole"


async def planned(gg: GoedGepickt) -> None:
    plan = await gg.products.plan([{"sku": f"S-{n}", "price": "1.00"} for n in range(5)], webshop_uuid="w")
    assert not [write for write in plan.writes if write.action == "create"], "a plan creates what is there"


async def applied(gg: GoedGepickt, kind: str) -> None:
    """Read, compare, write; an error of the reading comes before anything is written."""
    if kind == "products":
        plan = await gg.products.plan([{"sku": f"S-{n}", "price": "2.00"} for n in range(5)], webshop_uuid="w")
    elif kind == "stock":
        plan = await gg.stock.plan({f"S-{n}": 7 for n in range(5)}, webshop_uuid="w")
    else:
        plan = await gg.orders.plan([order(), *(order(f"X-{n}") for n in range(5))])
    outcomes = [outcome async for outcome in plan.apply(settle_after=0.0)]
    assert len(outcomes) == len(plan.writes), "a write without an outcome"
    for outcome in outcomes:
        assert outcome.error is None or isinstance(outcome.error, GoedGepicktError)
    failed = next((outcome.error for outcome in outcomes if outcome.error is not None), None)
    if failed is not None:
        raise failed


async def exported(gg: GoedGepickt) -> None:
    """`goedgepickt export orders`: exit code 0 says that all rows are in the file."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()) as said:
        path = Path(folder) / "orders.jsonl"
        plan = command.ExportPlan(RESOURCES["orders"], ExportOptions(output=str(path)))
        code = await command._as_file(plan, gg, RequestCounter())
        assert said.getvalue().replace("\n", "").isprintable()
        if code:
            raise GoedGepicktError(f"exit code {code}")
        found = [json.loads(line)["uuid"] for line in path.read_text().splitlines()]
        assert found == [row["uuid"] for row in rows("orders")], "an export that is not whole"


async def examined(gg: GoedGepickt) -> None:
    """`goedgepickt doctor`."""
    findings = await examine(gg)
    assert as_text(findings).replace("\n", "").isprintable(), "a report with control characters"
    json.dumps(attrs.asdict(findings))
    if findings.configured is not None and not findings.configured.accepted:
        raise GoedGepicktError("not accepted")


CALLS: dict[str, Callable[[GoedGepickt], Awaitable[object]]] = {
    "list of orders": lambda gg: listed(gg, "orders"),
    "list of products": lambda gg: listed(gg, "products"),
    "find": found,
    "get": got,
    "stock": located,
    "create": lambda gg: gg.orders.create(order()),
    "ensure": lambda gg: gg.webhooks.ensure("https://hooks.example.test/", [WebhookEvent.ORDER_STATUS_CHANGED]),
    "plan": planned,
    "apply products": lambda gg: applied(gg, "products"),
    "apply stock": lambda gg: applied(gg, "stock"),
    "apply orders": lambda gg: applied(gg, "orders"),
    "export": exported,
    "doctor": examined,
    "webshops": lambda gg: gg.webshops.list().collect(),
}
WRITES = {
    "create": {("POST", "orders")},
    "ensure": {("POST", "webhooks")},
    "apply orders": {("POST", "orders")},
    "apply products": {("PUT", f"products/products-{n}") for n in range(5)},
    "apply stock": {("PUT", f"products/products-{n}/stock-mutation") for n in range(5)},
}
"""What each call may write, and but for products at most once: to set a price twice does no harm."""


async def play(
    seed: int, call: str, lies: float, serve: Callable[[Play], AbstractAsyncContextManager[RawServer]] = raw_server
) -> str:
    """One call against one server; how it ended."""
    server = Server(random.Random(f"{seed} {call}"), lies)
    async with (
        serve(server) as running,
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
            assert set(server.writes) <= WRITES.get(call, set()), "a write that was not asked for"
            most = Counter(server.writes).most_common(1)
            assert call == "apply products" or not most or most[0][1] == 1, "a write was sent twice"
    return "done"


@pytest.mark.slow
@pytest.mark.virtual_time
@pytest.mark.parametrize("call", CALLS)
async def test_call_with_any_json_is_right_or_raises_our_error(call: str) -> None:
    for seed in fuzz.depth(4):
        await play(seed, call, lies=(0.15, 0.5, 1.0)[seed % 3])


@pytest.mark.virtual_time
@each_row("call", CALLS)
async def test_call_of_a_server_that_tells_the_truth_succeeds(call: str) -> None:
    assert await play(1, call, lies=0.0) == "done"


async def test_doctor_reads_webshops_as_php_writes_them_with_any_name() -> None:
    names: list[Any] = ["Shop", 5, ["a"], {}, None, "\x1b[2J\u202e"]
    shops = {str(n): {"uuid": f"w{n}\x07", "name": name} for n, name in enumerate(names)}

    async def play(exchange: Exchange) -> None:
        await exchange.answer(json.dumps({"items": shops, "pageInfo": {"totalItems": "many"}}).encode())

    async with (
        raw_server(play) as server,
        GoedGepickt("k", base_url=server.url, budget=unlimited_budget()) as gg,
    ):
        report = as_text(await examine(gg))
    assert "accepted" in report
    assert "w5" in report
    assert report.replace("\n", "").isprintable()


@each_row("items", ["x", 5, [5], [None], [[]], [{}], [{"name": "x"}], {"a": {"uuid": "w"}}, {"0": 1}], ids=str)
async def test_doctor_accepts_no_list_without_webshops_in_it(items: Any) -> None:
    async def play(exchange: Exchange) -> None:
        await exchange.answer(json.dumps({"items": items, "pageInfo": {}}).encode())

    async with (
        raw_server(play) as server,
        GoedGepickt("k", base_url=server.url, budget=unlimited_budget()) as gg,
    ):
        findings = await examine(gg)
    assert findings.configured is not None
    assert not findings.configured.accepted


@contextlib.contextmanager
def _loop_in_a_thread() -> Any:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class _Watch:
    """Milliseconds of the processor in which the loop stood still; the garbage collector's are counted apart."""

    def __init__(self) -> None:
        self.running = ""
        self.worst: Counter[str] = Counter()
        self.longest_collection = 0.0
        self._collecting = self._collected = 0.0
        gc.callbacks.append(self._on_garbage)

    def _on_garbage(self, phase: str, _: object) -> None:
        if phase == "start":
            self._collecting = time.thread_time()
        elif threading.current_thread() is threading.main_thread():
            took = time.thread_time() - self._collecting
            self._collected += took
            self.longest_collection = max(self.longest_collection, took * 1000)

    async def watch(self) -> None:
        while True:
            before = time.thread_time() - self._collected  # another program may use the wall-clock time
            await asyncio.sleep(0.005)
            took = time.thread_time() - self._collected - before
            self.worst[self.running] = max(self.worst[self.running], round(took * 1000))


async def _run_for(seconds: float) -> None:
    """`python -m tests.transport.test_wrong_shapes SECONDS`: as long as wanted, with new seeds, and the loop watched.

    The server runs in another thread, so that its work is not counted as the client's.
    """
    ended: Counter[tuple[str, str]] = Counter()
    with _loop_in_a_thread() as loop:

        @asynccontextmanager
        async def serve(play: Play) -> AsyncIterator[RawServer]:
            context = raw_server(play)
            yield await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_awaited(context.__aenter__()), loop))
            await asyncio.wrap_future(
                asyncio.run_coroutine_threadsafe(_awaited(context.__aexit__(None, None, None)), loop)
            )

        for call in CALLS:  # imports what is imported at first use
            await play(0, call, 0.0, serve)
        watch = _Watch()
        watching = asyncio.create_task(watch.watch())
        until, seed = time.monotonic() + seconds, random.randrange(10**9)
        while time.monotonic() < until:
            seed += 1
            lies = random.Random(seed).choice([0.05, 0.15, 0.5, 1.0])
            for call in CALLS:
                watch.running = call
                try:
                    ended[call, await play(seed, call, lies, serve)] += 1
                except BaseException as error:
                    print("FAULT", seed, lies, call, type(error).__name__, error, flush=True)  # noqa: T201
                    ended[call, "FAULT"] += 1
        watching.cancel()
    print(sum(ended.values()), "calls; ms in which the loop stood still, at most:", dict(watch.worst))  # noqa: T201
    print(f"and for the garbage collector, at most: {watch.longest_collection:.0f}")  # noqa: T201
    for (call, end), number in sorted(ended.items()):
        print(f"{call:18} {end:24} {number}")  # noqa: T201


async def _awaited(step: Awaitable[Any]) -> Any:
    return await step


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as state:
        os.environ["XDG_STATE_HOME"] = os.environ["XDG_RUNTIME_DIR"] = state
        asyncio.run(_run_for(float(sys.argv[1])))
