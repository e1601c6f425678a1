"""RedisBudget over event loops, threads and forks: opened at first use, closed with the loop, with one limit for all."""

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
    """A budget with a unique name, unless the test gives one."""
    defaults: dict[str, Any] = {"use_server_counter": False, "headroom": 0, "name": uuid.uuid4().hex, "url": server.url}
    return RedisBudget(limit, period, **(defaults | options))


async def take(budget: Budget, *, max_wait: float | None = None) -> None:
    budget.settle(await budget.take(Lane.INTERACTIVE, max_lifetime=1, max_wait=max_wait), Answered())


def waits(budget: Budget) -> int:
    return sum(budget.snapshot().waiting.values())


async def test_closing_sends_the_last_settlements_and_raises_in_waiting_calls(server: RedisServer) -> None:
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


async def test_a_closed_budget_opens_again(server: RedisServer) -> None:
    budget = plain(server, 2)
    await take(budget)
    await budget.close()
    await take(budget)
    await budget.close()


async def take_many(budget: Budget, number: int) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(number):
            group.create_task(take(budget))


def test_a_budget_keeps_its_limit_over_event_loops_that_run_one_after_another(server: RedisServer) -> None:
    budget = plain(server, 2, period=60)
    asyncio.run(asyncio.wait_for(take_many(budget, 1), SAFETY))
    asyncio.run(asyncio.wait_for(take_many(budget, 1), SAFETY))
    with pytest.raises(BudgetExhaustedError):
        asyncio.run(take(budget, max_wait=1))


def test_an_event_loop_that_ends_sends_the_settlements_of_its_cancelled_calls(server: RedisServer) -> None:
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


def test_a_budget_serves_event_loops_in_several_threads_at_the_same_time(server: RedisServer) -> None:
    budget = plain(server, 10, period=0.02, safety_margin=0.0)
    threads = [threading.Thread(target=asyncio.run, args=(take_many(budget, 30),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SAFETY)
    assert not any(thread.is_alive() for thread in threads)
    assert sum(budget.snapshot().waiting.values()) == 0


def test_a_settlement_in_one_thread_wakes_a_waiting_call_in_another(server: RedisServer) -> None:
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
    )  # only the settlement can wake it; otherwise it waits for a minute
    done.set()
    thread.join(SAFETY)


def test_closing_in_one_event_loop_closes_the_connections_of_another(server: RedisServer) -> None:
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


def test_an_event_loop_that_ends_raises_in_its_waiting_calls_and_blocks_no_other_loop(server: RedisServer) -> None:
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
def test_a_forked_child_shares_the_slots_through_its_own_connection(server: RedisServer) -> None:
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
