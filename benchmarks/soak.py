"""Never throttled, and hardly slower than allowed: four processes against Laravel's throttle, for about three minutes.

Run it as `python benchmarks/soak.py [--budget local|host|redis]`, or with `--unscaled` for one run of 450 requests at
the real 150 a minute. It exits with 1 if a bound is broken. The window is scaled to 6 seconds. The guard, the lateness,
the timeouts and the latency (up to 1.5 s, scaled) are scaled by the same factor. The figures are printed scaled back to
60 seconds.

The share of the allowed rate is calculated from cycles. The shortest cycle of a slot is the window, the guard and the
mean round trip (from the grant to the headers of the response). In each cycle, the server can receive at most as many
requests as the limit allows. The arrivals are counted over as many whole cycles as possible, without the first window.
Arrivals come in bursts. So the result is the mean over all starting points in a cycle. All phases except the first have
eight interactive calls in a window. Their wait is the wait for the budget, without the request itself. In the last
phase calls are cancelled at any moment, kept-alive connections drop, and processes are killed and started again. The
last phase has two goals only: no request is refused, and interactive calls do not wait.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import random
import statistics
import sys
import tempfile
import time
from bisect import bisect
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self

import attrs
from _harness import Table, parser, tell

from goedgepickt_async import GoedGepickt, GoedGepicktError, Hooks, LocalBudget
from goedgepickt_async.budget import Budget, BudgetSnapshot, Lane
from goedgepickt_async.budget.protocol import Answered, Grant, Outcome
from goedgepickt_async.hooks import ResponseReceived
from goedgepickt_async.sandbox import Sandbox
from goedgepickt_async.sandbox.faults import KeptAliveDrop

KINDS = ("local", "host", "redis")
WINDOW = 60.0
"""Seconds of the real server's window, to which all scaled figures are scaled back."""


def make_budget(kind: str, limit: int, period: float, *, directory: str, redis_url: str, processes: int) -> Budget:
    """A budget for one of several processes, its durations scaled like the window.

    Args:
        kind: One of `KINDS`; each process has its share of a local one.
        limit: Requests in a window, over all processes.
        period: The window in seconds.
        directory: The directory of a host budget's file.
        redis_url: Where Redis is.
        processes: How many share it.
    """
    second = period / WINDOW
    if kind == "local":
        return LocalBudget(
            limit // processes, period, safety_margin=second, late_arrival=30 * second, interactive_interval=second
        )
    if kind == "host":
        from goedgepickt_async.budget.host import HostBudget  # noqa: PLC0415  only where it is wanted

        return HostBudget(
            limit,
            period,
            name="soak",
            directory=directory,
            safety_margin=second,
            late_arrival=30 * second,
            interactive_interval=second,
        )
    from goedgepickt_async.budget.redis import RedisBudget  # noqa: PLC0415  needs the extra

    return RedisBudget(
        limit,
        period,
        url=redis_url,
        name="soak",
        safety_margin=second,
        late_arrival=30 * second,
        interactive_interval=second,
    )


class Stopwatch:
    """A budget that notes how long answered requests were in progress, from the grant to the answer's headers."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._since: dict[int, float] = {}
        self.trips = 0
        self.seconds = 0.0

    @property
    def limit(self) -> int:
        return self._budget.limit

    async def take(
        self,
        lane: Lane,
        *,
        max_lifetime: float,
        max_wait: float | None = None,
        place: int | None = None,
        key: Any = None,
    ) -> Grant:
        grant = await self._budget.take(lane, max_lifetime=max_lifetime, max_wait=max_wait, place=place, key=key)
        self._since[grant.slot] = time.monotonic()
        return grant

    def settle(self, grant: Grant, outcome: Outcome) -> None:
        self._budget.settle(grant, outcome)
        since = self._since.pop(grant.slot, None)
        if since is not None and isinstance(outcome, Answered):
            self.trips += 1
            self.seconds += time.monotonic() - since

    def pause(self, retry_after: float | None) -> None:
        self._budget.pause(retry_after)

    def predicted_wait(self, lane: Lane, *, ahead: int = 0, key: Any = None) -> float:
        return self._budget.predicted_wait(lane, ahead=ahead, key=key)

    def snapshot(self) -> BudgetSnapshot:
        return self._budget.snapshot()

    def listen(self, method: Callable[[Any], Any]) -> None:
        self._budget.listen(method)


class Heard:
    """What the processes reported."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self.errors: list[str] = []
        self.trips = 0
        self.seconds = 0.0

    def hear(self, line: str) -> None:
        kind, _, rest = line.strip().partition(" ")
        if kind == "wait":
            self.waits.append(float(rest))
        elif kind == "trips":
            trips, seconds = rest.split()
            self.trips += int(trips)
            self.seconds += float(seconds)
        elif kind:
            self.errors.append(line.strip())

    @property
    def round_trip(self) -> float:
        """Mean seconds from a grant to the answer's headers."""
        return self.seconds / max(1, self.trips)


