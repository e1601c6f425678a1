"""A webhook subscription to be created: the body of `POST /webhooks`."""

from __future__ import annotations

import attrs

from goedgepickt_async.models.checks import event, optional_name, text
from goedgepickt_async.models.enumerations import WebhookEvent
from goedgepickt_async.models.outgoing import outgoing
from goedgepickt_async.models.unset import UNSET, Unset
from goedgepickt_async.models.wire_names import wire

__all__ = ["NewWebhook"]


@outgoing
@attrs.frozen(kw_only=True, weakref_slot=False)
class NewWebhook:
    """A subscription to be created (A). Creating one twice makes two.

    Attributes:
        webshop_uuid: Left UNSET, the client fills in its own.
        event: A `WebhookEvent`, or its text for one that this SDK does not name.
        target_url: Where deliveries go.

    Raises:
        ValidationError: Something is missing or unfit; `fields` names every bad field.
    """

    webshop_uuid: str | Unset = attrs.field(default=UNSET, converter=optional_name, metadata=wire("webshopUuid"))
    event: WebhookEvent = attrs.field(converter=event, metadata=wire("webhookEvent"))
    target_url: str = attrs.field(converter=text, repr=False, metadata=wire("targetUrl"))
