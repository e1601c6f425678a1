"""Paired measurement for a noisy machine: each sample lies between two samples of the floor and is a ratio to them.

CPU time of this process; candidates in a new order each round; the heap that the imports left is frozen out of the
garbage collector's sight.
"""

from __future__ import annotations

import gc
import random
import statistics
import time
from collections.abc import Callable, Mapping

__all__ = ["Ratio", "ratios"]

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
