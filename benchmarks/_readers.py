"""Ways to read a whole list, and to make one small request; each imports its library when it is opened."""

from __future__ import annotations

import importlib
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import attrs

__all__ = ["FLOOR", "GENERATED", "OURS", "OURS_ON_A_FILE", "PACKAGE", "READERS", "TINY", "Opened", "unlimited_budget"]

# ruff: noqa: PLC0415  a contender's library must not be in the process of another

PACKAGE: Final = "generated_client"
"""What the generated client is called, in a directory that is put on `sys.path`."""

_KEY: Final = "no-key"
_SIZE: Final = 100
_LIMIT: Final = 150
_PERIOD: Final = 0.05
"""Seconds of the budget's window: with the real limit, so that the state it keeps is as large as in real use, and
so short that nobody ever waits for it."""


@attrs.frozen
class Opened:
    """A contender that is ready.

    Attributes:
        read: Reads the list of this kind to its end, and returns how many rows it had.
        tiny: Makes one small request.
    """

    read: Callable[[str], Awaitable[int]]
    tiny: Callable[[], Awaitable[Any]]


Open = Callable[[str, Path], AbstractAsyncContextManager[Opened]]
"""Opens a contender for a base URL; the directory is where the generated client lies."""


def _bare(decode: Callable[[], Callable[[bytes], Any]]) -> Open:
    """One aiohttp session, page after page, each body through `decode`."""

    @asynccontextmanager
    async def opened(url: str, _: Path) -> AsyncGenerator[Opened]:
        import aiohttp

        loads = decode()
        headers = {"Authorization": f"Bearer {_KEY}", "Accept": "application/json"}
        async with aiohttp.ClientSession(headers=headers) as session:

            async def get(path: str, query: dict[str, Any]) -> Any:
                async with session.get(f"{url}{path}", params=query) as answer:
                    answer.raise_for_status()
                    return loads(await answer.read())

            async def read(kind: str) -> int:
                async def page(number: int) -> int:
                    data = await get(f"/{kind}", {"page": number, "perPage": _SIZE})
                    return len(data["items"])

                return await _to_the_end(page)

            async def tiny() -> Any:
                return await get("/tiny", {})

            yield Opened(read, tiny)

    return opened


def _orjson() -> Callable[[bytes], Any]:
    import orjson

    return orjson.loads


def _our_models() -> Callable[[bytes], Any]:
    """Our decoder alone, to tell what it costs from what the client costs; the floor reads `items` of what it gives."""
    from goedgepickt_async.convert import decode_rows, parse
    from goedgepickt_async.models import Order, Product

    def decode(body: bytes) -> dict[str, Any]:
        rows = parse(body)["items"]
        return {"items": decode_rows(rows, Order if "products" in (rows or [{}])[0] else Product)}

    return decode


def _ours(kind: str) -> Open:
    @asynccontextmanager
    async def opened(url: str, _: Path) -> AsyncGenerator[Opened]:
        from goedgepickt_async import GoedGepickt

        with TemporaryDirectory() as directory:
            budget = unlimited_budget(kind, directory)
            async with GoedGepickt(_KEY, base_url=url, budget=budget) as gg:

                async def read(kind: str) -> int:
                    rows: Any = gg.orders.list() if kind == "orders" else gg.products.list()
                    return sum([len(page.items) async for page in rows.pages()])

                async def tiny() -> Any:
                    return await gg.request("GET", "/tiny")

                yield Opened(read, tiny)

    return opened


def unlimited_budget(kind: str, directory: str = "") -> Any:
    """A budget that nobody waits for: `local`, or `host` with a file in the directory."""
    from goedgepickt_async import HostBudget, LocalBudget

    second = _PERIOD / 60
    if kind == "local":
        return LocalBudget(_LIMIT, _PERIOD, safety_margin=second)
    return HostBudget(_LIMIT, _PERIOD, safety_margin=second, directory=directory)


@asynccontextmanager
async def _httpx(url: str, _: Path) -> AsyncGenerator[Opened]:
    """One httpx client and `response.json()`."""
    import httpx

    async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {_KEY}"}) as client:

        async def get(path: str, query: dict[str, Any]) -> Any:
            answer = await client.get(path, params=query)
            answer.raise_for_status()
            return answer.json()

        async def read(kind: str) -> int:
            async def page(number: int) -> int:
                return len((await get(f"/{kind}", {"page": number, "perPage": _SIZE}))["items"])

            return await _to_the_end(page)

        async def tiny() -> Any:
            return await get("/tiny", {})

        yield Opened(read, tiny)


@asynccontextmanager
async def _generated(url: str, directory: Path) -> AsyncGenerator[Opened]:
    """What openapi-python-client makes of `openapi.yaml`, its asynchronous functions, one client for all."""
    sys.path.insert(0, str(directory))
    package: Any = importlib.import_module(PACKAGE)
    calls: dict[str, Any] = {
        kind: importlib.import_module(f"{PACKAGE}.api.{kind}.list_{kind}").asyncio for kind in ("orders", "products")
    }
    async with package.AuthenticatedClient(base_url=url, token=_KEY) as client:

        async def read(kind: str) -> int:
            async def page(number: int) -> int:
                return len((await calls[kind](client=client, page=number, per_page=_SIZE)).items)

            return await _to_the_end(page)

        async def tiny() -> Any:
            return await client.get_async_httpx_client().get("/tiny")

        yield Opened(read, tiny)


async def _to_the_end(page: Callable[[int], Awaitable[int]]) -> int:
    """Page after page, until one is empty."""
    number = 0
    for page_number in range(1, sys.maxsize):
        rows = await page(page_number)
        if not rows:
            break
        number += rows
    return number


FLOOR: Final = _bare(_orjson)
OURS: Final = "ours, `LocalBudget`"
OURS_ON_A_FILE: Final = "ours, `HostBudget`"
GENERATED: Final = "generated httpx client"
READERS: Final[dict[str, Open]] = {
    OURS: _ours("local"),
    OURS_ON_A_FILE: _ours("host"),
    "bare aiohttp, our models": _bare(_our_models),
    "httpx, `response.json()`, dicts": _httpx,
    GENERATED: _generated,
}
TINY: Final = [OURS, OURS_ON_A_FILE, "httpx, `response.json()`, dicts"]
