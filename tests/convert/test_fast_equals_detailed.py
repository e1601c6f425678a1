"""The fast path and the detailed one agree on every page: both read the same, or both refuse.

The fast path has two generations: one function for any shape, and one for each shape that came often. Both are held.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goedgepickt_async.convert import converter as registry
from goedgepickt_async.convert import generate as fast
from goedgepickt_async.convert.generate import model_spec
from goedgepickt_async.models import (
    Address,
    LinkedOrder,
    Order,
    OrderLine,
    OrderShipment,
    PageInfo,
    PickLocation,
    Product,
    ProductStock,
    Shipment,
    StockLocation,
    Supplier,
    Webhook,
    Webshop,
)
from goedgepickt_async.models.base import alias

ORDER: Final[dict[str, Any]] = {
    "uuid": "o-1",
    "externalDisplayId": "#1",
    "orderNumber": "1",
    "orderId": 5,
    "status": "open",
    "createDate": "2026-11-01 09:30:00",
    "finishDate": None,
    "totalPaid": "24.95",
    "customerNote": "Bel aan",
    "attentionNeeded": 0,
    "tags": ["a", "b"],
    "billingCity": "Utrecht",
    "billingHousenumberAddition": "A",
    "shippingHouseNumberAddition": "B",
    "shippingCountry": "NL",
    "products": [
        {"productUuid": "p-1", "sku": "A", "productQuantity": 2, "productPrice": "1.00", "type": "normal"},
        {"productUuid": None, "sku": "B", "productQuantity": "3", "productPrice": 1.5, "type": "child", "new": 1},
    ],
    "shipments": [{"trackTraceCode": "3S", "createDate": "2026-11-01T09:30:00Z"}],
    "unknown": {"a": 1},
}
PRODUCT: Final[dict[str, Any]] = {
    "uuid": "p-1",
    "sku": "0012",
    "name": "Mok",
    "price": "12.34",
    "weight": 5,
    "length": "10.0",
    "type": "normal",
    "productAttributes": [],
    "supplier": {"uuid": "s-1", "supplierSku": "x"},
    "allowBackorders": True,
    "stock": {"freeStock": 5, "unlimitedStock": 0, "fillStockTo": None},
}
SHIPMENT: Final[dict[str, Any]] = {
    "uuid": "s-1",
    "status": "",
    "createDate": "2026-11-01 09:30:00",
    "trackTraceCode": "3S",
    "linkedOrder": {"uuid": "o-1", "number": 5},
}
WEBHOOK: Final[dict[str, Any]] = {"webhookUuid": "h-1", "webhookEvent": "order.statusChanged", "webhookSecret": "x"}
PLACE: Final[dict[str, Any]] = {"picklocationUuid": "l-1", "stockQuantity": "4", "stockPriority": 1}


@attrs.frozen(kw_only=True, weakref_slot=False)
class OwnOrder(Order):
    """A user's order, with a field more."""

    own: datetime | None = attrs.field(default=None, metadata=alias("ownField"))


EXAMPLES: Final[list[tuple[type[Any], dict[str, Any]]]] = [
    (Order, ORDER),
    (Product, PRODUCT),
    (Shipment, SHIPMENT),
    (Webhook, WEBHOOK),
    (StockLocation, PLACE),
    (Webshop, {"uuid": "w-1", "name": "x", "url": "https://x.test"}),
    (PageInfo, {"totalItems": 1, "itemsPerPage": "15", "cursor": None}),
    (OwnOrder, {**ORDER, "ownField": "2026-11-01 09:30:00"}),
]
JUNK: Final[list[Any]] = [
    *(
        None,
        "",
        "abc",
        "5",
        "-1",
        "5.9",
        "007",
        "5" * 18,
        "5" * 30,
        "5" * 31,
        "\N{ARABIC-INDIC DIGIT FIVE}",
        "\N{SUPERSCRIPT TWO}",
        "true",
        "NaN",
        "1_0",
        "open",
        "brand_new",
        "2026-11-01",
        "2026-11-01T00:00:00Z",
        "0000-00-00",
        "0000-00-00 00:00:00",
        "-0001-11-30T00:00:00.000000Z",
        "0000-00-00 ?",
        "0",
        " ",
    ),
    *(0, 1, 2, 5, -1, 5.0, 5.9, 2**70, 1e300, True, False),
    *(
        [],
        [5],
        ["a", None],
        [None],
        ["a", {"name": "b"}, 1.5, True],
        [{}],
        [[]],
        {},
        {"a": None},
        {"uuid": "x"},
        {"a": []},
        [{"uuid": 1}],
    ),
]
VALUES = st.sampled_from(JUNK).map(copy.deepcopy)


