"""Many processes of many hosts on one IP, in virtual time: the real queue and slots over a Redis in memory."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import suppress
from pathlib import Path

import attrs

from goedgepickt_async.budget.protocol import Answered, Refused
from goedgepickt_async.budget.redis import RedisBudget
from goedgepickt_async.budget.slots import Lane
from goedgepickt_async.budget.store import SharerMemory
from goedgepickt_async.testing import VirtualClock
from tests.support.memory_redis import MemoryRedis
from tests.support.throttles import CacheThrottle

__all__ = ["Fleet", "Report"]

_TENANTS = 5
_WINDOW, _LIMIT, _GUARD = 60.0, 150, 1.0


@attrs.frozen(kw_only=True)
class Fleet:
    """What runs; durations in seconds.

    Attributes:
        hosts: How many hosts.
        processes: How many processes each has; half of the hosts have jobs that never end.
        seconds: For how long, after a first window.
        latency: The bounds of a request's duration.
        trip: The bounds of a round trip to Redis.
        people: Interactive calls in a second, from all hosts together.
        troubles: Hosts are replaced; Redis loses its state and is unreachable for some time.
        seed: Of everything that is drawn, also by the budgets: a run without troubles repeats exactly.
    """

    hosts: int = 20
    processes: int = 10
    seconds: float = 300.0
    latency: tuple[float, float] = (0.05, 2.0)
    trip: tuple[float, float] = (0.0005, 0.002)
    people: float = 0.2
    troubles: bool = True
    seed: int = 0


@attrs.define
class Report:
    """What came of it.

    Attributes:
        refused: Requests that the server's throttle refused.
        share: Of the requests that the slots allow, how many arrived.
        waits: Of each interactive call, in seconds.
        tenants: Requests of each tenant's jobs.
        commands: That Redis saw, for each second.
    """

    refused: int = 0
    share: float = 0.0
    waits: list[float] = attrs.field(factory=list)
    tenants: Counter[int] = attrs.field(factory=Counter)
    commands: float = 0.0


class _Run:
    def __init__(self, fleet: Fleet, directory: Path) -> None:
        self.fleet, self.directory = fleet, directory
        self.clock, self.draw = VirtualClock(), random.Random(fleet.seed)
        self.server = CacheThrottle(_LIMIT, _WINDOW)
        self.redis = MemoryRedis(self.clock.monotonic_ns, fleet.trip, fleet.seed)
        self.report = Report()
        self.arrived = 0

    async def work(self) -> None:
        fleet = self.fleet
        hosts = [asyncio.create_task(self.host(number)) for number in range(fleet.hosts)]
        await asyncio.sleep(_WINDOW + _GUARD)
        self.report = Report(refused=self.report.refused)
        self.arrived, began = 0, self.clock.monotonic()
        self.redis.commands.clear()
        for quarter in range(4):
            if fleet.troubles and quarter:
                number = self.draw.randrange(fleet.hosts)
                await _end(hosts[number])
                self.redis.flush()
                self.redis.is_away = quarter == 2
                await asyncio.sleep(5)
                self.redis.is_away = False
                hosts[number] = asyncio.create_task(self.host(number))
            await asyncio.sleep(fleet.seconds / 4)
        took = self.clock.monotonic() - began
        cycle = _WINDOW + _GUARD + sum(fleet.latency) / 2
        self.report.share = self.arrived * cycle / (took * _LIMIT)
        commands = self.redis.commands
        self.report.commands = (commands["EVAL"] + commands["PUBLISH"]) / took
        for task in hosts:
            await _end(task)

    async def host(self, number: int) -> None:
        """Its processes; they end with it."""
        budgets = [
            RedisBudget(
                _LIMIT,
                _WINDOW,
                client=self.redis.client,
                clock=self.clock.monotonic_ns,
                directory=str(self.directory / str(number)),
            )
            for _ in range(self.fleet.processes)
        ]
        people = self.fleet.people / (self.fleet.hosts * self.fleet.processes)
        try:
            async with asyncio.TaskGroup() as group:
                for index, budget in enumerate(budgets):
                    budget._host_number = number + 1
                    budget.store.sharer = self.draw.randrange(1, 1 << 31)
                    budget.store.memory = SharerMemory(budget.store.sharer, budget.store._tolerance)
                    group.create_task(self.person(budget, people))
                    if number % 2 == 0:
                        lane = Lane.BULK if index % 3 == 0 else Lane.NORMAL
                        group.create_task(self.job(budget, lane, (number + index) % _TENANTS))
        finally:
            for budget in budgets:
                await budget.close()

    async def job(self, budget: RedisBudget, lane: Lane, tenant: int) -> None:
        while True:
            await self.request(budget, lane, tenant)
            self.report.tenants[tenant] += lane is Lane.NORMAL

    async def person(self, budget: RedisBudget, people: float) -> None:
        while True:
            await asyncio.sleep(self.draw.expovariate(people))
            self.report.waits.append(await self.request(budget, Lane.INTERACTIVE, -1))

    async def request(self, budget: RedisBudget, lane: Lane, tenant: int) -> float:
        grant = await budget.take(lane, max_lifetime=30, key=tenant)
        duration = self.draw.uniform(*self.fleet.latency)
        until_counted = duration * self.draw.random()
        await asyncio.sleep(until_counted)
        is_admitted = self.server.arrive(self.clock.monotonic_ns())
        self.arrived += is_admitted
        await asyncio.sleep(duration - until_counted)
        if is_admitted:
            budget.settle(grant, Answered(self.server.counter(self.clock.monotonic_ns())))
        else:
            self.report.refused += 1
            budget.settle(grant, Refused(_WINDOW))
        return grant.waited


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def run(fleet: Fleet, directory: Path) -> Report:
    """Let it run.

    Args:
        fleet: What runs.
        directory: For the files of the hosts, while Redis is away; one that is there.
    """
    running = _Run(fleet, directory)
    for number in range(fleet.hosts):
        (directory / str(number)).mkdir(exist_ok=True)
    before = random.getstate()
    random.seed(fleet.seed)
    try:
        with running.clock:
            running.clock.run(running.work())
    finally:
        random.setstate(before)
    return running.report
