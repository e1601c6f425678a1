"""Several uvicorn workers that serve the recipe of docs/howto/web-backends.md keep one limit."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from goedgepickt_async.sandbox import Sandbox
from tests.recipes.pages import block, blocks
from tests.recipes.serving import PAGE, uvicorn_process

pytestmark = pytest.mark.slow

LIMIT = 20
PERIOD = 0.5
WORKERS = 4
VISITS = 15
"""Visits to each worker, one after the other."""

WHO = """
import os
import time


@router.get("/who")
async def who() -> int:
    time.sleep(0.01)  # so that whoever knocks meanwhile is let in by another worker
    return os.getpid()
"""


def write_app(folder: Path) -> None:
    """The page's application with the page's named budget, of a window that a test can wait for."""
    served = block(PAGE, "four-workers")
    named = 'HostBudget(name="try-out")'
    assert named in served
    budget = f'HostBudget({LIMIT}, {PERIOD}, safety_margin=0.1, name="try-out", directory={str(folder)!r})'
    code = f"{blocks(PAGE, 'answers', 'fastapi')}\n{WHO}\n{served.replace(named, budget)}"
    (folder / "app.py").write_text(code, "utf-8")


@asynccontextmanager
async def connections_to_all_workers(url: str) -> AsyncIterator[dict[int, aiohttp.ClientSession]]:
    """A kept-alive connection to each worker, by its process id."""
    async with AsyncExitStack() as stack, asyncio.timeout(240):
        found: dict[int, aiohttp.ClientSession] = {}
        while len(found) < WORKERS:
            connector = aiohttp.TCPConnector(limit=1)
            session = await stack.enter_async_context(aiohttp.ClientSession(url, connector=connector))
            async with session.get("/who") as answer:
                found.setdefault(await answer.json(), session)
        yield found


async def visit(session: aiohttp.ClientSession) -> list[int]:
    """One visitor after the other over one connection, so all at one worker."""
    statuses = []
    for _ in range(VISITS):
        async with session.get("/stock/SB-00000") as answer:
            await answer.read()
            statuses.append(answer.status)
    return statuses


async def test_workers_keep_one_limit_and_end_in_good_order(tmp_path: Path) -> None:
    write_app(tmp_path)
    async with Sandbox(orders=0, products=10, seed=7, limit=LIMIT, period=PERIOD) as sandbox:
        keep_alive = ("--timeout-keep-alive", "60")
        async with (
            uvicorn_process("app:app", sandbox, tmp_path, *keep_alive, workers=WORKERS) as url,
            connections_to_all_workers(url) as workers,
            asyncio.TaskGroup() as group,
        ):
            visits = [group.create_task(visit(session)) for session in workers.values()]
        statuses = [visit.result() for visit in visits]
    assert len(statuses) == WORKERS
    assert all(200 in seen for seen in statuses), "each worker has its part of the limit"
    assert {status for seen in statuses for status in seen} <= {200, 503}
    assert len(sandbox.requests) > LIMIT, "the throttle had something to count"
    assert sandbox.throttled == 0
