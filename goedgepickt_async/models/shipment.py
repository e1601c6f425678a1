"""A shipment and the order that it belongs to, as the API answers them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import attrs

from goedgepickt_async.models.enumerations import ShipmentStatus
from goedgepickt_async.models.wire_names import Identifier, wire

__all__ = ["LinkedOrder", "Shipment"]


@attrs.frozen(kw_only=True, weakref_slot=False)
class LinkedOrder:
    """The order that a shipment belongs to (A/B)."""

    uuid: Identifier = attrs.field(metadata=wire("uuid", "orderUuid"))
    extra: dict[str, Any] = attrs.field(factory=dict, repr=False, hash=False)


@attrs.frozen(kw_only=True, weakref_slot=False)
class Shipment:
    """One shipment (A/B). Its repr shows neither the recipient nor the code that leads to one.

    Attributes:
        uuid: Seen once (B), so it may be absent.
        linked_order: None when it belongs to no order.
        extra: What the API sent and this class has no field for.
    """

    uuid: Identifier | None = attrs.field(default=None, metadata=wire("uuid"))
    status: ShipmentStatus | None = attrs.field(default=None, metadata=wire("status"))
    created_at: datetime | None = attrs.field(default=None, metadata=wire("createDate"))
    delivered_at: datetime | None = attrs.field(default=None, repr=False, metadata=wire("deliveredDate"))
    shipping_method: str | None = attrs.field(default=None, metadata=wire("shippingMethod", repeats=True))
    track_trace_code: str | None = attrs.field(default=None, repr=False, metadata=wire("trackTraceCode"))
    track_trace_url: str | None = attrs.field(default=None, repr=False, metadata=wire("trackTraceUrl"))
    external_id: str | None = attrs.field(default=None, metadata=wire("externalId"))
    reference_text: str | None = attrs.field(default=None, repr=False, metadata=wire("referenceText"))
    shipping_first_name: str | None = attrs.field(default=None, repr=False, metadata=wire("shippingFirstName"))
    shipping_last_name: str | None = attrs.field(default=None, repr=False, metadata=wire("shippingLastName"))
    shipping_city: str | None = attrs.field(default=None, repr=False, metadata=wire("shippingCity"))
    linked_order: LinkedOrder | None = attrs.field(default=None, repr=False, metadata=wire("linkedOrder"))
    extra: dict[str, Any] = attrs.field(factory=dict, repr=False, hash=False)
