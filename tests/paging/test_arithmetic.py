"""The arithmetic of paging, without a server: which page is next, what it covers, and which of its rows are new."""

import json
from datetime import date
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from goedgepickt_async.models import PageInfo
from goedgepickt_async.paging.reader import (
    MAX_OFFSET,
    MEMORY,
    SEAM,
    PageRequest,
    RawPage,
    SeenKeys,
    _day,
    _size_given,
    _ties,
    key_of,
    overlapping,
    plain,
    reaching_back,
)
from tests.support.tables import each_row

# -- the next page --------------------------------------------------------------------------------------------------


@each_row(
    ("page", "per_page", "start", "end"),
    [(None, 100, 0, 100), (1, 30, 0, 30), (4, 30, 90, 120), (101, 99, 9900, 9999), (102, 99, 9999, 10_000)],
)
def test_a_page_covers_its_places_as_far_as_page_numbers_reach(
    page: int | None, per_page: int, start: int, end: int
) -> None:
    ask = PageRequest(page=page, per_page=per_page)
    assert (ask.start, ask.end, ask.size) == (start, end, end - start)


@each_row(("covered", "per_page", "page"), [(0, 7, 1), (1, 7, 2), (7, 7, 2), (8, 7, 3), (100, 1, 101)])
def test_a_plain_page_is_the_first_one_that_begins_behind(covered: int, per_page: int, page: int) -> None:
    assert plain(covered, per_page) == PageRequest(page=page, per_page=per_page)


