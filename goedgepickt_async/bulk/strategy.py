"""The parts of planning that differ by resource, and the reading of the present state."""

from __future__ import annotations

import re
import unicodedata
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import aclosing
from functools import partial
from typing import Any, ClassVar, Final, Generic, TypeVar

import attrs

from goedgepickt_async._transport.pipeline import Sender
from goedgepickt_async.budget.slots import Lane
from goedgepickt_async.bulk.map import BulkRunner, StopAfter, compute
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
    GoedGepicktError,
    PermissionDeniedError,
    ValidationError,
)
from goedgepickt_async.models import UNSET, PageInfo, Product, StockLocation, Webshop
from goedgepickt_async.paging.reader import LARGEST_PAGE
from goedgepickt_async.resources import Products, Stock, Webshops
from goedgepickt_async.resources.base import not_proven
from goedgepickt_async.text import as_name, shown

__all__ = [
    "PlanStrategy",
    "ProductsSeen",
    "conflict",
    "conflicting",
    "fields_of",
    "find_products",
    "fold",
    "is_utf8",
    "not_there",
    "number_as_text",
    "read_locations",
    "refused",
    "resolve_webshop",
    "split_duplicates",
]

P = TypeVar("P")
T = TypeVar("T")
R = TypeVar("R")


class PlanStrategy(ABC, Generic[P]):
    """A kind of plan for one client; `P` is the type of the present state of a key.

    Attributes:
        name: The name of the kind.
        noun: The name of its keys, for people.
        webshop: The uuid of its webshop.
        webshop_name: The name of its webshop, as read for a new plan; empty if it is unknown.
        options: Its other options, as values for `json.dumps`.
        looked_at: The scope of the latest reading, for people.
        reads_in_pages: Whether reading many keys needs hardly more requests than reading one.
    """

    name: ClassVar[str]
    webshop_name: str = ""
    looked_at: str = ""
    reads_in_pages: bool = True

    def __init__(self, sender: Sender, webshop: str, *, noun: str, options: Mapping[str, Any]) -> None:
        self._sender = sender
        self.webshop = webshop
        self.noun = noun
        self.options: Mapping[str, Any] = options

    @abstractmethod
    def normalize(self, row: Any, index: int) -> DesiredRow | Conflict:
        """Return a checked desired row."""

    @abstractmethod
    async def read(self, desired_rows: Sequence[DesiredRow]) -> Mapping[str, P]:
        """Return the present state by key, with as few requests as possible. Missing keys do not exist."""

    @abstractmethod
    def diff(self, desired: DesiredRow, present: P | None) -> Decision:
        """Decide about a row."""

    def settle(self, decisions: Sequence[Decision]) -> Sequence[Decision]:
        """Compare the decisions: two writes to the same object are in conflict."""
        return conflicting(decisions, lambda write: write.key, lambda same: f"{len(same)} rows would write to it")

    @abstractmethod
    async def send(self, write: PlannedWrite) -> str | None:
        """Send the write. Return the uuid of the created or changed object, if the response has it."""

    def is_sound(self, write: PlannedWrite) -> bool:
        """Whether this strategy can have planned a saved write."""
        return self.normalize(write.desired.values, write.index) == write.desired

    def resolve(self, write: PlannedWrite, present: P | None) -> tuple[Resolution, str | None]:
        """Find out by the present state whether a write with a lost response was carried out; and the uuid."""
        decision = self.diff(write.desired, present)
        if isinstance(decision, Unchanged):
            return Resolution(is_done=True), decision.uuid
        if isinstance(decision, PlannedWrite) and decision.action is write.action and decision.uuid == write.uuid:
            return Resolution(is_done=False), None
        return Resolution(None, getattr(decision, "reason", "the present state is different")), None


def fields_of(row: Any) -> dict[str, Any]:
    """Return the fields of a row that have a value, by Python name. Another type of row is a `TypeError`."""
    if isinstance(row, Mapping):
        named: Iterable[tuple[str, Any]] = ((as_name(name), value) for name, value in row.items())
    elif attrs.has(type(row)):
        named = ((field.name, getattr(row, field.name)) for field in attrs.fields(type(row)))
    else:
        raise TypeError(f"a row must be a mapping or an attrs object, not {type(row).__name__}")
    return {name: value for name, value in named if value is not UNSET}


