"""The server's names of bad fields become the Python names that a refusal of ours has."""

from __future__ import annotations

from goedgepickt_async.convert import python_name
from goedgepickt_async.models import NewOrder, ProductUpdate
from tests.support.tables import each_row


@each_row(
    ("wire", "python"),
    [
        ("orderId", "order_id"),
        ("billingHouseNumber", "billing.house_number"),
        ("shippingHouseNumberAddition", "shipping.house_number_addition"),
        ("orderItems", "lines"),
        ("orderItems.2.productQuantity", "lines[2].quantity"),
        ("orderItems[0][sku]", "lines[0].sku"),
        ("pickupLocationData.houseNumber", "pickup_location.house_number"),
        ("ORDERITEMS.0.SKU", "lines[0].sku"),
        ("orderItems.0.colour.1", "lines[0].colour[1]"),
        ("somethingNew", "somethingNew"),
        ("somethingNew.0.sku", "somethingNew[0].sku"),
        ("0", "[0]"),
        ("", ""),
        (".", "."),
    ],
)
def test_wire_paths_become_python_paths(wire: str, python: str) -> None:
    assert python_name(NewOrder, wire) == python


def test_each_model_has_its_own_names() -> None:
    assert python_name(ProductUpdate, "stockManagement") == "stock_management"
