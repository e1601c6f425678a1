"""Processes of several hosts over one Redis, in virtual time: the real queue and slots, with and without troubles."""

import asyncio
import math
import random
from pathlib import Path
from typing import Any

import pytest

from goedgepickt_async import BudgetExhaustedError, RedisBudget
from goedgepickt_async.budget.config import LimiterConfig
from goedgepickt_async.budget.protocol import Answered
from goedgepickt_async.budget.slots import Lane
from goedgepickt_async.budget.store import SharerMemory
from tests.support.fleet import Fleet, run
from tests.support.fuzz import depth
from tests.support.memory_redis import MemoryRedis
from tests.support.virtual import loop_nanoseconds

pytestmark = pytest.mark.slow


def p99(waits: list[float]) -> float:
    return sorted(waits)[math.ceil(len(waits) * 0.99) - 1]


# With seed 2041, the window ends while all calls wait and the last responses are on their way to Redis.
@pytest.mark.parametrize(("trip", "seed"), [((0.0005, 0.002), 0), ((0.01, 0.05), 2041)])
def test_processes_of_several_hosts_reach_the_rate_and_take_turns(
    tmp_path: Path, trip: tuple[float, float], seed: int
) -> None:
    for more in depth(1):
        seconds = 120 if more else 62
        fleet = Fleet(hosts=4, processes=3, seconds=seconds, trip=trip, troubles=False, seed=seed + more)
        report = run(fleet, tmp_path)
        assert report.refused == 0, fleet
        assert report.share >= 0.95, fleet
        assert p99(report.waits) < 3, fleet
        assert report.commands <= 25, fleet


def test_a_redis_250_milliseconds_away_works(tmp_path: Path) -> None:
    report = run(
        Fleet(hosts=1, processes=6, seconds=62, latency=(0.05, 0.5), trip=(0.25, 0.25), troubles=False), tmp_path
    )
    assert report.refused == 0
    assert report.share >= 0.6


def test_hosts_that_come_and_go_and_a_redis_that_forgets_and_is_away_cost_no_refusal(tmp_path: Path) -> None:
    for more in depth(1):
        hosts, processes, seconds = (4, 3, 200) if more else (3, 2, 80)
        fleet = Fleet(hosts=hosts, processes=processes, seconds=seconds, seed=more)
        report = run(fleet, tmp_path)
        assert report.refused == 0, fleet
        assert report.share >= 0.6, fleet


async def sent(budget: RedisBudget, most: int) -> int:
    """How many of so many requests may go now; they are answered."""
    for number in range(most):
        try:
            grant = await budget.take(Lane.INTERACTIVE, max_lifetime=5, max_wait=0)
        except BudgetExhaustedError:
            return number
        budget.settle(grant, Answered())
    return most


def on_one_host(directory: Path, limit: int, **options: Any) -> tuple[MemoryRedis, RedisBudget, RedisBudget]:
    clock = loop_nanoseconds()
    redis = MemoryRedis(clock)
    options |= {"client": redis.client, "clock": clock, "directory": directory, "use_server_counter": False}
    one, two = (RedisBudget(limit, headroom=0, **options) for _ in range(2))
    return redis, one, two


@pytest.mark.virtual_time
async def test_what_a_neighbour_sent_last_before_an_outage_counts_on_its_host(tmp_path: Path) -> None:
    redis, one, two = on_one_host(tmp_path, 20)
    assert await sent(one, 1) == 1
    assert await sent(two, 12) == 12
    await asyncio.sleep(2)  # `two` is idle, and `one` has not looked since
    redis.is_away = True
    assert await sent(one, 20) == 7
    await one.close()
    await two.close()


@pytest.mark.virtual_time
@pytest.mark.parametrize("is_empty", [False, True])
async def test_the_processes_of_a_host_come_back_from_an_outage_together(tmp_path: Path, is_empty: bool) -> None:
    redis, one, two = on_one_host(tmp_path, 30)
    assert await sent(one, 2) + await sent(two, 2) == 4
    redis.is_away = True
    assert await sent(one, 2) == 2
    await asyncio.sleep(1.5)
    assert await sent(two, 2) == 2
    await asyncio.sleep(9)
    if is_empty:
        redis.flush()
    redis.is_away = False
    total = 8
    for _ in range(22):  # alternately, in all phases of the return
        total += await sent(one, 1) + await sent(two, 1)
        await asyncio.sleep(0.5)
    assert total == 30
    assert not one.snapshot().problem
    assert not two.snapshot().problem
    await one.close()
    await two.close()


@pytest.mark.virtual_time
async def test_a_process_that_begins_in_an_outage_takes_no_requests_of_others_for_foreign_traffic(
    tmp_path: Path,
) -> None:
    clock = loop_nanoseconds()
    redis = MemoryRedis(clock)
    redis.is_away = True
    budget = RedisBudget(20, client=redis.client, clock=clock, directory=str(tmp_path))
    grant = await budget.take(Lane.INTERACTIVE, max_lifetime=5)
    budget.settle(grant, Answered(19))
    now = budget.snapshot()
    assert (now.share, now.foreign_traffic) == (5, False)
    await budget.close()


@pytest.mark.parametrize("hosts", [2, 3, 7])
def test_the_hosts_together_keep_all_slots_that_were_in_use_before_an_outage(hosts: int) -> None:
    draw, config = random.Random(hosts), LimiterConfig()
    for _ in range(50):
        used = draw.choice([10, 120, 145, 150])
        numbers = draw.sample(range(1, 1000), used)
        seen = {draw.choice([7, 8, 9]) << 32 | number: draw.randrange(100, 200) for number in numbers}
        kept = []
        for host in range(hosts):
            memory = SharerMemory(7)
            memory._seen, memory.own = dict(seen), {slot: at for slot, at in seen.items() if slot >> 32 == 7}
            memory.in_flight = set(draw.sample(sorted(memory.own), min(3, len(memory.own))))
            part = memory.part(host, range(hosts), 0, config)
            assert part.in_flight == memory.in_flight
            kept.append(part.seen(0))
        assert seen.keys() <= set().union(*kept)
        assert min(map(len, kept)) >= used // hosts
        # Where nearly all were in use, no host may send before one of the slots becomes free.
        assert used < 140 or min(map(len, kept)) >= config.share // hosts
