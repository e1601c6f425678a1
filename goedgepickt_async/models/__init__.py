"""The things that the API knows, as immutable attrs classes: what it answers, and what is sent to it.

Read models take everything the API may send (unknown keys are kept in `extra`, unknown enumeration values are data);
models that are sent (`New…`, `…Update`) refuse unfit input at construction, with `errors.ValidationError`.
"""

from __future__ import annotations

from goedgepickt_async.models.address import Address
from goedgepickt_async.models.enumerations import LineType, OrderStatus, ProductType, ShipmentStatus, WebhookEvent
from goedgepickt_async.models.new_order import NewOrder, NewOrderLine, PickupLocation
from goedgepickt_async.models.new_product import NewProduct, ProductUpdate
from goedgepickt_async.models.new_webhook import NewWebhook
from goedgepickt_async.models.open_enum import OpenEnum
from goedgepickt_async.models.order import Order, OrderLine, OrderShipment
from goedgepickt_async.models.page_info import PageInfo
from goedgepickt_async.models.pick_location import PickLocation
from goedgepickt_async.models.product import Product, ProductStock, Supplier
from goedgepickt_async.models.secret import Secret
from goedgepickt_async.models.shipment import LinkedOrder, Shipment
from goedgepickt_async.models.stock_location import StockLocation
from goedgepickt_async.models.unset import UNSET, Unset
from goedgepickt_async.models.webhook import Webhook
from goedgepickt_async.models.webshop import Webshop

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
