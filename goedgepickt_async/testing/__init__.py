"""Tools for tests of your code: models with invented data, signed deliveries, a virtual clock, a running sandbox.

The fixtures of the pytest plugin use these tools. They also work without pytest. Do not use them in production.
"""

from __future__ import annotations

from goedgepickt_async.testing.clock import VirtualClock
from goedgepickt_async.testing.models import (
    SignedDelivery,
    address,
    compound_product_stock_updated,
    order,
    order_line,
    order_shipment,
    order_status_changed,
    pick_location,
    product,
    shipment,
    signed_delivery,
    stock_location,
    stock_updated,
    to_wire,
    webhook,
    webshop,
    without_personal_data,
)
from goedgepickt_async.testing.sandbox import serving, unlimited_budget

__all__ = [
    "SignedDelivery",
    "VirtualClock",
    "address",
    "compound_product_stock_updated",
    "order",
    "order_line",
    "order_shipment",
    "order_status_changed",
    "pick_location",
    "product",
    "serving",
    "shipment",
    "signed_delivery",
    "stock_location",
    "stock_updated",
    "to_wire",
    "unlimited_budget",
    "webhook",
    "webshop",
    "without_personal_data",
]
