"""Calls as people write them: mappings where objects are expected, and clear errors for synchronous habits."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from goedgepickt_async import (
    ConfigurationError,
    GoedGepickt,
    MultipleFoundError,
    NewOrder,
    NewOrderLine,
    NewWebhook,
    NotFoundError,
    Order,
    ProductUpdate,
    ValidationError,
)
from goedgepickt_async.sandbox import Sandbox, faults
from tests.support.tables import each_row


async def test_creates_and_updates_take_mappings_of_python_names(gg: GoedGepickt, sandbox: Sandbox) -> None:
    shop = await gg.webshops.list().first()
    assert shop is not None
    lines = [{"sku": "SB-1", "product_name": "Mok", "quantity": 1, "tax_rate": "21"}]
    created = await gg.orders.create(
        {"webshop_uuid": shop.uuid, "order_id": "M-1", "status": "open", "lines": lines, "shipping": {"country": "nl"}}
    )
    assert (await gg.orders.get(created.uuid)).shipping.country == "NL"
    made = await gg.products.create(
        {"webshop_uuid": shop.uuid, "name": "Mok", "sku": "M-2", "product_id": "9", "stock_management": True}
    )
    await gg.products.update(made.uuid, {"webshop_uuid": shop.uuid, "name": "Beker"})
    assert (await gg.products.get(made.uuid)).name == "Beker"


@each_row("given", [{}, {"order_id": "M-1", "no_such_field": 1}, None, 3, "M-1", [("order_id", "M-1")]])
async def test_what_does_not_describe_an_order_is_a_validation_error(
    gg: GoedGepickt, sandbox: Sandbox, given: Any
) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: gg.orders.create(given),
        lambda: gg.products.create(given),
        lambda: gg.products.update("a-uuid", given or {"no_such_field": 1}),
    ]
    for call in calls:
        with pytest.raises(ValidationError):
            await call()
    assert not [request for request in sandbox.requests if request.method != "GET"]


@pytest.mark.slow
async def test_an_order_is_found_by_the_shops_own_id_with_or_without_its_hash(gg: GoedGepickt) -> None:
    shop = await gg.webshops.list().first()
    assert shop is not None
    line = NewOrderLine(sku="SB-1", product_name="Mok", quantity=1, tax_rate="21")
    made = await gg.orders.create(NewOrder(webshop_uuid=shop.uuid, order_id="S-1001", status="open", lines=[line]))
    found = await gg.orders.find_by_order_id("S-1001")
    assert found is not None
    assert found.uuid == made.uuid
    assert await gg.orders.find_by_order_id("S-100") is None
    await gg.orders.create(NewOrder(webshop_uuid=shop.uuid, order_id="S-1001", status="open", lines=[line]))
    with pytest.raises(MultipleFoundError, match="2 orders have the id 'S-1001'"):
        await gg.orders.find_by_order_id("S-1001")


@pytest.mark.parametrize("order_id", ["", " ", None, 7])
async def test_an_order_id_that_is_no_text_is_refused_before_a_request(
    gg: GoedGepickt, sandbox: Sandbox, order_id: Any
) -> None:
    with pytest.raises(ValidationError, match="order_id"):
        await gg.orders.find_by_order_id(order_id)
    assert not sandbox.requests


async def test_synchronous_habits_get_a_type_error_that_says_what_to_write(gg: GoedGepickt) -> None:
    with pytest.raises(TypeError, match="async with"), gg:
        pass
    plan = await gg.products.plan([])
    objects: dict[str, tuple[Any, str]] = {
        "list": (gg.orders.list(), "async for item in .*collect.*first"),
        "pages": (gg.orders.list().pages(), "async for page in"),
        "outcomes": (gg.bulk.map(gg.orders.get, []), "async for outcome in"),
        "applied": (plan.apply(dry_run=True), "async for outcome in"),
        "resource": (gg.orders, r"gg.orders.list\(\)"),
    }
    habits: list[Callable[[Any], Any]] = [
        iter,
        list,
        len,
        next,
        reversed,
        lambda a: a[0],
        lambda a: a[:3],
        lambda a: 5 in a,
    ]
    for wrong, usage in objects.values():
        for habit in habits:
            with pytest.raises(TypeError, match=usage):
                habit(wrong)
        with pytest.raises(TypeError, match=usage), wrong:
            pass
        assert wrong
    for name in ("list", "outcomes", "applied"):
        with pytest.raises(TypeError, match=objects[name][1]):
            await objects[name][0]
    with pytest.raises(TypeError, match="async for item in"):
        await gg.with_raw_response(gg.orders.list())  # type: ignore[arg-type]
    for no_call in (gg.webshops.list, await gg.webshops.list().first()):
        with pytest.raises(ConfigurationError, match="without `await`"):
            await gg.with_raw_response(no_call)  # type: ignore[arg-type]


async def test_a_subscription_is_created_from_its_parts_an_object_or_a_mapping(
    gg: GoedGepickt, sandbox: Sandbox
) -> None:
    parts: dict[str, Any] = {"event": "product.stockChanged", "target_url": "https://shop.example.test/hooks"}
    made = [
        await gg.webhooks.create(parts["event"], parts["target_url"]),
        await gg.webhooks.create(parts),
        await gg.webhooks.create(NewWebhook(**parts)),
    ]
    assert {(hook.event, hook.target_url, hook.webshop_uuid) for hook in made} == {
        (*parts.values(), gg.settings.webshop_uuid)
    }
    wrong: list[tuple[Any, ...]] = [
        ({},),
        ({"event": "a.b"},),
        ("order.statusChanged",),
        (parts, "https://x.test/"),
        (5,),
    ]
    for given in wrong:
        with pytest.raises(ValidationError):
            await gg.webhooks.create(*given)
    with pytest.warns(UserWarning, match="did you mean 'order.statusChanged'"):
        await gg.webhooks.create("order.statusChangd", "https://shop.example.test/hooks")


async def test_a_mapping_that_came_through_json_is_created(gg: GoedGepickt) -> None:
    line = NewOrderLine(sku="a", product_name="b", quantity=1, tax_rate="21")
    new = NewOrder(order_id="Q-1", status="open", created_at=datetime(2026, 11, 1, 9, tzinfo=UTC), lines=[line])
    created = await gg.orders.create(json.loads(new.to_json()))
    assert (await gg.orders.get(created.uuid)).created_at == new.created_at


@each_row(
    ("given", "said"),
    [
        ({"orderId": "S"}, "did you mean order_id"),
        ({"order_ld": "S"}, "did you mean order_id"),
        ({"orderItems": []}, "did you mean lines"),
        ({"created_at": "2026-11-01T10:00"}, "must have a time zone"),
        ([], "a mapping of its fields, not list"),
        (Order(uuid="o"), "a mapping of its fields, not Order"),
    ],
)
async def test_a_refused_mapping_says_what_is_meant(gg: GoedGepickt, given: Any, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        await gg.orders.create(given)


async def test_filters_that_are_no_text_are_refused(gg: GoedGepickt, sandbox: Sandbox) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: gg.orders.list(status=["open"]),  # type: ignore[arg-type]
        lambda: gg.orders.list(webshop_uuid=5),  # type: ignore[arg-type]
        lambda: gg.products.list(sku=12),  # type: ignore[arg-type]
        lambda: gg.products.list(supplier_uuid=b"x"),  # type: ignore[arg-type]
        lambda: gg.shipments.list(status=5),  # type: ignore[arg-type]
    ]
    for call in calls:
        with pytest.raises(ConfigurationError, match="must be text, not"):
            call()


async def test_a_product_update_object_does_as_well_as_a_mapping(gg: GoedGepickt) -> None:
    product = await gg.products.list().first()
    shop = await gg.webshops.list().first()
    assert product is not None
    assert shop is not None
    await gg.products.update(product.uuid, ProductUpdate(webshop_uuid=shop.uuid, name="Kan"))
    assert (await gg.products.get(product.uuid)).name == "Kan"


async def test_a_typed_call_tells_status_headers_and_attempts_on_request(gg: GoedGepickt, sandbox: Sandbox) -> None:
    sandbox.fail("GET", "/products", faults.Status(503), times=1)
    raw = await gg.with_raw_response(gg.products.list().first())
    assert raw.value == await gg.products.list().first()
    assert (raw.status, raw.attempts) == (200, 2)
    assert raw.headers["content-type"] == raw.headers["Content-Type"]
    with pytest.raises(NotFoundError):
        await gg.with_raw_response(gg.products.get("no-such-uuid"))


async def test_a_call_without_a_request_has_no_raw_response(gg: GoedGepickt) -> None:
    with pytest.raises(ConfigurationError, match="sent no request"):
        await gg.with_raw_response(asyncio.sleep(0))


async def test_headers_of_a_client_and_of_a_call_go_out_and_never_replace_the_clients_own(
    gg: GoedGepickt, sandbox: Sandbox
) -> None:
    traced = gg.with_options(headers={"X-Trace": "abc"})
    await traced.webshops.list().first()
    await traced.request("GET", "/webshops", headers={"X-Other": "1"})
    first, second = sandbox.requests[-2:]
    assert first.headers["X-Trace"] == "abc"
    assert (second.headers["X-Trace"], second.headers["X-Other"]) == ("abc", "1")
    assert "abc" not in repr(traced.settings)


@each_row(
    "headers",
    [
        {"Authorization": "x"},
        {"host": "x"},
        {"Content-Length": "1"},
        {"X-A": "a\r\nX-B: b"},
        {"X A": "a"},
        {"X-A": 1},
        {"X-A": "é"},
        {1: "a"},
        "X-A: a",
    ],
)
async def test_headers_that_are_unfit_or_the_clients_own_are_refused(
    gg: GoedGepickt, sandbox: Sandbox, headers: Any
) -> None:
    with pytest.raises(ConfigurationError, match="headers"):
        gg.with_options(headers=headers)
    with pytest.raises(ConfigurationError, match="headers"):
        await gg.request("GET", "/webshops", headers=headers if isinstance(headers, dict) else {"": ""})
    assert not sandbox.requests
