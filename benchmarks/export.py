"""A full export of orders under the rate limit, ours compared with connectors; with and without trouble.

Run it as `python benchmarks/export.py`; it takes some minutes. Each export has its own server with Laravel's throttle
and a scaled window; durations are printed scaled back to 60 seconds. In the second half one request in fifty fails: the
connection drops, the body is cut, or the status is 500 or 502. A row is lost if the export ended without an error and
does not have the row.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import aiohttp
from _harness import Table, parser, tell
from soak import WINDOW, make_budget

from goedgepickt_async import GoedGepickt
from goedgepickt_async.sandbox import Sandbox
from goedgepickt_async.sandbox.faults import CutBody, Drop, Sometimes, Status

LIMIT: Final = 150
_SIZE: Final = 100
_TRIES: Final = 6

Export = Callable[[Sandbox, float], Awaitable[list[str]]]
"""Exports all orders of a sandbox, whose window has so many seconds; gives their ids."""


async def _ours(sandbox: Sandbox, period: float) -> list[str]:
    budget = make_budget("local", LIMIT, period, directory="", redis_url="", processes=1)
    timeout = max(30 * period / WINDOW, 30.0)  # no request hangs here; a busy machine may be slow
    async with GoedGepickt(sandbox.api_key, base_url=sandbox.url, budget=budget, timeout=timeout) as gg:
        return [order.uuid async for order in gg.orders.list()]


def _in_batches(at_once: int, pause: float) -> Export:
    """So many pages at a time, then a pause of so many (unscaled) seconds; 429 is repeated after 1, 2, 4, ... seconds."""

    async def export(sandbox: Sandbox, period: float) -> list[str]:
        second = period / WINDOW
        headers = {"Authorization": f"Bearer {sandbox.api_key}", "Accept": "application/json"}
        async with aiohttp.ClientSession(headers=headers) as session:

            async def page(number: int) -> dict[str, Any]:
                for attempt in range(_TRIES):
                    query = {"page": number, "perPage": _SIZE}
                    async with session.get(f"{sandbox.url}/orders", params=query) as answer:
                        if answer.status != 429:
                            answer.raise_for_status()
                            return dict(await answer.json())
                    await asyncio.sleep(2**attempt * second)
                raise aiohttp.ClientError

            async def page_or_nothing(number: int) -> list[str]:
                try:
                    return _ids(await page(number))
                except (aiohttp.ClientError, TimeoutError, ValueError):
                    return []  # connectors write a line to a log here, and continue

            first = await _first(page)
            ids = _ids(first)
            last = first["pageInfo"]["lastPage"]
            for begin in range(2, last + 1, at_once):
                numbers = range(begin, min(begin + at_once, last + 1))
                for found in await asyncio.gather(*map(page_or_nothing, numbers)):
                    ids += found
                await asyncio.sleep(pause * second)
            return ids

    return export


async def _first(page: Callable[[int], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    """If the first page fails, the run is started again."""
    while True:
        try:
            return await page(1)
        except (aiohttp.ClientError, TimeoutError, ValueError):
            continue


def _ids(data: dict[str, Any]) -> list[str]:
    return [row["uuid"] for row in data["items"]]


EXPORTERS: Final[dict[str, Export]] = {
    "ours": _ours,
    "two at a time, a pause of 2 s": _in_batches(2, 2.0),
    "fifteen at a time, a pause of 2 s": _in_batches(15, 2.0),
    "fifteen at a time, no pause": _in_batches(15, 0.0),
}


_LATENCY = (0.05, 0.5)
_ONE_IN = 50


def main() -> int:
    made = parser(__doc__)
    made.add_argument("--orders", type=int, default=20_000)
    made.add_argument("--period", type=float, default=12.0, help="the scaled window in seconds")
    chosen = made.parse_args()
    return tell([asyncio.run(_compare(chosen.orders, chosen.period))], as_json=chosen.json)


async def _compare(orders: int, period: float) -> Table:
    table = Table(
        f"Export of {orders:,} orders, {LIMIT} requests per {WINDOW:g} s",
        ["way", "trouble", "requests", "seconds", "429s", "rows lost", "rows twice"],
        f"Latency {_LATENCY[0]:g} to {_LATENCY[1]:g} s. Measured in windows of {period:g} s, all durations scaled by "
        f"{WINDOW / period:g}, printed scaled back. The time of the processors is scaled too. So seconds are upper bounds, "
        "most of all where one request follows the other. Page numbers reach all rows here. In the service, page numbers end at "
        "10,000 rows, and the other ways would lose the rest.",
    )
    for has_trouble in (False, True):
        for name, export in EXPORTERS.items():
            requests, seconds, refusals, lost, twice = await _measure(export, orders, period, has_trouble=has_trouble)
            trouble = f"one request in {_ONE_IN} fails" if has_trouble else "none"
            table.add(name, trouble, requests, f"{seconds:.0f}", refusals, f"{lost:,}", twice)
            if name == "ours":
                table.at_most(f"refusals, {trouble}", refusals, 0)
                table.at_most(f"rows lost, {trouble}", lost, 0)
    return table


async def _measure(
    export: Export, orders: int, period: float, *, has_trouble: bool
) -> tuple[int, float, int, int, int]:
    """Requests, unscaled seconds, refusals, rows lost and rows that came twice."""
    scale = WINDOW / period
    latency = (_LATENCY[0] / scale, _LATENCY[1] / scale)
    async with Sandbox(
        orders=orders, products=1, limit=LIMIT, period=period, latency=latency, page_reach=10 * orders
    ) as sandbox:
        if has_trouble:
            faults = (Drop(), CutBody(), Status(500), Status(502))
            sandbox.fail("GET", "/orders", Sometimes(faults, share=1 / _ONE_IN, seed=1), times=None)
        began = time.monotonic()
        ids = await export(sandbox, period)
        took = (time.monotonic() - began) * scale
        return len(sandbox.requests), took, sandbox.throttled, orders - len(set(ids)), len(ids) - len(set(ids))


if __name__ == "__main__":
    sys.exit(main())
