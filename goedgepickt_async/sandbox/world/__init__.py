"""The state of a sandbox: generated, seeded, changed by requests and by tests. It knows nothing of HTTP."""

from __future__ import annotations

from goedgepickt_async.sandbox.world.lifecycle import ACTIONS, ActionError, LifeCycle, Stage
from goedgepickt_async.sandbox.world.table import Change, ChangeKind, Row, Table, WorldSettings
from goedgepickt_async.sandbox.world.world import World

__all__ = [
    "ACTIONS",
    "ActionError",
    "Change",
    "ChangeKind",
    "LifeCycle",
    "Row",
    "Stage",
    "Table",
    "World",
    "WorldSettings",
]
