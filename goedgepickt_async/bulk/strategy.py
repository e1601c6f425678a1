"""What differs by resource when a plan is made and applied, and how the present state is read."""

from __future__ import annotations

import re
import unicodedata
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import aclosing
from datetime import date, datetime, timedelta
from typing import Any, ClassVar, Final, Generic, TypeVar

import attrs

from goedgepickt_async._transport.pipeline import Sender
from goedgepickt_async.budget.slots import Lane
from goedgepickt_async.bulk.map import BulkRunner, StopAfter
from goedgepickt_async.bulk.values import (
    Conflict,
    ConflictCode,
    Decision,
    DesiredRow,
    PlannedWrite,
    Resolution,
    Unchanged,
)
from goedgepickt_async.errors import (
    BulkStoppedError,
    ConfigurationError,
    DecodeError,
    Evidence,
    GoedGepicktError,
    PermissionDeniedError,
    ValidationError,
)
from goedgepickt_async.models import UNSET, Order, PageInfo, Product, StockLocation, Webshop
from goedgepickt_async.paging.reader import LARGEST_PAGE
from goedgepickt_async.resources import Orders, Products, Stock, Webshops
from goedgepickt_async.resources.base import DUTCH
from goedgepickt_async.resources.orders import created_on_or_after, identities_of_new, identity_of, without_numbers

__all__ = [
    "PlanStrategy",
    "ProductsSeen",
    "fields_of",
    "find_products",
    "fold",
    "is_utf8",
    "looked_from",
    "not_there",
    "read_locations",
    "read_orders",
    "read_products",
    "refused",
    "resolve_webshop",
    "split_duplicates",
]

P = TypeVar("P")


class PlanStrategy(ABC, Generic[P]):
    """One kind of plan, for one client; `P` is what is there of one key.

    Attributes:
        name: Of the kind.
        noun: What its keys are, for people.
        webshop: The uuid of the webshop that it is for.
        options: Its other options, as values that JSON takes.
        looked_at: Where the latest reading looked, for people.
        reads_in_pages: Whether many keys are read with hardly more requests than one.
    """

    name: ClassVar[str]
    noun: str
    webshop: str
    options: Mapping[str, Any]
    looked_at: str = ""
    reads_in_pages: bool = True

    @abstractmethod
    def normalize(self, row: Any, index: int) -> DesiredRow | Conflict:
        """A desired row, checked and in one form."""

    @abstractmethod
    async def read(self, desired_rows: Sequence[DesiredRow]) -> Mapping[str, P]:
        """What is there, by key, with as few requests as will do; a key that is not in it has nothing there."""

    @abstractmethod
    def diff(self, desired: DesiredRow, present: P | None) -> Decision:
        """What is to be done."""

    def settle(self, decisions: Sequence[Decision]) -> Sequence[Decision]:
        """The decisions, compared with each other: two writes to one thing are in conflict."""
        return conflicting(decisions, lambda write: write.key, lambda same: f"{len(same)} rows would write to it")

    @abstractmethod
    async def send(self, write: PlannedWrite) -> str | None:
        """Make the write; the uuid of what was made or changed, where the answer tells it."""

    def is_sound(self, write: PlannedWrite) -> bool:
        """Whether a write that was saved is one that this strategy can have planned."""
        again = self.normalize(write.desired.values, write.index)
        return isinstance(again, DesiredRow) and again == write.desired

    def resolve(self, write: PlannedWrite, present: P | None) -> tuple[Resolution, str | None]:
        """Whether a write whose answer was lost was carried out, by what is there now; and the uuid."""
        decision = self.diff(write.desired, present)
        if isinstance(decision, Unchanged):
            return Resolution(is_done=True), decision.uuid
        if isinstance(decision, PlannedWrite) and decision.action is write.action and decision.uuid == write.uuid:
            return Resolution(is_done=False), None
        return Resolution(None, getattr(decision, "reason", "what is there is something else")), None


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


