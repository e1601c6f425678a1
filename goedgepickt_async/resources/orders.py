"""`gg.orders`."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import attrs

from goedgepickt_async.convert import encode
from goedgepickt_async.errors import Evidence, MultipleFoundError, PagingError, ValidationError
from goedgepickt_async.models import UNSET, NewOrder, Order, OrderStatus, Unset, Webshop
from goedgepickt_async.models.base import OrderStatusName, warn_unknown
from goedgepickt_async.models.validators import coerce_input
from goedgepickt_async.paging import OnUnreadable, Paginator
from goedgepickt_async.resources.base import DUTCH, Resource, create_or_lookup, day, request_to

if TYPE_CHECKING:
    from goedgepickt_async.bulk.plan import Plan

__all__ = [
    "CreatedOrder",
    "Identity",
    "Orders",
    "created_on_or_after",
    "identities_of_new",
    "identity_of",
    "is_same_order",
]

Identity = tuple[str, str]
"""The kind of the id, and the id."""


def identity_of(order: Order) -> Identity | None:
    """What tells an order apart: the shop's id, or what people see where the answer leaves that out (C)."""
    for shops_id in (order.order_id, order.order_number):
        if shops_id is not None:
            return "id", shops_id
    return None if order.display_id is None else ("display", order.display_id.removeprefix("#"))


def identities_of_new(order_id: str, display_id: str | Unset | None) -> frozenset[Identity]:
    """All that `identity_of` may say of an order, once it has been created."""
    shown = order_id if display_id is UNSET or display_id is None else display_id
    return frozenset({("id", order_id), ("display", shown.removeprefix("#"))})


def is_same_order(order: Order, new: NewOrder) -> bool:
    """Whether an order of the same webshop is the one that was to be created."""
    return identity_of(order) in identities_of_new(new.order_id, new.display_id)


def created_on_or_after(created_at: datetime | Unset) -> date:
    """The day to list orders from, to find one: the day before its own date, or before today.

    The API's filter knows days only.
    """
    today = datetime.now(DUTCH).date()
    created = today if created_at is UNSET else min(today, created_at.astimezone(DUTCH).date())
    return created - timedelta(days=1)


_MOST_LOOKED_AT = 3_000
"""The largest number of rows that a lookup reads: 30 requests."""


@attrs.frozen(kw_only=True)
class CreatedOrder:
    """What creating an order gave.

    Attributes:
        uuid: GoedGepickt's id of it.
        order_id: The shop's own id, as sent.
        looked_up: The answer was lost, and the order was found by looking it up.
    """

    uuid: str
    order_id: str
    looked_up: bool = False


