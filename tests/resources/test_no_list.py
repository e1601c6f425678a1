"""An answer that is no list is never taken for an empty one, wherever an answer is read; and no write rests on it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goedgepickt_async import (
    APIError,
    DecodeError,
    GoedGepickt,
    GoedGepicktError,
    NewOrder,
    NewOrderLine,
    NewProduct,
    OutcomeUnknownError,
    RetryPolicy,
)
from goedgepickt_async.testing import unlimited_budget
from tests.support.fuzz import examples
from tests.support.raw_server import Exchange, RawServer, raw_server
from tests.support.tables import each_row

pytestmark = pytest.mark.virtual_time

ORDER = NewOrder(
    webshop_uuid="w", order_id="S-1", status="open", lines=[NewOrderLine(sku="A", product_name="x", quantity=1)]
)
PRODUCT = NewProduct(webshop_uuid="w", sku="A", name="Mok")
READS: dict[str, Callable[[GoedGepickt], Awaitable[Any]]] = {
    "webshops.list": lambda gg: gg.webshops.list().collect(),
    "orders.list": lambda gg: gg.orders.list().collect(),
    "orders.list, first": lambda gg: gg.orders.list(status="open").first(),
    "products.list": lambda gg: gg.products.list(on_unreadable="skip").collect(),
    "pick_locations.list": lambda gg: gg.pick_locations.list().collect(),
    "shipments.list": lambda gg: gg.shipments.list().collect(),
    "webhooks.list": lambda gg: gg.webhooks.list().collect(),
    "find_by_sku": lambda gg: gg.products.find_by_sku("A"),
    "find_all_by_sku": lambda gg: gg.products.find_all_by_sku("A"),
    "stock.get": lambda gg: gg.stock.get("u"),
    "orders.get": lambda gg: gg.orders.get("u"),
    "products.get": lambda gg: gg.products.get("u"),
    "ensure": lambda gg: gg.webhooks.ensure("https://x.test/h", ["order.statusChanged"], webshops=["w"]),
    "orders.plan": lambda gg: gg.orders.plan([ORDER]),
    "products.plan": lambda gg: gg.products.plan([{"sku": "A", "name": "x"}], webshop_uuid="w"),
    "stock.plan": lambda gg: gg.stock.plan({"A": 5}),
}


@asynccontextmanager
async def answering(answer: Callable[[Exchange], Any], **options: Any) -> AsyncIterator[tuple[GoedGepickt, RawServer]]:
    """A client of a server that answers with this JSON."""

    async def play(exchange: Exchange) -> None:
        await exchange.answer(json.dumps(answer(exchange)).encode())

    retry = RetryPolicy(base=0, max_attempts=2)
    async with (
        raw_server(play) as server,
        GoedGepickt("k", base_url=server.url, budget=unlimited_budget(), retry=retry, **options) as gg,
    ):
        yield gg, server


def written(server: RawServer) -> list[str]:
    return [seen.request_line for seen in server.arrivals if not seen.request_line.startswith("GET")]


scalars = st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
KEYS = ["message", "status", "success", "code", "data", "results", "Items", "exception", "pageInfo", "0", "orders"]
no_lists = (
    scalars
    | st.lists(values, max_size=3)
    | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), values, max_size=4)
    | st.builds(
        lambda rest, items: {**rest, "items": items}, st.just({}), scalars | st.just({"a": {}}) | st.just({"-1": 1})
    )
).filter(lambda data: not (isinstance(data, dict) and (isinstance(data.get("items"), list) or data.get("items") == {})))


@pytest.mark.parametrize("name", READS)
@settings(max_examples=8)
@given(data=no_lists)
async def test_what_is_no_list_raises_and_nothing_is_written(name: str, data: Any) -> None:
    async with answering(lambda _: data) as (gg, server):
        with pytest.raises((DecodeError, APIError)) as caught:
            await READS[name](gg)
        assert caught.value.attempts <= 2
        assert written(server) == []


@each_row(
    "data",
    [{"message": "Even geduld"}, {}, [], None, {"success": False, "items": []}, {"items": [], "error": "busy"}, 5],
    ids=str,
)
async def test_a_list_that_is_none_is_asked_for_again_as_any_read(data: Any) -> None:
    def answer(exchange: Exchange) -> Any:
        return data if exchange.number == 1 else {"items": [], "pageInfo": {}}

    async with answering(answer) as (gg, server):
        assert await gg.orders.list().collect() == []
        assert len(server.arrivals) == 2


@each_row("data", [{"message": "Even geduld"}, {}, [], {"items": {"a": 1}}, {"items": None}], ids=str)
async def test_a_create_whose_answer_tells_nothing_is_looked_up_in_a_proven_list_only(data: Any) -> None:
    async with answering(lambda _: data) as (gg, server):
        for create in (lambda: gg.orders.create(ORDER), lambda: gg.products.create(PRODUCT)):
            with pytest.raises(OutcomeUnknownError, match="the lookup failed"):
                await create()
        assert len(written(server)) == 2


@settings(max_examples=25)
@given(
    rows=st.lists(st.uuids().map(str), max_size=6, unique=True),
    gaps=st.lists(st.integers(1, 5), min_size=6, max_size=6),
    name=st.sampled_from(["items", "stockLocations"]),
)
async def test_phps_object_with_numeric_keys_is_the_list_of_its_values(
    rows: list[str], gaps: list[int], name: str
) -> None:
    place, data = 0, {}
    for uuid, gap in zip(rows, gaps, strict=False):
        place += gap
        data[str(place)] = {"uuid": uuid, "picklocationUuid": uuid}

    def answer(exchange: Exchange) -> Any:
        return {name: data if exchange.number == 1 else {}}

    async with answering(answer) as (gg, _):
        if name == "items":
            assert [order.uuid for order in await gg.orders.list().collect()] == rows
        else:
            assert [place.pick_location_uuid for place in await gg.stock.get("u")] == rows


async def test_a_product_answer_that_names_several_is_not_taken_for_the_one_that_was_made() -> None:
    two = [{"uuid": "p-1", "sku": "A"}, {"uuid": "p-2", "sku": "B"}]

    def answer(exchange: Exchange) -> Any:
        return {"items": two if exchange.request_line.startswith("POST") else []}

    async with answering(answer) as (gg, _):
        with pytest.raises(OutcomeUnknownError, match="has not found it so far"):
            await gg.products.create(PRODUCT)


def pages_of(rows: list[str], total: Callable[[int], int | None]) -> Callable[[Exchange], Any]:
    """A server that pages; `total` says what it says of the length at each request."""

    def answer(exchange: Exchange) -> Any:
        query = dict(pair.split("=") for pair in exchange.request_line.split()[1].partition("?")[2].split("&"))
        page, size = int(query["page"]), int(query["perPage"])
        found = rows[(page - 1) * size : page * size]
        info = {"itemsPerPage": size, "currentPage": page, "totalItems": total(exchange.number)}
        return {"items": [{"uuid": uuid} for uuid in found], "pageInfo": info}

    return answer


@pytest.mark.slow
@given(
    length=st.integers(1, 350),
    bad=st.sets(st.integers(1, 9), max_size=4),
    kind=st.sampled_from([{"items": [], "pageInfo": {}}, {"items": []}, {"items": {}, "pageInfo": {"totalItems": 0}}]),
)
@settings(max_examples=examples(12))
async def test_empty_pages_that_contradict_the_others_never_make_a_list_short(
    length: int, bad: set[int], kind: dict[str, Any]
) -> None:
    rows = [f"u{number}" for number in range(length)]
    honest = pages_of(rows, lambda _: length)

    def answer(exchange: Exchange) -> Any:
        return kind if exchange.number in bad and exchange.number > 1 else honest(exchange)

    async with answering(answer) as (gg, _):
        try:
            found = [order.uuid for order in await gg.orders.list().collect()]
        except GoedGepicktError as error:
            assert error.resume is not None
        else:
            assert found == rows


@each_row("total", [1, 3, 250])
async def test_a_first_page_that_is_empty_although_it_says_that_there_are_rows_raises(total: int) -> None:
    async with answering(lambda _: {"items": [], "pageInfo": {"totalItems": total}}) as (gg, server):
        with pytest.raises(GoedGepicktError, match=f"reports {total} rows, but returns none"):
            await gg.products.find_by_sku("A")
        assert len(server.arrivals) == 2


@each_row("row", [0, {"uuid": "u"}], ids=str)
@each_row(
    ("count", "info"),
    [
        (1_001, {"totalItems": 5_000}),
        (1_001, {"totalItems": [], "itemsPerPage": {}}),
        (10_001, {}),
        (10_001, {"totalItems": 10_001}),
    ],
)
async def test_a_page_with_far_more_rows_than_asked_is_refused_before_a_row_is_read(
    row: Any, count: int, info: dict[str, Any]
) -> None:
    told: list[Any] = []
    async with answering(lambda _: {"items": [row] * count, "pageInfo": info}) as (gg, server):
        for read in (gg.orders.list(on_unreadable=told.append).first(), gg.products.find_by_sku("A")):
            with pytest.raises(DecodeError, match=f"has {count:,} rows, but at most 100 were requested"):
                await read
        assert len(server.arrivals) == 4  # each is asked for again once, as any read
    assert told == []


@pytest.mark.slow
@settings(max_examples=examples(8))
@given(length=st.integers(1, 250) | st.just(1_200), clamped=st.booleans())
async def test_a_list_that_does_not_page_and_says_so_is_read(length: int, clamped: bool) -> None:
    rows = [{"uuid": f"u{number}"} for number in range(length)]

    def answer(exchange: Exchange) -> Any:
        query = dict(pair.split("=") for pair in exchange.request_line.split()[1].partition("?")[2].split("&"))
        size = int(query["perPage"]) if clamped else max(length, 100)
        last = -(-length // size)
        page = min(int(query["page"]), last)
        info = {"totalItems": length, "itemsPerPage": size, "currentPage": page, "lastPage": last}
        return {"items": rows[(page - 1) * size : page * size], "pageInfo": info}

    async with answering(answer) as (gg, _):
        assert [shop.uuid for shop in await gg.webshops.list().collect()] == [row["uuid"] for row in rows]


LOOK_UPS: dict[str, Callable[[GoedGepickt], Awaitable[Any]]] = {
    "orders.find_by_order_id": lambda gg: gg.orders.find_by_order_id("S-1"),
    "orders.plan": lambda gg: gg.orders.plan([ORDER]),
    "products.plan": lambda gg: gg.products.plan([{"sku": sku, "name": "x"} for sku in "AB"], webshop_uuid="w"),
    "products.plan by id": lambda gg: gg.products.plan(
        [{"sku": "A", "product_id": "1", "name": "x"}], key="product_id", webshop_uuid="w"
    ),
    "stock.plan": lambda gg: gg.stock.plan({"A": 5, "B": 5}, webshop_uuid="w"),
    "ensure": lambda gg: gg.webhooks.ensure("https://x.test/h", ["order.statusChanged"], webshops=["w"]),
}


@each_row("name", LOOK_UPS)
@each_row("absent", [{}, dict.fromkeys(("sku", "productId", "externalDisplayId", "webhookEvent"))], ids=str)
async def test_rows_without_the_field_that_tells_them_apart_prove_nothing(name: str, absent: dict[str, Any]) -> None:
    """A renamed field is no reason to create all products again."""
    rows = [{"uuid": f"u-{n}", "webhookUuid": f"u-{n}", "Sku": "A", "name": "x", **absent} for n in range(3)]

    def answer(exchange: Exchange) -> Any:
        if "/webshops" in exchange.request_line:
            return {"items": [{"uuid": "w", "name": "Shop"}] if "page=1" in exchange.request_line else []}
        return {"items": [] if "page=2" in exchange.request_line else rows, "pageInfo": {"totalItems": 3}}

    async with answering(answer) as (gg, server):
        with pytest.raises(DecodeError, match=r"not known|missing"):
            await LOOK_UPS[name](gg)
        assert written(server) == []


@each_row("other", [{"webhookEvent": "product.stockChanged"}, {"targetUrl": "https://y.test"}], ids=str)
async def test_a_subscription_that_cannot_be_the_wanted_one_hinders_no_new_one(other: dict[str, str]) -> None:
    hooks = [{"webhookUuid": "h", "webshopUuid": None, **other}]
    new = {
        "webhookUuid": "n",
        "webhookEvent": "order.statusChanged",
        "targetUrl": "https://x.test/h",
        "webshopUuid": "w",
    }

    def answer(exchange: Exchange) -> Any:
        if exchange.request_line.startswith("POST"):
            return new
        return {"items": hooks if "page=1" in exchange.request_line else [], "pageInfo": {"totalItems": 1}}

    async with answering(answer) as (gg, server):
        await LOOK_UPS["ensure"](gg)
        assert len(written(server)) == 1
