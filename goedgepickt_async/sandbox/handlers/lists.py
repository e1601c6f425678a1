"""GET on the collections: webshops, products, pick locations, orders, shipments, webhooks."""

from __future__ import annotations

import re
from datetime import date
from typing import Any, Final

from goedgepickt_async.sandbox.answers import Answer, Refusal, json_answer, validation_error
from goedgepickt_async.sandbox.app import Controller
from goedgepickt_async.sandbox.lists import BadCursorError, Listing, ListQuery, PageLimits, Pager, PageRequest
from goedgepickt_async.sandbox.quirks import Quirks
from goedgepickt_async.sandbox.requests import Incoming
from goedgepickt_async.sandbox.validation import validation_text
from goedgepickt_async.sandbox.world import Table, World

__all__ = ["Lists"]

_EVIDENT: Final = {"order": ("status",), "product": ("sku", "supplierUuid")}
"""The searches that public evidence exists for (reference sections 4.2 and 4.5)."""


class Lists:
    """Answers every list of one world."""

    def __init__(self, world: World, limits: PageLimits, quirks: Quirks) -> None:
        """Take what to list, how large pages are, and where to lie."""
        self._world = world
        self._quirks = quirks
        self._pager = Pager(limits, quirks)
        self.plain: dict[str, Listing] = {
            "/webshops": _plain(world.webshops, "uuid", "name", "url", "platform"),
            "/picklocations": _plain(world.pick_locations, "uuid", "name"),
        }
        """Path -> a list that has no other endpoint."""
        self.webhooks: Listing = _plain(
            world.webhooks, "webhookUuid", "webhookEvent", "targetUrl", "webshopUuid", "webshopName"
        )
        self.products: Listing = self._list_products()
        self.orders: Listing = self._list_orders()
        self.shipments: Listing = self._list_shipments()

    def of(self, listing: Listing) -> Controller:
        """Return the controller of a list."""
        return lambda request: self._answer(listing, request)

    def _answer(self, listing: Listing, request: Incoming) -> Answer:
        errors: dict[str, list[str]] = {}
        query = self._read_query(listing, request, errors)
        asked = PageRequest(
            number=_positive("page", request, errors) or 1,
            size=_positive("perPage", request, errors),
            cursor=_asked("cursor", request) or None,
        )
        if not errors:
            try:
                return json_answer(self._pager.page(listing, query, asked))
            except BadCursorError:
                errors["cursor"] = [validation_text("in", "cursor")]
        raise Refusal(validation_error(errors, wants_json=request.wants_json, previous=request.referer))

    def _read_query(self, listing: Listing, request: Incoming, errors: dict[str, list[str]]) -> ListQuery:
        webshop = _asked("webshopUuid", request)
        statuses = _asked("orderstatus", request)
        by_date, descending = _read_order(listing, request, errors)
        return ListQuery(
            webshop=self._webshop(webshop) if webshop else None,
            created_after=_read_day(request, errors) if listing.created else None,
            search=_read_search(listing, request, errors, strict=self._quirks.strict),
            status=frozenset(statuses.split(",")) if statuses and listing.status else None,
            leaks=self._quirks.orderstatus_leaks,
            by_date=by_date,
            descending=descending,
        )

    def _webshop(self, uuid: str) -> int:
        index = self._world.webshops.find(uuid)
        return -1 if index is None else index

    def _list_products(self) -> Listing:
        table = self._world.products
        listing = _plain(table, "uuid", "productId", "sku", "name", "ean", "barcode", "type")
        listing.searchable["supplierUuid"] = lambda index: (table.bare(index)["supplier"] or {}).get("uuid")
        listing.candidates["sku"] = self._world.products_with_sku
        listing.webshop = self._world.product_webshop
        return listing

    def _list_orders(self) -> Listing:
        world = self._world
        listing = _plain(world.orders, "uuid", "externalDisplayId")
        listing.searchable["status"] = world.order_status
        # The database knows the shop's own id also where the answer leaves it out.
        listing.searchable["orderId"] = listing.searchable["orderNumber"] = world.order_id
        for attribute in ("externalDisplayId", "orderNumber", "orderId"):
            listing.candidates[attribute] = world.orders_with_number
        listing.webshop = world.order_webshop
        listing.created = world.order_created
        listing.status = world.order_status
        listing.past = world.past_statuses
        return listing

    def _list_shipments(self) -> Listing:
        world = self._world
        attributes = ("uuid", "status", "trackTraceCode", "externalId", "referenceText", "shippingMethod")
        listing = _plain(world.shipments, *attributes)
        listing.webshop = world.shipment_webshop
        listing.created = world.shipment_created
        return listing


def _plain(table: Table, *attributes: str) -> Listing:
    listing = Listing(table=table, searchable={name: _reader(table, name) for name in attributes})

    def by_uuid(uuid: str) -> list[int]:
        index = table.find(uuid)
        return [] if index is None else [index]

    listing.candidates[attributes[0]] = by_uuid
    return listing


def _reader(table: Table, attribute: str) -> Any:
    return lambda index: table.bare(index).get(attribute)


def _asked(name: str, request: Incoming) -> str:
    """Return a parameter, trimmed as Laravel trims all input; empty where there is none."""
    return request.query.get(name, "").strip()


def _positive(name: str, request: Incoming, errors: dict[str, list[str]]) -> int | None:
    if name not in request.query:
        return None
    text = _asked(name, request)
    if not re.fullmatch(r"[+-]?\d{1,100}", text, re.ASCII):
        errors[name] = [validation_text("integer", name)]
    elif int(text) < 1:
        errors[name] = [validation_text("min", name, minimum=1)]
    else:
        return int(text)
    return None


def _read_day(request: Incoming, errors: dict[str, list[str]]) -> date | None:
    if "createdAfter" not in request.query:
        return None
    text = _asked("createdAfter", request)
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        errors["createdAfter"] = [validation_text("date", "createdAfter")]
        return None


def _read_search(
    listing: Listing, request: Incoming, errors: dict[str, list[str]], *, strict: bool
) -> tuple[str, str] | None:
    if _asked("searchDelimiter", request) not in {"", "="}:
        errors["searchDelimiter"] = [validation_text("in", "searchDelimiter")]
    attribute = _asked("searchAttribute", request)
    if not attribute:
        return None
    evident = _EVIDENT.get(listing.table.kind, ()) if strict else listing.searchable
    if attribute not in listing.searchable or attribute not in evident:
        errors["searchAttribute"] = [validation_text("in", "searchAttribute")]
    return attribute, _asked("searchValue", request)


def _read_order(listing: Listing, request: Incoming, errors: dict[str, list[str]]) -> tuple[bool, bool]:
    column = _asked("orderBy", request)
    direction = _asked("orderByDirection", request).lower() or "asc"
    if column and (column != "createDate" or not listing.created):
        errors["orderBy"] = [validation_text("in", "orderBy")]
    if direction not in {"asc", "desc"}:
        errors["orderByDirection"] = [validation_text("in", "orderByDirection")]
    return bool(column), bool(column) and direction == "desc"
