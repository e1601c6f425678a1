"""One class for each resource, with a typed method for each endpoint."""

from __future__ import annotations

from goedgepickt_async.resources import catalogue
from goedgepickt_async.resources.catalogue import *  # noqa: F403  the module names its resources
from goedgepickt_async.resources.orders import CreatedOrder, Orders
from goedgepickt_async.resources.products import Products, Stock
from goedgepickt_async.resources.webhooks import EnsuredWebhooks, Webhooks

__all__ = ["CreatedOrder", "EnsuredWebhooks", "Orders", "Products", "Stock", "Webhooks"]
__all__ += catalogue.__all__
