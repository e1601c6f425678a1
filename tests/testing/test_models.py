"""Made-up models: they are complete, reproducible, and possible responses of the API."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goedgepickt_async import Address, DecodeError, Order, OrderLine, OrderStatus, Secret, Shipment, Webhook, testing
from goedgepickt_async.convert import decode
from goedgepickt_async.models.base import field_info
from goedgepickt_async.sandbox import Sandbox
from goedgepickt_async.testing import order, product, shipment, stock_location, to_wire, webhook, without_personal_data
from goedgepickt_async.testing.strategies import for_model
from goedgepickt_async.webhooks import OrderStatusChanged
from tests.support.tables import each_row

MODELS = [
    testing.address,
    testing.compound_product_stock_updated,
    testing.order,
    testing.order_line,
    testing.order_shipment,
    testing.order_status_changed,
    testing.pick_location,
    testing.product,
    testing.shipment,
    testing.stock_location,
    testing.stock_updated,
    testing.webhook,
    testing.webshop,
]
Factory = Callable[..., Any]


def test_all_factories_are_tested_here() -> None:
    others = {
        "SignedDelivery",
        "VirtualClock",
        "unlimited_budget",
        "serving",
        "signed_delivery",
        "to_wire",
        "without_personal_data",
    }
    assert {factory.__name__ for factory in MODELS} == set(testing.__all__) - others


@each_row("factory", MODELS)
def test_the_same_number_gives_the_same_model_and_another_number_another_model(factory: Factory) -> None:
    assert factory() == factory(1)
    assert factory(2) == factory(2) != factory(1)


@each_row("factory", MODELS)
def test_a_model_that_was_written_and_read_is_equal(factory: Factory) -> None:
    for number in range(5):
        model = factory(number)
        assert decode(json.loads(json.dumps(to_wire(model))), type(model)) == model


@each_row("factory", [testing.order, testing.product, testing.shipment, testing.webshop])
def test_a_model_has_the_wire_names_of_a_row_that_the_sandbox_serves(factory: Factory) -> None:
    world = Sandbox(orders=40, products=40, oddities=False).world
    table = {"order": world.orders, "product": world.products, "shipment": world.shipments, "webshop": world.webshops}
    served = {key for row in table[factory.__name__] for key in row}
    unexpected = to_wire(factory()).keys() - served
    assert unexpected <= {"orderNumber", "orderId", "stock"}  # only some orders of the sandbox have these


@each_row("factory", MODELS)
def test_personal_data_belongs_to_no_real_person(factory: Factory) -> None:
    text = json.dumps(to_wire(factory(3)))
    assert "@" not in text.replace("@example.test", "")
    assert ".nl" not in text


def test_models_of_the_same_number_refer_to_each_other() -> None:
    linked = shipment(3).linked_order
    assert linked is not None
    assert linked.uuid == testing.order_status_changed(3).order_uuid == order(3).uuid
    assert testing.order_line(4).product_uuid == testing.stock_updated(4).product_uuid == product(4).uuid
    assert (testing.order_line(4).sku, testing.stock_updated(4).product_sku) == (product(4).sku, product(4).sku)
    assert stock_location(2).pick_location_uuid == testing.pick_location(2).uuid
    assert webhook(2).webshop_uuid == testing.webshop(2).uuid


def test_fields_accept_typed_values_and_json_values() -> None:
    at = datetime(2026, 11, 5, 12, 0, 0, 250_000, tzinfo=UTC)
    typed = order(status=OrderStatus.BACKORDER, total_paid=Decimal("12.50"), created_at=at, attention_needed=True)
    plain = order(
        status="backorder", total_paid="12.50", created_at="2026-11-05T13:00:00.250+01:00", attention_needed=1
    )
    assert typed == plain
    assert (typed.status, typed.total_paid, typed.created_at) == (OrderStatus.BACKORDER, Decimal("12.50"), at)
    assert isinstance(plain.status, OrderStatus)
    assert webhook(secret="other").secret == webhook(secret=Secret("other")).secret != webhook().secret


def test_a_mapping_changes_parts_of_a_field_and_a_model_replaces_the_field() -> None:
    changed = order(shipping={"city": "Delft"}, billing=Address(city="Gouda"))
    assert changed.shipping == attrs.evolve(order().shipping, city="Delft")
    assert changed.billing == Address(city="Gouda")
    before, after = product().stock, product(stock={"free_stock": -3}).stock
    assert before is not None
    assert after == attrs.evolve(before, free_stock=-3)
    assert product(supplier=None, stock=None).stock is None


def test_lines_and_shipments_accept_mappings_and_models() -> None:
    made = order(lines=[{"quantity": 3}, {}, OrderLine(sku="mine")], shipments=[{"track_trace_code": "CODE"}])
    assert [(line.sku, line.quantity) for line in made.lines] == [("SKU-0001", 3), ("SKU-0002", 1), ("mine", None)]
    assert made.shipments[0].track_trace_code == "CODE"
    assert made.shipments[0].track_trace_url == testing.order_shipment(1).track_trace_url


def test_extra_fields_are_written_under_their_names() -> None:
    made = product(extra={"hsCode": "6912.00"}, name="Kop")
    assert (made.extra, made.name) == ({"hsCode": "6912.00"}, "Kop")
    assert to_wire(made)["hsCode"] == "6912.00"


def test_an_unknown_field_is_refused_with_the_names_of_the_known_fields() -> None:
    with pytest.raises(TypeError, match=r"Order has no stauts; it has attention_needed, .*, status, "):
        order(stauts="open")
    with pytest.raises(TypeError, match="Address has no town"):
        order(shipping={"town": "Delft"})


def test_a_value_that_the_api_cannot_send_is_refused_with_its_place() -> None:
    with pytest.raises(DecodeError, match="totalPaid"):
        order(total_paid="a lot")
    with pytest.raises(DecodeError, match="products"):
        order(lines=[{"quantity": 1}, 7])


@each_row("thing", [7, "text", None, {"uuid": "x"}])
def test_a_value_that_is_not_a_model_is_refused(thing: object) -> None:
    with pytest.raises(TypeError, match="is no model"):
        to_wire(thing)


def test_factories_have_the_type_of_their_model() -> None:
    made: Order = order(2)
    event: OrderStatusChanged = testing.order_status_changed(new_status="shiny_new")
    assert made.uuid
    assert event.new_status is not None
    assert not event.new_status.is_known


@pytest.mark.slow
@given(data=st.data())
@settings(max_examples=15)
def test_a_response_without_personal_data_can_still_be_read(data: st.DataObject) -> None:
    classes: tuple[Any, ...] = (Order, Shipment, Webhook)
    for cls in classes:
        model: Any = data.draw(for_model(cls, extra=st.just({"nickname": "Geheim", "n": 5, "deep": [{"x": "Geheim"}]})))
        kept = without_personal_data(to_wire(model))
        again: Any = decode(kept, cls)
        assert "Geheim" not in json.dumps(kept)
        assert (again.uuid, again.extra["n"]) == (model.uuid, 5)
        for field in attrs.fields(cls):
            wire = field_info(field.metadata)
            value = getattr(again, field.name)
            if wire is not None and (wire.personal or field.name == "secret") and not wire.is_flat:
                assert value in {None, "", "***", Secret("***"), Secret("")}
        if isinstance(again, Order):
            for address in (again.billing, again.shipping):
                assert set(attrs.astuple(address)) <= {None, "", "***"}


def test_texts_that_are_not_personal_are_kept() -> None:
    row = to_wire(order())
    kept = without_personal_data(row)
    assert {key for key in row if kept[key] != row[key]} == {
        key for key in row if "illing" in key or "hipping" in key
    } - {
        "shippingMethod",
        *(key for key in row if not row[key]),
    }
