"""The budget that clients share by default: one for each server, never one for each key, for the limit is per IP."""

from __future__ import annotations

import os
import threading
from urllib.parse import urlsplit

from goedgepickt_async.budget.host import HostBudget
from goedgepickt_async.budget.local import LocalBudget
from goedgepickt_async.budget.protocol import Budget

__all__ = ["shared_budget"]

_lock = threading.Lock()
_budgets: dict[str, Budget] = {}


def shared_budget(base_url: str, *, is_local: bool) -> Budget:
    """The budget for the server behind a base URL: all of this host's processes share it, by a file."""
    parts = urlsplit(base_url)
    host = (parts.hostname or "").rstrip(".")
    server = f"{host}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
    with _lock:
        if server not in _budgets:
            # A server on this machine is a sandbox: nobody else's limit, and its port is another's tomorrow.
            _budgets[server] = LocalBudget() if is_local else HostBudget(name=server)
        return _budgets[server]


def _after_fork_in_child() -> None:
    global _lock  # noqa: PLW0603  another thread of the parent may have held it
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
