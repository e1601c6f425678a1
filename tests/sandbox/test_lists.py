"""Lists: pages, filters, search, order, the reach of page numbers, cursors, moving rows, and quirks."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import pytest

from goedgepickt_async.sandbox.world.table import AMSTERDAM, day_start, parse_moment
from tests.support.tables import each_row

if TYPE_CHECKING:
    from .conftest import Api, Reply, Serve


def uuids(rows: list[dict[str, Any]]) -> list[str]:
    return [row["uuid"] for row in rows]


async def read_pages(api: Api, path: str, **query: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    number = 1
    while items := (await api.get(path, page=number, **query)).items:
        rows += items
        number += 1
    return rows


async def read_cursors(api: Api, path: str, cursor: str, **query: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    following: str | None = cursor
    while following:
        reply = await api.get(path, cursor=following, **query)
        rows += reply.items
        following = reply.info.get("cursor")
    return rows


@each_row("table", ["products", "orders", "shipments", "pick_locations", "webshops"])
async def test_pages_together_are_the_whole_list_oldest_first(api: Api, table: str) -> None:
    path = f"/{table.replace('_', '')}"
    assert await read_pages(api, path, perPage=7) == list(getattr(api.sandbox.world, table))


async def test_page_info_says_what_was_given(api: Api) -> None:
    reply = await api.get("/orders", page=2)
    assert {name: reply.info[name] for name in ("totalItems", "itemsPerPage", "currentPage", "lastPage")} == {
        "totalItems": 120,
        "itemsPerPage": 15,
        "currentPage": 2,
        "lastPage": 8,
    }


@pytest.mark.parametrize(("asked", "given"), [("100", 100), ("101", 100), ("1", 1)])
async def test_page_sizes_are_clamped(api: Api, asked: str, given: int) -> None:
    reply = await api.get("/orders", perPage=asked)
    assert reply.info["itemsPerPage"] == len(reply.items) == given


@each_row("name", ["page", "perPage"])
@each_row(("value", "rule"), [("x", "een getal zijn"), ("", "een getal zijn"), ("0", "minimaal 1 zijn")])
async def test_a_page_or_size_that_is_no_positive_number_is_refused(api: Api, name: str, value: str, rule: str) -> None:
    reply = await api.get("/orders", **{name: value})
    assert (reply.status, list(reply.errors)) == (422, [name])
    assert reply.errors[name][0].endswith(f"moet {rule}.")


async def test_a_page_past_the_end_is_empty(api: Api) -> None:
    reply = await api.get("/orders", page=999)
    assert (reply.status, reply.items) == (200, [])
    assert "cursor" not in reply.info


async def test_an_empty_list_has_one_page(api: Api) -> None:
    reply = await api.get("/webhooks")
    assert (reply.items, reply.info["totalItems"], reply.info["lastPage"]) == ([], 0, 1)


async def test_page_numbers_reach_so_far_and_the_cursor_continues(serve: Serve) -> None:
    api = await serve(orders=250, page_reach=100, limit=None)
    by_number = await read_pages(api, "/orders", perPage=30)
    assert len(by_number) == 100
    last = await api.get("/orders", page=4, perPage=30)
    assert len(last.items) == 10
    rest = await read_cursors(api, "/orders", last.info["cursor"], perPage=30)
    assert uuids(by_number + rest) == uuids(list(api.sandbox.world.orders))


async def test_the_cap_is_10000_by_default(serve: Serve) -> None:
    api = await serve(orders=10_050, limit=None)
    assert len((await api.get("/orders", page=100, perPage=100)).items) == 100
    assert (await api.get("/orders", page=101, perPage=100)).items == []


async def test_a_sandbox_without_cursors_gives_none(serve: Serve) -> None:
    api = await serve(orders=50, cursor=False, limit=None)
    assert "cursor" not in (await api.get("/orders")).info


@pytest.mark.parametrize("order", [{}, {"orderBy": "createDate", "orderByDirection": "desc"}])
async def test_a_cursor_survives_deletes_behind_and_ahead_of_it(api: Api, order: dict[str, str]) -> None:
    first = await api.get("/orders", perPage=20, **order)
    whole = uuids(await read_pages(api, "/orders", **order))
    api.sandbox.world.delete_order(whole[3])
    api.sandbox.world.delete_order(whole[19])
    api.sandbox.world.delete_order(whole[20])
    rest = await read_cursors(api, "/orders", first.info["cursor"], perPage=20, **order)
    assert uuids(rest) == whole[21:]


async def test_a_strange_cursor_is_refused(api: Api) -> None:
    for cursor in ("nonsense", "e30", "WzFd"):
        assert (await api.get("/orders", cursor=cursor)).errors["cursor"]


async def test_deleting_a_row_between_pages_hides_one_and_restoring_repeats_one(api: Api) -> None:
    world = api.sandbox.world
    whole = uuids(list(world.orders))
    await api.get("/orders", perPage=10)
    gone = world.delete_order(2)
    assert uuids((await api.get("/orders", perPage=10, page=2)).items) == whole[11:21]
    world.restore_order(gone)
    assert uuids((await api.get("/orders", perPage=10, page=2)).items) == whole[10:20]


async def test_created_after_takes_the_whole_day(api: Api) -> None:
    world = api.sandbox.world
    dates = sorted({_day(order["createDate"]) for order in world.orders})
    day = dates[len(dates) // 2]
    found = await read_pages(api, "/orders", createdAfter=day, perPage=50)
    expected = [
        order for order in world.orders if parse_moment(order["createDate"]) >= day_start(date.fromisoformat(day))
    ]
    assert uuids(found) == uuids(expected)
    assert 0 < len(found) < 120


async def test_created_after_knows_new_orders_by_their_own_date(api: Api) -> None:
    old = api.sandbox.world.add_order(createDate="2020-01-01 10:00:00")
    new = api.sandbox.world.add_order(createDate="2026-12-01 00:00:00")
    found = uuids(await read_pages(api, "/orders", createdAfter="2026-12-01"))
    assert found == [new["uuid"]]
    everything = uuids(await read_pages(api, "/orders", createdAfter="2020-01-02", perPage=100))
    assert old["uuid"] not in everything
    assert new["uuid"] in everything


async def test_created_after_filters_shipments(api: Api) -> None:
    middle = api.sandbox.world.shipments[len(api.sandbox.world.shipments) // 2]
    found = await read_pages(api, "/shipments", createdAfter=_day(middle["createDate"]))
    assert middle in found
    assert len(found) < len(api.sandbox.world.shipments)


async def test_a_created_after_that_is_no_date_is_refused(api: Api) -> None:
    reply = await api.get("/orders", createdAfter="gisteren")
    assert (reply.status, reply.errors) == (422, {"createdAfter": ["Created after moet een datum bevatten."]})


async def search(api: Api, path: str, attribute: str, value: str, delimiter: str = "=") -> Reply:
    return await api.get(path, searchAttribute=attribute, searchDelimiter=delimiter, searchValue=value, perPage=100)


@pytest.mark.parametrize("sku", ["0003", "SB-00011", "", "KØB-00009/é"])
async def test_a_sku_search_finds_all_that_have_it_and_nothing_else(api: Api, sku: str) -> None:
    found = (await search(api, "/products", "sku", sku)).items
    assert found == [product for product in api.sandbox.world.products if product["sku"] == sku]
    assert found or sku == "SB-00011"


async def test_a_search_without_a_hit_is_an_empty_list(api: Api) -> None:
    reply = await search(api, "/products", "sku", "no such thing")
    assert (reply.status, reply.items) == (200, [])


@each_row(
    ("path", "attribute"),
    [
        ("/products", "productId"),
        ("/products", "uuid"),
        ("/orders", "status"),
        ("/orders", "uuid"),
        ("/orders", "externalDisplayId"),
        ("/orders", "orderId"),
        ("/shipments", "trackTraceCode"),
        ("/picklocations", "name"),
        ("/webshops", "name"),
    ],
)
async def test_the_search_of_three_agrees_with_what_rows_show(api: Api, path: str, attribute: str) -> None:
    rows = await read_pages(api, path, perPage=100)
    wanted = rows[1][attribute]
    found = (await search(api, path, attribute, wanted)).items
    assert found == [row for row in rows if row.get(attribute) == wanted]


async def test_products_are_found_by_their_supplier(api: Api) -> None:
    supplier = next(product["supplier"] for product in api.sandbox.world.products if product["supplier"])
    found = (await search(api, "/products", "supplierUuid", supplier["uuid"])).items
    assert found
    assert {product["supplier"]["uuid"] for product in found} == {supplier["uuid"]}


async def test_unknown_attributes_and_delimiters_are_refused(api: Api) -> None:
    assert (await search(api, "/orders", "colour", "x")).errors == {
        "searchAttribute": ["Search attribute is ongeldig."]
    }
    assert (await search(api, "/orders", "status", "x", delimiter="~")).errors.keys() == {"searchDelimiter"}
    assert (await api.get("/orders", orderBy="colour", orderByDirection="up")).errors.keys() == {
        "orderBy",
        "orderByDirection",
    }


async def test_a_status_search_follows_changes(api: Api) -> None:
    uuid = api.sandbox.world.orders[5]["uuid"]
    assert (await search(api, "/orders", "status", "brand_new")).items == []
    api.sandbox.world.set_order_status(uuid, "brand_new")
    assert uuids((await search(api, "/orders", "status", "brand_new")).items) == [uuid]


async def test_order_by_create_date_puts_new_rows_in_their_place(api: Api) -> None:
    early = api.sandbox.world.add_order(createDate="2020-01-01 10:00:00")
    assert (await api.get("/orders")).items[0] != early
    ascending = await read_pages(api, "/orders", orderBy="createDate", orderByDirection="asc")
    descending = await read_pages(api, "/orders", orderBy="createDate", orderByDirection="DESC")
    assert ascending[0] == early
    assert uuids(descending) == uuids(ascending)[::-1]


async def test_lists_are_filtered_by_webshop(api: Api) -> None:
    for path in ("/orders", "/products", "/shipments"):
        parts = [await read_pages(api, path, webshopUuid=api.webshop(shop), perPage=100) for shop in (0, 1)]
        assert all(parts)
        assert sorted(uuids(parts[0] + parts[1])) == sorted(uuids(await read_pages(api, path, perPage=100)))
    names = {order["webshopName"] for order in (await api.get("/orders", webshopUuid=api.webshop())).items}
    assert names == {api.sandbox.world.webshops[0]["name"]}
    assert (await api.get("/orders", webshopUuid="unknown")).items == []


async def test_the_orderstatus_filter_leaks_unless_told_not_to(api: Api) -> None:
    world = api.sandbox.world
    uuid = next(row["uuid"] for row in world.orders if row["status"] == "ready_for_picking")
    world.hold(uuid)
    leaky = await read_pages(api, "/orders", orderstatus="ready_for_picking", perPage=100)
    assert {order["status"] for order in leaky} == {"ready_for_picking", "completed", "on_hold"}
    assert uuid in uuids(leaky)
    api.sandbox.quirks.orderstatus_leaks = False
    honest = await read_pages(api, "/orders", orderstatus="ready_for_picking", perPage=100)
    assert {order["status"] for order in honest} == {"ready_for_picking"}


async def test_a_strict_sandbox_refuses_searches_without_evidence(api: Api) -> None:
    seen = {("/orders", "status"), ("/products", "sku"), ("/products", "supplierUuid")}
    asked = [("/orders", name) for name in ("status", "uuid", "orderId", "orderNumber", "externalDisplayId")]
    asked += [("/products", name) for name in ("sku", "supplierUuid", "uuid", "name", "ean", "productId")]
    asked += [("/shipments", "status"), ("/webshops", "name"), ("/picklocations", "name")]
    for strict in (False, True):
        api.sandbox.quirks.strict = strict
        for path, name in asked:
            reply = await api.get(path, searchAttribute=name, searchDelimiter="=", searchValue="x")
            assert reply.status == (422 if strict and (path, name) not in seen else 200), (path, name)


@pytest.mark.parametrize("style", ["space", "T", "Z", "mixed"])
async def test_a_list_writes_its_dates_in_one_way_unless_the_quirk_mixes_them(api: Api, style: Any) -> None:
    world = api.sandbox.world
    world.ship(next(row["uuid"] for row in world.orders if row["status"] == "ready_for_picking"))
    instants = [parse_moment(row["createDate"]) for row in await read_pages(api, "/orders", perPage=100)]
    api.sandbox.quirks.date_style = style
    marks = {"space": {" "}, "T": {"T"}, "Z": {"TZ"}, "mixed": {" ", "T", "TZ"}}[style]
    for path, names in (
        ("/orders", ("createDate", "finishDate", "shippedDate")),
        ("/shipments", ("createDate", "deliveredDate")),
    ):
        rows = await read_pages(api, path, perPage=100)
        texts = [row[name] for row in rows for name in names if row[name]]
        texts += [parcel["createDate"] for row in rows for parcel in row.get("shipments", ())]
        assert {text[10] + ("Z" if text.endswith("Z") else "") for text in texts} == marks
        if path == "/orders":
            assert [parse_moment(row["createDate"]) for row in rows] == instants


async def test_page_info_can_lie(api: Api) -> None:
    quirks = api.sandbox.quirks
    quirks.total_items, quirks.last_page = 3, 1
    assert (await api.get("/orders")).info | {"cursor": ""} == {
        "totalItems": 3,
        "itemsPerPage": 15,
        "currentPage": 1,
        "lastPage": 1,
        "cursor": "",
    }
    quirks.total_items = quirks.last_page = None
    quirks.last_page_for = 50
    assert (await api.get("/orders", perPage=10)).info["lastPage"] == 3
    quirks.drop_page_info = True
    assert "pageInfo" not in (await api.get("/orders")).json


async def test_page_info_can_be_frozen(api: Api) -> None:
    api.sandbox.quirks.freeze_page_info = True
    await api.get("/orders")
    api.sandbox.world.add_order()
    assert (await api.get("/orders")).info["totalItems"] == 120


async def test_page_sizes_can_be_ignored_and_the_clamp_be_hidden(api: Api) -> None:
    api.sandbox.quirks.ignore_per_page = True
    api.sandbox.quirks.hide_clamp = True
    reply = await api.get("/orders", perPage=80)
    assert (len(reply.items), reply.info["itemsPerPage"]) == (15, 80)


async def test_the_last_page_can_repeat_without_end(api: Api) -> None:
    api.sandbox.quirks.repeat_last_page = True
    last = (await api.get("/orders", page=2, perPage=70)).items
    assert len(last) == 50
    assert (await api.get("/orders", page=9, perPage=70)).items == last


async def test_a_cursor_can_repeat_without_end(api: Api) -> None:
    cursor = (await api.get("/orders")).info["cursor"]
    api.sandbox.quirks.repeat_cursor = True
    assert (await api.get("/orders", cursor=cursor)).info["cursor"] == cursor


async def test_items_can_be_missing_on_an_empty_page(api: Api) -> None:
    api.sandbox.quirks.drop_empty_items = True
    assert "items" not in (await api.get("/orders", page=99)).json
    assert (await api.get("/orders", page=1)).items


async def test_unknown_query_parameters_are_ignored(api: Api) -> None:
    plain = await api.get("/orders")
    assert (await api.get("/orders", **{"sort[0][field]": "createdAt", "status": "x", "limit": 3})).raw == plain.raw


def _day(moment: str) -> str:
    return datetime.fromtimestamp(parse_moment(moment), AMSTERDAM).date().isoformat()
