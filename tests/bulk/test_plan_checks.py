"""A plan shows the rows that it leaves out, the webshop that it read, and probable mistakes in many rows."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from goedgepickt_async import ConfigurationError, GoedGepickt, NewProduct, Plan
from goedgepickt_async.bulk import ConflictCode, RowSource, strategy
from goedgepickt_async.bulk.strategy import fold
from goedgepickt_async.sandbox import Sandbox
from tests.support.tables import each_row


@pytest.fixture
async def sandbox() -> Any:
    async with Sandbox(orders=20, products=60, webshops=2, seed=3, limit=None, oddities=False) as running:
        yield running


@pytest.fixture
def shops(sandbox: Sandbox) -> list[Any]:
    return list(sandbox.world.webshops)


@pytest.fixture
def first(sandbox: Sandbox, make_client: Callable[..., GoedGepickt], shops: list[Any]) -> GoedGepickt:
    return make_client(sandbox.url, sandbox.api_key, webshop_uuid=str(shops[0]["uuid"]))


async def codes(plan: Plan) -> dict[str, ConflictCode]:
    return {conflict.key: conflict.code for conflict in plan.conflicts}


async def skus_of(gg: GoedGepickt, shop: Any) -> list[str]:
    return [p.sku async for p in gg.products.list(webshop_uuid=str(shop["uuid"])) if p.sku]


@pytest.mark.parametrize("count", [1, 6])
async def test_a_sku_of_another_webshop_is_a_conflict_and_is_not_created_by_default(
    first: GoedGepickt, shops: list[Any], count: int
) -> None:
    theirs = (await skus_of(first, shops[1]))[:count]
    rows = [{"sku": sku, "name": "Mok", "price": "9.50"} for sku in theirs]
    products = await first.products.plan(rows)
    assert await codes(products) == dict.fromkeys(theirs, ConflictCode.OTHER_WEBSHOP)
    assert all(repr(shops[1]["name"]) in conflict.reason for conflict in products.conflicts)
    assert str(shops[0]["name"]) in str(products)
    assert f"at {first.settings.base_url}, as it was" in str(products), "with the port of the server"
    assert any("check the webshop" in notice for notice in products.notices)
    assert await codes(await first.stock.plan(dict.fromkeys(theirs, 3))) == dict.fromkeys(
        theirs, ConflictCode.OTHER_WEBSHOP
    )
    meant = await first.products.plan(rows, create_elsewhere=True)
    assert [write.key for write in meant.creates] == theirs


async def test_a_plan_needs_the_uuid_or_name_of_one_of_several_webshops(
    sandbox: Sandbox, make_client: Callable[..., GoedGepickt], shops: list[Any]
) -> None:
    gg = make_client(sandbox.url, sandbox.api_key)
    for plan in (gg.products.plan([]), gg.stock.plan({}), gg.orders.plan([])):
        with pytest.raises(ConfigurationError, match=str(shops[1]["name"])):
            await plan
    named = await gg.stock.plan({}, webshop_uuid=str(shops[1]["name"]))
    assert named.scope.webshop == shops[1]["uuid"]
    with pytest.raises(ConfigurationError, match="no webshop 'nope'"):
        await gg.products.plan([], webshop_uuid="nope")


async def test_a_sku_that_resembles_another_is_a_conflict_that_names_it(first: GoedGepickt) -> None:
    webshop = first.settings.webshop_uuid or ""
    await first.products.create(NewProduct(webshop_uuid=webshop, sku="0012", name="Nul nul twaalf"))
    there = (await skus_of(first, {"uuid": first.settings.webshop_uuid}))[0]
    wrong = ["12", there.lower(), f"{there}\u200b", there.replace("-", "\u2013"), f"{there[:3]} {there[3:]}", '="0012"']
    plan = await first.products.plan([{"sku": sku, "name": "x"} for sku in wrong])
    assert await codes(plan) == dict.fromkeys(wrong, ConflictCode.NEAR_MISS)
    assert "exist" in plan.conflicts[0].reason
    assert repr("0012") in plan.conflicts[0].reason
    meant = await first.products.plan([{"sku": sku, "name": "x"} for sku in wrong], allow_similar=True)
    assert len(meant.creates) == len(wrong)
    one = await first.stock.plan({"12": 3})
    assert await codes(one) == {"12": ConflictCode.NEAR_MISS}
    rows = [{"sku": sku, "name": "x"} for sku in ("nw1", "NW1", "7", "007", "7.0", "nw2")]
    among = await first.products.plan(rows)
    assert [write.key for write in among.creates] == ["nw2"]
    assert [(conflict.indexes, conflict.code) for conflict in among.conflicts] == [
        ((0, 1), ConflictCode.NEAR_MISS), ((2, 3, 4), ConflictCode.NEAR_MISS)
    ]  # fmt: skip


async def test_the_search_for_similar_keys_sends_few_requests_in_a_long_list(
    first: GoedGepickt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strategy, "_pages_left", lambda _: 10_000)
    webshop = first.settings.webshop_uuid or ""
    await first.products.create(NewProduct(webshop_uuid=webshop, sku="0012", name="Nul nul twaalf"))
    few = await first.products.plan([{"sku": sku, "name": "x"} for sku in ("12", "brand-new")])
    assert await codes(few) == {"12": ConflictCode.NEAR_MISS}
    assert few.requests_read < 20
    assert "similar" in few.looked_at
    monkeypatch.setattr(strategy, "_MOST_REQUESTS", 3)
    many = await first.products.plan([{"sku": str(sku), "name": "x"} for sku in range(20, 30)])
    assert "similar keys were not searched" in str(many)


@each_row(
    ("one", "other", "same"),
    [("0012", "12", True), ("A 1", "a1", True), ("Å-1", "Å-1", True), ("10", "1", False), ("0", "00", True),
     ("A-1", "A1", False), ("\uff10\uff11", "1", True), ("", "0", False)],
)  # fmt: skip
def test_fold_ignores_only_the_differences_that_spreadsheets_cause(one: str, other: str, same: bool) -> None:
    assert (fold(one) == fold(other)) is same


async def test_a_plan_with_existing_only_creates_no_product(first: GoedGepickt) -> None:
    plan = await first.products.plan([{"sku": "brand-new", "name": "x"}], existing_only=True)
    assert (plan.requests, await codes(plan)) == (0, {"brand-new": ConflictCode.NOT_FOUND})


async def prices(gg: GoedGepickt, factor: int) -> Plan:
    rows = [p async for p in gg.products.list(webshop_uuid=gg.settings.webshop_uuid) if p.price and p.sku]
    return await gg.products.plan([{"sku": p.sku, "price": str((p.price or 0) * factor)} for p in rows[:12]])


async def test_prices_that_are_all_100_times_as_high_cause_a_notice(first: GoedGepickt) -> None:
    assert any("100 times as high" in notice for notice in (await prices(first, 100)).notices)
    assert (await prices(first, 3)).notices == ()


async def test_many_zeroes_or_a_barcode_as_level_cause_a_notice(first: GoedGepickt) -> None:
    skus = (await skus_of(first, {"uuid": first.settings.webshop_uuid}))[:20]
    assert any("become 0" in notice for notice in (await first.stock.plan(dict.fromkeys(skus, 0))).notices)
    barcode = await first.stock.plan({skus[0]: 871234567890})
    assert any("barcode" in notice for notice in barcode.notices)
    assert (await first.stock.plan({skus[0]: 12_500})).notices == ()


async def test_a_plan_counts_all_rows_including_the_rows_that_are_left_out(first: GoedGepickt) -> None:
    sku = (await skus_of(first, {"uuid": first.settings.webshop_uuid}))[0]
    plan = await first.products.plan([{"sku": sku, "price": "1"}, {"sku": "A"}, {"sku": "A"}, {"sku": "B"}])
    source = RowSource(name="s.csv", lines=(2, 3, 4, 6), problems=("s.csv:5: prijs: 'x' is not a number",))
    plan = plan.with_source(source)
    assert (plan.rows, plan.left_out, plan.requests) == (5, 4, 1)
    text = str(plan)
    assert "5 rows" in text
    assert "s.csv:3 and s.csv:4" in text
    assert "s.csv:5: prijs" in text
    saved = json.loads(plan.to_json())
    assert saved["counts"]["left_out"] == 4
    assert Plan.from_json(plan.to_json()).source == source


async def test_an_existing_order_is_found_after_its_date_was_corrected(first: GoedGepickt) -> None:
    line = {"sku": "SB-00000", "product_name": "Mok", "quantity": 1, "tax_rate": 21}
    order = {"order_id": "4001", "status": "open", "created_at": "2026-10-20T09:00:00+01:00", "lines": [line]}
    plan = await first.orders.plan([order])
    assert [outcome.ok async for outcome in plan.apply()] == [True]
    again = await first.orders.plan([{**order, "created_at": "2026-11-28T09:00:00+01:00"}])
    assert (again.requests, len(again.unchanged)) == (0, 1)
    assert "created since" in str(again)
