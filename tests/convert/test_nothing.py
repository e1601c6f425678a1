"""The empty values of the API are read as empty, and do not make a whole list unreadable."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any
from zoneinfo import ZoneInfo

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goedgepickt_async.convert import decode, decode_rows, to_plain
from goedgepickt_async.errors import DecodeError
from goedgepickt_async.models import (
    Order,
    OrderLine,
    Product,
    ProductStock,
    Shipment,
    ShipmentStatus,
    StockLocation,
    Webhook,
)
from goedgepickt_async.models.base import Identifier, alias
from tests.support.tables import each_row

EMPTY_TEXT_FIELDS: list[tuple[type[Any], dict[str, Any], str, str]] = [
    (OrderLine, {}, "productQuantity", "quantity"),
    (OrderLine, {}, "productPrice", "price"),
    (Order, {"uuid": "o-1"}, "totalPaid", "total_paid"),
    (Order, {"uuid": "o-1"}, "attentionNeeded", "attention_needed"),
    (Order, {"uuid": "o-1"}, "createDate", "created_at"),
    (Product, {"uuid": "p-1"}, "stock", "stock"),
    (Product, {"uuid": "p-1"}, "supplier", "supplier"),
    (ProductStock, {}, "unlimitedStock", "unlimited_stock"),
    (ProductStock, {}, "freeStock", "free_stock"),
    (Shipment, {}, "linkedOrder", "linked_order"),
    (Shipment, {}, "uuid", "uuid"),
]


@each_row(("cls", "least", "key", "name"), EMPTY_TEXT_FIELDS, ids=lambda value: str(value)[:20])
def test_an_empty_text_where_no_text_belongs_is_none(
    cls: type[Any], least: dict[str, Any], key: str, name: str
) -> None:
    read = decode({**least, key: ""}, cls)
    assert getattr(read, name) is None
    assert read == decode(least, cls)


def test_an_empty_text_where_text_belongs_is_that_text() -> None:
    order = decode({"uuid": "o-1", "customerNote": "", "status": "", "billingCity": ""}, Order)
    assert (order.customer_note, order.status, order.billing.city) == ("", "", "")
    assert decode({"status": ""}, Shipment).status is ShipmentStatus.EMPTY


@each_row("empty", [[], {}, ""])
def test_an_empty_object_as_php_writes_it_is_none(empty: Any) -> None:
    product = decode({"uuid": "p-1", "stock": empty, "supplier": empty}, Product)
    assert (product.stock, product.supplier) == (None, None)
    assert decode({"linkedOrder": empty}, Shipment).linked_order is None


@each_row("empty", [None, [], {}, ""])
def test_an_empty_list_as_php_writes_it_is_empty(empty: Any) -> None:
    order = decode({"uuid": "o-1", "products": empty, "shipments": empty, "tags": empty}, Order)
    assert (order.lines, order.shipments, order.tags) == ((), (), ())


@each_row(
    "raw",
    [
        "0000-00-00",
        "0000-00-00 00:00:00",
        "0000-00-00T00:00:00",
        "0000-00-00 00:00:00.000000",
        "0000-00-00T00:00:00Z",
        "0000-00-00T00:00:00+01:00",
        "-0001-11-30T00:00:00.000000Z",
        "-0001-11-29T23:40:28.000000Z",
        "-0001-11-30 00:00:00",
        "-001-11-30T00:00:00+00:19",
        "-001-11-29T23:40:28+00:00",
        "-1-11-30 00:00:00",
        "-0001-11-30T00:00:00+00:19:32",
        "0000-00-00T00:00:00.000000Z",
        "0000/00/00 00:00",
        "00-00-0000 00:00:00",
        "30-11--0001 00:00:00",
        "Wed, 30 Nov -0001 00:00:00 +0019",
        "0000-00-00\n",
        -62169984000,
        -62169985172,
        {"date": "-0001-11-30 00:00:00.000000", "timezone_type": 3, "timezone": "Europe/Amsterdam"},
        False,
        [],
        {},
    ],
)
def test_a_zero_date_is_none(raw: Any) -> None:
    assert decode({"uuid": "o-1", "createDate": raw}, Order).created_at is None
    assert decode({"deliveredDate": raw}, Shipment).delivered_at is None


@each_row(
    "raw",
    [
        "0000-00-01",
        "0000-00-00 gisteren",
        "0000",
        "-",
        " ",
        "0",
        "x0000-00-00",
        "-0001-11-28",
        "-0002-11-30",
        "0001-11-30x",
    ],
)
def test_a_text_that_only_resembles_a_zero_date_is_refused(raw: str) -> None:
    with pytest.raises(DecodeError, match=r"\$\.createDate: expected a date and time, got other text"):
        decode({"uuid": "o-1", "createDate": raw}, Order)


SCALARS: list[tuple[type[Any], str, str]] = [
    (Order, "customerNote", "customer_note"),
    (Order, "status", "status"),
    (Order, "totalPaid", "total_paid"),
    (Order, "finishDate", "finished_at"),
    (Order, "shippingZipcode", "shipping.zipcode"),
    (OrderLine, "productQuantity", "quantity"),
    (Product, "price", "price"),
    (Product, "supplier", "supplier"),
    (Product, "stock", "stock"),
    (Webhook, "webhookSecret", "secret"),
]


@each_row("nothing", [False, [], {}], ids=str)
@each_row(("cls", "key", "name"), SCALARS, ids=lambda value: str(value)[:20])
def test_the_empty_values_of_php_are_read_as_none(cls: type[Any], key: str, name: str, nothing: Any) -> None:
    read = decode({"uuid": "u-1", key: nothing}, cls)
    assert attrgetter(name)(read) is None


def test_false_is_false_for_a_flag_and_true_is_never_an_empty_value() -> None:
    assert decode({"uuid": "o", "attentionNeeded": False}, Order).attention_needed is False
    for cls, key, _ in SCALARS:
        with pytest.raises(DecodeError):
            decode({"uuid": "u-1", key: True}, cls)


@given(keys=st.lists(st.integers(0, 10**6), unique=True, max_size=8))
def test_phps_array_with_holes_is_the_list_of_its_values(keys: list[int]) -> None:
    lines = {str(key): {"sku": f"S{key}"} for key in keys}
    assert [line.sku for line in decode({"uuid": "o", "products": lines}, Order).lines] == [f"S{key}" for key in keys]


@given(key=st.text().filter(lambda key: not re.fullmatch("0|[1-9][0-9]{0,8}", key, re.ASCII)))
def test_an_object_with_any_other_key_is_no_list(key: str) -> None:
    with pytest.raises(DecodeError, match="expected a list, got an object"):
        decode({"uuid": "o", "products": {"0": {}, key: {}}}, Order)


@given(
    value=st.decimals(-(10**9), 10**9, places=2) | st.decimals(-(10**4), 10**4, places=1) | st.decimals(-9, 9, places=4)
)
def test_a_decimal_comma_is_read_as_the_point(value: Decimal) -> None:
    assert decode({"uuid": "o", "totalPaid": f"{value:f}".replace(".", ",")}, Order).total_paid == value


@given(
    st.integers(1, 999),
    st.integers(0, 999),
    st.sampled_from(["{},{:03}", "{}.{:03},50", "{},{:03}.50", "{},{:03},000"]),
)
def test_what_may_be_a_separator_of_thousands_is_refused(high: int, low: int, form: str) -> None:
    with pytest.raises(DecodeError, match="expected a decimal number"):
        decode({"uuid": "o", "totalPaid": form.format(high, low)}, Order)


@given(seconds=st.integers(0, 4 * 10**9), zone=st.timezones())
def test_every_time_of_an_answer_is_the_same_instant_in_dutch_time(seconds: int, zone: ZoneInfo) -> None:
    moment = datetime.fromtimestamp(seconds, UTC)
    read = decode({"uuid": "o", "createDate": moment.isoformat()}, Order).created_at
    assert read is not None
    assert read.timestamp() == seconds
    assert str(read.tzinfo) == "Europe/Amsterdam"
    there = moment.astimezone(zone)
    php = {"date": f"{there:%Y-%m-%d %H:%M:%S}.000000", "timezone_type": 3, "timezone": zone.key}
    again = decode({"uuid": "o", "createDate": php}, Order).created_at
    assert again is not None
    assert again.timestamp() == there.replace(fold=0).timestamp()
    assert str(again.tzinfo) == "Europe/Amsterdam"


def test_tags_are_texts_and_other_values_are_kept_as_their_json_text() -> None:
    tags = ["spoed", None, 5, {"name": "zoë", "id": 3}, 1.5, True, ["a"], "", None]
    order = decode({"uuid": "o-1", "tags": tags}, Order)
    assert order.tags == ("spoed", "5", '{"name": "zoë", "id": 3}', "1.5", "true", '["a"]', "")
    assert hash(order) == hash(decode({"uuid": "o-1", "tags": tags}, Order))
    assert to_plain(order)["tags"] == list(order.tags)


@each_row(
    ("cls", "data", "problem"),
    [
        (Product, {"uuid": "p", "stock": [1]}, "$.stock: expected an object, got a list"),
        (Product, {"uuid": "p", "supplier": [[]]}, "$.supplier: expected an object, got a list"),
        (Product, {"uuid": "p", "supplier": True}, "$.supplier: expected an object, got true/false"),
        (Product, {"uuid": "p", "stock": {"freeStock": "5.50"}}, "$.stock.freeStock: expected an integer, got text"),
        (Product, {"uuid": "p", "price": " "}, "$.price: expected a decimal number, got other text"),
        (Product, {"uuid": "p", "name": [5]}, "$.name: expected text, got a list"),
        (OrderLine, {"productQuantity": [1]}, "$.productQuantity: expected an integer, got a list"),
        (OrderLine, {"productQuantity": " "}, "$.productQuantity: expected an integer, got text"),
        (Order, {"uuid": "o", "products": [None]}, "$.products[0]: expected an object, got null"),
        (Order, {"uuid": "o", "products": {"0": {}, "a": {}}}, "$.products: expected a list, got an object"),
        (Order, {"uuid": "o", "tags": "spoed"}, "$.tags: expected a list, got text"),
        (Order, {"uuid": "o", "tags": 0}, "$.tags: expected a list, got a number"),
    ],
)
def test_a_value_that_is_unreadable_and_not_empty_is_refused(cls: Any, data: dict[str, Any], problem: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(data, cls)
    assert caught.value.problems == (problem,)


@each_row(("cls", "data"), [(Order, {"uuid": ""}), (Order, {"uuid": []}), (StockLocation, {"picklocationUuid": ""})])
def test_a_required_identifier_refuses_an_empty_value(cls: Any, data: dict[str, Any]) -> None:
    with pytest.raises(DecodeError, match="expected an identifier"):
        decode(data, cls)


@attrs.frozen(kw_only=True, weakref_slot=False)
class Parcel:
    """A user's class whose fields must all be there."""

    uuid: Identifier = attrs.field(metadata=alias("uuid"))
    price: Decimal = attrs.field(metadata=alias("price"))
    codes: tuple[str, ...] = attrs.field(default=(), metadata=alias("codes"))


def test_a_users_required_number_refuses_empty_text_and_its_lists_of_text_skip_nulls() -> None:
    assert decode({"uuid": "x", "price": "1", "codes": [None, "a", 5]}, Parcel).codes == ("a", "5")
    with pytest.raises(DecodeError, match=r"\$\.price: expected a decimal number"):
        decode({"uuid": "x", "price": ""}, Parcel)
    with pytest.raises(DecodeError, match=r"\$\.codes\[2\]: expected text, got an object"):
        decode({"uuid": "x", "price": "1", "codes": [None, "a", {}]}, Parcel)


def test_a_page_with_every_kind_of_empty_value_is_read_completely() -> None:
    odd: list[dict[str, Any]] = [
        {"uuid": "p-1", "stock": []},
        {"uuid": "p-2", "stock": {"freeStock": "", "unlimitedStock": ""}, "supplier": ""},
        {"uuid": "p-3", "price": "", "allowBackorders": "", "stock": 5},
    ]
    rows = decode_rows(odd, Product)
    assert [row.uuid for row in rows] == ["p-1", "p-2", "p-3"]
    assert [row.stock for row in rows] == [None, ProductStock(), ProductStock(free_stock=5)]
