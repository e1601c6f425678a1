"""Where deliveries wait between the response and the handler."""

from __future__ import annotations

from goedgepickt_async.webhooks.inbox.memory import MemoryInbox
from goedgepickt_async.webhooks.inbox.protocol import Claim, Inbox, InboxEntry, Intake
from goedgepickt_async.webhooks.inbox.sqlite import SqliteInbox

__all__ = ["Claim", "Inbox", "InboxEntry", "Intake", "MemoryInbox", "SqliteInbox"]
