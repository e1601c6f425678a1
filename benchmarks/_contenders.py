"""Ways to keep a rate limit: ours, and those that everybody writes first. All durations are scaled like the window."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import aiohttp
from _budgets import make_budget
from aiolimiter import AsyncLimiter

from goedgepickt_async import GoedGepickt
from goedgepickt_async.sandbox import Sandbox

__all__ = ["CONTENDERS", "LIMIT", "Call", "Contender"]

LIMIT = 150
_CONCURRENCY = 25
"""Requests under way at once; ours has it for each lane."""

Call = Callable[[str], Awaitable[None]]
"""Makes one request in a lane, and waits and retries until it succeeds."""

Contender = Callable[[Sandbox, float], AbstractAsyncContextManager[Call]]
"""Opens a contender for a server and its window in seconds."""

Gate = Callable[[], Awaitable[None]]


class SendLog:
    """At most so many sendings in any window, by a log of their times."""

    def __init__(self, limit: int, window: float) -> None:
        self._limit, self._window = limit, window
        self._sent: deque[float] = deque()
        self._turn = asyncio.Lock()

    async def acquire(self) -> None:
        async with self._turn:
            if len(self._sent) == self._limit:
                await asyncio.sleep(max(0.0, self._sent.popleft() + self._window - time.monotonic()))
            self._sent.append(time.monotonic())


@asynccontextmanager
async def _ours(sandbox: Sandbox, period: float) -> AsyncGenerator[Call]:
    budget = make_budget("local", LIMIT, period, directory="", redis_url="", processes=1)
    async with GoedGepickt(sandbox.api_key, base_url=sandbox.url, budget=budget, concurrency=_CONCURRENCY) as client:
        lanes = {lane: client.with_options(lane=lane) for lane in ("interactive", "normal", "bulk")}

        async def call(lane: str) -> None:
            await lanes[lane].request("GET", "/orders", query={"perPage": 1})

        yield call


def _with_gate(make: Callable[[float], Gate]) -> Contender:
    """A client that passes a gate before each request, knows no lanes and obeys Retry-After."""

    @asynccontextmanager
    async def contend(sandbox: Sandbox, period: float) -> AsyncGenerator[Call]:
        gate, permits = make(period), asyncio.Semaphore(_CONCURRENCY)
        headers = {"Authorization": f"Bearer {sandbox.api_key}", "Accept": "application/json"}
        async with aiohttp.ClientSession(headers=headers) as session:

            async def attempt() -> float | None:
                async with permits:
                    await gate()
                    async with session.get(f"{sandbox.url}/orders?perPage=1") as answer:
                        await answer.read()
                        return float(answer.headers.get("Retry-After", 0)) if answer.status == 429 else None

            async def call(_lane: str) -> None:
                while True:
                    pause = await attempt()
                    if pause is None:
                        return
                    await asyncio.sleep(pause)

            yield call

    return contend


CONTENDERS: dict[str, Contender] = {
    "ours": _ours,
    "`AsyncLimiter(150, 60)`": _with_gate(lambda period: AsyncLimiter(LIMIT, period).acquire),
    "`AsyncLimiter(1, 0.4)`": _with_gate(lambda period: AsyncLimiter(1, period / LIMIT).acquire),
    "a log of send times": _with_gate(lambda period: SendLog(LIMIT, period).acquire),
    "halved: `AsyncLimiter(75, 60)`": _with_gate(lambda period: AsyncLimiter(LIMIT // 2, period).acquire),
}
