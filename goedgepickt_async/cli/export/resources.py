"""What can be exported, which filters it takes, and which columns it has in a CSV file and in a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from goedgepickt_async import (
    Address,
    GoedGepickt,
    LinkedOrder,
    Order,
    OrderLine,
    OrderShipment,
    Paginator,
    PickLocation,
    Product,
    ProductStock,
    Shipment,
    Supplier,
    Webhook,
    Webshop,
)

__all__ = ["RESOURCES", "ResourceSpec"]


@attrs.frozen(kw_only=True)
class ResourceSpec:
    """One resource, as far as an export knows it.

    Attributes:
        model: The class of its rows.
        lists: From a client and the filters that it takes to the list.
        filters: The names of those filters.
        table: The useful few columns.
        nested: Fields that hold another model: their columns are `field.part`.
        joined: Fields that hold several of another model: columns `field.part`, values joined by "; ".
        lines: The field whose parts `--lines` makes rows of, and their class.
        has_schema: Whether there is a Parquet schema for it.
    """

    model: type[Any]
    lists: Callable[..., Paginator[Any]]
    filters: frozenset[str] = frozenset()
    table: tuple[str, ...]
    nested: Mapping[str, type[Any]] = attrs.field(factory=dict)
    joined: Mapping[str, type[Any]] = attrs.field(factory=dict)
    lines: tuple[str, type[Any]] | None = None
    has_schema: bool = False


def _lister(name: str) -> Callable[..., Paginator[Any]]:
    def lists(client: GoedGepickt, **filters: Any) -> Paginator[Any]:
        paginator: Paginator[Any] = getattr(client, name).list(**filters)
        return paginator

    return lists


RESOURCES: Mapping[str, ResourceSpec] = {
    "orders": ResourceSpec(
        model=Order,
        lists=_lister("orders"),
        filters=frozenset({"created_after", "status"}),
        table=("display_id", "status", "created_at", "total_paid", "shipping.city", "shipping.country", "webshop_name"),
        nested={"billing": Address, "shipping": Address},
        joined={"shipments": OrderShipment},
        lines=("lines", OrderLine),
        has_schema=True,
    ),
    "products": ResourceSpec(
        model=Product,
        lists=_lister("products"),
        table=("sku", "name", "type", "price", "stock.free_stock", "stock.total_stock"),
        nested={"supplier": Supplier, "stock": ProductStock},
        has_schema=True,
    ),
    "shipments": ResourceSpec(
        model=Shipment,
        lists=_lister("shipments"),
        filters=frozenset({"created_after", "status"}),
        table=("status", "created_at", "delivered_at", "shipping_method", "track_trace_code", "shipping_city"),
        nested={"linked_order": LinkedOrder},
        has_schema=True,
    ),
    "webshops": ResourceSpec(model=Webshop, lists=_lister("webshops"), table=("uuid", "name", "url", "platform")),
    "pick-locations": ResourceSpec(model=PickLocation, lists=_lister("pick_locations"), table=("uuid", "name")),
    "webhooks": ResourceSpec(
        model=Webhook, lists=_lister("webhooks"), table=("uuid", "event", "target_url", "webshop_name", "secret")
    ),
}
"""By the name that the command line knows it under."""
