"""Webhook deliveries for tests of receivers: events, and the bytes and headers of the service."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import attrs

from goedgepickt_async.models import OrderStatus, Secret
from goedgepickt_async.testing.models import changed, identifier, to_wire
from goedgepickt_async.webhooks import (
    CompoundProductStockUpdated,
    Event,
    OrderStatusChanged,
    StockUpdated,
    UnknownEvent,
    sign,
)

__all__ = [
    "SignedDelivery",
    "compound_product_stock_updated",
    "order_status_changed",
    "signed_delivery",
    "stock_updated",
]


@attrs.frozen(kw_only=True)
class SignedDelivery:
    """A signed delivery.

    Attributes:
        body: The bytes that are signed.
        headers: The content type, and the signature (A).
    """

    body: bytes
    headers: dict[str, str]

    @property
    def signature(self) -> str:
        """The value of the header `Signature`."""
        return self.headers["Signature"]


def signed_delivery(event: Event | Mapping[str, Any] | bytes, secret: str | Secret) -> SignedDelivery:
    """A delivery of an event, signed with a subscription's secret.

    Args:
        event: An event of `goedgepickt_async.webhooks`, the whole JSON, or bytes (valid or not).
        secret: The secret. A secret that differs from the receiver's makes a forged delivery.

    Raises:
        ConfigurationError: The secret is empty.
    """
    body = event if isinstance(event, bytes) else _encoded(_payload(event) if isinstance(event, Event) else event)
    return SignedDelivery(body=body, headers={"Content-Type": "application/json", "Signature": sign(body, secret)})


def order_status_changed(number: int = 1, /, **fields: Any) -> OrderStatusChanged:
    """The order with this number (see `order`) is completed."""
    made = OrderStatusChanged(
        order_uuid=identifier("order", number), order_number=f"shop-{number}", new_status=OrderStatus.COMPLETED
    )
    return changed(made, fields)


def stock_updated(number: int = 1, /, **fields: Any) -> StockUpdated:
    """The product with this number (see `product`) has eight pieces left."""
    made = StockUpdated(product_uuid=identifier("product", number), product_sku=f"SKU-{number:04d}", new_stock=8)
    return changed(made, fields)


def compound_product_stock_updated(number: int = 1, /, **fields: Any) -> CompoundProductStockUpdated:
    """The same event for a product that consists of other products."""
    made = CompoundProductStockUpdated(
        product_uuid=identifier("product", number), product_sku=f"SKU-{number:04d}", new_stock=8
    )
    return changed(made, fields)


def _payload(event: Event) -> Any:
    if isinstance(event, UnknownEvent):
        return event.data
    payload = {"event": event.wire_name, **to_wire(event)}
    if payload.get("newStock") is not None:
        payload["newStock"] = str(payload["newStock"])  # the service writes it as text (A)
    return payload


def _encoded(payload: Any) -> bytes:
    """JSON as PHP writes it (A): slashes and all but ASCII are escaped."""
    return json.dumps(payload, separators=(",", ":")).replace("/", "\\/").encode()
