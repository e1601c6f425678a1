"""What reading a list over loopback costs the client's process, in CPU time: user and system, for 100 rows.

Run it as `python benchmarks/end_to_end.py`. The server and each contender have separate processes. A sample is a list
that is read to its end. It is taken between two samples of the floor in the same process. The floor is one aiohttp
session, page after page, with `orjson.loads`. The second table has the same for a request with a tiny body: what our
layer costs above plain aiohttp.

Each run generates the client with openapi-python-client from `openapi.yaml`. Our budget has the real limit and a window
so short that no request waits. It is measured in memory (`LocalBudget`) and in a file that the processes of a host
share (`HostBudget`). `HostBudget` is the default for a server that is not on this machine.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import attrs
from _harness import Ratio, Table, parser, tell
from _pages import serve_pages

# ruff: noqa: PLC0415  a contender's library must not be in the process of another

PACKAGE: Final = "generated_client"
"""What the generated client is called, in a directory that is put on `sys.path`."""

_KEY: Final = "no-key"
_SIZE: Final = 100
_LIMIT: Final = 150
_PERIOD: Final = 0.05
"""Seconds of the budget's window. It is so short that no request waits. With the real limit, the budget's state is as
large as in real use.
"""


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
"""Opens a contender for a base URL; the directory has the generated client."""


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
    """Our decoder alone, which separates its cost from the cost of the client; the floor reads `items` of its result."""
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
    """A budget without waits: `local`, or `host` with a file in the directory."""
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


_OPENAPI = Path(__file__).with_name("openapi.yaml")
_OF_THE_GENERATED = 0.4
_LAYER = 1.7
_REQUESTS = 50
"""Of a sample with tiny bodies."""


@attrs.frozen
class Found:
    """What one contender costs.

    Attributes:
        ratio: In floors.
        each: Milliseconds of CPU, the median.
        floor: The same for the floor.
    """

    ratio: Ratio
    each: float
    floor: float


def main() -> int:
    made = parser(__doc__)
    made.add_argument("--kind", choices=["orders", "products"], default="orders")
    made.add_argument("--rows", type=int, default=2_000, help="of the list; a sample reads it whole")
    made.add_argument("--rounds", type=int, default=15, help="samples of each contender")
    made.add_argument("--contender", choices=list(READERS), help=argparse.SUPPRESS)
    made.add_argument("--tiny", action="store_true", help=argparse.SUPPRESS)
    made.add_argument("--url", help=argparse.SUPPRESS)
    made.add_argument("--generated", type=Path, help=argparse.SUPPRESS)
    chosen = made.parse_args()
    if chosen.contender:
        print(json.dumps(asyncio.run(_measure(chosen))))
        return 0
    with tempfile.TemporaryDirectory() as directory, serve_pages(chosen.rows) as url:
        generate(Path(directory))
        tables = [_pages(chosen, url, directory), _tiny(chosen, url, directory)]
    return tell(tables, as_json=chosen.json)


def generate(directory: Path) -> None:
    """Make the generated client in a directory, with the tools of this interpreter's environment."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--path", str(_OPENAPI), "--meta", "none"]
    command += ["--output-path", str(directory / PACKAGE)]
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)


def _pages(chosen: argparse.Namespace, url: str, directory: str) -> Table:
    table = Table(
        f"CPU of the client for 100 {chosen.kind}, over loopback",
        ["way", "ms", "floors", "quartiles"],
        f"A list of {chosen.rows:,} rows, read to its end in pages of 100. The floor is one aiohttp session and `orjson.loads`.",
    )
    found = {name: _ask(name, chosen, url, directory) for name in READERS}
    table.add("floor: aiohttp, `orjson.loads`, dicts", f"{found[OURS].floor:.2f}", "1.00", "")
    for name, one in found.items():
        table.add(name, f"{one.each:.2f}", f"{one.ratio.median:.2f}", f"{one.ratio.low:.2f} to {one.ratio.high:.2f}")
    for ours in (OURS, OURS_ON_A_FILE):
        share = found[ours].ratio.median / found[GENERATED].ratio.median
        table.note += f" {ours[0].upper()}{ours[1:]}: {share:.2f} of the generated client."
        table.at_most(f"{ours}, in generated clients", share, _OF_THE_GENERATED)
    return table


def _tiny(chosen: argparse.Namespace, url: str, directory: str) -> Table:
    table = Table(
        "CPU of a request with a tiny body, over loopback",
        ["way", "ms", "of bare aiohttp", "quartiles"],
        "One request after the other on one connection: all of it is the client's layer over the socket.",
    )
    found = {name: _ask(name, chosen, url, directory, "--tiny") for name in TINY}
    table.add("floor: aiohttp, `orjson.loads`", f"{found[OURS].floor:.3f}", "1.00", "")
    for name, one in found.items():
        table.add(name, f"{one.each:.3f}", f"{one.ratio.median:.2f}", f"{one.ratio.low:.2f} to {one.ratio.high:.2f}")
    for name in (OURS, OURS_ON_A_FILE):
        table.at_most(name, found[name].ratio.median, _LAYER)
    return table


def _ask(name: str, chosen: argparse.Namespace, url: str, directory: str, *options: str) -> Found:
    command = [sys.executable, __file__, "--contender", name, "--url", url, "--generated", directory, *options]
    command += ["--kind", chosen.kind, "--rows", str(chosen.rows), "--rounds", str(chosen.rounds)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    ratios, each, floor = json.loads(done.stdout)
    return Found(Ratio(ratios), statistics.median(each), statistics.median(floor))


# -- a contender in its own process


async def _measure(chosen: argparse.Namespace) -> tuple[list[float], list[float], list[float]]:
    """Ratios to the floor, milliseconds of the contender and of the floor."""
    async with (
        FLOOR(chosen.url, chosen.generated) as floor,
        READERS[chosen.contender](chosen.url, chosen.generated) as contender,
    ):
        base, work = (_work(opened, chosen) for opened in (floor, contender))
        await _spent(base)
        await _spent(work)
        gc.collect()
        gc.freeze()  # otherwise one of the two at random pays for the search through the modules of both
        before = await _spent(base)
        ratios, each, floors = [], [], [before]
        for _ in range(chosen.rounds):
            spent = await _spent(work)
            after = await _spent(base)
            ratios.append(2 * spent / (before + after))
            each.append(spent)
            floors.append(after)
            before = after
    number = _REQUESTS if chosen.tiny else chosen.rows / 100
    return ratios, [1_000 * spent / number for spent in each], [1_000 * spent / number for spent in floors]


def _work(opened: Opened, chosen: argparse.Namespace) -> Callable[[], Awaitable[None]]:
    async def tiny() -> None:
        for _ in range(_REQUESTS):
            await opened.tiny()

    async def read() -> None:
        number = await opened.read(chosen.kind)
        assert number == chosen.rows, f"{number} rows of {chosen.rows}"

    return tiny if chosen.tiny else read


async def _spent(work: Callable[[], Awaitable[None]]) -> float:
    start = time.process_time()
    await work()
    return time.process_time() - start


if __name__ == "__main__":
    sys.exit(main())
