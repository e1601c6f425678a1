"""RedisBudget while Redis is away, hangs, refuses or forgets: never no limit, never an exception, never a slot lost."""

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from goedgepickt_async.budget.protocol import Answered, Budget, BudgetEvent, Grant, NeverSent, PauseStarted, Refused
from goedgepickt_async.budget.redis import RedisBudget
from goedgepickt_async.budget.redis.script import key_names
from goedgepickt_async.budget.slots import Lane
from goedgepickt_async.errors import BudgetExhaustedError
from tests.support.redis_server import RedisServer, needs_redis, redis_server
from tests.support.waiting import until

pytestmark = needs_redis

Make = Callable[..., RedisBudget]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def server(running: RedisServer) -> RedisServer:
    """A Redis that is there when the test begins."""
    if not running.is_up:
        running.start()
    return running


@pytest.fixture
async def make(server: RedisServer) -> AsyncIterator[Make]:
    made: list[RedisBudget] = []

    def new(limit: int, **options: Any) -> RedisBudget:
        defaults: dict[str, Any] = {
            "url": server.url,
            "name": uuid.uuid4().hex,
            "headroom": 0,
            "use_server_counter": False,
            "fallback": 0.5,
            "retry_every": 0.05,
            "patience": 1.0,
        }
        made.append(RedisBudget(limit, **(defaults | options)))
        return made[-1]

    yield new
    for budget in made:
        await asyncio.wait_for(budget.close(), 30)


async def take(budget: Budget, *, max_wait: float | None = 0) -> Grant:
    return await asyncio.wait_for(budget.take(Lane.INTERACTIVE, max_lifetime=5, max_wait=max_wait), 30)


async def use(budget: Budget, number: int) -> None:
    for _ in range(number):
        budget.settle(await take(budget), Answered())


async def is_exhausted(budget: Budget) -> bool:
    try:
        await take(budget)
    except BudgetExhaustedError:
        return True
    return False


async def comes_back(budget: RedisBudget) -> None:
    """Until Redis is asked again, and nothing is left to tell it."""
    await until(lambda: budget._standing.outage is None and not budget._standing.has_post())


async def told(budget: RedisBudget) -> None:
    """Until there is nothing left to tell Redis."""
    await until(lambda: not budget._standing.has_post())


def known_rows(server: RedisServer, budget: RedisBudget) -> int:
    """How many slots are in use, by Redis itself."""
    return int(server.command("ZCARD", key_names(budget._name)[0])[1:])


