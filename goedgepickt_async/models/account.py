"""Webshops, pick locations, shipments, webhook subscriptions, and the page information of lists."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import attrs

from goedgepickt_async.models.base import UNSET, Identifier, Secret, ShipmentStatus, Unset, WebhookEvent, alias
from goedgepickt_async.models.serialization import Model
from goedgepickt_async.models.validators import event, optional_name, request_model, text

__all__ = ["LinkedOrder", "NewWebhook", "PageInfo", "PickLocation", "Shipment", "Webhook", "Webshop"]


@attrs.frozen(kw_only=True, weakref_slot=False, repr=False)
class Webshop(Model):
    """One webshop (A); its `uuid` goes into the body of product, order and webhook writes."""

    uuid: Identifier = attrs.field(metadata=alias("uuid", known="A 4.1"))
    name: str | None = attrs.field(default=None, metadata=alias("name", known="A 4.1"))
    url: str | None = attrs.field(default=None, metadata=alias("url", known="A 4.1"))
    platform: str | None = attrs.field(default=None, metadata=alias("platform", known="A 4.1"))
    extra: dict[str, Any] = attrs.field(factory=dict, repr=False, hash=False)


@attrs.frozen(kw_only=True, weakref_slot=False, repr=False)
class PickLocation(Model):
    """One pick location (A). Its other fields are not documented; they are in `extra`."""

    uuid: Identifier = attrs.field(metadata=alias("uuid", known="A 4.4"))
    name: str | None = attrs.field(default=None, metadata=alias("name", known="A 4.4"))
    extra: dict[str, Any] = attrs.field(factory=dict, repr=False, hash=False)


@attrs.frozen(kw_only=True, weakref_slot=False, repr=False)
class Webhook(Model):
    """One subscription (A); the list of them is account-wide.

    Attributes:
        secret: The key that signs this subscription's deliveries; `secret.reveal()` gives it.
    """

    uuid: Identifier = attrs.field(metadata=alias("webhookUuid", "uuid", known="A 4.7"))
    event: WebhookEvent | None = attrs.field(default=None, metadata=alias("webhookEvent", known="A 4.7"))
    secret: Secret | None = attrs.field(default=None, metadata=alias("webhookSecret", known="A 4.7"))
    # A target URL may carry credentials of its owner.
    target_url: str | None = attrs.field(default=None, repr=False, metadata=alias("targetUrl", known="A 4.7"))
    webshop_name: str | None = attrs.field(default=None, metadata=alias("webshopName", intern=True, known="A 4.7"))
    webshop_uuid: str | None = attrs.field(default=None, metadata=alias("webshopUuid", known="A 4.7"))
    extra: dict[str, Any] = attrs.field(factory=dict, repr=False, hash=False)


@request_model
@attrs.frozen(kw_only=True, weakref_slot=False, repr=False)
class NewWebhook(Model):
    """A subscription to be created (A). Creating one twice makes two.

    Attributes:
        webshop_uuid: Left UNSET, the client fills in its own.
        event: A `WebhookEvent`, or its text for one that this SDK does not name.
        target_url: Where deliveries go.

    Raises:
        ValidationError: Something is missing or unfit; `fields` names every bad field.
    """

    webshop_uuid: str | Unset = attrs.field(
        default=UNSET, converter=optional_name, metadata=alias("webshopUuid", known="A 4.7")
    )
    event: WebhookEvent = attrs.field(converter=event, metadata=alias("webhookEvent", known="A 4.7"))
    target_url: str = attrs.field(converter=text, repr=False, metadata=alias("targetUrl", known="A 4.7"))


@attrs.frozen(kw_only=True, weakref_slot=False, repr=False)
class PageInfo(Model):
    """The `pageInfo` of a list (A). `total_items` and `last_page` are unreliable (B): nothing here ends a list.

    Attributes:
        items_per_page: The page size that the server really used; it may be lower than the page size that was asked for.
        cursor: The cursor that continues after the 10,000 rows that page numbers reach (B).
    """

    total_items: int | None = attrs.field(default=None, metadata=alias("totalItems", known="B 3"))
    items_per_page: int | None = attrs.field(default=None, metadata=alias("itemsPerPage", known="A 3"))
    current_page: int | None = attrs.field(default=None, metadata=alias("currentPage", known="A 3"))
    last_page: int | None = attrs.field(default=None, metadata=alias("lastPage", known="B 3"))
    cursor: str | None = attrs.field(default=None, metadata=alias("cursor", known="B 3"))
    extra: dict[str, Any] = attrs.field(factory=dict, repr=False, hash=False)


@attrs.frozen(kw_only=True, weakref_slot=False, repr=False)
class LinkedOrder(Model):
    """The order that a shipment belongs to (A/B)."""

    uuid: Identifier = attrs.field(metadata=alias("uuid", "orderUuid", known="A/B 4.6"))
    extra: dict[str, Any] = attrs.field(factory=dict, repr=False, hash=False)


@attrs.frozen(kw_only=True, weakref_slot=False, repr=False)
class Shipment(Model):
    """One shipment (A/B). Its repr shows neither the recipient nor the code that leads to one.

    Attributes:
        uuid: Seen once (B), so it may be absent.
        linked_order: None when it belongs to no order.
        extra: What the API sent and this class has no field for.
    """

    uuid: Identifier | None = attrs.field(default=None, metadata=alias("uuid", known="B 4.6"))
    status: ShipmentStatus | None = attrs.field(default=None, metadata=alias("status", known="A/B 4.6"))
    created_at: datetime | None = attrs.field(default=None, metadata=alias("createDate", known="A/B 4.6"))
    delivered_at: datetime | None = attrs.field(
        default=None, repr=False, metadata=alias("deliveredDate", known="A/B 4.6")
    )
    shipping_method: str | None = attrs.field(
        default=None, metadata=alias("shippingMethod", intern=True, known="A/B 4.6")
    )
    track_trace_code: str | None = attrs.field(
        default=None, repr=False, metadata=alias("trackTraceCode", known="A/B 4.6", personal=True)
    )
    track_trace_url: str | None = attrs.field(
        default=None, repr=False, metadata=alias("trackTraceUrl", known="A/B 4.6", personal=True)
    )
    external_id: str | None = attrs.field(default=None, metadata=alias("externalId", known="A/B 4.6"))
    reference_text: str | None = attrs.field(
        default=None, repr=False, metadata=alias("referenceText", known="A/B 4.6", personal=True)
    )
    shipping_first_name: str | None = attrs.field(
        default=None, repr=False, metadata=alias("shippingFirstName", known="A/B 4.6", personal=True)
    )
    shipping_last_name: str | None = attrs.field(
        default=None, repr=False, metadata=alias("shippingLastName", known="A/B 4.6", personal=True)
    )
    shipping_city: str | None = attrs.field(
        default=None, repr=False, metadata=alias("shippingCity", known="A/B 4.6", personal=True)
    )
    linked_order: LinkedOrder | None = attrs.field(
        default=None, repr=False, metadata=alias("linkedOrder", known="A/B 4.6")
    )
    extra: dict[str, Any] = attrs.field(factory=dict, repr=False, hash=False)
