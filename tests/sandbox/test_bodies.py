"""The three forms of body: read as PHP reads them, and equal in what they bring about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goedgepickt_async.sandbox.requests import clean_input, parse_body
from tests.support.fuzz import examples
from tests.support.tables import each_row

if TYPE_CHECKING:
    from .conftest import Api

FORM = "application/x-www-form-urlencoded"
KEYS = st.text(st.characters(whitelist_categories=["Ll"]), min_size=1, max_size=5)
TREES = st.dictionaries(
    KEYS,
    st.recursive(
        st.text(max_size=8),
        lambda inner: st.lists(inner, min_size=1, max_size=3) | st.dictionaries(KEYS, inner, min_size=1, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)


def brackets(tree: Any, prefix: str = "") -> list[tuple[str, str]]:
    """Write a tree as PHP's forms do."""
    if isinstance(tree, str):
        return [(prefix, tree)]
    steps = enumerate(tree) if isinstance(tree, list) else tree.items()
    return [pair for key, value in steps for pair in brackets(value, f"{prefix}[{key}]" if prefix else str(key))]


@pytest.mark.slow
@settings(max_examples=examples(15))
@given(TREES)
def test_brackets_bring_any_tree_of_texts_back(tree: dict[str, Any]) -> None:
    raw = urlencode(brackets(tree), errors="surrogatepass").encode()
    assert (parse_body(raw, FORM) or {}) == tree


@each_row(
    ("raw", "parsed"),
    [
        (b"a=1&a=2", {"a": "2"}),
        (b"a[]=1&a[]=2", {"a": ["1", "2"]}),
        (b"a[0][b]=1&a[1][b]=2", {"a": [{"b": "1"}, {"b": "2"}]}),
        (b"a[1]=x", {"a": {"1": "x"}}),
        (b"a=1&a[b]=2", {"a": {"b": "2"}}),
        (b"a%5Bb%5D=c+d%C3%A9", {"a": {"b": "c d\u00e9"}}),
        (b"a=", {"a": ""}),
        (b"=1&[x]=2&b", {"b": ""}),
        (b"a[]=1&a[x]=2&a[]=3", {"a": {"0": "1", "x": "2", "1": "3"}}),
    ],
)
def test_forms_are_read_as_php_reads_them(raw: bytes, parsed: dict[str, Any]) -> None:
    assert parse_body(raw, FORM) == parsed


@given(
    st.binary(max_size=60),
    st.sampled_from([FORM, "application/json", "multipart/form-data; boundary=x", "", "text/plain"]),
)
def test_no_bytes_break_the_reading(raw: bytes, kind: str) -> None:
    parse_body(raw, kind)


def test_texts_are_trimmed_and_empty_ones_are_nothing() -> None:
    assert clean_input({"a": [" x ", "", {"b": "  "}], "c": 0, "d": False}) == {
        "a": ["x", None, {"b": None}],
        "c": 0,
        "d": False,
    }


ITEM = {"sku": "SB-00000", "productName": "Eén", "productQuantity": 2, "taxRate": 21}
ORDER = {
    "orderId": "F-1",
    "orderStatus": "open",
    "billingHouseNumber": "12",
    "billingCity": "Prüfstadt & zn.",
    "ignoreUnknownProductWarnings": True,
    "paidTotal": "12.50",
    "pickupLocationData": {"carrier": "1", "houseNumber": "3"},
    "orderItems": [
        ITEM,
        {"sku": "none", "productName": "Twee", "productQuantity": 1, "taxRate": 9.5},
    ],
}


