"""The control API and what protects it: arrange, act and assert from any language."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from goedgepickt_async.sandbox import Sandbox
from goedgepickt_async.sandbox.app import Quirks
from goedgepickt_async.sandbox.world import ACTIONS
from tests.support.receiver import receiving
from tests.support.tables import each_row

if TYPE_CHECKING:
    from .conftest import Api, Serve


async def control(api: Api, method: str, path: str, body: Any = None, *, status: int = 200, **options: Any) -> Any:
    """Call the control API as any program would: without a key."""
    url = f"{api.sandbox.page_url}_sandbox{path}"
    async with api.session.request(method, url, json=body, **options) as response:
        assert response.status == status, await response.text()
        return await response.json()


async def test_a_whole_life_is_driven_over_http_and_its_webhooks_arrive(api: Api) -> None:
    async with receiving() as receiver:
        for event in ("order.statusChanged", "product.stockChanged"):
            await control(api, "POST", "/webhooks", {"webhookEvent": event, "targetUrl": receiver.url})
        placed = await control(api, "POST", "/orders", {"orderId": "PHP-1"})
        uuid = placed["order"]["uuid"]
        if placed["stage"] == "waiting":
            await control(api, "POST", f"/orders/{uuid}/restock")
        for action, stage in (("pick", "picked"), ("pack", "packed"), ("ship", "shipped"), ("deliver", "delivered")):
            assert (await control(api, "POST", f"/orders/{uuid}/{action}"))["stage"] == stage
        served = (await api.get(f"/orders/{uuid}")).json
        assert (served["status"], served["orderId"], len(served["shipments"])) == ("completed", "PHP-1", 1)
        assert (await api.get("/shipments", perPage=1)).info["totalItems"] == len(api.sandbox.world.shipments)
        assert (await control(api, "POST", "/deliveries/wait"))["settled"] is True
        told = [one["payload"] for one in (await control(api, "GET", "/deliveries?order=asc"))["items"]]
        assert [one["newStatus"] for one in told if one["event"] == "orderStatusChanged"][-1] == "completed"
        assert {one["orderNumber"] for one in told if one["event"] == "orderStatusChanged"} == {"PHP-1"}
        again = await control(api, "POST", "/deliveries/1/resend")
        assert again["number"] == len(told) + 1
        await api.sandbox.deliveries.settled()
        assert api.sandbox.deliveries[-1].body == api.sandbox.deliveries[0].body


async def test_what_cannot_be_done_is_said_and_changes_nothing(api: Api) -> None:
    uuid = next(row["uuid"] for row in api.sandbox.world.orders if row["status"] == "cancelled")
    before = api.sandbox.world.order(uuid)
    assert "cannot ship" in (await control(api, "POST", f"/orders/{uuid}/ship", status=409))["message"]
    assert "there is no action" in (await control(api, "POST", f"/orders/{uuid}/teleport", status=409))["message"]
    assert (await control(api, "POST", "/orders/none/ship", status=404))["message"] == "there is no order none"
    assert api.sandbox.world.order(uuid) == before


@each_row(
    ("method", "path", "body", "status"),
    [
        ("GET", "/nowhere", None, 404),
        ("DELETE", "/orders", None, 405),
        ("POST", "/faults", {}, 422),
        ("POST", "/faults", {"fault": "meteor"}, 422),
        ("POST", "/faults", {"fault": "drop", "times": 0}, 422),
        ("POST", "/faults", {"fault": "slow", "seconds": "x"}, 422),
        ("PATCH", "/quirks", {"error_key": "text"}, 422),
        ("PATCH", "/quirks", {"nothing": 1}, 422),
        ("PATCH", "/quirks", {"strict": 1}, 422),
        ("PUT", "/throttle", {"limit": 0}, 422),
        ("PUT", "/throttle", {"limit": "many"}, 422),
        ("PUT", "/lively", {"per_minute": -1}, 422),
        ("PUT", "/lively", {"per_minute": True}, 422),
        ("POST", "/reset", {"orders": "many"}, 422),
        ("POST", "/reset", {"orders": -1}, 422),
        ("POST", "/reset", {"orders": 10**9}, 422),
        ("POST", "/orders", {"lines": [{"sku": "no such"}]}, 422),
        ("POST", "/orders", {"lines": [{"sku": "SB-00000", "quantity": 0}]}, 422),
        ("POST", "/orders", {"lines": "all"}, 422),
        ("POST", "/webhooks", {"webhookEvent": "order.statusChanged", "targetUrl": "file:///etc/passwd"}, 422),
        ("GET", "/orders?offset=-1", None, 422),
        ("GET", "/orders?order=up", None, 422),
        ("GET", "/requests/99999", None, 404),
        ("GET", "/deliveries/1", None, 404),
        ("GET", "/page/../api.py", None, 404),
    ],
)
async def test_bad_calls_of_the_control_api_are_answered_in_words(
    api: Api, method: str, path: str, body: Any, status: int
) -> None:
    assert (await control(api, method, path, body, status=status))["message"]


async def test_state_requests_faults_quirks_and_throttle_are_seen_and_set(api: Api) -> None:
    await api.get("/orders", perPage=1)
    await control(api, "POST", "/faults", {"fault": "503", "method": "GET", "path": "/products", "times": 2})
    assert (await api.get("/products")).status == 503
    state = await control(api, "GET", "/")
    assert (state["requests"]["total"], state["faults"][0]["played"]) == (2, 1)
    assert [(one["client"], one["used"]) for one in state["throttle"]["clients"]] in ([], [("127.0.0.1", 1)])
    newest, oldest = (await control(api, "GET", "/requests"))["items"]
    assert (newest["status"], newest["fault"], oldest["query"]) == (503, "Status", [["perPage", "1"]])
    whole = await control(api, "GET", "/requests/1")
    assert api.sandbox.api_key not in json.dumps(whole)
    assert ["Authorization", "***"] in whole["headers"]
    assert (await control(api, "DELETE", "/faults"))["items"] == []
    assert (await api.get("/products")).status == 200
    await control(api, "PATCH", "/quirks", {"drop_page_info": True, "total_items": 7})
    assert "pageInfo" not in (await api.get("/products")).json
    await control(api, "PUT", "/throttle", {"limit": 1, "period": 30})
    assert [(await api.get("/orders")).status for _ in range(2)] == [200, 429]
    assert (await control(api, "GET", "/throttle"))["refused"] == 1
    await control(api, "POST", "/throttle/reset")
    assert (await api.get("/orders")).status == 200


async def test_reset_gives_the_seeds_world_back_or_another(api: Api) -> None:
    before = list(api.sandbox.world.orders)
    await control(api, "POST", "/orders", {})
    await control(api, "PATCH", "/quirks", {"strict": True})
    await control(api, "POST", "/reset", {})
    assert (list(api.sandbox.world.orders), api.sandbox.requests, api.sandbox.quirks) == (before, [], Quirks())
    state = await control(api, "POST", "/reset", {"orders": 5, "seed": 9})
    assert (state["world"]["orders"], state["world"]["seed"]) == (5, 9)
    assert (await api.get("/orders")).info["totalItems"] == 5
    async with receiving() as receiver:
        await control(api, "POST", "/webhooks", {"webhookEvent": "order.statusChanged", "targetUrl": receiver.url})
        await control(api, "POST", "/orders", {})
        await api.sandbox.deliveries.settled()
        assert len(api.sandbox.deliveries) == 1


async def test_the_document_describes_each_operation_and_every_operation_answers(api: Api) -> None:
    document = await control(api, "GET", "/openapi.json")
    assert document["openapi"].startswith("3.1")
    operations = [(path, method) for path, methods in document["paths"].items() for method in methods]
    assert len(operations) > 30
    ids = [document["paths"][path][method]["operationId"] for path, method in operations]
    assert len(set(ids)) == len(ids)
    for path, method in operations:
        if method == "get" and "{" not in path:
            await control(api, "GET", path.removeprefix("/_sandbox"))
    assert document["paths"]["/_sandbox/orders/{uuid}/{action}"]["post"]["parameters"][1]["schema"]["enum"] == list(
        ACTIONS
    )


@pytest.mark.slow
async def test_long_lists_are_searched_and_windowed(serve: Serve) -> None:
    api = await serve(orders=30_000, products=300)
    newest = await control(api, "GET", "/orders?limit=3")
    assert (newest["total"], newest["items"][0]["uuid"]) == (30_000, api.sandbox.world.orders[-1]["uuid"])
    oldest = await control(api, "GET", "/orders?limit=2&order=asc&offset=29998")
    assert [one["uuid"] for one in oldest["items"]] == [row["uuid"] for row in api.sandbox.world.orders[29_998:]]
    number = newest["items"][2]["number"]
    assert [one["number"] for one in (await control(api, "GET", "/orders", params={"search": number}))["items"]] == [
        number
    ]
    waiting = await control(api, "GET", "/orders?status=backorder&limit=500")
    assert {one["status"] for one in waiting["items"]} == {"backorder"}
    assert waiting["total"] == (await control(api, "GET", "/"))["world"]["statuses"]["backorder"]
    free = [
        one["stock"]["freeStock"] for one in (await control(api, "GET", "/products?sort=free"))["items"] if one["stock"]
    ]
    assert free == sorted(free)


# What protects it


@each_row(
    ("host", "status"),
    [
        ("127.0.0.1:{port}", 200),
        ("localhost:{port}", 200),
        ("LOCALHOST.:{port}", 200),
        ("[::1]:{port}", 200),
        ("127.9.9.9", 200),
        ("my-service:{port}", 200),
        ("evil.test", 421),
        ("evil.test:{port}", 421),
        ("localhost.evil.test", 421),
        ("127.0.0.1.evil.test", 421),
        ("10.0.0.1:{port}", 421),
        ("user@localhost", 421),
        ("", 421),
    ],
)
async def test_it_answers_to_its_own_host_names_only(serve: Serve, host: str, status: int) -> None:
    api = await serve(hosts=["my-service"])
    for path in ("/", "/_sandbox/", "/api/v1/orders", "/openapi.json"):
        headers = {"Host": host.format(port=api.sandbox.port), "Authorization": f"Bearer {api.sandbox.account_key}"}
        async with api.session.get(
            f"{api.sandbox.page_url}{path[1:]}", headers={**headers, "Accept": "application/json"}
        ) as reply:
            assert reply.status == (404 if status == 200 and path == "/openapi.json" else status)


async def test_on_all_addresses_it_answers_to_any_address_but_to_no_name(serve: Serve) -> None:
    api = await serve(host="0.0.0.0")
    for host, status in (("192.0.2.7:1", 200), ("evil.test", 421)):
        async with api.session.get(f"{api.sandbox.page_url}_sandbox/", headers={"Host": host}) as reply:
            assert reply.status == status
    assert api.sandbox.page_url.startswith("http://127.0.0.1:")


@each_row(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "{own}"}, 200),
        ({"Origin": "{own}", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "https://evil.test"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost:1"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
async def test_it_takes_changes_from_no_other_web_page(api: Api, headers: dict[str, str], status: int) -> None:
    own = api.sandbox.page_url.rstrip("/")
    sent = {name: value.format(own=own) for name, value in headers.items()}
    orders = len(api.sandbox.world.orders)
    await control(api, "POST", "/orders", {}, headers=sent, status=status)
    assert len(api.sandbox.world.orders) == orders + (status == 200)
    await control(api, "GET", "/", headers=sent)


async def test_nothing_lets_other_web_pages_read_it_or_run_scripts_in_it(api: Api) -> None:
    for path in ("", "_sandbox/", "_sandbox/page/app.js"):
        async with api.session.get(f"{api.sandbox.page_url}{path}", headers={"Origin": "https://evil.test"}) as reply:
            assert not [name for name in reply.headers if name.lower().startswith("access-control")]
            assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
            assert reply.headers["X-Content-Type-Options"] == "nosniff"


# Keys


async def test_a_key_that_is_given_opens_both_apis_and_no_other_does(serve: Serve) -> None:
    for any_key in (False, True):
        api = await serve(key="my-short-key", any_key=any_key)
        assert (api.sandbox.api_key, api.sandbox.account_key) == ("my-short-key", "my-short-key")
        for key, opens in (("my-short-key", True), ("another-key", any_key), ("short", False), ("with a space", False)):
            for url in (api.sandbox.url, api.sandbox.account_url):
                reply = await api.call("GET", f"{url}/orders", headers={"Authorization": f"Bearer {key}"})
                assert reply.status == (200 if opens else 401)


@each_row("key", ["", "short", "with space in it", "é" * 12, "x" * 5000])
def test_keys_that_no_client_could_send_are_refused(key: str) -> None:
    with pytest.raises(ValueError, match="key must be 8 to 4096 visible ASCII characters"):
        Sandbox(key=key)


# The page, as far as it goes without a browser


async def test_the_page_needs_nothing_from_elsewhere_and_all_its_files_are_there(api: Api) -> None:
    async with api.session.get(api.sandbox.page_url) as reply:
        text = await reply.text()
    assert reply.content_type == "text/html"
    assert "http" not in text.replace("http://www.w3.org", "")
    for name in (
        "app.js",
        "dom.js",
        "grid.js",
        "warehouse.js",
        "traffic.js",
        "settings.js",
        "openapi.js",
        "style.css",
        "icon.svg",
    ):
        async with api.session.get(f"{api.sandbox.page_url}_sandbox/page/{name}") as reply:
            assert reply.status == 200
            if name.endswith(".js"):
                assert reply.content_type == "text/javascript"
                assert "https://" not in await reply.text()


async def test_the_login_page_that_a_redirect_leads_to_is_html(api: Api) -> None:
    async with api.session.get(f"{api.sandbox.url}/orders", headers={"Authorization": "Bearer no"}) as reply:
        assert (reply.status, reply.content_type, len(reply.history)) == (200, "text/html", 1)
        assert reply.history[0].headers["Location"] == f"{api.sandbox.page_url}login"


async def test_an_open_page_receives_what_happens_until_the_sandbox_closes(serve: Serve) -> None:
    api = await serve(key="the-secret-key")
    async with api.session.get(f"{api.sandbox.page_url}_sandbox/events", timeout=aiohttp.ClientTimeout(30)) as stream:
        first = json.loads((await stream.content.readline()).removeprefix(b"data: "))
        assert first["changed"] == ["reset"]
        await api.get("/orders")
        api.sandbox.world.place_order()
        heard: set[str] = set()
        paths: list[str] = []
        while not {"order.created"} <= heard or not paths:
            line = await stream.content.readline()
            if line.startswith(b"data: "):
                told = json.loads(line.removeprefix(b"data: "))
                heard |= set(told["changed"])
                paths += [one["path"] for one in told["requests"]]
                assert b"the-secret-key" not in line
        assert paths == ["/orders"]
        closing = asyncio.ensure_future(api.sandbox.close())
        await stream.content.read()
        await closing


async def test_a_lively_sandbox_moves_by_itself_and_stops(serve: Serve) -> None:
    api = await serve(lively=6000.0, orders=40)
    changed = asyncio.Event()
    api.sandbox.world.subscribe(lambda _: changed.set())
    await asyncio.wait_for(changed.wait(), 30)
    assert "sandbox lively" in {task.get_name() for task in asyncio.all_tasks()}
    await control(api, "PUT", "/lively", {"per_minute": None})
    assert api.sandbox.lively is None
    await asyncio.gather(
        *(task for task in asyncio.all_tasks() if task.get_name() == "sandbox lively"), return_exceptions=True
    )
    assert "sandbox lively" not in {task.get_name() for task in asyncio.all_tasks()}


@each_row("rate", [0, -1, 6001])
def test_an_impossible_liveliness_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="lively must be a number of events a minute"):
        Sandbox(lively=rate)


@pytest.mark.parametrize("form", ["dict", "path"])
async def test_a_document_of_the_api_is_served(serve: Serve, form: str, tmp_path: Any) -> None:
    document = {"openapi": "3.1.0", "info": {"title": "T", "version": "1"}, "paths": {}}
    path = tmp_path / "openapi.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    api = await serve(openapi=document if form == "dict" else path)
    async with api.session.get(f"{api.sandbox.page_url}openapi.json") as reply:
        assert await reply.json() == document


async def test_no_more_requests_are_kept_than_asked_for(serve: Serve) -> None:
    api = await serve(recorded=5, limit=None)
    for _ in range(30):
        await api.get("/webshops")
    assert 5 <= len(api.sandbox.requests) <= 10
    assert api.sandbox.requests[-1].number == api.sandbox.arrived == 30
