"""Webhook deliveries: verify, store durably, respond immediately, handle in the background.

`verify` and `parse` are enough for a small program. `WebhookReceiver` does the rest too.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from goedgepickt_async.webhooks import events
from goedgepickt_async.webhooks.events import *  # noqa: F403  the table of events names them

if TYPE_CHECKING:
    from goedgepickt_async.webhooks.endpoint import (
        DeliveryEndpoint,
        ReceivedDelivery,
        ReceiverSnapshot,
        RejectionLog,
        WebhookResponse,
    )
    from goedgepickt_async.webhooks.handlers import FailedDelivery, HandlerRetry, HandlerTimeoutError
    from goedgepickt_async.webhooks.inbox import (
        Claim,
        FailedEntry,
        Inbox,
        InboxEntry,
        InboxStatus,
        Intake,
        MemoryInbox,
    )
    from goedgepickt_async.webhooks.inbox.sqlite import SqliteInbox, default_inbox_path
    from goedgepickt_async.webhooks.receiver import WebhookReceiver, aiohttp_handler, django_view, starlette_endpoint
    from goedgepickt_async.webhooks.signature import sign, verify

__all__ = [
    "Claim",
    "DeliveryEndpoint",
    "FailedDelivery",
    "FailedEntry",
    "HandlerRetry",
    "HandlerTimeoutError",
    "Inbox",
    "InboxEntry",
    "InboxStatus",
    "Intake",
    "MemoryInbox",
    "ReceivedDelivery",
    "ReceiverSnapshot",
    "RejectionLog",
    "SqliteInbox",
    "WebhookReceiver",
    "WebhookResponse",
    "aiohttp_handler",
    "default_inbox_path",
    "django_view",
    "sign",
    "starlette_endpoint",
    "verify",
]
__all__ += events.__all__

# A client reads the table of events; it does not need SQLite, threads and all else that a receiver needs.
_MODULES = ("signature", "handlers", "inbox", "inbox.sqlite", "endpoint", "receiver")


def __getattr__(name: str) -> object:
    """Import a public name when it is first used."""
    if name in __all__:
        for module in _MODULES:
            found = importlib.import_module(f"{__name__}.{module}")
            if name in found.__all__:
                value = globals()[name] = getattr(found, name)
                return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
