"""The reader without IO, with lists that change, have wrong page info, or stop too early."""

import contextlib
import functools
import itertools
import random
from bisect import bisect_left
from collections.abc import Awaitable, Callable
from datetime import date
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goedgepickt_async.errors import DecodeError, PagingError
from goedgepickt_async.models import PageInfo
from goedgepickt_async.paging import reader
from goedgepickt_async.paging.reader import (
    MAX_OFFSET,
    ListReader,
    PageRequest,
    Position,
    RawPage,
    key_of,
    overlapping,
    plain,
)
from tests.support.fuzz import examples
from tests.support.tables import each_row

DATES = [f"2026-{month:02}-{day:02} 10:00:00" for month in range(1, 13) for day in range(1, 29)]

Fetch = Callable[[PageRequest, date | None], Awaitable[RawPage]]


def page(keys: list[int], asked: PageRequest, **info: Any) -> RawPage:
    rows = [{"uuid": f"u{key}", "createDate": DATES[key % len(DATES)]} for key in keys]
    return RawPage(rows=rows, info=attrs.evolve(PageInfo(items_per_page=asked.per_page), **info))


async def read(fetch: Fetch, position: Position | None = None, **options: Any) -> list[str]:
    rest = ListReader(fetch, position or Position(), **options)
    read: list[str] = []
    while (batch := await rest.next_batch()) is not None:
        read += [batch.page.rows[index]["uuid"] for index in batch.fresh]
    return read


def test_a_deeply_nested_row_without_an_identifier_raises_a_decode_error() -> None:
    value: list[Any] = []
    for _ in range(10_000):
        value = [value]
    assert key_of({"uuid": "u", "extra": value}, ("uuid",))
    with pytest.raises(DecodeError, match="nested too deep"):
        key_of({"extra": value}, ("uuid",))


def serving(rows: list[int], **info: Any) -> tuple[Fetch, list[PageRequest]]:
    asks: list[PageRequest] = []

    async def fetch(ask: PageRequest, _: date | None) -> RawPage:
        asks.append(ask)
        return page(rows[ask.start : ask.end], ask, **info)

    return fetch, asks


@each_row("number", [0, 1, 99, 100, 101, 194, 200, 1234])
async def test_an_unchanged_list_is_read_completely_and_in_order(number: int) -> None:
    fetch, asks = serving(list(range(number)))
    assert await read(fetch) == [f"u{key}" for key in range(number)]
    assert len(asks) <= 2 + 1.25 * number / 100


@pytest.mark.slow
@settings(max_examples=examples(20))
@given(seed=st.integers(0, 2**32), number=st.integers(0, 900), leaving=st.floats(0, 12), coming=st.floats(0, 12))
async def test_remaining_rows_are_read_exactly_once_while_others_are_added_and_removed(
    seed: int, number: int, leaving: float, coming: float
) -> None:
    draw = random.Random(seed)
    rows = list(range(number))
    gone: set[int] = set()
    newcomers = itertools.count(1_000_000)

    async def fetch(ask: PageRequest, window: date | None) -> RawPage:
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


async def test_a_last_page_whose_rows_move_to_the_next_page_does_not_count_as_repeated() -> None:
    rows = list(range(101))
    count = 0

    async def fetch(ask: PageRequest, _: date | None) -> RawPage:
        nonlocal count
        answer, count = page(rows[ask.start : ask.end], ask), count + 1
        if count == 1:
            del rows[:2]
        elif count == 2:
            rows[:0] = [1001, 1002, 1003]
        return answer

    assert sorted(await read(fetch)) == sorted(f"u{key}" for key in [*range(101), 1001, 1002, 1003])


async def test_paging_without_overlap_misses_rows_when_rows_are_removed() -> None:
    """For comparison: pages of 100 rows without overlap, and one row is removed after each page."""
    rows = list(range(1000))
    found: list[int] = []
    for number in range(12):
        found += rows[number * 100 : number * 100 + 100]
        rows.pop(0)
    assert len(set(found)) < len(set(found) | set(rows))


