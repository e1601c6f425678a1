"""One process of the soak: as many requests as it may in one lane, and now and then an interactive one.

Its plan comes as JSON in the first argument; it works until its standard input ends. It prints a line for each thing
to be known: `wait <seconds>` of an interactive call, `trips <number> <seconds>` at the end, `error <what>`.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from typing import Any

from _budgets import Stopwatch, make_budget

from goedgepickt_async import GoedGepickt, GoedGepicktError, Hooks
from goedgepickt_async.hooks import ResponseReceived


def main() -> int:
    asyncio.run(_work(json.loads(sys.argv[1])))
    return 0


async def _work(plan: dict[str, Any]) -> None:
    budget = Stopwatch(make_budget(**plan["budget"]))
    client = GoedGepickt(plan["key"], base_url=plan["url"], budget=budget, timeout=plan["timeout"])
    person = GoedGepickt(
        plan["key"], base_url=plan["url"], budget=budget, timeout=plan["timeout"], hooks=Hooks(response=_tell_wait)
    )
    draw = random.Random(plan["seed"])
    job = client.with_options(lane=plan["lane"])
    async with client, person:
        tasks = [asyncio.create_task(_keep_on(job, draw, plan["cancelled"])) for _ in range(25)]
        if plan["gap"] is not None:
            tasks.append(asyncio.create_task(_ask_now_and_then(person, draw, plan["gap"])))
        await asyncio.to_thread(sys.stdin.read)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    _say("trips", budget.trips, budget.seconds)


async def _keep_on(job: GoedGepickt, draw: random.Random, cancelled: float) -> None:
    """One call after the other; some are cancelled, wherever they are."""
    while True:
        call = asyncio.create_task(_call(job))
        try:
            if draw.random() < cancelled:
                await asyncio.wait([call], timeout=draw.uniform(0, 0.2))
                call.cancel()
            await asyncio.wait([call])
        finally:
            call.cancel()


async def _ask_now_and_then(person: GoedGepickt, draw: random.Random, gap: float) -> None:
    while True:
        await asyncio.sleep(draw.expovariate(1 / gap))
        await _call(person)


async def _call(client: GoedGepickt) -> None:
    try:
        await client.request("GET", "/orders", query={"perPage": 1})
    except GoedGepicktError as error:
        _say("error", type(error).__name__, error)


def _tell_wait(seen: ResponseReceived) -> None:
    _say("wait", seen.waited)


def _say(*words: object) -> None:
    print(*words, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
