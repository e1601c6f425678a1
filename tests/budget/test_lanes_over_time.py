"""Minutes of an endless job beside people's calls, in virtual time: what the lanes give to whom."""

import pytest

from goedgepickt_async.budget.slots import Lane
from tests.support.busy_desk import BusyDesk

LATENCIES = [(0.02, 0.1), (0.05, 1.5)]


@pytest.mark.parametrize("people", [0, 8 / 60])
@pytest.mark.parametrize("latency", LATENCIES)
def test_a_list_reaches_98_percent_of_what_slots_allow_and_is_never_refused(
    latency: tuple[float, float], people: float
) -> None:
    for seed in range(1):
        tally = BusyDesk(Lane.NORMAL, people=people, latency=latency, seed=seed).run(600, left_out=61)
        assert tally.share >= 0.98
        assert tally.refused == 0


@pytest.mark.parametrize("latency", LATENCIES)
def test_of_eight_interactive_calls_a_minute_beside_a_list_99_percent_wait_less_than_a_second(
    latency: tuple[float, float],
) -> None:
    waits: list[float] = []
    for seed in range(3):
        waits += BusyDesk(Lane.NORMAL, people=8 / 60, latency=latency, seed=seed).run(600, left_out=61).waits
    assert len(waits) > 200
    waits.sort()
    assert waits[len(waits) // 2] == 0
    assert waits[len(waits) * 99 // 100] < 1
