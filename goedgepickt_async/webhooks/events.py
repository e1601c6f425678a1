"""What GoedGepickt reports (reference section 6), and how the bytes of a delivery become one of these.

An event says that something changed, not in which order: deliveries come late, twice and out of turn (A). Take it as
a reason to look at the present state; `WebhookReceiver.on_product_changed` and `on_order_changed` do that for you.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

import attrs

from goedgepickt_async.convert import decode
from goedgepickt_async.convert import parse as parse_json
from goedgepickt_async.drift import notice
from goedgepickt_async.errors import DecodeError
from goedgepickt_async.models import OrderStatus
from goedgepickt_async.models.wire_names import Identifier, wire, wire_of

__all__ = [
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
    """Any event.

    Attributes:
        wire_name: What the delivery says under `event` (A).
    """

    wire_name: ClassVar[str] = ""


@attrs.frozen(kw_only=True, weakref_slot=False)
class OrderStatusChanged(Event):
    """An order has another status (A).

    Attributes:
        order_uuid: GoedGepickt's id of the order.
        order_number: The id that the shop sent.
        new_status: The status it had when this was written; it may have another one by now.
        extra: What the delivery said besides, by its name on the wire, and what it said in an odd type.
    """

    wire_name: ClassVar[str] = "orderStatusChanged"

    order_uuid: Identifier = attrs.field(metadata=wire("orderUuid"))
    order_number: str | None = attrs.field(default=None, metadata=wire("orderNumber"))
    new_status: OrderStatus | None = attrs.field(default=None, metadata=wire("newStatus"))
    extra: dict[str, Any] = attrs.field(factory=dict, repr=False, hash=False)


@attrs.frozen(kw_only=True, weakref_slot=False)
class StockUpdated(Event):
    """A product's stock has changed (A).

    Attributes:
        product_uuid: GoedGepickt's id of the product.
        product_sku: Its SKU, which need not be unique.
        new_stock: The stock when this was written, on the wire a text (A); it may be another one by now.
        extra: What the delivery said besides, by its name on the wire, and what it said in an odd type.
    """

    wire_name: ClassVar[str] = "stockUpdated"

    product_uuid: Identifier = attrs.field(metadata=wire("productUuid"))
    product_sku: str | None = attrs.field(default=None, metadata=wire("productSku"))
    new_stock: int | None = attrs.field(default=None, metadata=wire("newStock"))
    extra: dict[str, Any] = attrs.field(factory=dict, repr=False, hash=False)


@attrs.frozen(kw_only=True, weakref_slot=False)
class CompoundProductStockUpdated(Event):
    """The stock of a product that is made up of others has changed (A); the fields are those of `StockUpdated`."""

    wire_name: ClassVar[str] = "compoundProductStockUpdated"

    product_uuid: Identifier = attrs.field(metadata=wire("productUuid"))
    product_sku: str | None = attrs.field(default=None, metadata=wire("productSku"))
    new_stock: int | None = attrs.field(default=None, metadata=wire("newStock"))
    extra: dict[str, Any] = attrs.field(factory=dict, repr=False, hash=False)


@attrs.frozen(kw_only=True, weakref_slot=False)
class UnknownEvent(Event):
    """JSON that this version of the SDK has no class for, or not enough of a known event to tell what it is about.

    Attributes:
        name: What it says under `event`; None if that is no text.
        data: All of it, as it came.
    """

    name: str | None = None
    data: Any = attrs.field(default=None, repr=False, hash=False)


_CLASSES: Final = {cls.wire_name: cls for cls in (OrderStatusChanged, StockUpdated, CompoundProductStockUpdated)}
_NAME: Final = "event"

AnyEvent = OrderStatusChanged | StockUpdated | CompoundProductStockUpdated | UnknownEvent
"""What a delivery can be read as."""


def parse(body: bytes) -> AnyEvent:
    """Reads the event out of the body of a delivery that was verified.

    Args:
        body: The bytes.

    Returns:
        The event. A field of an odd type is left None and kept in `extra`; what has no id is an `UnknownEvent`.

    Raises:
        DecodeError: It is not JSON.
    """
    data = parse_json(body)
    if not isinstance(data, dict):
        return UnknownEvent(data=data)
    name = data.get(_NAME)
    cls = _CLASSES.get(name) if isinstance(name, str) else None
    if cls is None:
        notice("event", UnknownEvent.__name__, value=name if isinstance(name, str) else "")
    if cls is None or (event := _decoded(data, cls)) is None:
        return UnknownEvent(name=name if isinstance(name, str) else None, data=data)
    return event


def _decoded(data: dict[str, Any], cls: type[AnyEvent]) -> AnyEvent | None:
    """The event; None if its id is not there."""
    fields = {key: value for key, value in data.items() if key != _NAME}
    try:
        return decode(fields, cls)
    except DecodeError:
        pass
    try:
        return _decode_what_fits(fields, cls)
    except DecodeError:
        return None


def _decode_what_fits(fields: dict[str, Any], cls: Any) -> AnyEvent:
    """The event without its odd fields, which go to `extra`; the id, which comes first, must be as it should."""
    identifier, *others = (wired.name for field in attrs.fields(cls) if (wired := wire_of(field.metadata)))
    fitting = {identifier: fields.get(identifier)}
    decode(fitting, cls)
    for key in others:
        try:
            decode({**fitting, key: fields.get(key)}, cls)
        except DecodeError:
            continue
        fitting[key] = fields.get(key)
    odd = {key: value for key, value in fields.items() if key not in fitting}
    event: AnyEvent = attrs.evolve(decode(fitting, cls), extra=odd)
    return event
