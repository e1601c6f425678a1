"""Where the inbox of a receiver lies that was not told where."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["default_place"]


def default_place(port: int) -> Path:
    """A file of the user's own, which a reboot leaves alone; by port, which no two receivers of a host share."""
    if hasattr(os, "getuid"):
        state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    else:
        state = os.environ.get("LOCALAPPDATA") or Path.home()
    return Path(state) / "goedgepickt-async" / f"webhooks-{port}.sqlite3"
