"""What every system and every Python must do: a budget of two processes, a list, writes, a command, an inbox.

`nox -s smoke` runs it with `test_paths.py`, `budget/test_host.py` and the tests of pure parts.
It uses no signals, modes or POSIX paths.
"""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from goedgepickt_async import GoedGepickt, NewOrder, NewOrderLine
from goedgepickt_async.sandbox import Sandbox
from goedgepickt_async.testing import order_status_changed, serving, signed_delivery
from goedgepickt_async.webhooks import OrderStatusChanged, SqliteInbox, WebhookReceiver

HALF = """
import asyncio
import sys
from goedgepickt_async import GoedGepickt, HostBudget


async def main(url, key, directory):
    async with GoedGepickt(key, base_url=url, budget=HostBudget(20, 1.0, name="smoke", directory=directory)) as gg:
        await asyncio.gather(*(gg.request("GET", "/webshops") for _ in range(20)))
"""
OTHER = f"""{HALF}

print("ready", flush=True)
sys.stdin.readline()
asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.slow
def test_two_processes_keep_one_limit(tmp_path: Path) -> None:
    with serving(Sandbox(limit=20, period=1.0, orders=1, products=1)) as sandbox:
        arguments = (sandbox.url, sandbox.api_key, str(tmp_path / "budget"))
        here: dict[str, Any] = {}
        exec(HALF, here)
        command = [sys.executable, "-c", OTHER, *arguments]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
            assert other.stdout is not None
            assert other.stdin is not None
            assert other.stdout.readline().split() == [b"ready"]
            other.stdin.write(b"\n")
            other.stdin.flush()
            asyncio.run(here["main"](*arguments))
        assert other.returncode == 0
        assert (sandbox.throttled, len(sandbox.requests)) == (0, 40)


@pytest.mark.slow
async def test_a_list_is_whole_and_writes_happen_once(sandbox: Sandbox, gg: GoedGepickt, tmp_path: Path) -> None:
    orders = await gg.orders.list().collect()
    assert len(orders) == 230
    assert all(order.created_at is None or str(order.created_at.tzinfo) == "Europe/Amsterdam" for order in orders)
    shop = str(sandbox.world.webshops[0]["uuid"])
    here = {product.uuid for product in await gg.products.list(webshop_uuid=shop).collect()}
    product = next(row for row in sandbox.world.products if row["uuid"] in here and _is_countable(row))
    line = NewOrderLine(sku=product["sku"], product_name="Mok", quantity=1, tax_rate="21")
    order = NewOrder(order_id="S-1", status="open", webshop_uuid=shop, lines=[line])
    created = await gg.orders.create(order)
    found = await gg.orders.find_by_order_id("S-1")
    assert found is not None
    assert found.uuid == created.uuid
    plan = await gg.stock.plan({product["sku"]: 77})
    assert [outcome.ok async for outcome in plan.apply(journal=tmp_path / "journal.sqlite3")] == [True]
    changed = await gg.products.get(product["uuid"])
    assert changed.stock is not None
    assert changed.stock.free_stock == 77


def _is_countable(row: dict[str, Any]) -> bool:
    return bool(row["sku"]) and row["type"] == "normal" and not (row["stock"] or {}).get("unlimitedStock", True)


@pytest.mark.slow
def test_the_command_exports_to_a_file(tmp_path: Path) -> None:
    pytest.importorskip("cyclopts", reason="the extra cli is not installed")
    file = tmp_path / "orders.jsonl"
    command = [
        sys.executable,
        "-m",
        "goedgepickt_async",
        "export",
        "orders",
        "--sandbox",
        "--limit",
        "150",
        "-o",
        str(file),
    ]
    subprocess.run(command, check=True)
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    assert len({row["uuid"] for row in rows}) == len(rows) == 150


async def test_a_delivery_is_kept_on_disk_and_handled(tmp_path: Path) -> None:
    handled: asyncio.Queue[str] = asyncio.Queue()
    receiver = WebhookReceiver("geheim", inbox=SqliteInbox(tmp_path / "inbox.sqlite3"))

    @receiver.on(OrderStatusChanged)
    async def changed(event: object) -> None:
        await handled.put(type(event).__name__)

    delivery = signed_delivery(order_status_changed(), "geheim")
    async with receiver:
        assert (await receiver.receive(delivery.body, delivery.signature)).status == 200
        assert await handled.get() == "OrderStatusChanged"
