"""Read models are values: immutable, comparable, hashable, picklable; what they derive is derived rightly."""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import attrs
import pytest

from goedgepickt_async import models
from goedgepickt_async.models import (
    Address,
    LineType,
    LinkedOrder,
    Order,
    OrderLine,
    OrderShipment,
    OrderStatus,
    PageInfo,
    PickLocation,
    Product,
    ProductStock,
    Secret,
    Shipment,
    StockLocation,
    Supplier,
    Webhook,
    Webshop,
)
from tests.support.tables import each_row

EXAMPLES: list[Any] = [
    Webshop(uuid="w-1", name="Voorbeeldwinkel"),
    Product(uuid="p-1", sku="0012", stock=ProductStock(free_stock=-2), supplier=Supplier(uuid="s-1")),
    ProductStock(free_stock=5),
    Supplier(uuid="s-1"),
    StockLocation(pick_location_uuid="l-1", quantity=4),
    PickLocation(uuid="l-1", extra={"zone": {"a": [1]}}),
    Order(
        uuid="o-1",
        status=OrderStatus("shiny_new"),
        lines=(OrderLine(sku="A"),),
        shipping=Address(city="Utrecht"),
        extra={"unknown": [1, 2]},
    ),
    OrderLine(sku="A", quantity=2),
    OrderShipment(track_trace_code="3S1"),
    Shipment(uuid="sh-1", linked_order=LinkedOrder(uuid="o-1")),
    LinkedOrder(uuid="o-1"),
    Webhook(uuid="h-1", secret=Secret("geheim")),
    Address(city="Utrecht", country="NL"),
    PageInfo(total_items=3),
]
each = each_row("example", EXAMPLES, ids=lambda value: type(value).__name__)


@each
def test_a_model_equals_its_pickled_and_copied_self(example: Any) -> None:
    for again in (pickle.loads(pickle.dumps(example)), copy.deepcopy(example), copy.copy(example)):
        assert again == example
        assert type(again) is type(example)
        assert hash(again) == hash(example)


@each
def test_a_model_refuses_assignment_and_has_no_dict(example: Any) -> None:
    name = attrs.fields(type(example))[0].name
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(example, name, "other")
    assert not hasattr(example, "__dict__")


@each
def test_models_that_differ_in_one_field_are_not_equal(example: Any) -> None:
    name = attrs.fields(type(example))[0].name
    assert attrs.evolve(example, **{name: "other"}) != example


@each
def test_each_model_has_its_own_extra(example: Any) -> None:
    if hasattr(example, "extra"):
        fresh = copy.deepcopy(example)
        fresh.extra["later"] = 1
        assert "later" not in example.extra


def test_all_public_names_are_listed_and_there() -> None:
    assert len(models.__all__) == len(set(models.__all__))
    assert all(hasattr(models, name) for name in models.__all__)
    listed = {type(example).__name__ for example in EXAMPLES}
    assert listed <= set(models.__all__)


def test_an_order_without_addresses_has_empty_ones() -> None:
    assert Order(uuid="o-1").shipping == Address()
    assert Order(uuid="o-1").billing.city is None


def test_counted_lines_leave_a_bundles_header_out_and_keep_its_parts() -> None:
    header = OrderLine(sku="SET", quantity=1, type=LineType.PARENT)
    parts = (OrderLine(sku="A", quantity=2, type=LineType.CHILD), OrderLine(sku="B", quantity=3, type=LineType.CHILD))
    plain = OrderLine(sku="C", quantity=None, type=LineType("from_the_future"))
    order = Order(uuid="o-1", lines=(header, *parts, plain))
    assert order.counted_lines == (*parts, plain)
    assert order.items_to_count == 5


@each_row(
    ("picture", "has_picture"),
    [
        (None, False),
        ("", False),
        ("https://cdn.example.test/Image_Placeholder.png", False),
        ("https://cdn.example.test/IMAGE_PLACEHOLDER/1", False),
        ("https://cdn.example.test/mug.png", True),
    ],
)
def test_a_placeholder_is_no_picture(picture: str | None, *, has_picture: bool) -> None:
    assert Product(uuid="p-1", picture=picture).has_picture is has_picture


@each_row(
    ("stock", "available"),
    [
        (ProductStock(free_stock=3), 3),
        (ProductStock(free_stock=0), 0),
        (ProductStock(free_stock=-4), 0),
        (ProductStock(), None),
        (ProductStock(free_stock=-4, unlimited_stock=True), math.inf),
        (ProductStock(free_stock=7, unlimited_stock=False), 7),
    ],
)
def test_available_never_is_negative_and_unlimited_is_infinite(stock: ProductStock, available: float | None) -> None:
    assert stock.available == available
