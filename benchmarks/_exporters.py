"""Ways to export all orders: ours, and two as they are found in connectors that run in production.

They are written as well as those are: they ask for pages of 100, reuse one session, and repeat what was refused. What
they share with their models is what goes wrong: the number of pages is read from the first answer; there is no clock of
the limit, only a pause or a number at a time; and a page that fails otherwise than with 429 is logged and left out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import aiohttp
from _budgets import WINDOW, make_budget

from goedgepickt_async import GoedGepickt
from goedgepickt_async.sandbox import Sandbox

__all__ = ["EXPORTERS", "LIMIT", "Export"]

LIMIT: Final = 150
_SIZE: Final = 100
_TRIES: Final = 6

Export = Callable[[Sandbox, float], Awaitable[list[str]]]
"""Exports all orders of a sandbox, whose window has so many seconds; gives their ids."""


async def _ours(sandbox: Sandbox, period: float) -> list[str]:
    budget = make_budget("local", LIMIT, period, directory="", redis_url="", processes=1)
    timeout = 30 * period / WINDOW
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
                    return []  # they write a line to a log here, and go on

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
    """A run whose first page fails is started again by somebody."""
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
