"""RedisBudget while Redis is away, hangs, loses its data, or has a wrong configuration."""

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from goedgepickt_async import BudgetExhaustedError, ConfigurationError, RedisBudget
from goedgepickt_async.budget.protocol import Answered, Budget, Grant, Refused
from goedgepickt_async.budget.slots import Lane
from tests.support.redis_server import RedisServer, needs_redis, redis_server
from tests.support.waiting import SAFETY, until

pytestmark = needs_redis

Make = Callable[..., RedisBudget]


@pytest.fixture(scope="module")
def one_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
def server(one_server: RedisServer) -> Iterator[RedisServer]:
    """A Redis server that runs and responds before each test."""
    yield one_server
    if one_server.is_up:
        one_server.go_on()
        one_server.kill()
    one_server.start()


@pytest.fixture
async def make(server: RedisServer, tmp_path: Path) -> AsyncIterator[Make]:
    made: list[RedisBudget] = []

    def new(limit: int, **options: Any) -> RedisBudget:
        defaults: dict[str, Any] = {
            "url": server.url,
            "name": uuid.uuid4().hex,
            "headroom": 0,
            "use_server_counter": False,
            "retry_every": 0.1,
            "patience": 1.0,
            "directory": str(tmp_path),
        }
        made.append(RedisBudget(limit, **(defaults | options)))
        return made[-1]

    yield new
    for budget in made:
        await asyncio.wait_for(budget.close(), SAFETY)


async def take(budget: Budget, *, max_wait: float | None = 0) -> Grant:
    return await asyncio.wait_for(budget.take(Lane.INTERACTIVE, max_lifetime=5, max_wait=max_wait), SAFETY)


async def use(budget: Budget, number: int, counted: int | None = None) -> None:
    """Send requests. `counted` is the server's counter before them."""
    for sent in range(1, number + 1):
        budget.settle(await take(budget), Answered(None if counted is None else counted + sent))


async def is_exhausted(budget: Budget) -> bool:
    try:
        await take(budget)
    except BudgetExhaustedError:
        return True
    return False


async def settled(*budgets: RedisBudget) -> None:
    """Wait until Redis has all settlements of these budgets."""
    await until(lambda: all(budget.is_settled for budget in budgets))


async def is_back(budget: RedisBudget) -> None:
    await until(lambda: not budget.snapshot().problem)


