"""The arguments of RedisBudget: URLs, clients and numbers, and the errors for wrong ones."""

import asyncio
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from goedgepickt_async.budget.protocol import Answered, Budget
from goedgepickt_async.budget.redis import RedisBudget
from goedgepickt_async.budget.slots import Lane
from goedgepickt_async.errors import BudgetExhaustedError, ConfigurationError
from tests.support.redis_server import RedisServer, needs_redis, redis_server
from tests.support.waiting import SAFETY, until


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


def with_client(client: Any) -> RedisBudget:
    return RedisBudget(2, client=client, name=uuid.uuid4().hex, use_server_counter=False, headroom=0)


async def take(budget: Budget) -> None:
    budget.settle(await budget.take(Lane.INTERACTIVE, max_lifetime=1), Answered())


def test_a_password_is_in_no_repr() -> None:
    assert "secret" not in repr(RedisBudget(url="redis://:secret@127.0.0.1:1/0"))


def test_a_missing_redis_package_is_an_error_that_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    with pytest.raises(ConfigurationError, match=r"goedgepickt-async\[redis\]"):
        RedisBudget(url="redis://127.0.0.1:1")


@needs_redis
async def test_a_client_of_the_user_is_used_and_left_open(server: RedisServer) -> None:
    redis = pytest.importorskip("redis.asyncio")
    async with redis.Redis.from_url(server.url, decode_responses=True) as client:
        budget = with_client(client)
        await take(budget)
        await budget.close()
        assert await client.ping()


@needs_redis
async def test_clients_that_a_function_of_the_user_makes_are_closed(server: RedisServer) -> None:
    redis = pytest.importorskip("redis.asyncio")
    made: list[Any] = []

    def make_client() -> Any:
        made.append(redis.Redis.from_url(server.url))
        return made[-1]

    budget = with_client(make_client)
    await take(budget)
    await take(budget)
    await budget.close()
    assert len(made) == 1
    assert not made[0].connection_pool._in_use_connections


@needs_redis
async def test_a_client_of_another_loop_is_refused(server: RedisServer) -> None:
    redis = pytest.importorskip("redis.asyncio")
    async with redis.Redis.from_url(server.url) as client:
        budget = with_client(client)
        await take(budget)
        with pytest.raises(ConfigurationError):
            await asyncio.to_thread(asyncio.run, take(budget))
        await budget.close()


async def is_one_limit(make_client: Any) -> None:
    """Check that two budgets with clients from this function share the same two slots."""
    name = uuid.uuid4().hex
    options: dict[str, Any] = {"client": make_client, "name": name, "use_server_counter": False, "headroom": 0}
    one, two = (RedisBudget(2, **options) for _ in range(2))
    async with asyncio.timeout(SAFETY):
        await take(one)
        await take(two)
        await until(lambda: one.is_settled and two.is_settled)
        assert not one.snapshot().problem
        with pytest.raises(BudgetExhaustedError):
            await two.take(Lane.INTERACTIVE, max_lifetime=1, max_wait=0)
        await one.close()
        await two.close()


@needs_redis
async def test_a_client_of_a_sentinel_works(server: RedisServer, tmp_path: Path) -> None:
    redis = pytest.importorskip("redis.asyncio")
    config = tmp_path / "sentinel.conf"
    config.write_text(f"sentinel monitor mymaster 127.0.0.1 {server.port} 1\n")
    with redis_server(tmp_path, str(config), "--sentinel") as sentinel:
        await is_one_limit(lambda: redis.Sentinel([("127.0.0.1", sentinel.port)]).master_for("mymaster"))
        with pytest.raises(ConfigurationError, match="Sentinel"):
            await take(RedisBudget(2, url=sentinel.url))


@needs_redis
@pytest.mark.slow  # a cluster accepts writes after two seconds
async def test_a_client_of_a_cluster_works(tmp_path: Path) -> None:
    cluster = pytest.importorskip("redis.asyncio.cluster")
    with redis_server(tmp_path, "--cluster-enabled", "yes") as node:
        node.command("CLUSTER", "ADDSLOTS", *map(str, range(16384)))
        await until(lambda: b"cluster_state:ok" in node.command("CLUSTER", "INFO"))
        await is_one_limit(lambda: cluster.RedisCluster(host="127.0.0.1", port=node.port))
