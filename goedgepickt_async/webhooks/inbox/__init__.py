"""Where deliveries lie between the answer and the handler."""

from __future__ import annotations

from goedgepickt_async.webhooks.inbox.memory import MemoryInbox
from goedgepickt_async.webhooks.inbox.protocol import Claim, Entry, Inbox, Intake
from goedgepickt_async.webhooks.inbox.sqlite import SqliteInbox

__all__ = ["Claim", "Entry", "Inbox", "Intake", "MemoryInbox", "SqliteInbox"]
