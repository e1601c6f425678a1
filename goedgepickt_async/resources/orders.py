"""`gg.orders`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Mapping
from contextlib import aclosing
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import attrs

from goedgepickt_async._transport.pipeline import Sender
from goedgepickt_async.convert import encode
from goedgepickt_async.errors import (
    Evidence,
    MultipleFoundError,
    PagingError,
    ValidationError,
    without_frames,
)
from goedgepickt_async.models import UNSET, NewOrder, Order, OrderStatus, Unset
from goedgepickt_async.models.base import AMSTERDAM, OrderStatusName, warn_unknown
from goedgepickt_async.models.validators import coerce_input
from goedgepickt_async.paging import OnUnreadable, Paginator
from goedgepickt_async.resources.base import Resource, create_or_lookup, day, not_proven, request_to
from goedgepickt_async.resources.catalogue import Webshops

if TYPE_CHECKING:
    from goedgepickt_async.bulk.plan import Plan

__all__ = [
    "CreatedOrder",
    "Identity",
    "Orders",
    "created_on_or_after",
    "identified",
    "identities_of_new",
    "identity_of",
    "is_of_webshop",
    "webshop_name",
]

Identity = tuple[str, str]
"""The kind of the id, and the id."""


def identity_of(order: Order) -> Identity | None:
    """Return the identity of an order: the shop's id, or the number that people see if the id is absent (C)."""
    for shops_id in (order.order_id, order.order_number):
        if shops_id is not None:
            return "id", shops_id
    return None if order.display_id is None else ("display", order.display_id.removeprefix("#"))


async def identified(orders: Paginator[Order]) -> AsyncGenerator[tuple[Identity, Order]]:
    """Yield the orders of a list that have an identity.

    If no order has an id or a number, it is not proven whether an order is there: a `DecodeError`.
    """
    unnamed = named = False
    async for order in orders:
        identity = identity_of(order)
        if identity is None:
            unnamed = True
        else:
            named = True
            yield identity, order
    if unnamed and not named:
        why = "no order of the list has an id or a number, so it is not known which orders are there"
        raise not_proven("/orders", why, problems=["$.items[0].externalDisplayId: required, but missing"])


def identities_of_new(order_id: str, display_id: str | Unset | None) -> frozenset[Identity]:
    """All values that `identity_of` can return for an order after its creation."""
    shown = order_id if display_id is UNSET or display_id is None else display_id
    return frozenset({("id", order_id), ("display", shown.removeprefix("#"))})


async def webshop_name(sender: Sender, uuid: str) -> str | None:
    """Return the name of a webshop, because orders have the name and not the uuid."""
    async for webshop in Webshops(sender).list():
        if webshop.uuid.casefold() == uuid.casefold():
            return webshop.name
    return None


def is_of_webshop(order: Order, name: str | None) -> bool:
    """Whether an order can be of the webshop with this name.

    The filter by webshop was seen only once (B), and two webshops can use the same id.
    """
    return name is None or order.webshop_name in {None, "", name}


def created_on_or_after(created_at: datetime | Unset) -> date:
    """The first day of the lookup: the day before the order's date, or yesterday.

    The API filters by day only.
    """
    today = datetime.now(AMSTERDAM).date()
    created = today if created_at is UNSET else min(today, created_at.astimezone(AMSTERDAM).date())
    return created - timedelta(days=1)


_MOST_LOOKED_AT = 3_000
"""The largest number of rows that a lookup reads, in 30 requests."""


@attrs.frozen(kw_only=True)
class CreatedOrder:
    """The result of creating an order.

    Attributes:
        uuid: GoedGepickt's id for the order.
        order_id: The shop's own id for the order, as sent.
        looked_up: Whether the response was lost and a lookup found the order.
    """

    uuid: str
    order_id: str
    looked_up: bool = False