class Orders(Resource):
    """What is to be picked and sent."""

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
            created_after: A day (A), Dutch time; an aware datetime is taken as the Dutch day that it falls on.
            status: Only those (A/B); compared again here, since the answer may contain others (B). One that this version
                does not know warns once.
            webshop_uuid: Only this webshop's (B).
            on_unreadable: `"raise"`, `"skip"` or a function: see `products.list`.

        Raises:
            ConfigurationError: A naive datetime.
        """
        warn_unknown(OrderStatus, status)
        filters = {"created_after": day(created_after), "status": status, "webshop_uuid": webshop_uuid}
        predicate = None if status is None else (lambda order: order.status == status)
        return self._list("orders.list", Order, filters, predicate=predicate, on_unreadable=on_unreadable)

    async def get(self, uuid: str) -> Order:
        """One order: `GET /orders/{uuid}` (A).

        Raises:
            NotFoundError: No order has this uuid.
        """
        return await self._get("orders.get", Order, uuid=uuid)

    async def find_by_order_id(
        self, order_id: str, *, created_after: date | None = None, webshop_uuid: str | None = None
    ) -> Order | None:
        """The one order with this id of the shop's own, or None.

        The API is not known to search for it, so orders are read until the end of the list: one request per 100 orders.
        Pass `created_after` to read fewer. A webhook delivery calls this id `order_number`.

        Args:
            order_id: The shop's own id; also matches what people see, with or without `#`, where the API leaves the id
                out (C).
            created_after: Only orders since this day (Dutch time).
            webshop_uuid: Only this webshop's (B).

        Raises:
            MultipleFoundError: Several orders have it.
            ValidationError: The id is empty or no text.
        """
        if not isinstance(order_id, str) or not order_id.strip():
            raise ValidationError(
                "order_id: must be text that is not empty", fields={"order_id": ["must be text, not empty"]}
            )
        wanted = identities_of_new(order_id, UNSET)
        orders = self.list(created_after=created_after, webshop_uuid=webshop_uuid)
        found = [order async for order in orders if identity_of(order) in wanted]
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

        The effect of a second request is unknown, so it is never blindly sent again. If its outcome is unknown, the order is
        looked up by the shop's id among the orders since then.

        Args:
            order: What to create; or a mapping of its fields' Python names.

        Raises:
            ValidationError: The API, or the client before a request was spent, refuses a field.
            OutcomeUnknownError: It may or may not have been created; `body` is what was sent.
        """
        order = coerce_input(NewOrder, order)
        webshop = self._webshop(order.webshop_uuid)
        request = request_to("orders.create", encode(attrs.evolve(order, webshop_uuid=webshop)))

        def created(data: Any) -> CreatedOrder | None:
            uuid = _created_uuid(data)
            return CreatedOrder(uuid=uuid, order_id=order.order_id) if uuid else None

        return await create_or_lookup(self._sender, request, created, lambda: self._find(order, webshop))

    async def _find(self, new: NewOrder, webshop_uuid: str) -> CreatedOrder | None:
        """The order of this webshop with the id that the shop gave it, among those since then."""
        shop, since = await self._name_of(webshop_uuid), created_on_or_after(new.created_at)
        orders = self.list(created_after=since, webshop_uuid=webshop_uuid).limit(_MOST_LOOKED_AT)
        seen, found = 0, []
        async for order in orders:
            seen += 1
            # The filter by webshop was seen once only (B): the same id in two shops is nothing unusual.
            if is_same_order(order, new) and shop in {None, order.webshop_name or shop}:
                found.append(order.uuid)
        if len(found) > 1:
            raise MultipleFoundError(f"{len(found)} orders have this id", uuids=found)
        if not found and seen >= _MOST_LOOKED_AT:
            raise PagingError(f"there are more than {_MOST_LOOKED_AT} orders since {since}; not all were looked at")
        return CreatedOrder(uuid=found[0], order_id=new.order_id, looked_up=True) if found else None

    async def _name_of(self, webshop_uuid: str) -> str | None:
        async for webshop in self._list("webshops.list", Webshop):
            if webshop.uuid == webshop_uuid:
                return webshop.name
        return None

    async def plan(
        self,
        new_orders: Iterable[NewOrder | Mapping[str, Any]] | AsyncIterable[NewOrder | Mapping[str, Any]],
        *,
        since: date | None = None,
        webshop_uuid: str | None = None,
    ) -> Plan:
        """Which of these orders exist already, by the shop's own id; so that an import can be run again.

        Args:
            new_orders: `NewOrder`, or mappings of its fields' Python names; addresses may be mappings too, instants
                ISO 8601 text with an offset.
            since: None of them was created before this day. None: since the oldest `created_at` and
                60 days ago at least; and if one has none, all orders are read. `plan.looked_at` says which.
            webshop_uuid: The webshop's uuid or name. None: the client's webshop, or the account's only one.

        Raises:
            ConfigurationError: The webshop does not exist, or there are several and you named none.
            GoedGepicktError: The present state could not be read.
        """
        from goedgepickt_async.bulk import planner  # noqa: PLC0415  bulk is built on the resources

        return await planner.make_plan(self._sender, "orders", new_orders, webshop=webshop_uuid, since=day(since))


def _created_uuid(data: Any) -> str | None:
    """Seen as `orderUuid`, `uuid`, `order.uuid`, `data.uuid`, or nothing (reference section 4.5, B)."""
    if not isinstance(data, Mapping):
        return None
    inner = [data, data.get("order"), data.get("data")]
    candidates = [part.get(name) for part in inner if isinstance(part, Mapping) for name in ("orderUuid", "uuid")]
    return next((uuid for uuid in candidates if isinstance(uuid, str) and uuid), None)
