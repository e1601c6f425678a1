"""RedisBudget: one budget for all hosts behind one IP. Needs the `redis` extra."""

from __future__ import annotations

from goedgepickt_async.budget.redis.budget import RedisBudget

__all__ = ["RedisBudget"]
