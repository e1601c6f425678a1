"""Webhook deliveries of the sandbox: payloads, signatures, attempts, and that only this machine is called."""

from __future__ import annotations

import asyncio
import itertools
import json
import shutil
import subprocess
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goedgepickt_async.sandbox import Sandbox, faults
from goedgepickt_async.sandbox.deliveries import (
    DeliveryState,
    LoopbackResolver,
    WebhookSender,
    is_loopback,
    pauses,
    php_json,
    sign,
)
from tests.support.receiver import Receiver, receiving
from tests.support.tables import each_row

from .conftest import Api, Serve

STATES = DeliveryState


@pytest.fixture
async def quick(serve: Serve) -> Api:
    """A sandbox without pauses."""
    return await serve(orders=60, products=60, limit=None, delivery_pace=0.0, delivery_timeout=60)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as running:
        yield running


async def subscribe(api: Api, url: str, event: str = "order.statusChanged", webshop: int = 0) -> dict[str, Any]:
    body = {"webshopUuid": api.webshop(webshop), "webhookEvent": event, "targetUrl": url}
    hook: dict[str, Any] = (await api.post("/webhooks", body)).json
    return hook


def order_of(api: Api, webshop: int = 0) -> str:
    world = api.sandbox.world
    return next(world.orders.uuid(index) for index in range(60) if world.order_webshop(index) == webshop)


async def settled(api: Api) -> None:
    async with asyncio.timeout(120):
        await api.sandbox.deliveries.settled()


# -- which payload goes to which subscription ------------------------------------------------------------------------------------


async def test_a_new_status_is_delivered_signed_with_the_secret_of_the_subscription(
    quick: Api, receiver: Receiver
) -> None:
    hook = await subscribe(quick, receiver.url)
    uuid = order_of(quick)
    quick.sandbox.world.set_order_status(uuid, "moved")
    await settled(quick)
    (came,) = receiver.came
    assert came.json == {
        "event": "orderStatusChanged",
        "newStatus": "moved",
        "orderNumber": str(10_000 + quick.sandbox.world.orders.find(uuid)),  # type: ignore[operator]  # it is there
        "orderUuid": uuid,
    }
    assert came.is_signed_with(hook["webhookSecret"])
    assert came.signature == came.signature.lower()
    assert came.headers["Content-Type"] == "application/json"
    (delivery,) = quick.sandbox.deliveries
    assert (delivery.state, delivery.body, delivery.event) == (STATES.DELIVERED, came.body, "orderStatusChanged")
    assert delivery.payload == came.json
    assert [(attempt.status, attempt.succeeded) for attempt in delivery.attempts] == [(200, True)]


async def test_the_number_of_an_order_is_the_shops_also_where_the_order_does_not_show_it(
    quick: Api, receiver: Receiver
) -> None:
    world = quick.sandbox.world
    hidden = next(index for index in range(60) if "orderId" not in world.orders.row(index))
    await subscribe(quick, receiver.url, webshop=world.order_webshop(hidden))
    for status in ("moved", "again"):
        world.set_order_status(world.orders.uuid(hidden), status)
    await settled(quick)
    assert [came.json["orderNumber"] for came in receiver.came] == [str(10_000 + hidden)] * 2


async def test_a_new_order_tells_its_first_status_and_the_stock_that_it_reserves(
    quick: Api, receiver: Receiver
) -> None:
    await subscribe(quick, receiver.url)
    await subscribe(quick, receiver.url, "product.stockChanged")
    answer = await quick.post("/orders", quick.order_body(orderId="S/é-1"))
    await settled(quick)
    told = {came.json["event"]: came for came in receiver.came}
    assert told["orderStatusChanged"].json == {
        "event": "orderStatusChanged",
        "newStatus": "ready_for_picking",
        "orderNumber": "S/é-1",
        "orderUuid": answer.json["orderUuid"],
    }
    assert b"S\\/\\u00e9-1" in told["orderStatusChanged"].body
    product = quick.sandbox.world.products.row(0)
    assert told["stockUpdated"].json == {
        "event": "stockUpdated",
        "newStock": str(product["stock"]["freeStock"]),
        "productSku": product["sku"],
        "productUuid": product["uuid"],
    }


