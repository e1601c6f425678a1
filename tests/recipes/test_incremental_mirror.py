"""The mirror of docs/howto/incremental-mirror.md is complete after any change during the reading."""

import asyncio
import json
import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from goedgepickt_async import GoedGepickt
from goedgepickt_async.sandbox import Sandbox, faults
from goedgepickt_async.webhooks import MemoryInbox, WebhookReceiver, sign
from tests.recipes.pages import blocks, module
from tests.support.warm import Interpreter
from tests.webhooks.support import until

pytestmark = pytest.mark.slow

PAGE = "incremental-mirror.md"
CODE = blocks(PAGE, "mirror", "reading", "following")
PROGRAM = """
import asyncio
import sys


async def main() -> None:
    async with GoedGepickt() as gg:
        await read(gg, open_mirror(sys.argv[1]), "orders", whole=True)


asyncio.run(main())
"""


@pytest.fixture
def mirror(tmp_path: Path) -> ModuleType:
    return module(tmp_path, "mirror", CODE)


@pytest.fixture
def db(mirror: ModuleType, tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(mirror.open_mirror(str(tmp_path / "mirror.sqlite3"))) as opened:
        yield opened


def in_mirror(db: sqlite3.Connection, name: str = "orders") -> dict[str, Any]:
    rows = db.execute("SELECT uuid, data FROM rows WHERE list = ?", (name,))
    return {uuid: json.loads(data) for uuid, data in rows}


def statuses(rows: dict[str, Any]) -> dict[str, str]:
    return {uuid: row["status"] for uuid, row in rows.items()}


def in_world(sandbox: Sandbox) -> dict[str, str]:
    return {str(order["uuid"]): str(order["status"]) for order in sandbox.world.orders}


async def run_program(warm: Interpreter, path: Path, sandbox: Sandbox, *, kill_at: int | None = None) -> int | None:
    """Run the page's reading in a process, kill it once so many rows are there, and give its exit code."""
    key = {"GOEDGEPICKT_API_KEY": sandbox.api_key, "GOEDGEPICKT_BASE_URL": sandbox.url}
    program = ("-c", CODE + PROGRAM, str(path))
    process = warm.start(*program, cwd=path.parent, env=os.environ | key, stdout=2, stderr=2)
    try:
        if kill_at is not None:
            with closing(sqlite3.connect(path)) as looking:
                await until(lambda: _count(looking) >= kill_at)
            process.kill()
        return await asyncio.to_thread(process.wait)
    finally:
        process.kill()


def _count(db: sqlite3.Connection) -> int:
    try:
        return int(db.execute("SELECT count(*) FROM rows").fetchone()[0])
    except sqlite3.OperationalError:  # it is not made yet
        return 0


async def test_killed_several_times_it_continues_and_ends_complete(
    mirror: ModuleType, tmp_path: Path, warm: Interpreter
) -> None:
    path = tmp_path / "killed.sqlite3"
    async with Sandbox(orders=800, products=0, seed=7, limit=None) as sandbox:
        for rows in (200, 350):
            sandbox.clear_faults()  # one that the kill came before would hold the next reading up
            sandbox.fail("GET", "/orders", faults.NeverAnswer(), after=3)  # so that it is not done before it is killed
            assert await run_program(warm, path, sandbox, kill_at=rows) == -signal.SIGKILL
            before = len(sandbox.requests)
            with closing(sqlite3.connect(path)) as looking:
                assert rows <= _count(looking) < 800
        sandbox.clear_faults()
        assert await run_program(warm, path, sandbox) == 0
        with closing(mirror.open_mirror(str(path))) as db:
            assert statuses(in_mirror(db)) == in_world(sandbox)
        assert len(sandbox.requests) < 20, "what was kept was not asked for again"
        assert int(sandbox.requests[before].query["page"]) > 1


async def test_rows_and_the_resume_token_are_kept_together_or_not_at_all(
    mirror: ModuleType, db: sqlite3.Connection, sandbox: Sandbox, gg: GoedGepickt
) -> None:
    db.execute(
        "CREATE TRIGGER full BEFORE INSERT ON rows WHEN (SELECT count(*) FROM rows) >= 150"
        " BEGIN SELECT RAISE(ABORT, 'disk full'); END"
    )
    with pytest.raises(sqlite3.IntegrityError, match="disk full"):
        await mirror.read(gg, db, "orders")
    assert len(in_mirror(db)) == 100
    db.execute("DROP TRIGGER full")
    sandbox.requests.clear()
    await mirror.read(gg, db, "orders")
    assert statuses(in_mirror(db)) == in_world(sandbox)
    assert sandbox.requests[0].query["page"] == "2"


async def test_the_next_reading_asks_for_what_is_new_alone(
    mirror: ModuleType, db: sqlite3.Connection, sandbox: Sandbox, gg: GoedGepickt
) -> None:
    await mirror.read(gg, db, "orders")
    newest = db.execute("SELECT max(created_at) FROM orders").fetchone()[0]
    added = [str(sandbox.world.add_order(createDate=newest)["uuid"]) for _ in range(3)]
    sandbox.requests.clear()
    await mirror.read(gg, db, "orders")
    assert set(added) <= set(in_mirror(db))
    assert len(in_mirror(db)) == 233
    assert len(sandbox.requests) <= 2
    assert all(recorded.query["createdAfter"] for recorded in sandbox.requests)


async def test_a_whole_reading_sees_what_changed_and_forgets_what_is_gone(
    mirror: ModuleType, db: sqlite3.Connection, sandbox: Sandbox, gg: GoedGepickt
) -> None:
    await mirror.read(gg, db, "orders")
    first, second = list(in_world(sandbox))[:2]
    sandbox.world.set_order_status(first, "brand_new")
    sandbox.world.delete_order(second)
    await mirror.read(gg, db, "orders")
    assert second in in_mirror(db), "a reading of what is new tells nothing of what is gone"
    await mirror.read(gg, db, "orders", whole=True)
    assert statuses(in_mirror(db)) == in_world(sandbox)
    assert statuses(in_mirror(db))[first] == "brand_new"


async def test_a_page_does_not_overwrite_what_came_after_it_was_asked_for(
    mirror: ModuleType, db: sqlite3.Connection, sandbox: Sandbox, gg: GoedGepickt
) -> None:
    await mirror.read(gg, db, "orders")
    old = await gg.orders.get(next(iter(in_world(sandbox))))
    sandbox.world.set_order_status(old.uuid, "brand_new")
    now = 4e9  # later than all that was read
    with db:
        mirror.save(db, "orders", [await gg.orders.get(old.uuid)], at=now)
        mirror.save(db, "orders", [old], at=now - 1)
    assert statuses(in_mirror(db))[old.uuid] == "brand_new"
    with db:
        mirror.save(db, "orders", [old], at=now + 1)
    assert statuses(in_mirror(db))[old.uuid] == old.status


async def test_what_a_webhook_tells_of_is_brought_up_to_date_or_forgotten(
    mirror: ModuleType, db: sqlite3.Connection, sandbox: Sandbox, gg: GoedGepickt
) -> None:
    await mirror.read(gg, db, "orders")
    await mirror.read(gg, db, "products")
    first, second = list(in_world(sandbox))[:2]
    product = str(sandbox.world.products[0]["uuid"])
    sandbox.world.set_order_status(first, "brand_new")
    sandbox.world.delete_order(second)
    sandbox.world.change_product(0, name="Nieuwe naam")
    receiver = WebhookReceiver("secret", client=gg, inbox=MemoryInbox())
    mirror.follow(receiver, db, within=0.0)
    stock = {"event": "stockUpdated", "newStock": "1", "productSku": "s", "productUuid": product}
    status = {"event": "orderStatusChanged", "newStatus": "x", "orderNumber": "1"}
    async with receiver:
        for told in (status | {"orderUuid": first}, status | {"orderUuid": second}, stock):
            body = json.dumps(told).encode()
            assert (await receiver.receive(body, sign(body, "secret"))).status == 200
        await until(lambda: second not in in_mirror(db))
        await until(lambda: statuses(in_mirror(db))[first] == "brand_new")
        await until(lambda: in_mirror(db, "products")[product]["name"] == "Nieuwe naam")
