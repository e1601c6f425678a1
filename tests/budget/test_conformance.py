"""What every budget must do: the local one, the one of a host and the one in Redis."""

import asyncio
import queue
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from goedgepickt_async import BudgetExhaustedError, HostBudget, LocalBudget, RedisBudget
from goedgepickt_async.budget.protocol import (
    Answered,
    Budget,
    BudgetEvent,
    ForeignTrafficDetected,
    Lost,
    NeverSent,
    PauseStarted,
    Refused,
    WaitStarted,
)
from goedgepickt_async.budget.slots import Lane
from tests.support.redis_server import EXECUTABLE, RedisServer, needs_redis, redis_server
from tests.support.waiting import until

Make = Callable[..., Any]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer | None]:
    """A Redis server, or None if Redis is not installed."""
    if EXECUTABLE is None:
        yield None
        return
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture(params=["local", "host", pytest.param("redis", marks=needs_redis)])
async def make(request: pytest.FixtureRequest, tmp_path: Path, server: RedisServer | None) -> AsyncIterator[Make]:
    """Makes a budget of one kind, by default without safety margin, headroom and the server's counter."""
    made: list[Budget] = []

    def make(limit: int, period: float = 60.0, **options: Any) -> Budget:
        options = {"safety_margin": 0.0, "headroom": 0, "use_server_counter": False} | options
        match request.param:
            case "redis":
                assert server is not None
                made.append(RedisBudget(limit, period, url=server.url, name=f"{tmp_path.name}-{len(made)}", **options))
            case "host":
                made.append(HostBudget(limit, period, directory=tmp_path, name="test", **options))
            case _:
                made.append(LocalBudget(limit, period, **options))
        return made[-1]

    yield make
    for budget in made:
        if isinstance(budget, RedisBudget):
            await budget.close()


async def stored(budget: Budget) -> None:
    """Wait until the store has all settlements: Redis receives them a moment later."""
    if isinstance(budget, RedisBudget):
        await until(lambda: budget.is_settled)


async def use(
    budget: Budget, lane: Lane = Lane.INTERACTIVE, max_wait: float | None = None, *, life: float = 30
) -> None:
    budget.settle(await budget.take(lane, max_lifetime=life, max_wait=max_wait), Answered())


async def use_up(budget: Budget, number: int) -> None:
    for _ in range(number):
        await use(budget)
    await stored(budget)


async def test_a_budget_grants_its_limit_immediately_and_then_no_more(make: Make) -> None:
    budget = make(5)
    for _ in range(5):
        await use(budget)
    await stored(budget)
    with pytest.raises(BudgetExhaustedError) as caught:
        await use(budget, max_wait=1)
    assert 30 < caught.value.wait <= 60
    assert (budget.snapshot().used, budget.snapshot().free) == (5, 0)


async def test_no_window_holds_more_than_the_limit(make: Make) -> None:
    budget = make(10, 0.2)
    began: list[float] = []

    async def one() -> None:
        grant = await budget.take(Lane.NORMAL, max_lifetime=1)
        began.append(time.monotonic())
        budget.settle(grant, Answered())

    async with asyncio.timeout(30):
        await asyncio.gather(*(one() for _ in range(45)))
    began.sort()
    assert all(later - first >= 0.199 for first, later in zip(began, began[10:], strict=False))


async def test_an_unsent_request_frees_its_slot_immediately_and_a_lost_one_after_its_late_arrival(make: Make) -> None:
    budget = make(3, late_arrival=30)
    budget.settle(await budget.take(Lane.INTERACTIVE, max_lifetime=1), NeverSent())
    await stored(budget)
    assert budget.snapshot().used == 0
    budget.settle(await budget.take(Lane.INTERACTIVE, max_lifetime=3600), Lost())
    await stored(budget)
    assert 61 < (budget.snapshot().next_free_in or 90) <= 90
    assert (budget.snapshot().used, budget.snapshot().in_flight) == (1, 0)


async def test_a_refusal_pauses_all_calls(make: Make) -> None:
    budget = make(5)
    budget.settle(await budget.take(Lane.INTERACTIVE, max_lifetime=1), Refused(300))
    await stored(budget)
    assert 150 < budget.snapshot().paused_for < 301
    with pytest.raises(BudgetExhaustedError):
        await use(budget, max_wait=1)


