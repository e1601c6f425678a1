"""Dropped connections, cut responses, 5xx, a 429 and `kill -9`: each write is applied once, each level is set.

The long version, 50 seeds of 2,000 writes, is `python -m benchmarks.bulk --chaos 50`.
"""

from pathlib import Path

import pytest

from tests.support.chaos import KINDS, Ordeal
from tests.support.warm import Interpreter

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kind", KINDS)
async def test_an_interrupted_plan_is_completed_and_each_write_is_applied_once(
    kind: str, tmp_path: Path, warm: Interpreter
) -> None:
    ordeal = Ordeal(kind=kind, seed=11, writes=24, kills=1, share=0.15, directory=tmp_path, interpreter=warm)
    report = await ordeal.endure()
    assert report.wrong == []
    assert report.kills
    assert report.faults
