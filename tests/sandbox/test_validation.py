"""Validation: which input is refused, in which words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from goedgepickt_async.sandbox.validation import spoken_name
from tests.support.tables import each_row

if TYPE_CHECKING:
    from .conftest import Api


async def test_a_house_number_that_is_a_number_is_refused_in_the_words_of_the_service(api: Api) -> None:
    reply = await api.post("/orders", api.order_body(billingHouseNumber=12))
    text = "Billing house number moet een tekst zijn."
    assert reply.status == 422
    assert reply.json == {"message": text, "errors": {"billingHouseNumber": [text]}}


async def test_all_that_is_required_is_named_and_the_message_counts_it(api: Api) -> None:
    reply = await api.post("/orders", {})
    assert reply.json == {
        "message": "Webshop uuid is verplicht. (en 3 andere foutmeldingen)",
        "errors": {
            "webshopUuid": ["Webshop uuid is verplicht."],
            "orderId": ["Order id is verplicht."],
            "orderStatus": ["Order status is verplicht."],
            "orderItems": ["Order items is verplicht."],
        },
    }
    two = await api.post("/products", {"name": "x"})
    assert two.json["message"] == "Webshop uuid is verplicht. (en 1 andere foutmelding)"


@each_row(
    ("field", "value", "text"),
    [
        ("webshopUuid", "none", "Webshop uuid bestaat niet."),
        ("orderId", ["a"], "Order id moet een tekst zijn."),
        ("orderId", 1001, "Order id moet een tekst zijn."),
        ("paidTotal", "1_0", "Paid total moet een nummer zijn."),
        ("orderId", "  ", "Order id is verplicht."),
        ("orderStatus", "ready_for_picking", "Order status is ongeldig."),
        ("createDate", "31-12-2026 25:00", "Create date moet een datum bevatten."),
        ("createDate", "0001-01-01", "Create date moet een datum bevatten."),
        ("finishDate", {"date": 1}, "Finish date moet een datum bevatten."),
        ("shippingHouseNumber", 1.5, "Shipping house number moet een tekst zijn."),
        ("shippingCountry", "nl", "Shipping country is ongeldig."),
        ("billingCountry", "NLD", "Billing country is ongeldig."),
        ("paidTotal", "veel", "Paid total moet een nummer zijn."),
        ("ignoreUnknownProductWarnings", "misschien", "Ignore unknown product warnings moet ja of nee zijn."),
        ("orderItems", [], "Order items is verplicht."),
        ("orderItems", "x", "Order items moet een array zijn."),
        ("pickupLocationData", "x", "Pickup location data moet een array zijn."),
    ],
)
async def test_an_order_with_a_bad_field_is_refused(api: Api, field: str, value: Any, text: str) -> None:
    before = len(api.sandbox.world.orders)
    reply = await api.post("/orders", api.order_body(**{field: value}))
    assert (reply.status, reply.errors) == (422, {field: [text]})
    assert len(api.sandbox.world.orders) == before


def test_the_names_of_fields_are_spoken_in_words() -> None:
    assert spoken_name("orderItems.0.productQuantity") == "Order items.0.product quantity"


@each_row(
    ("field", "value", "text"),
    [
        ("sku", None, "Order items.0.sku is verplicht."),
        ("productQuantity", 0, "Order items.0.product quantity moet minimaal 1 zijn."),
        ("productQuantity", "2.5", "Order items.0.product quantity moet een getal zijn."),
        ("productQuantity", True, "Order items.0.product quantity moet een getal zijn."),
        ("taxRate", "hoog", "Order items.0.tax rate moet een nummer zijn."),
        ("taxRate", "NaN", "Order items.0.tax rate moet een nummer zijn."),
    ],
)
async def test_a_bad_line_is_named_by_its_number(api: Api, field: str, value: Any, text: str) -> None:
    body = api.order_body()
    body["orderItems"][0][field] = value
    assert (await api.post("/orders", body)).errors == {f"orderItems.0.{field}": [text]}


async def test_nested_objects_are_checked(api: Api) -> None:
    reply = await api.post("/orders", api.order_body(pickupLocationData={"houseNumber": 3, "country": "XX"}))
    assert reply.errors == {
        "pickupLocationData.houseNumber": ["Pickup location data.house number moet een tekst zijn."],
        "pickupLocationData.country": ["Pickup location data.country is ongeldig."],
    }


@each_row(
    ("body", "text"),
    [
        ({}, "Mutation is verplicht."),
        ({"mutation": "abc"}, "Mutation moet een getal zijn."),
        ({"mutation": 1.5}, "Mutation moet een getal zijn."),
        *(({"mutation": value}, "Mutation moet een getal zijn.") for value in ("1_0", "05", "1e3", "٣", 2**63, 1e20)),
    ],
)
async def test_a_bad_mutation_is_refused(api: Api, body: dict[str, Any], text: str) -> None:
    path = f"/products/{api.sandbox.world.products[0]['uuid']}/stock-mutation"
    assert (await api.put(path, body)).errors == {"mutation": [text]}


async def test_a_negative_quantity_is_refused(api: Api) -> None:
    world = api.sandbox.world
    path = f"/products/{world.products[0]['uuid']}/stock/{world.pick_locations[0]['uuid']}"
    assert (await api.put(path, {"stockQuantity": -1})).errors == {
        "stockQuantity": ["Stock quantity moet minimaal 0 zijn."]
    }


async def test_a_change_without_a_readable_body_is_refused(api: Api) -> None:
    path = f"/products/{api.sandbox.world.products[0]['uuid']}"
    for raw in (b"[1]", b"{broken", b"text"):
        reply = await api.call("PUT", path, data=raw, headers={"Content-Type": "application/json"})
        assert (reply.status, reply.errors) == (422, {"body": ["Body moet een array zijn."]})
    assert (await api.put(path, {})).status == 200


@pytest.mark.parametrize(("field", "value"), [("price", "gratis"), ("picture", "no url"), ("stockManagement", 2)])
async def test_a_bad_product_is_refused(api: Api, field: str, value: Any) -> None:
    body = {"webshopUuid": api.webshop(), "name": "x", "sku": "y", field: value}
    assert (await api.post("/products", body)).errors.keys() == {field}


@pytest.mark.parametrize(("field", "value"), [("webhookEvent", "not an event"), ("targetUrl", "http//x")])
async def test_a_bad_webhook_is_refused(api: Api, field: str, value: Any) -> None:
    good = {"webshopUuid": api.webshop(), "webhookEvent": "order.statusChanged", "targetUrl": "https://a.test"}
    assert (await api.post("/webhooks", {**good, field: value})).errors.keys() == {field}


@each_row("raw", [b"{broken", b"[]", b'"text"', b"null", b"", b"\xff\xfe", b"[" * 100_000])
async def test_a_body_that_is_no_object_counts_as_no_input(api: Api, raw: bytes) -> None:
    reply = await api.call("POST", "/orders", data=raw, headers={"Content-Type": "application/json"})
    assert (reply.status, len(reply.errors)) == (422, 4)
