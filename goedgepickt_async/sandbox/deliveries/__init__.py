"""Webhook deliveries, as GoedGepickt makes them: signed, sent again with growing pauses, given up, written down.

`Sandbox.deliveries` makes them for a sandbox, and sends to this machine alone. `WebhookSender`, `pauses`, `sign` and
`php_json` are what it is made of, for a sender of one's own.
"""

from __future__ import annotations

from goedgepickt_async.sandbox.answers import encode_json as php_json
from goedgepickt_async.sandbox.deliveries.deliveries import Deliveries
from goedgepickt_async.sandbox.deliveries.sender import (
    ATTEMPTS,
    Attempt,
    Delivery,
    DeliveryState,
    WebhookSender,
    pauses,
    sign,
)

__all__ = [
    "ATTEMPTS",
    "Attempt",
    "Deliveries",
    "Delivery",
    "DeliveryState",
    "WebhookSender",
    "pauses",
    "php_json",
    "sign",
]