async def test_lanes_are_served_in_order_and_each_lane_first_come_first_served(make: Make) -> None:
    budget = make(1)
    held = await budget.take(Lane.INTERACTIVE, max_lifetime=1)
    order: list[tuple[Lane, int]] = []

    async def one(lane: Lane, number: int) -> None:
        grant = await budget.take(lane, max_lifetime=1)
        order.append((lane, number))
        budget.settle(grant, NeverSent())

    async with asyncio.TaskGroup() as group, asyncio.timeout(30):
        for number in range(5):
            for lane in (Lane.NORMAL, Lane.INTERACTIVE):
                group.create_task(one(lane, number))
        await until(lambda: sum(budget.snapshot().waiting.values()) == 10)
        budget.settle(held, NeverSent())
    assert order == [(lane, number) for lane in (Lane.INTERACTIVE, Lane.NORMAL) for number in range(5)]


async def test_many_cancellations_lose_no_slot(make: Make) -> None:
    budget = make(8, 0.05, late_arrival=0.0)
    for round_ in range(10):
        calls = [asyncio.create_task(use(budget, Lane(number % 3), life=3600)) for number in range(30)]
        await asyncio.sleep(0.004 * round_)
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)
    assert sum(budget.snapshot().waiting.values()) == 0
    grants = [
        await budget.take(Lane.INTERACTIVE, max_lifetime=3600) for _ in range(8)
    ]  # a lost one would become free in an hour
    for grant in grants:
        budget.settle(grant, NeverSent())
    await stored(budget)
    assert budget.snapshot().free == 8


def test_a_budget_serves_event_loops_in_threads_and_one_after_another(make: Make) -> None:
    budget = make(10, 0.05)

    async def many() -> None:
        await asyncio.gather(*(use(budget) for _ in range(15)))

    for _ in range(2):
        threads = [threading.Thread(target=asyncio.run, args=(many(),)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert not any(thread.is_alive() for thread in threads)


def test_event_loops_that_wait_do_not_keep_waking_each_other(make: Make) -> None:
    reads, loops, stop = 0, queue.SimpleQueue[asyncio.AbstractEventLoop](), threading.Event()

    def clock() -> int:  # each check of the slots reads it
        nonlocal reads
        reads += 1
        if reads > 20_000:
            raise RuntimeError("the loops wake each other for ever")
        return time.monotonic_ns()

    budget = make(3, 3600.0, clock=clock)

    async def wait_in_a_loop() -> None:
        calls = [asyncio.create_task(use(budget)) for _ in range(3)]
        loops.put(asyncio.get_running_loop())
        await asyncio.to_thread(stop.wait, 120)
        for call in calls:
            call.cancel()

    asyncio.run(use_up(budget, 3))
    threads = [threading.Thread(target=asyncio.run, args=(wait_in_a_loop(),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        waiting = [loops.get(timeout=60) for _ in threads]

        def is_at_rest() -> bool:
            before = reads
            for loop in 20 * waiting:  # by then, each loop has run what another loop scheduled in it
                asyncio.run_coroutine_threadsafe(asyncio.sleep(0.001), loop).result(60)
            return reads == before

        assert any(is_at_rest() for _ in range(50))
        assert reads < 20_000
        assert sum(budget.snapshot().waiting.values()) == 9
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)


async def test_a_cold_start_sends_one_request_alone(make: Make) -> None:
    budget = make(10, 3600, use_server_counter=True)
    probe = await budget.take(Lane.INTERACTIVE, max_lifetime=3600)
    with pytest.raises(BudgetExhaustedError):
        await use(budget, max_wait=0.05)
    budget.settle(probe, Answered(1))
    await use(budget, max_wait=30)


async def test_it_is_a_budget(make: Make) -> None:
    assert isinstance(make(1), Budget)
    assert "limit=1" in repr(make(1))


async def test_a_listener_receives_waits_foreign_traffic_and_pauses_until_it_is_deleted(make: Make) -> None:
    class Listener:
        def __init__(self) -> None:
            self.events: list[BudgetEvent] = []

        def receive(self, event: BudgetEvent) -> None:
            self.events.append(event)

    listener, budget = Listener(), make(10, 3600, use_server_counter=True)
    events = listener.events
    budget.listen(listener.receive)
    first = await budget.take(Lane.INTERACTIVE, max_lifetime=3600)
    waiting = asyncio.create_task(use(budget))
    await until(lambda: events)
    budget.settle(first, Answered(1))
    await waiting
    budget.settle(await budget.take(Lane.INTERACTIVE, max_lifetime=1), Answered(5))
    await stored(budget)
    budget.settle(await budget.take(Lane.INTERACTIVE, max_lifetime=1), Refused(0))
    await stored(budget)
    assert [type(event) for event in events] == [WaitStarted, ForeignTrafficDetected, PauseStarted]
    del listener
    budget.pause(0)
    assert len(events) == 3