async def test_changed_stock_is_delivered_as_text_and_for_a_bundle_by_another_name(
    quick: Api, receiver: Receiver
) -> None:
    world = quick.sandbox.world
    for webshop in range(2):
        await subscribe(quick, receiver.url, "product.stockChanged", webshop)
    bundle = next(product for product in world.products if product["type"] == "parent")
    plain = next(product for product in world.products if product["type"] == "normal")
    for product, quantity in ((bundle, 3), (plain, 999)):
        assert (await quick.put(f"/products/{product['uuid']}/stock-mutation", {"mutation": quantity})).status == 200
    await settled(quick)
    assert receiver.events == ["compoundProductStockUpdated", "stockUpdated"]
    now = [world.product(product["uuid"]) for product in (bundle, plain)]
    assert [came.json["newStock"] for came in receiver.came] == [str(row["stock"]["freeStock"]) for row in now if row]


async def test_only_the_webshop_and_the_event_that_were_subscribed_to_are_delivered(
    quick: Api, receiver: Receiver
) -> None:
    await subscribe(quick, receiver.url, webshop=1)
    await subscribe(quick, receiver.url, "shipment.created")
    quick.sandbox.world.set_order_status(order_of(quick, 0), "moved")
    quick.sandbox.world.add_product(webshop=1)
    await settled(quick)
    assert len(quick.sandbox.deliveries) == 0
    quick.sandbox.world.set_order_status(order_of(quick, 1), "moved")
    await settled(quick)
    assert len(receiver.came) == 1


async def test_every_subscription_has_a_separate_secret(quick: Api, receiver: Receiver) -> None:
    hooks = [await subscribe(quick, receiver.url) for _ in range(2)]
    quick.sandbox.world.set_order_status(order_of(quick), "moved")
    await settled(quick)
    assert len({came.body for came in receiver.came}) == 1
    signers = [
        hook["webhookSecret"] for hook in hooks for came in receiver.came if came.is_signed_with(hook["webhookSecret"])
    ]
    assert sorted(signers) == sorted(hook["webhookSecret"] for hook in hooks)


async def test_deliveries_of_one_subscription_come_in_the_order_of_the_changes(quick: Api, receiver: Receiver) -> None:
    await subscribe(quick, receiver.url)
    names = [f"status_{number}" for number in range(40)]
    for name in names:
        quick.sandbox.world.set_order_status(order_of(quick), name)
    await settled(quick)
    assert [came.json["newStatus"] for came in receiver.came] == names


async def test_a_change_from_another_thread_is_delivered_too(quick: Api, receiver: Receiver) -> None:
    await subscribe(quick, receiver.url)
    thread = threading.Thread(target=quick.sandbox.world.set_order_status, args=(order_of(quick), "moved"))
    thread.start()
    await asyncio.to_thread(thread.join)
    await settled(quick)
    assert len(receiver.came) == 1


# -- again, and given up ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [201, 202, 204, 301, 400, 401, 404, 410, 500, 503])
async def test_anything_but_200_is_a_failure_and_is_tried_again(quick: Api, receiver: Receiver, status: int) -> None:
    await subscribe(quick, receiver.url)
    receiver.answer([status])
    quick.sandbox.world.set_order_status(order_of(quick), "moved")
    await settled(quick)
    (delivery,) = quick.sandbox.deliveries
    assert [attempt.status for attempt in delivery.attempts] == [status, 200]
    assert delivery.state == STATES.DELIVERED
    first, second = receiver.came
    assert (first.body, first.signature) == (second.body, second.signature)


async def test_ten_attempts_and_no_more_then_the_subscription_is_disabled(quick: Api, receiver: Receiver) -> None:
    deliveries = quick.sandbox.deliveries
    hook = await subscribe(quick, receiver.url)
    other = await subscribe(quick, receiver.url.replace("hook", "other"))
    receiver.answer([503] * 20)
    quick.sandbox.world.set_order_status(order_of(quick), "moved")
    await settled(quick)
    assert [len(delivery.attempts) for delivery in deliveries] == [10, 10]
    assert {delivery.state for delivery in deliveries} == {STATES.FAILED}
    assert deliveries.disabled == {hook["webhookUuid"], other["webhookUuid"]}

    quick.sandbox.world.set_order_status(order_of(quick), "again")
    deliveries.enable(other["webhookUuid"])
    quick.sandbox.world.set_order_status(order_of(quick), "moved")
    await settled(quick)
    assert [delivery.webhook_uuid for delivery in deliveries[2:]] == [other["webhookUuid"]]
    assert deliveries[-1].state == STATES.DELIVERED
    assert (await quick.get("/webhooks")).items == [hook, other]


