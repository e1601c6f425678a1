"""RedisBudget over event loops, threads and forks: opened lazily, closed with the loop, one limit for all of them."""

import asyncio
import os
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from goedgepickt_async.budget.protocol import Answered, Budget, NeverSent
from goedgepickt_async.budget.redis import RedisBudget
from goedgepickt_async.budget.slots import Lane
from goedgepickt_async.errors import BudgetExhaustedError, ClientClosedError
from tests.support.redis_server import RedisServer, needs_redis, redis_server
from tests.support.waiting import SAFETY, until

pytestmark = needs_redis


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


def plain(server: RedisServer, limit: int = 3, period: float = 60.0, **options: Any) -> RedisBudget:
    """A budget whose name is its own, unless one is given."""
    defaults: dict[str, Any] = {"use_server_counter": False, "headroom": 0, "name": uuid.uuid4().hex, "url": server.url}
    return RedisBudget(limit, period, **(defaults | options))


async def take(budget: Budget, *, max_wait: float | None = None) -> None:
    budget.settle(await budget.take(Lane.INTERACTIVE, max_lifetime=1, max_wait=max_wait), Answered())


def waits(budget: Budget) -> int:
    return sum(budget.snapshot().waiting.values())


async def test_closing_carries_what_is_left_and_tells_whoever_waits(server: RedisServer) -> None:
    budget, other = plain(server, 1, name="closed"), plain(server, 1, name="closed")
    held = await budget.take(Lane.INTERACTIVE, max_lifetime=1)
    waiter = asyncio.create_task(take(budget))
    await until(lambda: waits(budget))
    budget.settle(held, NeverSent())
    waiter.cancel()
    await asyncio.wait([waiter])
    second = asyncio.create_task(hold_then_wait(budget))
    await until(lambda: waits(budget))
    await budget.close()
    await budget.close()
    with pytest.raises(ClientClosedError):
        await second
    await until(lambda: budget.is_settled)
    await take(other, max_wait=0)
    await budget.close()
    await other.close()


async def hold_then_wait(budget: Budget) -> None:
    held = await budget.take(Lane.INTERACTIVE, max_lifetime=1)
    try:
        await budget.take(Lane.INTERACTIVE, max_lifetime=1)
    finally:
        budget.settle(held, NeverSent())


async def test_a_closed_budget_opens_anew(server: RedisServer) -> None:
    budget = plain(server, 2)
    await take(budget)
    await budget.close()
    await take(budget)
    await budget.close()


async def take_many(budget: Budget, number: int) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(number):
            group.create_task(take(budget))


def test_it_serves_one_event_loop_after_another_and_keeps_the_limit_over_them(server: RedisServer) -> None:
    budget = plain(server, 2, period=60)
    asyncio.run(asyncio.wait_for(take_many(budget, 1), SAFETY))
    asyncio.run(asyncio.wait_for(take_many(budget, 1), SAFETY))
    with pytest.raises(BudgetExhaustedError):
        asyncio.run(take(budget, max_wait=1))


def test_a_loop_that_ends_carries_what_its_cancelled_callers_settled(server: RedisServer) -> None:
    async def die_holding(budget: Budget) -> None:
        grant = await budget.take(Lane.INTERACTIVE, max_lifetime=30)
        try:
            await asyncio.sleep(30)
        finally:
            budget.settle(grant, NeverSent())

    async def leave_it_running(budget: Budget) -> None:
        tasks.add(asyncio.create_task(die_holding(budget)))
        await asyncio.sleep(0.05)

    tasks: set[asyncio.Task[None]] = set()
    budget = plain(server, 1)
    asyncio.run(leave_it_running(budget))
    asyncio.run(take(budget, max_wait=0))


def test_it_serves_several_event_loops_in_several_threads_at_once(server: RedisServer) -> None:
    budget = plain(server, 10, period=0.02, safety_margin=0.0)
    threads = [threading.Thread(target=asyncio.run, args=(take_many(budget, 30),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SAFETY)
    assert not any(thread.is_alive() for thread in threads)
    assert sum(budget.snapshot().waiting.values()) == 0


def test_what_one_thread_settles_wakes_whoever_waits_in_another(server: RedisServer) -> None:
    budget = plain(server, 1)
    held, done = threading.Event(), threading.Event()

    async def hold() -> None:
        grant = await budget.take(Lane.INTERACTIVE, max_lifetime=30)
        held.set()
        await asyncio.sleep(0.1)
        budget.settle(grant, NeverSent())
        while not done.is_set():  # noqa: ASYNC110  another thread's
            await asyncio.sleep(0.005)

    thread = threading.Thread(target=asyncio.run, args=(asyncio.wait_for(hold(), SAFETY),))
    thread.start()
    assert held.wait(SAFETY)
    asyncio.run(
        asyncio.wait_for(take(budget), SAFETY)
    )  # nothing but the settling could wake it: else it waits for a minute
    done.set()
    thread.join(SAFETY)


def test_closing_in_one_loop_closes_what_is_open_in_another(server: RedisServer) -> None:
    budget = plain(server, 5)
    opened, closed = threading.Event(), threading.Event()

    async def use_it() -> None:
        await take(budget)
        opened.set()
        while not closed.is_set():  # noqa: ASYNC110  another thread's
            await asyncio.sleep(0.005)

    async def close_it() -> None:
        await take(budget)
        await budget.close()

    thread = threading.Thread(target=asyncio.run, args=(use_it(),))
    thread.start()
    assert opened.wait(SAFETY)
    asyncio.run(close_it())
    assert budget._links == {}
    closed.set()
    thread.join(SAFETY)


def test_a_loop_that_ends_with_waiters_in_it_tells_them_and_does_not_hold_the_others_up(server: RedisServer) -> None:
    budget = plain(server, 1)
    loop = asyncio.new_event_loop()
    held = loop.run_until_complete(budget.take(Lane.INTERACTIVE, max_lifetime=1))
    forgotten = loop.create_task(take(budget))
    loop.run_until_complete(until(lambda: waits(budget)))
    loop.run_until_complete(loop.shutdown_asyncgens())
    assert isinstance(forgotten.exception(), ClientClosedError)
    loop.close()
    budget.settle(held, NeverSent())
    asyncio.run(asyncio.wait_for(take(budget), SAFETY))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_a_forked_child_goes_its_own_way_to_the_same_slots(server: RedisServer) -> None:
    budget = plain(server, 2)

    def in_child() -> None:
        asyncio.run(take(budget, max_wait=0))
        try:
            asyncio.run(take(budget, max_wait=0))
        except BudgetExhaustedError:
            os._exit(0)

    asyncio.run(take(budget))
    child = os.fork()
    if child == 0:
        try:
            in_child()
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    with pytest.raises(BudgetExhaustedError):
        asyncio.run(take(budget, max_wait=0))
