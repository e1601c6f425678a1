"""Many items: each with its outcome, on a lane that leaves room for others, and only what differs."""

from __future__ import annotations

from goedgepickt_async.bulk.map import Outcome, OutcomeStream, Progress, StopAfter
from goedgepickt_async.bulk.plan import Bulk, Plan
from goedgepickt_async.bulk.planning import PlanningOrders, PlanningProducts, PlanningStock
from goedgepickt_async.bulk.values import (
    Action,
    Applied,
    Change,
    Conflict,
    How,
    LeftAlone,
    PlannedWrite,
    Unchanged,
    Wish,
)

__all__ = [
    "Action",
    "Applied",
    "Bulk",
    "Change",
    "Conflict",
    "How",
    "LeftAlone",
    "Outcome",
    "OutcomeStream",
    "Plan",
    "PlannedWrite",
    "PlanningOrders",
    "PlanningProducts",
    "PlanningStock",
    "Progress",
    "StopAfter",
    "Unchanged",
    "Wish",
]
