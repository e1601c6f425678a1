"""Whole files as shops and other programs export them; made up, after the public layouts."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from goedgepickt_async.bulk.files import FileRows, read_rows
from goedgepickt_async.bulk.files.fields import PROFILES
from goedgepickt_async.bulk.orders import new_order

SHOPS = Path(__file__).parent / "shops"

# File, profile, name of 0012 and its price, the other SKU and its price, rows that are skipped.
PRODUCTS = [
    ("woocommerce_en.csv", "woocommerce", "Mok, blauw", "12.50", "woo-tee-red", "20", 4),
    ("woocommerce_nl.csv", "woocommerce", "Mok, blauw", "12.50", "shirt-rood", "20", 1),
    ("woocommerce_de.csv", "woocommerce", "Tasse, blau", "12.50", "hemd-rot", "20", 1),
    ("shopify_products.csv", "shopify", "Mok, blauw", "12.50", "shirt-rood", "20", 2),
    ("magento.csv", "magento", "Mok, blauw", "12.50", "shirt-rood", "20", 3),
    ("lightspeed.csv", "lightspeed", "Mok, blauw", "12.50", "shirt-rood", "20", 0),
    ("shopware.csv", "shopware", "Mok, blauw", "12.50", "shirt-rood", "20", 0),
    ("prestashop.csv", "prestashop", "Mok, blauw", None, "shirt-rood", None, 0),
    ("bol.csv", "bol", None, "12.50", "shirt-rood", "20", 0),
    ("exact.csv", "exact", "Mok, blauw", "12.50", "shirt-rood", "1020", 0),
    ("google_merchant.tsv", "google-merchant", "Mok, blauw", "12.50", "shirt-rood", "20", 0),
    ("dutch_list.csv", "", "Mok, blauw", "12.50", "shirt-rood", "1020", 0),
]


def by_sku(rows: FileRows) -> dict[str, Any]:
    return {row.values["sku"]: row.values for row in rows.rows}


@pytest.mark.parametrize("case", PRODUCTS, ids=lambda case: str(case[0]))
def test_products_of_a_whole_file_are_read_by_its_profile(case: tuple[Any, ...]) -> None:
    file, profile, name, price, other, other_price, skipped = case
    read = read_rows(SHOPS / file, "products")
    read.check()
    assert (read.profile, len(read.skipped)) == (profile, skipped)
    found = by_sku(read)
    assert found["0012"].get("name") == name
    assert found["0012"].get("price") == (None if price is None else Decimal(price))
    assert found[other].get("price") == (None if other_price is None else Decimal(other_price))
    assert not any("virtual" in sku or sku in {"shirt", "woo-tee", "woo-gift"} for sku in found)


@pytest.mark.parametrize("file", [row[0] for row in PRODUCTS if not row[0].startswith("google")])
def test_stock_of_a_whole_file_is_read(file: str) -> None:
    read = read_rows(SHOPS / file, "stock")
    read.check()
    levels = {row.values["sku"]: row.values["level"] for row in read.rows}
    assert levels.pop("0012") == 7
    assert 3 in levels.values()


def test_a_picture_of_shopify_is_that_of_the_variant() -> None:
    found = by_sku(read_rows(SHOPS / "shopify_products.csv", "products"))
    assert found["shirt-blauw"]["picture"] == "https://cdn.example.test/s-blauw.jpg"
    assert found["shirt-blauw"]["name"] == "Shirt"
    assert "picture" not in found["0012"]


def test_orders_of_shopify_have_their_lines_and_receivers() -> None:
    read = read_rows(SHOPS / "shopify_orders.csv", "orders", constants={"status": "open"})
    read.check()
    assert read.profile == "shopify-orders"
    orders: list[Any] = [new_order(row.values) for row in read.rows]
    first, second = orders
    assert [(line.sku, line.quantity) for line in first.lines] == [("0012", 2), ("shirt-rood", 1)]
    assert (first.order_id, first.shipping.first_name, first.shipping.last_name) == ("#1001", "Sien", "van Voorbeeld")
    assert (first.shipping.zipcode, first.shipping.phone) == ("3511AB", "+31600000000")
    assert first.lines[0].unit_price_incl == Decimal("12.50")
    assert (second.shipping.last_name, second.shipping.country) == ("Bo", "BE")


def test_a_price_without_tax_is_told_and_not_taken() -> None:
    read = read_rows(SHOPS / "prestashop.csv", "products")
    assert "price" not in read.columns
    assert any("Price tax excluded" in note for note in read.notes)


@pytest.mark.parametrize("kind", ["products", "stock"])
def test_a_profile_can_be_said_or_switched_off(kind: str) -> None:
    said = read_rows(SHOPS / "woocommerce_nl.csv", kind, profile="woocommerce")
    assert said.profile == "woocommerce"
    off = read_rows(SHOPS / "woocommerce_nl.csv", kind, profile="none", columns={"sku": "SKU"})
    assert (off.profile, off.skipped) == ("", ())


def test_each_profile_has_a_whole_file() -> None:
    tested = {row[1] for row in PRODUCTS} | {"shopify-orders", "goedgepickt"}
    assert {profile.name for profile in PROFILES} <= tested
