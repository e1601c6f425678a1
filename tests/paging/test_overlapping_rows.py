"""Pages overlap; what an earlier page brought is not decoded again, and errors still name places in the answer."""

from __future__ import annotations

from typing import Any

import pytest

from goedgepickt_async.errors import DecodeError
from goedgepickt_async.models import Order, PageInfo
from goedgepickt_async.paging import ListSource, Paginator, RawPage


def orders(rows: list[dict[str, Any]], decoded: list[str]) -> Paginator[Order]:
    """A list of these rows; what is decoded is noted."""

    async def fetch(pairs: tuple[tuple[str, str], ...], _: object) -> RawPage:
        asked = dict(pairs)
        size = int(asked["perPage"])
        start = (int(asked["page"]) - 1) * size
        info = PageInfo(total_items=len(rows), items_per_page=size, current_page=int(asked["page"]))
        return RawPage(rows=rows[start : start + size], info=info)

    def is_new(order: Order) -> bool:
        decoded.append(order.uuid)
        return True

    return Paginator(
        ListSource(path="/orders", query=(), identity=("orders",), open=lambda: fetch, cls=Order, predicate=is_new)
    )


def numbered(number: int) -> list[dict[str, Any]]:
    return [{"uuid": f"o-{n}"} for n in range(number)]


async def test_each_row_is_decoded_once() -> None:
    decoded: list[str] = []
    read = await orders(numbered(450), decoded).collect()
    assert [order.uuid for order in read] == decoded == [f"o-{n}" for n in range(450)]


async def test_a_bad_row_of_a_later_page_is_named_by_its_place_in_that_answer() -> None:
    rows = numbered(150)
    rows[120]["totalPaid"] = "veel"
    pages = orders(rows, []).pages()
    first = await anext(pages)
    assert len(first.items) == 100
    with pytest.raises(DecodeError) as caught:
        await anext(pages)
    # The second page is one of 97 rows, from the 97th on: it overlaps the first by three.
    assert caught.value.problems == ("$.items[23].totalPaid: expected a decimal number, got other text",)
    assert caught.value.__context__ is None
