"""The server: its addresses, its keys, and what it says to those it does not know."""

from __future__ import annotations

import asyncio
import json
import math
import socket
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from yarl import URL

from goedgepickt_async.sandbox import Sandbox
from goedgepickt_async.sandbox.faults import seeded_latency
from tests.support.tables import each_row

if TYPE_CHECKING:
    from .conftest import Api, Serve

PATHS = ("/webshops", "/products", "/picklocations", "/orders", "/shipments", "/webhooks")


@each_row("path", PATHS)
async def test_every_list_is_at_both_bases_with_their_own_keys(api: Api, path: str) -> None:
    account = {"Authorization": f"Bearer {api.sandbox.account_key}"}
    ours = await api.get(path)
    theirs = await api.call("GET", api.sandbox.account_url + path, headers=account)
    assert (ours.status, theirs.status) == (200, 200)
    assert ours.raw == theirs.raw


async def test_urls_have_no_slash_at_their_end_and_paths_may_have_one(api: Api) -> None:
    assert api.sandbox.url.endswith("/api/fulfilment/v1")
    assert api.sandbox.account_url.endswith("/api/v1")
    assert (await api.get("/webshops/")).status == 200


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_key_of_one_kind_is_refused_by_the_other(api: Api, status: int) -> None:
    api.sandbox.quirks.wrong_kind_status = status  # type: ignore[assignment]
    reply = await api.call("GET", f"{api.sandbox.account_url}/orders")
    assert reply.status == status
    assert reply.json["message" if status == 404 else "errorMessage"]


def test_keys_are_long_tokens_that_follow_from_the_seed() -> None:
    one, again, other = Sandbox(seed=1), Sandbox(seed=1), Sandbox(seed=2)
    assert (one.api_key, one.account_key) == (again.api_key, again.account_key)
    assert len({one.api_key, one.account_key, other.api_key, other.account_key}) == 4
    assert len(one.api_key) > 255
    assert one.api_key.count(".") == 2


@pytest.mark.parametrize("authorization", ["", "Bearer nonsense", "Basic abc", "Bearer"])
async def test_without_a_good_key_the_answer_is_401_uncounted_and_without_rate_headers(
    serve: Serve, authorization: str
) -> None:
    api = await serve(limit=1)
    for _ in range(3):
        reply = await api.call("GET", "/orders", headers={"Authorization": authorization})
        assert reply.status == 401
        assert reply.raw == b'{"errorMessage":"Unauthenticated."}'
        assert "X-RateLimit-Limit" not in reply.headers
    assert (await api.get("/orders")).status == 200


