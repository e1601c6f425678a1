"""One class a resource: thin typed methods over the API's endpoints."""

from __future__ import annotations

from goedgepickt_async.resources.orders import CreatedOrder, Orders
from goedgepickt_async.resources.pick_locations import PickLocations
from goedgepickt_async.resources.products import Products
from goedgepickt_async.resources.shipments import Shipments
from goedgepickt_async.resources.stock import Stock
from goedgepickt_async.resources.subscriptions import EnsuredWebhooks
from goedgepickt_async.resources.webhooks import Webhooks
from goedgepickt_async.resources.webshops import Webshops

__all__ = [
    "CreatedOrder",
    "EnsuredWebhooks",
    "Orders",
    "PickLocations",
    "Products",
    "Shipments",
    "Stock",
    "Webhooks",
    "Webshops",
]