_TOO_LARGE: Final = 10**30
"""No identifier is so large, and Python refuses to write a number with thousands of digits as text."""


def number_as_text(value: Any) -> Any:
    """Return a number as text, because an identifier in JSON can be a number. Other values stay as they are."""
    is_number = isinstance(value, int) and not isinstance(value, bool) and abs(value) < _TOO_LARGE
    return str(value) if is_number else value


def is_utf8(text: str) -> bool:
    """Whether a value can be sent: half of a surrogate pair cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def conflict(
    desired: DesiredRow,
    reason: str,
    code: ConflictCode = ConflictCode.BAD_ROW,
    *,
    uuids: tuple[str, ...] = (),
    fields: Mapping[str, str] | None = None,
) -> Conflict:
    """Return the conflict of one checked row."""
    return Conflict(
        key=desired.key, indexes=(desired.index,), reason=reason, code=code, uuids=uuids, fields=fields or {}
    )


def refused(error: ValidationError | TypeError, index: int, key: str) -> Conflict:
    """Return the conflict for a row that is not valid."""
    if isinstance(error, TypeError):
        return Conflict(key=key, indexes=(index,), reason=str(error))
    fields = {name: "; ".join(texts) for name, texts in error.fields.items()}
    reason = "; ".join(f"{name}: {text}" for name, text in fields.items()) or error.message
    return Conflict(key=key, indexes=(index,), reason=reason, fields=fields)


def split_duplicates(desired_rows: Iterable[DesiredRow], noun: str) -> tuple[list[DesiredRow], list[Conflict]]:
    """Return the rows whose key is unique or that have a uuid, and conflicts for the others."""
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
    """Return the decisions, with a conflict in place of writes for which `same` returns the same value, not None."""
    groups: dict[str, list[PlannedWrite]] = defaultdict(list)
    for write in decisions:
        if isinstance(write, PlannedWrite) and (common := same(write)) is not None:
            groups[common].append(write)
    doubled = [writes for writes in groups.values() if len(writes) > 1]
    gone = {write.index for writes in doubled for write in writes}
    kept = [each for each in decisions if not (isinstance(each, PlannedWrite) and each.index in gone)]
    return kept + [
        Conflict(key=writes[0].key, indexes=tuple(write.index for write in writes), reason=why(writes), code=code)
        for writes in doubled
    ]


# -- reading the present state ------------------------------------------------------------------------------------

_AT_ONCE: Final = 5
_MOST_REQUESTS: Final = 50
"""The largest number of requests for similar keys, or the number of missing keys if that is larger."""
_FEW_REQUESTS: Final = 10
_NAMED_WEBSHOPS: Final = 3
_SHOWN_WEBSHOPS: Final = 20


@attrs.frozen(kw_only=True)
class ProductsSeen:
    """The present state of one key.

    Attributes:
        products: The products of the webshop with this key.
        locations: The locations, if they were read.
        elsewhere: The other webshop that has the key; empty without one.
        similar: Nearly equal keys of this webshop, if no key is equal.
    """

    products: tuple[Product, ...] = ()
    locations: tuple[StockLocation, ...] | None = None
    elsewhere: str = ""
    similar: tuple[str, ...] = ()


def not_there(desired: DesiredRow, seen: ProductsSeen) -> Conflict | None:
    """Return a conflict for a missing key, if the key may be wrong."""
    if seen.elsewhere:
        return conflict(desired, f"it exists in {seen.elsewhere}, not in this one", ConflictCode.OTHER_WEBSHOP)
    if seen.similar:
        shown = " and ".join(repr(same) for same in seen.similar[:3])
        reason = f"it does not exist, but {shown} is: {_what_differs(desired.key, seen.similar[0])}?"
        return conflict(desired, reason, ConflictCode.NEAR_MISS)
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
    """Return the present state of each key, and a text about the scope of the reading.

    A key that is missing in the webshop is searched in the other webshops of the account. It is also compared with
    similar keys of this webshop.
    """
    found, known = await _read_products(sender, keys, key=key, webshop=webshop)
    seen = {value: ProductsSeen(products=same) for value, same in found.items()}
    missing = [value for value in keys if value not in found]
    if not missing:
        return seen, "the products of this webshop"
    elsewhere, _ = await _read_products(sender, missing, key=key, webshop=None)
    other = await _name_others(sender, webshop) if elsewhere else ""
    existing = await _similar_skus(sender, missing, webshop) if known is None else known
    similar = await compute(partial(_look_alikes, missing, existing or ()), [*missing, *(existing or ())])
    for value in elsewhere.keys() | similar.keys():
        seen[value] = ProductsSeen(elsewhere=other if value in elsewhere else "", similar=similar.get(value, ()))
    where = "the products of this webshop, and the other webshops of the account for missing products"
    if existing is None:
        return seen, f"{where}; similar keys were not searched, because that needs too many requests"
    return seen, f"{where} and similar ones"


def _look_alikes(missing: Sequence[str], existing: Collection[str]) -> dict[str, tuple[str, ...]]:
    by_form: dict[str, list[str]] = defaultdict(list)
    for value in existing:
        by_form[fold(value)].append(value)
    found = {value: tuple(same for same in by_form.get(fold(value), ()) if same != value) for value in missing}
    return {value: same for value, same in found.items() if same}


async def _similar_skus(sender: Sender, missing: Sequence[str], webshop: str) -> Collection[str] | None:
    """Return existing SKUs, with all that may be similar to a missing one; None if it takes too many requests.

    They are from the whole list or from searches for the usual variants, depending on the number of requests.
    """
    most = max(_MOST_REQUESTS, len(missing))
    variants = await compute(lambda: {variant for value in missing for variant in variants_of(value)}, missing)
    if len(variants) > _FEW_REQUESTS:
        read = await _read_list(
            Products(sender), frozenset(), key="sku", webshop=webshop, most=min(most, len(variants))
        )
        if read is not None:
            return read[1]
    return await _search(sender, variants, webshop) if len(variants) <= most else None


_ZERO_DECIMALS: Final = re.compile(r"(?<=^[0-9])[.,]0+$|(?<=[0-9]{2})[.,]0+$")
_IGNORED_CATEGORIES: Final = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})


def fold(key: str) -> str:
    """Return the normalised form of a key. Two keys with the same form are nearly equal.

    It ignores case, blanks, zero-width characters, kinds of dashes, full-width forms, `="…"`, leading zeros and a final
    `.0`.
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
    """Return the usual variants of a key with the same normalised form, as spreadsheets make them."""
    kept = unicodedata.normalize("NFKC", key)
    kept = "".join("-" if unicodedata.category(char) == "Pd" else char for char in kept if char.isprintable())
    bare = kept.replace(" ", "").strip("=\"'")
    bare = _ZERO_DECIMALS.sub("", bare)
    found = {kept, bare, bare.upper(), bare.lower()}
    if bare[:1].isdigit():
        without = bare.lstrip("0") or "0"
        found |= {without.zfill(len(without) + zeros) for zeros in range(max(5, len(bare) - len(without) + 1))}
    return {variant for variant in found if variant} - {key}