def split_duplicates(desired_rows: Iterable[DesiredRow], noun: str) -> tuple[list[DesiredRow], list[Conflict]]:
    """The rows whose key comes once, or that the product's own uuid tells apart; and conflicts for the others.

    Args:
        desired_rows: All of them.
        noun: What the key is, for people.
    """
    by_key: dict[str, list[DesiredRow]] = defaultdict(list)
    for desired in desired_rows:
        by_key[desired.key].append(desired)
    single: list[DesiredRow] = []
    conflicts: list[Conflict] = []
    for key, same in by_key.items():
        if len(same) == 1 or len({desired.uuid for desired in same} - {None}) == len(same):
            single += same
            continue
        reason = f"the same {noun} comes {len(same)} times in the input"
        indexes = tuple(desired.index for desired in same)
        conflicts.append(Conflict(key=key, indexes=indexes, reason=reason, code=ConflictCode.DUPLICATE))
    return single, conflicts


def conflicting(
    decisions: Sequence[Decision],
    same: Callable[[PlannedWrite], str | None],
    why: Callable[[Sequence[PlannedWrite]], str],
    code: ConflictCode = ConflictCode.DUPLICATE,
) -> Sequence[Decision]:
    """The decisions, with a conflict in place of writes that have something in common.

    Args:
        decisions: All of them.
        same: What two writes must not have in common; None: nothing.
        why: The reason of such a conflict.
        code: Its code.
    """
    groups: dict[str, list[PlannedWrite]] = defaultdict(list)
    for write in decisions:
        if isinstance(write, PlannedWrite) and (common := same(write)) is not None:
            groups[common].append(write)
    doubled = [writes for writes in groups.values() if len(writes) > 1]
    if not doubled:
        return decisions
    gone = {write.index for writes in doubled for write in writes}
    kept = [each for each in decisions if not (isinstance(each, PlannedWrite) and each.index in gone)]
    return kept + [
        Conflict(key=writes[0].key, indexes=tuple(write.index for write in writes), reason=why(writes), code=code)
        for writes in doubled
    ]


R = TypeVar("R")

_AT_ONCE = 5
_MOST_REQUESTS: Final = 50
"""Requests that may be spent on looking for similar keys, or as many as there are keys that are not there."""
_FEW_REQUESTS: Final = 10
_NAMED_WEBSHOPS: Final = 3
_LOOK_BACK: Final = timedelta(days=60)
"""How far back an order is looked for at least, with any dates in the input."""


@attrs.frozen(kw_only=True)
class ProductsSeen:
    """What is there of one key.

    Attributes:
        products: The products of the webshop that have it.
        locations: Where it lies, if that was asked for.
        elsewhere: The webshop that has it, if this one has not; empty: none.
        similar: Keys of this webshop that are nearly the same, if none is exactly this.
    """

    products: tuple[Product, ...] = ()
    locations: tuple[StockLocation, ...] | None = None
    elsewhere: str = ""
    similar: tuple[str, ...] = ()


def not_there(desired: DesiredRow, seen: ProductsSeen) -> Conflict | None:
    """The conflict of a key that nothing has, where something tells that the key may be wrong."""
    if seen.elsewhere:
        reason = f"it exists in {seen.elsewhere}, not in this one"
        return Conflict(key=desired.key, indexes=(desired.index,), reason=reason, code=ConflictCode.OTHER_WEBSHOP)
    if seen.similar:
        shown = " and ".join(repr(same) for same in seen.similar[:3])
        reason = f"it is not there, but {shown} is: {_what_differs(desired.key, seen.similar[0])}?"
        return Conflict(key=desired.key, indexes=(desired.index,), reason=reason, code=ConflictCode.NEAR_MISS)
    return None


def _what_differs(key: str, similar: str) -> str:
    if key.casefold() == similar.casefold():
        return "another case"
    if similar.lstrip("0").casefold() == key.lstrip("0").casefold():
        return "leading zeros lost" if len(similar) > len(key) else "leading zeros added"
    return "invisible characters, blanks, decimals or another kind of dash"


