"""Lists that move, lie and break off, read by the pure core from a server of three lines."""

import itertools
import random
from collections.abc import Awaitable, Callable
from datetime import date
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goedgepickt_async.errors import PagingError
from goedgepickt_async.models import PageInfo
from goedgepickt_async.paging.positions import REACH, Ask, Position, next_ask
from goedgepickt_async.paging.walk import RawPage, Walk

Fetch = Callable[[Ask, date | None], Awaitable[RawPage]]


def page(keys: list[int], asked: Ask, **info: Any) -> RawPage:
    rows = [
        {"uuid": f"u{key}", "createDate": f"2026-{key // 28 % 12 + 1:02}-{key % 28 + 1:02} 10:00:00"} for key in keys
    ]
    return RawPage(rows=rows, info=attrs.evolve(PageInfo(items_per_page=asked.per_page), **info))


async def read(fetch: Fetch, position: Position | None = None, **options: Any) -> list[str]:
    walk = Walk(fetch, position or Position(), **options)
    read: list[str] = []
    while (batch := await walk.next_batch()) is not None:
        read += [batch.page.rows[index]["uuid"] for index in batch.fresh]
    return read


def serving(rows: list[int], **info: Any) -> tuple[Fetch, list[Ask]]:
    asks: list[Ask] = []

    async def fetch(ask: Ask, _: date | None) -> RawPage:
        asks.append(ask)
        return page(rows[ask.start : ask.end], ask, **info)

    return fetch, asks


@pytest.mark.parametrize("number", [0, 1, 99, 100, 101, 194, 200, 1234])
async def test_a_list_at_rest_is_read_whole_and_in_order(number: int) -> None:
    fetch, asks = serving(list(range(number)))
    assert await read(fetch) == [f"u{key}" for key in range(number)]
    assert len(asks) <= 2 + 1.25 * number / 100


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32), number=st.integers(0, 900), leaving=st.floats(0, 12), coming=st.floats(0, 12))
async def test_rows_that_stay_come_exactly_once_while_others_come_and_go(
    seed: int, number: int, leaving: float, coming: float
) -> None:
    draw = random.Random(seed)
    rows = list(range(number))
    gone: set[int] = set()
    newcomers = itertools.count(1_000_000)

    async def fetch(ask: Ask, window: date | None) -> RawPage:
        answer = page(rows[ask.start : ask.end], ask)
        for _ in range(int(draw.random() * leaving)):
            if rows:
                gone.add(rows.pop(int(draw.random() ** 2 * len(rows))))
        for _ in range(int(draw.random() * coming)):
            rows.insert(draw.randrange(len(rows) + 1), next(newcomers))
        return answer

    found = await read(fetch)
    assert len(found) == len(set(found))
    old = [key for key in found if int(key[1:]) < number]
    assert old == sorted(old, key=lambda key: int(key[1:]))
    assert {f"u{key}" for key in range(number) if key not in gone} <= set(found)


async def test_naive_paging_would_have_missed_rows_in_that_test() -> None:
    """The control: page after page of 100, one row leaves at each."""
    rows = list(range(1000))
    found: list[int] = []
    for number in range(12):
        found += rows[number * 100 : number * 100 + 100]
        rows.pop(0)
    assert len(set(found)) < len(set(found) | set(rows))


async def test_a_list_that_shrinks_below_what_was_read_is_stepped_back_into() -> None:
    rows = list(range(500))
    first = True

    async def fetch(ask: Ask, _: date | None) -> RawPage:
        nonlocal first
        answer = page(rows[ask.start : ask.end], ask)
        if first:
            del rows[10:90]
            del rows[200:]
            first = False
        return answer

    assert await read(fetch) == [f"u{key}" for key in [*range(100), *rows[20:]]]


async def test_a_clamped_page_size_is_noticed_and_kept_to() -> None:
    rows = list(range(333))
    asks: list[Ask] = []

    async def fetch(ask: Ask, _: date | None) -> RawPage:
        asks.append(ask)
        assert ask.page is not None
        given = min(ask.per_page, 40)
        start = (ask.page - 1) * given
        return page(rows[start : start + given], ask, items_per_page=given)

    assert await read(fetch) == [f"u{key}" for key in rows]
    assert all(ask.per_page <= 40 for ask in asks[1:])


async def test_a_page_size_that_is_clamped_in_silence_loses_nothing() -> None:
    rows = list(range(333))

    async def fetch(ask: Ask, _: date | None) -> RawPage:
        assert ask.page is not None
        given = min(ask.per_page, 40)
        start = (ask.page - 1) * given
        return page(rows[start : start + given], ask)

    assert await read(fetch) == [f"u{key}" for key in rows]


