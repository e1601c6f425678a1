"""The budget that clients share by default: one for each server, never one for each key, for the limit is per IP."""

from __future__ import annotations

import threading
from urllib.parse import urlsplit

from goedgepickt_async.budget.local import LocalBudget
from goedgepickt_async.budget.protocol import Budget

__all__ = ["shared_budget"]

_lock = threading.Lock()
_budgets: dict[str, Budget] = {}


def shared_budget(base_url: str) -> Budget:
    """The budget of this process for the server behind a base URL."""
    server = urlsplit(base_url).netloc.rpartition("@")[2].lower()
    with _lock:
        return _budgets.setdefault(server, LocalBudget())
