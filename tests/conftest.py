"""What most tests need: a sandbox, a client on it, and budgets that don't make anybody wait."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from goedgepickt_async import GoedGepickt, LocalBudget, RetryPolicy
from goedgepickt_async.sandbox import Sandbox

QUICK = RetryPolicy(base=0.001, cap=0.01)
"""Retries that hardly pause."""


def ample_budget() -> LocalBudget:
    """A budget that no test comes to the end of."""
    return LocalBudget(1_000_000, 1.0, guard=0.0, use_server_counter=False)


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(orders=230, products=40, seed=7, limit=None) as running:
        yield running


@pytest.fixture
async def make_client() -> AsyncIterator[Callable[..., GoedGepickt]]:
    """Clients for a URL, closed at the end."""
    made: list[GoedGepickt] = []

    def make(url: str, key: str = "a-key", **options: Any) -> GoedGepickt:
        defaults: dict[str, Any] = {"budget": ample_budget(), "retry": QUICK, "timeout": 5}
        client = GoedGepickt(key, base_url=url, **(defaults | options))
        made.append(client)
        return client

    yield make
    for client in made:
        await client.close()


@pytest.fixture
async def gg(sandbox: Sandbox, make_client: Callable[..., GoedGepickt]) -> GoedGepickt:
    """A client of the sandbox."""
    webshop = next(iter(await _webshops(sandbox)))
    return make_client(sandbox.url, sandbox.api_key, webshop_uuid=webshop)


async def _webshops(sandbox: Sandbox) -> list[str]:
    async with GoedGepickt(sandbox.api_key, base_url=sandbox.url, budget=ample_budget()) as client:
        uuids = [webshop.uuid async for webshop in client.webshops.list()]
    sandbox.ledger.clear()
    return uuids
