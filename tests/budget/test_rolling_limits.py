"""Servers whose limit rolls (sliding window, its estimate, GCRA, token bucket): no refusal, no false foreign traffic."""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import pytest

from goedgepickt_async.budget.slots import Lane, LimiterConfig
from tests.support.busy_desk import BusyDesk
from tests.support.fuzz import Job, depth, play
from tests.support.throttles import CacheThrottle, EstimatedWindow, SlidingLog, Throttle, TokenBucket

pytestmark = pytest.mark.slow

SERVERS: dict[str, Callable[..., Any]] = {"sliding": SlidingLog, "bucket": TokenBucket, "fixed": CacheThrottle}
SERVERS |= {f"estimated, begun at {phase}": partial(EstimatedWindow, phase=phase) for phase in (0, 17, 45)}
SECONDS = 430 if len(depth(1)) == 1 else 800
LATENCIES = [(0.01, 0.3), (0.05, 1.5)]


def desk(server: Throttle, latency: tuple[float, float], *, counter: bool = True, foreign: float = 0.0) -> BusyDesk:
    config = LimiterConfig(use_server_counter=counter, headroom=0)
    return BusyDesk(Lane.NORMAL, people=0, latency=latency, seed=1, server=server, config=config, foreign=foreign)


@cache
def share_without_counter(latency: tuple[float, float]) -> float:
    """The part of the rate that the slots reach by themselves."""
    return desk(SlidingLog(150, 60), latency, counter=False).run(SECONDS, left_out=61).share


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("latency", LATENCIES)
def test_no_kind_of_limit_costs_a_refusal_and_most_hardly_any_of_the_rate(
    name: str, latency: tuple[float, float]
) -> None:
    busy = desk(SERVERS[name](150, 60), latency)
    reached = busy.run(SECONDS, left_out=61)
    assert reached.refused == 0
    assert not busy.foreign_traffic
    assert share_without_counter(latency) / reached.share <= (
        1.03 if name == "fixed" else 1.35 if "estimated" in name else 1.10
    )


@pytest.mark.parametrize("flavour", ["sliding", "bucket", "estimated"])
@pytest.mark.parametrize(
    "job",
    [
        Job(limit=20, lost=0.05, never_sent=0.05, headerless=0.05),
        Job(limit=150, window=60, late_arrival=30, requests=500, concurrency=50, latency=(0.05, 1.5)),
        Job(limit=150, window=60, late_arrival=30, requests=500, concurrency=10, latency=(0.01, 0.3), lost=0.01),
    ],
)
def test_no_request_to_a_rolling_limit_is_refused(job: Job, flavour: str) -> None:
    tallies = [play(job, flavour, seed) for seed in depth(8 if job.limit == 20 else 2)]
    assert sum(tally.refusals for tally in tallies) == 0


@pytest.mark.parametrize("make", [SlidingLog, TokenBucket, EstimatedWindow])
def test_foreign_traffic_on_a_rolling_limit_costs_hardly_a_refusal(make: type[SlidingLog]) -> None:
    assert desk(make(150, 60), (0.05, 0.3), foreign=0.5).run(300, left_out=61).refused <= 2
