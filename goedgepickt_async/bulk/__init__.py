"""Many items: each with its outcome, on a lane that leaves room for others, and only what differs."""

from __future__ import annotations

from goedgepickt_async.bulk.applied import Applied, How
from goedgepickt_async.bulk.facade import Bulk
from goedgepickt_async.bulk.outcome import Outcome
from goedgepickt_async.bulk.plan import Plan
from goedgepickt_async.bulk.planned import Action, Change, Conflict, LeftAlone, PlannedWrite, Unchanged, Wish
from goedgepickt_async.bulk.planning import PlanningOrders, PlanningProducts, PlanningStock
from goedgepickt_async.bulk.progress import Progress
from goedgepickt_async.bulk.stopping import StopAfter
from goedgepickt_async.bulk.stream import OutcomeStream

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