async def test_a_redis_that_never_was_leaves_a_fraction_and_is_said_once(
    make: Make, server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.kill()
    budget = make(20, fallback=0.25)
    with caplog.at_level(logging.INFO, "goedgepickt_async.budget"):
        await use(budget, 5)
        assert await is_exhausted(budget)
        await asyncio.sleep(0.2)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "keeps to 5 of the 20 requests in 60 s" in record.getMessage()
    assert budget.snapshot().limit == 5


@pytest.mark.parametrize(("used", "left"), [(0, 10), (7, 6), (20, 0)])
async def test_what_was_in_use_before_the_fall_counts_in_the_share(
    make: Make, server: RedisServer, used: int, left: int
) -> None:
    budget = make(20)
    await use(budget, used)
    await told(budget)
    server.kill()
    await use(budget, left)
    assert await is_exhausted(budget)


async def test_what_was_in_flight_at_the_fall_counts_in_the_share_too(make: Make, server: RedisServer) -> None:
    budget = make(4)
    for _ in range(4):
        await take(budget)
    server.kill()
    assert await is_exhausted(budget)


async def test_what_was_sent_before_and_during_the_outage_is_told_to_the_redis_that_comes_back(
    make: Make, server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    budget = make(8, retry_every=0.1)
    await use(budget, 1)
    held = await take(budget)
    await told(budget)
    server.kill()
    await use(budget, 2)
    held_meanwhile = await take(budget)
    with caplog.at_level(logging.INFO, "goedgepickt_async.budget"):
        server.start()
        await comes_back(budget)
    assert "Redis is back" in caplog.text
    assert known_rows(server, budget) == 5
    budget.settle(held, NeverSent())
    budget.settle(held_meanwhile, NeverSent())
    await comes_back(budget)
    assert known_rows(server, budget) == 3
    await use(budget, 5)
    assert await is_exhausted(budget)
    snapshot = budget.snapshot()
    assert (snapshot.limit, snapshot.used, snapshot.in_flight) == (8, 8, 0)


async def test_what_a_share_grants_while_the_others_return_is_told_at_once(make: Make, server: RedisServer) -> None:
    server.kill()
    budget = make(8, retry_every=0.3)
    await use(budget, 1)
    server.start()
    await until(lambda: budget._standing.outage is not None and budget._standing.outage.ends is not None)
    await use(budget, 2)
    await until(lambda: known_rows(server, budget) == 3)


async def test_whoever_waits_is_served_by_the_share_and_then_by_redis_in_their_order(
    make: Make, server: RedisServer
) -> None:
    budget = make(2, period=0.2, safety_margin=0.0, late_arrival=0.5)
    order: list[int] = []

    async def one(number: int) -> None:
        grant = await budget.take(Lane.NORMAL, max_lifetime=0.1)
        order.append(number)
        await asyncio.sleep(0)
        budget.settle(grant, Answered())

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(one(number))
        while len(order) < 2:  # noqa: ASYNC110  no event tells
            await asyncio.sleep(0.005)
        server.kill()
        while len(order) < 5:  # noqa: ASYNC110  no event tells
            await asyncio.sleep(0.01)
        server.start()
        await comes_back(budget)
        assert len(order) < 20
    assert order == list(range(20))


async def test_callers_who_give_up_during_an_outage_leave_nothing_behind(make: Make, server: RedisServer) -> None:
    server.kill()
    budget = make(2)
    await use(budget, 1)
    callers = [asyncio.create_task(take(budget, max_wait=None)) for _ in range(20)]
    await until(lambda: sum(budget.snapshot().waiting.values()) == 20)
    for caller in callers:
        caller.cancel()
    await asyncio.wait(callers)
    assert sum(budget.snapshot().waiting.values()) == 0
    server.start()
    await comes_back(budget)
    assert known_rows(server, budget) == 1


async def test_a_redis_that_hangs_counts_as_away(make: Make, server: RedisServer) -> None:
    budget = make(4, patience=0.2)
    await use(budget, 1)
    server.hang()
    try:
        await use(budget, 1)
        assert budget.snapshot().limit == 2
        assert await is_exhausted(budget)
    finally:
        server.go_on()
    await comes_back(budget)
    assert known_rows(server, budget) == 2
    await use(budget, 2)
    assert await is_exhausted(budget)


async def test_slots_that_redis_forgot_are_told_again_before_it_grants_more(
    make: Make, server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    budget = make(4)
    await use(budget, 2)
    held = await take(budget)
    await told(budget)
    server.command("FLUSHALL")
    await use(budget, 1)
    assert await is_exhausted(budget)
    assert known_rows(server, budget) == 4
    assert "Redis forgot the slots in use" in caplog.text
    assert budget._standing.outage is None
    budget.settle(held, NeverSent())
    await comes_back(budget)
    assert known_rows(server, budget) == 3


async def test_a_restart_that_nobody_noticed_is_noticed_by_what_is_missing(make: Make, server: RedisServer) -> None:
    budget = make(3)
    await use(budget, 3)
    await told(budget)
    server.kill()
    server.start()
    assert await is_exhausted(budget)
    assert budget._standing.outage is None


async def test_scripts_that_redis_forgot_are_sent_again(make: Make, server: RedisServer) -> None:
    budget = make(3)
    await use(budget, 1)
    server.command("SCRIPT", "FLUSH")
    await use(budget, 1)
    assert budget._standing.outage is None
    assert known_rows(server, budget) == 2


async def test_a_connection_that_was_dropped_is_no_outage(make: Make, server: RedisServer) -> None:
    budget = make(3)
    await use(budget, 1)
    await told(budget)
    server.command("CLIENT", "KILL", "TYPE", "normal")
    await use(budget, 1)
    assert budget._standing.outage is None


@pytest.mark.parametrize("trouble", ["wrong type", "no memory", "no password"])
async def test_a_redis_that_refuses_counts_as_away(
    make: Make, server: RedisServer, trouble: str, caplog: pytest.LogCaptureFixture
) -> None:
    options: dict[str, Any] = {}
    if trouble == "no password":
        options["url"] = server.url.replace("redis://", "redis://nobody:secret@")
    budget = make(4, **options)
    if trouble == "wrong type":
        server.command("SET", key_names(budget._name)[0], "something else")
    if trouble == "no memory":
        server.command("CONFIG", "SET", "maxmemory", "1")
    try:
        await use(budget, 2)
        assert await is_exhausted(budget)
    finally:
        server.command("CONFIG", "SET", "maxmemory", "0")
    assert "Redis is away" in caplog.text
    assert "secret" not in caplog.text


class Ear:
    def __init__(self) -> None:
        self.heard: list[BudgetEvent] = []

    def hear(self, event: BudgetEvent) -> None:
        self.heard.append(event)


async def test_a_429_during_an_outage_pauses_the_share_and_then_everybody(make: Make, server: RedisServer) -> None:
    budget, other = make(8, name="pause-kept"), make(8, name="pause-kept")
    ear = Ear()
    budget.listen(ear.hear)
    held = await take(budget)
    server.kill()
    meanwhile = await take(budget)
    budget.settle(held, Refused(30))
    assert ear.heard == [PauseStarted(seconds=31.0, throttled=1)]
    assert budget.snapshot().paused_for > 1
    assert await is_exhausted(budget)
    budget.settle(meanwhile, Refused(None))
    server.start()
    await comes_back(budget)
    with pytest.raises(BudgetExhaustedError) as caught:
        await take(other)
    assert caught.value.wait > 31


async def test_after_an_idle_outage_redis_is_asked_before_the_share(make: Make, server: RedisServer) -> None:
    budget = make(4, period=0.05, safety_margin=0.0, late_arrival=0.0, patience=0.2)
    server.kill()
    budget.settle(await take(budget), NeverSent())
    await until(lambda: not any(desk._worker for desk in budget._desks.values()))  # nothing is left to tell
    await asyncio.sleep(0.6)
    server.start()
    await use(budget, 1)
    assert budget._standing.outage is None
    assert known_rows(server, budget) == 1


async def test_closing_while_redis_is_away_ends(make: Make, server: RedisServer) -> None:
    budget = make(4)
    held = await take(budget)
    server.kill()
    await use(budget, 1)
    budget.settle(held, Answered())
    await asyncio.wait_for(budget.close(), 30)
    assert budget._desks == {}


def test_the_share_serves_several_event_loops_and_all_return(make: Make, server: RedisServer) -> None:
    async def spend() -> None:
        async with asyncio.timeout(30):
            for _ in range(6):
                budget.settle(await budget.take(Lane.NORMAL, max_lifetime=0.1), Answered())

    async def all_loops() -> None:
        spending = [asyncio.to_thread(asyncio.run, spend()) for _ in range(3)]
        jobs = asyncio.gather(*spending)
        await asyncio.sleep(0.1)
        server.kill()
        await asyncio.sleep(0.2)
        await asyncio.to_thread(server.start)
        await jobs

    budget = RedisBudget(
        4,
        0.2,
        safety_margin=0.0,
        late_arrival=0.1,
        url=server.url,
        name=uuid.uuid4().hex,
        retry_every=0.05,
        patience=0.1,
    )
    asyncio.run(all_loops())
    assert sum(budget.snapshot().waiting.values()) == 0
