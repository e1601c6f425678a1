"""The state of a sandbox: generated, seeded, changed by requests and by tests. It knows nothing of HTTP."""

from __future__ import annotations

from goedgepickt_async.sandbox.world.table import Change, ChangeKind, Row, Table, WorldSettings
from goedgepickt_async.sandbox.world.world import World

__all__ = ["Change", "ChangeKind", "Row", "Table", "World", "WorldSettings"]
