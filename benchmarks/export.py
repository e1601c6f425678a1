"""A full export of orders under the rate limit, ours beside what connectors do; with and without trouble.

Run it as `python benchmarks/export.py`; it takes some minutes. Each export has a server of its own with Laravel's throttle
and a scaled window; durations are printed scaled back to 60 seconds. In the second half one request in fifty fails: the
connection drops, the body is cut, or the status is 500 or 502. A row is lost if the export ended as if all were well and
the row is not in it.
"""

from __future__ import annotations

import asyncio
import sys
import time

from _budgets import WINDOW
from _exporters import EXPORTERS, LIMIT, Export
from _report import Table, parser, tell

from goedgepickt_async.sandbox import Sandbox
from goedgepickt_async.sandbox.faults import CutBody, Drop, Sometimes, Status

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
        f"{WINDOW / period:g}, printed scaled back; what the processors do is scaled with them, so seconds are upper bounds, "
        "most of all where one request follows the other. Page numbers reach all rows here; those of the service end at 10,000, "
        "where the other ways would lose the rest.",
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
