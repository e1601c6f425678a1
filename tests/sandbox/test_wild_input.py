"""No input, however wild, makes the sandbox fail: it says yes, or no in its own words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import MultiDict

from goedgepickt_async.sandbox.app import Answer, Quirks, Refusal
from goedgepickt_async.sandbox.handlers import build_router
from goedgepickt_async.sandbox.lists import PageLimits
from goedgepickt_async.sandbox.requests import Incoming, clean_input
from goedgepickt_async.sandbox.world import World, WorldSettings
from tests.support.fuzz import examples

WORLD = World(WorldSettings(orders=40, products=30), lambda: 1_790_000_000.0)
ROUTER = build_router(WORLD, PageLimits(), Quirks())
WILD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | st.sampled_from(["0", "1e5", "٣"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
TEXTS = st.text(max_size=12) | st.sampled_from(["1", "-1", "²", "2026-11-01", "2026-02-30", "99999999999999999999"])
QUERY = st.sampled_from(
    ["page", "perPage", "createdAfter", "cursor", "webshopUuid", "orderstatus", "orderBy", "orderByDirection"]
)


def good_order() -> dict[str, Any]:
    line = {"sku": "SB-00001", "productName": "x", "productQuantity": 1, "taxRate": 21}
    return {"webshopUuid": WORLD.webshops.uuid(0), "orderId": "1", "orderStatus": "open", "orderItems": [line]}


def good_product() -> dict[str, Any]:
    return {"webshopUuid": WORLD.webshops.uuid(0), "name": "x", "sku": "y"}


def good_webhook() -> dict[str, Any]:
    return {"webshopUuid": WORLD.webshops.uuid(0), "webhookEvent": "a.b", "targetUrl": "https://a.test"}


def ask(method: str, path: str, data: dict[str, Any], query: dict[str, str]) -> Answer:
    request = Incoming(
        method=method,
        base="account",
        path=path,
        query=MultiDict(query),
        data=clean_input(data),
        token=None,
        wants_json=True,
        referer="/",
        origin="http://localhost",
        client="ip",
    )
    try:
        return ROUTER.find(request)(request)
    except Refusal as refusal:
        return refusal.answer


@pytest.mark.slow
@settings(max_examples=examples(15))
@given(data=st.data())
@pytest.mark.parametrize(
    ("path", "good"), [("/orders", good_order()), ("/products", good_product()), ("/webhooks", good_webhook())]
)
def test_any_create(path: str, good: dict[str, Any], data: st.DataObject) -> None:
    optional = ["createDate", "finishDate", "shippingHouseNumber", "billingCountry", "paidTotal", "price", "picture"]
    more = [*good, *optional, "orderDisplayId", "pickupLocationData", "ignoreUnknownProductWarnings", "url"]
    body = good | data.draw(st.dictionaries(st.sampled_from(more), WILD, max_size=4))
    before = len(WORLD.orders) + len(WORLD.products) + len(WORLD.webhooks)
    answer = ask("POST", path, body, {})
    after = len(WORLD.orders) + len(WORLD.products) + len(WORLD.webhooks)
    assert answer.status in {200, 422}
    assert json.loads(answer.body)
    assert after - before == (answer.status == 200)


@pytest.mark.slow
@settings(max_examples=examples(15))
@given(line=st.dictionaries(st.sampled_from(["sku", "productQuantity", "taxRate", "unitPriceIncl"]), WILD))
def test_any_line(line: dict[str, Any]) -> None:
    order = good_order()
    order["orderItems"][0] |= line
    assert ask("POST", "/orders", order, {}).status in {200, 422}


@pytest.mark.slow
@settings(max_examples=examples(15))
@given(body=st.dictionaries(st.sampled_from(["mutation", "stockQuantity", "priority", "pickLocationUuid"]), WILD))
@pytest.mark.parametrize(("method", "tail"), [("PUT", "-mutation"), ("PUT", "/{}"), ("POST", "/{}")])
def test_any_change_of_stock(method: str, tail: str, body: dict[str, Any]) -> None:
    path = f"/products/{WORLD.products.uuid(2)}/stock{tail.format(WORLD.pick_locations.uuid(3))}"
    assert ask(method, path, body, {}).status in {200, 404, 422}
    stock = WORLD.products.row(2)["stock"]
    assert stock["freeStock"] == stock["totalStock"] - stock["reservedStock"]


@given(query=st.dictionaries(QUERY, TEXTS, max_size=4), value=TEXTS)
@pytest.mark.parametrize("path", ["/orders", "/products", "/shipments", "/webshops", "/webhooks"])
def test_any_query_of_a_list(path: str, query: dict[str, str], value: str) -> None:
    search = {"searchAttribute": "uuid", "searchValue": value} if "cursor" in query else {}
    answer = ask("GET", path, {}, query | search)
    assert answer.status in {200, 422}
    assert json.loads(answer.body)


@given(segments=st.lists(st.text(min_size=1, max_size=8), max_size=3))
def test_any_path(segments: list[str]) -> None:
    assert ask("GET", "/" + "/".join(segments), {}, {}).status in {200, 404}
    assert ask("GET", "/orders/" + "".join(segments), {}, {}).status in {200, 404}
