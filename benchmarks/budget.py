"""Refusals and time for each way of keeping the rate limit, next to each other in one run.

Run it as `python benchmarks/budget.py`; it takes about six minutes. `--only` measures one of three. They are the ways
of keeping the limit, the CPU time of a request with each budget, and a fleet of processes in virtual time.

For the ways, each figure has its own server with Laravel's throttle and a scaled window. Seconds are printed scaled
back to 60. A refused call waits for Retry-After, which has whole seconds of this clock. So a refusal may cost up to ten
seconds more or less than without scaling.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import aiohttp
import attrs
from _harness import Table, parser, ratios, tell
from aiolimiter import AsyncLimiter
from soak import WINDOW, make_budget

from goedgepickt_async import GoedGepickt, HostBudget, LocalBudget
from goedgepickt_async.budget import Budget, Lane
from goedgepickt_async.budget.protocol import Answered
from goedgepickt_async.sandbox import Sandbox

LIMIT = 150
_CONCURRENCY = 25
"""Requests in progress at the same time; our budget has so many for each lane."""

Call = Callable[[str], Awaitable[None]]
"""Makes one request in a lane, and waits and retries until it succeeds."""

Contender = Callable[[Sandbox, float], AbstractAsyncContextManager[Call]]
"""Opens a contender for a server and its window in seconds."""

Gate = Callable[[], Awaitable[None]]


class SendLog:
    """At most so many requests in any window, with a log of their times."""

    def __init__(self, limit: int, window: float) -> None:
        self._limit, self._window = limit, window
        self._sent: deque[float] = deque()
        self._turn = asyncio.Lock()

    async def acquire(self) -> None:
        async with self._turn:
            if len(self._sent) == self._limit:
                await asyncio.sleep(max(0.0, self._sent.popleft() + self._window - time.monotonic()))
            self._sent.append(time.monotonic())


@asynccontextmanager
async def _ours(sandbox: Sandbox, period: float) -> AsyncGenerator[Call]:
    budget = make_budget("local", LIMIT, period, directory="", redis_url="", processes=1)
    async with GoedGepickt(sandbox.api_key, base_url=sandbox.url, budget=budget, concurrency=_CONCURRENCY) as client:
        lanes = {lane: client.with_options(lane=lane) for lane in ("interactive", "normal", "bulk")}

        async def call(lane: str) -> None:
            await lanes[lane].request("GET", "/orders", query={"perPage": 1})

        yield call


def _with_gate(make: Callable[[float], Gate]) -> Contender:
    """A client that passes a gate before each request, knows no lanes and obeys Retry-After."""

    @asynccontextmanager
    async def contend(sandbox: Sandbox, period: float) -> AsyncGenerator[Call]:
        gate, permits = make(period), asyncio.Semaphore(_CONCURRENCY)
        headers = {"Authorization": f"Bearer {sandbox.api_key}", "Accept": "application/json"}
        async with aiohttp.ClientSession(headers=headers) as session:

            async def attempt() -> float | None:
                async with permits:
                    await gate()
                    async with session.get(f"{sandbox.url}/orders?perPage=1") as answer:
                        await answer.read()
                        return float(answer.headers.get("Retry-After", 0)) if answer.status == 429 else None

            async def call(_lane: str) -> None:
                while True:
                    pause = await attempt()
                    if pause is None:
                        return
                    await asyncio.sleep(pause)

            yield call

    return contend


CONTENDERS: dict[str, Contender] = {
    "ours": _ours,
    "`AsyncLimiter(150, 60)`": _with_gate(lambda period: AsyncLimiter(LIMIT, period).acquire),
    "`AsyncLimiter(1, 0.4)`": _with_gate(lambda period: AsyncLimiter(1, period / LIMIT).acquire),
    "a log of send times": _with_gate(lambda period: SendLog(LIMIT, period).acquire),
    "halved: `AsyncLimiter(75, 60)`": _with_gate(lambda period: AsyncLimiter(LIMIT // 2, period).acquire),
}


_JOB = 450
_BURSTS = (20, 100, 150)
_BESIDE = 4
"""Windows for which a bulk job runs during interactive calls."""
_BULK = 50
"""Calls of that job that wait for the budget at the same time."""
_LATENCY = (0.05, 0.5)
_HEAD = [
    "way",
    "refusals",
    "seconds",
    "of the bound",
    "burst of 20",
    "of 100",
    "of 150",
    "interactive during bulk: median",
    "longest",
]


@attrs.define
class Row:
    """The figures of one contender, in unscaled seconds."""

    refusals: int = 0
    took: float = 0.0
    bursts: list[float] = attrs.field(factory=list)
    calls: list[float] = attrs.field(factory=list)


class Measurement:
    """All contenders, against windows of `period` seconds."""

    def __init__(self, period: float) -> None:
        self.period, self.scale = period, WINDOW / period
        self.rows = {name: Row() for name in CONTENDERS}

    async def fill(self) -> None:
        for name, contender in CONTENDERS.items():
            await self._job(contender, self.rows[name])
            for number in _BURSTS:
                await self._burst(contender, self.rows[name], number)
        # These need so little CPU time that they can run at the same time.
        await asyncio.gather(*(self._during_bulk(contender, self.rows[name]) for name, contender in CONTENDERS.items()))

    async def _job(self, contender: Contender, row: Row) -> None:
        async with self._server() as sandbox, contender(sandbox, self.period) as call:
            row.took = await self._time_of(call, _JOB)
            row.refusals = sandbox.throttled

    async def _burst(self, contender: Contender, row: Row, number: int) -> None:
        async with self._server() as sandbox, contender(sandbox, self.period) as call:
            row.bursts.append(await self._time_of(call, number))

    async def _during_bulk(self, contender: Contender, row: Row) -> None:
        async with self._server() as sandbox, contender(sandbox, self.period) as call:
            bulk = [asyncio.create_task(_for_ever(call)) for _ in range(_BULK)]
            ends = time.monotonic() + _BESIDE * self.period
            try:
                while time.monotonic() < ends:
                    await asyncio.sleep(self.period / 10)
                    row.calls.append(await self._time_of(call, 1))
            finally:
                for task in bulk:
                    task.cancel()
                await asyncio.wait(bulk)

    async def _time_of(self, call: Call, number: int) -> float:
        began = time.monotonic()
        await asyncio.gather(*(call("interactive") for _ in range(number)))
        return (time.monotonic() - began) * self.scale

    def _server(self) -> Sandbox:
        latency = (_LATENCY[0] / self.scale, _LATENCY[1] / self.scale)
        return Sandbox(orders=1, products=1, limit=LIMIT, period=self.period, latency=latency)

    def table(self) -> Table:
        """As a table."""
        bound = (_JOB - 1) // LIMIT * WINDOW
        made = Table(
            f"{_JOB} requests under {LIMIT} per {WINDOW:g} s",
            _HEAD,
            f"25 at the same time, latency {_LATENCY[0]:g} to {_LATENCY[1]:g} s; the bound is {bound / WINDOW:.0f} windows. Measured in "
            f"windows of {self.period:g} s, all durations scaled by {self.scale:g}, printed scaled back. The bulk job starts "
            f"{_BULK} calls at the same time; interactive calls include their latency.",
        )
        for name, row in self.rows.items():
            bursts = [f"{burst:.1f}" for burst in row.bursts]
            waits = [f"{statistics.median(row.calls):.1f}", f"{max(row.calls):.1f}"]
            made.add(name, row.refusals, f"{row.took:.0f}", f"{row.took / bound:.2f}", *bursts, *waits)
        made.at_most("our refusals", self.rows["ours"].refusals, 0)
        return made


async def _for_ever(call: Call) -> None:
    while True:
        await call("bulk")


def ways(period: float) -> Table:
    measurement = Measurement(period)
    asyncio.run(measurement.fill())
    return measurement.table()


# -- CPU time --------------------------------------------------------------------------------------------------------

_BODY = b'{"items": []}'
_RESPONSE = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
    b"X-RateLimit-Limit: 1000000\r\nX-RateLimit-Remaining: 999999\r\n\r\n%s" % (len(_BODY), _BODY)
)


def _serve(pipe: Connection) -> None:
    """The smallest server: one response for each request."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(_RESPONSE)

    async def main() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


