"""Every fault, as a plain aiohttp client meets it."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import aiohttp
import pytest

from goedgepickt_async.sandbox import Sandbox, World, faults
from goedgepickt_async.testing import VirtualClock
from tests.support.tables import each_row
from tests.support.waiting import until

if TYPE_CHECKING:
    from .conftest import Api, Serve


async def test_a_fault_hits_so_often_after_so_many_and_nothing_else(api: Api) -> None:
    api.sandbox.fail("GET", "/orders*", faults.Status(503), times=2, after=1)
    paths = ("/orders", "/webshops", "/orders", "/orders/x", "/orders")
    assert [(await api.get(path)).status for path in paths] == [200, 200, 503, 503, 200]
    assert [recorded.fault for recorded in api.sandbox.requests] == [None, None, "Status", "Status", None]


async def test_faults_queue_and_can_last_until_they_are_cleared(api: Api) -> None:
    api.sandbox.fail("*", "/orders", faults.Status(500))
    api.sandbox.fail("*", "/orders", faults.Status(502), times=None)
    assert [(await api.get("/orders")).status for _ in range(4)] == [500, 502, 502, 502]
    api.sandbox.clear_faults()
    assert (await api.get("/orders")).status == 200


@each_row("retry_after", ["0", "-5", "1.5", "Wed, 21 Oct 2026 07:28:00 GMT", "99999999", "soon", None])
async def test_a_429_storm_says_what_was_set(api: Api, retry_after: str | None) -> None:
    api.sandbox.fail("GET", "/orders", faults.TooManyRequests(retry_after=retry_after))
    reply = await api.get("/orders")
    assert reply.status == 429
    assert reply.json == {"message": "Too Many Attempts."}
    assert reply.headers.get("Retry-After") == retry_after
    assert reply.headers["X-RateLimit-Remaining"] == "0"
    assert api.sandbox.throttled == 0


async def test_a_429_can_come_without_headers_or_under_another_status(api: Api) -> None:
    api.sandbox.fail("GET", "/orders", faults.TooManyRequests(retry_after=None, headers=False))
    api.sandbox.fail("GET", "/orders", faults.TooManyRequests(status=400, body="too many attempts!"))
    bare, other = await api.get("/orders"), await api.get("/orders")
    assert not [name for name in bare.headers if "rate" in name.lower() or "retry" in name.lower()]
    assert (other.status, other.text) == (400, "too many attempts!")


async def test_a_status_comes_with_the_body_that_is_asked_for(api: Api) -> None:
    for fault in (
        faults.Status(500),
        faults.Status(503),
        faults.Status(200, json={"error": "nee/é"}),
        faults.Status(200, body=""),
        faults.Status(200, body="null", content_type="application/json", headers={"X-Odd": "1"}),
    ):
        api.sandbox.fail("GET", "/orders", fault)
    own, gateway, error, empty, null = [await api.get("/orders") for _ in range(5)]
    assert (own.status, own.json) == (500, {"message": "Server Error"})
    assert (gateway.status, gateway.headers["Content-Type"]) == (503, "text/html; charset=UTF-8")
    assert error.raw == b'{"error":"nee\\/\\u00e9"}'
    assert (empty.status, empty.raw) == (200, b"")
    assert (null.json, null.headers["X-Odd"]) == (None, "1")


async def test_faults_of_the_application_are_counted_and_faults_of_a_gateway_are_not(serve: Serve) -> None:
    api = await serve(limit=2)
    api.sandbox.fail("GET", "/orders", faults.Status(502), times=5)
    for _ in range(5):
        assert "X-RateLimit-Limit" not in (await api.get("/orders")).headers
    api.sandbox.fail("GET", "/orders", faults.Status(500), times=None)
    replies = [await api.get("/orders") for _ in range(3)]
    assert [reply.status for reply in replies] == [500, 500, 429]
    assert replies[0].headers["X-RateLimit-Remaining"] == "1"
    assert api.sandbox.throttled == 1


@each_row("chunked", [False, True])
@each_row("share", [0.0, 0.5, 1.0])
async def test_a_body_can_be_cut(api: Api, *, chunked: bool, share: float) -> None:
    api.sandbox.fail("GET", "/orders", faults.CutBody(share=share, chunked=chunked))
    with pytest.raises(aiohttp.ClientPayloadError):
        await api.get("/orders")
    assert api.sandbox.requests[-1].status == 200
    assert (await api.get("/orders")).status == 200


async def test_a_random_or_nth_fault_is_recorded_only_on_the_requests_that_got_it(api: Api) -> None:
    api.sandbox.fail("GET", "/orders", faults.Sometimes([faults.Status(500)], share=0.5, seed=1), times=20)
    api.sandbox.fail("GET", "/orders", faults.EveryNth(faults.Status(500), 3), times=6)
    statuses = [(await api.get("/orders")).status for _ in range(26)]
    assert {200, 500} == set(statuses[:20]) == set(statuses[20:])
    expected = ["Status" if status == 500 else None for status in statuses]
    assert [recorded.fault for recorded in api.sandbox.requests] == expected


async def test_a_401_for_a_browser_redirects_to_the_whole_url_of_the_login_page(api: Api) -> None:
    api.sandbox.fail("GET", "/orders", faults.Status(401))
    reply = await api.call("GET", "/orders", headers={"Accept": "text/html"})
    assert (reply.status, reply.headers["Location"]) == (302, f"{api.sandbox.page_url}login")


@pytest.mark.parametrize("applied", [False, True])
async def test_a_connection_can_be_dropped_before_or_after_the_work_is_done(api: Api, *, applied: bool) -> None:
    api.sandbox.fail("POST", "/orders", faults.Drop(applied=applied))
    before = len(api.sandbox.world.orders)
    with pytest.raises((aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)):
        await api.post("/orders", api.order_body())
    assert len(api.sandbox.world.orders) - before == applied
    recorded = api.sandbox.requests[-1]
    assert (recorded.status, recorded.applied) == (None, applied)


@pytest.mark.parametrize("applied", [False, True])
async def test_a_5xx_can_hide_that_the_work_was_done(api: Api, *, applied: bool) -> None:
    api.sandbox.fail("POST", "/orders", faults.Status(502, applied=applied))
    before = len(api.sandbox.world.orders)
    assert (await api.post("/orders", api.order_body())).status == 502
    assert len(api.sandbox.world.orders) - before == applied
    assert api.sandbox.requests[-1].applied == applied


async def test_a_kept_alive_connection_that_drops_makes_aiohttp_send_again(api: Api) -> None:
    api.sandbox.fail("GET", "/webshops", faults.KeptAliveDrop())
    assert (await api.get("/webshops")).status == 200
    assert (await api.get("/orders")).status == 200
    first, lost, again = api.sandbox.requests
    assert (lost.path, lost.status, lost.applied, lost.fault) == ("/orders", None, False, "Drop")
    assert (again.path, again.status) == ("/orders", 200)
    assert first.connection == lost.connection != again.connection


async def test_a_kept_alive_connection_can_drop_after_the_work_was_done(api: Api) -> None:
    product = api.sandbox.world.products[0]
    api.sandbox.fail("GET", "/webshops", faults.KeptAliveDrop(applied=True))
    await api.get("/webshops")
    reply = await api.put(f"/products/{product['uuid']}/stock-mutation", {"mutation": 1})
    assert reply.status == 200
    after = api.sandbox.world.products[0]
    assert after["stock"]["totalStock"] == product["stock"]["totalStock"] + 2


async def test_an_answer_can_be_late(api: Api) -> None:
    api.sandbox.fail("GET", "/orders", faults.Slow(0.05))
    start = asyncio.get_running_loop().time()
    assert (await api.get("/orders")).status == 200
    assert asyncio.get_running_loop().time() - start >= 0.04


async def test_a_body_can_come_in_pieces(api: Api) -> None:
    whole = await api.get("/orders")
    api.sandbox.fail("GET", "/orders", faults.SlowBody(0.05, pieces=3))
    start = asyncio.get_running_loop().time()
    assert (await api.get("/orders")).raw == whole.raw
    assert asyncio.get_running_loop().time() - start >= 0.04


def test_a_client_that_does_not_wait_for_the_whole_body_is_nobodys_error(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with Sandbox(limit=None, clock=clock.time) as sandbox:
            sandbox.fail("GET", "/orders", faults.SlowBody(100))
            headers = {"Authorization": f"Bearer {sandbox.api_key}"}
            async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(30)) as session:
                with pytest.raises(TimeoutError):
                    await _read(session, f"{sandbox.url}/orders")
            await asyncio.sleep(100)

    with VirtualClock() as clock:
        clock.run(main())
    assert [record.getMessage() for record in caplog.records] == []


@pytest.mark.parametrize("applied", [False, True])
async def test_an_answer_may_never_come_and_others_are_served_meanwhile(api: Api, *, applied: bool) -> None:
    arrived = asyncio.Event()
    api.sandbox.fail("POST", "/orders", faults.NeverAnswer(applied=applied))
    api.sandbox.fail("POST", "/orders", faults.ChangeWorld(lambda _: arrived.set()))
    before = len(api.sandbox.world.orders)
    waiting = asyncio.create_task(api.post("/orders", api.order_body()))
    await arrived.wait()
    assert (await api.get("/webshops")).status == 200
    assert not waiting.done()
    assert len(api.sandbox.world.orders) - before == applied
    waiting.cancel()
    await asyncio.wait([waiting])


async def test_the_answer_can_be_no_http(api: Api) -> None:
    api.sandbox.fail("GET", "/orders", faults.Garbage())
    with pytest.raises(aiohttp.ClientResponseError):
        await api.get("/orders")


async def test_the_json_can_be_invalid_utf8(api: Api) -> None:
    api.sandbox.fail("GET", "/orders", faults.InvalidUtf8())
    reply = await api.get("/orders")
    with pytest.raises(UnicodeDecodeError):
        json.loads(reply.raw)


async def test_a_redirect_points_to_the_given_url(api: Api) -> None:
    api.sandbox.fail("GET", "/orders", faults.Redirect("https://elsewhere.example.test/", 307))
    reply = await api.get("/orders")
    assert (reply.status, reply.headers["Location"]) == (307, "https://elsewhere.example.test/")


async def test_a_body_can_hold_the_key(api: Api) -> None:
    api.sandbox.fail("GET", "/orders", faults.EchoAuthorization())
    reply = await api.get("/orders")
    assert reply.status == 500
    assert api.sandbox.api_key in reply.text


async def test_the_world_can_change_between_two_pages(api: Api) -> None:
    whole = [order["uuid"] for order in api.sandbox.world.orders]

    def delete_first(world: World) -> None:
        world.delete_order(0)

    api.sandbox.fail("GET", "/orders", faults.ChangeWorld(delete_first), after=1)
    first, second = await api.get("/orders"), await api.get("/orders", page=2)
    assert [order["uuid"] for order in first.items + second.items] == whole[:15] + whole[16:31]


async def test_a_change_of_the_world_runs_with_another_fault(api: Api) -> None:
    seen: list[int] = []
    api.sandbox.fail("GET", "/orders", faults.Status(500))
    api.sandbox.fail("GET", "/orders", faults.ChangeWorld(lambda world: seen.append(len(world.orders))))
    assert (await api.get("/orders")).status == 500
    assert seen == [120]


async def test_what_a_client_asked_for_is_done_though_it_left(serve: Serve) -> None:
    api = await serve(latency=0.02, limit=None)
    arrived, created = asyncio.Event(), asyncio.Event()
    api.sandbox.fail("POST", "/orders", faults.ChangeWorld(lambda _: arrived.set()))
    api.sandbox.world.subscribe(lambda _: created.set())
    leaving = asyncio.create_task(api.post("/orders", api.order_body()))
    await arrived.wait()
    leaving.cancel()
    await created.wait()
    assert api.sandbox.world.orders[-1]["orderId"] == "A-1"
    assert (await api.get("/webshops")).status == 200


async def test_a_post_on_a_kept_alive_connection_that_drops_is_lost(api: Api) -> None:
    api.sandbox.fail("GET", "/webshops", faults.KeptAliveDrop())
    await api.get("/webshops")
    with pytest.raises((aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)):
        await api.post("/orders", api.order_body())
    assert [recorded.method for recorded in api.sandbox.requests] == ["GET", "POST"]


async def test_closing_ends_all_that_is_pending_and_leaves_no_task() -> None:
    sandbox = Sandbox(orders=5, limit=None)
    await sandbox.start()
    arrived = asyncio.Semaphore(0)
    sandbox.fail("GET", "*", faults.ChangeWorld(lambda _: arrived.release()), times=None)
    for path, fault in (
        ("/orders", faults.NeverAnswer()),
        ("/products", faults.Slow(60)),
        ("/shipments", faults.SlowBody(60)),
    ):
        sandbox.fail("GET", path, fault)
    headers = {"Authorization": f"Bearer {sandbox.api_key}"}
    before = asyncio.all_tasks()
    async with aiohttp.ClientSession(headers=headers) as session:
        paths = ("/orders", "/products", "/shipments")
        pending = [asyncio.create_task(_read(session, sandbox.url + path)) for path in paths]
        for _ in paths:
            await arrived.acquire()
        async with asyncio.timeout(120):
            await sandbox.close()
        await asyncio.gather(*pending, return_exceptions=True)
    await until(lambda: asyncio.all_tasks() <= before)


async def _read(session: aiohttp.ClientSession, url: str) -> bytes:
    async with session.get(url) as response:
        return await response.read()
