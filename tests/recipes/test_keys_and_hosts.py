"""The budgets of docs/howto/keys-and-hosts.md are shared as the page says."""

from pathlib import Path
from typing import Any

import pytest

from goedgepickt_async import BudgetExhaustedError, GoedGepickt
from goedgepickt_async.sandbox import Sandbox
from tests.recipes.pages import block, module
from tests.support.redis_server import needs_redis, redis_server

URL = "redis://redis.example.test:6379/0"


@pytest.mark.slow
@needs_redis
async def test_two_hosts_that_share_a_redis_share_one_limit(tmp_path: Path, monkeypatch: Any) -> None:
    code = block("keys-and-hosts.md", "redis")
    assert URL in code
    with redis_server(tmp_path) as redis:
        async with Sandbox(orders=0, products=0, seed=7, limit=150, period=60.0) as sandbox:
            monkeypatch.setenv("GOEDGEPICKT_API_KEY", sandbox.api_key)
            monkeypatch.setenv("GOEDGEPICKT_BASE_URL", sandbox.url)
            hosts: list[GoedGepickt] = [
                module(tmp_path, name, code.replace(URL, redis.url)).gg for name in ("one", "other")
            ]
            for host in hosts:
                for _ in range(5):
                    await host.request("GET", "/webshops")
            assert hosts[1].budget.snapshot().used == 10
            waits = [(await use_up(host)).wait for host in hosts]
            for host in hosts:
                await host.close()
                await host.budget.close()  # type: ignore[attr-defined]  # it is a RedisBudget
    assert min(waits) > 1
    assert sandbox.throttled == 0
    assert 100 < len(sandbox.requests) <= 150


async def use_up(host: GoedGepickt) -> BudgetExhaustedError:
    """Call until the next call would have to wait."""
    quick = host.with_options(max_wait=1)
    for _ in range(151):
        try:
            await quick.request("GET", "/webshops")
        except BudgetExhaustedError as busy:
            return busy
    raise AssertionError("there was no end to it")
