"""The watermark of `--since-last`: which rows an export has seen already."""

from __future__ import annotations

import tempfile
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goedgepickt_async import Order, Shipment
from goedgepickt_async.cli.checkpoint import (
    Checkpoint,
    Mark,
    State,
    Watermark,
    created_day,
    load_checkpoint,
    row_key,
    save_checkpoint,
)
from goedgepickt_async.cli.formats import cell

START = date(2026, 3, 1)
TODAY = date(2026, 12, 31)


def order(uuid: str, day: int | None) -> Order:
    created = None if day is None else datetime(2026, 3, 1, 11, 0, tzinfo=UTC) + timedelta(days=day)
    return Order(uuid=uuid, created_at=created)


def read(world: list[Order], since: date | None) -> list[Order]:
    """The rows that the API would return."""
    return [row for row in world if since is None or (created_day(row) or START) >= since]


def stored(watermark: Watermark) -> Watermark:
    """The watermark after it is saved to a file and loaded again."""
    state = State(resource="orders", source="here", filters={}, format="jsonl", output="-")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint.json"
        save_checkpoint(Checkpoint(account="a", done=Mark(state, watermark)), path)
        loaded = load_checkpoint(path)
    assert loaded is not None
    assert loaded.done is not None
    return loaded.done.watermark


# Each night adds some orders of the newest day, the day before or a later day.
nights = st.lists(st.lists(st.integers(-1, 4), max_size=6), max_size=8)


@pytest.mark.slow
@given(nights, st.booleans())
def test_every_row_that_appears_at_most_a_day_late_is_new_exactly_once(
    growth: list[list[int]], through_json: bool
) -> None:
    world: list[Order] = []
    brought: list[str] = []
    watermark, newest = Watermark(), 0
    for steps in growth:
        base = newest
        for step in steps:
            day = max(0, base + step)
            newest = max(newest, day)
            world.append(order(f"order {len(world)}", day))
        rows = read(world, watermark.since)
        brought += [row.uuid for row in rows if row not in watermark]
        watermark = watermark.advanced(rows, TODAY)
        if through_json:
            watermark = stored(watermark)
    assert brought == [row.uuid for row in world]


@pytest.mark.slow
@given(st.lists(st.integers(0, 400), min_size=1, max_size=40), st.randoms(use_true_random=False))
def test_the_watermark_has_the_rows_of_the_next_reading_with_any_order_and_pages(
    days: list[int], random: Random
) -> None:
    rows = [order(f"order {number}", day) for number, day in enumerate(days)]
    all_together = Watermark().advanced(rows, TODAY)
    shuffled = random.sample(rows, len(rows))
    row_by_row = Watermark()
    for row in shuffled:
        row_by_row = row_by_row.advanced([row], TODAY)
    assert (row_by_row.since, row_by_row.newest) == (all_together.since, all_together.newest)
    following = read(rows, all_together.since)
    assert all(row in row_by_row and row in all_together for row in following)


def test_the_watermark_keeps_the_rows_of_two_days_only() -> None:
    watermark = Watermark().advanced([order(str(day), day) for day in range(300)], TODAY)
    assert sum(map(len, watermark.seen.values())) == 2


def test_a_row_with_a_future_date_does_not_hide_the_rows_of_tomorrow() -> None:
    today = START + timedelta(days=10)
    watermark = Watermark().advanced([order("now", 10), order("typo", 4000)], today)
    assert watermark.since == START + timedelta(days=9)
    assert order("typo", 4000) in watermark
    assert order("tomorrow", 11) not in watermark


def test_a_row_with_an_old_date_at_the_lists_end_is_not_new_later() -> None:
    """It was imported today, so a filter by the day of the import returns it again."""
    first = Watermark().advanced([order("now", 10), order("imported", 2)], TODAY)
    second = first.advanced([order("imported later", 1)], TODAY)
    assert all(order(uuid, day) in second for uuid, day in {"imported": 2, "imported later": 1}.items())
    assert order("imported", 2) not in second.advanced([order("next week", 17)], TODAY)


@pytest.mark.parametrize(
    "at", [datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=timezone(timedelta(hours=9)))]
)
def test_a_row_from_the_first_or_last_day_of_pythons_range_has_a_day(at: datetime) -> None:
    assert created_day(Order(uuid="u", created_at=at)) == at.date()
    assert cell(at, decimal=",") == f"{at:%Y-%m-%d %H:%M:%S}"


def test_a_clock_that_was_set_back_does_not_move_the_watermark_back() -> None:
    before = Watermark().advanced([order("a", 20)], START + timedelta(days=20))
    after = before.advanced([order("b", 21)], START)
    assert after.since == before.since


def test_the_watermark_keeps_rows_without_a_date() -> None:
    watermark = Watermark().advanced([order("undated", None), order("x", 9)], TODAY)
    assert order("undated", None) in watermark


def test_a_shipment_without_a_uuid_has_its_code_or_its_constant_fields_as_key() -> None:
    assert row_key(Shipment(track_trace_code="3S1")) != row_key(Shipment(track_trace_code="3S2"))
    assert row_key(Shipment(shipping_city="Ede", status="shipped")) == row_key(  # type: ignore[arg-type]
        Shipment(shipping_city="Ede", status="delivered")  # type: ignore[arg-type]
    )
