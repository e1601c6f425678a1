"""How deliveries get from a web framework to a receiver. A framework is imported only where its adapter is called."""

from __future__ import annotations

from goedgepickt_async.webhooks.adapters.aiohttp_web import aiohttp_handler
from goedgepickt_async.webhooks.adapters.django import django_view
from goedgepickt_async.webhooks.adapters.starlette import starlette_endpoint

__all__ = ["aiohttp_handler", "django_view", "starlette_endpoint"]