async def test_when_redis_was_never_reached_each_process_uses_a_part_and_warns_once(
    make: Make, server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.kill()
    one, two = (make(20, fallback=0.25, name="never") for _ in range(2))
    with caplog.at_level(logging.INFO, "goedgepickt_async.budget"):
        await use(one, 5)
        assert await is_exhausted(one)
        await use(two, 5)
        assert await is_exhausted(two)
        assert await is_exhausted(one)
        assert (one.snapshot().limit, one.snapshot().share) == (20, 10)
    assert len(caplog.records) == 2
    assert all(record.levelno == logging.WARNING for record in caplog.records)


async def test_with_requests_of_other_hosts_the_processes_of_one_host_use_one_part(
    make: Make, server: RedisServer
) -> None:
    server.kill()
    one, two = (make(20, fallback=0.25, name="never", use_server_counter=True) for _ in range(2))
    await use(one, 1, counted=0)
    await use(one, 1, counted=8)
    await use(two, 3, counted=9)
    assert await is_exhausted(one)
    assert await is_exhausted(two)
    assert (two.snapshot().share, two.snapshot().foreign_traffic) == (5, False)


async def test_the_processes_of_one_host_share_the_whole_limit_while_redis_is_away(
    make: Make, server: RedisServer
) -> None:
    one, two = (make(20, name="host") for _ in range(2))
    await use(one, 4)
    await use(two, 4)
    await settled(one, two)
    server.kill()
    await use(one, 6)
    await use(two, 6)
    assert await is_exhausted(one)
    assert await is_exhausted(two)


async def test_requests_in_flight_when_redis_stops_count_until_their_response(make: Make, server: RedisServer) -> None:
    budget = make(4, period=0.5, safety_margin=0.0, late_arrival=30.0)
    grants = [await take(budget) for _ in range(4)]
    server.kill()
    assert await is_exhausted(budget)
    for grant in grants:
        budget.settle(grant, Answered())
    budget.settle(await take(budget, max_wait=20), Answered())


@pytest.mark.slow
async def test_requests_sent_during_an_outage_count_in_a_redis_that_returns_empty(
    make: Make, server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    budget, late = make(8, name="back"), make(8, name="back")
    await use(budget, 2)
    await settled(budget)
    server.kill()
    with caplog.at_level(logging.INFO, "goedgepickt_async.budget"):
        await use(budget, 3)
        server.start()
        await is_back(budget)
    assert "Redis is reachable again" in caplog.text
    await use(late, 3)
    assert await is_exhausted(late)


async def test_the_servers_window_as_seen_during_an_outage_counts_in_an_empty_redis(
    make: Make, server: RedisServer
) -> None:
    budget = make(30, use_server_counter=True)
    await use(budget, 1)
    await settled(budget)
    server.kill()
    budget.settle(await take(budget), Answered(27))
    server.start()
    await is_back(budget)
    assert budget.snapshot().free <= 3


async def test_a_redis_that_hangs_counts_as_away_after_the_patience(make: Make, server: RedisServer) -> None:
    budget = make(10, patience=0.7)
    await use(budget, 1)
    await settled(budget)
    server.hang()
    await use(budget, 2)
    assert "TimeoutError" in budget.snapshot().problem
    server.go_on()
    await is_back(budget)
    await use(budget, 7)
    assert await is_exhausted(budget)


@pytest.mark.parametrize("how", ["flush", "restart", "older"])
async def test_a_state_that_redis_lost_is_restored(make: Make, server: RedisServer, how: str) -> None:
    one, two = (make(10, name=f"lost-{how}") for _ in range(2))
    await use(one, 2)
    await settled(one)
    if how == "older":
        server.command("COPY", one._key, "older")
    await use(two, 3)
    await use(one, 1)
    await settled(one, two)
    if how == "flush":
        server.command("FLUSHALL")
    elif how == "restart":
        server.kill()
        server.start()
    else:
        server.command("COPY", "older", one._key, "REPLACE")
    await use(two, 1)
    await use(one, 1)
    await settled(one, two)
    fresh = make(10, name=f"lost-{how}")
    await use(fresh, 2)
    assert await is_exhausted(fresh)


@pytest.mark.parametrize("damage", [b"", b"x", b"not a state at all, but long enough to be taken for one"])
async def test_a_damaged_state_is_restored(make: Make, server: RedisServer, damage: bytes) -> None:
    budget = make(10, name="damaged")
    await use(budget, 4)
    await settled(budget)
    server.command("SET", budget._key, damage.decode())
    await use(budget, 1)
    await settled(budget)
    fresh = make(10, name="damaged")
    await use(fresh, 5)
    assert await is_exhausted(fresh)


async def test_a_dropped_connection_is_no_outage(
    make: Make, server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    budget = make(10)
    await use(budget, 1)
    await settled(budget)
    server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    await use(budget, 1)
    assert not budget.snapshot().problem
    assert not caplog.records


async def test_a_redis_without_memory_left_is_an_outage(make: Make, server: RedisServer) -> None:
    budget = make(10)
    await use(budget, 1)
    await settled(budget)
    server.command("CONFIG", "SET", "maxmemory", "1")
    await use(budget, 2)
    assert "OutOfMemory" in budget.snapshot().problem or "OOM" in budget.snapshot().problem


async def test_a_429_during_an_outage_pauses_the_host(make: Make, server: RedisServer) -> None:
    budget = make(10)
    await use(budget, 1)
    await settled(budget)
    server.kill()
    budget.settle(await take(budget), Refused(3))
    assert budget.snapshot().paused_for > 2
    assert await is_exhausted(budget)


async def test_calls_that_are_cancelled_during_an_outage_leave_nothing_in_the_queue(
    make: Make, server: RedisServer
) -> None:
    budget = make(2)
    await use(budget, 2)
    await settled(budget)
    server.kill()
    calls = [asyncio.create_task(take(budget, max_wait=None)) for _ in range(5)]
    await until(lambda: sum(budget.snapshot().waiting.values()) == 5)
    for call in calls:
        call.cancel()
    await asyncio.wait(calls)
    assert sum(budget.snapshot().waiting.values()) == 0


async def test_closing_during_an_outage_ends(make: Make, server: RedisServer) -> None:
    budget = make(4)
    server.kill()
    await use(budget, 1)
    await asyncio.wait_for(budget.close(), SAFETY)


@pytest.mark.parametrize(
    ("setting", "command", "remedy"),
    [
        ("redis://:wrong@{}/0", ("CONFIG", "SET", "requirepass", "right"), "password"),
        ("redis://{}/99", None, "database"),
        ("rediss://{}/0", None, "TLS"),
        ("redis://no-such-host.invalid:6379/0", None, "host name"),
        ("redis://{}/0", ("RPUSH", "{wrong}:slots", "1"), "name="),
        ("redis://{}/0", ("CONFIG", "SET", "requirepass", "right"), "password"),
        ("redis://nobody:pass@{}/0", ("ACL", "SETUSER", "nobody", "on", ">pass", "~*", "+get", "&*"), "rights"),
        ("redis://{}/0", ("REPLICAOF", "127.0.0.1", "1"), "replica"),
    ],
)
async def test_a_wrong_setting_is_a_configuration_error_that_names_the_remedy(
    make: Make, server: RedisServer, setting: str, command: tuple[str, ...] | None, remedy: str
) -> None:
    server.command("SET", "anything", "1")
    if command is not None:
        server.command(*command)
    # A server without TLS does not answer to it, so this case always waits for the end of the patience.
    patience = 0.2 if remedy == "TLS" else 1.0
    budget = make(20, url=setting.format(f"127.0.0.1:{server.port}"), name="wrong", patience=patience)
    with pytest.raises(ConfigurationError, match=remedy):
        await take(budget, max_wait=None)
    assert "wrong@" not in budget.snapshot().place


async def test_a_client_of_another_kind_is_a_configuration_error(make: Make) -> None:
    with pytest.raises(ConfigurationError, match=r"redis\.asyncio"):
        await take(make(20, url=None, client=object), max_wait=None)
