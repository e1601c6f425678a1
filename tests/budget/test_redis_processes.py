"""RedisBudget between processes, against the rate limit of the sandbox: no request gets a 429."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from goedgepickt_async.budget.redis import RedisBudget
from goedgepickt_async.budget.slots import Lane, nanoseconds
from goedgepickt_async.errors import BudgetExhaustedError
from goedgepickt_async.sandbox import Sandbox
from tests.support.redis_server import RedisServer, needs_redis, redis_server
from tests.support.redis_worker import start_worker
from tests.support.waiting import SAFETY
from tests.support.warm import Interpreter, Process

pytestmark = [needs_redis, pytest.mark.slow]

PERIOD = 2.0
LIMIT = 150
EACH = 60
"""Requests of each of three processes: together more than a window allows."""
SCALED: dict[str, Any] = {
    "limit": LIMIT,
    "period": PERIOD,
    "safety_margin": 0.05,
    "late_arrival": 1.0,
    "interactive_interval": PERIOD / 60,
}
"""The budget for a rate limit with a window shorter than 60 s: all its durations have the same scale."""


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


async def receive(process: Process) -> dict[str, Any]:
    assert process.stdout is not None
    line = await asyncio.wait_for(asyncio.to_thread(process.stdout.readline), SAFETY)
    message: dict[str, Any] = json.loads(line)
    return message


def send_go(process: Process) -> None:
    assert process.stdin is not None
    process.stdin.write(b"go\n")
    process.stdin.flush()


Start = Callable[..., Process]


@pytest.fixture
def worker(warm: Interpreter) -> Iterator[Start]:
    """Starts processes, which end with the test."""
    started: list[Process] = []

    def start(work: str, **options: Any) -> Process:
        started.append(start_worker(warm, work, **options))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


async def test_processes_with_different_clocks_share_one_limit_and_are_never_throttled(
    server: RedisServer, worker: Start
) -> None:
    budget = {"url": server.url, **SCALED}
    async with Sandbox(orders=3, products=3, limit=LIMIT, period=PERIOD, latency=(0.0, 0.08), seed=3) as sandbox:
        work = {"url": sandbox.url, "key": sandbox.api_key, "requests": EACH, "budget": budget}
        workers = [worker("send", skew=skew, **work) for skew in (0.0, 4000.0, -0.5)]
        for process in workers:
            assert await receive(process) == {"ready": True}
        started = time.monotonic()
        for process in workers:
            send_go(process)
        assert [await receive(process) for process in workers] == [{"answered": EACH}] * 3
        took = time.monotonic() - started
    assert sandbox.throttled == 0
    assert len(sandbox.requests) == 3 * EACH
    assert took > PERIOD  # at least (3 * EACH - 1) // LIMIT windows: the rate limit was active


async def test_a_restart_of_redis_during_a_run_causes_no_429(server: RedisServer, worker: Start) -> None:
    budget = {"url": server.url, "retry_every": 0.2, "patience": 1.0, **SCALED}
    async with Sandbox(orders=3, products=3, limit=LIMIT, period=PERIOD, latency=(0.0, 0.08), seed=3) as sandbox:
        work = {"url": sandbox.url, "key": sandbox.api_key, "requests": LIMIT, "budget": budget}
        workers = [worker("send", **work) for _ in range(2)]
        for process in workers:
            assert await receive(process) == {"ready": True}
        for process in workers:
            send_go(process)
        async with asyncio.timeout(SAFETY):
            while len(sandbox.requests) < 60:  # noqa: ASYNC110  in the middle of the first burst
                await asyncio.sleep(0.001)
        before = len(sandbox.requests)
        server.kill()
        await asyncio.sleep(1.0)
        await asyncio.to_thread(server.start)
        assert [await receive(process) for process in workers] == [{"answered": LIMIT}] * 2
    assert before < 2 * LIMIT
    assert sandbox.throttled == 0


async def test_the_slots_of_a_killed_process_stay_taken_for_the_longest_life_of_its_requests(
    server: RedisServer, worker: Start
) -> None:
    numbers = {"limit": 5, "late_arrival": 30.0, "use_server_counter": False}
    holder = worker("hold", slots=5, max_lifetime=600, budget={"url": server.url, **numbers})
    assert await receive(holder) == {"held": 5}
    holder.kill()
    budget = RedisBudget(url=server.url, **numbers)  # type: ignore[arg-type]
    with pytest.raises(BudgetExhaustedError):
        await budget.take(Lane.INTERACTIVE, max_lifetime=1, max_wait=0)
    slots, now = budget.store.peek()
    assert [instant - now < nanoseconds(600 + 30 + 61) for instant in slots.rows.instants] == [True] * 5
    await budget.close()