async def find_products(
    sender: Sender, keys: Collection[str], *, key: str, webshop: str
) -> tuple[dict[str, ProductsSeen], str]:
    """What is there of each key; and where was looked, for people.

    A key that no product of the webshop has is looked for in the account's other webshops. It is also compared with
    similar keys of this webshop. So "it is not there" rests on more than one exact search.

    Args:
        sender: What sends the requests.
        keys: What to look for.
        key: The field of the key.
        webshop: The webshop.
    """
    found, known = await read_products(sender, keys, key=key, webshop=webshop)
    seen = {value: ProductsSeen(products=same) for value, same in found.items()}
    missing = [value for value in keys if value not in found]
    if not missing:
        return seen, "the products of this webshop"
    elsewhere, _ = await read_products(sender, missing, key=key, webshop=None)
    other = await _name_others(sender, webshop) if elsewhere else ""
    similar = await _find_similar(sender, missing, known, key=key, webshop=webshop)
    for value in missing:
        look_alikes = tuple(same for same in (similar or {}).get(fold(value), ()) if same != value)
        if value in elsewhere or look_alikes:
            seen[value] = ProductsSeen(elsewhere=other if value in elsewhere else "", similar=look_alikes)
    where = "the products of this webshop, and for those that are not there the account's other webshops"
    if similar is None:
        return seen, f"{where}; similar ones were not looked for, as that takes too many requests"
    return seen, f"{where} and similar ones"


async def _find_similar(
    sender: Sender, missing: Sequence[str], known: Iterable[str] | None, *, key: str, webshop: str
) -> Mapping[str, Sequence[str]] | None:
    """The keys that are there, by their fold, as far as they may be similar to one that is missing.

    They come out of the whole list, or out of searches for the usual variants: the way with fewer requests.

    Args:
        sender: What sends the requests.
        missing: The keys that are not there.
        known: All keys of the webshop; None: they were not read.
        key: The field of the keys.
        webshop: The webshop.

    Returns:
        None: it would take too many requests.
    """
    if known is None:
        most = max(_MOST_REQUESTS, len(missing))
        variants = sorted({variant for value in missing for variant in variants_of(value)}) if key == "sku" else []
        few = key == "sku" and len(variants) <= _FEW_REQUESTS
        if not few:
            known = await _known_keys(Products(sender), key=key, webshop=webshop, most=min(most, len(variants) or most))
        if known is None and (few or 0 < len(variants) <= most):
            found, _ = await read_products(sender, variants, key=key, webshop=webshop, in_pages=False)
            known = found
    if known is None:
        return None
    folded: dict[str, list[str]] = defaultdict(list)
    for value in known:
        folded[fold(value)].append(value)
    return folded


_ZERO_DECIMALS: Final = re.compile(r"(?<=^[0-9])[.,]0+$|(?<=[0-9]{2})[.,]0+$")
_IGNORED_CATEGORIES: Final = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})


def fold(key: str) -> str:
    """A key without what gets lost or added on its way through spreadsheets: two with the same fold are look-alikes.

    Case, blanks, zero-width characters, kinds of dashes, full-width forms, `="…"`, leading zeros and `.0` behind.
    """
    text = unicodedata.normalize("NFKC", key).casefold()
    text = "".join(
        "-" if unicodedata.category(char) == "Pd" else char
        for char in text
        if unicodedata.category(char) not in _IGNORED_CATEGORIES
    )
    text = _ZERO_DECIMALS.sub("", text.removeprefix("=").strip("\"'"))
    return text.lstrip("0") or text[:1]


def variants_of(key: str) -> set[str]:
    """The usual ways to write a key, such as a spreadsheet changes it: those with the same fold that may be there."""
    kept = unicodedata.normalize("NFKC", key)
    kept = "".join("-" if unicodedata.category(char) == "Pd" else char for char in kept if char.isprintable())
    bare = kept.replace(" ", "").strip("=\"'")
    bare = _ZERO_DECIMALS.sub("", bare)
    found = {kept, bare, bare.upper(), bare.lower()}
    if bare[:1].isdigit():
        without = bare.lstrip("0") or "0"
        found |= {without.zfill(len(without) + zeros) for zeros in range(max(5, len(bare) - len(without) + 1))}
    return {variant for variant in found if variant} - {key}


