"""Where deliveries wait between the response and the handler."""

from __future__ import annotations

from goedgepickt_async.webhooks.inbox.memory import MemoryInbox
from goedgepickt_async.webhooks.inbox.protocol import Claim, FailedEntry, Inbox, InboxEntry, InboxStatus, Intake
from goedgepickt_async.webhooks.inbox.sqlite import SqliteInbox, default_inbox_path

__all__ = [
    "Claim",
    "FailedEntry",
    "Inbox",
    "InboxEntry",
    "InboxStatus",
    "Intake",
    "MemoryInbox",
    "SqliteInbox",
    "default_inbox_path",
]