class Workers:
    """Several processes, each with its own plan."""

    def __init__(self, plans: list[dict[str, Any]]) -> None:
        self.heard = Heard()
        self.killed = 0
        self._plans = plans
        self._running: list[asyncio.subprocess.Process] = []
        self._listening: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        for plan in self._plans:
            self._running.append(await self._start(plan))
        return self

    async def __aexit__(self, *_: object) -> None:
        """End the processes: close their input, and kill those that do not stop."""
        for process in self._running:
            if process.returncode is not None:
                self.heard.errors.append(f"a process ended by itself with {process.returncode}")
            elif process.stdin is not None:
                process.stdin.close()
        for process in self._running:
            try:
                await asyncio.wait_for(process.wait(), 10)
            except TimeoutError:
                self.heard.errors.append("a process did not end")
                process.kill()
                await process.wait()
        await asyncio.gather(*self._listening)

    async def kill_and_restart(self, number: int) -> None:
        """Kill a process with `kill -9` at any moment, and start another one with the same plan."""
        process = self._running[number]
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        self.killed += 1
        self._running[number] = await self._start(self._plans[number])

    async def _start(self, plan: dict[str, Any]) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            __file__,
            "--worker",
            json.dumps(plan),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        listening = asyncio.create_task(self._listen(process))
        self._listening.add(listening)
        listening.add_done_callback(self._listening.discard)
        return process

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            self.heard.hear(line.decode())


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
    """One call after the other; some are cancelled at any moment."""
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


LIMIT, PROCESSES = 150, 4
_WAIT = 1.0
_RATIO = 1.03


@attrs.frozen
class Phase:
    """A part of the soak.

    Attributes:
        name: What is printed.
        windows: How long.
        lanes: The lane that each process works in.
        interactive: Interactive calls in a window, over all processes.
        least: The share of the allowed rate that must be reached; None in the phase with trouble.
    """

    name: str
    windows: int
    lanes: tuple[str, ...]
    interactive: int = 8
    least: float | None = None


