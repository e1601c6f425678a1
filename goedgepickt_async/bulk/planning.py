"""The resources that can plan: what `gg.products`, `gg.stock` and `gg.orders` are."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Mapping
from datetime import date
from typing import Any, Literal

from goedgepickt_async.bulk.orders import OrderKind
from goedgepickt_async.bulk.plan import Plan, make_plan
from goedgepickt_async.bulk.products import ProductKind
from goedgepickt_async.bulk.stock import StockKind
from goedgepickt_async.models import NewOrder, NewProduct, ProductUpdate
from goedgepickt_async.resources import Orders, Products, Stock
from goedgepickt_async.resources.base import day

__all__ = ["PlanningOrders", "PlanningProducts", "PlanningStock"]

ProductRow = NewProduct | ProductUpdate | Mapping[str, Any] | Any
Levels = Mapping[str, int | str]
LevelRows = Iterable[tuple[str, int | str]] | AsyncIterable[tuple[str, int | str]]


class PlanningProducts(Products):
    """Products, and plans for many of them."""

    async def plan(
        self,
        desired: Iterable[ProductRow] | AsyncIterable[ProductRow],
        *,
        key: Literal["sku", "product_id"] = "sku",
        webshop_uuid: str | None = None,
        update_pictures: bool = False,
    ) -> Plan:
        """Compare the products that are wanted with those that are there.

        Args:
            desired: `NewProduct`, `ProductUpdate`, a mapping of their fields' Python names, or an attrs object that
                has them. A field that is UNSET or missing is left as it is; None empties it.
            key: What tells a product apart.
            webshop_uuid: Of which webshop; None: the client's own.
            update_pictures: Send a picture also where there is one already; else only with what is created and where
                the present one is a placeholder, since GoedGepickt complained of clients that re-send them (A).

        Raises:
            ValidationError: Neither the call nor the client names a webshop.
            GoedGepicktError: What is there could not be read.
        """
        kind = ProductKind(self._sender, webshop=self._webshop(webshop_uuid), key=key, update_pictures=update_pictures)
        return await make_plan(self._sender, kind, desired)


class PlanningStock(Stock):
    """Stock, and plans for that of many products."""

    async def plan(
        self,
        levels: Levels | LevelRows,
        *,
        mode: Literal["set", "free"] = "free",
        location: str | None = None,
        one_location: bool = False,
        webshop_uuid: str | None = None,
        reason: str | None = None,
    ) -> Plan:
        """Compare the stock that is wanted with what is there.

        Args:
            levels: SKU -> pieces; or pairs of them, in which a SKU that comes twice is noticed.
            mode: `"free"` brings the free stock to the level, by mutations; `"set"` sets what lies at `location`.
            location: The uuid of a pick location; required to set, and where to mutate (None leaves it to GoedGepickt).
            one_location: For `"set"`: each of these products lies at this location and nowhere else, so that its total
                tells what lies there; else each product's locations are asked for, one request each.
            webshop_uuid: Only products of this webshop; None: the client's own, else of all.
            reason: For people who read the log.

        Raises:
            ConfigurationError: There is no such mode, or it needs a location.
            GoedGepicktError: What is there could not be read.
        """
        webshop = webshop_uuid or self._sender.settings.webshop_uuid
        kind = StockKind(
            self._sender, webshop=webshop, mode=mode, location=location, one_location=one_location, reason=reason
        )
        return await make_plan(self._sender, kind, levels.items() if isinstance(levels, Mapping) else levels)


class PlanningOrders(Orders):
    """Orders, and plans for many new ones."""

    async def plan(
        self,
        new_orders: Iterable[NewOrder | Mapping[str, Any]] | AsyncIterable[NewOrder | Mapping[str, Any]],
        *,
        since: date | None = None,
        webshop_uuid: str | None = None,
    ) -> Plan:
        """Which of these orders exist already, by the shop's own id; so that an import can be run again.

        Args:
            new_orders: `NewOrder`, or mappings of its fields' Python names; addresses may be mappings too, instants
                ISO 8601 text with an offset.
            since: None of them was created before this day. None: since the oldest `created_at`; and if one has none,
                all orders are read.
            webshop_uuid: Of which webshop; None: the client's own.

        Raises:
            ValidationError: Neither the call nor the client names a webshop.
            GoedGepicktError: What is there could not be read.
        """
        kind = OrderKind(self._sender, webshop=self._webshop(webshop_uuid), since=day(since))
        return await make_plan(self._sender, kind, new_orders)