@given(covered=st.integers(0, MAX_OFFSET - 1), largest=st.integers(1, 100), back=st.integers(0, 150))
def test_a_page_that_reaches_back_contains_the_place_and_none_reaches_further(
    covered: int, largest: int, back: int
) -> None:
    start = max(0, covered - back)
    ask = reaching_back(covered, largest, back)
    assert ask.page is not None
    ends = [(end, size) for size in range(1, largest + 1) if (end := (start // size + 1) * size) <= MAX_OFFSET]
    assert (ask.page * ask.per_page, ask.per_page) == max(ends)
    assert ask.start <= start < ask.end


@given(covered=st.integers(1, MAX_OFFSET - 1), largest=st.integers(1, 100), overlap=st.integers(0, 20))
def test_the_next_page_overlaps_as_much_as_a_page_can_that_brings_something_new(
    covered: int, largest: int, overlap: int
) -> None:
    back = next(
        less for less in range(min(overlap, covered), -1, -1) if reaching_back(covered, largest, less).end > covered
    )
    assert overlapping(covered, largest, overlap) == reaching_back(covered, largest, back)


def test_a_page_may_end_where_page_numbers_end() -> None:
    assert reaching_back(9_950, 100, 0) == PageRequest(page=100, per_page=100)


def test_a_page_of_one_row_cannot_overlap() -> None:
    assert overlapping(5, 1, 3) == PageRequest(page=6, per_page=1)


# -- what a page says of itself -------------------------------------------------------------------------------------


@each_row(
    ("asked", "claimed", "rows", "size"),
    [
        (100, None, 40, 100),
        (100, 50, 50, 50),  # a smaller limit, which it says
        (100, 50, 51, 100),  # more rows than it says
        (100, 50, 120, 120),  # more rows than either
        (100, 100, 101, 101),
        (30, 100, 100, 100),  # a size that cannot be chosen
        (30, 100, 31, 100),
        (30, 100, 30, 30),  # it says more than was asked for, and gave no more
        (100, 0, 40, 100),
        (100, -1, 40, 100),
        (100, 1, 1, 1),
        (100, 100, 100, 100),
    ],
)
def test_the_size_of_a_page_is_what_it_says_if_its_rows_do_not_contradict(
    asked: int, claimed: int | None, rows: int, size: int
) -> None:
    page = RawPage(rows=[{}] * rows, info=PageInfo(items_per_page=claimed))
    assert _size_given(PageRequest(page=1, per_page=asked), page) == size


def created(*moments: str | None) -> list[Any]:
    return [{"createDate": moment} for moment in moments]


@each_row(
    ("rows", "number"),
    [
        (created("a"), 0),
        (created("a", "b"), 0),
        (created("b", "b"), 1),
        (created("b", "a", "b", "b"), 1),
        (created("b", "b", None), 0),
        ([1, 2], 0),
        ([*created("b"), 1, *created("b")], 0),
        (created(*"b" * 50), 19),
    ],
)
def test_ties_are_the_rows_before_the_last_one_of_its_instant_up_to_a_limit(rows: list[Any], number: int) -> None:
    assert _ties(rows) == number


@each_row(
    ("row", "day"),
    [
        ({"createDate": "2026-05-06 10:00:00"}, date(2026, 5, 6)),
        ({"createDate": "2026-05-06"}, date(2026, 5, 6)),
        ({"createDate": "yesterday"}, None),
        ({"createDate": None}, None),
        ({"createDate": 20260506}, None),
        ({}, None),
        (5, None),
        (None, None),
    ],
)
def test_the_day_of_a_row_is_the_day_of_its_creation_or_unknown(row: Any, day: date | None) -> None:
    assert _day(row) == day


# -- which rows are new ---------------------------------------------------------------------------------------------


def test_a_key_that_was_read_or_comes_twice_is_not_new() -> None:
    seen = SeenKeys(["a", "b"], whole=True)
    assert seen.unknown(["c", "a", "c", "d", "b", "e"]) == [0, 3, 5]
    assert seen.after_last_known(["c", "a", "c", "d", "b", "e", "f", "e"]) == [5, 6]
    assert seen.after_last_known(["c", "d"]) == [0, 1]
    assert seen.after_last_known(["a", "c"]) == [1]
    assert seen.after_last_known([]) == []
    assert ("a" in seen, "c" in seen, len(seen)) == (True, False, 2)


@each_row("number", [MEMORY - 1, MEMORY, MEMORY + 1, 2 * MEMORY + 5])
@each_row("at_once", [False, True])
def test_the_last_thousand_keys_are_remembered(number: int, at_once: bool) -> None:
    keys = [str(index) for index in range(number)]
    seen = SeenKeys(keys[:10], whole=True)
    for more in [keys[10:]] if at_once else [keys[index : index + 7] for index in range(10, number, 7)]:
        seen.extend(more)
    assert [key in seen for key in keys] == [index >= number - MEMORY for index in range(number)]
    assert len(seen) == min(number, MEMORY)
    assert seen.whole is (number <= MEMORY)
    assert seen.seam == tuple(keys[-SEAM:])


def test_a_reading_that_was_not_whole_does_not_become_whole() -> None:
    seen = SeenKeys([], whole=False)
    seen.extend(["a"])
    assert (seen.whole, seen.seam) == (False, ("a",))


NAMES = ("uuid", "sku")


@each_row(
    ("one", "other", "same"),
    [
        ({"uuid": "1", "sku": "a"}, {"uuid": "1", "sku": "b"}, True),
        ({"uuid": "1"}, {"uuid": "2"}, False),
        ({"uuid": "1"}, {"sku": "1"}, False),
        ({"uuid": "", "sku": "a"}, {"uuid": None, "sku": "a", "b": 1}, True),
        ({"uuid": 5, "sku": "a"}, {"uuid": 6, "sku": "a"}, True),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ({"a": 1}, {"a": 2}, False),
        ({"a": 1, "status": "open"}, {"a": 1, "status": "closed", "finishDate": "x"}, True),
        ({"a": 1, "deliveredDate": "x"}, {"a": 1, "shippedDate": "y"}, True),
        ([1, {"b": 1, "a": 2}], [1, {"a": 2, "b": 1}], True),
        ("a", "b", False),
        ({"uuid": "\ud800"}, {"uuid": "\ud801"}, False),
    ],
)
def test_a_row_is_identified_by_its_first_identifier_or_by_what_does_not_change(
    one: Any, other: Any, same: bool
) -> None:
    assert (key_of(one, NAMES) == key_of(other, NAMES)) is same


@given(row=st.dictionaries(st.text(max_size=3), st.integers(), max_size=3))
def test_the_key_of_a_row_is_short_text(row: dict[str, int]) -> None:
    assert len(bytes.fromhex(key_of(json.loads(json.dumps(row)), NAMES))) == 6