async def _known_keys(products: Products, *, key: str, webshop: str, most: int) -> frozenset[str] | None:
    """The keys of all products of a webshop; None: that takes more than so many requests."""
    known: set[str | None] = set()
    async with aclosing(products.list(webshop_uuid=webshop).pages()) as pages:
        async for page in pages:
            if page.number == 1 and _pages_left(page.info) > most:
                return None
            known.update(_key_of(product, key) for product in page.items)
    return _proven(known, key)


def _key_of(product: Product, key: str) -> str | None:
    value: str | None = getattr(product, key)
    return value if value is None else value.strip()


def _proven(known: AbstractSet[str | None], key: str) -> frozenset[str]:
    """The keys of a whole list.

    Raises:
        DecodeError: No product has one, so it is not known which products are there.
    """
    if known != {None}:
        return frozenset(value for value in known if value)
    hint = "" if key == "sku" else ': use key="sku"'
    raise DecodeError(
        f"no product of the list has a {key}, so it is not known which products are there{hint}",
        evidence=Evidence.FINAL,
        method="GET",
        path="/products",
    )


async def _name_others(sender: Sender, webshop: str) -> str:
    """The other webshops of the account, as far as there are few."""
    others = [shop.name or shop.uuid async for shop in Webshops(sender).list() if shop.uuid != webshop]
    if 1 <= len(others) <= _NAMED_WEBSHOPS:
        return "webshop " + " or ".join(repr(name) for name in others)
    return "another webshop of this account"


async def read_products(
    sender: Sender, keys: Collection[str], *, key: str, webshop: str | None, in_pages: bool = True
) -> tuple[dict[str, tuple[Product, ...]], frozenset[str] | None]:
    """The products with these keys, by key; and all keys that there are, if the whole list was read.

    Args:
        sender: What sends the requests.
        keys: What to look for.
        key: The field of the key.
        webshop: Only this one's products; None: the products of all.
        in_pages: Whether the list may be read instead of searching for each.
    """
    if not keys:
        return {}, None
    products, wanted = Products(sender), frozenset(keys)
    if in_pages and (key != "sku" or len(wanted) > 1):
        found = await _paged_products(products, wanted, key=key, webshop=webshop)
        if found is not None:
            return found
    searched = await _for_each(sender, sorted(wanted), lambda sku: products.find_all_by_sku(sku, webshop_uuid=webshop))
    return {sku: same for sku, same in searched.items() if same}, None


async def _paged_products(
    products: Products, wanted: frozenset[str], *, key: str, webshop: str | None
) -> tuple[dict[str, tuple[Product, ...]], frozenset[str]] | None:
    """Out of the whole list, and all keys in it; None: it is so long that searching is fewer requests."""
    known: set[str | None] = set()
    found: dict[str, tuple[Product, ...]] = defaultdict(tuple)
    async with aclosing(products.list(webshop_uuid=webshop).pages()) as pages:
        async for page in pages:
            for product in page.items:
                value = _key_of(product, key)
                known.add(value)
                if value is not None and value in wanted:
                    found[value] += (product,)
            if page.number == 1 and key == "sku" and _pages_left(page.info) > len(wanted):
                return None
    return dict(found), _proven(known, key)


async def read_locations(sender: Sender, uuids: Sequence[str]) -> dict[str, tuple[StockLocation, ...]]:
    """Where products lie, by their uuid: one request each, as the API has no other way."""
    stock = Stock(sender)

    async def locations(uuid: str) -> tuple[StockLocation, ...]:
        return tuple(await stock.get(uuid))

    return await _for_each(sender, uuids, locations)


async def read_orders(
    sender: Sender, desired_rows: Sequence[DesiredRow], *, since: date | None, webshop: str
) -> dict[str, tuple[str, ...]]:
    """The uuids of the orders with these ids, by id.

    Args:
        sender: What sends the requests.
        desired_rows: The orders to look for.
        since: None of them was created before; None: see `looked_from`.
        webshop: Whose orders.
    """
    if not desired_rows:
        return {}
    keys_by_identity: dict[tuple[str, str], list[str]] = defaultdict(list)
    for desired in desired_rows:
        for expected in identities_of_new(desired.key, desired.values.get("display_id")):
            keys_by_identity[expected].append(desired.key)
    shop = await _name_of(sender, webshop)
    found: dict[str, tuple[str, ...]] = defaultdict(tuple)
    unnamed = named = 0
    async for order in Orders(sender).list(created_after=since or looked_from(desired_rows), webshop_uuid=webshop):
        identity = identity_of(order)
        unnamed, named = unnamed + (identity is None), named + (identity is not None)
        if identity is not None and _is_of(order, shop):
            for key in keys_by_identity.get(identity, ()):
                found[key] += (order.uuid,)
    if unnamed and not named:
        raise without_numbers()
    return dict(found)


