"""Paired measurement for a noisy machine: each sample is taken between two samples of the floor and is a ratio to them.

It measures the CPU time of this process. Each round has the candidates in a new order. `gc.freeze` takes the heap of
the imports away from the garbage collector.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import attrs

Work = Callable[[], object]


class Ratio:
    """The quartiles of a candidate's ratios to the floor."""

    def __init__(self, samples: list[float]) -> None:
        self.samples = samples
        self.low, self.median, self.high = statistics.quantiles(samples, n=4)

    def __str__(self) -> str:
        return f"{self.median:5.2f}  ({self.low:.2f} to {self.high:.2f})"


def ratios(floor: Work, candidates: Mapping[str, Work], *, rounds: int = 31, sample: float = 0.01) -> dict[str, Ratio]:
    """How many floors each candidate costs; `sample` is the seconds that one sample takes, about."""
    loops = {work: _loops_for(work, sample) for work in (floor, *candidates.values())}
    found: dict[str, list[float]] = {name: [] for name in candidates}
    names = list(candidates)
    gc.collect()
    gc.freeze()
    try:
        for _ in range(rounds):
            random.shuffle(names)
            before = _seconds(floor, loops[floor])
            for name in names:
                work = candidates[name]
                spent = _seconds(work, loops[work])
                after = _seconds(floor, loops[floor])
                found[name].append(2 * spent / (before + after))
                before = after
    finally:
        gc.unfreeze()
    return {name: Ratio(samples) for name, samples in found.items()}


def _loops_for(work: Work, sample: float) -> int:
    return max(1, round(sample / min(_seconds(work, 2) for _ in range(4))))


def _seconds(work: Work, loops: int) -> float:
    start = time.process_time()
    for _ in range(loops):
        work()
    return (time.process_time() - start) / loops


@attrs.define
class Table:
    """What one measurement found.

    Attributes:
        title: What was measured.
        head: The columns; the first names what a row is about.
        note: How to read it, as prose.
        rows: As text.
        missed: The goals that were not reached, in words.
    """

    title: str
    head: Sequence[str]
    note: str = ""
    rows: list[list[str]] = attrs.field(factory=list)
    missed: list[str] = attrs.field(factory=list)

    def add(self, *cells: object) -> None:
        """One row."""
        self.rows.append([str(cell) for cell in cells])

    def at_most(self, what: str, found: float, goal: float) -> None:
        """Hold a figure against its goal."""
        if found > goal:
            self.missed.append(f"{what}: {found:.2f}, at most {goal:.2f} was wanted")

    def __str__(self) -> str:
        lines = [f"### {self.title}", ""]
        lines += [_line(self.head), "|---" * len(self.head) + "|", *map(_line, self.rows)]
        if self.note:
            lines += ["", self.note]
        lines += [f"\n**Not reached**: {missed}." for missed in self.missed]
        return "\n".join(lines)

    @classmethod
    def of(cls, data: dict[str, Any]) -> Self:
        """From JSON."""
        return cls(**data)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def parser(doc: str | None) -> argparse.ArgumentParser:
    """The command line of a benchmark, with what all of them have."""
    made = argparse.ArgumentParser(description=(doc or "").partition("\n\n")[0].replace("\n", " "))
    made.add_argument("--json", action="store_true", help="a line of JSON for each table, as run.py reads them")
    return made


def tell(tables: Sequence[Table], *, as_json: bool) -> int:
    """Print the tables; 1 if a goal was missed. No test depends on it."""
    for table in tables:
        print(json.dumps(attrs.asdict(table)) if as_json else f"{table}\n")
        for missed in table.missed:
            print(f"MISSED: {table.title}: {missed}", file=sys.stderr)
    return 1 if any(table.missed for table in tables) else 0
