"""The events that GoedGepickt reports (reference section 6), and how to read one from the body of a delivery.

An event says that something changed. Deliveries come late, more than once and out of order (A). Use an event as a
reason to read the current state; `WebhookReceiver.on_product_changed` and `on_order_changed` do that.

This module is the one table of events. To add an event, write its class here; all else follows from it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any, ClassVar, Final

import attrs

from goedgepickt_async.convert import decode
from goedgepickt_async.convert import parse as parse_json
from goedgepickt_async.errors import DecodeError
from goedgepickt_async.logs import report_drift
from goedgepickt_async.models import OrderStatus, WebhookEvent
from goedgepickt_async.models.base import Identifier, alias, field_info, optional_received

__all__ = [
    "EVENTS",
    "AnyEvent",
    "CompoundProductStockUpdated",
    "Event",
    "OrderStatusChanged",
    "StockUpdated",
    "UnknownEvent",
    "parse",
]


@attrs.frozen(kw_only=True, weakref_slot=False)
class Event:
    """The base class of all events.

    Attributes:
        wire_name: The value of `event` in the body (A).
        subscription: The subscription that delivers this event (A); None if that is not known.
        resource: What the event is about: `order` or `product`; empty if that is not known.
        example: The other fields of a body, by wire name, as the reference shows them.
    """

    wire_name: ClassVar[str] = ""
    subscription: ClassVar[WebhookEvent | None] = None
    resource: ClassVar[str] = ""
    example: ClassVar[Mapping[str, str]] = {}

    @property
    def resource_uuid(self) -> str | None:
        """The uuid of the order or product; None if that is not known."""
        return None

    @property
    def ordering_key(self) -> str | None:
        """Events with the same key are handled one at a time, in the order of arrival. None without a key."""
        return None if self.resource_uuid is None else f"{self.resource}:{self.resource_uuid}"


@attrs.frozen(kw_only=True, weakref_slot=False)
class OrderStatusChanged(Event):
    """The status of an order changed (A).

    Attributes:
        order_uuid: GoedGepickt's id of the order.
        order_number: The shop's own id of the order.
        new_status: The status when the event was written; it may have changed since.
        extra: Fields that this version does not know, by wire name, and fields of an unexpected type.
    """

    wire_name: ClassVar[str] = "orderStatusChanged"
    subscription: ClassVar[WebhookEvent | None] = WebhookEvent.ORDER_STATUS_CHANGED
    resource: ClassVar[str] = "order"
    example: ClassVar[Mapping[str, str]] = {
        "newStatus": "ready_for_picking",
        "orderNumber": "1001",
        "orderUuid": "6f2c1b9e-5d1c-4f4e-8f7e-3b0a7a9d1c42",
    }

    order_uuid: Identifier = attrs.field(metadata=alias("orderUuid", known="A 6"))
    order_number: str | None = optional_received("orderNumber", known="A 6")
    new_status: OrderStatus | None = optional_received("newStatus", known="A 6")
    extra: dict[str, Any] = attrs.field(factory=dict, repr=False, hash=False)

    @property
    def resource_uuid(self) -> str:
        """The uuid of the order."""
        return self.order_uuid


@attrs.frozen(kw_only=True, weakref_slot=False)
class _StockEvent(Event):
    subscription: ClassVar[WebhookEvent | None] = WebhookEvent.PRODUCT_STOCK_CHANGED
    resource: ClassVar[str] = "product"
    example: ClassVar[Mapping[str, str]] = {
        "newStock": "7",
        "productSku": "SB-00000",
        "productUuid": "0d0c5b0a-6a39-4c0f-9d0e-64c1f6a3e7b8",
    }

    product_uuid: Identifier = attrs.field(metadata=alias("productUuid", known="A 6"))
    product_sku: str | None = optional_received("productSku", known="A 6")
    new_stock: int | None = optional_received("newStock", known="A 6")
    extra: dict[str, Any] = attrs.field(factory=dict, repr=False, hash=False)

    @property
    def resource_uuid(self) -> str:
        """The uuid of the product."""
        return self.product_uuid


@attrs.frozen(kw_only=True, weakref_slot=False)
class StockUpdated(_StockEvent):
    """The stock of a product changed (A).

    Attributes:
        product_uuid: GoedGepickt's id of the product.
        product_sku: Its SKU; several products can have the same.
        new_stock: The stock when the event was written, text on the wire (A); it may have changed since.
        extra: Fields that this version does not know, by wire name, and fields of an unexpected type.
    """

    wire_name: ClassVar[str] = "stockUpdated"


@attrs.frozen(kw_only=True, weakref_slot=False)
class CompoundProductStockUpdated(_StockEvent):
    """The stock of a product that consists of other products changed (A). It has the same fields as `StockUpdated`."""

    wire_name: ClassVar[str] = "compoundProductStockUpdated"


@attrs.frozen(kw_only=True, weakref_slot=False)
class UnknownEvent(Event):
    """JSON for which this version has no class, or a known event without its id.

    Attributes:
        name: The value of `event`; None if it is not text.
        data: The whole body, decoded.
    """

    name: str | None = None
    data: Any = attrs.field(default=None, repr=False, hash=False)


AnyEvent = OrderStatusChanged | StockUpdated | CompoundProductStockUpdated | UnknownEvent
"""The type of what `parse` returns."""

EVENTS: Final[Mapping[str, type[AnyEvent]]] = {
    cls.wire_name: cls for cls in (OrderStatusChanged, StockUpdated, CompoundProductStockUpdated)
}
"""The known events, by wire name."""

_NAME: Final = "event"


def parse(body: bytes) -> AnyEvent:
    """Reads the event from the body of a verified delivery.

    Args:
        body: The bytes.

    Returns:
        The event. A field of an unexpected type is None and kept in `extra`; an event without an id is an
        `UnknownEvent`.

    Raises:
        DecodeError: The body is not JSON.
    """
    data = parse_json(body)
    if not isinstance(data, dict):
        return UnknownEvent(data=data)
    name = data.get(_NAME)
    name = name if isinstance(name, str) else None
    cls = EVENTS.get(name or "")
    if cls is None:
        report_drift("event", UnknownEvent.__name__, value=name or "")
    event: AnyEvent | None = None if cls is None else _decoded(data, cls)
    return event or UnknownEvent(name=name, data=data)


def _decoded(data: dict[str, Any], cls: Any) -> Any:
    """The event, with its invalid fields in `extra`; None if its id, which is its first field, is invalid."""
    fields = {key: value for key, value in data.items() if key != _NAME}
    with contextlib.suppress(DecodeError):
        return decode(fields, cls)
    valid: dict[str, Any] = {}
    for key in (info.name for field in attrs.fields(cls) if (info := field_info(field.metadata))):
        try:
            decode({**valid, key: fields.get(key)}, cls)
        except DecodeError:
            if not valid:
                return None
        else:
            valid[key] = fields.get(key)
    invalid = {key: value for key, value in fields.items() if key not in valid}
    return attrs.evolve(decode(valid, cls), extra=invalid)
