"""The controllers: one file a resource, and the lists of all of them in one."""

from __future__ import annotations

from goedgepickt_async.sandbox.app import Router
from goedgepickt_async.sandbox.handlers.lists import Lists
from goedgepickt_async.sandbox.handlers.orders import Orders
from goedgepickt_async.sandbox.handlers.products import Products, StockOfProducts
from goedgepickt_async.sandbox.handlers.webhooks import Webhooks
from goedgepickt_async.sandbox.lists import PageLimits
from goedgepickt_async.sandbox.quirks import Quirks
from goedgepickt_async.sandbox.world import World

__all__ = ["build_router"]


def build_router(world: World, limits: PageLimits, quirks: Quirks) -> Router:
    """Return the table of all routes of the API, over one world."""
    lists = Lists(world, limits, quirks)
    products = Products(world, quirks)
    stock = StockOfProducts(world, quirks)
    orders = Orders(world, quirks)
    webhooks = Webhooks(world)
    router = Router()
    for path, listing in lists.plain.items():
        router.add(path, get=lists.of(listing))
    router.add("/products", get=lists.of(lists.products), post=products.create)
    router.add("/products/{}", get=products.get, put=products.update)
    router.add("/products/{}/stock", get=stock.get)
    router.add("/products/{}/stock/{}", post=stock.link, put=stock.set)
    router.add("/products/{}/stock-mutation", put=stock.mutate)
    router.add("/orders", get=lists.of(lists.orders), post=orders.create)
    router.add("/orders/{}", get=orders.get)
    router.add("/shipments", get=lists.of(lists.shipments))
    router.add("/webhooks", get=lists.of(lists.webhooks), post=webhooks.create)
    return router
