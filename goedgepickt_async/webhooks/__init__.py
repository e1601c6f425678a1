"""Live updates: deliveries of GoedGepickt that are verified, read, and handled once they are safe."""

from __future__ import annotations

from goedgepickt_async.webhooks.events import (
    CompoundProductStockUpdated,
    Event,
    OrderStatusChanged,
    StockUpdated,
    UnknownEvent,
    parse,
)
from goedgepickt_async.webhooks.signature import sign, verify

__all__ = [
    "CompoundProductStockUpdated",
    "Event",
    "OrderStatusChanged",
    "StockUpdated",
    "UnknownEvent",
    "parse",
    "sign",
    "verify",
]