def _proven(known: AbstractSet[str | None], key: str) -> frozenset[str]:
    """Return the keys of a whole list. If no product has one, it is not known which products are there."""
    if known != {None}:
        return frozenset(value for value in known if value)
    hint = "" if key == "sku" else ': use key="sku"'
    raise not_proven(
        "/products", f"no product of the list has a {key}, so it is not known which products are there{hint}"
    )


async def _name_others(sender: Sender, webshop: str) -> str:
    """Return the other webshops of the account, if there are few."""
    others = [shop.name or shop.uuid async for shop in Webshops(sender).list() if shop.uuid != webshop]
    if 1 <= len(others) <= _NAMED_WEBSHOPS:
        return "webshop " + " or ".join(repr(name) for name in others)
    return "another webshop of this account"


async def _read_products(
    sender: Sender, keys: Collection[str], *, key: str, webshop: str | None
) -> tuple[dict[str, tuple[Product, ...]], frozenset[str] | None]:
    """Return the products with these keys, and all existing keys if the whole list was read.

    The API can search by SKU only. Without a webshop, the products of all webshops are read.
    """
    if not keys:
        return {}, None
    wanted = frozenset(keys)
    if key != "sku" or len(wanted) > 1:
        most = len(wanted) if key == "sku" else None
        read = await _read_list(Products(sender), wanted, key=key, webshop=webshop, most=most)
        if read is not None:
            return read
    return await _search(sender, wanted, webshop), None


