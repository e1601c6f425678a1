"""How often one is refused and how long it takes, by the way in which the rate limit is kept; side by side in one run.

Run it as `python benchmarks/budget.py`; it takes about three minutes. Each figure has a server of its own with
Laravel's throttle and a scaled window; seconds are printed scaled back to 60. A refused call waits for Retry-After, which
speaks in whole seconds of this clock: a refusal may cost up to ten seconds more or less than it would unscaled.
"""

from __future__ import annotations

import asyncio
import statistics
import time

import attrs
from _budgets import WINDOW
from _contenders import CONTENDERS, LIMIT, Call, Contender
from _report import Table, parser, tell

from goedgepickt_async.sandbox import Sandbox

_JOB = 450
_BURSTS = (20, 100, 150)
_BESIDE = 4
"""Windows for which a bulk job runs beside interactive calls."""
_BULK = 50
"""Calls of that job that want to go at once."""
_LATENCY = (0.05, 0.5)
_HEAD = [
    "way",
    "refusals",
    "seconds",
    "of the bound",
    "burst of 20",
    "of 100",
    "of 150",
    "interactive beside bulk: median",
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
        # These are quiet enough to run side by side.
        await asyncio.gather(*(self._beside(contender, self.rows[name]) for name, contender in CONTENDERS.items()))

    async def _job(self, contender: Contender, row: Row) -> None:
        async with self._server() as sandbox, contender(sandbox, self.period) as call:
            row.took = await self._time_of(call, _JOB)
            row.refusals = sandbox.throttled

    async def _burst(self, contender: Contender, row: Row, number: int) -> None:
        async with self._server() as sandbox, contender(sandbox, self.period) as call:
            row.bursts.append(await self._time_of(call, number))

    async def _beside(self, contender: Contender, row: Row) -> None:
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
            f"25 at once, latency {_LATENCY[0]:g} to {_LATENCY[1]:g} s; the bound is {bound / WINDOW:.0f} windows. Measured in "
            f"windows of {self.period:g} s, all durations scaled by {self.scale:g}, printed scaled back. The bulk job wants "
            f"{_BULK} calls to go at once; interactive calls include their latency.",
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


def main() -> int:
    made = parser(__doc__)
    made.add_argument("--period", type=float, default=6.0, help="the scaled window in seconds")
    chosen = made.parse_args()
    measurement = Measurement(chosen.period)
    asyncio.run(measurement.fill())
    return tell([measurement.table()], as_json=chosen.json)


if __name__ == "__main__":
    raise SystemExit(main())
