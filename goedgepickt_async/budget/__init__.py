"""Budgets: they keep all requests of an IP address under the rate limit, with slots in memory, a file or Redis."""

from __future__ import annotations

from goedgepickt_async.budget.config import Lane
from goedgepickt_async.budget.host import HostBudget
from goedgepickt_async.budget.local import LocalBudget
from goedgepickt_async.budget.protocol import Budget, BudgetSnapshot
from goedgepickt_async.budget.selection import describe_budget, select_budget

__all__ = ["Budget", "BudgetSnapshot", "HostBudget", "Lane", "LocalBudget", "describe_budget", "select_budget"]
