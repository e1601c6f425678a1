"""Nothing personal in what error trackers collect: the local variables of all frames, as repr and as Sentry walks them.

Looked at are the frames of the package and of what it calls, of the error and of everything that it is chained to.
"""

import asyncio
import json
import logging
import traceback
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from goedgepickt_async import (
    Address,
    GoedGepickt,
    GoedGepicktError,
    NewOrder,
    NewOrderLine,
    Order,
    RetryPolicy,
    StopAfter,
    WebhookEvent,
)
from goedgepickt_async.testing import unlimited_budget
from goedgepickt_async.webhooks import MemoryInbox, OrderStatusChanged, WebhookReceiver, sign, verify
from tests.support.raw_server import Exchange, raw_server
from tests.support.tables import each_row

KEY = "key-that-nobody-may-see"
NAME = "Geheimenberg"
SECRETS = (KEY, NAME, "geheim@example.test", "Verstopstraat", "s3cr3t-of-a-subscription")

ROW = (
    '{"uuid": "u-1", "status": "open", "shippingLastName": "Geheimenberg", "shippingAddress": "Verstopstraat", '
    '"billingEmail": "geheim@example.test", "totalPaid": [1], "createDate": {"a": 1}, "secret": '
    '"s3cr3t-of-a-subscription"}'
)

Serve = Callable[[Exchange], Awaitable[None]]


def order() -> NewOrder:
    address = Address(
        first_name=NAME,
        last_name=NAME,
        email="geheim@example.test",
        address="Verstopstraat",
        house_number="1",
        zipcode="1234 AB",
        city="Utrecht",
        country="NL",
    )
    line = NewOrderLine(sku="a", product_name="b", quantity=1, tax_rate="21")
    return NewOrder(webshop_uuid="w", order_id="S-1", status="open", shipping=address, billing=address, lines=[line])


async def drop(exchange: Exchange) -> None:
    exchange.drop()


async def silence(_: Exchange) -> None:
    await asyncio.sleep(3600)


def answering(body: str, status: str = "200 OK", *headers: str) -> Serve:
    async def play(exchange: Exchange) -> None:
        await exchange.answer(body.encode(), status, *headers)

    return play


async def half_a_body(exchange: Exchange) -> None:
    await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" + ROW.encode())
    exchange.writer.close()


SERVERS: dict[str, Serve] = {
    "drop": drop,
    "silence": silence,
    "half a body": half_a_body,
    "no HTTP": answering("", f"{NAME} {KEY}"),
    "no JSON": answering(ROW + "}"),
    "no list, no object": answering(f'"{NAME}"'),
    "unreadable row": answering('{"items": [' + ROW + '], "pageInfo": {}}'),
    "unreadable object": answering(ROW),
    "error body": answering('{"error": "x", "shippingLastName": "Geheimenberg"}'),
    "422": answering('{"message": "bad", "errors": {"lastName": ["x"]}, "input": ' + ROW + "}", "422 X"),
    "500": answering(ROW, "500 X"),
    "401": answering(ROW, "401 X"),
    "html": answering(f"<html>{NAME}", "200 OK", "Content-Type: text/html"),
    "throttled": answering('{"message": "Too Many Attempts."}', "429 X", "Retry-After: 9999"),
}

CALLS: dict[str, Callable[[GoedGepickt], Awaitable[Any]]] = {
    "get": lambda gg: gg.orders.get("u-1"),
    "list": lambda gg: gg.orders.list().collect(),
    "find": lambda gg: gg.products.find_by_sku("A"),
    "create": lambda gg: gg.orders.create(order()),
    "request": lambda gg: gg.request("POST", "/orders", json={"shippingLastName": NAME}),
    "put": lambda gg: gg.request("PUT", "/orders/1", json={"shippingLastName": NAME}, idempotent=True),
    "mutate": lambda gg: gg.stock.mutate("u-1", 1, reason="a broken cup"),
    "ensure": lambda gg: gg.webhooks.ensure("https://hooks.example.test/", [WebhookEvent.ORDER_STATUS_CHANGED]),
    "plan": lambda gg: gg.orders.plan([order()]),
}


