"""Every endpoint of the reference through the client, and the outcome of writes whose response is lost."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from goedgepickt_async import (
    Address,
    AlreadyExistsError,
    AuthenticationError,
    ConfigurationError,
    Evidence,
    GoedGepickt,
    MultipleFoundError,
    NewOrder,
    NewOrderLine,
    NewProduct,
    NotFoundError,
    OrderStatus,
    OutcomeUnknownError,
    PermissionDeniedError,
    ProductUpdate,
    ValidationError,
    WebhookEvent,
)
from goedgepickt_async.sandbox import Sandbox, faults
from tests.support.tables import each_row

pytestmark = pytest.mark.virtual_time

Make = Callable[..., GoedGepickt]

LOST = [
    faults.Drop(applied=True),
    faults.NeverAnswer(applied=True),
    faults.Status(500, applied=True),
    faults.Status(502, applied=True, body="<html></html>"),
    faults.CutBody(share=0.5),
    faults.InvalidUtf8(),
    faults.KeptAliveDrop(applied=True),
]
"""The server applies the write, but the client gets no usable response."""

NEVER_DONE = [faults.Drop(), faults.NeverAnswer(), faults.Status(503)]
"""The client sees the same, but the server does not apply the write."""


def name_of(fault: Any) -> str:
    return f"{type(fault).__name__}-{getattr(fault, 'status', '')}"


def new_order(order_id: str = "S-1001", **changes: Any) -> NewOrder:
    address = Address(
        first_name="Sien", last_name="Voorbeeld", address="Dorpsstraat", house_number="12", house_number_addition="bis",
        zipcode="1234 AB", city="Utrecht", country="NL", email="sien@example.test",
    )  # fmt: skip
    values: dict[str, Any] = {
        "order_id": order_id,
        "display_id": f"#{order_id}",
        "status": OrderStatus.OPEN,
        "billing": address,
        "shipping": address,
        "lines": [NewOrderLine(sku="0012", product_name="Mok", quantity=2, tax_rate=21)],
        "paid_total": Decimal("19.90"),
        "ignore_unknown_products": True,
    }
    return NewOrder(**(values | changes))


def applied(sandbox: Sandbox, method: str, path: str) -> int:
    return sum(a.applied and a.method == method and a.path == path for a in sandbox.requests)


async def test_every_list_can_be_read(gg: GoedGepickt) -> None:
    assert len(await gg.webshops.list().collect()) == 2
    assert len(await gg.products.list().collect()) == 40
    assert len(await gg.pick_locations.list().collect()) == 20
    assert len(await gg.orders.list().collect()) == 230
    assert len(await gg.shipments.list().collect()) > 10
    assert await gg.webhooks.list().collect() == []


async def test_single_objects_can_be_read_and_a_missing_object_raises_not_found(gg: GoedGepickt) -> None:
    order = await gg.orders.list().first()
    product = await gg.products.list().first()
    assert order is not None
    assert product is not None
    assert (await gg.orders.get(order.uuid)).uuid == order.uuid
    assert (await gg.products.get(product.uuid)).uuid == product.uuid
    with pytest.raises(NotFoundError) as caught:
        await gg.orders.get("no-such-uuid")
    assert (caught.value.status, caught.value.path) == (404, "/orders/no-such-uuid")


@pytest.mark.parametrize("uuid", ["", " ", "..", "."])
async def test_an_empty_identifier_is_refused_before_a_request_is_sent(
    gg: GoedGepickt, sandbox: Sandbox, uuid: str
) -> None:
    for call in (gg.orders.get, gg.products.get, gg.stock.get):
        with pytest.raises(ValidationError):
            await call(uuid)
    assert sandbox.requests == []


async def test_an_identifier_with_slashes_stays_one_segment(gg: GoedGepickt, sandbox: Sandbox) -> None:
    with pytest.raises(NotFoundError):
        await gg.orders.get("../products?x=1#y")
    assert sandbox.requests[0].path.startswith("/orders/")
    assert sandbox.requests[0].query == {}


async def test_filters_are_applied_even_if_the_server_ignores_them(gg: GoedGepickt, sandbox: Sandbox) -> None:
    wanted = await gg.orders.list(status="completed").collect()
    assert wanted
    assert {order.status for order in wanted} == {OrderStatus.COMPLETED}
    webshop = gg.settings.webshop_uuid
    assert 0 < len(await gg.orders.list(webshop_uuid=webshop).collect()) < 230
    recent = await gg.orders.list(created_after=date(2026, 10, 1)).collect()
    assert 0 < len(recent) < 230
    assert all(order.created_at is not None and order.created_at.date() >= date(2026, 9, 30) for order in recent)
    query = sandbox.requests[0].query
    assert (query["searchAttribute"], query["searchDelimiter"], query["searchValue"]) == ("status", "=", "completed")


async def test_created_after_accepts_only_dates_and_datetimes_with_a_time_zone(
    gg: GoedGepickt, sandbox: Sandbox
) -> None:
    await gg.orders.list(created_after=datetime(2026, 10, 31, 23, 30, tzinfo=UTC)).first()
    assert sandbox.requests[0].query["createdAfter"] == "2026-11-01"
    with pytest.raises(ConfigurationError, match="time zone"):
        gg.orders.list(created_after=datetime(2026, 10, 31))  # noqa: DTZ001
    with pytest.raises(ConfigurationError, match="date"):
        gg.orders.list(created_after="2026-10-31")  # type: ignore[arg-type]


async def test_a_product_is_found_by_its_sku_with_one_request(gg: GoedGepickt, sandbox: Sandbox) -> None:
    sandbox.world.add_product(sku="0012", name="Mok")
    sandbox.world.add_product(sku="twice", name="Een")
    sandbox.world.add_product(sku="twice", name="Twee")
    found = await gg.products.find_by_sku("0012")
    assert found is not None
    assert (found.sku, len(sandbox.requests)) == ("0012", 1)
    assert await gg.products.find_by_sku("12") is None
    assert len(sandbox.requests) == 2
    with pytest.raises(MultipleFoundError) as caught:
        await gg.products.find_by_sku("twice")
    assert len(caught.value.uuids) == 2
    with pytest.raises(ValidationError):
        await gg.products.find_by_sku("")


async def test_an_order_is_created_and_read_back(gg: GoedGepickt) -> None:
    created = await gg.orders.create(new_order(created_at=datetime(2026, 11, 2, 9, 30, tzinfo=UTC)))
    order = await gg.orders.get(created.uuid)
    assert not created.looked_up
    assert order.display_id == "#S-1001"
    assert order.shipping.house_number == "12"
    assert order.shipping.house_number_addition == "bis"
    assert order.created_at == datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
    assert order.lines[0].quantity == 2


@pytest.mark.parametrize("shape", ["orderUuid", "uuid", "order.uuid", "data.uuid", "empty"])
async def test_every_form_of_the_response_to_a_new_order_is_accepted(
    gg: GoedGepickt, sandbox: Sandbox, shape: Any
) -> None:
    sandbox.quirks.order_answer = shape
    created = await gg.orders.create(new_order())
    assert (await gg.orders.get(created.uuid)).display_id == "#S-1001"
    assert created.looked_up == (shape == "empty")


@pytest.mark.parametrize("fault", LOST, ids=name_of)
async def test_an_order_whose_response_is_lost_is_looked_up_and_not_created_twice(
    sandbox: Sandbox, make_client: Make, fault: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("goedgepickt_async._transport.session._QUIET", 0)  # else a write uses a new connection
    client = make_client(sandbox.url, sandbox.api_key, timeout=30)
    webshop = (await client.webshops.list().collect())[0].uuid
    if isinstance(fault, faults.KeptAliveDrop):
        sandbox.fail("GET", "/webshops", fault)
        await client.request("GET", "/webshops")
    else:
        sandbox.fail("POST", "/orders", fault)
    created = await client.orders.create(new_order(webshop_uuid=webshop))
    assert created.looked_up
    assert applied(sandbox, "POST", "/orders") == 1
    assert (await client.orders.get(created.uuid)).display_id == "#S-1001"


@pytest.mark.parametrize("fault", NEVER_DONE, ids=name_of)
async def test_an_order_that_is_not_found_stays_unknown_and_is_not_sent_again(
    sandbox: Sandbox, make_client: Make, fault: Any
) -> None:
    client = make_client(sandbox.url, sandbox.api_key, timeout=30)
    webshop = (await client.webshops.list().collect())[0].uuid
    sandbox.fail("POST", "/orders", fault)
    with pytest.raises(OutcomeUnknownError, match="the lookup has not found it") as caught:
        await client.orders.create(new_order(webshop_uuid=webshop))
    assert sum(recorded.method == "POST" for recorded in sandbox.requests) == 1
    assert caught.value.evidence is Evidence.UNKNOWN
    assert caught.value.body["orderId"] == "S-1001"
    assert "Voorbeeld" not in str(caught.value) + repr(caught.value)


@pytest.mark.parametrize("fault", [*LOST[:6], *NEVER_DONE], ids=name_of)
async def test_a_mutation_with_an_unknown_outcome_is_never_sent_again(
    sandbox: Sandbox, make_client: Make, fault: Any
) -> None:
    client = make_client(sandbox.url, sandbox.api_key, timeout=30)
    product = await client.products.list().first()
    assert product is not None
    sandbox.fail("PUT", "*/stock-mutation", fault)
    with pytest.raises(OutcomeUnknownError):
        await client.stock.mutate(product.uuid, -2, reason="damaged")
    assert sum(recorded.method == "PUT" for recorded in sandbox.requests) == 1


async def test_setting_a_level_is_retried_until_it_succeeds(sandbox: Sandbox, make_client: Make) -> None:
    client = make_client(sandbox.url, sandbox.api_key, timeout=30)
    product, location = await _stocked(client)
    for fault in (faults.Drop(applied=True), faults.Status(502), faults.NeverAnswer()):
        sandbox.fail("PUT", "/products/*", fault)
    await client.stock.set(product, location, 17, reason="count")
    levels = {level.pick_location_uuid: level.quantity for level in await client.stock.get(product)}
    assert levels[location] == 17


async def _stocked(client: GoedGepickt) -> tuple[str, str]:
    async for product in client.products.list():
        levels = await client.stock.get(product.uuid)
        if levels:
            return product.uuid, levels[0].pick_location_uuid
    raise AssertionError


async def test_stock_is_mutated_linked_and_set(gg: GoedGepickt) -> None:
    product, location = await _stocked(gg)
    before = {level.pick_location_uuid: level.quantity for level in await gg.stock.get(product)}
    await gg.stock.mutate(product, -2, reason="damaged", pick_location_uuid=location)
    other = next(place.uuid for place in await gg.pick_locations.list().collect() if place.uuid not in before)
    await gg.stock.link(product, other, quantity=5, priority=9)
    after = {level.pick_location_uuid: level.quantity for level in await gg.stock.get(product)}
    assert after[location] == (before[location] or 0) - 2
    assert after[other] == 5


async def test_a_link_whose_response_is_lost_is_looked_up(gg: GoedGepickt, sandbox: Sandbox) -> None:
    product, _ = await _stocked(gg)
    linked = {level.pick_location_uuid for level in await gg.stock.get(product)}
    other = next(place.uuid for place in await gg.pick_locations.list().collect() if place.uuid not in linked)
    sandbox.fail("POST", "/products/*", faults.Drop(applied=True))
    await gg.stock.link(product, other, quantity=5)
    assert sum(recorded.method == "POST" for recorded in sandbox.requests) == 1


@each_row("quantity", [0, 1.5, True, "2", None])
async def test_an_invalid_quantity_of_a_mutation_is_refused_before_it_is_sent(
    gg: GoedGepickt, sandbox: Sandbox, quantity: Any
) -> None:
    with pytest.raises(ValidationError) as caught:
        await gg.stock.mutate("a", quantity)
    assert set(caught.value.fields) == {"quantity"}
    assert sandbox.requests == []


async def test_a_product_is_created_once_changed_and_read_back(gg: GoedGepickt) -> None:
    product = await gg.products.create(NewProduct(sku="0099", name="Vaas", price="12.50"))
    assert (await gg.products.get(product.uuid)).price == Decimal("12.50")
    with pytest.raises(AlreadyExistsError):
        await gg.products.create(NewProduct(sku="0099", name="Vaas"))
    await gg.products.update(product.uuid, ProductUpdate(name="Grote vaas"))
    changed = await gg.products.get(product.uuid)
    assert (changed.name, changed.price) == ("Grote vaas", Decimal("12.50"))


@pytest.mark.parametrize("shape", ["items", "bare", "empty_items"])
async def test_every_form_of_the_response_to_a_new_product_is_accepted(
    gg: GoedGepickt, sandbox: Sandbox, shape: Any
) -> None:
    sandbox.quirks.product_answer = shape
    product = await gg.products.create(NewProduct(sku="0099", name="Vaas"))
    assert product.sku == "0099"
    updated = await gg.products.update(product.uuid, ProductUpdate(name="Grote vaas"))
    assert updated is None if shape == "empty_items" else updated is not None


@pytest.mark.parametrize("fault", LOST[:6], ids=name_of)
async def test_a_product_whose_response_is_lost_is_found_by_its_sku(
    sandbox: Sandbox, make_client: Make, fault: Any
) -> None:
    client = make_client(sandbox.url, sandbox.api_key, timeout=30)
    webshop = (await client.webshops.list().collect())[0].uuid
    sandbox.fail("POST", "/products", fault)
    product = await client.products.create(NewProduct(sku="0099", name="Vaas", webshop_uuid=webshop))
    assert product.sku == "0099"
    assert applied(sandbox, "POST", "/products") == 1


async def test_a_webhook_is_created_once_and_listed(gg: GoedGepickt, sandbox: Sandbox) -> None:
    sandbox.fail("POST", "/webhooks", faults.Drop(applied=True))
    hook = await gg.webhooks.create(WebhookEvent.PRODUCT_STOCK_CHANGED, "https://shop.example.test/hooks")
    assert hook.secret is not None
    assert hook.secret.reveal()
    assert hook.secret.reveal() not in repr(hook)
    assert [listed.uuid for listed in await gg.webhooks.list().collect()] == [hook.uuid]


async def test_an_error_of_the_api_names_the_python_field(gg: GoedGepickt, sandbox: Sandbox) -> None:
    sandbox.fail(
        "POST",
        "/orders",
        faults.Status(
            422,
            json={
                "message": "Billing house number moet een tekst zijn.",
                "errors": {
                    "billingHouseNumber": ["Billing house number moet een tekst zijn."],
                    "orderItems.0.productQuantity": ["Verplicht."],
                    "orderDisplayId": "Te lang.",
                },
            },
        ),
    )
    with pytest.raises(ValidationError, match="house number moet een tekst zijn") as caught:
        await gg.orders.create(new_order())
    assert set(caught.value.fields) == {"billing.house_number", "lines[0].quantity", "display_id"}
    assert caught.value.status == 422


async def test_an_unknown_webshop_is_refused_by_the_api(gg: GoedGepickt) -> None:
    with pytest.raises(ValidationError) as caught:
        await gg.orders.create(new_order(webshop_uuid="no-such-webshop"))
    assert "webshop_uuid" in caught.value.fields


async def test_a_write_without_a_webshop_is_refused_before_it_is_sent(
    sandbox: Sandbox, make_client: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GOEDGEPICKT_WEBSHOP_UUID", raising=False)
    client = make_client(sandbox.url, sandbox.api_key)
    with pytest.raises(ValidationError, match="webshop_uuid"):
        await client.orders.create(new_order())
    assert sandbox.requests == []


@each_row(
    ("changes", "field"),
    [
        ({"paid_total": 19.9}, "paid_total"),
        ({"created_at": datetime(2026, 11, 2)}, "created_at"),  # noqa: DTZ001
        ({"billing": Address(country="Nederland")}, "billing.country"),
        ({"lines": []}, "lines"),
        ({"lines": [{"sku": "a", "product_name": "b", "quantity": 0}]}, "lines[0].quantity"),
        ({"status": "shipped"}, "status"),
        ({"order_id": ""}, "order_id"),
    ],
)
def test_wrong_input_is_refused_by_its_python_field(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        new_order(**changes)
    assert field in caught.value.fields
    assert caught.value.evidence is Evidence.NOT_SENT


def test_a_missing_field_is_refused_with_a_validation_error() -> None:
    with pytest.raises(ValidationError) as caught:
        NewOrder(order_id="1")  # type: ignore[call-arg]
    assert set(caught.value.fields) == {"status", "lines"}


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_key_of_the_other_kind_is_refused_with_a_hint(sandbox: Sandbox, make_client: Make, status: Any) -> None:
    sandbox.quirks.wrong_kind_status = status
    client = make_client(sandbox.url, sandbox.account_key)
    errors = {401: AuthenticationError, 403: PermissionDeniedError, 404: NotFoundError}
    with pytest.raises(errors[status]) as caught:
        await client.webshops.list().collect()
    assert caught.value.status == status
    assert ("have different keys" in str(caught.value)) == (status != 404)


async def test_a_raw_request_reaches_an_endpoint_without_a_method(gg: GoedGepickt) -> None:
    answer = await gg.request("get", "/products", query={"perPage": 1, "webshopUuid": None})
    assert answer.status == 200
    assert len(answer.json["items"]) == 1
    with pytest.raises(NotFoundError):
        await gg.request("GET", "/picklists")


async def test_a_body_that_cannot_be_json_is_refused_before_it_is_sent(gg: GoedGepickt, sandbox: Sandbox) -> None:
    for body in ({"a": object()}, float("nan"), {1, 2}):
        with pytest.raises(ValidationError, match="JSON"):
            await gg.request("POST", "/orders", json=body)
    with pytest.raises(ValidationError, match="type Decimal is not JSON serializable; pass text"):
        await gg.request("POST", "/orders", json={"price": Decimal(1)})
    assert sandbox.requests == []


async def test_the_lookup_of_an_order_ignores_orders_of_other_webshops(gg: GoedGepickt, sandbox: Sandbox) -> None:
    shops = await gg.webshops.list().collect()
    await gg.orders.create(new_order(webshop_uuid=shops[1].uuid))
    sandbox.fail("POST", "/orders", faults.Drop())
    with pytest.raises(OutcomeUnknownError):
        await gg.orders.create(new_order(webshop_uuid=shops[0].uuid))


async def test_the_lookup_finds_an_order_with_an_older_creation_date(gg: GoedGepickt, sandbox: Sandbox) -> None:
    sandbox.fail("POST", "/orders", faults.Drop(applied=True))
    created_at = datetime.now(UTC) - timedelta(days=40)
    created = await gg.orders.create(new_order(created_at=created_at))
    assert created.looked_up


async def test_the_lookup_does_not_accept_an_older_product_with_the_same_sku(gg: GoedGepickt, sandbox: Sandbox) -> None:
    sandbox.world.add_product(sku="A1", name="Old", price="5.00")
    sandbox.fail("POST", "/products", faults.Status(503))
    with pytest.raises(OutcomeUnknownError, match="another product"):
        await gg.products.create(NewProduct(sku="A1", name="New", price="99.00"))


async def test_the_lookup_rejects_orders_of_other_webshops_if_the_server_ignores_the_filter(
    gg: GoedGepickt, sandbox: Sandbox
) -> None:
    shops = await gg.webshops.list().collect()
    await gg.orders.create(new_order(webshop_uuid=shops[1].uuid))
    orders = await gg.request("GET", "/orders", query={"createdAfter": "2026-11-01", "perPage": 100})
    sandbox.fail("POST", "/orders", faults.Drop())
    sandbox.fail("GET", "/orders", faults.Status(200, json=orders.json), times=1)
    with pytest.raises(OutcomeUnknownError):
        await gg.orders.create(new_order(webshop_uuid=shops[0].uuid))


async def test_the_lookup_does_not_accept_a_link_with_another_priority(gg: GoedGepickt, sandbox: Sandbox) -> None:
    product, _ = await _stocked(gg)
    linked = {level.pick_location_uuid for level in await gg.stock.get(product)}
    other = next(place.uuid for place in await gg.pick_locations.list().collect() if place.uuid not in linked)
    await gg.stock.link(product, other, quantity=5, priority=1)
    sandbox.fail("POST", "/products/*", faults.Drop())
    with pytest.raises(OutcomeUnknownError):
        await gg.stock.link(product, other, quantity=5, priority=9)


@pytest.mark.parametrize("event", [None, 5, ""])
async def test_an_invalid_event_is_refused_with_a_validation_error(gg: GoedGepickt, event: Any) -> None:
    with pytest.raises(ValidationError):
        await gg.webhooks.create(event, "https://shop.example.test/hooks")
