"""The fields of a new order, and the order that the API serves afterwards."""

from __future__ import annotations

from typing import Any, Final

from goedgepickt_async.sandbox import validation as check
from goedgepickt_async.sandbox.countries import COUNTRIES
from goedgepickt_async.sandbox.validation import Field
from goedgepickt_async.sandbox.world import World
from goedgepickt_async.sandbox.world.calendar import write_moment

__all__ = ["order_fields", "order_row"]

_ADDRESS: Final = (
    "FirstName", "LastName", "Company", "Address", "Address2", "HouseNumber", "HouseNumberAddition", "Zipcode",
    "City", "Country", "Email", "Phone",
)  # fmt: skip
_MONEY: Final = ("discountTotal", "discountTax", "shippingTotal", "shippingTax", "paidTotal", "paidTax")
_UNIT_MONEY: Final = (
    "totalPriceIncl", "totalPriceExcl", "totalPriceTax", "unitPriceIncl", "unitPriceExcl", "unitPriceTax",
)  # fmt: skip
_COUNTRY: Final = check.one_of(COUNTRIES)
_STATUSES: Final = ("open", "on_hold", "completed", "cancelled")


def order_fields(world: World) -> tuple[Field, ...]:
    """Return the fields of `POST /orders`; the required ones are those that the reference stars."""
    return (
        Field("webshopUuid", check.known(world.webshops.find), required=True),
        Field("orderId", check.text, required=True),
        Field("orderDisplayId", check.text),
        Field("createDate", check.moment),
        Field("finishDate", check.moment),
        Field("orderStatus", check.one_of(_STATUSES), required=True),
        Field("currency", check.text),
        *_address_fields("billing"),
        *_address_fields("shipping"),
        *(Field(name, check.text) for name in ("shippingMethod", "paymentMethod", "invoiceNumber", "customerNote")),
        *(Field(name, check.decimal) for name in _MONEY),
        Field("ignoreUnknownProductWarnings", check.boolean),
        Field("pickupLocationData", fields=_PICKUP_FIELDS),
        Field("orderItems", items=_LINE_FIELDS, required=True),
    )


def order_row(world: World, data: dict[str, Any], lines: list[dict[str, Any]], status: str) -> dict[str, Any]:
    """Return the order as it is kept and served.

    Args:
        world: Where it will live.
        data: The checked input.
        lines: Its lines as they are served.
        status: Its first status.
    """
    created = data.get("createDate")
    return {
        "uuid": world.orders.uuid(world.orders.size),
        "externalDisplayId": data.get("orderDisplayId") or data["orderId"],
        "orderNumber": data["orderId"],
        "orderId": data["orderId"],
        "status": status,
        "createDate": world.now_text() if created is None else write_moment(created),
        "finishDate": None if data.get("finishDate") is None else write_moment(data["finishDate"]),
        "shippedDate": None,
        "totalPaid": data.get("paidTotal"),
        "paymentMethod": data.get("paymentMethod"),
        "shippingMethod": data.get("shippingMethod"),
        "customerNote": data.get("customerNote"),
        "internComment": None,
        "attentionNeeded": 0 if world.settings.oddities else False,
        "tags": [],
        **_served_address("billing", data),
        **_served_address("shipping", data),
        "products": lines,
        "shipments": [],
    }


def _address_fields(side: str) -> tuple[Field, ...]:
    special = {"Country": _COUNTRY, "HouseNumber": check.strict_text}
    return tuple(Field(side + name, special.get(name, check.text)) for name in _ADDRESS)


def _served_address(side: str, data: dict[str, Any]) -> dict[str, Any]:
    # Answers spell the addition with a small n, requests with a capital one.
    return {side + name.replace("HouseNumberA", "HousenumberA"): data.get(side + name) for name in _ADDRESS}


_PICKUP_FIELDS: Final = (
    *(Field(name, check.text) for name in ("locationNumber", "carrier", "location", "street", "zipcode", "city")),
    Field("houseNumber", check.strict_text),
    Field("country", _COUNTRY),
)
_LINE_FIELDS: Final = (
    Field("sku", check.text, required=True),
    Field("productName", check.text, required=True),
    Field("productQuantity", check.whole(1), required=True),
    Field("taxRate", check.decimal),
    *(Field(name, check.text) for name in ("lineItemId", "productId", "ean", "productImage")),
    *(Field(name, check.decimal) for name in _UNIT_MONEY),
)
