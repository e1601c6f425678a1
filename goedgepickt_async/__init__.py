"""An async-first client of the GoedGepickt warehouse API: never throttled, never half a list, never an order twice."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from goedgepickt_async._version import __version__

if TYPE_CHECKING:
    from goedgepickt_async import errors
    from goedgepickt_async.budget import Budget, BudgetSnapshot, HostBudget, Lane, LocalBudget
    from goedgepickt_async.budget.redis import RedisBudget
    from goedgepickt_async.client import GoedGepickt, Response
    from goedgepickt_async.errors import (
        AlreadyExistsError,
        APIError,
        AuthenticationError,
        BudgetExhaustedError,
        ClientClosedError,
        ConfigurationError,
        ConnectFailedError,
        ConnectionLostError,
        DecodeError,
        Evidence,
        GoedGepicktError,
        InboxError,
        MultipleFoundError,
        NotFoundError,
        OutcomeUnknownError,
        PagingError,
        PermissionDeniedError,
        RateLimitedError,
        RedirectedError,
        RequestTimeoutError,
        ServerError,
        TransportError,
        ValidationError,
        WebhookVerificationError,
    )
    from goedgepickt_async.hooks import AnswerSeen, Hooks, PauseSeen, RetrySeen, StrangersSeen, WaitSeen
    from goedgepickt_async.models import (
        UNSET,
        Address,
        LineType,
        LinkedOrder,
        NewOrder,
        NewOrderLine,
        NewProduct,
        NewWebhook,
        OpenEnum,
        Order,
        OrderLine,
        OrderShipment,
        OrderStatus,
        PageInfo,
        PickLocation,
        PickupLocation,
        Product,
        ProductStock,
        ProductType,
        ProductUpdate,
        Secret,
        Shipment,
        ShipmentStatus,
        StockLocation,
        Supplier,
        Unset,
        Webhook,
        WebhookEvent,
        Webshop,
    )
    from goedgepickt_async.paging import Page, Paginator
    from goedgepickt_async.resources import CreatedOrder, EnsuredWebhooks
    from goedgepickt_async.settings import Settings
    from goedgepickt_async.wire.retry import RetryPolicy

# Where each public name lives. Importing the package imports none of it: aiohttp alone costs a quarter of a second.
_HOMES = {
    "budget": ("Budget", "BudgetSnapshot", "HostBudget", "Lane", "LocalBudget"),
    "budget.redis": ("RedisBudget",),
    "client": ("GoedGepickt", "Response"),
    "errors": (
        "APIError",
        "AlreadyExistsError",
        "AuthenticationError",
        "BudgetExhaustedError",
        "ClientClosedError",
        "ConfigurationError",
        "ConnectFailedError",
        "ConnectionLostError",
        "DecodeError",
        "Evidence",
        "GoedGepicktError",
        "InboxError",
        "MultipleFoundError",
        "NotFoundError",
        "OutcomeUnknownError",
        "PagingError",
        "PermissionDeniedError",
        "RateLimitedError",
        "RedirectedError",
        "RequestTimeoutError",
        "ServerError",
        "TransportError",
        "ValidationError",
        "WebhookVerificationError",
    ),
    "hooks": ("AnswerSeen", "Hooks", "PauseSeen", "RetrySeen", "StrangersSeen", "WaitSeen"),
    "models": (
        "UNSET",
        "Address",
        "LineType",
        "LinkedOrder",
        "NewOrder",
        "NewOrderLine",
        "NewProduct",
        "NewWebhook",
        "OpenEnum",
        "Order",
        "OrderLine",
        "OrderShipment",
        "OrderStatus",
        "PageInfo",
        "PickLocation",
        "PickupLocation",
        "Product",
        "ProductStock",
        "ProductType",
        "ProductUpdate",
        "Secret",
        "Shipment",
        "ShipmentStatus",
        "StockLocation",
        "Supplier",
        "Unset",
        "Webhook",
        "WebhookEvent",
        "Webshop",
    ),
    "paging": ("Page", "Paginator"),
    "resources": ("CreatedOrder", "EnsuredWebhooks"),
    "settings": ("Settings",),
    "wire.retry": ("RetryPolicy",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "UNSET",
    "APIError",
    "Address",
    "AlreadyExistsError",
    "AnswerSeen",
    "AuthenticationError",
    "Budget",
    "BudgetExhaustedError",
    "BudgetSnapshot",
    "ClientClosedError",
    "ConfigurationError",
    "ConnectFailedError",
    "ConnectionLostError",
    "CreatedOrder",
    "DecodeError",
    "EnsuredWebhooks",
    "Evidence",
    "GoedGepickt",
    "GoedGepicktError",
    "Hooks",
    "HostBudget",
    "InboxError",
    "Lane",
    "LineType",
    "LinkedOrder",
    "LocalBudget",
    "MultipleFoundError",
    "NewOrder",
    "NewOrderLine",
    "NewProduct",
    "NewWebhook",
    "NotFoundError",
    "OpenEnum",
    "Order",
    "OrderLine",
    "OrderShipment",
    "OrderStatus",
    "OutcomeUnknownError",
    "Page",
    "PageInfo",
    "Paginator",
    "PagingError",
    "PauseSeen",
    "PermissionDeniedError",
    "PickLocation",
    "PickupLocation",
    "Product",
    "ProductStock",
    "ProductType",
    "ProductUpdate",
    "RateLimitedError",
    "RedirectedError",
    "RedisBudget",
    "RequestTimeoutError",
    "Response",
    "RetryPolicy",
    "RetrySeen",
    "Secret",
    "ServerError",
    "Settings",
    "Shipment",
    "ShipmentStatus",
    "StockLocation",
    "StrangersSeen",
    "Supplier",
    "TransportError",
    "Unset",
    "ValidationError",
    "WaitSeen",
    "Webhook",
    "WebhookEvent",
    "WebhookVerificationError",
    "Webshop",
    "__version__",
    "errors",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name == "errors":
        return importlib.import_module(f"{__name__}.errors")
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
