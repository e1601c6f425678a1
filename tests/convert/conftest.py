"""Answers as the reference (sections 3 and 4) shows them, with invented content."""

from __future__ import annotations

from typing import Any

import pytest

MARK = "Persoonlijk"


@pytest.fixture
def order_data() -> dict[str, Any]:
    """An order with the API's oddities."""
    return {
        "uuid": "0f8fad5b-d9cb-469f-a165-70867728950e",
        "externalDisplayId": "#1001",
        "orderNumber": 20261101,
        "orderId": "1001",
        "status": "ready_for_picking",
        "createDate": "2026-11-01 09:30:00",
        "finishDate": "2026-07-01T09:30:00",
        "shippedDate": "2026-11-02T08:00:00.000000Z",
        "totalPaid": "24.95",
        "paymentMethod": None,
        "shippingMethod": "Standaard",
        "customerNote": "",
        "internComment": "let op",
        "webshopName": "Voorbeeldwinkel",
        "attentionNeeded": "1",
        "tags": ["spoed", 5],
        "billingFirstName": "Zoë",
        "billingHouseNumber": 12,
        "billingHouseNumberAddition": "bis",
        "billingCountry": "NL",
        "shippingLastName": "Voorbeeld",
        "shippingHousenumberAddition": "A",
        "shippingZipcode": 1000,
        "products": [
            {"productUuid": None, "sku": "SET", "productQuantity": "1", "productPrice": 19.95, "type": "parent"},
            {"productUuid": "p-1", "sku": 12, "productQuantity": 2, "pickedQuantity": "0", "type": "child"},
        ],
        "shipments": [{"trackTraceCode": 3510, "trackTraceUrl": "https://t.example.test/3510", "createDate": ""}],
        "somethingNew": {"a": [1]},
    }


@pytest.fixture
def product_data() -> dict[str, Any]:
    """A product with the API's oddities."""
    return {
        "uuid": "p-1",
        "sku": "0012",
        "name": None,
        "productId": 77,
        "ean": 8712345678906,
        "price": "12.34",
        "costPrice": "",
        "taxRate": 21,
        "weight": 0.1,
        "length": "10.0",
        "picture": "https://cdn.example.test/image_placeholder.png",
        "productAttributes": [{"name": "kleur"}],
        "supplier": {"uuid": "s-1", "supplierSku": 5, "rating": 4},
        "allowBackorders": 0,
        "type": "from_the_future",
        "stock": {"freeStock": "-3", "totalStock": 5.0, "reservedStock": 8, "unlimitedStock": 0, "fillStockTo": None},
    }
