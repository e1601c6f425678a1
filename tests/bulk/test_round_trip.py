"""What export writes, a plan reads back: there is nothing to do."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from goedgepickt_async import GoedGepickt, NewProduct
from goedgepickt_async.bulk.files import read_rows
from goedgepickt_async.sandbox import Sandbox

ODD_NAMES = [
    "-10% korting; =1+1",
    "=SUM(A1)",
    "@home",
    "+31",
    "'t Hart",
    'zeg "hallo"; \'=x',
    "regel een\nregel twee",
    "a|=b",
]


@pytest.fixture
async def sandbox() -> Any:
    async with Sandbox(orders=10, products=120, webshops=2, seed=3, limit=None) as running:
        yield running


@pytest.fixture
async def shop(gg: GoedGepickt, sandbox: Sandbox) -> str:
    shop = str(sandbox.world.webshops[0]["uuid"])
    for number, name in enumerate(ODD_NAMES):
        await gg.products.create(NewProduct(webshop_uuid=shop, sku=f"-odd {number:04}", name=name))
    await gg.products.create(NewProduct(webshop_uuid=shop, sku="0012", name="Nul nul twaalf"))
    return shop


async def export(sandbox: Sandbox, shop: str, file: Path, *options: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "goedgepickt_async", "export", "products", "--webshop", shop, "--output", str(file),
        *options, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "GOEDGEPICKT_API_KEY": sandbox.api_key, "GOEDGEPICKT_BASE_URL": sandbox.url},
    )  # fmt: skip
    _, error = await process.communicate()
    assert process.returncode == 0, error.decode()


@pytest.mark.parametrize(
    "case",
    [("p.csv", []), ("p.csv", ["--excel-csv"]), ("p.xlsx", []), ("p.jsonl", [])],
    ids=["csv", "excel-csv", "xlsx", "jsonl"],
)
async def test_a_plan_of_an_unedited_export_is_empty(
    gg: GoedGepickt, sandbox: Sandbox, shop: str, tmp_path: Path, case: tuple[str, list[str]]
) -> None:
    name, options = case
    await export(sandbox, shop, tmp_path / name, *options)
    products = read_rows(tmp_path / name, "products")
    plan = await gg.products.plan([row.values for row in products.rows], webshop_uuid=shop)
    assert products.problems == ()
    assert (plan.creates, plan.updates) == ((), ())
    assert {conflict.reason for conflict in plan.conflicts if "times in the input" not in conflict.reason} == set()
    assert len(plan.unchanged) > 50
    stock = read_rows(tmp_path / name, "stock")
    assert all("is empty" in problem for problem in stock.problems)
    levels = await gg.stock.plan([(row.values["sku"], row.values["level"]) for row in stock.rows], webshop_uuid=shop)
    assert levels.writes == ()
    assert {conflict.reason for conflict in levels.conflicts if "times in the input" not in conflict.reason} == set()
