"""A list whose iterator is still alive when its event loop ends: nothing is logged, and nothing is left."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from goedgepickt_async import GoedGepickt
from goedgepickt_async.sandbox import Sandbox
from goedgepickt_async.testing import unlimited_budget
from tests.support.tables import each_row


@each_row("how", ["items", "pages"])
@each_row("taken", [1, 3, 150])
@pytest.mark.filterwarnings("ignore:a GoedGepickt client was not closed")
def test_an_iterator_that_outlives_its_loop_logs_nothing(
    how: str, taken: int, caplog: pytest.LogCaptureFixture
) -> None:
    kept: list[AsyncIterator[Any]] = []

    async def read() -> None:
        async with Sandbox(orders=450, limit=None) as sandbox:
            gg = GoedGepickt(sandbox.api_key, base_url=sandbox.url, budget=unlimited_budget())
            iterator: AsyncIterator[Any] = aiter(gg.orders.list() if how == "items" else gg.orders.list().pages())
            kept.append(iterator)
            for _ in range(taken if how == "items" else min(taken, 3)):
                await anext(iterator)

    with caplog.at_level(logging.WARNING, "asyncio"):
        asyncio.run(read())
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []
