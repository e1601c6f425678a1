"""Bulk jobs: one outcome for each item, in the bulk lane, and plans that write only differences."""

from __future__ import annotations

from goedgepickt_async.bulk.map import Outcome, OutcomeStream, Progress, StopAfter
from goedgepickt_async.bulk.plan import Plan
from goedgepickt_async.bulk.planner import Bulk, Run
from goedgepickt_async.bulk.runs import (
    RunRecord,
    RunState,
    Target,
    UnfinishedRunError,
    drop_run,
    find_run,
    list_runs,
    read_changes,
    unfinished_runs,
)
from goedgepickt_async.bulk.values import (
    Action,
    Applied,
    AppliedVia,
    Change,
    Conflict,
    ConflictCode,
    DesiredRow,
    PlannedWrite,
    PlanScope,
    RowSource,
    Skipped,
    Unchanged,
)

__all__ = [
    "Action",
    "Applied",
    "AppliedVia",
    "Bulk",
    "Change",
    "Conflict",
    "ConflictCode",
    "DesiredRow",
    "Outcome",
    "OutcomeStream",
    "Plan",
    "PlanScope",
    "PlannedWrite",
    "Progress",
    "RowSource",
    "Run",
    "RunRecord",
    "RunState",
    "Skipped",
    "StopAfter",
    "Target",
    "Unchanged",
    "UnfinishedRunError",
    "drop_run",
    "find_run",
    "list_runs",
    "read_changes",
    "unfinished_runs",
]
