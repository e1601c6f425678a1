"""What the control API shows: the state of a sandbox as JSON-ready values."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

import attrs

from goedgepickt_async.sandbox.app import Quirks, Throttle
from goedgepickt_async.sandbox.deliveries import Deliveries, Delivery
from goedgepickt_async.sandbox.faults import FaultSchedule, ScheduledFault
from goedgepickt_async.sandbox.requests import RecordedRequest
from goedgepickt_async.sandbox.world import ACTIONS, World


class Controlled(Protocol):
    """What the control API uses of a sandbox."""

    world: World
    quirks: Quirks
    requests: list[RecordedRequest]
    arrived: int
    deliveries: Deliveries
    faults: FaultSchedule
    openapi: Mapping[str, Any] | None
    api_key: str
    account_key: str
    takes_any_key: bool
    closing: asyncio.Event

    @property
    def lively(self) -> float | None: ...

    @lively.setter
    def lively(self, rate: float | None) -> None: ...

    @property
    def url(self) -> str: ...

    @property
    def account_url(self) -> str: ...

    @property
    def page_url(self) -> str: ...

    @property
    def throttle(self) -> Throttle | None: ...

    def now(self) -> float: ...

    def set_throttle(self, limit: int | None, period: float = 60.0) -> None: ...

    def clear_faults(self) -> None: ...

    async def reset(self, **sizes: Any) -> None: ...


_SEARCHED: Final = 2000
"""The number of newest orders that are searched for words. A whole number or uuid is searched in all orders."""
_SORTED: Final = 20_000
"""Products that are sorted or searched at most."""


@attrs.frozen(kw_only=True)
class Window:
    """Which part of a list is shown: at most `limit` rows after the first `offset` rows, searched, sorted and filtered."""

    offset: int = 0
    limit: int = 50
    search: str = ""
    sort: str = ""
    descending: bool = False
    filters: Mapping[str, str] = attrs.field(factory=dict)

    def of(self, rows: Sequence[Any], show: Callable[[Any], Any]) -> dict[str, Any]:
        """Return the part of a list that the window shows."""
        return {"total": len(rows), "offset": self.offset, "items": [show(row) for row in self._slice(rows)]}

    def _slice(self, rows: Sequence[Any]) -> Sequence[Any]:
        start, stop = self.offset, self.offset + self.limit
        if not self.descending:
            return rows[start:stop]
        # From the end, without turning a list of 300,000 around.
        first, last = max(0, len(rows) - stop), max(0, len(rows) - start)
        return list(rows[first:last])[::-1]


def state(sandbox: Controlled) -> dict[str, Any]:
    """Return the whole state in short."""
    world = sandbox.world
    return {
        "urls": {"fulfilment": sandbox.url, "account": sandbox.account_url, "page": sandbox.page_url},
        "keys": {"fulfilment": sandbox.api_key, "account": sandbox.account_key, "any": sandbox.takes_any_key},
        "environment": {"GOEDGEPICKT_API_KEY": sandbox.api_key, "GOEDGEPICKT_BASE_URL": sandbox.url},
        "world": {
            "seed": world.settings.seed,
            "now": world.now_text(),
            "orders": len(world.orders),
            "products": len(world.products),
            "shipments": len(world.shipments),
            "pick_locations": len(world.pick_locations),
            "statuses": world.status_counts(),
            "webshops": [{"uuid": row["uuid"], "name": row["name"]} for row in world.webshops],
        },
        "throttle": throttle(sandbox),
        "requests": {"total": sandbox.arrived, "kept": len(sandbox.requests)},
        "faults": [fault(entry) for entry in sandbox.faults.pending()],
        "quirks": attrs.asdict(sandbox.quirks),
        "subscriptions": len(world.webhooks),
        "deliveries": {"total": len(sandbox.deliveries), **Counter(str(one.state) for one in sandbox.deliveries)},
        "lively": sandbox.lively,
    }


def throttle(sandbox: Controlled) -> dict[str, Any]:
    """Return the throttle: its limit, and each client's open window."""
    present = sandbox.throttle
    if present is None:
        return {"limit": None, "period": None, "refused": 0, "clients": []}
    clients = [
        {"client": client, "used": used, "resets_in": resets_in}
        for client, (used, resets_in) in sorted(present.used(sandbox.now()).items())
    ]
    return {"limit": present.limit, "period": present.period, "refused": present.refused, "clients": clients}


def recorded(one: RecordedRequest, *, whole: bool = False) -> dict[str, Any]:
    """Return a request that arrived; its key is never in it."""
    names = ("number", "at", "method", "path", "base", "query", "status", "seconds", "throttled", "applied", "fault")
    shown = {name: getattr(one, name) for name in names} | {"query": [list(pair) for pair in one.query.items()]}
    if not whole:
        return shown
    headers = [list(pair) for pair in one.headers.items()]
    raw = one.raw.decode("utf-8", "replace")
    return {**shown, "headers": headers, "body": one.body, "raw": raw, "connection": one.connection}


def requests(sandbox: Controlled, window: Window) -> dict[str, Any]:
    """Return a part of the requests that arrived, newest first unless it is sorted otherwise."""
    wanted = window.filters
    rows = [
        one
        for one in sandbox.requests
        if window.search.lower() in f"{one.method} {one.path} {one.status} {one.fault or ''}".lower()
        and wanted.get("method", one.method).upper() == one.method
        and wanted.get("path", one.path) == one.path
        and wanted.get("status", str(one.status)) == str(one.status)
        and one.number > int(wanted.get("after") or 0)
    ]
    return window.of(rows, recorded)