def as_text(value: Any) -> Any:
    """What a form makes of a value."""
    if isinstance(value, dict):
        return {key: as_text(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_text(item) for item in value]
    return str(int(value)) if isinstance(value, bool) else str(value)


def encoded(form: str, body: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a request that sends the body in one of the three forms."""
    if form == "json":
        return {"json": body}
    pairs = brackets(as_text(body))
    if form == "urlencoded":
        return {"data": urlencode(pairs), "headers": {"Content-Type": FORM}}
    writer = aiohttp.FormData(default_to_multipart=True)
    for name, value in pairs:
        writer.add_field(name, value)
    return {"data": writer}


@pytest.mark.parametrize("form", ["urlencoded", "multipart"])
async def test_an_order_becomes_the_same_in_all_forms(api: Api, form: str) -> None:
    made = []
    for kind in ("json", form):
        body = {**ORDER, "webshopUuid": api.webshop(), "createDate": "2026-11-01 10:00:00"}
        reply = await api.call("POST", "/orders", **encoded(kind, body))
        assert reply.status == 200
        made.append({**api.sandbox.world.orders[-1], "uuid": ""})
    assert made[0] == made[1]


async def test_a_multipart_form_of_a_put_is_no_input_as_in_php(api: Api) -> None:
    path = f"/products/{api.sandbox.world.products[0]['uuid']}/stock-mutation"
    for kind, expected in (("multipart", 422), ("urlencoded", 200)):
        assert (await api.call("PUT", path, **encoded(kind, {"mutation": -3}))).status == expected
    assert (await api.call("POST", path, **encoded("multipart", {"mutation": -3, "_method": "PUT"}))).status == 200
    assert [one.body for one in api.sandbox.requests] == [
        None,
        {"mutation": "-3"},
        {"mutation": "-3", "_method": "PUT"},
    ]


@each_row("keys", [(1,), (3, 7), ("a", "b"), (0, 2)])
@each_row("form", ["json", "urlencoded", "multipart"])
async def test_a_php_array_may_have_any_keys(api: Api, form: str, keys: tuple[int | str, ...]) -> None:
    lines = {str(key): {**ITEM, "sku": f"SB-0000{place}"} for place, key in enumerate(keys)}
    body = {**ORDER, "webshopUuid": api.webshop(), "orderItems": lines}
    if form != "json":
        body = {
            **body,
            "orderItems": [],
            **{f"orderItems[{key}][{name}]": value for key, line in lines.items() for name, value in line.items()},
        }
        del body["orderItems"]
    reply = await api.call("POST", "/orders", **encoded(form, body))
    assert reply.status == 200
    assert [line["sku"] for line in api.sandbox.world.orders[-1]["products"]] == [
        line["sku"] for line in lines.values()
    ]
    bad = await api.call(
        "POST", "/orders", json={**ORDER, "webshopUuid": api.webshop(), "orderItems": {"7": {"sku": "x"}}}
    )
    assert "orderItems.7.productName" in bad.json["errors"]


@pytest.mark.parametrize("form", ["json", "urlencoded"])
async def test_stock_is_moved_in_all_forms(api: Api, form: str) -> None:
    product = api.sandbox.world.products[0]
    reply = await api.call("PUT", f"/products/{product['uuid']}/stock-mutation", **encoded(form, {"mutation": -3}))
    assert reply.status == 200
    assert api.sandbox.world.products[0]["stock"]["totalStock"] == product["stock"]["totalStock"] - 3


@pytest.mark.parametrize("form", ["json", "urlencoded", "multipart"])
async def test_a_product_is_made_in_all_forms(api: Api, form: str) -> None:
    body = {"webshopUuid": api.webshop(), "sku": "0012", "name": "é", "price": "1.20", "stockManagement": True}
    reply = await api.call("POST", "/products", **encoded(form, body))
    assert (reply.items[0]["sku"], reply.items[0]["price"], reply.items[0]["name"]) == ("0012", "1.20", "é")


async def test_a_house_number_from_a_form_is_always_text(api: Api) -> None:
    body = api.order_body(billingHouseNumber=12)
    assert (await api.call("POST", "/orders", **encoded("urlencoded", body))).status == 200
    assert (await api.call("POST", "/orders", **encoded("json", body))).status == 422
