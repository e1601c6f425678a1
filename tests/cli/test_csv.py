"""Flat rows and their cells: stable columns, no formulas, and no lost text."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from goedgepickt_async import (
    Address,
    Order,
    OrderLine,
    OrderShipment,
    OrderStatus,
    Product,
    ProductStock,
    Secret,
    Webhook,
)
from goedgepickt_async.bulk.files import unescape_cell
from goedgepickt_async.cli.formats import CsvEncoder, JsonLinesEncoder, cell
from goedgepickt_async.cli.resources import RESOURCES, Selection
from tests.support.tables import each_row

from .conftest import jsonl

ORDERS, PRODUCTS, WEBHOOKS = RESOURCES["orders"], RESOURCES["products"], RESOURCES["webhooks"]
TEXT = st.text(st.characters(exclude_categories=["Cs"]))


FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
RISKY = st.text(alphabet="'\"=+-@\t\r\n;,|0a \uff1d", max_size=12)


@given(TEXT | RISKY)
def test_no_cell_is_a_formula_and_the_text_can_be_read_back(text: str) -> None:
    written = cell(text)
    assert not written.startswith(FORMULA)
    assert unescape_cell(written) == text


@given(st.lists(TEXT | RISKY, min_size=1, max_size=3), st.sampled_from([",", ";", "\t", "|"]))
def test_no_cell_is_a_formula_with_any_separator_of_a_spreadsheet(texts: list[str], separator: str) -> None:
    product = Product(uuid="u", name=texts[0], description=texts[-1], internal_comment=texts[len(texts) // 2])
    data = CsvEncoder(Selection(spec=PRODUCTS)).encode([product]).decode()
    rows = csv.reader(io.StringIO(data, newline=""), delimiter=separator)
    assert [part for row in rows for part in row if part.lstrip('"').startswith(FORMULA)] == []


def test_cells_with_the_worst_text_are_escaped_in_linear_time() -> None:
    for text in ("'" * 200_000, ";'" * 100_000, '"' * 200_000 + "x", ";" * 200_000 + "=", "=" * 200_000):
        assert unescape_cell(cell(text)) == text


@given(st.lists(TEXT | st.text(alphabet="'\"=,;\r\n", max_size=6), min_size=1, max_size=3))
def test_any_text_can_be_read_back_from_csv(tags: list[str]) -> None:
    product = Product(uuid="u", name=tags[0], description=tags[-1])
    encoder = CsvEncoder(Selection(spec=PRODUCTS))
    data = encoder.head + encoder.encode([product])
    (row,) = csv.DictReader(io.StringIO(data.decode(), newline=""))
    assert (unescape_cell(row["name"]), unescape_cell(row["description"])) == (tags[0], tags[-1])


@each_row(
    ("value", "written"),
    [
        (None, ""),
        (-2, "-2"),
        (Decimal("-1.50"), "-1.50"),
        (Decimal("1E+3"), "1000"),
        (Decimal("1E+63"), f"1{'0' * 63}"),
        (Decimal("1E+999999999"), "1E+999999999"),
        (Decimal("-1E-999999999"), "-1E-999999999"),
        (True, "true"),
        ("-2", "'-2"),
        ("+31201234567", "'+31201234567"),
        ("'s-Hertogenbosch", "'s-Hertogenbosch"),
        ("'=1", "''=1"),
        ("\uff1d1", "'\uff1d1"),
        (OrderStatus.OPEN, "open"),
        (Secret("hush"), "***"),
        (datetime(2026, 11, 1, 12, tzinfo=UTC), "2026-11-01T12:00:00+00:00"),
    ],
)
def test_numbers_stay_numbers_and_unsafe_text_gets_an_apostrophe(value: object, written: str) -> None:
    assert cell(value) == written


def test_orders_have_the_expected_columns() -> None:
    address = [
        "first_name",
        "last_name",
        "company",
        "address",
        "address2",
        "house_number",
        "house_number_addition",
        "zipcode",
        "city",
        "country",
        "email",
        "phone",
    ]
    assert ORDERS.columns() == [
        *[
            "uuid",
            "display_id",
            "order_number",
            "order_id",
            "status",
            "created_at",
            "finished_at",
            "shipped_at",
            "total_paid",
        ],
        *[
            "payment_method",
            "shipping_method",
            "customer_note",
            "internal_comment",
            "webshop_name",
            "attention_needed",
            "tags",
        ],
        *(f"billing.{name}" for name in address),
        *(f"shipping.{name}" for name in address),
        *(f"shipments.{name}" for name in ("track_trace_code", "track_trace_url", "created_at", "extra")),
        "extra",
    ]
    assert ORDERS.columns(lines=True)[-9:] == [
        "line.number",
        *(
            f"line.{name}"
            for name in ["product_uuid", "product_name", "sku", "quantity", "picked_quantity", "price", "type", "extra"]
        ),
    ]


@each_row("name", RESOURCES)
def test_the_columns_of_a_table_exist(name: str) -> None:
    assert set(RESOURCES[name].table) <= set(RESOURCES[name].columns())


def test_nested_fields_become_columns_lists_become_cells_and_unknown_fields_become_json() -> None:
    order = Order(
        uuid="u",
        shipping=Address(city="Testdam"),
        tags=("fragile", "gift"),
        shipments=(OrderShipment(track_trace_code="A1"), OrderShipment(), OrderShipment(track_trace_code="B2")),
        extra={"colour": "é"},
    )
    (row,) = ORDERS.rows(order)
    assert row["shipping.city"] == "Testdam"
    assert row["billing.city"] is None
    assert row["tags"] == "fragile; gift"
    assert row["shipments.track_trace_code"] == "A1; B2"
    assert row["shipments.extra"] is None
    assert row["extra"] == '{"colour": "é"}'
    assert list(row) == ORDERS.columns()


def test_a_product_without_stock_has_the_same_columns_as_one_with() -> None:
    (bare,) = PRODUCTS.rows(Product(uuid="a"))
    (full,) = PRODUCTS.rows(Product(uuid="b", stock=ProductStock(free_stock=-3), product_attributes=[{"a": 1}]))
    assert list(bare) == list(full) == PRODUCTS.columns()
    assert (bare["stock.free_stock"], full["stock.free_stock"]) == (None, -3)
    assert full["product_attributes"] == '[{"a": 1}]'


def test_an_order_without_lines_is_one_row_with_the_option_lines() -> None:
    (row,) = ORDERS.rows(Order(uuid="u"), lines=True)
    assert list(row) == ORDERS.columns(lines=True)
    assert (row["line.number"], row["line.sku"]) == (None, None)
    rows = list(ORDERS.rows(Order(uuid="u", lines=(OrderLine(sku="a"), OrderLine(sku="b"))), lines=True))
    assert [(row["uuid"], row["line.number"], row["line.sku"]) for row in rows] == [("u", 1, "a"), ("u", 2, "b")]


def test_every_format_masks_secrets() -> None:
    hook = Webhook(uuid="u", secret=Secret("hush-hush"))
    for data in (
        JsonLinesEncoder(Selection(spec=PRODUCTS)).encode([hook]),
        CsvEncoder(Selection(spec=WEBHOOKS)).encode([hook]),
    ):
        assert b"***" in data
        assert b"hush" not in data


def test_half_a_surrogate_pair_does_not_stop_an_export() -> None:
    product = Product(uuid="u", name="\ud83d", extra={"note": "café\u2028"})
    (row,) = jsonl(JsonLinesEncoder(Selection(spec=PRODUCTS)).encode([product]))
    assert row["name"] == "\ud83d"
    assert row["extra"] == {"note": "café\u2028"}
    assert b"u," in CsvEncoder(Selection(spec=PRODUCTS)).encode([product])
