"""The objects of the API, as immutable attrs classes: the ones that you receive and the ones that you send.

Models that you receive accept everything the API may send. Unknown keys are in `extra`, and unknown enumeration values are data.
Models that you send (`New…`, `…Update`) raise `errors.ValidationError` for bad values when you create them.
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