PHASES = (
    Phase("the normal lane alone", 7, ("normal",) * PROCESSES, interactive=0, least=0.98),
    Phase("normal and interactive", 6, ("normal",) * PROCESSES, least=0.98),
    Phase("bulk and interactive", 6, ("bulk",) * PROCESSES, least=0.90),
    Phase("all three, and trouble", 9, ("normal", "bulk") * (PROCESSES // 2)),
)


class Soak:
    """One sandbox, and the processes that work against it.

    Args:
        kind: Which budget.
        period: The scaled window in seconds.
        directory: For the host budget's file.
        redis_url: For the Redis budget.
        seed: Of everything that is drawn.
    """

    def __init__(self, kind: str, period: float, directory: str, redis_url: str, seed: int) -> None:
        self.kind, self.period, self.seed = kind, period, seed
        self.scale = WINDOW / period
        self.waits: list[float] = []
        self.table = Table(
            f"{PROCESSES} processes on one `{kind}` budget, {LIMIT} requests per {WINDOW:g} s",
            ["phase", "requests", "refused", "a minute", "shortest cycle, s", "of what it allows", "goal"],
        )
        self.broken = self.table.missed
        # Each process's share of a local budget is a whole number of requests.
        self.limit = LIMIT // PROCESSES * PROCESSES if kind == "local" else LIMIT
        self._budget = {
            "kind": kind,
            "limit": LIMIT,
            "period": period,
            "directory": directory,
            "redis_url": redis_url,
            "processes": PROCESSES,
        }
        self._draw = random.Random(seed)

    async def run(self) -> None:
        latency = (0.0, 1.5 / self.scale)
        async with Sandbox(
            orders=1, products=1, seed=self.seed, limit=LIMIT, period=self.period, latency=latency
        ) as sandbox:
            for phase in PHASES:
                await self._play(phase, sandbox)
        self._check(self._percentile(99) < _WAIT, f"interactive p99 wait {self._percentile(99):.2f} s")
        self.table.note = (
            f"Measured in windows of {self.period:g} s, all durations scaled by {self.scale:g}, printed scaled back. "
            f"Interactive wait for the budget over {len(self.waits)} calls: median {self._percentile(50):.2f} s, "
            f"p99 {self._percentile(99):.2f} s, longest {max(self.waits) * self.scale:.2f} s (goal: p99 under {_WAIT:g} s). "
            f"{self.table.note}"
        ).strip()

    async def _play(self, phase: Phase, sandbox: Sandbox) -> None:
        first, refused = len(sandbox.requests), sandbox.throttled
        began = time.time()
        async with Workers([self._plan(sandbox, phase, number) for number in range(PROCESSES)]) as workers:
            if phase.least is None:
                await self._make_trouble(sandbox, workers, phase.windows * self.period)
            else:
                await asyncio.sleep(phase.windows * self.period)
            ended = time.time()
        sandbox.clear_faults()
        self.waits += workers.heard.waits
        arrivals = [recorded.at for recorded in sandbox.requests[first:] if recorded.at < ended]
        self._report(phase, workers, arrivals, began, refused=sandbox.throttled - refused)

    async def _make_trouble(self, sandbox: Sandbox, workers: Workers, seconds: float) -> None:
        """Kept-alive connections drop, processes are killed and come back; calls are cancelled by the processes."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            await asyncio.sleep(self.period / 4)
            sandbox.fail("*", "*", KeptAliveDrop(applied=self._draw.random() < 0.5))
            # A share of a local budget keeps its state in the process only.
            if self.kind != "local" and self._draw.random() < 0.5:
                await workers.kill_and_restart(self._draw.randrange(PROCESSES))

    def _plan(self, sandbox: Sandbox, phase: Phase, number: int) -> dict[str, Any]:
        return {
            "budget": self._budget,
            "key": sandbox.api_key,
            "url": sandbox.url,
            "timeout": 30 / self.scale,
            "lane": phase.lanes[number],
            "seed": self.seed * 100 + number,
            "gap": PROCESSES * self.period / phase.interactive if phase.interactive else None,
            "cancelled": 0.05 if phase.least is None else 0.0,
        }

    def _report(self, phase: Phase, workers: Workers, arrivals: list[float], began: float, *, refused: int) -> None:
        heard = workers.heard
        steady = sorted(at for at in arrivals if at >= began + self.period)
        counts = (phase.name, f"{len(arrivals):,}", refused)
        self._check(refused == 0, f"{refused} requests were refused in phase {phase.name}")
        if phase.least is None:
            self.table.add(*counts, "", "", "", "")
            self.table.note = f"In the trouble {workers.killed} processes were killed, and {len(heard.errors)} calls ended with an error."
            return
        self._check(not heard.errors, f"errors in phase {phase.name}: {heard.errors[:3]}")
        ideal = self.period + self.period / WINDOW + heard.round_trip
        share = self._share(steady, ideal)
        minute = f"{share * self.limit * WINDOW / ideal / self.scale:.1f}"
        self.table.add(*counts, minute, f"{ideal * self.scale:.2f}", f"{share:.1%}", f"{phase.least:.0%}")
        self._check(share >= phase.least, f"only {share:.1%} of the allowed rate: {phase.name}")

    def _share(self, arrivals: list[float], cycle: float) -> float:
        """Of the requests that could have come in whole cycles, how many did."""
        cycles = int((arrivals[-1] - arrivals[0]) / cycle) - 1
        starts = [arrivals[0] + cycle * place / 100 for place in range(100)]
        counts = [bisect(arrivals, start + cycles * cycle) - bisect(arrivals, start) for start in starts]
        return statistics.fmean(counts) / (cycles * self.limit)

    def _percentile(self, percent: int) -> float:
        waits = sorted(self.waits)
        return waits[min(len(waits) - 1, math.ceil(len(waits) * percent / 100) - 1)] * self.scale

    def _check(self, holds: bool, broken: str) -> None:  # noqa: FBT001  what holds is computed where it is said
        if not holds:
            self.broken.append(broken)


async def unscaled(kind: str, directory: str, redis_url: str) -> Table:
    """450 requests at the real limit, by one process."""
    number, latency = 450, (0.02, 0.1)
    budget = make_budget(kind, LIMIT, WINDOW, directory=directory, redis_url=redis_url, processes=1)
    async with (
        Sandbox(orders=1, products=1, limit=LIMIT, period=WINDOW, latency=latency) as sandbox,
        GoedGepickt(sandbox.api_key, base_url=sandbox.url, budget=budget) as client,
    ):
        began = time.monotonic()
        await asyncio.gather(*(client.request("GET", "/orders", query={"perPage": 1}) for _ in range(number)))
        took = time.monotonic() - began
        refused = sandbox.throttled
    bound = (number - 1) // LIMIT * WINDOW
    table = Table(f"{number} requests at the real {LIMIT} per {WINDOW:g} s", ["seconds", "of the bound", "refused"])
    table.add(f"{took:.1f}", f"{took / bound:.3f}", refused)
    table.at_most("of the bound", took / bound, _RATIO)
    table.at_most("refused", refused, 0)
    return table


def main() -> int:
    made = parser(__doc__)
    made.add_argument("--budget", choices=KINDS, default="host")
    made.add_argument("--redis-url", default="redis://127.0.0.1:6379/0")
    made.add_argument("--period", type=float, default=6.0, help="the scaled window in seconds")
    made.add_argument("--seed", type=int, default=1)
    made.add_argument("--unscaled", action="store_true", help="450 requests at the real 150 a minute instead")
    made.add_argument("--worker", type=json.loads, help=argparse.SUPPRESS)
    asked = made.parse_args()
    if asked.worker:
        asyncio.run(_work(asked.worker))
        return 0
    with tempfile.TemporaryDirectory() as directory:
        if asked.unscaled:
            table = asyncio.run(unscaled(asked.budget, directory, asked.redis_url))
        else:
            soak = Soak(asked.budget, asked.period, directory, asked.redis_url, asked.seed)
            asyncio.run(soak.run())
            table = soak.table
    return tell([table], as_json=asked.json)


if __name__ == "__main__":
    raise SystemExit(main())
