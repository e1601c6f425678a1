"""What is there, of many keys at once: in pages of 100, or by searching where that is fewer requests."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import aclosing
from datetime import date, datetime
from typing import TypeVar

from goedgepickt_async.budget.slots import Lane
from goedgepickt_async.bulk.engine import Engine
from goedgepickt_async.bulk.planned import Wish
from goedgepickt_async.bulk.stopping import StopAfter
from goedgepickt_async.errors import BulkStoppedError, GoedGepicktError
from goedgepickt_async.models import Order, PageInfo, Product, StockLocation
from goedgepickt_async.paging.positions import LARGEST_PAGE
from goedgepickt_async.resources import Orders, Products, Stock, Webshops
from goedgepickt_async.resources.order_identity import created_on_or_after, identities_of_new, identity_of
from goedgepickt_async.wire.pipeline import Sender

__all__ = ["read_locations", "read_orders", "read_products"]

T = TypeVar("T")
R = TypeVar("R")

_AT_ONCE = 5


async def read_products(
    sender: Sender, keys: Collection[str], *, key: str, webshop: str | None
) -> dict[str, tuple[Product, ...]]:
    """The products with these keys, by key.

    Args:
        sender: What sends the requests.
        keys: What to look for.
        key: The field that it stands in.
        webshop: Only this one's; None: those of all.
    """
    if not keys:
        return {}
    products, wanted = Products(sender), frozenset(keys)
    if key != "sku" or len(wanted) > 1:
        found = await _paged_products(products, wanted, key=key, webshop=webshop)
        if found is not None:
            return found
    searched = await _for_each(sender, sorted(wanted), lambda sku: products.find_all_by_sku(sku, webshop_uuid=webshop))
    return {sku: same for sku, same in searched.items() if same}


async def _paged_products(
    products: Products, wanted: frozenset[str], *, key: str, webshop: str | None
) -> dict[str, tuple[Product, ...]] | None:
    """Out of the whole list; None: it is so long that searching is fewer requests."""
    found: dict[str, tuple[Product, ...]] = defaultdict(tuple)
    async with aclosing(products.list(webshop_uuid=webshop).pages()) as pages:
        async for page in pages:
            for product in page.items:
                value = (getattr(product, key) or "").strip()
                if value in wanted:
                    found[value] += (product,)
            if page.number == 1 and key == "sku" and _pages_left(page.info) > len(wanted):
                return None
    return dict(found)


async def read_locations(sender: Sender, uuids: Sequence[str]) -> dict[str, tuple[StockLocation, ...]]:
    """Where products lie, by their uuid: one request each, as the API knows no other way."""
    stock = Stock(sender)

    async def locations(uuid: str) -> tuple[StockLocation, ...]:
        return tuple(await stock.get(uuid))

    return await _for_each(sender, uuids, locations)


async def read_orders(
    sender: Sender, wishes: Sequence[Wish], *, since: date | None, webshop: str
) -> dict[str, tuple[str, ...]]:
    """The uuids of the orders with these ids, by id.

    Args:
        sender: What sends the requests.
        wishes: The orders to look for.
        since: None of them was created before; None: find out from their own dates.
        webshop: Whose orders.
    """
    if not wishes:
        return {}
    keys_by_identity: dict[tuple[str, str], list[str]] = defaultdict(list)
    for wish in wishes:
        for expected in identities_of_new(wish.key, wish.values.get("display_id")):
            keys_by_identity[expected].append(wish.key)
    shop = await _name_of(sender, webshop)
    found: dict[str, tuple[str, ...]] = defaultdict(tuple)
    async for order in Orders(sender).list(created_after=since or _oldest(wishes), webshop_uuid=webshop):
        identity = identity_of(order)
        if identity is not None and _is_of(order, shop):
            for key in keys_by_identity.get(identity, ()):
                found[key] += (order.uuid,)
    return dict(found)


def _pages_left(info: PageInfo) -> int:
    """After the first. The total is unreliable (B): a wrong one costs requests, and nothing else."""
    return max(0, -(-(info.total_items or 0) // (info.items_per_page or LARGEST_PAGE)) - 1)


def _oldest(wishes: Sequence[Wish]) -> date | None:
    """The day to read from; None, all of them, where an order does not say when it was created."""
    moments = [wish.values.get("created_at") for wish in wishes]
    if any(moment is None for moment in moments):
        return None
    return min(created_on_or_after(datetime.fromisoformat(str(moment))) for moment in moments)


def _is_of(order: Order, shop: str | None) -> bool:
    """The filter by webshop was seen once only (B), and the same id in two shops is nothing unusual."""
    return shop is None or order.webshop_name is None or order.webshop_name == shop


async def _name_of(sender: Sender, webshop_uuid: str) -> str | None:
    async for webshop in Webshops(sender).list():
        if webshop.uuid == webshop_uuid:
            return webshop.name
    return None


async def _for_each(sender: Sender, items: Sequence[T], read: Callable[[T], Awaitable[R]]) -> dict[T, R]:
    """What each read gives; the first one that fails ends it.

    Raises:
        GoedGepicktError: What that one raised.
    """
    budget = sender.pipeline.budget
    engine = Engine(read, items, budget, concurrency=_AT_ONCE, stop=StopAfter(errors=1), lane=Lane.NORMAL)
    found: dict[T, R] = {}
    try:
        async with aclosing(engine.outcomes()) as outcomes:
            async for outcome in outcomes:
                if outcome.ok:
                    found[outcome.item] = outcome.unwrap()
    except BulkStoppedError as stopped:
        if isinstance(stopped.__cause__, GoedGepicktError):
            raise stopped.__cause__ from None
        raise
    return found
