"""Lists: filters, search and order, and one page by number or cursor."""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any, Final

import attrs

from goedgepickt_async.sandbox.app import Answer, Controller, Quirks, invalid, json_answer
from goedgepickt_async.sandbox.requests import Incoming
from goedgepickt_async.sandbox.validation import Errors
from goedgepickt_async.sandbox.world import Table, World
from goedgepickt_async.sandbox.world.table import day_start

_KEPT_SELECTIONS: Final = 16
_EVIDENT: Final = {"order": ("status",), "product": ("sku", "supplierUuid")}
"""The searches that public evidence exists for (reference sections 4.2 and 4.5)."""


@attrs.frozen(kw_only=True)
class ListQuery:
    """The checked filters and order of a list request; None for missing ones.

    `webshop` is an index, and -1 for an unknown webshop. `created_after` includes the Dutch day. `search` is an attribute
    and its value. `leaks` includes rows that had one of the statuses before. Rows are sorted by their index or `by_date`.
    """

    webshop: int | None = None
    created_after: date | None = None
    search: tuple[str, str] | None = None
    status: frozenset[str] | None = None
    leaks: bool = False
    by_date: bool = False
    descending: bool = False


@attrs.define(kw_only=True)
class Listing:
    """How the rows of one table are filtered and sorted.

    Attributes:
        table: The rows.
        searchable: The attributes for a search, with a function that reads each from a row's index.
        candidates: For some attributes, a quick way to the few rows that can have a value.
        webshop: The webshop of a row, where rows have one.
        created: The Unix second at which a row was created, where rows have one; it must grow over the generated rows.
        status: The status of a row, where the list has a separate filter for it.
        past: The statuses that a row had before.
    """

    table: Table
    searchable: dict[str, Callable[[int], Any]]
    candidates: dict[str, Callable[[str], Sequence[int]]] = attrs.field(factory=dict)
    webshop: Callable[[int], int | None] | None = None
    created: Callable[[int], int] | None = None
    status: Callable[[int], str] | None = None
    past: Callable[[int], frozenset[str]] = attrs.field(default=lambda _: frozenset())
    _selections: dict[ListQuery, tuple[int, Sequence[int]]] = attrs.field(factory=dict, init=False)

    def select(self, query: ListQuery) -> Sequence[int]:
        """Return the indices of the rows that the query asks for, in its order."""
        known = self._selections.get(query)
        if known is not None and known[0] == self.table.version:
            return known[1]
        selection = self._sorted(self._filtered(query), query)
        if len(self._selections) >= _KEPT_SELECTIONS:
            self._selections.clear()
        self._selections[query] = (self.table.version, selection)
        return selection

    def sort_key(self, query: ListQuery) -> Callable[[int], tuple[int, int]]:
        """Return the sort key of the query's selection; it also finds the place of a row that is gone."""
        sign = -1 if query.descending else 1
        if query.by_date and self.created is not None:
            created = self.created
            return lambda index: (sign * created(index), sign * index)
        return lambda index: (0, sign * index)

    def _filtered(self, query: ListQuery) -> Sequence[int]:
        rows: Sequence[int] = self.table.living()
        if query.search is not None:
            attribute, value = query.search
            read, quick = self.searchable[attribute], self.candidates.get(attribute)
            if quick is not None:
                rows = [index for index in quick(value) if self.table.lives(index)]
            rows = [index for index in rows if (found := read(index)) is not None and str(found) == value]
        if query.created_after is not None and self.created is not None:
            rows = self._since(rows, day_start(query.created_after), self.created)
        if query.webshop is not None and self.webshop is not None:
            webshop = self.webshop
            rows = [index for index in rows if webshop(index) == query.webshop]
        if query.status is not None and self.status is not None:
            status, wanted = self.status, query.status
            past = self.past if query.leaks else (lambda _: frozenset[str]())
            rows = [index for index in rows if status(index) in wanted or not wanted.isdisjoint(past(index))]
        return rows

    def _since(self, rows: Sequence[int], start: int, created: Callable[[int], int]) -> Sequence[int]:
        generated = self.table.generated
        cut = bisect_left(range(generated), start, key=created)
        tail = rows[bisect_left(rows, cut) :]
        if not len(tail) or tail[-1] < generated:
            return tail
        return [index for index in tail if index < generated or created(index) >= start]

    def _sorted(self, rows: Sequence[int], query: ListQuery) -> Sequence[int]:
        if query.by_date and self.created is not None and len(rows) and rows[-1] >= self.table.generated:
            created = self.created
            rows = sorted(rows, key=lambda index: (created(index), index))
        return rows[::-1] if query.descending else rows


