"""Exports get plain values under Python names, and no secret."""

from __future__ import annotations

import json
from typing import Any

from goedgepickt_async.convert import decode, field_names, to_plain
from goedgepickt_async.models import NewOrderLine, Order, Product


def test_an_order_becomes_json_under_its_python_names(order_data: dict[str, Any]) -> None:
    plain = to_plain(decode(order_data, Order))
    assert json.loads(json.dumps(plain)) == plain
    assert tuple(plain) == field_names(Order)
    assert plain["created_at"] == "2026-11-01T09:30:00+01:00"
    assert plain["shipped_at"] == "2026-11-02T09:00:00+01:00"
    assert plain["finished_at"] == "2026-07-01T09:30:00+02:00"
    assert plain["total_paid"] == "24.95"
    assert plain["status"] == "ready_for_picking"
    assert plain["shipping"]["house_number_addition"] == "A"
    assert plain["lines"][0]["price"] == "19.95"
    assert plain["extra"] == {"somethingNew": {"a": [1]}}
    assert type(plain["status"]) is str


def test_a_product_keeps_its_stock_and_attributes(product_data: dict[str, Any]) -> None:
    plain = to_plain(decode(product_data, Product))
    assert plain["stock"]["free_stock"] == -3
    assert plain["product_attributes"] == [{"name": "kleur"}]
    assert plain["weight"] == "0.1"


def test_amounts_have_no_exponent_unless_they_are_absurd() -> None:
    assert to_plain(decode({"productPrice": 1e-7}, type(decode({"uuid": "o", "products": [{}]}, Order).lines[0])))[
        "price"
    ] == ("0.0000001")
    absurd = decode({"uuid": "p-1", "price": "1e999999"}, Product)
    assert to_plain(absurd)["price"] == "1E+999999"


def test_a_model_that_is_sent_shows_what_is_set() -> None:
    line = NewOrderLine(sku="0012", product_name="Mok", quantity=1)
    assert to_plain(line) == {"sku": "0012", "product_name": "Mok", "quantity": 1}
