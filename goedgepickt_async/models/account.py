"""Webshops, pick locations, shipments, webhook subscriptions, and the page information of lists."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import attrs

from goedgepickt_async.models.base import UNSET, Identifier, Secret, ShipmentStatus, Unset, WebhookEvent, wire
from goedgepickt_async.models.validators import event, optional_name, outgoing, text

__all__ = ["LinkedOrder", "NewWebhook", "PageInfo", "PickLocation", "Shipment", "Webhook", "Webshop"]


@attrs.frozen(kw_only=True, weakref_slot=False)
class Webshop:
    """One webshop (A); its `uuid` goes into the body of product, order and webhook writes."""

    uuid: Identifier = attrs.field(metadata=wire("uuid"))
    name: str | None = attrs.field(default=None, metadata=wire("name"))
    url: str | None = attrs.field(default=None, metadata=wire("url"))
    platform: str | None = attrs.field(default=None, metadata=wire("platform"))
    extra: dict[str, Any] = attrs.field(factory=dict, repr=False, hash=False)


@attrs.frozen(kw_only=True, weakref_slot=False)
class PickLocation:
    """One pick location (A). Its other fields are not documented; they are in `extra`."""

    uuid: Identifier = attrs.field(metadata=wire("uuid"))
    name: str | None = attrs.field(default=None, metadata=wire("name"))
    extra: dict[str, Any] = attrs.field(factory=dict, repr=False, hash=False)


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


@attrs.frozen(kw_only=True, weakref_slot=False)
class PageInfo:
    """The `pageInfo` of a list (A). `total_items` and `last_page` are unreliable (B): nothing here ends a list.

    Attributes:
        items_per_page: The page size that the server really used; it may have clamped the one asked for.
        cursor: Where to go on past the 10,000 results that page numbers reach (B).
    """

    total_items: int | None = attrs.field(default=None, metadata=wire("totalItems"))
    items_per_page: int | None = attrs.field(default=None, metadata=wire("itemsPerPage"))
    current_page: int | None = attrs.field(default=None, metadata=wire("currentPage"))
    last_page: int | None = attrs.field(default=None, metadata=wire("lastPage"))
    cursor: str | None = attrs.field(default=None, metadata=wire("cursor"))
    extra: dict[str, Any] = attrs.field(factory=dict, repr=False, hash=False)


@attrs.frozen(kw_only=True, weakref_slot=False)
class LinkedOrder:
    """The order that a shipment belongs to (A/B)."""

    uuid: Identifier = attrs.field(metadata=wire("uuid", "orderUuid"))
    extra: dict[str, Any] = attrs.field(factory=dict, repr=False, hash=False)


@attrs.frozen(kw_only=True, weakref_slot=False)
class Shipment:
    """One shipment (A/B). Its repr shows neither the recipient nor the code that leads to one.

    Attributes:
        uuid: Seen once (B), so it may be absent.
        linked_order: None when it belongs to no order.
        extra: What the API sent and this class has no field for.
    """

    uuid: Identifier | None = attrs.field(default=None, metadata=wire("uuid"))
    status: ShipmentStatus | None = attrs.field(default=None, metadata=wire("status"))
    created_at: datetime | None = attrs.field(default=None, metadata=wire("createDate"))
    delivered_at: datetime | None = attrs.field(default=None, repr=False, metadata=wire("deliveredDate"))
    shipping_method: str | None = attrs.field(default=None, metadata=wire("shippingMethod", repeats=True))
    track_trace_code: str | None = attrs.field(default=None, repr=False, metadata=wire("trackTraceCode"))
    track_trace_url: str | None = attrs.field(default=None, repr=False, metadata=wire("trackTraceUrl"))
    external_id: str | None = attrs.field(default=None, metadata=wire("externalId"))
    reference_text: str | None = attrs.field(default=None, repr=False, metadata=wire("referenceText"))
    shipping_first_name: str | None = attrs.field(default=None, repr=False, metadata=wire("shippingFirstName"))
    shipping_last_name: str | None = attrs.field(default=None, repr=False, metadata=wire("shippingLastName"))
    shipping_city: str | None = attrs.field(default=None, repr=False, metadata=wire("shippingCity"))
    linked_order: LinkedOrder | None = attrs.field(default=None, repr=False, metadata=wire("linkedOrder"))
    extra: dict[str, Any] = attrs.field(factory=dict, repr=False, hash=False)