async def test_the_reader_steps_back_when_a_list_becomes_shorter_than_what_it_read() -> None:
    rows = list(range(500))
    first = True

    async def fetch(ask: PageRequest, _: date | None) -> RawPage:
        nonlocal first
        answer = page(rows[ask.start : ask.end], ask)
        if first:
            del rows[10:90]
            del rows[200:]
            first = False
        return answer

    assert await read(fetch) == [f"u{key}" for key in [*range(100), *rows[20:]]]


async def test_the_reader_detects_and_keeps_a_clamped_page_size() -> None:
    rows = list(range(333))
    asks: list[PageRequest] = []

    async def fetch(ask: PageRequest, _: date | None) -> RawPage:
        asks.append(ask)
        assert ask.page is not None
        given = min(ask.per_page, 40)
        start = (ask.page - 1) * given
        return page(rows[start : start + given], ask, items_per_page=given)

    assert await read(fetch) == [f"u{key}" for key in rows]
    assert all(ask.per_page <= 40 for ask in asks[1:])


async def test_no_row_is_lost_when_the_page_size_is_clamped_without_notice() -> None:
    rows = list(range(333))

    async def fetch(ask: PageRequest, _: date | None) -> RawPage:
        assert ask.page is not None
        given = min(ask.per_page, 40)
        start = (ask.page - 1) * given
        return page(rows[start : start + given], ask)

    assert await read(fetch) == [f"u{key}" for key in rows]


async def test_a_list_is_complete_when_the_server_has_only_one_page_size() -> None:
    rows = list(range(100))

    async def fetch(ask: PageRequest, _: date | None) -> RawPage:
        assert ask.page is not None
        return page(rows[(ask.page - 1) * 15 : ask.page * 15], ask, items_per_page=15)

    assert await read(fetch) == [f"u{key}" for key in rows]


@each_row("wrong", [{"last_page": 1}, {"total_items": 3}, {"last_page": 900, "total_items": 90_000}])
async def test_a_wrong_list_length_in_the_page_info_has_no_effect(wrong: dict[str, int]) -> None:
    fetch, _ = serving(list(range(250)), **wrong)
    assert len(await read(fetch)) == 250


async def test_a_server_that_repeats_the_last_page_raises_a_paging_error() -> None:
    rows = list(range(150))

    async def fetch(ask: PageRequest, _: date | None) -> RawPage:
        last = (len(rows) - 1) // ask.per_page * ask.per_page
        start = min(ask.start, last)
        return page(rows[start : start + ask.per_page], ask)

    with pytest.raises(PagingError, match="same page twice"):
        await read(fetch)


async def test_a_list_without_pages_and_without_page_info_is_read_once() -> None:
    async def fetch(ask: PageRequest, _: date | None) -> RawPage:
        return RawPage(rows=[{"uuid": "a"}, {"uuid": "b"}], info=PageInfo(), has_info=False)

    assert await read(fetch) == ["a", "b"]


async def test_a_list_that_only_repeats_rows_in_another_order_raises_a_paging_error() -> None:
    draw = random.Random(1)

    async def fetch(ask: PageRequest, _: date | None) -> RawPage:
        keys = list(range(100))
        draw.shuffle(keys)
        return page(keys[: ask.per_page], ask)

    with pytest.raises(PagingError):
        await read(fetch)


def reaching(rows: list[int], *, cursor: bool) -> tuple[Fetch, list[tuple[PageRequest, date | None]]]:
    """Page numbers reach `MAX_OFFSET` rows; a cursor is the start of the next page."""
    asks: list[tuple[PageRequest, date | None]] = []

    async def fetch(ask: PageRequest, window: date | None) -> RawPage:
        asks.append((ask, window))
        if ask.cursor is not None:
            start = int(ask.cursor)
            keys = rows[start : start + ask.per_page]
        else:
            assert ask.end <= reader.MAX_OFFSET
            within = rows if window is None else rows[bisect_left(rows, window, key=day_of) :]
            keys, start = within[ask.start : ask.end], ask.start
        end = start + ask.per_page
        rows_read = page(keys, ask, cursor=str(end) if cursor and end < len(rows) else None)
        for row, key in zip(rows_read.rows, keys, strict=True):
            row["createDate"] = f"{day_of(key)} 12:00:00"
        return rows_read

    return fetch, asks


