"""What differs by resource when a plan is made and applied, and how the present state is read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import aclosing
from datetime import date, datetime
from typing import Any, ClassVar, Generic, TypeVar

import attrs

from goedgepickt_async._transport.pipeline import Sender
from goedgepickt_async.budget.slots import Lane
from goedgepickt_async.bulk.map import Engine, StopAfter
from goedgepickt_async.bulk.values import Conflict, PlannedWrite, Settled, Unchanged, Verdict, Wish
from goedgepickt_async.errors import BulkStoppedError, GoedGepicktError, ValidationError
from goedgepickt_async.models import UNSET, Order, PageInfo, Product, StockLocation
from goedgepickt_async.paging.reader import LARGEST_PAGE
from goedgepickt_async.resources import Orders, Products, Stock, Webshops
from goedgepickt_async.resources.orders import created_on_or_after, identities_of_new, identity_of

__all__ = [
    "Kind",
    "fields_of",
    "is_utf8",
    "read_locations",
    "read_orders",
    "read_products",
    "refused",
    "without_doubles",
]

P = TypeVar("P")


class Kind(ABC, Generic[P]):
    """One kind of plan, for one client; `P` is what is there of one key.

    Attributes:
        name: Of the kind.
        noun: What its keys are, for people.
        webshop: The webshop that it is for; None: all.
        options: What it was asked for besides, as values that JSON takes.
        reads_in_pages: Whether many keys are read with hardly more requests than one.
    """

    name: ClassVar[str]
    noun: str
    webshop: str | None
    options: Mapping[str, Any]
    reads_in_pages: bool = True

    @abstractmethod
    def wish(self, row: Any, index: int) -> Wish | Conflict:
        """A desired row, checked and in one form."""

    @abstractmethod
    async def read(self, wishes: Sequence[Wish]) -> Mapping[str, P]:
        """What is there, by key, with as few requests as will do; a key that is not in it has nothing there."""

    @abstractmethod
    def judge(self, wish: Wish, present: P | None) -> Verdict:
        """What is to be done."""

    @abstractmethod
    async def send(self, write: PlannedWrite) -> str | None:
        """Make the write; the uuid of what was made or changed, where the answer tells it."""

    def settle(self, write: PlannedWrite, present: P | None) -> tuple[Settled, str | None]:
        """Whether a write whose answer was lost was carried out, by what is there now; and the uuid."""
        verdict = self.judge(write.wish, present)
        if isinstance(verdict, Unchanged):
            return Settled(is_done=True), verdict.uuid
        if isinstance(verdict, PlannedWrite) and verdict.action is write.action and verdict.uuid == write.uuid:
            return Settled(is_done=False), None
        return Settled(None, getattr(verdict, "reason", "what is there is something else")), None


T = TypeVar("T")


def fields_of(row: Any) -> dict[str, Any]:
    """The fields of a row that says something, by Python name.

    Raises:
        TypeError: It is neither a mapping nor an attrs object.
    """
    if isinstance(row, Mapping):
        named: Iterable[tuple[str, Any]] = ((str(name), value) for name, value in row.items())
    elif attrs.has(type(row)):
        named = ((field.name, getattr(row, field.name)) for field in attrs.fields(type(row)))
    else:
        raise TypeError(f"a row must be a mapping or an attrs object, not {type(row).__name__}")
    return {name: value for name, value in named if value is not UNSET}


def is_utf8(text: str) -> bool:
    """Whether it can be sent at all: half of a surrogate pair cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def refused(error: ValidationError | TypeError, index: int, key: str = "") -> Conflict:
    """The conflict that an unfit row is."""
    if isinstance(error, TypeError):
        return Conflict(key=key, indexes=(index,), reason=str(error))
    fields = {name: "; ".join(texts) for name, texts in error.fields.items()}
    reason = "; ".join(f"{name}: {text}" for name, text in fields.items()) or error.message
    return Conflict(key=key, indexes=(index,), reason=reason, fields=fields)


def without_doubles(wishes: Iterable[Wish], noun: str) -> tuple[list[Wish], list[Conflict]]:
    """The wishes whose key nobody else has, and conflicts for the others: which of them is meant, nobody can tell.

    Args:
        wishes: All of them.
        noun: What the key is, for people.
    """
    by_key: dict[str, list[Wish]] = defaultdict(list)
    for wish in wishes:
        by_key[wish.key].append(wish)
    single = [same[0] for same in by_key.values() if len(same) == 1]
    return single, [_doubled(key, same, noun) for key, same in by_key.items() if len(same) > 1]


def _doubled(key: str, same: Sequence[Wish], noun: str) -> Conflict:
    return Conflict(
        key=key,
        indexes=tuple(wish.index for wish in same),
        reason=f"the same {noun} comes {len(same)} times in the input",
    )


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
