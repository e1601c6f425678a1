"""The three stores decide alike: the same history gives the same grants, refusals and counts."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goedgepickt_async import BudgetExhaustedError, HostBudget, LocalBudget, RedisBudget
from goedgepickt_async.budget.protocol import Answered, Grant, Lost, NeverSent, Outcome, Refused
from goedgepickt_async.budget.queue import QueuedBudget
from goedgepickt_async.budget.slots import Lane
from goedgepickt_async.testing import VirtualClock
from tests.support.fuzz import examples
from tests.support.memory_redis import MemoryRedis

pytestmark = pytest.mark.slow

NUMBERS: dict[str, Any] = {"safety_margin": 1.0, "late_arrival": 10.0, "headroom": 1}


@attrs.frozen
class Take:
    lane: Lane


@attrs.frozen
class Settle:
    which: int
    outcome: Outcome


@attrs.frozen
class Pass:
    seconds: int


outcomes = st.one_of(
    st.integers(0, 6).map(Answered), st.just(Answered()), st.just(Lost()), st.just(NeverSent()), st.just(Refused(3))
)
histories = st.lists(
    st.one_of(
        st.sampled_from([Lane.INTERACTIVE, Lane.NORMAL]).map(Take),
        st.builds(Settle, st.integers(0, 5), outcomes),
        st.integers(1, 40).map(Pass),
    ),
    max_size=40,
)


async def told(budget: QueuedBudget, history: list[Take | Settle | Pass]) -> list[object]:
    """Return the results of a budget for a history."""
    said: list[object] = []
    held: list[Grant] = []
    for step in history:
        match step:
            case Take(lane):
                try:
                    held.append(await budget.take(lane, max_lifetime=5, max_wait=0))
                    said.append("granted")
                except BudgetExhaustedError:
                    said.append("exhausted")
            case Settle(which, outcome) if which < len(held):
                budget.settle(held.pop(which), outcome)
                await asyncio.sleep(0.4)  # it reaches Redis a moment later
            case Pass(seconds):
                await asyncio.sleep(seconds)
        now = budget.snapshot()
        said.append((now.used, now.in_flight, now.throttled, now.foreign_traffic, round(now.paused_for)))
    return said


def story(kind: str, history: list[Take | Settle | Pass]) -> list[object]:
    with VirtualClock() as clock, tempfile.TemporaryDirectory() as folder:
        clock_ns = clock.monotonic_ns

        async def main() -> list[object]:
            if kind == "local":
                return await told(LocalBudget(6, 20.0, clock=clock_ns, **NUMBERS), history)
            if kind == "host":
                return await told(HostBudget(6, 20.0, directory=Path(folder), clock=clock_ns, **NUMBERS), history)
            redis = MemoryRedis(clock_ns, (1e-6, 2e-6))
            budget = RedisBudget(6, 20.0, client=redis.client, directory=folder, clock=clock_ns, **NUMBERS)
            try:
                return await told(budget, history)
            finally:
                await budget.close()

        return clock.run(main())


@settings(max_examples=examples(10))
@given(history=histories)
def test_the_three_stores_give_equal_results_for_one_history(history: list[Take | Settle | Pass]) -> None:
    local = story("local", history)
    assert story("host", history) == local
    assert story("redis", history) == local
