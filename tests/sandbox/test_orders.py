"""Orders: what is asked of a new one, what becomes of it and of the stock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .conftest import Api, Serve


@pytest.fixture
async def tidy(serve: Serve) -> Api:
    """A world in which each SKU is one product with stock."""
    return await serve(orders=20, products=40, oddities=False, limit=None)


def line(sku: str, quantity: int = 1, **more: Any) -> dict[str, Any]:
    return {"sku": sku, "productName": f"Artikel {sku}", "productQuantity": quantity, "taxRate": "21.00", **more}


async def place(api: Api, *lines: dict[str, Any], **changes: Any) -> dict[str, Any]:
    reply = await api.post("/orders", api.order_body(orderItems=list(lines), **changes))
    assert reply.status == 200
    order: dict[str, Any] = (await api.get(f"/orders/{reply.json['orderUuid']}")).json
    return order


def stock_of(api: Api, index: int) -> dict[str, Any]:
    stock: dict[str, Any] = api.sandbox.world.products[index]["stock"]
    return stock


async def test_one_order_is_the_bare_object_that_the_list_shows(api: Api) -> None:
    for order in (await api.get("/orders", perPage=5)).items:
        assert (await api.get(f"/orders/{order['uuid']}")).json == order


@pytest.mark.parametrize("uuid", ["none", "00000000-0000-4000-8000-000000000000", "%C3%A9"])
async def test_an_unknown_order_is_404(api: Api, uuid: str) -> None:
    reply = await api.get(f"/orders/{uuid}")
    assert reply.status == 404
    assert "No query results" in reply.json["message"]


async def test_the_uuid_of_another_kind_of_thing_is_404(api: Api) -> None:
    assert (await api.get(f"/orders/{api.sandbox.world.products[0]['uuid']}")).status == 404


async def test_a_new_order_is_served_as_it_was_sent(tidy: Api) -> None:
    order = await place(
        tidy,
        line("SB-00001", 2, unitPriceIncl="12.50"),
        orderId="W-77",
        orderDisplayId="#77",
        createDate="2026-10-31T23:30:00.000Z",
        paidTotal=25.0,
        customerNote="  één/twee  ",
        shippingHouseNumber="12",
        shippingHouseNumberAddition="a",
        billingCountry="NL",
        billingEmail="",
    )
    expected: dict[str, Any] = {
        "externalDisplayId": "#77",
        "orderId": "W-77",
        "orderNumber": "W-77",
        "createDate": "2026-11-01 00:30:00",
        "totalPaid": "25.0",
        "customerNote": "één/twee",
        "shippingHouseNumber": "12",
        "shippingHousenumberAddition": "a",
        "billingCountry": "NL",
        "billingEmail": None,
        "webshopName": "Bloemwinkel 1",
        "shipments": [],
    }
    assert {name: order[name] for name in expected} == expected
    assert "shippingHouseNumberAddition" not in order
    assert order["products"] == [
        {
            "productUuid": tidy.sandbox.world.products[1]["uuid"],
            "productName": "Artikel SB-00001",
            "sku": "SB-00001",
            "productQuantity": 2,
            "pickedQuantity": 0,
            "productPrice": "12.50",
            "type": "normal",
        }
    ]


async def test_a_new_order_is_last_in_the_list_and_found_by_its_id_and_date(tidy: Api) -> None:
    order = await place(tidy, line("SB-00001"), orderId="W-78", createDate="2026-12-24 10:00:00")
    assert tidy.sandbox.world.orders[-1] == order
    for query in (
        {"page": 2},
        {"createdAfter": "2026-12-24"},
        {"searchAttribute": "orderId", "searchValue": "W-78"},
        {"searchAttribute": "externalDisplayId", "searchValue": "W-78"},
    ):
        assert order in (await tidy.get("/orders", **query)).items


async def test_without_a_date_it_is_dated_now(serve: Serve) -> None:
    api = await serve(orders=0, clock=lambda: 1_790_000_000.0)
    assert (await place(api, line("SB-00000")))["createDate"] == "2026-09-21 16:13:20"


async def test_an_order_that_is_in_stock_reserves_it_and_is_ready(tidy: Api) -> None:
    before = stock_of(tidy, 2)
    order = await place(tidy, line("SB-00002", 2), line("SB-00002", 1))
    after = stock_of(tidy, 2)
    assert order["status"] == "ready_for_picking"
    assert after["reservedStock"] == before["reservedStock"] + 3
    assert after["freeStock"] == before["freeStock"] - 3
    assert after["totalStock"] == before["totalStock"]


async def test_an_order_for_the_last_piece_is_ready(tidy: Api) -> None:
    order = await place(tidy, line("SB-00002", stock_of(tidy, 2)["freeStock"]))
    assert (order["status"], stock_of(tidy, 2)["freeStock"]) == ("ready_for_picking", 0)


async def test_an_order_that_is_short_waits_until_there_is_enough_and_the_oldest_goes_first(tidy: Api) -> None:
    world = tidy.sandbox.world
    index = next(number for number in range(40) if world.products[number]["allowBackorders"])
    product, free = world.products[index], stock_of(tidy, index)["freeStock"]
    older = await place(tidy, line(product["sku"], free + 5), orderId="older")
    newer = await place(tidy, line(product["sku"], 5), orderId="newer")
    assert (older["status"], newer["status"]) == ("backorder", "backorder")
    assert stock_of(tidy, index)["freeStock"] == -10

    async def statuses() -> list[str]:
        await tidy.put(f"/products/{product['uuid']}/stock-mutation", {"mutation": 5})
        return [(await tidy.get(f"/orders/{order['uuid']}")).json["status"] for order in (older, newer)]

    assert await statuses() == ["ready_for_picking", "backorder"]
    assert await statuses() == ["ready_for_picking", "ready_for_picking"]


async def test_an_order_that_is_short_of_what_cannot_be_backordered_stays_open(tidy: Api) -> None:
    product = next(item for item in tidy.sandbox.world.products if item["allowBackorders"] is False)
    order = await place(tidy, line(product["sku"], product["stock"]["freeStock"] + 1))
    assert order["status"] == "open"


@pytest.mark.parametrize(("status", "reserves"), [("on_hold", 1), ("completed", 0), ("cancelled", 0)])
async def test_other_statuses_are_as_asked(tidy: Api, status: str, reserves: int) -> None:
    before = stock_of(tidy, 3)["reservedStock"]
    order = await place(tidy, line("SB-00003"), orderStatus=status)
    assert order["status"] == status
    assert stock_of(tidy, 3)["reservedStock"] == before + reserves


async def test_an_unknown_sku_puts_the_order_on_hold_unless_it_is_to_be_ignored(tidy: Api) -> None:
    lines = (line("nobody-knows"), line("SB-00001"))
    held = await place(tidy, *lines)
    assert (held["status"], held["attentionNeeded"]) == ("on_hold", True)
    assert [item["productUuid"] is None for item in held["products"]] == [True, False]
    ignored = await place(tidy, *lines, ignoreUnknownProductWarnings=True)
    assert (ignored["status"], ignored["attentionNeeded"]) == ("ready_for_picking", False)
    tidy.sandbox.quirks.unknown_sku = "refuse"
    before = len(tidy.sandbox.world.orders)
    refused = await tidy.post("/orders", tidy.order_body(orderItems=list(lines)))
    assert (refused.status, len(tidy.sandbox.world.orders)) == (422, before)


async def test_a_sku_that_two_webshops_share_means_the_product_of_the_orders_webshop(tidy: Api) -> None:
    world = tidy.sandbox.world
    twins = [world.add_product(webshop=shop, sku="twin") for shop in (0, 1)]
    for shop, twin in enumerate(twins):
        order = await place(tidy, line("twin"), webshopUuid=tidy.webshop(shop))
        assert order["products"][0]["productUuid"] == twin["uuid"]


async def test_a_second_order_with_the_same_id_does_what_the_quirk_says(tidy: Api) -> None:
    first = (await tidy.post("/orders", tidy.order_body())).json["orderUuid"]
    second = (await tidy.post("/orders", tidy.order_body())).json["orderUuid"]
    assert first != second
    tidy.sandbox.quirks.duplicate_order = "return_first"
    assert (await tidy.post("/orders", tidy.order_body())).json["orderUuid"] == first
    tidy.sandbox.quirks.duplicate_order = "refuse"
    refused = await tidy.post("/orders", tidy.order_body())
    assert (refused.status, refused.json) == (
        422,
        {"errorMessage": "Order A-1 already exists"},
    )
    other_shop = await tidy.post("/orders", tidy.order_body(webshopUuid=tidy.webshop(1)))
    assert other_shop.status == 200
    assert len(tidy.sandbox.world.orders) == 23


@pytest.mark.parametrize(
    ("shape", "path"),
    [
        ("orderUuid", ["orderUuid"]),
        ("uuid", ["uuid"]),
        ("order.uuid", ["order", "uuid"]),
        ("data.uuid", ["data", "uuid"]),
    ],
)
async def test_the_answer_takes_the_shapes_that_were_seen(tidy: Api, shape: str, path: list[str]) -> None:
    tidy.sandbox.quirks.order_answer = shape  # type: ignore[assignment]
    answer = (await tidy.post("/orders", tidy.order_body())).json
    assert answer["message"] == "Order created"
    for step in path:
        answer = answer[step]
    assert answer == tidy.sandbox.world.orders[-1]["uuid"]


async def test_the_answer_can_be_empty(tidy: Api) -> None:
    tidy.sandbox.quirks.order_answer = "empty"
    reply = await tidy.post("/orders", tidy.order_body())
    assert (reply.status, reply.raw) == (200, b"")
    assert tidy.sandbox.world.orders[-1]["orderId"] == "A-1"
