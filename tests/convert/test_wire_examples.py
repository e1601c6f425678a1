"""Every shape of the reference reads, in each of its spellings."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from goedgepickt_async.convert import decode, decode_rows
from goedgepickt_async.errors import DecodeError
from goedgepickt_async.models import (
    Address,
    LineType,
    Order,
    OrderLine,
    OrderShipment,
    OrderStatus,
    PageInfo,
    PickLocation,
    Product,
    ProductStock,
    ProductType,
    Secret,
    Shipment,
    ShipmentStatus,
    StockLocation,
    Supplier,
    Webhook,
    WebhookEvent,
    Webshop,
)
from tests.support.tables import each_row

AMSTERDAM = ZoneInfo("Europe/Amsterdam")


def test_an_order_reads_whole(order_data: dict[str, Any]) -> None:
    assert decode(order_data, Order) == Order(
        uuid="0f8fad5b-d9cb-469f-a165-70867728950e",
        display_id="#1001",
        order_number="20261101",
        order_id="1001",
        status=OrderStatus.READY_FOR_PICKING,
        created_at=datetime(2026, 11, 1, 8, 30, tzinfo=UTC),
        finished_at=datetime(2026, 7, 1, 7, 30, tzinfo=UTC),
        shipped_at=datetime(2026, 11, 2, 8, tzinfo=UTC),
        total_paid=Decimal("24.95"),
        shipping_method="Standaard",
        customer_note="",
        internal_comment="let op",
        webshop_name="Voorbeeldwinkel",
        attention_needed=True,
        tags=("spoed", "5"),
        billing=Address(first_name="Zoë", house_number="12", house_number_addition="bis", country="NL"),
        shipping=Address(last_name="Voorbeeld", house_number_addition="A", zipcode="1000"),
        lines=(
            OrderLine(sku="SET", quantity=1, price=Decimal("19.95"), type=LineType.PARENT),
            OrderLine(product_uuid="p-1", sku="12", quantity=2, picked_quantity=0, type=LineType.CHILD),
        ),
        shipments=(OrderShipment(track_trace_code="3510", track_trace_url="https://t.example.test/3510"),),
        extra={"somethingNew": {"a": [1]}},
    )


def test_a_product_reads_whole(product_data: dict[str, Any]) -> None:
    assert decode(product_data, Product) == Product(
        uuid="p-1",
        sku="0012",
        product_id="77",
        ean="8712345678906",
        price=Decimal("12.34"),
        tax_rate=Decimal(21),
        weight=Decimal("0.1"),
        length=Decimal("10.0"),
        picture="https://cdn.example.test/image_placeholder.png",
        product_attributes=[{"name": "kleur"}],
        supplier=Supplier(uuid="s-1", supplier_sku="5", extra={"rating": 4}),
        allow_backorders=False,
        type=ProductType("from_the_future"),
        stock=ProductStock(free_stock=-3, total_stock=5, reserved_stock=8, unlimited_stock=False),
    )


@each_row("cls", [Webshop, PickLocation, Product, Order])
def test_a_uuid_alone_is_enough(cls: Any) -> None:
    assert decode({"uuid": "x"}, cls) == cls(uuid="x")
    assert decode({"uuid": "x", "later": 1}, cls) == cls(uuid="x", extra={"later": 1})


@each_row("cls", [PageInfo, OrderLine, OrderShipment, Shipment, ProductStock, Supplier])
def test_an_object_without_a_uuid_may_be_empty(cls: Any) -> None:
    assert decode({}, cls) == cls()


def test_an_orders_uuid_is_read_in_both_spellings() -> None:
    assert decode({"orderUuid": "o-1"}, Order).uuid == "o-1"
    assert decode({"uuid": None, "orderUuid": "o-1"}, Order) == Order(uuid="o-1")
    assert decode({"uuid": "o-2", "orderUuid": "o-1"}, Order).uuid == "o-2"


@each_row("side", ["billing", "shipping"])
@each_row("spelling", ["HousenumberAddition", "HouseNumberAddition"])
def test_the_house_number_addition_is_read_in_both_spellings(side: str, spelling: str) -> None:
    order = decode({"uuid": "o-1", f"{side}{spelling}": "bis"}, Order)
    assert getattr(order, side) == Address(house_number_addition="bis")
    assert order.extra == {}


@each_row(("bare", "free"), [(5, 5), ("5", 5), ("-2", -2), (0, 0), (7.0, 7)])
def test_stock_as_a_bare_number_is_free_stock(bare: object, free: int) -> None:
    assert decode({"uuid": "p-1", "stock": bare}, Product).stock == ProductStock(free_stock=free)


def test_other_shapes_of_the_reference_read_too() -> None:
    hook = {
        "webhookUuid": "h-1",
        "webhookEvent": "order.statusChanged",
        "webhookSecret": "geheim",
        "targetUrl": "https://shop.example.test/hook",
        "webshopName": "Voorbeeldwinkel",
        "webshopUuid": "w-1",
    }
    assert decode(hook, Webhook) == Webhook(
        uuid="h-1",
        event=WebhookEvent.ORDER_STATUS_CHANGED,
        secret=Secret("geheim"),
        target_url="https://shop.example.test/hook",
        webshop_name="Voorbeeldwinkel",
        webshop_uuid="w-1",
    )
    place = {"picklocationUuid": "l-1", "picklocationName": "A-01", "stockQuantity": "4", "stockPriority": 1}
    assert decode(place, StockLocation) == StockLocation(
        pick_location_uuid="l-1", pick_location_name="A-01", quantity=4, priority=1
    )
    shipment = decode({"status": "", "deliveredDate": None, "linkedOrder": {"uuid": "o-1"}}, Shipment)
    assert shipment.status is ShipmentStatus.EMPTY
    assert shipment.linked_order is not None
    assert shipment.linked_order.uuid == "o-1"
    info = {"totalItems": "31", "itemsPerPage": 15, "currentPage": 1, "lastPage": 3, "cursor": "abc"}
    assert decode(info, PageInfo) == PageInfo(
        total_items=31, items_per_page=15, current_page=1, last_page=3, cursor="abc"
    )


def test_a_response_without_a_list_is_refused() -> None:
    for data in (None, dict[str, Any](), "", False):
        with pytest.raises(DecodeError, match="expected a list"):
            decode_rows(data, Order)


@each_row("rows", [{}, "", 0, False, {"0": {"uuid": "x"}}])
def test_items_that_are_no_list_are_refused(rows: object) -> None:
    with pytest.raises(DecodeError, match=r"\$\.items: expected a list"):
        decode_rows(rows, Order)


def test_each_object_keeps_its_own_unknown_keys() -> None:
    rows = [{"uuid": "a", "x": 1}, {"uuid": "b"}, {"uuid": "c", "y": None}, {"x": 2, "uuid": "d"}]
    assert [order.extra for order in decode_rows(rows, Order)] == [{"x": 1}, {}, {"y": None}, {"x": 2}]
