"""The things that the API knows, as immutable attrs classes: what it answers, and what is sent to it.

Read models take everything the API may send (unknown keys are kept in `extra`, unknown enumeration values are data);
models that are sent (`New…`, `…Update`) refuse unfit input at construction, with `errors.ValidationError`.
"""

from __future__ import annotations

from .address import Address
from .enumerations import LineType, OrderStatus, ProductType, ShipmentStatus, WebhookEvent
from .new_order import NewOrder, NewOrderLine, PickupLocation
from .new_product import NewProduct, ProductUpdate
from .new_webhook import NewWebhook
from .open_enum import OpenEnum
from .order import Order, OrderLine, OrderShipment
from .page_info import PageInfo
from .pick_location import PickLocation
from .product import Product, ProductStock, Supplier
from .secret import Secret
from .shipment import LinkedOrder, Shipment
from .stock_location import StockLocation
from .unset import UNSET, Unset
from .webhook import Webhook
from .webshop import Webshop

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
