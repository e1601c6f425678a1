"""The list engine, whose shortcuts (bisection, ranges, kept selections), against plain filtering and sorting."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goedgepickt_async.sandbox.app import Quirks
from goedgepickt_async.sandbox.lists import ListQuery, Lists, PageLimits
from goedgepickt_async.sandbox.world import World, WorldSettings
from goedgepickt_async.sandbox.world.table import day_start
from tests.support.fuzz import examples

TODAY = date(2026, 11, 1)
DAYS = st.integers(-370, 5).map(lambda days: TODAY + timedelta(days=days))
QUERIES = st.builds(
    ListQuery,
    webshop=st.none() | st.integers(-1, 2),
    created_after=st.none() | DAYS,
    search=st.none() | st.tuples(st.just("status"), st.sampled_from(["completed", "backorder", "no such"])),
    status=st.none() | st.frozensets(st.sampled_from(["open", "completed", "cancelled"]), min_size=1),
    leaks=st.booleans(),
    by_date=st.booleans(),
    descending=st.just(value=False),
) | st.builds(ListQuery, by_date=st.just(value=True), descending=st.booleans(), created_after=st.none() | DAYS)
STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "delete", "restore", "status"]), st.integers(0, 60), DAYS), max_size=8
)


def change(world: World, step: tuple[str, int, date], deleted: list[str]) -> None:
    action, number, day = step
    if action == "add":
        world.add_order(webshop=number % 3, createDate=f"{day} 09:{number % 60:02d}:00")
    elif action == "restore" and deleted:
        world.restore_order(deleted.pop())
    elif action == "delete" and len(world.orders):
        deleted.append(world.delete_order(number % len(world.orders)))
    elif action == "status" and len(world.orders):
        world.set_order_status(world.orders[number % len(world.orders)]["uuid"], "completed")


def expected(world: World, query: ListQuery) -> list[int]:
    rows = [index for index in range(world.orders.size) if world.orders.lives(index)]
    if query.webshop is not None:
        rows = [index for index in rows if world.order_webshop(index) == query.webshop]
    if query.created_after is not None:
        rows = [index for index in rows if world.order_created(index) >= day_start(query.created_after)]
    if query.search is not None:
        rows = [index for index in rows if world.order_status(index) == query.search[1]]
    if query.status is not None:
        rows = [
            i
            for i in rows
            if world.order_status(i) in query.status or (query.leaks and world.past_statuses(i) & query.status)
        ]
    if query.by_date:
        rows.sort(key=lambda index: (world.order_created(index), index))
    return rows[::-1] if query.descending else rows


def small_world(orders: int) -> tuple[World, Lists]:
    world = World(WorldSettings(orders=orders, webshops=3, products=5), lambda: 1_790_000_000.0)
    return world, Lists(world, PageLimits(), Quirks())


@pytest.mark.slow
@settings(max_examples=examples(15))
@given(orders=st.integers(0, 40), steps=STEPS, query=QUERIES)
def test_a_selection_is_what_plain_filtering_and_sorting_gives_also_after_changes(
    orders: int, steps: list[tuple[str, int, date]], query: ListQuery
) -> None:
    world, lists = small_world(orders)
    listing = lists.by_path["/orders"]
    deleted: list[str] = []
    for step in steps:
        assert list(listing.select(query)) == expected(world, query)
        change(world, step, deleted)
    assert list(listing.select(query)) == expected(world, query)


def walk(lists: Lists, query: ListQuery, size: int, *, cursors: bool) -> Iterator[dict[str, Any]]:
    number, cursor = 1, ""
    while (page := lists.page(lists.by_path["/orders"], query, number, size, cursor))["items"]:
        yield from page["items"]
        if cursors and "cursor" not in page["pageInfo"]:
            return
        number, cursor = number + 1, page["pageInfo"]["cursor"] if cursors else ""


@pytest.mark.slow
@settings(max_examples=examples(15))
@given(orders=st.integers(0, 40), steps=STEPS, query=QUERIES, size=st.integers(1, 12))
def test_pages_and_cursors_both_give_the_whole_selection_once(
    orders: int, steps: list[tuple[str, int, date]], query: ListQuery, size: int
) -> None:
    world, lists = small_world(orders)
    deleted: list[str] = []
    for step in steps:
        change(world, step, deleted)
    rows = [world.orders.row(index) for index in expected(world, query)]
    assert list(walk(lists, query, size, cursors=False)) == rows
    assert list(walk(lists, query, size, cursors=True)) == rows


@pytest.mark.slow
@settings(max_examples=examples(15))
@given(orders=st.integers(2, 40), size=st.integers(1, 12), steps=STEPS, descending=st.booleans())
def test_rows_that_a_cursor_has_not_reached_come_once_however_the_list_moves(
    orders: int, size: int, steps: list[tuple[str, int, date]], *, descending: bool
) -> None:
    world, lists = small_world(orders)
    query = ListQuery(by_date=True, descending=descending)
    untouched = {order["uuid"] for order in world.orders}
    deleted: list[str] = []
    seen: list[str] = []
    moves = iter(steps)
    for row in walk(lists, query, size, cursors=True):
        seen.append(row["uuid"])
        step = next(moves, None)
        if step is not None and step[0] in {"add", "delete"}:
            change(world, step, deleted)
    assert len(set(seen)) == len(seen)
    assert set(seen) >= untouched - set(deleted)


def test_old_selections_are_forgotten() -> None:
    listing = small_world(10)[1].by_path["/orders"]
    for days in range(40):
        listing.select(ListQuery(created_after=TODAY - timedelta(days=days)))
    assert len(listing.select(ListQuery())) == 10
    assert len(listing._selections) <= 16