def cost() -> Table:
    """A request and a transaction with HostBudget, as multiples of LocalBudget's."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    url = f"http://127.0.0.1:{ours.recv()}"
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner() as runner:

        async def prepare(budget: Budget) -> GoedGepickt:
            client = GoedGepickt("key", base_url=url, budget=budget)
            await client.request("GET", "/webshops")
            return client

        async def take_and_settle(budget: Budget) -> None:
            for _ in range(20):
                budget.settle(await budget.take(Lane.INTERACTIVE, max_lifetime=30), Answered(1))

        made = Table(
            "CPU time of HostBudget, as a multiple of LocalBudget's",
            ["what", "median (quartiles)"],
            "A request of 13 bytes over a kept connection, the server in another process; and the taking and settling of 20 slots alone.",
        )
        # About as many slots are in use as at the real limit, because a transaction writes all of them.
        local = LocalBudget(1_000_000, 0.05, safety_margin=0.05)
        budgets = [local, HostBudget(1_000_000, 0.05, safety_margin=0.05, directory=folder)]
        clients = [runner.run(prepare(budget)) for budget in budgets]
        requests = [lambda client=client: runner.run(client.request("GET", "/webshops")) for client in clients]
        slots = [lambda budget=budget: runner.run(take_and_settle(budget)) for budget in budgets]
        request = ratios(requests[0], {"request": requests[1]}, rounds=61, sample=0.02)["request"]
        made.add("a small request", request)
        made.add("take and settle", ratios(slots[0], {"slots": slots[1]})["slots"])
        made.at_most("a small request", request.median, 1.25)
        for client in clients:
            runner.run(client.close())
    process.terminate()
    process.join()
    return made


# -- a fleet ---------------------------------------------------------------------------------------------------------


def fleet() -> Table:
    """Processes of many hosts over one Redis."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.support.fleet import Fleet, run  # noqa: PLC0415  the tests are not installed

    made = Table(
        "a fleet over one Redis, in virtual time",
        ["hosts", "processes", "trouble", "refused", "of what slots allow", "commands/s", "interactive: median", "p99"],
        "150 requests per 60 s; latency 0.05 to 2 s; half of the hosts have jobs that never end, of five tenants in two lanes. "
        "Trouble: three times a host is replaced and Redis loses its state, and once Redis is away for 5 s.",
    )
    sizes = [(1, 4), (4, 3), (10, 5), (20, 10)]
    for hosts, processes in sizes:
        for troubles in (False, True):
            with tempfile.TemporaryDirectory() as folder:
                found = run(Fleet(hosts=hosts, processes=processes, seconds=180, troubles=troubles), Path(folder))
            waits = sorted(found.waits)
            shown = [f"{statistics.median(waits):.2f} s", f"{waits[len(waits) * 99 // 100]:.2f} s"]
            each = [found.refused, f"{found.share:.1%}", f"{found.commands:.1f}"]
            made.add(hosts, hosts * processes, "yes" if troubles else "no", *each, *shown)
            made.at_most(f"refusals of {hosts} hosts", found.refused, 0)
            made.at_most(f"idle slots of {hosts} hosts", 0 if troubles else 1 - found.share, 0.03)
    return made


def main() -> int:
    made = parser(__doc__)
    made.add_argument("--period", type=float, default=6.0, help="the scaled window in seconds")
    made.add_argument("--only", choices=("ways", "cost", "fleet"), help="measure this alone")
    chosen = made.parse_args()
    measures = {"ways": lambda: ways(chosen.period), "cost": cost, "fleet": fleet}
    tables = [measure() for name, measure in measures.items() if chosen.only in {None, name}]
    return tell(tables, as_json=chosen.json)


if __name__ == "__main__":
    raise SystemExit(main())
