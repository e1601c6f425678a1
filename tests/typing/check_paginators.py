"""The type of a list's items is known for every way of reading."""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import assert_type

from goedgepickt_async import GoedGepickt, Order, OrderStatus, Page, PageInfo, Paginator, Product
from goedgepickt_async.paging.paginator import Pages


async def read(gg: GoedGepickt) -> None:
    orders = gg.orders.list(created_after=date(2026, 11, 1), status=OrderStatus.BACKORDER)
    assert_type(orders, Paginator[Order])
    assert_type(orders.limit(5), Paginator[Order])
    assert_type(await orders.first(), Order | None)
    assert_type(await orders.collect(limit=500), list[Order])
    async for order in orders:
        assert_type(order, Order)
    assert_type([order async for order in orders], list[Order])


async def by_pages(gg: GoedGepickt) -> None:
    pages = gg.products.list().pages(resume=None)
    assert_type(pages, Pages[Product])
    async for page in pages:
        assert_type(page, Page[Product])
        assert_type(page.items, tuple[Product, ...])
        assert_type(page.info, PageInfo)
        assert_type(page.resume, str)


async def fields(gg: GoedGepickt) -> None:
    order = await gg.orders.get("0b3c9a52")
    assert_type(order, Order)
    assert_type(order.total_paid, Decimal | None)
    assert_type(order.created_at, datetime | None)
    assert_type(await gg.products.find_by_sku("0012"), Product | None)


async def mistakes(gg: GoedGepickt) -> None:
    for _order in gg.orders.list():  # type: ignore[attr-defined]  # it is read with `async for`
        pass
    await gg.orders.list()  # type: ignore[misc]  # it is no coroutine
    gg.orders.list(date(2026, 11, 1))  # type: ignore[call-arg]  # by keyword only
    gg.orders.list(created_before=datetime.now(UTC))  # type: ignore[call-arg]  # the API has none
    gg.with_options(time_out=3)  # type: ignore[call-arg]  # misspelt