def _pages_left(info: PageInfo) -> int:
    """After the first. The total is unreliable (B): a wrong one costs requests, and nothing else."""
    return max(0, -(-(info.total_items or 0) // (info.items_per_page or LARGEST_PAGE)) - 1)


def looked_from(desired_rows: Sequence[DesiredRow]) -> date | None:
    """The day to read orders from: the oldest date in the input, and 60 days back at least.

    The date in a file may be the date of an export, a payment or a correction, so it cannot narrow the search. None, all
    orders, where one does not say when it was created.
    """
    moments = [desired.values.get("created_at") for desired in desired_rows]
    if any(moment is None for moment in moments):
        return None
    oldest = min((created_on_or_after(datetime.fromisoformat(str(moment))) for moment in moments), default=None)
    back = datetime.now(DUTCH).date() - _LOOK_BACK
    return back if oldest is None else min(oldest, back)


def _is_of(order: Order, shop: str | None) -> bool:
    """The filter by webshop was seen once only (B), and the same id in two shops is nothing unusual."""
    return shop is None or order.webshop_name is None or order.webshop_name == shop


async def _name_of(sender: Sender, webshop_uuid: str) -> str | None:
    async for webshop in Webshops(sender).list():
        if webshop.uuid == webshop_uuid:
            return webshop.name
    return None


async def resolve_webshop(sender: Sender, given: str | None) -> tuple[str, str]:
    """The uuid and the name of the webshop that a plan is for: one rule for Python and the command line.

    Args:
        sender: What sends the requests.
        given: Its uuid or its name, in any case; None: the account's only webshop.

    Raises:
        ConfigurationError: There is no such webshop, or there are several and none is given.
        GoedGepicktError: The webshops could not be read.
    """
    shops: list[Webshop] = []
    try:
        async for shop in Webshops(sender).list():
            if shop.uuid == given:
                return shop.uuid, shop.name or ""
            shops.append(shop)
    except PermissionDeniedError:
        pass  # a key that may not list webshops can name one by its uuid
    if given is not None:
        wanted = given.strip().casefold()
        matching = [shop for shop in shops if wanted in {shop.uuid.casefold(), (shop.name or "").strip().casefold()}]
        if len(matching) == 1:
            return matching[0].uuid, matching[0].name or ""
        if not shops:
            return given, ""
    elif len(shops) == 1:
        return shops[0].uuid, shops[0].name or ""
    there = ", ".join(f"{shop.uuid} ({shop.name})" for shop in shops[:_SHOWN_WEBSHOPS]) or "none that this key can see"
    if given is None:
        raise ConfigurationError(
            f"which webshop? The account has: {there}. Pass webshop_uuid (--webshop), or set GOEDGEPICKT_WEBSHOP_UUID"
        )
    raise ConfigurationError(f"the account has no webshop {given!r}; it has: {there}")


_SHOWN_WEBSHOPS = 20


async def _for_each(sender: Sender, items: Sequence[T], read: Callable[[T], Awaitable[R]]) -> dict[T, R]:
    """What each read gives; the first one that fails ends it.

    Raises:
        GoedGepicktError: What that one raised.
    """
    budget = sender.pipeline.budget
    runner = BulkRunner(read, items, budget, concurrency=_AT_ONCE, stop=StopAfter(errors=1), lane=Lane.NORMAL)
    found: dict[T, R] = {}
    try:
        async with aclosing(runner.outcomes()) as outcomes:
            async for outcome in outcomes:
                if outcome.ok:
                    found[outcome.item] = outcome.unwrap()
    except BulkStoppedError as stopped:
        if isinstance(stopped.__cause__, GoedGepicktError):
            raise stopped.__cause__ from None
        raise
    return found