def chained(error: BaseException) -> Iterator[BaseException]:
    """The error and all that it is chained to, also where the chain is not shown."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [one.__cause__, one.__context__, *getattr(one, "exceptions", ())]


def frames_of(error: BaseException) -> Iterator[FrameType]:
    for one in chained(error):
        for frame, _ in traceback.walk_tb(one.__traceback__):
            if "/tests/" not in frame.f_code.co_filename:
                yield frame


def shown(value: Any, depth: int = 4) -> str:
    """As Sentry serialises a local variable: containers are walked, all else is its repr."""
    if depth and isinstance(value, Mapping):
        return " ".join(f"{key!r} {shown(inner, depth - 1)}" for key, inner in value.items())
    if depth and isinstance(value, list | tuple | set | frozenset):
        return " ".join(shown(inner, depth - 1) for inner in value)
    return repr(value)


def leaks(error: BaseException) -> list[str]:
    found = [
        f"{frame.f_code.co_filename.rpartition('/')[2]} {frame.f_code.co_qualname}: {name}"
        for frame in frames_of(error)
        for name, value in frame.f_locals.items()
        if any(secret in shown(value) for secret in SECRETS)
    ]
    text = "".join(f"{one} {one!r}" for one in chained(error))
    return found + [f"the text of the error: {secret}" for secret in SECRETS if secret in text]


def client(url: str, **options: Any) -> GoedGepickt:
    defaults: dict[str, Any] = {"retry": RetryPolicy(max_attempts=1), "timeout": 0.2, "webshop_uuid": "w"}
    return GoedGepickt(KEY, base_url=url, budget=unlimited_budget(), **(defaults | options))


@each_row("call", CALLS, ids=str)
@each_row("server", SERVERS, ids=str)
@pytest.mark.virtual_time
async def test_no_frame_of_a_failing_call_shows_anything_personal(server: str, call: str) -> None:
    async with raw_server(SERVERS[server]) as running, client(running.url) as gg:
        try:
            await CALLS[call](gg)
        except Exception as error:
            assert leaks(error) == []
            traceback.TracebackException.from_exception(error, capture_locals=True)


@each_row("call", CALLS, ids=str)
@pytest.mark.virtual_time
async def test_no_frame_of_a_cancelled_call_shows_anything_personal(call: str) -> None:
    async with raw_server(silence) as running, client(running.url, timeout=60) as gg:
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(1):
                await CALLS[call](gg)
        assert leaks(caught.value) == []


@each_row("call", CALLS, ids=str)
@pytest.mark.virtual_time
async def test_no_frame_of_a_call_past_its_deadline_shows_anything_personal(call: str) -> None:
    async with raw_server(silence) as running, client(running.url, timeout=60, deadline=1.0) as gg:
        with pytest.raises(Exception) as caught:  # noqa: PT011  any
            await CALLS[call](gg)
        assert leaks(caught.value) == []


@each_row("call", CALLS, ids=str)
async def test_no_frame_of_a_refused_connection_shows_anything_personal(call: str) -> None:
    async with client("http://127.0.0.1:9") as gg:
        with pytest.raises(Exception) as caught:  # noqa: PT011  any
            await CALLS[call](gg)
        assert leaks(caught.value) == []


async def test_no_frame_of_a_body_that_is_no_json_shows_it() -> None:
    async with client("http://127.0.0.1:9") as gg:
        for odd in (float("nan"), object(), "\ud800", {1, 2}, {(1,): 2}):
            with pytest.raises(Exception) as caught:  # noqa: PT011  any
                await gg.request("POST", "/orders", json={"shippingLastName": NAME, "odd": odd})
            assert leaks(caught.value) == []


PERSON = {"first_name": NAME, "address": "Verstopstraat", "email": "geheim@example.test"}
GOOD = {"order_id": "S-1", "status": "open", "lines": [{"sku": "a", "product_name": "b", "quantity": 1}]}
REFUSED: dict[str, Callable[[GoedGepickt], Any]] = {
    "unknown field": lambda gg: gg.orders.create(GOOD | {"shipping": PERSON, "nonsense": 1}),
    "bad address": lambda gg: gg.orders.create(GOOD | {"shipping": PERSON | {"country": "XX"}}),
    "bad line": lambda gg: gg.orders.create(GOOD | {"shipping": PERSON, "lines": [{"sku": NAME}]}),
    "no mapping": lambda gg: gg.orders.create(NAME),  # type: ignore[arg-type]
    "no webshop": lambda gg: gg.with_options(webshop_uuid=None).orders.create(GOOD | {"shipping": PERSON}),
    "product": lambda gg: gg.products.create({"name": NAME}),
    "update": lambda gg: gg.products.update("u", {"name": NAME, "nonsense": 1}),
    "path": lambda gg: gg.request("POST", "../x", json=PERSON),
    "method": lambda gg: gg.request("PO ST", "/x", json=PERSON, headers={"X-Token": KEY}),
    "query": lambda gg: gg.request("POST", "/x", query={"a": [NAME]}, json=PERSON),
    "no query": lambda gg: gg.request("POST", "/x", query=[NAME], json=PERSON),  # type: ignore[arg-type]
    "header": lambda gg: gg.request("POST", "/x", json=PERSON, headers={"X-Token": f"{KEY}\n"}),
    "own header": lambda gg: gg.request("POST", "/x", json=PERSON, headers={"Cookie": KEY}),
    "no headers": lambda gg: gg.request("POST", "/x", json=PERSON, headers=KEY),  # type: ignore[arg-type]
    "good header": lambda gg: gg.request("POST", "/x", json=PERSON, headers={"X-Token": KEY}),
    "option": lambda gg: gg.with_options(headers={"X-Token": f"{KEY}\n"}),
    "client": lambda _: GoedGepickt("k", headers={"X-Token": f"{KEY}\n"}),
    "plan": lambda gg: gg.orders.plan([GOOD | {"shipping": PERSON}]),
    "reason": lambda gg: gg.stock.mutate("u", 0, reason=NAME),
    "reason sent": lambda gg: gg.stock.mutate("u", 1, reason=NAME),
    "set": lambda gg: gg.stock.set("u", "l", -1, reason=NAME),
    "target": lambda gg: gg.webhooks.ensure("https://x.test/?t=s3cr3t-of-a-subscription#x", "order.statusChanged"),
    "events": lambda gg: gg.webhooks.ensure("https://x.test/?t=s3cr3t-of-a-subscription", "stockUpdated"),
    "from_dict": lambda _: Order.from_dict({"uuid": 5, "shipping": PERSON}),
    "from_json": lambda _: Order.from_json(json.dumps({"uuid": 5, "shipping": PERSON})),
    "no JSON": lambda _: Order.from_json(NAME),
}


@each_row("call", REFUSED)
async def test_no_frame_of_input_that_is_refused_shows_anything_personal(call: str) -> None:
    async with client("http://127.0.0.1:9") as gg:
        with pytest.raises(GoedGepicktError) as caught:
            await REFUSED[call](gg)
        assert leaks(caught.value) == []


@each_row(
    "options",
    [
        {"base_url": "nonsense"},
        {"timeout": -1},
        {"lane": "fast"},
        {"api": "other"},
        {"unknown": 1},
        {"concurrency": 0},
        {"budget": 5},
        {"session": 5},
        {"max_body": 0},
    ],
    ids=str,
)
def test_no_frame_of_a_client_that_cannot_be_made_shows_the_key(options: dict[str, Any]) -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011  any
        GoedGepickt(KEY, **options)
    assert leaks(caught.value) == []
    traceback.TracebackException.from_exception(caught.value, capture_locals=True)


@each_row("key", [f"{KEY} with a space", f"{KEY}\u202e", f" {KEY}\n{KEY}"])
def test_no_frame_of_a_key_that_is_none_shows_it(key: str) -> None:
    gg = client("http://127.0.0.1:9")
    makers: list[Callable[[], Any]] = [lambda: GoedGepickt(key), lambda: gg.for_key(key)]
    for make in makers:
        with pytest.raises(Exception) as caught:  # noqa: PT011  any
            make()
        assert leaks(caught.value) == []


ROWS = [{"order_id": "S-1", "webshop_uuid": "w", "status": "open", "shipping": {"last_name": NAME}, "lines": []}]


@each_row("stop", [None, StopAfter(errors=1)], ids=["outcomes", "stopped"])
@each_row("server", ["drop", "422", "no JSON"])
@pytest.mark.virtual_time
async def test_no_frame_of_a_failing_bulk_job_shows_anything_personal(server: str, stop: StopAfter | None) -> None:
    async def create(row: dict[str, Any]) -> Any:
        return await gg.orders.create(order())

    found = []
    async with raw_server(SERVERS[server]) as running, client(running.url) as gg:
        try:
            async for outcome in gg.bulk.map(create, ROWS, stop=stop):
                found += leaks(outcome.error) if outcome.error is not None else ["no error"]
                found += [secret for secret in SECRETS if secret in repr(outcome)]
        except Exception as error:
            found += leaks(error)
    assert found == []


@pytest.mark.virtual_time
async def test_no_frame_of_a_plan_that_fails_shows_anything_personal(tmp_path: Path) -> None:
    async def play(exchange: Exchange) -> None:
        if exchange.request_line.startswith("POST"):
            exchange.drop()
        elif "/webshops" in exchange.request_line:
            await exchange.answer(b'{"items": [{"uuid": "w", "name": "Shop"}], "pageInfo": {}}')
        else:
            await exchange.answer(b'{"items": [], "pageInfo": {}}')

    found = []
    async with raw_server(play) as running, client(running.url) as gg:
        plan = await gg.orders.plan([order()])
        found += [secret for secret in SECRETS if secret in repr(plan)]
        async for outcome in plan.apply(journal=tmp_path / "journal"):
            assert outcome.error is not None
            found += leaks(outcome.error)
            found += [secret for secret in SECRETS if secret in repr(outcome)]
        with pytest.raises(GoedGepicktError) as caught:
            async for _ in plan.apply(journal=tmp_path / "no such directory" / "journal"):
                pass
        found += leaks(caught.value)
    assert found == []


@pytest.mark.virtual_time
async def test_no_frame_below_a_webhook_handler_shows_anything_personal() -> None:
    secret = "s3cr3t-of-a-subscription"
    failures: list[BaseException] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.exc_info and record.exc_info[1] is not None:
                failures.append(record.exc_info[1])

    async def handle(_: OrderStatusChanged) -> None:
        handled.set()
        raise ValueError("a fault of the handler")

    handled = asyncio.Event()
    body = json.dumps({"event": "orderStatusChanged", "orderUuid": "u-1", "lastName": NAME}).encode()
    kept = Keeping()
    logging.getLogger("goedgepickt_async").addHandler(kept)
    try:
        receiver = WebhookReceiver(secret, inbox=MemoryInbox())
        receiver.on(OrderStatusChanged)(handle)
        async with receiver:
            assert (await receiver.receive(body, sign(body, secret))).status == 200
            assert (await receiver.receive(body, "forged")).status != 200
            assert (await receiver.receive(b'{"event": "orderStatusChanged"', sign(b"x", secret))).status != 200
            await handled.wait()
    finally:
        logging.getLogger("goedgepickt_async").removeHandler(kept)
    for forged in (None, "", "x" * 64, 5):
        with pytest.raises(Exception) as caught:  # noqa: PT011
            verify(body, forged, secret)  # type: ignore[arg-type]
        failures.append(caught.value)
    assert len(failures) >= 4
    assert [leak for error in failures for leak in leaks(error)] == []
