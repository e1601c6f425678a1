"""Bodies of requests have the form that the API requires: text for house numbers and money, Dutch local time.

House number keys have a capital N.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goedgepickt_async.convert import decode, encode
from goedgepickt_async.models import (
    Address,
    NewOrder,
    NewOrderLine,
    NewProduct,
    NewWebhook,
    Order,
    PickupLocation,
    ProductUpdate,
    WebhookEvent,
)
from tests.support.fuzz import examples
from tests.support.tables import each_row

LINE = NewOrderLine(sku="0012", product_name="Mok", quantity=2, tax_rate=21)


def order(**changes: Any) -> NewOrder:
    return NewOrder(**{"order_id": "1001", "status": "open", "lines": [LINE], **changes})


def test_the_smallest_order_holds_only_what_was_given() -> None:
    assert encode(order()) == {
        "orderId": "1001",
        "orderStatus": "open",
        "orderItems": [{"sku": "0012", "productName": "Mok", "productQuantity": 2, "taxRate": "21"}],
    }


def test_a_whole_order_has_the_references_keys() -> None:
    body = encode(
        order(
            webshop_uuid="w-1",
            display_id="#1001",
            created_at=datetime(2026, 11, 1, 8, 30, 15, 999, tzinfo=UTC),
            finished_at=None,
            status="on_hold",
            currency="EUR",
            billing=Address(first_name="Zoë", house_number=12, house_number_addition="bis", country="nl"),  # type: ignore[arg-type]
            shipping=Address(city="Utrecht"),
            shipping_method="Standaard",
            payment_method="ideal",
            invoice_number="F1",
            customer_note=None,
            discount_total=0,
            discount_tax="0.00",
            shipping_total=Decimal("4.95"),
            shipping_tax="0.86",
            paid_total=Decimal("1E+3"),
            paid_tax="173.55",
            ignore_unknown_products=True,
            pickup_location=PickupLocation(location_number="805", carrier=1, house_number=7, country="NL"),
        )
    )
    assert body == {
        "webshopUuid": "w-1",
        "orderId": "1001",
        "orderDisplayId": "#1001",
        "createDate": "2026-11-01 09:30:15",
        "finishDate": None,
        "orderStatus": "on_hold",
        "currency": "EUR",
        "billingFirstName": "Zoë",
        "billingHouseNumber": "12",
        "billingHouseNumberAddition": "bis",
        "billingCountry": "NL",
        "shippingCity": "Utrecht",
        "shippingMethod": "Standaard",
        "paymentMethod": "ideal",
        "invoiceNumber": "F1",
        "customerNote": None,
        "discountTotal": "0",
        "discountTax": "0.00",
        "shippingTotal": "4.95",
        "shippingTax": "0.86",
        "paidTotal": "1000",
        "paidTax": "173.55",
        "ignoreUnknownProductWarnings": True,
        "orderItems": [{"sku": "0012", "productName": "Mok", "productQuantity": 2, "taxRate": "21"}],
        "pickupLocationData": {"locationNumber": "805", "carrier": "1", "houseNumber": "7", "country": "NL"},
    }
    assert json.loads(json.dumps(body)) == body


def test_unset_is_not_sent_and_none_is_null() -> None:
    assert encode(ProductUpdate()) == {}
    assert encode(ProductUpdate(price=None, picture=None, name="Mok")) == {
        "price": None,
        "picture": None,
        "name": "Mok",
    }
    assert encode(NewProduct(name="Mok", sku="0012", price="12.30", stock_management=False)) == {
        "name": "Mok",
        "sku": "0012",
        "stockManagement": False,
        "price": "12.30",
    }


@each_row(
    ("amount", "text"),
    [
        (Decimal("1E+3"), "1000"),
        (Decimal("1E-6"), "0.000001"),
        (Decimal("0E-6"), "0.000000"),
        (Decimal("0E+5"), "0"),
        ("+5", "5"),
        ("0012.30", "12.30"),
        (-5, "-5"),
        (999999999999, "999999999999"),
    ],
)
def test_an_amount_is_always_written_plainly(amount: Decimal | str | int, text: str) -> None:
    assert encode(ProductUpdate(price=amount)) == {"price": text}


@given(st.decimals(-(10**11), 10**11, places=6) | st.integers(0, 10**12 - 1).map(Decimal))
def test_every_amount_that_can_be_sent_is_plain_and_keeps_its_value(amount: Decimal) -> None:
    written = encode(ProductUpdate(price=amount))["price"]
    assert set(written) <= set("-.0123456789")
    assert Decimal(written) == amount
    assert encode(ProductUpdate(price=written))["price"] == written


def test_an_empty_country_is_not_sent() -> None:
    address = Address(city="Utrecht", country="", email="")
    body = encode(order(billing=address, shipping=address, pickup_location=PickupLocation(city="x", country="")))
    assert not any("country" in key.lower() for key in [*body, *body["pickupLocationData"]])
    assert body["billingCity"] == "Utrecht"
    assert body["billingEmail"] == ""


def test_a_parcel_can_go_to_kosovo() -> None:
    assert encode(order(shipping=Address(country="xk")))["shippingCountry"] == "XK"


def test_two_instants_of_the_doubled_hour_are_written_alike() -> None:
    first, second = (datetime(2026, 10, 25, hour, 30, tzinfo=UTC) for hour in (0, 1))
    assert encode(order(created_at=first)) == encode(order(created_at=second))
    assert encode(order(created_at=first))["createDate"] == "2026-10-25 02:30:00"


def test_events_are_plain_text() -> None:
    body = encode(NewWebhook(event=WebhookEvent.PRODUCT_STOCK_CHANGED, target_url="https://x.test"))
    assert body == {"webhookEvent": "product.stockChanged", "targetUrl": "https://x.test"}
    assert type(body["webhookEvent"]) is str


@given(
    st.datetimes(
        min_value=datetime(1990, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
        max_value=datetime(2080, 1, 1),  # noqa: DTZ001
        timezones=st.integers(-720, 840).map(lambda minutes: timezone(timedelta(minutes=minutes))),
    )
)
def test_an_instant_is_read_back_to_the_second_except_in_the_hour_that_occurs_twice(instant: datetime) -> None:
    body = encode(order(created_at=instant))
    read = decode({"uuid": "o-1", "createDate": body["createDate"]}, Order).created_at
    assert read is not None
    late = instant.replace(microsecond=0) - read.astimezone(UTC)
    assert late in {timedelta(0), timedelta(hours=1)}
    if late:
        assert read.replace(fold=1).utcoffset() != read.utcoffset()


PARTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
ADDRESSES = st.builds(
    Address,
    **{field.name: st.none() | PARTS for field in attrs.fields(Address) if field.name != "country"},
    country=st.sampled_from([None, "NL", "BE", "DE"]),
)


@pytest.mark.slow
@settings(max_examples=examples(15))
@given(ADDRESSES, ADDRESSES)
def test_an_address_is_read_back_as_it_was_sent(billing: Address, shipping: Address) -> None:
    body = encode(order(billing=billing, shipping=shipping))
    flat = {key: value for key, value in body.items() if key.startswith(("billing", "shipping"))}
    assert all(type(value) is str for value in flat.values())
    assert not any("HousenumberAddition" in key for key in flat)
    read = decode({"uuid": "o-1", **flat}, Order)
    assert (read.billing, read.shipping, read.extra) == (billing, shipping, {})


def test_each_body_is_a_new_one() -> None:
    made = order()
    encode(made)["orderItems"].clear()
    assert encode(made)["orderItems"]


def test_what_is_read_is_not_sent() -> None:
    with pytest.raises(TypeError, match="Order is not a model that is sent"):
        encode(Order(uuid="o-1"))
