"""A webhook subscription, as the API answers it."""

from __future__ import annotations

from typing import Any

import attrs

from goedgepickt_async.models.enumerations import WebhookEvent
from goedgepickt_async.models.secret import Secret
from goedgepickt_async.models.wire_names import Identifier, wire

__all__ = ["Webhook"]


@attrs.frozen(kw_only=True, weakref_slot=False)
class Webhook:
    """One subscription (A); the list of them is account-wide.

    Attributes:
        secret: The key that signs this subscription's deliveries; `secret.reveal()` gives it.
    """

    uuid: Identifier = attrs.field(metadata=wire("webhookUuid", "uuid"))
    event: WebhookEvent | None = attrs.field(default=None, metadata=wire("webhookEvent"))
    secret: Secret | None = attrs.field(default=None, metadata=wire("webhookSecret"))
    # A target URL may carry credentials of its owner.
    target_url: str | None = attrs.field(default=None, repr=False, metadata=wire("targetUrl"))
    webshop_name: str | None = attrs.field(default=None, metadata=wire("webshopName", repeats=True))
    webshop_uuid: str | None = attrs.field(default=None, metadata=wire("webshopUuid"))
    extra: dict[str, Any] = attrs.field(factory=dict, repr=False, hash=False)
