"""What is imported when."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

_STEPS = """
import json, sys

def ours_after(before):
    return sorted(set(sys.modules) - before)

before = set(sys.modules)
import goedgepickt_async
bare = ours_after(before)
from goedgepickt_async import GoedGepickt
client = ours_after(before)
import asyncio
from goedgepickt_async import LocalBudget
from goedgepickt_async.sandbox import Sandbox

async def main():
    async with Sandbox(orders=3, products=3, limit=None) as sandbox:
        client = GoedGepickt(sandbox.api_key, base_url=sandbox.url, budget=LocalBudget())
        before = set(sys.modules)
        async with client:
            assert len(await client.orders.list().collect()) == 3
            assert len(await client.products.list().collect()) == 3
            assert client.bulk and client.stock and client.webhooks and client.shipments and client.webshops
        return [name for name in ours_after(before) if name.startswith(("goedgepickt_async", "cattrs"))]

print(json.dumps([bare, client, asyncio.run(main())]))"""


@pytest.mark.slow
def test_the_package_and_the_client_import_little_and_a_call_imports_nothing_of_ours() -> None:
    done = subprocess.run([sys.executable, "-c", _STEPS], capture_output=True, text=True, check=True)
    bare, client, call = map(set, json.loads(done.stdout))
    assert not {"typing", "attrs", "aiohttp", "asyncio"} & bare
    assert {name for name in bare if name.startswith("goedgepickt_async")} == {"goedgepickt_async"}
    assert "goedgepickt_async.client" in client
    assert not {"cattrs", "goedgepickt_async.models", "goedgepickt_async.resources", "goedgepickt_async.bulk"} & client
    assert call == set()


@pytest.mark.slow
def test_without_sqlite_all_works_but_journals_and_inbox_files_which_say_so(tmp_path: Path) -> None:
    code = """
import asyncio, sys
sys.modules["_sqlite3"] = None
from goedgepickt_async import GoedGepickt, GoedGepicktError, LocalBudget
from goedgepickt_async.sandbox import Sandbox
from goedgepickt_async.webhooks import MemoryInbox, SqliteInbox, WebhookReceiver

async def main():
    WebhookReceiver("a secret", inbox=MemoryInbox())
    async with Sandbox(orders=5, products=2, limit=None) as sandbox:
        async with GoedGepickt(sandbox.api_key, base_url=sandbox.url, budget=LocalBudget()) as gg:
            print(len(await gg.orders.list().collect()))
            shop = await gg.webshops.list().first()
            plan = await gg.products.plan([{"sku": "N", "name": "n", "price": "1"}], webshop_uuid=shop.uuid)
            for use in (SqliteInbox("x.sqlite3").status, lambda: anext(aiter(plan.apply(journal="x.journal")))):
                try:
                    await use()
                except GoedGepicktError as error:
                    print("without SQLite" in str(error))
asyncio.run(main())
"""
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ran.stdout.split() == ["5", "True", "True"], ran.stderr
