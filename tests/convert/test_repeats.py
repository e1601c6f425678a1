"""Texts that come again and again, a webshop's name or a country, are held once."""

from __future__ import annotations

import json
import pickle
from typing import Any

from goedgepickt_async.convert import decode_rows, parse
from goedgepickt_async.models import Order
from tests.support.tables import each_row

_FIELDS = ("webshopName", "paymentMethod", "shippingMethod", "billingCountry", "shippingCountry")


def read(number: int, texts: dict[str, Any]) -> list[Order]:
    """Orders from JSON: nothing in it is the same object as anything else."""
    return decode_rows(parse(json.dumps([{"uuid": f"o-{n}", **texts} for n in range(number)]).encode()), Order)


def held(order: Order) -> list[str | None]:
    return [
        order.webshop_name,
        order.payment_method,
        order.shipping_method,
        order.billing.country,
        order.shipping.country,
        *order.tags,
    ]


@each_row("number", [2, 400], ids=["a few rows", "enough to compile their shape"])
def test_equal_texts_of_such_a_field_are_one_object(number: int) -> None:
    orders = read(number, {field: f"{field}, and something" for field in _FIELDS} | {"tags": ["spoed, graag"]})
    for first, last in zip(held(orders[-2]), held(orders[-1]), strict=True):
        assert first is not None
        assert first is last


def test_texts_that_do_not_repeat_are_read_as_they_are() -> None:
    names = [f"Voorbeeldwinkel {n}" for n in range(2_000)] + ["x" * 1_000]
    rows = [{"uuid": f"o-{n}", "webshopName": name} for n, name in enumerate(names)]
    assert [order.webshop_name for order in decode_rows(rows, Order)] == names


def test_what_is_no_text_is_read_as_in_any_other_field() -> None:
    (order,) = read(1, {"webshopName": 12, "paymentMethod": None, "tags": [{"name": "spoed"}, None, "cadeau"]})
    assert order.webshop_name == "12"
    assert order.payment_method is None
    assert order.tags == ('{"name": "spoed"}', "cadeau")


def test_what_is_held_once_is_pickled_and_copied_as_ever() -> None:
    orders = read(3, {"webshopName": "Voorbeeldwinkel"})
    assert pickle.loads(pickle.dumps(orders)) == orders