async def test_a_key_that_is_no_utf_8_gets_401(serve: Serve) -> None:
    url = URL((await serve()).sandbox.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    head = f"GET {url.path}/orders HTTP/1.1\r\nHost: {url.authority}\r\nAccept: application/json\r\n"
    writer.write(head.encode() + b"Authorization: Bearer caf\xe9\r\nConnection: close\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 401 ")
    writer.close()


async def test_unknown_routes_are_404_uncounted_and_without_rate_headers(serve: Serve) -> None:
    api = await serve(limit=1)
    for path in ("/suppliers", "/orders/a/b", "/picklocations/x"):
        reply = await api.get(path)
        assert reply.status == 404
        assert "could not be found" in reply.json["message"]
        assert "X-RateLimit-Limit" not in reply.headers
    outside = await api.call("GET", api.sandbox.url.replace("fulfilment", "elsewhere"))
    assert outside.status == 404
    assert (await api.get("/orders")).status == 200


async def test_a_method_that_a_path_does_not_have_is_405(api: Api) -> None:
    reply = await api.call("DELETE", "/orders")
    assert reply.status == 405
    assert reply.headers["Allow"] == "GET, HEAD, POST"


async def test_head_gets_the_headers_alone(api: Api) -> None:
    reply = await api.call("HEAD", "/orders")
    assert (reply.status, reply.raw) == (200, b"")


async def test_without_accept_json_successes_are_json_and_errors_are_for_a_browser(serve: Serve) -> None:
    api = await serve(limit=4)
    html = {"Accept": "*/*"}
    assert (await api.call("GET", "/orders", headers=html)).items
    missing = await api.call("GET", f"/orders/{api.sandbox.world.products[0]['uuid']}", headers=html)
    assert missing.status == 404
    assert missing.text.startswith("<!DOCTYPE html>")
    login = await api.call("GET", "/orders", headers={**html, "Authorization": "Bearer no"})
    assert (login.status, login.headers["Location"]) == (302, f"{api.sandbox.page_url}login")
    back = await api.call("POST", "/orders", headers={**html, "Referer": "/form"}, json={})
    assert (back.status, back.headers["Location"]) == (302, f"{api.sandbox.page_url}form")
    await api.get("/orders")
    refused = await api.call("GET", "/orders", headers=html)
    assert refused.status == 429
    assert "Too Many Requests" in refused.text


async def test_every_arrival_is_in_the_ledger(serve: Serve) -> None:
    api = await serve(limit=2, orders=0)
    await api.call("GET", "/nowhere")
    await api.call("GET", "/orders", headers={"Authorization": "Bearer secret"})
    await api.get("/orders", perPage=3)
    await api.post("/orders", api.order_body(orderStatus="nonsense"))
    await api.get("/webshops")
    requests = api.sandbox.requests
    assert [recorded.status for recorded in requests] == [404, 401, 200, 422, 429]
    assert [recorded.throttled for recorded in requests] == [False] * 4 + [True]
    assert [recorded.applied for recorded in requests] == [False, False, True, False, False]
    assert [recorded.path for recorded in requests] == ["/nowhere", "/orders", "/orders", "/orders", "/webshops"]
    assert requests[2].query["perPage"] == "3"
    assert requests[3].body["orderStatus"] == "nonsense"
    assert requests[3].raw.startswith(b"{")
    assert {recorded.base for recorded in requests} == {"fulfilment"}
    assert api.sandbox.throttled == 1


async def test_the_ledger_holds_no_key(api: Api) -> None:
    await api.get("/orders")
    assert api.sandbox.api_key not in repr(api.sandbox.requests)
    assert api.sandbox.requests[0].headers["authorization"] == "***"


async def test_the_ledger_tells_connections_apart(api: Api) -> None:
    await api.get("/webshops")
    await api.get("/webshops")
    async with aiohttp.ClientSession() as other:
        await other.get(api.sandbox.url)
    first, second, third = (recorded.connection for recorded in api.sandbox.requests)
    assert first == second != third


async def test_a_port_can_be_chosen() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with Sandbox(port=port) as sandbox:
        assert sandbox.port == port
        assert sandbox.url.startswith(f"http://127.0.0.1:{port}/")


async def test_it_can_be_closed_twice_and_started_again_with_its_state() -> None:
    sandbox = Sandbox(orders=3)
    with pytest.raises(RuntimeError, match="not started"):
        _ = sandbox.url
    await sandbox.start()
    await sandbox.start()
    sandbox.world.delete_order(0)
    await sandbox.close()
    await sandbox.close()
    async with sandbox:
        assert len(sandbox.world.orders) == 2
        assert sandbox.port


async def test_latency_holds_answers_back(serve: Serve) -> None:
    api = await serve(latency=(0.05, 0.06), limit=None)
    loop = asyncio.get_running_loop()
    start = loop.time()
    await asyncio.gather(*(api.get("/webshops") for _ in range(5)))
    assert loop.time() - start >= 0.045


async def test_latency_is_drawn_from_the_seed_between_its_bounds() -> None:
    one, again, other = (seeded_latency((0.1, 0.4), seed) for seed in (1, 1, 2))
    times = [one() for _ in range(20)]
    assert times == [again() for _ in range(20)]
    assert times != [other() for _ in range(20)]
    assert all(0.1 <= seconds <= 0.4 for seconds in times)


async def test_who_asks_before_sending_a_body_gets_100_continue(api: Api) -> None:
    body = json.dumps(api.order_body()).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", api.sandbox.port)
    writer.write(
        b"POST /api/fulfilment/v1/orders HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
        b"Accept: application/json\r\nContent-Type: application/json\r\nConnection: close\r\n"
        b"Authorization: Bearer %s\r\nContent-Length: %d\r\n\r\n" % (api.sandbox.api_key.encode(), len(body))
    )
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(body)
    assert (await reader.read()).startswith(b"HTTP/1.1 200 OK")
    writer.close()
    await writer.wait_closed()


async def test_a_client_that_breaks_off_in_its_own_body_is_written_down_and_does_no_harm(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", api.sandbox.port)
    writer.write(b"POST /api/fulfilment/v1/orders HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999\r\n\r\n{")
    await writer.drain()
    while not [recorded for recorded in api.sandbox.requests if recorded.method == "POST"]:
        await api.get("/nowhere")
    writer.close()
    await writer.wait_closed()
    assert (await api.get("/webshops")).status == 200
    broken = next(recorded for recorded in api.sandbox.requests if recorded.method == "POST")
    assert (broken.status, broken.applied) == (None, False)
    await api.sandbox.close()
    assert not caplog.records


async def test_a_form_may_name_its_method(api: Api) -> None:
    uuid = api.sandbox.world.products[0]["uuid"]
    reply = await api.call("POST", f"/products/{uuid}", data={"_method": "PUT", "name": "Anders"})
    assert reply.items[0]["name"] == "Anders"


@each_row(
    "arguments",
    [{"limit": 0}, {"limit": True}, {"limit": "150"}, {"period": 0}, {"period": math.nan}, {"period": "60"}],
)
def test_an_invalid_throttle_is_refused_when_the_sandbox_is_made(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        Sandbox(**arguments)