async def _read_list(
    products: Products, wanted: frozenset[str], *, key: str, webshop: str | None, most: int | None
) -> tuple[dict[str, tuple[Product, ...]], frozenset[str]] | None:
    """Read the wanted products and all keys from the list; None if more than `most` further pages are needed."""
    known: set[str | None] = set()
    found: dict[str, tuple[Product, ...]] = defaultdict(tuple)
    async with aclosing(products.list(webshop_uuid=webshop).pages()) as pages:
        async for page in pages:
            for product in page.items:
                value: str | None = getattr(product, key)
                value = value if value is None else value.strip()
                known.add(value)
                if value is not None and value in wanted:
                    found[value] += (product,)
            if page.number == 1 and most is not None and _pages_left(page.info) > most:
                return None
    return dict(found), _proven(known, key)


async def _search(sender: Sender, skus: Collection[str], webshop: str | None) -> dict[str, tuple[Product, ...]]:
    products = Products(sender)
    searched = await _for_each(sender, sorted(skus), lambda sku: products.find_all_by_sku(sku, webshop_uuid=webshop))
    return {sku: same for sku, same in searched.items() if same}


async def read_locations(sender: Sender, uuids: Sequence[str]) -> dict[str, tuple[StockLocation, ...]]:
    """Return the locations of products, by uuid, with one request per product."""
    found = await _for_each(sender, uuids, Stock(sender).get)
    return {uuid: tuple(locations) for uuid, locations in found.items()}


def _pages_left(info: PageInfo) -> int:
    """The number of pages after the first one. The total is unreliable (B), and a wrong total only costs requests."""
    return max(0, -(-(info.total_items or 0) // (info.items_per_page or LARGEST_PAGE)) - 1)


async def resolve_webshop(sender: Sender, given: str | None) -> tuple[str, str]:
    """Return the uuid and the name of a plan's webshop, for Python and the command line.

    It is given by its uuid or its name, in upper or lower case. None: the only webshop of the account.

    Raises:
        ConfigurationError: The webshop does not exist, or the account has several and none is given.
    """
    shops: list[Webshop] = []
    try:
        async for shop in Webshops(sender).list():
            if shop.uuid == given:
                return shop.uuid, shop.name or ""
            shops.append(shop)
    except PermissionDeniedError:
        pass  # a key without the right to list webshops can pass a uuid
    matching = shops
    if given is not None:
        if not shops:
            return given, ""
        wanted = given.strip().casefold()
        matching = [shop for shop in shops if wanted in {shop.uuid.casefold(), (shop.name or "").strip().casefold()}]
    if len(matching) == 1:
        return matching[0].uuid, matching[0].name or ""
    there = (
        ", ".join(f"{shop.uuid} ({shop.name})" for shop in shops[:_SHOWN_WEBSHOPS])
        or "no webshop is visible with this API key"
    )
    if given is None:
        raise ConfigurationError(
            f"the account has several webshops: {there}. Pass webshop_uuid (--webshop) or set GOEDGEPICKT_WEBSHOP_UUID"
        )
    raise ConfigurationError(f"the account has no webshop {shown(given)}; it has: {there}")


async def _for_each(sender: Sender, items: Sequence[T], read: Callable[[T], Awaitable[R]]) -> dict[T, R]:
    """Return the results of the coroutines; the first failure cancels the others and is raised."""
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
