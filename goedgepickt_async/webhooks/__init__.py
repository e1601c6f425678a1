"""Live updates: deliveries of GoedGepickt that are verified, kept safe, answered at once and handled behind the answer.

`verify` and `parse` are all that a small program of its own needs; `WebhookReceiver` does the rest too.
"""

from __future__ import annotations

from goedgepickt_async.webhooks.adapters import aiohttp_handler, django_view, starlette_endpoint
from goedgepickt_async.webhooks.answers import Answer
from goedgepickt_async.webhooks.events import (
    CompoundProductStockUpdated,
    Event,
    OrderStatusChanged,
    StockUpdated,
    UnknownEvent,
    parse,
)
from goedgepickt_async.webhooks.inbox import Claim, Entry, Inbox, Intake, MemoryInbox, SqliteInbox
from goedgepickt_async.webhooks.patience import HandlerRetry
from goedgepickt_async.webhooks.receiver import WebhookReceiver
from goedgepickt_async.webhooks.signature import sign, verify
from goedgepickt_async.webhooks.tally import ReceiverSnapshot
from goedgepickt_async.webhooks.worker import FailedDelivery

__all__ = [
    "Answer",
    "Claim",
    "CompoundProductStockUpdated",
    "Entry",
    "Event",
    "FailedDelivery",
    "HandlerRetry",
    "Inbox",
    "Intake",
    "MemoryInbox",
    "OrderStatusChanged",
    "ReceiverSnapshot",
    "SqliteInbox",
    "StockUpdated",
    "UnknownEvent",
    "WebhookReceiver",
    "aiohttp_handler",
    "django_view",
    "parse",
    "sign",
    "starlette_endpoint",
    "verify",
]
