"""Each promise of the client, tested with the sandbox."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from goedgepickt_async import (
    BudgetExhaustedError,
    ClientClosedError,
    ConfigurationError,
    DecodeError,
    GoedGepickt,
    Hooks,
    LocalBudget,
    Order,
    PagingError,
    ServerError,
)
from goedgepickt_async.paging import reader
from goedgepickt_async.sandbox import Sandbox, faults
from goedgepickt_async.settings import LaneName
from tests.support.short_rows import shorten_rows
from tests.support.virtual import loop_nanoseconds, loop_seconds

pytestmark = pytest.mark.virtual_time

Make = Callable[..., GoedGepickt]


@pytest.mark.slow
async def test_three_hundred_requests_to_both_apis_forty_at_a_time_are_never_throttled(make_client: Make) -> None:
    options: dict[str, Any] = {"limit": 150, "period": 60.0, "latency": (0.0, 2.4), "clock": loop_seconds()}
    async with Sandbox(orders=3, products=3, seed=3, **options) as sandbox:
        budget = LocalBudget(clock=loop_nanoseconds())
        client = make_client(sandbox.url, sandbox.api_key, budget=budget, concurrency=20)
        other = make_client(sandbox.account_url, sandbox.account_key, budget=budget, concurrency=20)
        started = asyncio.get_running_loop().time()
        answers = await asyncio.gather(
            *(one.request("GET", "/webshops") for _ in range(155) for one in (client, other))
        )
        took = asyncio.get_running_loop().time() - started
    assert sandbox.throttled == 0
    assert len(answers) == 310
    assert client.budget.snapshot().throttled == 0
    assert took > 2 * 60.0  # at least (310 - 1) // 150 windows: the sandbox limited the rate


@pytest.mark.slow
@pytest.mark.parametrize("lane", ["normal", "bulk"])
async def test_an_interactive_call_does_not_wait_behind_a_long_job(make_client: Make, lane: LaneName) -> None:
    async with Sandbox(orders=3, products=3, limit=150, seed=3, clock=loop_seconds()) as sandbox:
        client = make_client(sandbox.url, sandbox.api_key, budget=LocalBudget(clock=loop_nanoseconds()))
        bulk = client.with_options(lane=lane)
        job = [asyncio.create_task(bulk.request("GET", "/webshops")) for _ in range(250)]
        while client.budget.snapshot().used < (140 if lane == "normal" else 10):  # noqa: ASYNC110  it has no event
            await asyncio.sleep(0.25)
        started = asyncio.get_running_loop().time()
        await client.with_options(max_wait=0.5).request("GET", "/webshops")
        assert asyncio.get_running_loop().time() - started < 1
        assert not all(call.done() for call in job)
        for call in job:
            call.cancel()
        await asyncio.wait(job)


async def test_a_wait_over_max_wait_raises_immediately_and_the_error_has_the_wait(make_client: Make) -> None:
    async with Sandbox(orders=3, products=3, limit=5, period=60, clock=loop_seconds()) as sandbox:
        budget = LocalBudget(5, 60, clock=loop_nanoseconds())
        client = make_client(sandbox.url, sandbox.api_key, budget=budget)
        await asyncio.gather(*(client.request("GET", "/webshops") for _ in range(5)))
        with pytest.raises(BudgetExhaustedError) as caught:
            await client.with_options(max_wait=1).webshops.list().collect()
    assert 55 < caught.value.wait <= 61
    assert len(sandbox.requests) == 5


@pytest.mark.slow
async def test_a_list_is_complete_after_unexpected_429_responses(make_client: Make) -> None:
    async with Sandbox(orders=500, products=3, limit=None) as sandbox:
        seen: list[int] = []
        sandbox.fail("GET", "/orders", faults.TooManyRequests(retry_after="0"), times=3, after=2)
        client = make_client(
            sandbox.url,
            sandbox.api_key,
            budget=LocalBudget(1000, 0.05, clock=loop_nanoseconds(), safety_margin=0.01),
            hooks=Hooks(throttled=lambda answer: seen.append(answer.status)),
        )
        orders = await client.orders.list().collect()
    assert len({order.uuid for order in orders}) == 500
    assert seen == [429, 429, 429]


async def uuids_of(client: GoedGepickt) -> list[str]:
    return [order.uuid async for order in client.orders.list()]


def uuids_in(sandbox: Sandbox) -> list[str]:
    orders = sandbox.world.orders
    return [orders.uuid(index) for index in orders.living()]


@pytest.mark.slow
async def test_a_list_is_complete_while_rows_are_added_and_removed(make_client: Make) -> None:
    async with shorten_rows(Sandbox(orders=900, products=3, limit=None, seed=5)) as sandbox:
        before = set(uuids_in(sandbox))
        gone: list[str] = []

        def move(world: Any) -> None:
            gone.extend(world.delete_order(0) for _ in range(2))
            world.add_order(webshop=0)

        sandbox.fail("GET", "/orders", faults.ChangeWorld(move), times=None, after=1)
        found = await uuids_of(make_client(sandbox.url, sandbox.api_key))
    assert len(found) == len(set(found))
    assert before - set(gone) <= set(found)
    assert gone


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault",
    [
        faults.Status(500),
        faults.Status(503),
        faults.Status(502, body="<html>Bad gateway</html>"),
        faults.CutBody(),
        faults.CutBody(chunked=True),
        faults.Drop(),
        faults.Drop(applied=True),
        faults.KeptAliveDrop(),
        faults.Garbage(),
        faults.InvalidUtf8(),
        faults.Slow(0.5),
        faults.SlowBody(1.0),
        faults.NeverAnswer(),
    ],
    ids=lambda fault: type(fault).__name__,
)
async def test_a_list_is_complete_after_faults(make_client: Make, fault: Any) -> None:
    async with shorten_rows(Sandbox(orders=330, products=3, limit=None, seed=5)) as sandbox:
        sandbox.fail("GET", "/orders", fault, times=2, after=2)
        client = make_client(sandbox.url, sandbox.api_key, timeout=0.3)
        found = await uuids_of(client)
        assert found == uuids_in(sandbox)
        assert sum(recorded.fault is not None for recorded in sandbox.requests) >= 2


@pytest.mark.slow
async def test_a_lasting_fault_raises_and_the_list_can_be_resumed(make_client: Make) -> None:
    async with Sandbox(orders=420, products=3, limit=None, seed=5) as sandbox:
        client = make_client(sandbox.url, sandbox.api_key)
        sandbox.fail("GET", "/orders", faults.Status(500), times=None, after=2)
        read: list[Order] = []

        async def read_rest(resume: str | None) -> None:
            async for page in client.orders.list().pages(resume=resume):
                read.extend(page.items)

        with pytest.raises(ServerError, match="Server Error") as caught:
            await read_rest(None)
        sandbox.clear_faults()
        await read_rest(caught.value.resume)
        assert [order.uuid for order in read] == uuids_in(sandbox)


@pytest.mark.slow
@pytest.mark.parametrize(
    "quirks",
    [
        {"total_items": 1, "last_page": 1},
        {"last_page_for": 15},
        {"freeze_page_info": True},
        {"drop_page_info": True},
        {"ignore_per_page": True},
        {"hide_clamp": True},
    ],
    ids=lambda quirks: next(iter(quirks)),
)
@pytest.mark.parametrize("largest", [100, 50])
async def test_a_list_is_complete_with_wrong_page_info_or_another_page_size(
    make_client: Make, quirks: dict[str, Any], largest: int
) -> None:
    async with shorten_rows(Sandbox(orders=333, products=3, limit=None, seed=5, per_page_max=largest)) as sandbox:
        for name, value in quirks.items():
            setattr(sandbox.quirks, name, value)
        found = await uuids_of(make_client(sandbox.url, sandbox.api_key))
        assert found == uuids_in(sandbox)


async def test_a_page_without_items_raises_a_decode_error(make_client: Make) -> None:
    async with Sandbox(orders=33, products=3, limit=None) as sandbox:
        sandbox.quirks.drop_empty_items = True
        with pytest.raises(DecodeError, match="it has no items") as caught:
            await uuids_of(make_client(sandbox.url, sandbox.api_key))
        assert caught.value.resume is not None


async def test_a_list_that_repeats_its_last_page_raises(make_client: Make) -> None:
    async with Sandbox(orders=150, products=3, limit=None) as sandbox:
        sandbox.quirks.repeat_last_page = True
        with pytest.raises(PagingError, match="same page twice"):
            await uuids_of(make_client(sandbox.url, sandbox.api_key))


@pytest.mark.parametrize("cursor", [True, False])
@pytest.mark.slow
async def test_a_list_past_the_reach_of_page_numbers_is_complete(make_client: Make, cursor: bool) -> None:
    async with shorten_rows(Sandbox(orders=10_105, products=0, limit=None, cursor=cursor)) as sandbox:
        found = await uuids_of(make_client(sandbox.url, sandbox.api_key))
        assert len(found) == len(set(found)) == 10_105
        assert len(sandbox.requests) < 10_105 / 100 * 1.35


async def test_a_list_of_products_past_the_reach_without_a_cursor_raises(
    make_client: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "MAX_OFFSET", 1000)
    async with shorten_rows(Sandbox(orders=0, products=1050, limit=None, cursor=False, page_reach=1000)) as sandbox:
        with pytest.raises(PagingError, match="1000 rows"):
            await make_client(sandbox.url, sandbox.api_key).products.list().collect()


async def test_looking_at_the_first_items_costs_one_request(gg: GoedGepickt, sandbox: Sandbox) -> None:
    async for _ in gg.orders.list():
        break
    assert (await gg.orders.list().first()) is not None
    assert len(await gg.orders.list().collect(limit=20)) == 20
    assert len(sandbox.requests) == 3
    assert [recorded.query["perPage"] for recorded in sandbox.requests] == ["100", "20", "20"]


async def test_the_next_page_is_fetched_while_the_current_page_is_handled(gg: GoedGepickt, sandbox: Sandbox) -> None:
    requests: list[int] = []
    async for _ in gg.orders.list().pages():
        await asyncio.sleep(0.1)
        requests.append(len(sandbox.requests))
    assert requests == [1, 3, 4]


async def test_leaving_a_list_half_way_cancels_the_request_for_the_next_page(gg: GoedGepickt, sandbox: Sandbox) -> None:
    sandbox.fail("GET", "/orders", faults.NeverAnswer(), times=None, after=2)
    pages = gg.orders.list().pages()
    await anext(pages)
    await anext(pages)
    await asyncio.sleep(0.05)
    async with asyncio.timeout(2):
        await pages.aclose()
    assert gg.budget.snapshot().in_flight == 0
    assert asyncio.all_tasks() - {asyncio.current_task()} == {
        task for task in asyncio.all_tasks() if "sandbox" in repr(task) or "web_protocol" in repr(task)
    }


async def test_resuming_yields_each_row_once(gg: GoedGepickt, sandbox: Sandbox) -> None:
    page = await anext(gg.orders.list().pages())
    found = [order.uuid for order in page.items]
    sandbox.world.delete_order(0)
    async for rest in gg.orders.list().pages(resume=page.resume):
        found += [order.uuid for order in rest.items]
    assert len(found) == len(set(found)) == 230


@pytest.mark.slow
@pytest.mark.parametrize("status", [None, "completed"])
async def test_resuming_a_limited_list_continues_with_the_next_row(
    gg: GoedGepickt, sandbox: Sandbox, status: str | None
) -> None:
    shorten_rows(sandbox)
    whole = [order.uuid for order in await gg.orders.list(status=status).collect()]
    found: list[str] = []
    token: str | None = None
    while len(found) < len(whole):
        async for page in gg.orders.list(status=status).limit(7).pages(resume=token):
            found += [order.uuid for order in page.items]
            token = page.resume
    assert found == whole


async def test_leaving_a_list_on_its_second_page_opens_no_second_session(sandbox: Sandbox) -> None:
    client = GoedGepickt(sandbox.api_key, base_url=sandbox.url, budget=LocalBudget(10_000, 60))
    async with client:
        seen = 0
        async for _ in client.orders.list():
            seen += 1
            if seen == 150:
                break
    await asyncio.sleep(0.05)
    assert not client._sender.pipeline.sessions.open_here


async def test_reading_a_list_raises_after_its_client_is_closed(sandbox: Sandbox) -> None:
    client = GoedGepickt(sandbox.api_key, base_url=sandbox.url, budget=LocalBudget(10_000, 60))
    pages = client.orders.list().pages()
    await anext(pages)
    await client.close()
    with pytest.raises(ClientClosedError):
        await anext(pages)
    assert not client._sender.pipeline.sessions.open_here


async def test_a_resume_token_of_another_list_or_another_filter_is_refused(gg: GoedGepickt) -> None:
    page = await anext(gg.shipments.list(status="delivered").pages())
    for other in (gg.orders.list(), gg.shipments.list(), gg.shipments.list(status="problem")):
        with pytest.raises(ConfigurationError, match="another list"):
            await anext(other.pages(resume=page.resume))
    for broken in ("", "x", page.resume[:-8], "eJxz", "\u00e9"):
        with pytest.raises(ConfigurationError):
            await anext(gg.shipments.list(status="delivered").pages(resume=broken))


@pytest.mark.parametrize("limit", [-1, 2.5, True, "3"])
async def test_a_limit_that_is_not_a_number_of_items_is_refused(gg: GoedGepickt, limit: Any) -> None:
    with pytest.raises(ConfigurationError, match="limit"):
        await gg.orders.list().collect(limit=limit)
