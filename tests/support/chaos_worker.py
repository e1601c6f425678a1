"""Applies a saved plan, in a separate process that may be killed at any moment. Its one argument is JSON."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from goedgepickt_async import GoedGepickt, LocalBudget, RetryPolicy


async def apply(plan: dict[str, Any]) -> int:
    budget = LocalBudget(1_000_000, 1.0, safety_margin=0.0, use_server_counter=False)
    retry = RetryPolicy(base=0.001, cap=0.01, max_attempts=8, quota=1_000_000)
    left = 0
    async with GoedGepickt(
        plan["key"], base_url=plan["url"], webshop_uuid=plan["shop"], budget=budget, retry=retry, timeout=240
    ) as gg:
        saved = gg.bulk.load_plan(await asyncio.to_thread(Path(plan["plan"]).read_text))
        print("begun", flush=True)  # noqa: T201  who started it listens
        async with saved.apply(
            journal=plan["journal"], settle_after=plan["settle_after"], max_age=plan["max_age"]
        ) as outcomes:
            async for outcome in outcomes:
                if not outcome.ok:
                    left += 1
                    print(f"left {type(outcome.error).__name__} {outcome.error}", flush=True)  # noqa: T201
    return 1 if left else 0


if __name__ == "__main__":
    raise SystemExit(asyncio.run(apply(json.loads(sys.argv[1]))))
