"""Servers whose limit rolls (sliding window, GCRA, token bucket): no false foreign traffic, and no rate lost."""

from collections.abc import Callable

import pytest

from goedgepickt_async.budget.slots import Lane, LimiterConfig
from tests.support.busy_desk import BusyDesk
from tests.support.throttles import SlidingLog, Throttle, TokenBucket

SERVERS: list[Callable[[int, float], Throttle]] = [SlidingLog, TokenBucket]
LATENCIES = [(0.01, 0.3), (0.05, 1.5)]


def desk(server: Throttle, latency: tuple[float, float], seed: int, *, counter: bool = True) -> BusyDesk:
    config = LimiterConfig(use_server_counter=counter, headroom=0)
    return BusyDesk(Lane.NORMAL, people=0, latency=latency, seed=seed, server=server, config=config)


@pytest.mark.parametrize("make", SERVERS)
@pytest.mark.parametrize("latency", LATENCIES)
@pytest.mark.parametrize("seed", range(3))
def test_a_rolling_limit_costs_no_refusal_and_at_most_a_tenth_of_what_slots_alone_reach(
    make: Callable[[int, float], Throttle], latency: tuple[float, float], seed: int
) -> None:
    heeding, alone = (desk(make(150, 60), latency, seed, counter=counter) for counter in (True, False))
    with_counter, without = heeding.run(900, left_out=61), alone.run(900, left_out=61)
    assert with_counter.refused == 0
    assert not heeding.foreign_traffic
    assert without.share / with_counter.share <= 1.10


def test_on_a_rolling_limit_foreign_traffic_is_still_seen() -> None:
    server = SlidingLog(150, 60)
    busy = desk(server, (0.05, 0.3), 1)
    busy.run(200, left_out=61)
    for number in range(60):
        server.arrive(busy._now + number)
    busy.run(330, left_out=61)
    assert busy.foreign_traffic
