"""A run with faults, with people and a key planted wherever a call can hold them: none of it comes out anywhere."""

import contextlib
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import attrs
import pytest

from goedgepickt_async import (
    Address,
    GoedGepickt,
    GoedGepicktError,
    Hooks,
    NewOrder,
    NewOrderLine,
    NotFoundError,
    ProductUpdate,
)
from goedgepickt_async.sandbox import Sandbox, faults
from tests.observability.conftest import Heard

Make = Callable[..., GoedGepickt]

NAME, EMAIL, STREET, PHONE, SKU = (
    "Geheimhoudster",
    "planted@example.test",
    "Verborgenlaan",
    "0698765432",
    "SKU-PLANTED",
)
PLANTED = (NAME, EMAIL, STREET, PHONE, SKU, "1234 ZZ", "planted%40example.test")


def an_order() -> NewOrder:
    address = Address(
        first_name="Anna",
        last_name=NAME,
        address=STREET,
        house_number="12",
        zipcode="1234 ZZ",
        city="Voorbeeldstad",
        country="NL",
        email=EMAIL,
        phone=PHONE,
    )
    return NewOrder(
        order_id=EMAIL,
        status="open",
        billing=address,
        shipping=address,
        lines=(NewOrderLine(sku=SKU, product_name=NAME, quantity=1),),
    )


def spoil(sandbox: Sandbox) -> None:
    rows = [{"uuid": "a", EMAIL: 1, "status": PHONE}, {"uuid": [NAME], "status": {STREET: SKU}}]
    for method, path, fault in (
        ("POST", "/orders", faults.Drop()),
        ("POST", "/orders", faults.EchoAuthorization(status=500)),
        ("POST", "/orders", faults.Status(422, json={"message": EMAIL, "errors": {STREET: [NAME]}})),
        ("GET", "/orders/*", faults.EchoAuthorization(status=400)),
        ("GET", "/products", faults.Status(500, body=f"{NAME} {STREET}")),
        ("GET", "/products", faults.Status(503, json={"message": f"no such thing: {SKU}"})),
        ("GET", "/products", faults.CutBody()),
        ("GET", "/orders", faults.TooManyRequests(retry_after="0", body=EMAIL)),
        ("GET", "/customers/*", faults.Redirect(f"http://127.0.0.1:9/{NAME}?q={EMAIL}")),
        ("GET", "/shipments", faults.Status(200, json={"items": rows})),
    ):
        sandbox.fail(method, path, fault)


async def run(client: GoedGepickt, sandbox: Sandbox) -> int:
    """All kinds of calls under all kinds of faults; how many of them failed."""
    spoil(sandbox)
    calls: list[Callable[[], Coroutine[Any, Any, object]]] = [
        *[lambda: client.orders.create(an_order())] * 3,
        lambda: client.orders.get(EMAIL),
        lambda: client.products.find_all_by_sku(SKU),
        lambda: client.products.update(NAME, ProductUpdate(name=SKU)),
        lambda: client.orders.list().collect(),
        lambda: client.request("GET", f"/customers/{EMAIL}", query={"q": STREET}),
        lambda: client.request("PUT", f"/customers/{PHONE}/{NAME}", json={"street": STREET}),
        lambda: client.shipments.list().collect(),
        lambda: client.webhooks.create(
            event="order.statusChanged", target_url=f"https://example.test/{NAME}?q={EMAIL}"
        ),
        lambda: client.for_key(f"{SKU}-as-a-key").orders.list().first(),
    ]
    failed = 0
    for call in calls:
        try:
            await call()
        except GoedGepicktError:
            failed += 1
    _ = [outcome async for outcome in client.bulk.map(client.orders.get, [NAME, EMAIL])]
    return failed


@pytest.fixture
def make(sandbox: Sandbox, make_client: Make) -> Callable[..., GoedGepickt]:
    shop = str(sandbox.world.webshops[0]["uuid"])
    return lambda **options: make_client(sandbox.url, sandbox.api_key, webshop_uuid=shop, **options)


def check(texts: list[str], sandbox: Sandbox) -> None:
    assert texts
    for text in texts:
        assert [planted for planted in (*PLANTED, sandbox.api_key) if planted in text] == [], text


async def test_no_log_record_holds_a_key_or_a_person(
    sandbox: Sandbox, make: Make, records: list[logging.LogRecord]
) -> None:
    assert await run(make(), sandbox) >= 6
    assert {record.gg_event for record in records} >= {  # type: ignore[attr-defined]  # all of ours have it
        "call.failed",
        "retry.scheduled",
        "request.failed",
        "response.throttled",
        "item.failed",
    }
    check([f"{record.getMessage()} {vars(record)} {record.exc_text}" for record in records], sandbox)


async def test_log_of_a_failed_hook_does_not_hold_the_error_of_its_event(
    sandbox: Sandbox, make: Make, records: list[logging.LogRecord]
) -> None:
    def fail(_: object) -> None:
        try:
            int("of the hook's own")
        except ValueError:
            raise TypeError("raised while that was handled")  # noqa: B904  what it says of itself is to be kept

    sandbox.fail("GET", "/orders/*", faults.Status(404, json={"message": NAME}))
    client = make(hooks=Hooks(call_failed=fail, call_finished=fail))
    with pytest.raises(NotFoundError):
        await client.orders.get(STREET)
    shown = [logging.Formatter().format(record) for record in records if record.levelno == logging.ERROR]
    assert len(shown) == 2
    assert all("of the hook's own" in text and "raised while" in text for text in shown)
    check(shown, sandbox)


async def test_hooks_get_no_key_and_personal_data_only_in_the_requested_path(
    sandbox: Sandbox, make: Make, heard: Heard
) -> None:
    await run(make(hooks=heard.hooks()), sandbox)
    kinds = {name for name, _ in heard.events}
    assert kinds >= {
        "call_started",
        "request",
        "response",
        "request_failed",
        "retry",
        "call_failed",
        "call_finished",
        "page",
        "item",
    }
    facts = [
        {name: value for name, value in attrs.asdict(event).items() if name != "path"} for _, event in heard.events
    ]
    check([str(fact) for fact in facts], sandbox)


async def test_no_span_and_no_metric_holds_a_key_or_a_person(sandbox: Sandbox, make: Make) -> None:
    pytest.importorskip("opentelemetry.sdk")
    from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415  it may not be installed
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader  # noqa: PLC0415  likewise
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415  likewise
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: PLC0415  likewise
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter  # noqa: PLC0415  likewise

    from goedgepickt_async.contrib.opentelemetry import OpenTelemetry  # noqa: PLC0415  likewise

    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    with contextlib.ExitStack() as stack:
        tracers, meters = TracerProvider(), MeterProvider(metric_readers=[reader])
        stack.callback(tracers.shutdown)
        stack.callback(meters.shutdown)
        tracers.add_span_processor(SimpleSpanProcessor(exporter))
        telemetry = OpenTelemetry(tracer_provider=tracers, meter_provider=meters)
        client = make(hooks=telemetry.hooks)
        telemetry.watch(client.budget)
        await run(client, sandbox)
        data = reader.get_metrics_data()
    spans = [span.to_json() for span in exporter.get_finished_spans()]
    assert data is not None
    assert len(spans) > 10
    check([data.to_json(), *spans], sandbox)