async def test_a_server_that_knows_one_page_size_only_is_read_page_by_page() -> None:
    rows = list(range(100))

    async def fetch(ask: Ask, _: date | None) -> RawPage:
        assert ask.page is not None
        return page(rows[(ask.page - 1) * 15 : ask.page * 15], ask, items_per_page=15)

    assert await read(fetch) == [f"u{key}" for key in rows]


@pytest.mark.parametrize("lie", [{"last_page": 1}, {"total_items": 3}, {"last_page": 900, "total_items": 90_000}])
async def test_what_the_server_says_of_the_length_does_not_matter(lie: dict[str, int]) -> None:
    fetch, _ = serving(list(range(250)), **lie)
    assert len(await read(fetch)) == 250


async def test_the_last_page_for_ever_is_an_error_not_an_endless_list() -> None:
    rows = list(range(150))

    async def fetch(ask: Ask, _: date | None) -> RawPage:
        last = (len(rows) - 1) // ask.per_page * ask.per_page
        start = min(ask.start, last)
        return page(rows[start : start + ask.per_page], ask)

    with pytest.raises(PagingError, match="same page twice"):
        await read(fetch)


async def test_a_list_without_pages_and_without_page_info_is_read_once() -> None:
    async def fetch(ask: Ask, _: date | None) -> RawPage:
        return RawPage(rows=[{"uuid": "a"}, {"uuid": "b"}], info=PageInfo(), has_info=False)

    assert await read(fetch) == ["a", "b"]


async def test_a_list_that_only_repeats_known_rows_in_new_orders_is_an_error() -> None:
    draw = random.Random(1)

    async def fetch(ask: Ask, _: date | None) -> RawPage:
        keys = list(range(100))
        draw.shuffle(keys)
        return page(keys[: ask.per_page], ask)

    with pytest.raises(PagingError):
        await read(fetch)


def reaching(rows: list[int], *, cursor: bool) -> tuple[Fetch, list[tuple[Ask, date | None]]]:
    """Page numbers reach 10,000; a cursor is the place to go on from."""
    asks: list[tuple[Ask, date | None]] = []

    async def fetch(ask: Ask, window: date | None) -> RawPage:
        asks.append((ask, window))
        if ask.cursor is not None:
            start = int(ask.cursor)
            keys = rows[start : start + ask.per_page]
        else:
            assert ask.end <= REACH
            within = [key for key in rows if window is None or day_of(key) >= window]
            keys, start = within[ask.start : ask.end], ask.start
        end = start + ask.per_page
        rows_read = page(keys, ask, cursor=str(end) if cursor and end < len(rows) else None)
        for row in rows_read.rows:
            row["createDate"] = day_of(int(row["uuid"][1:])).isoformat() + " 12:00:00"
        return rows_read

    return fetch, asks


def day_of(key: int) -> date:
    return date.fromordinal(date(2026, 1, 1).toordinal() + key // 300)


async def test_past_the_reach_of_page_numbers_a_cursor_goes_on() -> None:
    fetch, asks = reaching(list(range(12_345)), cursor=True)
    found = await read(fetch)
    assert found == [f"u{key}" for key in range(12_345)]
    assert asks[-1][0].cursor is not None


async def test_without_a_cursor_a_later_date_goes_on() -> None:
    fetch, asks = reaching(list(range(21_000)), cursor=False)
    assert await read(fetch, by_date=True) == [f"u{key}" for key in range(21_000)]
    assert {window for _, window in asks} > {None}


async def test_without_a_cursor_and_a_date_it_raises_instead_of_stopping() -> None:
    fetch, _ = reaching(list(range(12_345)), cursor=False)
    with pytest.raises(PagingError, match="10000 rows"):
        await read(fetch)


async def test_a_day_with_more_rows_than_page_numbers_reach_raises() -> None:
    async def fetch(ask: Ask, _: date | None) -> RawPage:
        answer = page(list(range(ask.start, ask.end)), ask)
        for row in answer.rows:
            row["createDate"] = "2026-05-05 10:00:00"
        return answer

    with pytest.raises(PagingError, match="since"):
        await read(fetch, by_date=True)


@given(covered=st.integers(1, REACH), largest=st.integers(1, 100))
def test_the_next_page_overlaps_what_was_read_and_stays_within_reach(covered: int, largest: int) -> None:
    ask = next_ask(Position(covered=covered, per_page=largest, last_rows=largest), largest)
    assert ask.start <= max(0, covered - 3)
    assert ask.end <= REACH
    assert ask.per_page <= largest
