"""The generated world: the same for the same seed, small until read, and as odd as the real one."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tracemalloc
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goedgepickt_async import sandbox as sandbox_package
from goedgepickt_async.sandbox import Sandbox, World
from goedgepickt_async.sandbox.world import Change, ChangeKind, WorldSettings
from goedgepickt_async.sandbox.world.table import Calendar, SeededIds, day_start, parse_moment, write_moment
from tests.support.tables import each_row

if TYPE_CHECKING:
    from .conftest import Api

TABLES = ("webshops", "products", "pick_locations", "orders", "shipments")


def make_world(**sizes: Any) -> World:
    return World(WorldSettings(**sizes), lambda: 1_790_000_000.0)


def everything(world: World) -> str:
    return json.dumps({name: list(getattr(world, name)) for name in TABLES})


@pytest.mark.slow
def test_the_same_seed_and_sizes_give_the_same_world() -> None:
    one, again, other = (everything(make_world(seed=seed)) for seed in (5, 5, 6))
    assert one == again
    assert one != other


@pytest.mark.slow
def test_the_world_and_its_keys_are_the_same_in_another_process() -> None:
    code = (
        "from goedgepickt_async.sandbox import Sandbox; import json;"
        "s = Sandbox(seed=5, orders=600, products=100); w = s.world;"
        "print(json.dumps([s.api_key, *map(list, (w.webshops, w.products, w.pick_locations, w.orders, w.shipments))]))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "77", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
    here = Sandbox(seed=5, orders=600, products=100)
    assert json.loads(done.stdout) == [here.api_key, *(list(getattr(here.world, name)) for name in TABLES)]


@pytest.mark.slow
def test_100_000_orders_cost_a_few_bytes_each() -> None:
    make_world(orders=10)
    tracemalloc.start()
    world = make_world(orders=100_000)
    page = world.orders[70_000:70_100]
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(page) == 100
    assert held / 100_000 < 60  # what is in motion, some thousands of orders, costs most of it


@given(seed=st.integers(0, 9), index=st.integers(0, 2**40), kind=st.sampled_from(["order", "product"]))
def test_uuids_lead_back_to_their_row_and_only_there(seed: int, index: int, kind: str) -> None:
    identity = SeededIds(seed)
    uuid = identity.uuid(kind, index)
    assert identity.index(kind, uuid) == index
    assert identity.index(kind, uuid.upper()) == index
    assert identity.index("shipment", uuid) is None
    assert SeededIds(seed + 1).index(kind, uuid) is None


@given(st.text(max_size=40))
def test_no_other_text_is_a_uuid(text: str) -> None:
    assert SeededIds(1).index("order", text) is None


@given(count=st.integers(2, 3_000_000), data=st.data())
def test_creation_dates_grow_with_the_index_and_lie_before_today(count: int, data: st.DataObject) -> None:
    calendar = Calendar(day_start(date(2026, 11, 1)) + 12 * 3600, count)
    index = data.draw(st.integers(0, count - 2))
    assert calendar.moment(index) < calendar.moment(index + 1)
    assert calendar.moment(count - 1) < parse_moment("2026-11-01 12:00:00")


@given(st.integers(0, 4_000_000_000))
def test_all_forms_of_a_date_mean_the_same_instant(second: int) -> None:
    # Without an offset, the hour that is repeated when summer time ends has two meanings.
    assert parse_moment(write_moment(second, 2)) == second
    for style in (0, 1):
        assert parse_moment(write_moment(second, style)) in {second, second - 3600}


@pytest.mark.slow
def test_every_uuid_is_unique_and_every_link_leads_somewhere() -> None:
    world = make_world()
    uuids = [row["uuid"] for name in TABLES for row in getattr(world, name)]
    assert len(set(uuids)) == len(uuids)
    products = {product["uuid"] for product in world.products}
    for order in world.orders:
        assert {line["productUuid"] for line in order["products"]} <= products | {None}
    linked = [shipment["linkedOrder"] for shipment in world.shipments]
    assert all(world.order(link["uuid"]) for link in linked if link)


@each_row("shipments", [None, 0, 7, 500])
def test_orders_and_shipments_agree(shipments: int | None) -> None:
    world = make_world(shipments=shipments)
    of_orders = {parcel["trackTraceCode"] for order in world.orders for parcel in order.get("shipments", [])}
    assert of_orders == {shipment["trackTraceCode"] for shipment in world.shipments}
    assert len(world.shipments) == (len(world.shipments) if shipments is None else shipments)
    dates = [world.shipment_created(index) for index in range(len(world.shipments))]
    assert dates == sorted(dates)


def test_an_odd_world_has_the_oddities_of_the_real_one() -> None:
    world = make_world()
    orders, products, shipments = list(world.orders), list(world.products), list(world.shipments)
    known = {"open", "ready_for_picking", "backorder", "on_hold", "completed", "cancelled"}
    assert {order["status"] for order in orders} - known
    assert {"", None} <= {order["totalPaid"] for order in orders}
    assert {repr(order["attentionNeeded"]) for order in orders} >= {"0", "1", "'1'", "True", "False"}
    assert any("orderId" not in order for order in orders)
    assert any("shipments" not in order for order in orders)
    assert any("fulfilmentHints" in order for order in orders)
    assert any(not order["billingFirstName"] for order in orders)
    assert not any((order["shippingCity"] or "ü").isascii() for order in orders if order["shippingCountry"] == "DE")
    assert any(order["externalDisplayId"].startswith("#") for order in orders)
    lines = [line for order in orders for line in order["products"]]
    assert {line["type"] for line in lines} == {"normal", "parent", "child"}
    assert {type(line["productPrice"]) for line in lines} == {str, float}
    assert any(line["productUuid"] is None for line in lines)
    skus = [product["sku"] for product in products]
    assert "" in skus
    assert "0003" in skus
    assert len(set(skus)) < len(skus)
    assert any(product["name"] is None for product in products)
    assert any("image_placeholder" in (product["picture"] or "") for product in products)
    stocks = [product["stock"] for product in products if product["stock"]]
    assert any(stock["freeStock"] < 0 for stock in stocks)
    assert {type(stock["unlimitedStock"]) for stock in stocks} == {bool, int}
    assert "" in {shipment["status"] for shipment in shipments}


ADDRESS = ("LastName", "Address", "HouseNumber", "Zipcode", "City", "Country", "Email", "Phone")
SELDOM_NULL = [f"{side}{name}" for side in ("billing", "shipping") for name in ADDRESS]


@pytest.mark.slow
def test_in_an_odd_world_few_orders_lack_a_field_or_have_a_rare_one() -> None:
    orders = list(make_world(orders=1500).orders)
    for field in ("shippingMethod", *SELDOM_NULL):
        assert 15 <= [order[field] for order in orders].count(None) <= 75, field
    for field in ("internComment", "billingAddress2", "shippingAddress2"):
        texts = [order[field] for order in orders if order[field]]
        assert 15 <= len(texts) <= 75, field
        assert len(set(texts)) > 1
    completed = [order for order in orders if order["status"] == "completed"]
    for field in ("finishDate", "shippedDate"):
        assert 0 < [order[field] for order in completed].count(None) < len(completed) / 10
    assert all(order["createDate"] for order in orders)


def test_in_an_odd_world_some_products_have_no_tax_rate_or_no_stock() -> None:
    products = list(make_world(products=500).products)
    for field in ("taxRate", "stock"):
        assert 5 <= [product[field] for product in products].count(None) <= 25


def test_a_product_without_stock_has_some_as_soon_as_it_is_set() -> None:
    world = make_world()
    product = next(product for product in world.products if product["stock"] is None)
    world.set_stock(product["uuid"], world.pick_locations[0]["uuid"], 4)
    assert next(row for row in world.products if row["uuid"] == product["uuid"])["stock"]["totalStock"] == 4


def test_a_tidy_world_has_none_of_them() -> None:
    world = make_world(oddities=False)
    orders, products = list(world.orders), list(world.products)
    assert len({tuple(order) for order in orders}) == 1
    assert {type(order["attentionNeeded"]) for order in orders} == {bool}
    assert all(order["totalPaid"] for order in orders)
    assert {len(order["createDate"]) for order in orders} == {19}
    assert len({product["sku"] for product in products}) == len(products)
    assert all(product["name"] and product["stock"] for product in products)
    assert all(product["taxRate"] for product in products)
    assert not any(order[field] is None for order in orders for field in ("shippingMethod", *SELDOM_NULL))


@each_row("sizes", [{"orders": 0}, {"products": 0}, {"orders": 0, "products": 0, "shipments": 3}])
def test_any_table_may_be_empty(sizes: dict[str, int]) -> None:
    world = make_world(**sizes)
    assert json.loads(everything(world))
    assert world.add_order()["uuid"]
    assert world.add_product()["uuid"]


def test_what_is_read_can_be_changed_without_harm() -> None:
    world = make_world()
    uuid = world.add_order(customerNote="mine")["uuid"]
    order = world.order(uuid)
    assert order is not None
    order["customerNote"] = "spoiled"
    again = world.order(uuid)
    assert again is not None
    assert again["customerNote"] == "mine"


def test_changes_are_announced_to_observers_until_they_leave() -> None:
    world = make_world()
    heard: list[Change] = []
    leave = world.subscribe(heard.append)
    product = world.products[0]["uuid"]
    world.set_order_status(world.orders[0]["uuid"], "brand_new")
    world.set_order_status(world.orders[0]["uuid"], "brand_new")
    world.set_stock(product, world.pick_locations[0]["uuid"], 77)
    leave()
    world.set_order_status(world.orders[0]["uuid"], "open")
    assert [change.kind for change in heard[:2]] == [ChangeKind.ORDER_STATUS_CHANGED, ChangeKind.PRODUCT_STOCK_CHANGED]
    assert heard[0].row["status"] == "brand_new"
    assert heard[1].row["uuid"] == product


def test_things_are_found_by_their_uuid() -> None:
    world = make_world()
    assert world.product(world.products[3]["uuid"]) == world.products[3]
    assert world.order(world.orders[3]["uuid"]) == world.orders[3]
    assert world.product(world.orders[3]["uuid"]) is None
    assert world.order("none") is None


def test_a_deleted_product_is_gone_from_its_sku_too() -> None:
    world = make_world(oddities=False)
    product = world.products[3]
    world.delete_product(product["uuid"])
    assert world.product(product["uuid"]) is None
    assert world.products_with_sku(product["sku"]) == []


def test_unknown_uuids_are_key_errors() -> None:
    world = make_world()
    for action in (world.delete_order, world.restore_order, world.delete_product):
        with pytest.raises(KeyError):
            action("none")


async def test_the_world_can_be_changed_while_it_is_served(api: Api) -> None:
    world = api.sandbox.world
    added = world.add_order(customerNote="é", status="brand_new")
    assert (await api.get(f"/orders/{added['uuid']}")).json == added
    world.delete_order(added["uuid"])
    assert (await api.get(f"/orders/{added['uuid']}")).status == 404
    world.restore_order(added["uuid"])
    assert (await api.get(f"/orders/{added['uuid']}")).status == 200


async def test_json_is_written_as_php_writes_it(api: Api) -> None:
    reply = await api.get("/orders", perPage=100)
    assert reply.raw.isascii()
    assert b"https:\\/\\/" in reply.raw
    assert b'": ' not in reply.raw


@pytest.mark.slow
def test_the_sandbox_shares_no_code_with_the_rest_of_the_package() -> None:
    package = Path(sandbox_package.__file__).parent
    modules = {
        name
        for file in package.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        for name in _imported(node)
    }
    ours = {name for name in modules if name.partition(".")[0] == "goedgepickt_async"}
    assert ours
    assert not [name for name in ours if not name.startswith("goedgepickt_async.sandbox")]
    assert {name.partition(".")[0] for name in modules - ours} - sys.stdlib_module_names == {
        "aiohttp",
        "attrs",
        "multidict",
        "yarl",
    }


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0
        return [str(node.module)]
    return []