@attrs.frozen(kw_only=True)
class PageLimits:
    """The default and the largest page size, how many rows page numbers reach, and whether pages have cursors."""

    default: int = 15
    largest: int = 100
    reach: int = 10_000
    cursor: bool = True


class Lists:
    """Answers every list of one world."""

    def __init__(self, world: World, limits: PageLimits, quirks: Quirks) -> None:
        self._world = world
        self._limits = limits
        self._quirks = quirks
        self._frozen: dict[tuple[str, ListQuery], int] = {}
        products = _listing(
            world.products,
            *("uuid", "productId", "sku", "name", "ean", "barcode", "type"),
            webshop=world.product_webshop,
        )
        products.searchable["supplierUuid"] = lambda index: (world.products.bare(index)["supplier"] or {}).get("uuid")
        products.candidates["sku"] = world.products_with_sku
        orders = _listing(
            world.orders,
            *("uuid", "externalDisplayId"),
            webshop=world.order_webshop,
            created=world.order_created,
            status=world.order_status,
            past=world.past_statuses,
        )
        # The database knows the shop's own id also where the response leaves it out.
        orders.searchable |= {"status": world.order_status, "orderId": world.order_id, "orderNumber": world.order_id}
        orders.candidates |= dict.fromkeys(("externalDisplayId", "orderNumber", "orderId"), world.orders_with_number)
        shipments = _listing(
            world.shipments,
            *("uuid", "status", "trackTraceCode", "externalId", "referenceText", "shippingMethod"),
            webshop=world.shipment_webshop,
            created=world.shipment_created,
        )
        hooks = ("webhookUuid", "webhookEvent", "targetUrl", "webshopUuid", "webshopName")
        self.by_path: dict[str, Listing] = {
            "/webshops": _listing(world.webshops, "uuid", "name", "url", "platform"),
            "/picklocations": _listing(world.pick_locations, "uuid", "name"),
            "/products": products,
            "/orders": orders,
            "/shipments": shipments,
            "/webhooks": _listing(world.webhooks, *hooks),
        }

    def controller(self, path: str) -> Controller:
        """Return the controller of the list with this path."""
        return lambda request: self._answer(self.by_path[path], request)

    def page(
        self, listing: Listing, query: ListQuery, number: int = 1, asked: int | None = None, cursor: str = ""
    ) -> dict[str, Any]:
        """Return a page of a list, by its number or, with a cursor, by that: `items` and `pageInfo`.

        Raises:
            ValueError: The cursor is not from this sandbox.
        """
        limits, quirks = self._limits, self._quirks
        selection = listing.select(query)
        size = limits.default if quirks.ignore_per_page or asked is None else min(asked, limits.largest)
        if cursor:
            start = bisect_right(selection, _read_cursor(cursor), key=listing.sort_key(query))
            indices = selection[start : start + size]
        else:
            start = self._start(len(selection), number, size)
            indices = selection[start : min(start + size, limits.reach)]
        total, last = self._totals((listing.table.kind, query), len(selection), size)
        info: dict[str, Any] = {
            "totalItems": total,
            "itemsPerPage": asked if quirks.hide_clamp and asked else size,
            "currentPage": number,
            "lastPage": last,
        }
        if limits.cursor and len(indices) and start + len(indices) < len(selection):
            following = _write_cursor(listing.sort_key(query)(indices[-1]))
            info["cursor"] = cursor if quirks.repeat_cursor and cursor else following
        page: dict[str, Any] = {"items": [listing.table.row(index) for index in indices], "pageInfo": info}
        if quirks.drop_empty_items and not page["items"]:
            del page["items"]
        if quirks.drop_page_info:
            del page["pageInfo"]
        return page

    def _start(self, total: int, number: int, size: int) -> int:
        start = (number - 1) * size
        within = min(total, self._limits.reach)
        if self._quirks.repeat_last_page and start >= within:
            return max(0, (within - 1) // size * size)
        return start if start < self._limits.reach else total

    def _totals(self, key: tuple[str, ListQuery], total: int, size: int) -> tuple[int, int]:
        """Return `totalItems` and `lastPage`."""
        quirks = self._quirks
        if quirks.freeze_page_info:
            total = self._frozen.setdefault(key, total)
        last = max(1, -(-total // (quirks.last_page_for or size)))
        return (
            total if quirks.total_items is None else quirks.total_items,
            last if quirks.last_page is None else quirks.last_page,
        )

    def _answer(self, listing: Listing, request: Incoming) -> Answer:
        errors = Errors()
        query = self._read_query(listing, request, errors)
        number, size = _read_positive("page", request, errors), _read_positive("perPage", request, errors)
        if not errors:
            try:
                return json_answer(self.page(listing, query, number or 1, size, _asked("cursor", request)))
            except ValueError:
                errors.add("cursor", "in")
        raise invalid(request, errors)

    def _read_query(self, listing: Listing, request: Incoming, errors: Errors) -> ListQuery:
        webshop, statuses, column = (_asked(name, request) for name in ("webshopUuid", "orderstatus", "orderBy"))
        direction = _asked("orderByDirection", request).lower() or "asc"
        if column and (column != "createDate" or not listing.created):
            errors.add("orderBy", "in")
        if direction not in {"asc", "desc"}:
            errors.add("orderByDirection", "in")
        index = self._world.webshops.find(webshop)
        return ListQuery(
            webshop=None if not webshop else -1 if index is None else index,
            created_after=_read_day("createdAfter", request, errors) if listing.created else None,
            search=self._read_search(listing, request, errors),
            status=frozenset(statuses.split(",")) if statuses and listing.status else None,
            leaks=self._quirks.orderstatus_leaks,
            by_date=bool(column),
            descending=bool(column) and direction == "desc",
        )

    def _read_search(self, listing: Listing, request: Incoming, errors: Errors) -> tuple[str, str] | None:
        if _asked("searchDelimiter", request) not in {"", "="}:
            errors.add("searchDelimiter", "in")
        attribute = _asked("searchAttribute", request)
        if not attribute:
            return None
        evident = _EVIDENT.get(listing.table.kind, ()) if self._quirks.strict else listing.searchable
        if attribute not in listing.searchable or attribute not in evident:
            errors.add("searchAttribute", "in")
        return attribute, _asked("searchValue", request)


def _listing(table: Table, *attributes: str, **more: Any) -> Listing:
    """Return a list that is searched by these attributes of its rows; the first one is the uuid."""

    def by_uuid(uuid: str) -> list[int]:
        index = table.find(uuid)
        return [] if index is None else [index]

    searchable = {name: _reader(table, name) for name in attributes}
    return Listing(table=table, searchable=searchable, candidates={attributes[0]: by_uuid}, **more)


def _reader(table: Table, attribute: str) -> Callable[[int], Any]:
    return lambda index: table.bare(index).get(attribute)


def _asked(name: str, request: Incoming) -> str:
    """Return a parameter, trimmed as Laravel trims all input; empty without one."""
    return request.query.get(name, "").strip()


def _read_positive(name: str, request: Incoming, errors: Errors) -> int | None:
    if name not in request.query:
        return None
    text = _asked(name, request)
    if not re.fullmatch(r"[+-]?\d{1,100}", text, re.ASCII):
        errors.add(name, "integer")
    elif int(text) < 1:
        errors.add(name, "min", minimum=1)
    else:
        return int(text)
    return None


def _read_day(name: str, request: Incoming, errors: Errors) -> date | None:
    if name not in request.query:
        return None
    try:
        return date.fromisoformat(_asked(name, request)[:10])
    except ValueError:
        errors.add(name, "date")
        return None


def _write_cursor(key: tuple[int, int]) -> str:
    return urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> tuple[int, int]:
    try:
        first, second = json.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        return int(first), int(second)
    except TypeError as problem:
        raise ValueError(cursor) from problem
