"""An order with its lines and shipments, as the API answers it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import attrs

from goedgepickt_async.models.address import Address
from goedgepickt_async.models.enumerations import LineType, OrderStatus
from goedgepickt_async.models.wire_names import Identifier, Label, flat, wire

__all__ = ["Order", "OrderLine", "OrderShipment"]


@attrs.frozen(kw_only=True, weakref_slot=False)
class OrderLine:
    """One line of an order (A/B).

    Attributes:
        product_uuid: None when GoedGepickt does not know the product.
        price: Of one piece, as the API gives it; with or without tax is not documented.
        type: `PARENT` is the header of a bundle whose parts follow as `CHILD` lines: count those, not the header.
    """

    product_uuid: str | None = attrs.field(default=None, metadata=wire("productUuid"))
    product_name: str | None = attrs.field(default=None, repr=False, metadata=wire("productName"))
    sku: str | None = attrs.field(default=None, metadata=wire("sku"))
    quantity: int | None = attrs.field(default=None, metadata=wire("productQuantity"))
    picked_quantity: int | None = attrs.field(default=None, metadata=wire("pickedQuantity"))
    price: Decimal | None = attrs.field(default=None, repr=False, metadata=wire("productPrice"))
    type: LineType | None = attrs.field(default=None, metadata=wire("type"))
    extra: dict[str, Any] = attrs.field(factory=dict, repr=False, hash=False)


@attrs.frozen(kw_only=True, weakref_slot=False)
class OrderShipment:
    """A parcel of an order (A/B). Its repr hides the code and the URL: with a zip code they lead to the recipient."""

    track_trace_code: str | None = attrs.field(default=None, repr=False, metadata=wire("trackTraceCode"))
    track_trace_url: str | None = attrs.field(default=None, repr=False, metadata=wire("trackTraceUrl"))
    created_at: datetime | None = attrs.field(default=None, metadata=wire("createDate"))
    extra: dict[str, Any] = attrs.field(factory=dict, repr=False, hash=False)


@attrs.frozen(kw_only=True, weakref_slot=False)
class Order:
    """One order. Its repr shows no personal data; its fields do.

    Attributes:
        display_id: What people see (`externalDisplayId`, A); it may already start with `#`.
        order_number: May be absent (C), like `order_id`.
        created_at: Aware. The API may leave the offset out (A/B); then it is Dutch local time.
        total_paid: Decimal (A); None when the API says null or the empty text.
        attention_needed: GoedGepickt wants somebody to look at it (B).
        tags: Texts are expected (B); an object or a number among them is kept as its JSON text (`'{"name": "spoed"}'`).
        billing: Always an `Address`, of all None if the API sent nothing; so is `shipping`.
        extra: What the API sent and this class has no field for.
    """

    uuid: Identifier = attrs.field(metadata=wire("uuid", "orderUuid"))
    display_id: str | None = attrs.field(default=None, metadata=wire("externalDisplayId"))
    order_number: str | None = attrs.field(default=None, repr=False, metadata=wire("orderNumber"))
    order_id: str | None = attrs.field(default=None, repr=False, metadata=wire("orderId"))
    status: OrderStatus | None = attrs.field(default=None, metadata=wire("status"))
    created_at: datetime | None = attrs.field(default=None, metadata=wire("createDate"))
    finished_at: datetime | None = attrs.field(default=None, repr=False, metadata=wire("finishDate"))
    shipped_at: datetime | None = attrs.field(default=None, repr=False, metadata=wire("shippedDate"))
    total_paid: Decimal | None = attrs.field(default=None, repr=False, metadata=wire("totalPaid"))
    payment_method: str | None = attrs.field(default=None, repr=False, metadata=wire("paymentMethod", repeats=True))
    shipping_method: str | None = attrs.field(default=None, repr=False, metadata=wire("shippingMethod", repeats=True))
    customer_note: str | None = attrs.field(default=None, repr=False, metadata=wire("customerNote"))
    internal_comment: str | None = attrs.field(default=None, repr=False, metadata=wire("internComment"))
    webshop_name: str | None = attrs.field(default=None, metadata=wire("webshopName", repeats=True))
    attention_needed: bool | None = attrs.field(default=None, repr=False, metadata=wire("attentionNeeded"))
    tags: tuple[Label, ...] = attrs.field(default=(), repr=False, metadata=wire("tags", repeats=True))
    billing: Address = attrs.field(factory=Address, repr=False, metadata=flat("billing"))
    shipping: Address = attrs.field(factory=Address, repr=False, metadata=flat("shipping"))
    lines: tuple[OrderLine, ...] = attrs.field(default=(), repr=False, metadata=wire("products"))
    shipments: tuple[OrderShipment, ...] = attrs.field(default=(), repr=False, metadata=wire("shipments"))
    extra: dict[str, Any] = attrs.field(factory=dict, repr=False, hash=False)

    @property
    def counted_lines(self) -> tuple[OrderLine, ...]:
        """The lines that are things to pick: a bundle's parts, not its header (A/B)."""
        return tuple(line for line in self.lines if line.type != LineType.PARENT)

    @property
    def items_to_count(self) -> int:
        """How many pieces the counted lines hold; a line without a quantity counts as none."""
        return sum(line.quantity or 0 for line in self.counted_lines)