async def test_nine_failures_and_a_success_are_a_success(quick: Api, receiver: Receiver) -> None:
    await subscribe(quick, receiver.url)
    receiver.answer([500] * 9)
    quick.sandbox.world.set_order_status(order_of(quick), "moved")
    await settled(quick)
    assert quick.sandbox.deliveries[0].state == STATES.DELIVERED
    assert quick.sandbox.deliveries.disabled == frozenset()


async def test_a_receiver_that_is_always_too_slow_is_given_up(serve: Serve, receiver: Receiver) -> None:
    api = await serve(orders=60, limit=None, delivery_pace=0.0, delivery_timeout=0.02)
    hook = await subscribe(api, receiver.url)
    receiver.answer([None] * 10)
    api.sandbox.world.set_order_status(order_of(api), "moved")
    await settled(api)
    (delivery,) = api.sandbox.deliveries
    assert {(attempt.status, attempt.problem) for attempt in delivery.attempts} == {(None, "timed out")}
    assert api.sandbox.deliveries.disabled == {hook["webhookUuid"]}


async def test_an_address_without_a_server_is_a_failure(quick: Api) -> None:
    async with receiving() as gone:
        url = gone.url
    await subscribe(quick, url)
    quick.sandbox.world.set_order_status(order_of(quick), "moved")
    await settled(quick)
    (delivery,) = quick.sandbox.deliveries
    assert {attempt.status for attempt in delivery.attempts} == {None}
    assert all((attempt.problem or "").startswith("not connected") for attempt in delivery.attempts)


async def test_what_waits_behind_a_receiver_that_is_given_up_is_dropped(quick: Api, receiver: Receiver) -> None:
    await subscribe(quick, receiver.url)
    receiver.answer([500] * 1000)
    for number in range(5):
        quick.sandbox.world.set_order_status(order_of(quick), f"status_{number}")
    await settled(quick)
    states = [delivery.state for delivery in quick.sandbox.deliveries]
    assert states.count(STATES.FAILED) == 1
    assert states.count(STATES.DROPPED) == 4


def test_pauses_grow() -> None:
    assert list(pauses()) == [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0]
    assert list(pauses(3, 0.5)) == [0.0, 0.5, 1.0]


async def test_the_pauses_between_attempts_are_kept_at_the_pace_that_was_asked_for(
    serve: Serve, receiver: Receiver
) -> None:
    api = await serve(orders=60, limit=None, delivery_pace=0.02)
    await subscribe(api, receiver.url)
    receiver.answer([500] * 4)
    api.sandbox.world.set_order_status(order_of(api), "moved")
    await settled(api)
    moments = [attempt.at for attempt in api.sandbox.deliveries[0].attempts]
    gaps = [later - sooner for sooner, later in itertools.pairwise(moments)]
    assert all(gap >= 0.9 * least for gap, least in zip(gaps, (0.02, 0.04, 0.08, 0.16), strict=True))


@each_row("wrong", [{"delivery_pace": -1}, {"delivery_timeout": 0}, {"delivery_timeout": float("nan")}])
def test_a_pace_that_is_none_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="pace"):
        Sandbox(**wrong)  # type: ignore[arg-type]  # a float


# -- disturbed ----------------------------------------------------------------------------------------------------


async def test_duplicates_are_made_on_demand(quick: Api, receiver: Receiver) -> None:
    await subscribe(quick, receiver.url)
    quick.sandbox.deliveries.copies = 10
    quick.sandbox.world.set_order_status(order_of(quick), "moved")
    await settled(quick)
    assert len({(came.body, came.signature) for came in receiver.came}) == 1
    assert len(receiver.came) == 10


