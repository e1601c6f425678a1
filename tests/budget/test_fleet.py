"""Processes of several hosts over one Redis, in virtual time: the real queue and slots, with and without troubles."""

import math
from pathlib import Path

import pytest

from tests.support.fleet import Fleet, run


def p99(waits: list[float]) -> float:
    return sorted(waits)[math.ceil(len(waits) * 0.99) - 1]


@pytest.mark.parametrize("trip", [(0.0005, 0.002), (0.01, 0.05)])
def test_processes_of_several_hosts_reach_the_rate_and_take_turns(tmp_path: Path, trip: tuple[float, float]) -> None:
    report = run(Fleet(hosts=4, processes=3, seconds=120, trip=trip, troubles=False), tmp_path)
    assert report.refused == 0
    assert report.share >= 0.95
    assert p99(report.waits) < 3
    assert report.commands <= 25


def test_a_redis_250_milliseconds_away_works(tmp_path: Path) -> None:
    report = run(
        Fleet(hosts=1, processes=6, seconds=120, latency=(0.05, 0.5), trip=(0.25, 0.25), troubles=False), tmp_path
    )
    assert report.refused == 0
    assert report.share >= 0.6


def test_hosts_that_come_and_go_and_a_redis_that_forgets_and_is_away_cost_no_refusal(tmp_path: Path) -> None:
    report = run(Fleet(hosts=4, processes=3, seconds=200), tmp_path)
    assert report.refused == 0
    assert report.share >= 0.6