@pytest.fixture
def reach_of_1000(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of the rows past which page numbers do not reach; all that depends on it is relative to it."""
    monkeypatch.setattr(reader, "MAX_OFFSET", 1000)


@functools.cache
def day_of(key: int) -> date:
    return date.fromordinal(date(2026, 1, 1).toordinal() + key // 30)


async def test_a_cursor_continues_a_list_past_the_reach_of_page_numbers() -> None:
    fetch, asks = reaching(list(range(12_345)), cursor=True)
    found = await read(fetch)
    assert found == [f"u{key}" for key in range(12_345)]
    assert asks[-1][0].cursor is not None


@pytest.mark.usefixtures("reach_of_1000")
@pytest.mark.parametrize("number", [999, 1000, 1001])
async def test_if_pages_have_cursors_a_page_without_one_at_the_reach_is_the_last(number: int) -> None:
    fetch, _ = reaching(list(range(number)), cursor=True)
    assert await read(fetch) == [f"u{key}" for key in range(number)]


@pytest.mark.usefixtures("reach_of_1000")
async def test_without_a_cursor_a_later_date_continues_the_list() -> None:
    fetch, asks = reaching(list(range(2100)), cursor=False)
    assert await read(fetch, by_date=True) == [f"u{key}" for key in range(2100)]
    assert {window for _, window in asks} > {None}


async def test_a_list_without_cursor_and_date_raises_at_the_reach_of_page_numbers() -> None:
    fetch, _ = reaching(list(range(12_345)), cursor=False)
    with pytest.raises(PagingError, match="10000 rows"):
        await read(fetch)


@pytest.mark.usefixtures("reach_of_1000")
async def test_a_list_with_days_of_more_than_half_the_reach_is_continued_by_date() -> None:
    rows = list(range(1900))

    def day(key: int) -> date:
        return date.fromordinal(date(2026, 1, 1).toordinal() + key // 600)

    async def fetch(ask: PageRequest, window: date | None) -> RawPage:
        within = rows if window is None else rows[bisect_left(rows, window, key=day) :]
        answer = page(within[ask.start : ask.end], ask)
        for row in answer.rows:
            row["createDate"] = day(int(row["uuid"][1:])).isoformat() + f" 10:00:{int(row['uuid'][1:]) % 60:02}"
        return answer

    assert await read(fetch, by_date=True) == [f"u{key}" for key in rows]


@pytest.mark.usefixtures("reach_of_1000")
async def test_a_day_with_more_rows_than_page_numbers_reach_raises() -> None:
    async def fetch(ask: PageRequest, _: date | None) -> RawPage:
        answer = page(list(range(ask.start, ask.end)), ask)
        for row in answer.rows:
            row["createDate"] = "2026-05-05 10:00:00"
        return answer

    with pytest.raises(PagingError, match="since"):
        await read(fetch, by_date=True)


@given(covered=st.integers(1, MAX_OFFSET - 1), largest=st.integers(1, 100))
def test_the_next_page_overlaps_read_rows_has_new_rows_and_stays_within_the_reach(covered: int, largest: int) -> None:
    ask = overlapping(covered, largest, 3)
    assert ask.start <= (max(0, covered - 3) if largest >= 20 else covered)
    assert covered < ask.end <= MAX_OFFSET
    assert ask.per_page <= largest


@given(covered=st.integers(0, MAX_OFFSET), per_page=st.integers(1, 100))
def test_a_plain_page_starts_after_the_rows_that_were_read(covered: int, per_page: int) -> None:
    assert covered <= plain(covered, per_page).start < covered + per_page


async def resumed_everywhere(fetch: Fetch, **options: Any) -> list[str]:
    """Read each page with a new reader: each reader continues where the one before stopped."""
    found: list[str] = []
    position = Position()
    while True:
        batch = await ListReader(fetch, position, **options).next_batch()
        if batch is None:
            return found
        found += [batch.page.rows[index]["uuid"] for index in batch.fresh]
        position = batch.after


@pytest.mark.usefixtures("reach_of_1000")
@pytest.mark.parametrize("cursor", [True, False])
@pytest.mark.parametrize("number", [37, 100, 1234, 2345])
async def test_resuming_after_every_page_yields_each_row_once(number: int, cursor: bool) -> None:
    fetch, _ = reaching(list(range(number)), cursor=cursor)
    assert await resumed_everywhere(fetch, by_date=True) == [f"u{key}" for key in range(number)]


@pytest.mark.usefixtures("reach_of_1000")
@pytest.mark.parametrize("number", [5, 137, 1025])
async def test_a_position_in_the_middle_of_a_page_continues_with_the_next_row(number: int) -> None:
    fetch, _ = reaching(list(range(number)), cursor=True)
    found: list[str] = []
    position = Position()
    while (batch := await ListReader(fetch, position).next_batch()) is not None:
        some = max(1, len(batch.fresh) // 3)
        found += [batch.page.rows[index]["uuid"] for index in batch.fresh[:some]]
        position = batch.position_after(some)
    assert found == [f"u{key}" for key in range(number)]


async def test_resuming_finds_rows_that_were_added_after_the_last_page() -> None:
    rows = list(range(37))
    fetch, _ = serving(rows)
    reader = ListReader(fetch, Position())
    while await reader.next_batch() is not None:
        pass
    rows += range(37, 60)
    assert await read(fetch, reader.position) == [f"u{key}" for key in range(37, 60)]


async def test_resuming_in_another_list_raises_a_paging_error() -> None:
    fetch, _ = serving(list(range(300)))
    reader = ListReader(fetch, Position())
    await reader.next_batch()
    await reader.next_batch()
    other, _ = serving(list(range(1000, 1300)))
    with pytest.raises(PagingError):
        await read(other, reader.position)


async def test_a_row_that_moves_to_the_end_hides_no_other_row() -> None:
    rows = list(range(300))
    moved = False

    async def fetch(ask: PageRequest, _: date | None) -> RawPage:
        nonlocal moved
        answer = page(rows[ask.start : ask.end], ask)
        if not moved:
            rows.insert(150, rows.pop(5))
            moved = True
        return answer

    assert sorted(await read(fetch)) == sorted(f"u{key}" for key in range(300))


async def test_rows_with_equal_dates_in_an_unstable_order_are_all_read() -> None:
    """SQL does not define the order of rows with equal dates, and another page size gives another order."""

    async def fetch(ask: PageRequest, _: date | None) -> RawPage:
        order = sorted(range(1000), key=lambda key: (key // 8, key * (ask.per_page * 7919) % 1009))
        answer = page(order[ask.start : ask.end], ask)
        for row in answer.rows:
            row["createDate"] = (
                f"2026-01-01 10:{int(row['uuid'][1:]) // 8 // 60:02}:{int(row['uuid'][1:]) // 8 % 60:02}"
            )
        return answer

    found = await read(fetch)
    assert len(found) == 1000
    assert len(set(found)) == 1000


@each_row("cursor", ["", "ignored"])
async def test_an_empty_or_ignored_cursor_raises_a_paging_error(cursor: str) -> None:
    rows = list(range(12_345))

    async def fetch(ask: PageRequest, _: date | None) -> RawPage:
        return page(rows[ask.start : ask.start + ask.per_page], ask, cursor=cursor)

    with pytest.raises(PagingError):
        await read(fetch)


@pytest.mark.usefixtures("reach_of_1000")
@pytest.mark.parametrize("hidden", [{950}, {999}, {3, 500, 998}])
async def test_an_incomplete_page_at_the_reach_of_page_numbers_does_not_end_the_list(hidden: set[int]) -> None:
    fetch, _ = reaching(list(range(1234)), cursor=False)

    async def hiding(ask: PageRequest, window: date | None) -> RawPage:
        answer = await fetch(ask, window)
        kept = [row for row in answer.rows if int(row["uuid"][1:]) not in hidden]
        return attrs.evolve(answer, rows=kept)

    found = await read(hiding, by_date=True)
    assert found == [f"u{key}" for key in range(1234) if key not in hidden]


def near_the_reach(asks: list[tuple[PageRequest, date | None]]) -> Position:
    """The position after 99 pages of 100 rows."""
    asks += [(PageRequest(page=1, per_page=100), None)] * 98
    seam = tuple(key_of({"uuid": f"u{key}"}, ("uuid",)) for key in range(9_780, 9_900))
    return Position(covered=9_900, rows=9_900, seam=seam)


@each_row("missing", ["rows", "cursor", "both"])
@each_row("bad", [100, 101, 107, 123])
async def test_a_page_without_rows_or_cursor_by_mistake_ends_no_list_with_a_higher_total(
    missing: str, bad: int
) -> None:
    fetch, asks = reaching(list(range(12_045)), cursor=True)

    async def failing(ask: PageRequest, window: date | None) -> RawPage:
        answer = await fetch(ask, window)
        info = attrs.evolve(answer.info, total_items=12_045)
        if len(asks) == bad:
            info = info if missing == "rows" else attrs.evolve(info, cursor=None)
            answer = answer if missing == "cursor" else attrs.evolve(answer, rows=[])
        return attrs.evolve(answer, info=info)

    assert await read(failing, near_the_reach(asks)) == [f"u{key}" for key in range(9_900, 12_045)]


async def test_a_position_in_the_middle_of_a_page_of_a_cursor_continues_with_the_next_row() -> None:
    fetch, asks = reaching(list(range(12_045)), cursor=True)
    reader = ListReader(fetch, near_the_reach(asks))
    batch = await reader.next_batch()
    while batch is not None and batch.start is not None:
        batch = await reader.next_batch()
    assert batch is not None
    position = batch.position_after(40)
    assert (position.rows, position.pages) == (batch.before.rows + 40, batch.after.pages)
    assert await read(fetch, position) == [f"u{key}" for key in range(position.rows, 12_045)]


@each_row("total", [10_000, 10_001])
async def test_a_list_without_a_cursor_at_the_reach_ends_or_raises_as_its_total_says(total: int) -> None:
    fetch, asks = reaching(list(range(12_045)), cursor=True)

    async def failing(ask: PageRequest, window: date | None) -> RawPage:
        answer = await fetch(ask, window)
        cursor = answer.info.cursor if ask.end < MAX_OFFSET else None
        return attrs.evolve(answer, info=attrs.evolve(answer.info, total_items=total, cursor=cursor))

    with contextlib.nullcontext() if total == MAX_OFFSET else pytest.raises(PagingError, match="sends no cursor"):
        assert await read(failing, near_the_reach(asks)) == [f"u{key}" for key in range(9_900, 10_000)]
    assert len(asks) == 98 + 2 + (total > MAX_OFFSET)


@each_row("size", [1, 2, 3])
@each_row(("bad", "times"), [(2, 1), (3, 1), (4, 2), (7, 1), (8, 2)])
async def test_an_empty_page_by_mistake_does_not_end_a_list_whose_pages_cannot_overlap(
    size: int, bad: int, times: int
) -> None:
    asks = 0

    async def fetch(ask: PageRequest, _: date | None) -> RawPage:
        nonlocal asks
        asks += 1
        given = min(ask.per_page, size)
        start = ((ask.page or 1) - 1) * given
        keys = [] if bad <= asks < bad + times else list(range(20))[start : start + given]
        return page(keys, ask, items_per_page=given, total_items=20 if keys else None)

    assert await read(fetch) == [f"u{key}" for key in range(20)]
    times = 1_000
    asks = 0
    with pytest.raises(PagingError, match=r"reports an empty list|the list ends after"):
        await read(fetch)


async def test_a_list_that_ends_just_before_the_reach_is_read_completely() -> None:
    fetch, _ = serving(list(range(9_950)), total_items=9_950)
    assert len(await read(fetch)) == 9_950


async def test_rows_missing_from_every_page_do_not_cause_many_requests() -> None:
    """For example, a server filters the rows of a page after it has divided the list into pages."""
    asks = 0

    async def fetch(ask: PageRequest, _: date | None) -> RawPage:
        nonlocal asks
        asks += 1
        return page([key for key in range(ask.start, min(ask.end, 1000)) if key % 30], ask)

    assert await read(fetch) == [f"u{key}" for key in range(1000) if key % 30]
    assert asks < 25


@each_row("size", [1, 2, 3, 5, 7, 10, 15])
async def test_a_list_with_small_pages_is_read_completely(size: int) -> None:
    rows = list(range(200))

    async def fetch(ask: PageRequest, _: date | None) -> RawPage:
        assert ask.page is not None
        given = min(ask.per_page, size)
        start = (ask.page - 1) * given
        return page(rows[start : start + given], ask, items_per_page=given)

    assert await read(fetch) == [f"u{key}" for key in rows]


@each_row("has_info", [True, False])
@each_row(("count", "size"), [(100, 50), (50, 50), (20, 15), (15, 15), (9, 1), (200, 15)])
async def test_a_list_with_one_fixed_page_size_is_read_completely_or_raises(
    count: int, size: int, has_info: bool
) -> None:
    rows = list(range(count))

    async def fetch(ask: PageRequest, _: date | None) -> RawPage:
        assert ask.page is not None
        given = page(rows[(ask.page - 1) * size : ask.page * size], ask, items_per_page=size, total_items=count)
        return given if has_info else attrs.evolve(given, info=PageInfo(), has_info=False)

    try:
        assert await read(fetch) == [f"u{key}" for key in rows]
    except PagingError:
        assert not has_info


async def test_rows_of_a_page_that_is_read_again_with_another_size_are_included() -> None:
    rows = list(range(21))

    async def fetch(ask: PageRequest, _: date | None) -> RawPage:
        assert ask.page is not None
        size = min(ask.per_page, 20)
        return page(rows[(ask.page - 1) * size : ask.page * size], ask, items_per_page=15)

    assert await read(fetch) == [f"u{key}" for key in rows]


@each_row("reported", [100, 15])
async def test_a_wrong_page_size_in_the_page_info_loses_no_row(reported: int) -> None:
    rows = list(range(500))
    asks = 0

    async def fetch(ask: PageRequest, _: date | None) -> RawPage:
        nonlocal asks
        asks += 1
        answer = page(rows[ask.start : ask.end], ask, items_per_page=reported)
        if asks in {2, 4}:
            del rows[:5]
        return answer

    found = await read(fetch)
    assert {f"u{key}" for key in rows} <= set(found)
    assert len(found) == len(set(found))
    assert asks < 12


async def test_removed_rows_hide_no_other_rows_when_pages_cannot_overlap() -> None:
    rows = list(range(200))
    asks = 0

    async def fetch(ask: PageRequest, _: date | None) -> RawPage:
        nonlocal asks
        asks += 1
        assert ask.page is not None
        answer = page(rows[(ask.page - 1) * 15 : ask.page * 15], ask, items_per_page=15)
        if asks % 4 == 0:
            del rows[2]
        return answer

    found = await read(fetch)
    assert {f"u{key}" for key in rows} <= set(found)
    assert len(found) == len(set(found))


async def test_no_row_is_lost_when_the_page_size_is_clamped_and_rows_are_removed() -> None:
    rows = list(range(42))
    first = True

    async def fetch(ask: PageRequest, _: date | None) -> RawPage:
        nonlocal first
        assert ask.page is not None
        given = min(ask.per_page, 40)
        start = (ask.page - 1) * given
        answer = page(rows[start : start + given], ask, total_items=len(rows))
        if first:
            del rows[:3]
            first = False
        return answer

    assert await read(fetch) == [f"u{key}" for key in range(42)]
