"""The default budget calls nothing that blocks in the event loop's thread."""

import asyncio
from pathlib import Path

import pytest

from goedgepickt_async import HostBudget
from goedgepickt_async.budget import host
from goedgepickt_async.budget.protocol import Answered
from goedgepickt_async.budget.slots import Lane

blockbuster = pytest.importorskip("blockbuster")


def test_a_host_budget_passes_blockbuster_from_its_first_use_on(tmp_path: Path) -> None:
    budget = HostBudget(directory=tmp_path)
    host._clock_id.cache_clear()

    async def main() -> None:
        with blockbuster.blockbuster_ctx():
            for _ in range(3):
                budget.settle(await budget.take(Lane.INTERACTIVE, max_lifetime=30), Answered(None))
            assert budget.snapshot().used == 3

    asyncio.run(main())