async def test_what_is_held_can_be_let_go_in_reverse(quick: Api, receiver: Receiver) -> None:
    deliveries = quick.sandbox.deliveries
    await subscribe(quick, receiver.url)
    deliveries.hold()
    deliveries.hold()
    names = [f"status_{number}" for number in range(9)]
    for name in names:
        quick.sandbox.world.set_order_status(order_of(quick), name)
    await settled(quick)
    assert {delivery.state for delivery in deliveries} == {STATES.HELD}
    deliveries.release(reverse=True)
    await settled(quick)
    assert [came.json["newStatus"] for came in receiver.came] == names[::-1]
    deliveries.release()


async def test_a_delay_keeps_the_order(quick: Api, receiver: Receiver) -> None:
    await subscribe(quick, receiver.url)
    quick.sandbox.deliveries.delay = 0.05
    for name in ("a", "b", "c"):
        quick.sandbox.world.set_order_status(order_of(quick), name)
    await asyncio.sleep(0)
    assert receiver.came == []
    await settled(quick)
    assert [came.json["newStatus"] for came in receiver.came] == ["a", "b", "c"]


async def test_a_cleared_log_is_empty_and_all_subscriptions_stay(quick: Api, receiver: Receiver) -> None:
    await subscribe(quick, receiver.url)
    quick.sandbox.world.set_order_status(order_of(quick), "moved")
    quick.sandbox.deliveries.clear()
    await settled(quick)
    assert (len(quick.sandbox.deliveries), len(receiver.came)) == (0, 1)


# -- only this machine is called ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example.test/hook",
        "http://127.0.0.1@shop.example.test/",
        "http://shop.example.test\\@127.0.0.1/",
        "http://localhost.example.test/",
        "http://2130706433/",
        "http://10.0.0.1/",
        "http://0.0.0.0:80/",
        "http://169.254.169.254/",
        "http://[fe80::1]/",
        "http://[::ffff:10.0.0.1]/",
        "http://[::1/",
        "http://127.0.0.1:99999/",
        "no url",
    ],
)
async def test_a_sandbox_calls_only_this_machine(
    quick: Api, url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any) -> None:
        raise AssertionError("it called somebody")

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", fail)
    world = quick.sandbox.world
    row = {"webhookUuid": "h-1", "webhookEvent": "order.statusChanged", "webhookSecret": "geheim", "targetUrl": url}
    world.insert_webhook(0, {**row, "webshopUuid": quick.webshop()})
    for name in ("a", "b"):
        world.set_order_status(order_of(quick), name)
    await settled(quick)
    assert [(delivery.state, delivery.attempts) for delivery in quick.sandbox.deliveries] == [(STATES.REFUSED, [])] * 2
    assert [record.message for record in caplog.records if "this machine alone" in record.message] != []
    assert len(caplog.records) == 1


@each_row("url", ["http://127.0.0.1:1/", "http://127.9.9.9/", "https://[::1]:8443/x", "http://LOCALHOST/"])
def test_this_machine_is_known_by_its_names(url: str) -> None:
    assert is_loopback(url)


async def test_localhost_is_called_without_a_name_server(quick: Api, receiver: Receiver) -> None:
    await subscribe(quick, f"http://localhost:{receiver.port}/")
    quick.sandbox.world.set_order_status(order_of(quick), "moved")
    await settled(quick)
    assert len(receiver.came) == 1
    with pytest.raises(OSError, match="this machine"):
        await LoopbackResolver().resolve("shop.example.test")


async def test_a_redirect_is_not_followed(quick: Api, receiver: Receiver) -> None:
    receiver.location = "http://shop.example.test/"
    await subscribe(quick, receiver.url)
    receiver.answer([302])
    quick.sandbox.world.set_order_status(order_of(quick), "moved")
    await settled(quick)
    assert [attempt.status for attempt in quick.sandbox.deliveries[0].attempts] == [302, 200]


# -- its life -----------------------------------------------------------------------------------------------------


