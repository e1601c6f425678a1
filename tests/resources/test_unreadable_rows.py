"""An unreadable row raises an error, or is skipped if the caller chose that. All other rows are returned."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goedgepickt_async import ConfigurationError, DecodeError, GoedGepickt, Hooks
from goedgepickt_async.hooks import PageRead
from goedgepickt_async.paging import UnreadableRow
from goedgepickt_async.testing import unlimited_budget
from tests.support.fuzz import examples
from tests.support.raw_server import Exchange, raw_server
from tests.support.tables import each_row

pytestmark = pytest.mark.virtual_time

MARK = "van den Geheimenberg"


@asynccontextmanager
async def listing(length: int, bad: set[int], **options: Any) -> AsyncIterator[GoedGepickt]:
    """A client of a list in which some rows cannot be read."""
    rows: list[Any] = [{"uuid": f"u{number}"} for number in range(length)]
    for number in bad:
        rows[number] |= {"totalPaid": MARK, "products": [{"productQuantity": MARK}]}

    async def play(exchange: Exchange) -> None:
        query = dict(pair.split("=") for pair in exchange.request_line.split()[1].partition("?")[2].split("&"))
        page, size = int(query["page"]), int(query["perPage"])
        await exchange.answer(json.dumps({"items": rows[(page - 1) * size : page * size], "pageInfo": {}}).encode())

    async with (
        raw_server(play) as server,
        GoedGepickt("k", base_url=server.url, budget=unlimited_budget(), **options) as gg,
    ):
        yield gg


@pytest.mark.slow
@given(length=st.integers(0, 350), data=st.data())
@settings(max_examples=examples(15))
async def test_each_skipped_row_is_reported_once_and_all_other_rows_are_returned(
    length: int, data: st.DataObject
) -> None:
    bad = data.draw(st.sets(st.integers(0, length - 1), max_size=20)) if length else set()
    reported: list[UnreadableRow] = []
    async with listing(length, bad) as gg:
        pages = [page async for page in gg.orders.list(on_unreadable=reported.append).pages()]
        items = [order.uuid async for order in gg.orders.list(on_unreadable="skip")]
    assert items == [order.uuid for page in pages for order in page.items]
    assert items == [f"u{number}" for number in range(length) if number not in bad]
    skipped = [row for page in pages for row in page.unreadable]
    assert skipped == reported
    assert [row.id for row in skipped] == [f"u{number}" for number in sorted(bad)]
    for row in skipped:
        assert row.row["totalPaid"] == MARK
        assert row.problems == (
            f"{row.place}.totalPaid: expected a decimal number, got other text",
            f"{row.place}.products[0].productQuantity: expected an integer, got text",
        ) or set(row.problems) == {
            f"{row.place}.totalPaid: expected a decimal number, got other text",
            f"{row.place}.products[0].productQuantity: expected an integer, got text",
        }
        assert MARK not in repr(row)


@pytest.mark.slow
@given(limit=st.integers(0, 120), bad=st.sets(st.integers(0, 149), max_size=15))
@settings(max_examples=examples(12))
async def test_a_limit_counts_readable_rows_and_its_resume_token_continues_after_them(
    limit: int, bad: set[int]
) -> None:
    async with listing(150, bad) as gg:
        orders = gg.orders.list(on_unreadable="skip")
        pages = [page async for page in orders.limit(limit).pages()]
        token = pages[-1].resume if pages else None
        rest = [order.uuid async for page in orders.pages(resume=token) for order in page.items]
    found = [order.uuid for page in pages for order in page.items]
    good = [f"u{number}" for number in range(150) if number not in bad]
    assert found == good[:limit]
    assert found + rest == good


async def test_an_unreadable_row_raises_by_default_and_both_resume_tokens_continue_the_list() -> None:
    async with listing(300, {150}) as gg:
        read: list[str] = []

        async def read_all() -> None:
            async for page in gg.orders.list().pages():
                read.extend(order.uuid for order in page.items)

        with pytest.raises(DecodeError) as caught:
            await read_all()
        error = caught.value
        assert error.resume is not None
        assert error.resume_after is not None
        again = [
            row.uuid
            async for page in gg.orders.list(on_unreadable="skip").pages(resume=error.resume)
            for row in page.items
        ]
        behind = [row.uuid async for page in gg.orders.list().pages(resume=error.resume_after) for row in page.items]
    assert read + again == [f"u{number}" for number in range(300) if number != 150]
    assert behind == [f"u{number}" for number in range(194, 300)]
    assert MARK not in str(error) + repr(error.problems)


async def test_hooks_count_unreadable_rows() -> None:
    seen: list[PageRead] = []
    async with listing(5, {1, 3}, hooks=Hooks(page=seen.append)) as gg:
        assert len(await gg.orders.list(on_unreadable="skip").collect()) == 3
    assert [(page.rows, page.new, page.unreadable) for page in seen] == [(5, 3, 2)]


@each_row("choice", ["ignore", None, 5, ""])
async def test_another_value_of_on_unreadable_is_refused(choice: Any) -> None:
    async with listing(1, set()) as gg:
        with pytest.raises(ConfigurationError, match="on_unreadable must be"):
            gg.orders.list(on_unreadable=choice)