def fault(entry: ScheduledFault) -> dict[str, Any]:
    """Return a fault that is still to be played."""
    return {
        "number": entry.number,
        "method": entry.method,
        "path": entry.pattern,
        "fault": entry.said or type(entry.fault).__name__,
        "times": entry.times,
        "after": entry.after,
        "played": entry.played,
    }


def order(world: World, index: int) -> dict[str, Any]:
    """Return an order in one line, with what can be done to it."""
    row = world.orders.row(index)
    uuid = row["uuid"]
    name = " ".join(str(row[part]) for part in ("shippingFirstName", "shippingLastName") if row.get(part))
    return {
        "uuid": uuid,
        "number": row["externalDisplayId"],
        "status": row["status"],
        "stage": world.stage(uuid),
        "actions": world.actions(uuid),
        "created": row["createDate"],
        "customer": name or row.get("shippingCompany"),
        "city": row.get("shippingCity"),
        "country": row.get("shippingCountry"),
        "webshop": row.get("webshopName"),
        "lines": len(row["products"]),
        "total": row.get("totalPaid"),
    }


def whole_order(world: World, index: int) -> dict[str, Any]:
    """Return an order as the API serves it, with its stage, its actions, and what it waits for."""
    row = world.orders.row(index)
    return {
        "order": row,
        "stage": world.stage(row["uuid"]),
        "actions": [{"name": name, "text": ACTIONS[name]} for name in world.actions(row["uuid"])],
        "missing": [
            {"sku": world.product_label(product)[0], "productUuid": world.products.uuid(product), "missing": lacking}
            for product, lacking in world.allocator.missing(index).items()
        ],
        "shipments": [world.shipments.row(shipment) for shipment in world.shipments_of(index)],
    }


def orders(world: World, window: Window) -> dict[str, Any]:
    """Return a part of the orders, oldest first unless it is sorted otherwise."""
    status = window.filters.get("status")
    rows: Sequence[int] = world.orders_with_status(status) if status else world.orders.living()
    if window.search:
        rows = _search_orders(world, rows, window.search.strip())
    return window.of(rows, lambda index: order(world, index))


def product(world: World, index: int) -> dict[str, Any]:
    """Return a product in one line, with its stock."""
    row = world.products.row(index)
    return {name: row[name] for name in ("uuid", "sku", "name", "price", "type", "stock")}


def products(world: World, window: Window) -> dict[str, Any]:
    """Return a part of the products, in their own order unless it is sorted otherwise."""
    rows: Sequence[int] = world.products.living()
    if len(rows) <= _SORTED:
        if words := window.search.lower().split():
            rows = [
                index
                for index in rows
                if all(
                    word in f"{' '.join(world.product_label(index))} {world.products.uuid(index)}".lower()
                    for word in words
                )
            ]
        if key := _PRODUCT_KEYS.get(window.sort):
            rows = sorted(rows, key=lambda index: key(world, index))
    return window.of(rows, lambda index: product(world, index))


def whole_product(world: World, index: int) -> dict[str, Any]:
    """Return a product as the API serves it, with what lies where and the orders that have reserved it."""
    waiting = world.allocator.waiting_for(index)
    return {
        "product": world.products.row(index),
        "locations": world.stock_locations(index),
        "reserved_by": [
            {"uuid": world.orders.uuid(number), "quantity": world.allocator.needs(number)[index], "covered": covered}
            for number, covered in waiting[:100]
        ],
        "reserved_by_total": len(waiting),
    }


def delivery(one: Delivery, *, whole: bool = False) -> dict[str, Any]:
    short: dict[str, Any] = {
        "number": one.number,
        "webhookUuid": one.webhook_uuid,
        "targetUrl": one.target_url,
        "event": one.event,
        "state": str(one.state),
        "attempts": [attrs.asdict(attempt) for attempt in one.attempts],
        "payload": one.payload,
    }
    return {**short, "body": one.body.decode(), "signature": one.signature} if whole else short


def _search_orders(world: World, rows: Sequence[int], text: str) -> Sequence[int]:
    index = world.orders.find(text)
    exact = [index] if index is not None else world.orders_with_number(text)
    exact = [index for index in exact if text.lower() in {world.orders.uuid(index), *_numbers(world, index)}]
    if exact:
        wanted = set(rows) if len(rows) < len(world.orders) else None
        return [index for index in exact if wanted is None or index in wanted]
    words = text.lower().split()
    return [index for index in rows[-_SEARCHED:] if all(word in _order_text(world, index) for word in words)]


def _numbers(world: World, index: int) -> set[str]:
    shown = str(world.orders.bare(index)["externalDisplayId"]).lower()
    return {shown, shown.removeprefix("#"), world.order_id(index).lower()}


def _order_text(world: World, index: int) -> str:
    row = world.orders.bare(index)
    names = ("externalDisplayId", "status", *(f"shipping{part}" for part in ("FirstName", "LastName", "City", "Email")))
    lines = " ".join(f"{line['sku']} {line['productName']}" for line in row["products"])
    return f"{' '.join(str(row.get(name) or '') for name in names)} {lines}".lower()


_PRODUCT_KEYS: Final[dict[str, Callable[[World, int], Any]]] = {
    "sku": lambda world, index: world.product_label(index)[0].lower(),
    "name": lambda world, index: world.product_label(index)[1].lower(),
    "free": lambda world, index: world.inventory.stock(index).free,
    "reserved": lambda world, index: world.inventory.stock(index).reserved,
}
