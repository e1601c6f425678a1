import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goedgepickt_async.errors import DecodeError
from goedgepickt_async.models import OrderStatus
from goedgepickt_async.webhooks import (
    CompoundProductStockUpdated,
    OrderStatusChanged,
    StockUpdated,
    UnknownEvent,
    parse,
)
from tests.support.tables import each_row

ORDER = {"event": "orderStatusChanged", "newStatus": "completed", "orderNumber": "S-1", "orderUuid": "o-1"}
STOCK = {"event": "stockUpdated", "newStock": "12", "productSku": "0012", "productUuid": "p-1"}

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


def read(data: Any) -> Any:
    return parse(json.dumps(data).encode())


def test_the_three_events_of_the_reference_are_read() -> None:
    assert read(ORDER) == OrderStatusChanged(order_uuid="o-1", order_number="S-1", new_status=OrderStatus.COMPLETED)
    assert read(STOCK) == StockUpdated(product_uuid="p-1", product_sku="0012", new_stock=12)
    compound = read(STOCK | {"event": "compoundProductStockUpdated", "newStock": "-3"})
    assert compound == CompoundProductStockUpdated(product_uuid="p-1", product_sku="0012", new_stock=-3)


def test_a_new_status_and_new_fields_are_data() -> None:
    event = read(ORDER | {"newStatus": "shiny", "webshop": {"a": 1}})
    assert isinstance(event, OrderStatusChanged)
    assert event.new_status == "shiny"
    assert event.extra == {"webshop": {"a": 1}}


@each_row("odd", ["many", "1.5", {"a": 1}, [1], True])
def test_an_odd_field_is_kept_with_the_valid_fields(odd: Any) -> None:
    event = read(STOCK | {"newStock": odd, "more": 1})
    assert event == StockUpdated(product_uuid="p-1", product_sku="0012", extra={"newStock": odd, "more": 1})


@each_row("nothing", [None, ""])
def test_nothing_said_is_none(nothing: Any) -> None:
    assert read(STOCK | {"newStock": nothing}) == StockUpdated(product_uuid="p-1", product_sku="0012")


@each_row("uuid", [None, "", 5, ["p-1"]])
def test_a_known_event_that_does_not_say_about_what_is_an_unknown_one(uuid: Any) -> None:
    event = read(STOCK | {"productUuid": uuid})
    assert event == UnknownEvent(name="stockUpdated", data=STOCK | {"productUuid": uuid})


@each_row(("data", "name"), [({"event": "new"}, "new"), ({"event": 5}, None), ({}, None), ([], None), (3, None)])
def test_other_json_is_an_unknown_event(data: Any, name: Any) -> None:
    assert read(data) == UnknownEvent(name=name, data=data)


@each_row("body", [b"", b"{", b"\xff", b"NaN", b"[" * 100_000, b'{"event":"stockUpdated"'])
def test_what_is_no_json_is_a_decode_error(body: Any) -> None:
    with pytest.raises(DecodeError):
        parse(body)


@pytest.mark.slow
@given(json_values)
def test_any_json_is_an_event(data: Any) -> None:
    read(data)


@pytest.mark.slow
@given(
    st.sampled_from([ORDER, STOCK]),
    st.dictionaries(st.sampled_from([*ORDER, *STOCK, "other"]), json_values, max_size=4),
)
def test_nothing_is_lost_with_any_value_of_the_fields(base: Any, changes: Any) -> None:
    data = base | changes
    event = read(data)
    if isinstance(event, UnknownEvent):
        assert event.data == data
    else:
        assert isinstance(event, (OrderStatusChanged, StockUpdated, CompoundProductStockUpdated))
        assert "event" not in event.extra


@pytest.mark.slow
def test_a_large_body_of_odd_fields_is_read_quickly() -> None:
    data = STOCK | {"newStock": "many"} | {f"k{i}": i for i in range(20_000)}
    event = read(data)
    assert isinstance(event, StockUpdated)
    assert len(event.extra) == 20_001
