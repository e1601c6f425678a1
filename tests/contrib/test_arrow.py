"""Models as Arrow: a schema that is a promise, and rows that lose nothing."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import attrs
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goedgepickt_async import (
    ConfigurationError,
    GoedGepickt,
    Order,
    PickLocation,
    Product,
    ProductStock,
    Secret,
    Shipment,
    StockLocation,
    Webhook,
    Webshop,
)
from goedgepickt_async.contrib.arrow import SCHEMA_VERSION, schema, to_batch
from goedgepickt_async.convert import decode, field_names
from goedgepickt_async.testing import strategies
from tests.support.tables import each_row

MODELS = {
    "orders": Order,
    "products": Product,
    "shipments": Shipment,
    "webshops": Webshop,
    "pick_locations": PickLocation,
    "webhooks": Webhook,
    "stock": StockLocation,
}
FINGERPRINTS = {
    "orders": "6a39e94a",
    "products": "e93e806c",
    "shipments": "e78a2c31",
    "webshops": "d7e13e3a",
    "pick_locations": "29b6e135",
    "webhooks": "54726957",
    "stock": "1d9486fc",
}


def row_of(resource: str, item: Any) -> dict[str, Any]:
    (row,) = to_batch(resource, [item]).to_pylist()
    return dict(row)


@pytest.mark.parametrize("resource", MODELS)
@given(data=st.data())
@settings(max_examples=5)
def test_every_resource_has_its_columns_and_its_models_fit(resource: str, data: st.DataObject) -> None:
    item = data.draw(strategies.for_model(MODELS[resource]))
    assert tuple(row_of(resource, item)) == tuple(schema(resource).names) == field_names(MODELS[resource])


@each_row("resource", MODELS)
def test_a_schema_that_changes_gets_another_version(resource: str) -> None:
    """Raise SCHEMA_VERSION, tell it in the changelog and in docs/howto/exports.md, and put the new digests here."""
    assert SCHEMA_VERSION == 1
    columns = "\n".join(f"{field.name}: {field.type}" for field in schema(resource))
    digest = hashlib.sha256(columns.encode()).hexdigest()[:8]
    assert digest == FINGERPRINTS[resource]


@each_row("resource", ["order", "", None, ["orders"]])
def test_a_resource_without_a_schema_is_refused(resource: Any) -> None:
    with pytest.raises(ConfigurationError, match="schema for webshops, products"):
        schema(resource)


@each_row("item", [Product(uuid="p"), Order(uuid="o").to_dict(), None, "o"])
def test_what_is_no_model_of_the_resource_is_refused(item: Any) -> None:
    with pytest.raises(ConfigurationError, match="must be Order, not"):
        to_batch("orders", [item])


def test_a_webhooks_secret_is_masked() -> None:
    assert row_of("webhooks", Webhook(uuid="h", secret=Secret("geheim")))["secret"] == "***"


@pytest.mark.slow
async def test_what_the_sandbox_serves_comes_back_as_it_was(gg: GoedGepickt) -> None:
    orders = await gg.orders.list().collect()
    for order, row in zip(orders, to_batch("orders", orders).to_pylist(), strict=True):
        assert row["uuid"] == order.uuid
        assert row["created_at"] == order.created_at
        assert row["total_paid"] == order.total_paid
        assert row["shipping"] == attrs.asdict(order.shipping)
        assert [line["quantity"] for line in row["lines"]] == [line.quantity for line in order.lines]
        assert json.loads(row["extra"] or "{}") == order.extra
    products = await gg.products.list().collect()
    for product, row in zip(products, to_batch("products", products).to_pylist(), strict=True):
        assert (row["sku"], row["price"], row["weight"]) == (product.sku, product.price, product.weight)
        assert (row["stock"] is None) == (product.stock is None)


@pytest.mark.slow
@settings(max_examples=40)
@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_an_amount_is_exact_or_kept_as_text(amount: Decimal) -> None:
    row = row_of("products", Product(uuid="p", price=amount, extra={"known": 1}))
    if row["price"] is None:
        assert json.loads(row["extra"]) == {"known": 1, "price": str(amount)}
    else:
        assert row["price"] == amount
        assert json.loads(row["extra"]) == {"known": 1}


@settings(max_examples=40)
@given(st.integers(-(10**30), 10**30))
def test_a_count_is_exact_or_kept_as_text(count: int) -> None:
    stock = row_of("products", Product(uuid="p", stock=ProductStock(free_stock=count)))["stock"]
    assert stock["free_stock"] == count or json.loads(stock["extra"]) == {"free_stock": str(count)}


@pytest.mark.slow
@settings(max_examples=40)
@given(st.datetimes(timezones=st.just(timezone(timedelta(hours=14))) | st.just(timezone(timedelta(hours=-12)))))
def test_a_moment_is_exact_or_kept_as_text(moment: datetime) -> None:
    row = row_of("orders", Order(uuid="o", created_at=moment))
    assert row["created_at"] == moment or json.loads(row["extra"]) == {"created_at": str(moment)}


@pytest.mark.slow
@settings(max_examples=40)
@given(st.text(), st.dictionaries(st.text(), st.none() | st.booleans() | st.text() | st.lists(st.integers())))
def test_any_text_and_any_unknown_field_is_carried(text: str, extra: dict[str, Any]) -> None:
    row = row_of("orders", Order(uuid="o", customer_note=text, extra=extra))
    assert row["customer_note"] == text.encode(errors="replace").decode()
    assert (row["extra"] is None) == (not extra)


def test_moments_are_of_utc() -> None:
    batch = to_batch(
        "orders", [Order(uuid="o", created_at=datetime(2026, 7, 1, 12, tzinfo=timezone(timedelta(hours=2))))]
    )
    assert batch.schema.field("created_at").type == pa.timestamp("us", tz="UTC")
    assert batch.to_pylist()[0]["created_at"] == datetime(2026, 7, 1, 10, tzinfo=UTC)


def test_an_unknown_status_is_data() -> None:
    shipment = decode({"uuid": "s", "status": "on_the_moon", "newField": [1, {"a": None}]}, Shipment)
    row = row_of("shipments", shipment)
    assert (row["status"], json.loads(row["extra"])) == ("on_the_moon", {"newField": [1, {"a": None}]})


@pytest.mark.slow
def test_without_pyarrow_it_says_what_to_install() -> None:
    code = """
import sys
sys.modules["pyarrow"] = None
from goedgepickt_async import ConfigurationError
try:
    import goedgepickt_async.contrib.arrow
except ConfigurationError as error:
    print(error)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "goedgepickt-async[arrow]" in ran.stdout
