"""Each write is applied exactly once, through dropped connections, cut answers, 5xx, 429 and `kill -9`: 50 seeds.

Run it as `python -m benchmarks.chaos` in the repository; 50 seeds of 2,000 writes take about an hour.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.support.chaos import KINDS, Ordeal, Report


async def endure(seeds: range, writes: int, kills: int, share: float) -> int:
    total, played = Counter[str](), Counter[str]()
    wrong: list[str] = []
    for seed in seeds:
        kind, began = KINDS[seed % len(KINDS)], time.monotonic()
        with tempfile.TemporaryDirectory() as directory:
            ordeal = Ordeal(kind=kind, seed=seed, writes=writes, kills=kills, share=share, directory=Path(directory))
            report = await ordeal.endure()
        print(_line(seed, kind, report, time.monotonic() - began), flush=True)
        total.update(seeds=1, writes=report.writes, kills=report.kills, runs=report.runs)
        played.update(report.faults)
        wrong += [f"seed {seed}, {kind}: {what}" for what in report.wrong]
    print(f"\n{dict(total)}\nfaults: {dict(played)}\nwrong: {len(wrong)}")
    print("\n".join(wrong[:20]))
    return 1 if wrong else 0


def _line(seed: int, kind: str, report: Report, took: float) -> str:
    return (
        f"seed {seed:3d}  {kind:9s} {report.writes:5d} writes  {report.kills} kills  {report.runs} runs  "
        f"{sum(report.faults.values()):4d} faults  {len(report.wrong)} wrong  {took:.0f} s"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--writes", type=int, default=2_000)
    parser.add_argument("--kills", type=int, default=4)
    parser.add_argument("--share", type=float, default=0.05, help="of the requests that a fault is played on")
    chosen = parser.parse_args()
    seeds = range(chosen.first, chosen.first + chosen.seeds)
    return asyncio.run(endure(seeds, chosen.writes, chosen.kills, chosen.share))


if __name__ == "__main__":
    raise SystemExit(main())
