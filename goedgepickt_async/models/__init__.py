"""The things that the API knows, as immutable attrs classes: what it answers, and what is sent to it.

Read models take everything the API may send (unknown keys are kept in `extra`, unknown enumeration values are data);
models that are sent (`New…`, `…Update`) refuse unfit input at construction, with `errors.ValidationError`.
"""

from __future__ import annotations

from goedgepickt_async.models.account import LinkedOrder, NewWebhook, PageInfo, PickLocation, Shipment, Webhook, Webshop
from goedgepickt_async.models.base import (
    UNSET,
    LineType,
    OpenEnum,
    OrderStatus,
    ProductType,
    Secret,
    ShipmentStatus,
    Unset,
    WebhookEvent,
)
from goedgepickt_async.models.orders import (
    Address,
    NewOrder,
    NewOrderLine,
    Order,
    OrderLine,
    OrderShipment,
    PickupLocation,
)
from goedgepickt_async.models.products import NewProduct, Product, ProductStock, ProductUpdate, StockLocation, Supplier

__all__ = [
    "UNSET",
    "Address",
    "LineType",
    "LinkedOrder",
    "NewOrder",
    "NewOrderLine",
    "NewProduct",
    "NewWebhook",
    "OpenEnum",
    "Order",
    "OrderLine",
    "OrderShipment",
    "OrderStatus",
    "PageInfo",
    "PickLocation",
    "PickupLocation",
    "Product",
    "ProductStock",
    "ProductType",
    "ProductUpdate",
    "Secret",
    "Shipment",
    "ShipmentStatus",
    "StockLocation",
    "Supplier",
    "Unset",
    "Webhook",
    "WebhookEvent",
    "Webshop",
]