def places(data: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in a tree."""
    keys = list(data) if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else []
    return [(data, key) for key in keys] + [place for key in keys for place in places(data[key])]


@st.composite
def mutated(draw: st.DrawFn) -> tuple[type[Any], Any]:
    """A good example with a few keys removed, nulled, added, swapped or given a value of another kind."""
    cls, good = draw(st.sampled_from(EXAMPLES))
    data: Any = copy.deepcopy(good)
    for _ in range(draw(st.integers(0, 4))):
        container, key = draw(st.sampled_from(places(data) or [({"uuid": 1}, "uuid")]))
        what = draw(st.sampled_from(["remove", "replace", "extra", "last"]))
        if what == "remove":
            del container[key]
        elif what == "replace":
            container[key] = draw(VALUES)
        elif what == "last" and isinstance(container, dict):
            container[key] = container.pop(key)
        elif isinstance(container, dict):
            container[draw(st.sampled_from(["extra", "new", "orderUuid", "billingCompany", "shippingX"]))] = draw(
                VALUES
            )
        else:
            container.append(draw(VALUES))
    return cls, draw(st.sampled_from([data] * 20 + [[data], None, "text", 5]))


def outcome(converter: Any, data: Any, cls: type[Any]) -> Any:
    """The result: the model with the types of its parts, or the refusal."""
    try:
        read = converter.structure(data, cls)
    except Exception:
        return "refused"
    return read, repr(converter.unstructure(read))


@contextmanager
def hot() -> Iterator[None]:
    """Each shape gets its own function when it comes for the first time."""
    before = fast._HOT, fast._MOST_SHAPES
    fast._HOT, fast._MOST_SHAPES = 1, 10**6  # type: ignore[misc]
    try:
        yield
    finally:
        fast._HOT, fast._MOST_SHAPES = before  # type: ignore[misc]


def assert_all_agree(data: Any, cls: type[Any]) -> None:
    """The detailed path, the fast one for any shape and the fast one for this shape have the same result."""
    before = repr(data)
    fast_path, explain = registry.converters()
    expected = outcome(explain, data, cls)
    assert outcome(fast_path, data, cls) == expected
    with hot():
        assert outcome(HOT, data, cls) == expected
    assert repr(data) == before


@given(mutated())
def test_both_paths_agree_on_data_that_is_wrong_in_several_places(example: tuple[type[Any], Any]) -> None:
    cls, data = example
    assert_all_agree(data, cls)


@pytest.mark.slow
@pytest.mark.parametrize(("cls", "good"), EXAMPLES, ids=lambda value: getattr(value, "__name__", ""))
def test_both_paths_agree_on_every_wrong_value_in_every_place(cls: type[Any], good: dict[str, Any]) -> None:
    assert outcome(registry.converters().fast, good, cls) != "refused"
    for number, (_, name) in enumerate(places(good)):
        if cls is OwnOrder and name != "ownField":  # all other places are in an order
            continue
        data = copy.deepcopy(good)
        container, key = places(data)[number]
        for junk in JUNK:  # no reader changes its data: `assert_all_agree` looks
            container[key] = junk
            assert_all_agree(data, cls)
        del container[key]
        assert_all_agree(data, cls)


HOT: Final = registry._configured(is_fast=True)


def test_every_read_model_is_on_the_fast_path() -> None:
    fast_path = registry.converters().fast
    models = [Order, OrderLine, OrderShipment, Product, Supplier, Shipment, LinkedOrder, Webhook]
    models += [StockLocation, PickLocation, Webshop, PageInfo, OwnOrder]
    for cls in models:
        assert hasattr(fast_path.get_structure_hook(cls), "read_all"), cls
    # Stock has its own hook before the compiled one, and the keys of an address are directly in its order.
    for cls in (ProductStock, Address):
        plan = model_spec(cls)
        assert plan is not None
        assert fast.compile_class(plan, fast_path) is not None
