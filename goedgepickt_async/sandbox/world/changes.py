"""What is announced when the world changes. Webhook deliveries will listen here."""

from __future__ import annotations

import enum
from collections.abc import Callable

import attrs

from goedgepickt_async.sandbox.world.table import Row

__all__ = ["Change", "ChangeKind", "Observer"]


class ChangeKind(enum.StrEnum):
    """The kinds of change that somebody may want to hear of."""

    ORDER_CREATED = "order.created"
    ORDER_STATUS_CHANGED = "order.statusChanged"
    PRODUCT_CREATED = "product.created"
    PRODUCT_CHANGED = "product.changed"
    PRODUCT_STOCK_CHANGED = "product.stockChanged"
    WEBHOOK_CREATED = "webhook.created"


@attrs.frozen
class Change:
    """One change: its kind, the webshop (by index, None for the whole account) and the thing as it is now."""

    kind: ChangeKind
    webshop: int | None
    row: Row


Observer = Callable[[Change], None]
"""Called at once with each change, in the order in which they happen; it must not change the world."""
