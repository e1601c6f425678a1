"""Minutes of an endless job and of people's calls, in virtual time: how the lanes share the slots."""

import functools

import pytest

from goedgepickt_async.budget.slots import Lane
from tests.support.busy_desk import BusyDesk, Tally

pytestmark = pytest.mark.slow

LATENCIES = [(0.02, 0.1), (0.05, 1.5)]


@functools.cache  # both tests use the first seed
def measured(latency: tuple[float, float], people: float, seed: int = 0) -> Tally:
    return BusyDesk(Lane.NORMAL, people=people, latency=latency, seed=seed).run(600 if people else 310, left_out=61)


@pytest.mark.parametrize("people", [0, 8 / 60])
@pytest.mark.parametrize("latency", LATENCIES)
def test_a_list_reaches_98_percent_of_what_slots_allow_and_is_never_refused(
    latency: tuple[float, float], people: float
) -> None:
    tally = measured(latency, people)
    assert tally.share >= 0.98
    assert tally.refused == 0


@pytest.mark.parametrize("latency", LATENCIES)
def test_during_a_list_99_percent_of_eight_interactive_calls_a_minute_wait_less_than_a_second(
    latency: tuple[float, float],
) -> None:
    waits = sorted(wait for seed in range(3) for wait in measured(latency, 8 / 60, seed).waits)
    assert len(waits) > 200
    assert waits[len(waits) // 2] == 0
    assert waits[len(waits) * 99 // 100] < 1
