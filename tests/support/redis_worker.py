"""A separate process that shares a budget: the tests start `python -m tests.support.redis_worker JSON`."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from goedgepickt_async import GoedGepickt
from goedgepickt_async.budget.redis import RedisBudget
from goedgepickt_async.budget.slots import Lane
from tests.support.warm import Interpreter, Process

ROOT = Path(__file__).parents[2]


def start_worker(interpreter: Interpreter, work: str, **options: Any) -> Process:
    """Start a worker; it reports with lines of JSON."""
    order = json.dumps({**options, "work": work})
    return interpreter.start(
        "-m", "tests.support.redis_worker", order, cwd=ROOT, env=os.environ, stdin=subprocess.PIPE, stderr=2
    )


def tell(**what: Any) -> None:
    """Write a line for the test to read."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


async def send_requests(budget: RedisBudget, url: str, key: str, requests: int) -> None:
    """Send so many, twenty at the same time, when the test gives the start."""
    async with GoedGepickt(key, base_url=url, budget=budget, concurrency=20) as client:
        tell(ready=True)
        await asyncio.to_thread(sys.stdin.readline)
        answers = await asyncio.gather(*(client.request("GET", "/webshops") for _ in range(requests)))
        tell(answered=sum(answer.status == 200 for answer in answers))
    await budget.close()


async def hold_slots(budget: RedisBudget, slots: int, max_lifetime: float) -> None:
    """Take so many and settle none."""
    for _ in range(slots):
        await budget.take(Lane.INTERACTIVE, max_lifetime=max_lifetime)
    tell(held=slots)
    await asyncio.sleep(3600)


def skew_clocks(seconds: float) -> None:
    """Shift every clock of the process, except the clock of the event loop."""
    wall, monotonic = time.time, time.monotonic_ns
    time.time = lambda: wall() + seconds
    time.monotonic_ns = lambda: monotonic() + round(seconds * 1e9)


def main() -> None:
    """Do what the argument says."""
    options = json.loads(sys.argv[1])
    skew_clocks(options.pop("skew", 0.0))
    work: Any = {"send": send_requests, "hold": hold_slots}[options.pop("work")]
    budget = RedisBudget(**options.pop("budget"))
    asyncio.run(work(budget, **options))


if __name__ == "__main__":
    main()
