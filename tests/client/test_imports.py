"""What is imported when."""

import subprocess
import sys
from pathlib import Path

import pytest

_LOADED = "import sys; before = set(sys.modules); {}; print(*(set(sys.modules) - before))"
_SERVED = """
import asyncio, sys
from goedgepickt_async import GoedGepickt, LocalBudget
from goedgepickt_async.sandbox import Sandbox

async def main():
    async with Sandbox(orders=3, products=3, limit=None) as sandbox:
        client = GoedGepickt(sandbox.api_key, base_url=sandbox.url, budget=LocalBudget())
        before = set(sys.modules)
        async with client:
            assert len(await client.orders.list().collect()) == 3
            assert len(await client.products.list().collect()) == 3
            assert client.bulk and client.stock and client.webhooks and client.shipments and client.webshops
        return {name for name in set(sys.modules) - before if name.startswith(('goedgepickt_async', 'cattrs'))}

print(*asyncio.run(main()))
"""


def loaded_by(code: str) -> set[str]:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=600)
    return set(done.stdout.split())


def test_the_bare_package_imports_nothing_else() -> None:
    loaded = loaded_by(_LOADED.format("import goedgepickt_async"))
    assert not {"typing", "attrs", "aiohttp", "asyncio"} & loaded
    assert {name for name in loaded if name.startswith("goedgepickt_async")} == {"goedgepickt_async"}


@pytest.mark.slow
def test_naming_the_client_brings_in_neither_models_nor_resources_nor_cattrs() -> None:
    loaded = loaded_by(_LOADED.format("from goedgepickt_async import GoedGepickt"))
    assert "goedgepickt_async.client" in loaded
    assert not {"cattrs", "goedgepickt_async.models", "goedgepickt_async.resources", "goedgepickt_async.bulk"} & loaded


@pytest.mark.slow
def test_nothing_of_ours_is_imported_in_the_middle_of_a_call() -> None:
    assert loaded_by(_SERVED) == set()


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