class Orders(Resource):
    """The orders of the account."""

    def list(
        self,
        *,
        created_after: date | None = None,
        status: OrderStatusName | OrderStatus | str | None = None,
        webshop_uuid: str | None = None,
        on_unreadable: OnUnreadable = "raise",
    ) -> Paginator[Order]:
        """All orders, oldest first: `GET /orders` (A).

        Args:
            created_after: Only orders since this day (A), Dutch time. A datetime with a time zone is converted to its
                Dutch day.
            status: Only orders with this status (A/B). The client filters again, because the response can contain other
                orders (B). An unknown status causes a warning.
            webshop_uuid: Only orders of this webshop (B).
            on_unreadable: `"raise"`, `"skip"` or a function: see `products.list`.

        Raises:
            ConfigurationError: The datetime has no time zone.
        """
        warn_unknown(OrderStatus, status)
        filters = {"created_after": day(created_after), "status": status, "webshop_uuid": webshop_uuid}
        predicate = None if status is None else (lambda order: order.status == status)
        return self._list("orders.list", Order, filters, predicate=predicate, on_unreadable=on_unreadable)

    async def get(self, uuid: str) -> Order:
        """Return one order: `GET /orders/{uuid}` (A).

        Raises:
            NotFoundError: No order has this uuid.
        """
        return await self._get("orders.get", Order, uuid=uuid)

    async def find_by_order_id(
        self, order_id: str, *, created_after: date | None = None, webshop_uuid: str | None = None
    ) -> Order | None:
        """Return the order with this id of the shop, or None.

        No such search of the API is known, so all orders are read: one request per 100 orders.
        Pass `created_after` to read fewer. A webhook delivery calls this id `order_number`.

        Args:
            order_id: The shop's own id for the order. If the API leaves the id out (C), the number that people see is
                compared, with or without `#`.
            created_after: Only orders since this day (Dutch time).
            webshop_uuid: Only orders of this webshop (B).

        Raises:
            MultipleFoundError: Several orders have this id.
            ValidationError: The id is empty or not a str.
            DecodeError: Orders came, and none of them has an id or a number.
        """
        if not isinstance(order_id, str) or not order_id.strip():
            raise ValidationError(
                "order_id must be text that is not empty", fields={"order_id": ["must be text, not empty"]}
            )
        wanted = identities_of_new(order_id, UNSET)
        orders = self.list(created_after=created_after, webshop_uuid=webshop_uuid)
        async with aclosing(identified(orders)) as named:
            found = [order async for identity, order in named if identity in wanted]
        if len(found) > 1:
            raise MultipleFoundError(
                f"{len(found)} orders have the id {order_id!r}",
                uuids=[order.uuid for order in found],
                evidence=Evidence.FINAL,
                method="GET",
                path="/orders",
            )
        return found[0] if found else None

    async def create(self, order: NewOrder | Mapping[str, Any]) -> CreatedOrder:
        """Create an order: `POST /orders` (A).

        The effect of a second request is unknown, so there is no retry without a lookup. If the outcome is unknown, the
        order is looked up by the shop's id among the newest orders.

        Args:
            order: The order, or a mapping with the Python names of its fields.

        Raises:
            ValidationError: The API or the client refuses a field. The client checks before it sends a request.
            OutcomeUnknownError: The server may have created the order; `body` is the body that was sent.
        """
        try:
            order = coerce_input(NewOrder, order)
        except ValidationError as error:
            del order  # error trackers collect local variables
            raise without_frames(error) from None
        webshop = self._webshop(order.webshop_uuid)
        request = request_to("orders.create", encode(attrs.evolve(order, webshop_uuid=webshop)))

        def created(data: Any) -> CreatedOrder | None:
            uuid = _created_uuid(data)
            return CreatedOrder(uuid=uuid, order_id=order.order_id) if uuid else None

        return await create_or_lookup(self._sender, request, created, lambda: self._find(order, webshop))

    async def _find(self, new: NewOrder, webshop_uuid: str) -> CreatedOrder | None:
        """Return the order of this webshop with the shop's id, among the newest orders."""
        shop, since = await webshop_name(self._sender, webshop_uuid), created_on_or_after(new.created_at)
        wanted = identities_of_new(new.order_id, new.display_id)
        orders = self.list(created_after=since, webshop_uuid=webshop_uuid).limit(_MOST_LOOKED_AT)
        seen, found = 0, []
        async for order in orders:
            seen += 1
            if identity_of(order) in wanted and is_of_webshop(order, shop):
                found.append(order.uuid)
        if len(found) > 1:
            raise MultipleFoundError(f"{len(found)} orders have this id", uuids=found)
        if not found and seen >= _MOST_LOOKED_AT:
            raise PagingError(
                f"there are more than {_MOST_LOOKED_AT} orders since {since}; the lookup did not read all of them"
            )
        return CreatedOrder(uuid=found[0], order_id=new.order_id, looked_up=True) if found else None

    async def plan(
        self,
        new_orders: Iterable[NewOrder | Mapping[str, Any]] | AsyncIterable[NewOrder | Mapping[str, Any]],
        *,
        since: date | None = None,
        webshop_uuid: str | None = None,
    ) -> Plan:
        """Find out which of these orders exist already, by the shop's id. So you can repeat an import.

        Args:
            new_orders: `NewOrder` objects, or mappings with the Python names of their fields. Addresses can be mappings
                too, and times can be ISO 8601 text with an offset.
            since: Compare with orders since this day. None: since the oldest `created_at`, and at least since 60 days
                ago. If an order has no `created_at`, all orders are read. `plan.looked_at` has the result.
            webshop_uuid: The uuid or name of the webshop. None: the webshop of the client, or the only webshop of the
                account.

        Raises:
            ConfigurationError: The webshop does not exist, or the account has several webshops and `webshop` is None.
            GoedGepicktError: The present orders could not be read.
        """
        from goedgepickt_async.bulk import map as bulk_map  # noqa: PLC0415  bulk is built on the resources
        from goedgepickt_async.bulk import planner  # noqa: PLC0415

        rows = bulk_map.aiter_any(new_orders)
        del new_orders  # error trackers collect local variables
        return await planner.make_plan(self._sender, "orders", rows, webshop=webshop_uuid, since=day(since))


def _created_uuid(data: Any) -> str | None:
    """Return the uuid: `orderUuid`, `uuid`, `order.uuid` or `data.uuid`, or absent (reference section 4.5, B)."""
    if not isinstance(data, Mapping):
        return None
    inner = [data, data.get("order"), data.get("data")]
    candidates = [part.get(name) for part in inner if isinstance(part, Mapping) for name in ("orderUuid", "uuid")]
    return next((uuid for uuid in candidates if isinstance(uuid, str) and uuid), None)
