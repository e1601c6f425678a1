"""The web recipes of docs/howto/web-backends.md, served on real sockets."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from asgiref.sync import async_to_sync

from goedgepickt_async import (
    AuthenticationError,
    BudgetExhaustedError,
    GoedGepickt,
    GoedGepicktError,
    OutcomeUnknownError,
    RateLimitedError,
    RequestTimeoutError,
    ValidationError,
)
from goedgepickt_async.sandbox import Sandbox, faults
from goedgepickt_async.testing import serving
from tests.recipes.pages import block, module
from tests.recipes.serving import LIMIT, PAGE, PERIOD, Serve, a_budget, on_aiohttp, on_django, on_fastapi
from tests.support.tables import each_row

SKU = "SB-00000"


@pytest.fixture(params=[on_fastapi, on_aiohttp, on_django], ids=lambda serve: serve.__name__)
def serve(request: Any) -> Serve:
    chosen: Serve = request.param
    return chosen


@asynccontextmanager
async def a_backend(serve: Serve, folder: Path) -> AsyncIterator[tuple[Sandbox, aiohttp.ClientSession]]:
    async with (
        Sandbox(orders=60, products=10, seed=7, limit=LIMIT, period=PERIOD) as sandbox,
        serve(sandbox, folder) as url,
        aiohttp.ClientSession(url) as visitor,
    ):
        yield sandbox, visitor


async def get(visitor: aiohttp.ClientSession, path: str) -> tuple[int, Any, str | None]:
    async with visitor.get(path) as answer:
        body = await answer.json() if answer.content_type == "application/json" else None
        return answer.status, body, answer.headers.get("Retry-After")


@pytest.mark.slow
async def test_visitors_are_answered_and_while_a_bulk_job_uses_the_limit_up_they_get_503(
    serve: Serve, tmp_path: Path
) -> None:
    """What fails is no internal error. In Django, a sync view shares the client."""
    async with a_backend(serve, tmp_path) as (sandbox, visitor):
        if serve is on_django:
            await views_share_the_client(sandbox, visitor)
        await visitors_are_answered(sandbox, visitor)
        sandbox.requests.clear()
        async with GoedGepickt(sandbox.api_key, base_url=sandbox.url, budget=a_budget(tmp_path)) as gg:
            await visitors_get_503_with_retry_after(sandbox, visitor, gg)


async def views_share_the_client(sandbox: Sandbox, visitor: aiohttp.ClientSession) -> None:
    for path in (f"/stock/{SKU}", f"/sync/stock/{SKU}", f"/sync/stock/{SKU}"):
        assert (await get(visitor, path))[0] == 200
    assert {recorded.connection for recorded in sandbox.requests} == {1}


async def visitors_are_answered(sandbox: Sandbox, visitor: aiohttp.ClientSession) -> None:
    status, body, _ = await get(visitor, f"/stock/{SKU}")
    assert (status, body["sku"]) == (200, SKU)
    assert body["free"] is not None
    assert (await get(visitor, "/stock/none-such"))[0] == 404
    sandbox.fail("GET", "/products*", faults.Status(400, json={"message": "no"}))
    assert (await get(visitor, f"/stock/{SKU}"))[:2] == (500, {"error": "APIError"})
    sandbox.fail("GET", "/products*", faults.Status(200, body="<html>"))
    status, body, _ = await get(visitor, f"/stock/{SKU}")
    assert (status, body) == (502, {"error": "DecodeError"})
    sandbox.clear_faults()


async def visitors_get_503_with_retry_after(sandbox: Sandbox, visitor: aiohttp.ClientSession, gg: GoedGepickt) -> None:
    uuids = [str(order["uuid"]) for order in sandbox.world.orders]
    async with aclosing(gg.bulk.map(gg.orders.get, uuids)) as outcomes:
        assert all([(await anext(outcomes)).ok for _ in range(3)])
        answers = [await get(visitor, f"/stock/{SKU}") for _ in range(LIMIT + 5)]
    statuses = [status for status, _, _ in answers]
    assert set(statuses) == {200, 503}
    assert statuses == sorted(statuses), "once the limit is used up it stays so: the window does not end"
    _, body, retry_after = answers[-1]
    assert body == {"error": "BudgetExhaustedError"}
    assert 1 <= int(retry_after or 0) <= PERIOD + 2
    assert sandbox.throttled == 0
    paths = [recorded.path for recorded in sandbox.requests]
    assert len(paths) <= LIMIT
    assert 3 <= sum(path.startswith("/orders/") for path in paths) < LIMIT


def test_each_async_to_sync_call_opens_one_connection_and_closes_it() -> None:
    with serving(Sandbox(orders=0, products=10, seed=7)) as sandbox:
        gg = GoedGepickt(sandbox.api_key, base_url=sandbox.url)
        for _ in range(3):
            assert async_to_sync(gg.products.find_by_sku)(SKU) is not None
    assert [recorded.connection for recorded in sandbox.requests] == [1, 2, 3]


async def test_in_fastapi_an_order_is_named_by_its_uuid(tmp_path: Path) -> None:
    async with a_backend(on_fastapi, tmp_path) as (sandbox, visitor):
        order = sandbox.world.orders[0]
        status, body, _ = await get(visitor, f"/orders/{order['uuid']}")
        assert (status, body["status"]) == (200, order["status"])
        assert (await get(visitor, "/orders/none-such"))[:2] == (404, {"error": "NotFoundError"})


@each_row(
    ("error", "status", "retry_after"),
    [
        (BudgetExhaustedError("busy", wait=12.2), 503, "13"),
        (BudgetExhaustedError("busy", wait=0.0), 503, "1"),
        (RateLimitedError("refused", status=429, retry_after=None), 503, "1"),
        (RateLimitedError("refused", status=429, retry_after=7.0), 503, "7"),
        (RequestTimeoutError("late"), 504, None),
        (OutcomeUnknownError("who knows"), 502, None),
        (AuthenticationError("no", status=401), 500, None),
        (ValidationError("no", fields={"sku": ["is empty"]}), 422, None),
    ],
)
def test_each_error_has_its_answer(
    error: GoedGepicktError, status: int, retry_after: str | None, tmp_path: Path
) -> None:
    answer, body, headers = module(tmp_path, "answers", block(PAGE, "answers")).answer_to(error)
    assert (answer, headers.get("Retry-After")) == (status, retry_after)
    assert body.get("fields") == ({"sku": ["is empty"]} if isinstance(error, ValidationError) else None)
    assert str(error) not in str(body)
