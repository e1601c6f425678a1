"""Webshops, pick locations, shipments, webhook subscriptions, and the page information of lists."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import attrs

from goedgepickt_async.models.base import (
    Identifier,
    Secret,
    ShipmentStatus,
    Unset,
    WebhookEvent,
    alias,
    optional_received,
    optional_sent,
)
from goedgepickt_async.models.serialization import Model
from goedgepickt_async.models.validators import event, optional_name, request_model, text

__all__ = ["LinkedOrder", "NewWebhook", "PageInfo", "PickLocation", "Shipment", "Webhook", "Webshop"]


@attrs.frozen(kw_only=True, weakref_slot=False, repr=False)
class Webshop(Model):
    """A webshop (A). Its `uuid` is part of the body of product, order and webhook writes."""

    uuid: Identifier = attrs.field(metadata=alias("uuid", known="A 4.1"))
    name: str | None = optional_received("name", known="A 4.1")
    url: str | None = optional_received("url", known="A 4.1")
    platform: str | None = optional_received("platform", known="A 4.1")
    extra: dict[str, Any] = attrs.field(factory=dict, repr=False, hash=False)


@attrs.frozen(kw_only=True, weakref_slot=False, repr=False)
class PickLocation(Model):
    """A pick location of the warehouse (A). Undocumented fields are in `extra`."""

    uuid: Identifier = attrs.field(metadata=alias("uuid", known="A 4.4"))
    name: str | None = optional_received("name", known="A 4.4")
    extra: dict[str, Any] = attrs.field(factory=dict, repr=False, hash=False)


@attrs.frozen(kw_only=True, weakref_slot=False, repr=False)
class Webhook(Model):
    """A webhook subscription (A). The list has the subscriptions of the whole account.

    Attributes:
        secret: The secret that signs the deliveries of this subscription; `secret.reveal()` returns the text.
    """

    uuid: Identifier = attrs.field(metadata=alias("webhookUuid", "uuid", known="A 4.7"))
    event: WebhookEvent | None = optional_received("webhookEvent", known="A 4.7")
    secret: Secret | None = optional_received("webhookSecret", known="A 4.7")
    # A target URL can contain credentials.
    target_url: str | None = optional_received("targetUrl", known="A 4.7", repr=False)
    webshop_name: str | None = optional_received("webshopName", intern=True, known="A 4.7")
    webshop_uuid: str | None = optional_received("webshopUuid", known="A 4.7")
    extra: dict[str, Any] = attrs.field(factory=dict, repr=False, hash=False)


@request_model
@attrs.frozen(kw_only=True, weakref_slot=False, repr=False)
class NewWebhook(Model):
    """A new webhook subscription (A). The API creates a second subscription if you send it twice.

    Attributes:
        webshop_uuid: The uuid of the webshop. Default: the webshop of the client.
        event: A `WebhookEvent`, or the text of an event that this version does not know.
        target_url: The URL for the deliveries.

    Raises:
        ValidationError: A value is missing or not valid; `fields` has the problem of each field.
    """

    webshop_uuid: str | Unset = optional_sent("webshopUuid", optional_name, known="A 4.7")
    event: WebhookEvent = attrs.field(converter=event, metadata=alias("webhookEvent", known="A 4.7"))
    target_url: str = attrs.field(converter=text, repr=False, metadata=alias("targetUrl", known="A 4.7"))


@attrs.frozen(kw_only=True, weakref_slot=False, repr=False)
class PageInfo(Model):
    """The `pageInfo` of a list (A).

    `total_items` and `last_page` are unreliable (B), so they do not decide where a list ends.

    Attributes:
        items_per_page: The page size that the server used; it can be smaller than the requested size.
        cursor: The cursor that continues after 10,000 rows, where page numbers end (B).
    """

    total_items: int | None = optional_received("totalItems", known="B 3")
    items_per_page: int | None = optional_received("itemsPerPage", known="A 3")
    current_page: int | None = optional_received("currentPage", known="A 3")
    last_page: int | None = optional_received("lastPage", known="B 3")
    cursor: str | None = optional_received("cursor", known="B 3")
    extra: dict[str, Any] = attrs.field(factory=dict, repr=False, hash=False)


@attrs.frozen(kw_only=True, weakref_slot=False, repr=False)
class LinkedOrder(Model):
    """The order of a shipment (A/B)."""

    uuid: Identifier = attrs.field(metadata=alias("uuid", "orderUuid", known="A/B 4.6"))
    extra: dict[str, Any] = attrs.field(factory=dict, repr=False, hash=False)


@attrs.frozen(kw_only=True, weakref_slot=False, repr=False)
class Shipment(Model):
    """A shipment (A/B). Its repr does not show the recipient and the tracking code.

    Attributes:
        uuid: The uuid, which was seen once (B) and may be absent.
        linked_order: The order; None for a shipment without an order.
        extra: Keys of the API for which this class has no field.
    """

    uuid: Identifier | None = optional_received("uuid", known="B 4.6")
    status: ShipmentStatus | None = optional_received("status", known="A/B 4.6")
    created_at: datetime | None = optional_received("createDate", known="A/B 4.6")
    delivered_at: datetime | None = optional_received("deliveredDate", known="A/B 4.6", repr=False)
    shipping_method: str | None = optional_received("shippingMethod", intern=True, known="A/B 4.6")
    track_trace_code: str | None = optional_received("trackTraceCode", known="A/B 4.6", personal=True)
    track_trace_url: str | None = optional_received("trackTraceUrl", known="A/B 4.6", personal=True)
    external_id: str | None = optional_received("externalId", known="A/B 4.6")
    reference_text: str | None = optional_received("referenceText", known="A/B 4.6", personal=True)
    shipping_first_name: str | None = optional_received("shippingFirstName", known="A/B 4.6", personal=True)
    shipping_last_name: str | None = optional_received("shippingLastName", known="A/B 4.6", personal=True)
    shipping_city: str | None = optional_received("shippingCity", known="A/B 4.6", personal=True)
    linked_order: LinkedOrder | None = optional_received("linkedOrder", known="A/B 4.6", repr=False)
    extra: dict[str, Any] = attrs.field(factory=dict, repr=False, hash=False)
