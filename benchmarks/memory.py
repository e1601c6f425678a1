"""Memory of orders: 10,000 orders that are kept, and 300,000 orders in a stream.

Run it as `python benchmarks/memory.py`. tracemalloc counts the memory of the kept orders. It sees every allocation of
Python, and repeats to the byte. Each way has its own process. The stream is read over loopback. Its figure is the peak
of the process's resident memory, with buffers and fragments. The peak after a tenth of the rows is compared with the
peak at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import tracemalloc
from typing import Any

from _decoders import DECODERS, KEEPS, OURS
from _harness import Table, parser, tell
from _pages import page, serve_pages
from end_to_end import unlimited_budget

_NOTHING = "a bare interpreter"
_AIOHTTP = "`import aiohttp`"
_PACKAGE = "`import goedgepickt_async`"
_CLIENT = "`from goedgepickt_async import GoedGepickt`"
_COMMANDS = {
    _NOTHING: ["-c", "pass"],
    _AIOHTTP: ["-c", "import aiohttp"],
    _PACKAGE: ["-c", "import goedgepickt_async"],
    _CLIENT: ["-c", "from goedgepickt_async import GoedGepickt"],
    "and a client made: `GoedGepickt(key)`": ["-c", "from goedgepickt_async import GoedGepickt; GoedGepickt('key')"],
    "a model alone: `from goedgepickt_async import Order`": ["-c", "from goedgepickt_async import Order"],
    "`goedgepickt --help`": ["-m", "goedgepickt_async", "--help"],
    "`goedgepickt --version`": ["-m", "goedgepickt_async", "--version"],
}
_GOALS = {_CLIENT: 1.35, _PACKAGE: 0.05}


def _all_seconds(rounds: int, directory: str) -> dict[str, list[float]]:
    environment = os.environ | {"PYTHONPYCACHEPREFIX": directory}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    spent: dict[str, list[float]] = {name: [] for name in _COMMANDS}
    names = list(_COMMANDS)
    for number in range(rounds + 1):
        random.shuffle(names)
        for name in names:
            found = _seconds(_COMMANDS[name], environment)
            if number:  # the first round compiles
                spent[name].append(found)
    return spent


def _import_times(spent: dict[str, list[float]]) -> Table:
    table = Table(
        "Import time and start of the command",
        ["what", "ms of CPU above a bare interpreter", "in imports of aiohttp"],
        f"A bare interpreter takes {_milliseconds(spent[_NOTHING]):.0f} ms. Medians of {len(spent[_NOTHING])} processes each.",
    )
    nothing = _milliseconds(spent[_NOTHING])
    aiohttp = _milliseconds(spent[_AIOHTTP]) - nothing
    for name, samples in spent.items():
        if name == _NOTHING:
            continue
        above = _milliseconds(samples) - nothing
        table.add(name, f"{above:.1f}", f"{above / aiohttp:.2f}")
        if name in _GOALS:
            table.at_most(name, above / aiohttp, _GOALS[name])
    return table


def _milliseconds(samples: list[float]) -> float:
    return statistics.median(samples) * 1_000


def _seconds(command: list[str], environment: dict[str, str]) -> float:
    """CPU time of a process and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


_PAGE = 100
_DICTS = "`orjson.loads`, dicts"
_OF_DICTS = 0.65
_FLAT = 1.10
_KIB_OF_MAXRSS = 1024 if sys.platform == "darwin" else 1
"""macOS returns bytes, other systems return KiB."""


def main() -> int:
    made = parser(__doc__)
    made.add_argument("--rounds", type=int, default=15, help="processes of each import")
    made.add_argument("--held", type=int, default=10_000, help="orders that are held")
    made.add_argument("--streamed", type=int, default=300_000, help="orders that stream by")
    made.add_argument("--contender", choices=[_DICTS, *DECODERS], help=argparse.SUPPRESS)
    made.add_argument("--stream-from", help=argparse.SUPPRESS)
    chosen = made.parse_args()
    if chosen.contender:
        print(json.dumps(_hold(chosen.contender, chosen.held)))
        return 0
    if chosen.stream_from:
        print(json.dumps(asyncio.run(_stream(chosen.stream_from, chosen.streamed))))
        return 0
    with tempfile.TemporaryDirectory() as directory:
        imports = _import_times(_all_seconds(chosen.rounds, directory))
    return tell([_held(chosen.held), _streamed(chosen.streamed), imports], as_json=chosen.json)


# -- held


def _held(number: int) -> Table:
    table = Table(
        f"{number:,} orders held in memory",
        ["as", "bytes an order", "of dicts", "keeps unknown keys"],
        "Counted by tracemalloc after the pages' bytes are gone.",
    )
    found = {name: _ask("--contender", name, "--held", str(number)) / number for name in (_DICTS, *DECODERS)}
    for name, size in found.items():
        table.add(name, f"{size:,.0f}", f"{size / found[_DICTS]:.2f}", "yes" if name in {*KEEPS, _DICTS} else "no")
    table.at_most("ours, of dicts", found[OURS] / found[_DICTS], _OF_DICTS)
    return table


def _hold(name: str, number: int) -> int:
    """Bytes that so many orders take."""
    decode = _dicts() if name == _DICTS else DECODERS[name]("orders")
    bodies = (page("orders", _PAGE, seed) for seed in range(number // _PAGE))
    for _ in range(3):
        decode(page("orders", _PAGE, 0))  # what is compiled on first use is not the orders'
    gc.collect()
    held: list[Any] = []
    total = 0
    for body in bodies:
        tracemalloc.start()
        held.append(decode(body))
        gc.collect()
        total += tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
    assert len(held) == number // _PAGE
    return total


def _dicts() -> Any:
    import orjson  # noqa: PLC0415  not in the process of another

    return lambda body: orjson.loads(body)["items"]


# -- streaming


def _streamed(number: int) -> Table:
    table = Table(
        f"{number:,} orders streaming by: peak of resident memory",
        ["after", "MiB", "of the peak after a tenth"],
        "`async for order in gg.orders.list()` over loopback, nothing kept; the interpreter and all modules included.",
    )
    with serve_pages(number) as url:
        peaks = _ask("--stream-from", url, "--streamed", str(number))
    for after, peak in peaks:
        table.add(f"{after:,} orders", f"{peak / 1024:.1f}", f"{peak / peaks[0][1]:.3f}")
    table.at_most("the peak at the end", peaks[-1][1] / peaks[0][1], _FLAT)
    return table


async def _stream(url: str, number: int) -> list[tuple[int, float]]:
    """Peaks in KiB after a tenth, a half and all of the orders."""
    from goedgepickt_async import GoedGepickt  # noqa: PLC0415  not in the processes that hold

    marks, peaks = {number // 10, number // 2, number}, []
    async with GoedGepickt("no-key", base_url=url, budget=unlimited_budget("local")) as gg:
        seen = 0
        async for _ in gg.orders.list():
            seen += 1
            if seen in marks:
                peaks.append((seen, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _KIB_OF_MAXRSS))
    assert seen == number, f"{seen} orders of {number}"
    return peaks


def _ask(*options: str) -> Any:
    done = subprocess.run([sys.executable, __file__, *options], stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


if __name__ == "__main__":
    sys.exit(main())
