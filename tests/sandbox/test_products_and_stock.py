"""Products, their stock, and webhook subscriptions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .conftest import Api


def new_product(api: Api, **changes: Any) -> dict[str, Any]:
    return {"webshopUuid": api.webshop(), "name": "Nieuwe mok", "sku": "NEW-1", **changes}


async def locations(api: Api, uuid: str) -> dict[str, int]:
    rows = (await api.get(f"/products/{uuid}/stock")).json["stockLocations"]
    return {row["picklocationUuid"]: row["stockQuantity"] for row in rows}


def product_with_stock(api: Api) -> str:
    return str(
        next(item["uuid"] for item in api.sandbox.world.products if item["stock"] and item["stock"]["totalStock"] > 0)
    )


async def test_one_product_is_the_bare_object_that_the_list_shows(api: Api) -> None:
    for product in (await api.get("/products", perPage=5)).items:
        assert (await api.get(f"/products/{product['uuid']}")).json == product


async def test_a_new_product_is_answered_as_items_and_appears_in_lists(api: Api) -> None:
    sent = new_product(api, sku="0099", productId="55", price="12.34", stockManagement=True, url="https://a.test/x")
    reply = await api.post("/products", sent)
    product = reply.items[0]
    assert reply.status == 200
    assert {name: product[name] for name in ("sku", "name", "productId", "price")} == {
        "sku": "0099",
        "name": "Nieuwe mok",
        "productId": "55",
        "price": "12.34",
    }
    assert product["stock"]["totalStock"] == 0
    found = await api.get("/products", searchAttribute="sku", searchDelimiter="=", searchValue="0099")
    assert found.items == [product]
    assert (await api.get("/products", page=5)).items == [product]
    assert set(product) == set((await api.get("/products")).items[0])


async def test_a_sku_that_the_webshop_has_already_exists(api: Api) -> None:
    assert (await api.post("/products", new_product(api))).status == 200
    again = await api.post("/products", new_product(api))
    assert again.status == 422
    assert "already exists" in again.json["errorMessage"]
    elsewhere = await api.post("/products", new_product(api, webshopUuid=api.webshop(1)))
    assert elsewhere.status == 200


async def test_the_services_own_errors_can_come_under_another_key(api: Api) -> None:
    await api.post("/products", new_product(api))
    api.sandbox.quirks.error_key = "errorMessage"
    assert "already exists" in (await api.post("/products", new_product(api))).json["errorMessage"]


async def test_an_update_changes_what_is_sent_and_leaves_the_rest(api: Api) -> None:
    before = api.sandbox.world.products[2]
    reply = await api.put(f"/products/{before['uuid']}", {"name": "Anders", "price": 9.5})
    assert reply.items == [{**before, "name": "Anders", "price": "9.5"}]
    emptied = await api.put(f"/products/{before['uuid']}", {"picture": ""})
    assert emptied.items[0]["picture"] is None


async def test_an_updated_sku_is_found_under_its_new_name_only(api: Api) -> None:
    product = api.sandbox.world.products[0]
    await api.put(f"/products/{product['uuid']}", {"sku": "RENAMED"})
    old = await api.get("/products", searchAttribute="sku", searchValue=product["sku"])
    new = await api.get("/products", searchAttribute="sku", searchValue="RENAMED")
    assert (old.items, [item["uuid"] for item in new.items]) == ([], [product["uuid"]])
    taken = await api.put(f"/products/{api.sandbox.world.products[2]['uuid']}", {"sku": "RENAMED"})
    assert taken.status == 422


async def test_the_answer_to_a_product_takes_the_shapes_that_were_seen(api: Api) -> None:
    api.sandbox.quirks.product_answer = "bare"
    assert (await api.post("/products", new_product(api))).json["sku"] == "NEW-1"
    api.sandbox.quirks.product_answer = "empty_items"
    assert (await api.post("/products", new_product(api, sku="NEW-2"))).json == {"items": []}


async def test_stock_locations_add_up_to_the_total(api: Api) -> None:
    for product in api.sandbox.world.products[:20]:
        assert (
            sum((await locations(api, product["uuid"])).values())
            == (product["stock"] or {"totalStock": 0})["totalStock"]
        )


async def test_a_stock_location_has_the_four_fields_in_order_of_priority(api: Api) -> None:
    for product in api.sandbox.world.products[:10]:
        rows = (await api.get(f"/products/{product['uuid']}/stock")).json["stockLocations"]
        priorities = [row["stockPriority"] for row in rows]
        assert priorities == sorted(priorities)
        for row in rows:
            assert set(row) == {"picklocationUuid", "picklocationName", "stockQuantity", "stockPriority"}


async def test_a_mutation_counts_every_time(api: Api) -> None:
    uuid = product_with_stock(api)
    before = (await api.get(f"/products/{uuid}")).json["stock"]
    for _ in range(2):
        assert (await api.put(f"/products/{uuid}/stock-mutation", {"mutation": -2})).status == 200
    after = (await api.get(f"/products/{uuid}")).json["stock"]
    assert after == {
        **before,
        "totalStock": before["totalStock"] - 4,
        "freeStock": before["freeStock"] - 4,
    }


async def test_a_mutation_goes_to_the_location_that_it_names_else_to_the_first(api: Api) -> None:
    uuid = product_with_stock(api)
    before = await locations(api, uuid)
    first = next(iter(before))
    strange = next(row["uuid"] for row in api.sandbox.world.pick_locations if row["uuid"] not in before)
    await api.put(f"/products/{uuid}/stock-mutation", {"mutation": 3, "pickLocationUuid": strange})
    await api.put(f"/products/{uuid}/stock-mutation", {"mutation": 4, "mutationReason": "telling"})
    assert await locations(api, uuid) == {**before, strange: 3, first: before[first] + 4}


async def test_setting_a_quantity_twice_sets_it_once(api: Api) -> None:
    uuid = product_with_stock(api)
    place = next(iter(await locations(api, uuid)))
    for _ in range(2):
        reply = await api.put(f"/products/{uuid}/stock/{place}", {"stockQuantity": 41, "reason": "telling"})
        assert reply.status == 200
        assert (await locations(api, uuid))[place] == 41


async def test_a_location_is_linked_once_and_must_be_linked_to_be_set(api: Api) -> None:
    uuid = product_with_stock(api)
    linked = await locations(api, uuid)
    place = next(row["uuid"] for row in api.sandbox.world.pick_locations if row["uuid"] not in linked)
    path = f"/products/{uuid}/stock/{place}"
    assert (await api.put(path, {"stockQuantity": 1})).status == 404
    assert (await api.post(path, {"stockQuantity": 6, "priority": 9})).status == 200
    again = await api.post(path, {"stockQuantity": 6})
    assert (again.status, "already exists" in again.json["errorMessage"]) == (422, True)
    assert await locations(api, uuid) == {**linked, place: 6}


@pytest.mark.parametrize("path", ["", "/stock", "/stock-mutation"])
async def test_stock_of_an_unknown_product_is_404(api: Api, path: str) -> None:
    method = "PUT" if path == "/stock-mutation" else "GET"
    assert (await api.call(method, f"/products/none{path}", json={"mutation": 1})).status == 404


async def test_an_unknown_location_is_404_in_the_path_and_422_in_the_body(api: Api) -> None:
    uuid = product_with_stock(api)
    assert (await api.put(f"/products/{uuid}/stock/none", {"stockQuantity": 1})).status == 404
    mutation = await api.put(f"/products/{uuid}/stock-mutation", {"mutation": 1, "pickLocationUuid": "none"})
    assert mutation.errors == {"pickLocationUuid": ["Pick location uuid bestaat niet."]}


async def test_a_webhook_gets_a_separate_secret_and_is_listed_for_the_whole_account(api: Api) -> None:
    made = []
    for shop in (0, 1):
        body = {
            "webshopUuid": api.webshop(shop),
            "webhookEvent": "order.statusChanged",
            "targetUrl": "https://shop.example.test/hook?a=1",
        }
        made.append((await api.post("/webhooks", body)).json)
    fields = {"webhookUuid", "webhookEvent", "webhookSecret", "targetUrl", "webshopName", "webshopUuid"}
    assert set(made[0]) == fields
    assert made[0]["webhookSecret"] != made[1]["webhookSecret"]
    assert (await api.get("/webhooks")).items == made


async def test_a_second_webhook_of_the_same_kind_is_a_second_webhook(api: Api) -> None:
    body = {"webshopUuid": api.webshop(), "webhookEvent": "product.stockChanged", "targetUrl": "https://a.test/"}
    uuids = {(await api.post("/webhooks", body)).json["webhookUuid"] for _ in range(2)}
    assert len(uuids) == 2
