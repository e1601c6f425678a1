"""From a change of the world to what the service reports of it (reference sections 4.7 and 6)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

from goedgepickt_async.sandbox.world import Change, ChangeKind, Row, World

__all__ = ["Report", "report_of", "subscribed"]


@attrs.frozen
class Report:
    """What is to be told, and to whom.

    Attributes:
        subscription: The event that is subscribed to.
        webshop: The uuid of the webshop that it happened in; None for the whole account.
        payload: What is said.
    """

    subscription: str
    webshop: str | None
    payload: dict[str, Any]


def report_of(world: World, change: Change) -> Report | None:
    """Return what a change leads to; None if the service tells nobody of it.

    A new order reports its first status. Each movement of stock is reported, of a bundle's header under a name of its
    own; `newStock` is the free stock, which is what shops take over.
    """
    webshop = None if change.webshop is None else world.webshops.uuid(change.webshop)
    match change.kind:
        case ChangeKind.ORDER_CREATED | ChangeKind.ORDER_STATUS_CHANGED:
            return Report("order.statusChanged", webshop, _order_payload(world, change.row))
        case ChangeKind.PRODUCT_STOCK_CHANGED:
            return Report("product.stockChanged", webshop, _stock_payload(change.row))
    return None


def subscribed(world: World, report: Report) -> Iterator[Row]:
    """Return the subscriptions that a report is for."""
    for hook in world.webhooks:
        if hook["webhookEvent"] == report.subscription and report.webshop in {None, hook["webshopUuid"]}:
            yield hook


def _order_payload(world: World, row: Row) -> dict[str, Any]:
    index = world.orders.find(str(row["uuid"]))
    return {
        "event": "orderStatusChanged",
        "newStatus": row["status"],
        "orderNumber": row.get("orderId") if index is None else world.order_id(index),
        "orderUuid": row["uuid"],
    }


def _stock_payload(row: Row) -> dict[str, Any]:
    compound = row.get("type") == "parent"
    return {
        "event": "compoundProductStockUpdated" if compound else "stockUpdated",
        "newStock": str((row["stock"] or {}).get("freeStock", 0)),
        "productSku": row["sku"],
        "productUuid": row["uuid"],
    }
