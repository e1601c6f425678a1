"""The things that the API knows, as immutable attrs classes: what it answers, and what is sent to it.

Read models take everything the API may send (unknown keys are kept in `extra`, unknown enumeration values are data);
models that are sent (`New…`, `…Update`) refuse unfit input at construction, with `errors.ValidationError`.
"""

from __future__ import annotations

from goedgepickt_async.models import account, orders, products
from goedgepickt_async.models.account import *  # noqa: F403  the modules name their models
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
from goedgepickt_async.models.orders import *  # noqa: F403
from goedgepickt_async.models.products import *  # noqa: F403

__all__ = [
    "UNSET",
    "LineType",
    "OpenEnum",
    "OrderStatus",
    "ProductType",
    "Secret",
    "ShipmentStatus",
    "Unset",
    "WebhookEvent",
]
__all__ += account.__all__
__all__ += orders.__all__
__all__ += products.__all__
