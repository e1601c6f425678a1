"""How long a sender waits for the answer of a receiver, compared with a plain aiohttp handler that does nothing.

Run it as `python benchmarks/webhooks.py`. It sends 500 deliveries a second to each in turn, regardless of the answers. The
receiver has an inbox in a file and slow handlers. The servers share one process. It exits with 1 if the 99th percentile
is over 50 ms, or if an attack makes it more than three times as long.

The attack has 300 connections that send half a request and are opened again when they are closed. It also sends ten gzip
bombs of 100 MB at a time, and 1,000 forged deliveries a second. The receiver may open 256 files. Receiver, attacker and
genuine sender are three processes. Attack and rest take turns, and the median of the turns' ratios counts.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import json
import multiprocessing
import os
import selectors
import socket
import statistics
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnContext
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import cast

import aiohttp
from _harness import Table, parser, tell
from aiohttp import web

from goedgepickt_async.webhooks import (
    Intake,
    MemoryInbox,
    SqliteInbox,
    StockUpdated,
    WebhookReceiver,
    aiohttp_handler,
    sign,
)

_SECRET = "a secret for a benchmark"
_GOAL = 0.050
_GOAL_UNDER_ATTACK = 3.0
_IDLE = 300
_BOMBS = 10
_FORGED = 1000
_GENUINE = 50
_FILES = 256
_HANDLER = 1.0
"""Seconds that the slow handler takes: it falls behind hopelessly, as it should here."""


def main() -> int:
    """A line for each contender; 1 if a goal is missed."""
    made = parser(__doc__)
    made.add_argument("--rate", type=float, default=500.0, help="deliveries a second")
    made.add_argument("--seconds", type=float, default=5.0, help="of one turn")
    made.add_argument("--turns", type=int, default=3)
    made.add_argument(
        "--attack", type=float, default=4.0, help="seconds of one turn of the attack, and of the time before"
    )
    chosen = made.parse_args()
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    with tempfile.TemporaryDirectory() as directory:
        server = context.Process(target=_serve, args=(theirs, directory))
        server.start()
        try:
            waits = asyncio.run(_measure(ours.recv(), chosen.rate, chosen.seconds, chosen.turns))
        finally:
            ours.send(None)
            server.join(60)
    return tell([_table(waits, chosen.rate), _attacked(context, chosen.attack, chosen.turns)], as_json=chosen.json)


def _table(waits: dict[str, list[float]], rate: float) -> Table:
    table = Table(
        f"Wait for the answer at {rate:g} webhook deliveries a second",
        ["receiver", "deliveries", "median, ms", "p99, ms", "longest, ms", "p99 in plain ones"],
        f"Each wait counts from the moment the delivery was due; behind the receivers are handlers of {_HANDLER:g} s.",
    )
    floor = _percentile(waits["plain handler"], 99)
    for name, samples in waits.items():
        last = _percentile(samples, 99)
        times = [f"{wait * 1000:.2f}" for wait in (statistics.median(samples), last, max(samples))]
        table.add(name, f"{len(samples):,}", *times, f"{last / floor:.2f}")
        if name != "plain handler":
            table.at_most(f"p99 of the {name}, ms", last * 1000, _GOAL * 1000)
    return table


def _attacked(context: SpawnContext, seconds: float, turns: int) -> Table:
    """The waits of genuine deliveries without and with an attack on the same receiver, in turns."""
    ours, theirs = context.Pipe()
    calm: list[list[float]] = []
    attacked: list[list[float]] = []
    lost: list[str] = []
    forged, spent = 0, 0.0
    with tempfile.TemporaryDirectory() as directory:
        server = context.Process(target=_serve_bounded, args=(theirs, directory))
        server.start()
        try:
            url = ours.recv()
            asyncio.run(_genuine(url, 1.0, "warm", lost))
            for turn in range(turns):
                calm.append(asyncio.run(_genuine(url, seconds, f"calm-{turn}", lost)))
                refused = context.Value("q", 0)
                attacker = context.Process(target=_attack, args=(url, refused), daemon=True)
                attacker.start()
                while refused.value < _FORGED:  # a second of the whole attack
                    time.sleep(0.05)
                before, start = refused.value, time.perf_counter()
                attacked.append(asyncio.run(_genuine(url, seconds, f"attacked-{turn}", lost)))
                forged, spent = forged + refused.value - before, spent + time.perf_counter() - start
                attacker.kill()
                attacker.join()
                time.sleep(1.0)  # what it left behind is closed
        finally:
            ours.send(None)
            server.join(60)
    table = Table(
        "Wait for the answer while strangers attack",
        ["", "deliveries", "median, ms", "p99, ms", "longest, ms"],
        f"{_IDLE} idle connections, {_BOMBS} gzip bombs at a time and {forged / spent:,.0f} forged deliveries a second, all"
        f" from the address of the genuine ones, by a process of low priority; the receiver may open {_FILES} files. Each"
        " genuine delivery is a connection of its own, and its wait counts from the moment it is opened.",
    )
    for name, turn_waits in (("undisturbed", calm), ("attacked", attacked)):
        waits = list(itertools.chain(*turn_waits))
        times = [f"{wait * 1000:.2f}" for wait in (statistics.median(waits), _percentile(waits, 99), max(waits))]
        table.add(name, f"{len(waits):,}", *times)
    ratios = [_percentile(one, 99) / _percentile(other, 99) for one, other in zip(attacked, calm, strict=True)]
    table.add("ratio of each turn", "", "", ", ".join(f"{ratio:.1f}" for ratio in ratios), "")
    table.at_most("p99 under attack, of the undisturbed one", statistics.median(ratios), _GOAL_UNDER_ATTACK)
    table.at_most("deliveries without an answer", len(lost), 0)
    table.at_most("forged deliveries that the attack fell short of, %", 100 * (1 - forged / spent / _FORGED), 10)
    return table


async def _genuine(url: str, seconds: float, label: str, lost: list[str]) -> list[float]:
    """The waits of genuine deliveries, each from the opening of its connection to its answer."""
    port = int(url.split(":")[2].split("/", maxsplit=1)[0])
    waits: list[float] = []

    async def send(number: int) -> None:
        body = _body(label, number)
        head = (
            f"POST /hook HTTP/1.1\r\nHost: x\r\nSignature: {sign(body, _SECRET)}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        start = time.perf_counter()
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(head.encode() + body)
            answer = await reader.read(1000)
            writer.close()
        except OSError as error:
            answer = type(error).__name__.encode()
        waits.append(time.perf_counter() - start)
        if not answer.startswith(b"HTTP/1.1 200"):
            lost.append(answer.decode())

    async with asyncio.TaskGroup() as group:
        for number in range(int(_GENUINE * seconds)):
            group.create_task(send(number))
            await asyncio.sleep(1 / _GENUINE)
    return waits


def _serve_bounded(pipe: Connection, directory: str) -> None:
    with contextlib.suppress(ImportError):
        import resource  # noqa: PLC0415  not on Windows

        resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES, _FILES))
    asyncio.run(_serve_one(pipe, Path(directory)))


async def _serve_one(pipe: Connection, directory: Path) -> None:
    receiver = WebhookReceiver(_SECRET, inbox=SqliteInbox(directory / "attacked"), grace=0.0)
    receiver.on(StockUpdated)(_slow)
    running = asyncio.create_task(receiver.run(port=0, path="/hook", ready=pipe.send))
    await asyncio.to_thread(pipe.recv)
    running.cancel()
    await asyncio.wait([running])


def _attack(url: str, refused: Synchronized[int]) -> None:
    """Attack with plain sockets, at a low priority, so that the attack costs the receiver more than the attacker."""
    with contextlib.suppress(AttributeError):
        os.nice(10)  # not on Windows
    address = ("127.0.0.1", int(url.split(":")[2].split("/", maxsplit=1)[0]))
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = compressor.compress(bytes(100_000_000)) + compressor.flush()
    head = "POST /hook HTTP/1.1\r\nHost: x\r\nSignature: " + "0" * 64 + "\r\n"
    packed = (head + f"Content-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n").encode() + bomb
    forged = (head + "Content-Length: 20\r\n\r\n").encode() + b'{"event":"forged!!"}'
    selector = selectors.DefaultSelector()
    now = time.perf_counter()
    due = [
        (now, number, kind)
        for number, kind in enumerate([b"", b"POST /hook HTTP/1.1\r\nX:"] * (_IDLE // 2) + [packed] * _BOMBS)
    ]
    start, sent = now, 0
    while True:
        now = time.perf_counter()
        while sent < (now - start) * _FORGED:
            _open(selector, address, forged, -1)
            sent += 1
        while due and due[0][0] <= now:
            _, number, data = heapq.heappop(due)
            _open(selector, address, data, number)
        for key, mask in selector.select(0.002):
            if mask & selectors.EVENT_WRITE:
                _write(selector, key)
                continue
            one = cast("socket.socket", key.fileobj)
            with contextlib.suppress(ConnectionError):
                if one.recv(65536):
                    continue
            selector.unregister(one)
            one.close()
            number, whole, _ = key.data
            if number == -1:
                refused.value += 1
            else:
                heapq.heappush(due, (now + 1.0, number, whole))


def _open(selector: selectors.BaseSelector, address: tuple[str, int], data: bytes, number: int) -> None:
    one = socket.socket()
    one.setblocking(False)
    one.connect_ex(address)
    selector.register(one, selectors.EVENT_WRITE, (number, data, memoryview(data)))


def _write(selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
    number, whole, left = key.data
    try:
        left = left[cast("socket.socket", key.fileobj).send(left) :] if left else left
    except BlockingIOError:
        pass
    except ConnectionError:
        left = left[:0]
    selector.modify(key.fileobj, selectors.EVENT_WRITE if left else selectors.EVENT_READ, (number, whole, left))


def _percentile(samples: list[float], percent: int) -> float:
    return statistics.quantiles(samples, n=100)[percent - 1]


async def _measure(urls: dict[str, str], rate: float, seconds: float, turns: int) -> dict[str, list[float]]:
    waits: dict[str, list[float]] = {name: [] for name in urls}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        for turn in range(turns + 1):
            for name, url in urls.items():
                found = await _bombard(session, url, rate, seconds if turn else 1.0, f"{name}-{turn}")
                waits[name] += found if turn else []  # the first one warms up
    return waits


async def _bombard(session: aiohttp.ClientSession, url: str, rate: float, seconds: float, label: str) -> list[float]:
    """The waits of deliveries that are sent by the clock, each counted from the moment it was due."""
    waits: list[float] = []

    async def send(number: int, due: float) -> None:
        body = _body(label, number)
        async with session.post(url, data=body, headers={"Signature": sign(body, _SECRET)}) as answer:
            assert answer.status == 200, answer.status
            await answer.read()
        waits.append(time.perf_counter() - due)

    start = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(int(rate * seconds)):
            due = start + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            group.create_task(send(number, due))
    return waits


def _body(label: str, number: int) -> bytes:
    fields = {
        "event": "stockUpdated",
        "newStock": str(number),
        "productSku": "0012",
        "productUuid": f"{label}-{number}",
    }
    return json.dumps(fields).encode()


def _serve(pipe: Connection, directory: str) -> None:
    asyncio.run(_serve_all(pipe, Path(directory)))


async def _serve_all(pipe: Connection, directory: Path) -> None:
    inboxes: dict[str, Callable[[], Intake]] = {
        "receiver, file, survives a power cut": lambda: SqliteInbox(directory / "full"),
        "receiver, file, survives a kill": lambda: SqliteInbox(directory / "normal", survives_power_cut=False),
        "receiver, memory": MemoryInbox,
    }
    application = web.Application()
    application.router.add_post("/plain", _plain)
    names = {"plain handler": "/plain"}
    receivers = {}
    for name, make in inboxes.items():
        receivers[name] = WebhookReceiver(_SECRET, inbox=make(), grace=0.0)
        receivers[name].on(StockUpdated)(_slow)
        names[name] = f"/{len(names)}"
        application.router.add_post(names[name], aiohttp_handler(receivers[name]))
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    one, two, three = receivers.values()
    async with one, two, three:
        pipe.send({name: f"http://127.0.0.1:{port}{path}" for name, path in names.items()})
        await asyncio.to_thread(pipe.recv)
    await runner.cleanup()


async def _plain(request: web.Request) -> web.Response:
    await request.read()
    return web.Response(text="accepted")


async def _slow(_: StockUpdated) -> None:
    await asyncio.sleep(_HANDLER)


if __name__ == "__main__":
    sys.exit(main())
