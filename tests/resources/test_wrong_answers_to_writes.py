"""A write whose answer says that it failed, or is no answer to it, is never taken for a write that was carried out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goedgepickt_async import DecodeError, Evidence, GoedGepickt, GoedGepicktError, OutcomeUnknownError
from goedgepickt_async.endpoints import ENDPOINTS
from tests.resources.test_no_list import ORDER, PRODUCT, answering, written
from tests.support.fuzz import examples
from tests.support.raw_server import Exchange
from tests.support.tables import each_row

pytestmark = pytest.mark.virtual_time

WRITES: dict[str, Callable[[GoedGepickt], Awaitable[Any]]] = {
    "orders.create": lambda gg: gg.orders.create(ORDER),
    "products.create": lambda gg: gg.products.create(PRODUCT),
    "products.update": lambda gg: gg.products.update("u", {"webshop_uuid": "w", "name": "Mok"}),
    "stock.mutate": lambda gg: gg.stock.mutate("u", -1),
    "stock.set": lambda gg: gg.stock.set("u", "l", 3),
    "stock.link": lambda gg: gg.stock.link("u", "l", quantity=3),
    "webhooks.create": lambda gg: gg.webhooks.create("order.statusChanged", "https://x.test/h", webshop_uuid="w"),
}
IDEMPOTENT = {"products.update", "stock.set"}

scalars = st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
rest = st.dictionaries(st.sampled_from(["message", "data", "id", "meta"]), st.none() | scalars, max_size=3)
failures = st.one_of(
    st.tuples(st.sampled_from(["success", "ok"]), st.sampled_from([False, 0, "0", "false", " False ", "", None, []])),
    st.tuples(st.just("status"), st.sampled_from(["error", "FAILED", "fail", 400, 503, "422", "failure"])),
    st.tuples(st.sampled_from(["code", "statusCode", "status_code"]), st.integers(300, 599)),
    st.tuples(st.sampled_from(["exception", "error", "errorMessage"]), st.text(min_size=1)),
    st.tuples(st.just("errors"), st.lists(scalars, min_size=1) | st.just({"sku": ["Verplicht."]})),
    st.tuples(st.just("items"), scalars | st.none() | st.just({"first": {}})),
)
wrong = st.one_of(
    scalars,
    st.lists(scalars | st.none(), min_size=1, max_size=3),
    st.builds(lambda more, pair: {**more, pair[0]: pair[1]}, rest, failures),
)


def test_every_write_of_the_table_is_tried() -> None:
    assert WRITES.keys() == {name for name, endpoint in ENDPOINTS.items() if endpoint.method != "GET"}


@pytest.mark.slow
@settings(max_examples=examples(15))
@given(name=st.sampled_from(sorted(WRITES)), data=wrong)
async def test_a_write_whose_answer_says_no_or_nothing_raises_and_is_sent_once(name: str, data: Any) -> None:
    def answer(exchange: Exchange) -> Any:
        is_list = exchange.request_line.startswith("GET")
        return {"items": [], "stockLocations": [], "pageInfo": {}} if is_list else data

    async with answering(answer) as (gg, server):
        with pytest.raises(GoedGepicktError) as caught:
            await WRITES[name](gg)
        if name in IDEMPOTENT:
            assert len(written(server)) <= 2  # as any call that may be sent again
            assert caught.value.evidence in {Evidence.APPLIED, Evidence.FINAL}
        else:
            assert len(written(server)) == 1
            assert isinstance(caught.value, OutcomeUnknownError) or caught.value.evidence is Evidence.FINAL


@settings(max_examples=15)
@given(name=st.sampled_from(["products.update", "stock.mutate", "stock.set", "stock.link"]), more=rest)
@pytest.mark.parametrize("good", [{}, {"success": True}, {"success": "Stock updated"}, {"status": "ok", "code": 200}])
async def test_a_write_whose_answer_objects_to_nothing_was_carried_out(
    good: dict[str, Any], name: str, more: dict[str, Any]
) -> None:
    async with answering(lambda _: {**more, **good}) as (gg, server):
        await WRITES[name](gg)
        assert len(server.arrivals) == 1


@each_row("data", [[], {}, None], ids=str)
async def test_an_empty_answer_to_a_write_that_makes_nothing_will_do(data: Any) -> None:
    async with answering(lambda _: data) as (gg, _):
        for name in ("products.update", "stock.mutate", "stock.set", "stock.link"):
            await WRITES[name](gg)


async def test_a_product_that_is_another_one_is_not_the_one_that_was_written() -> None:
    other = {"items": [{"uuid": "p-9", "sku": "B"}]}
    async with answering(lambda exchange: {"items": []} if "GET" in exchange.request_line else other) as (gg, _):
        with pytest.raises(OutcomeUnknownError):
            await WRITES["products.create"](gg)
        with pytest.raises(DecodeError, match="another product"):
            await WRITES["products.update"](gg)


@each_row("spelled", ["w", "W"])
async def test_an_order_of_another_webshop_with_the_same_id_is_not_the_one_that_was_written(spelled: str) -> None:
    shops = [{"uuid": "w", "name": "One"}, {"uuid": "x", "name": "Other"}]
    order = {"uuid": "o-9", "orderId": ORDER.order_id, "webshopName": "Other"}

    def answer(exchange: Exchange) -> Any:
        if "POST" in exchange.request_line:
            return {}
        return {"items": shops if "/webshops" in exchange.request_line else [order], "pageInfo": {}}

    async with answering(answer) as (gg, server):
        with pytest.raises(OutcomeUnknownError):
            await gg.orders.create(attrs.evolve(ORDER, webshop_uuid=spelled))
        assert len(written(server)) == 1