async def test_deliveries_end_with_the_sandbox_and_leave_no_task_behind(receiver: Receiver) -> None:
    before = asyncio.all_tasks()
    async with Sandbox(orders=60, limit=None) as sandbox:
        world = sandbox.world
        row = {
            "webhookUuid": "h-1",
            "webhookEvent": "order.statusChanged",
            "webhookSecret": "x",
            "targetUrl": receiver.url,
        }
        world.insert_webhook(0, {**row, "webshopUuid": world.webshops.uuid(0)})
        uuid = next(world.orders.uuid(index) for index in range(60) if world.order_webshop(index) == 0)
        receiver.answer([500, None])
        for name in ("waits for its second attempt", "is with the receiver", "waits for its turn"):
            world.set_order_status(uuid, name)
        while len(receiver.came) < 2:  # noqa: ASYNC110  a list has no event
            await asyncio.sleep(0.001)
        sandbox.deliveries.hold()
        world.set_order_status(uuid, "held")
    assert {task for task in asyncio.all_tasks() - before if "webhook" in task.get_name()} == set()
    assert [delivery.state for delivery in sandbox.deliveries] == [STATES.DROPPED] * 4
    await sandbox.deliveries.settled()
    world.set_order_status(uuid, "after the end")
    sandbox.deliveries.release()
    assert len(sandbox.deliveries) == 4
    await sandbox.deliveries.close()

    async with sandbox:
        world.set_order_status(uuid, "in its second life")
        await sandbox.deliveries.settled()
    assert [delivery.state for delivery in sandbox.deliveries] == [STATES.DROPPED] * 4 + [STATES.DELIVERED]


async def test_a_write_whose_answer_is_lost_is_still_delivered(quick: Api, receiver: Receiver) -> None:
    await subscribe(quick, receiver.url)
    quick.sandbox.fail("POST", "/orders", faults.Status(502, applied=True))
    assert (await quick.post("/orders", quick.order_body())).status == 502
    await settled(quick)
    assert receiver.events == ["orderStatusChanged"]


# -- the pieces ---------------------------------------------------------------------------------------------------


@each_row("url", ["", "no url", "ftp://127.0.0.1/", "http://[::1/", "http://127.0.0.1:99999/", "http://"])
async def test_a_webhook_sender_says_of_a_bad_url_that_it_is_one(url: str) -> None:
    async with WebhookSender() as sender:
        attempt = await sender.attempt(url, b"{}", "0" * 64)
    assert (attempt.status, attempt.problem) == (None, "not a URL that can be called")


async def test_a_webhook_sender_reads_no_endless_answer() -> None:
    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n")
        try:
            while True:
                writer.write(b"x" * 65536)
                await writer.drain()
        except ConnectionError:
            writer.close()

    async with await asyncio.start_server(pour, "127.0.0.1", 0) as server, WebhookSender(timeout=60) as sender:
        port = server.sockets[0].getsockname()[1]
        attempt = await sender.attempt(f"http://127.0.0.1:{port}/", b"{}", "0" * 64)
    assert attempt.succeeded


async def test_a_webhook_sender_calls_a_connection_that_breaks_lost() -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server, WebhookSender() as sender:
        port = server.sockets[0].getsockname()[1]
        attempt = await sender.attempt(f"http://127.0.0.1:{port}/", b"{}", "0" * 64)
    assert (attempt.problem or "").startswith("connection lost")


@given(st.dictionaries(st.text(), st.text()))
def test_json_as_php_writes_it_reads_as_what_it_was_and_is_ascii(value: dict[str, str]) -> None:
    written = php_json(value)
    assert json.loads(written) == value
    assert written.isascii()
    assert b"/" not in written.replace(b"\\/", b"")


@pytest.mark.skipif(shutil.which("php") is None, reason="PHP is not there to compare with")
def test_php_itself_writes_and_signs_the_same() -> None:
    value = {"event": "stockUpdated", "productSku": "KØB-1/é \\u007f \x7f\\\x7f 😀 \u2028 <&>\"'\t", "newStock": "-3"}
    code = (
        '$j = json_encode(json_decode(stream_get_contents(STDIN), true)); echo hash_hmac("sha256", $j, "gehéim"), $j;'
    )
    done = subprocess.run(["php", "-r", code], input=json.dumps(value).encode(), capture_output=True, check=True)
    body = php_json(value)
    assert done.stdout == sign(body, "gehéim").encode() + body
