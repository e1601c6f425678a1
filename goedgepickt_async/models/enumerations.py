"""The API's enumerations (reference, section 5), all open."""

from __future__ import annotations

from goedgepickt_async.models.open_enum import OpenEnum

__all__ = ["LineType", "OrderStatus", "ProductType", "ShipmentStatus", "WebhookEvent"]


class OrderStatus(OpenEnum):
    """Where an order stands (A). For creation the API takes `OPEN`, `ON_HOLD` (A), `COMPLETED`, `CANCELLED` (B)."""

    OPEN = "open"
    READY_FOR_PICKING = "ready_for_picking"
    BACKORDER = "backorder"
    ON_HOLD = "on_hold"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


class LineType(OpenEnum):
    """What an order line is (A/B): a plain one, the header of a bundle, or a part of one."""

    NORMAL = "normal"
    PARENT = "parent"
    CHILD = "child"


class ProductType(OpenEnum):
    """What a product is (B): a plain one, a bundle or variant parent, or a part of one."""

    NORMAL = "normal"
    PARENT = "parent"
    CHILD = "child"


class ShipmentStatus(OpenEnum):
    """Where a shipment stands (B). It can be empty (A/B)."""

    EMPTY = ""
    PENDING_REGISTERED = "pending_registered"
    REGISTERED = "registered"
    PENDING = "pending"
    SHIPPED = "shipped"
    IN_TRANSIT = "in_transit"
    OUT_FOR_DELIVERY = "out_for_delivery"
    DELIVERED_AT_RECIPIENT = "delivered_at_recipient"
    DELIVERED = "delivered"
    RETURNED = "returned"
    PROBLEM = "problem"
    NO_UPDATE_SUPPORTED = "no_update_supported"


class WebhookEvent(OpenEnum):
    """What one can subscribe to (A). An event for new shipments exists; its name is not known, so pass it as text."""

    ORDER_STATUS_CHANGED = "order.statusChanged"
    PRODUCT_STOCK_CHANGED = "product.stockChanged"
