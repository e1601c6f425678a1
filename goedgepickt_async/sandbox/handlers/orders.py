"""/orders: one order, and a new one."""

from __future__ import annotations

from typing import Any, Final

from goedgepickt_async.sandbox import validation as check
from goedgepickt_async.sandbox.answers import Answer, json_answer
from goedgepickt_async.sandbox.handlers.common import checked, found, refuse
from goedgepickt_async.sandbox.quirks import Quirks
from goedgepickt_async.sandbox.requests import Incoming
from goedgepickt_async.sandbox.validation import COUNTRIES, Field
from goedgepickt_async.sandbox.world import World
from goedgepickt_async.sandbox.world.table import parse_moment, write_moment

__all__ = ["Orders", "order_fields", "order_row"]


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
        status: Its first status. A completed order was handled elsewhere: it has a date on which it was finished, and no
            shipment of this warehouse.
    """
    created, finished = data.get("createDate"), data.get("finishDate")
    if finished is None and status == "completed":
        finished = parse_moment(world.now_text()) if created is None else created
    return {
        "uuid": world.orders.uuid(world.orders.size),
        "externalDisplayId": data.get("orderDisplayId") or data["orderId"],
        "orderNumber": data["orderId"],
        "orderId": data["orderId"],
        "status": status,
        "createDate": world.now_text() if created is None else write_moment(created),
        "finishDate": None if finished is None else write_moment(finished),
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
    return tuple(Field(side + name, _COUNTRY if name == "Country" else check.text) for name in _ADDRESS)


def _served_address(side: str, data: dict[str, Any]) -> dict[str, Any]:
    # Answers spell the addition with a small n, requests with a capital one.
    return {side + name.replace("HouseNumberA", "HousenumberA"): data.get(side + name) for name in _ADDRESS}


_PICKUP_FIELDS: Final = (
    *(Field(name, check.text) for name in ("locationNumber", "carrier", "location", "street", "houseNumber")),
    *(Field(name, check.text) for name in ("zipcode", "city")),
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


class Orders:
    """The controllers of orders."""

    def __init__(self, world: World, quirks: Quirks) -> None:
        """Take the world and where to lie."""
        self._world = world
        self._quirks = quirks
        self._fields = order_fields(world)

    def get(self, request: Incoming, uuid: str) -> Answer:
        """GET /orders/{uuid}."""
        return json_answer(self._world.orders.row(found(self._world.orders, uuid, "Order", request)))

    def create(self, request: Incoming) -> Answer:
        """POST /orders."""
        data = checked(self._fields, request)
        first = self._first_with_id(data["webshopUuid"], data["orderId"])
        if first is not None and self._quirks.duplicate_order == "refuse":
            raise refuse(422, f"Order {data['orderId']} already exists", self._quirks, "orderId")
        if first is not None and self._quirks.duplicate_order == "return_first":
            return self._answer(self._world.orders.uuid(first))
        return self._answer(self._place(data))

    def _place(self, data: dict[str, Any]) -> str:
        webshop = int(data["webshopUuid"])
        lines = self._lines(webshop, data["orderItems"], picked=data["orderStatus"] == "completed")
        unknown = [line["sku"] for line in lines if line["productUuid"] is None]
        blocked = bool(unknown) and not data.get("ignoreUnknownProductWarnings")
        if blocked and self._quirks.unknown_sku == "refuse":
            raise refuse(422, f"Unknown products: {', '.join(unknown)}", self._quirks, "orderItems")
        blocked = blocked and data["orderStatus"] == "open"
        asked = "on_hold" if blocked else str(data["orderStatus"])
        row = order_row(self._world, data, lines, asked)
        if blocked:
            row["attentionNeeded"] = 1 if self._world.settings.oddities else True
        return self._world.orders.uuid(self._world.admit_order(webshop, row))

    def _lines(self, webshop: int, items: list[dict[str, Any]], *, picked: bool) -> list[dict[str, Any]]:
        lines = []
        for item in items:
            product = self._world.product_with_sku(item["sku"], webshop)
            said = {
                "productName": item["productName"],
                "sku": item["sku"],
                "productPrice": item.get("unitPriceIncl") or "0.00",
            }
            if product is None:
                blank = {"productUuid": None, "productQuantity": item["productQuantity"], "pickedQuantity": 0}
                lines.append({**blank, **said, "type": "normal"})
                continue
            first, *parts = self._world.line(product, item["productQuantity"])
            lines += [{**first, **said}, *parts]
        return [{**line, "pickedQuantity": line["productQuantity"]} for line in lines] if picked else lines

    def _first_with_id(self, webshop: int, order_id: str) -> int | None:
        world = self._world
        same = (
            index
            for index in world.orders_with_number(order_id)
            if world.order_webshop(index) == webshop and world.order_id(index) == order_id
        )
        return next(same, None)

    def _answer(self, uuid: str) -> Answer:
        message = "Order created"
        shapes: dict[str, Answer] = {
            "orderUuid": json_answer({"message": message, "orderUuid": uuid}),
            "uuid": json_answer({"message": message, "uuid": uuid}),
            "order.uuid": json_answer({"message": message, "order": {"uuid": uuid}}),
            "data.uuid": json_answer({"message": message, "data": {"uuid": uuid}}),
            "empty": Answer(200),
        }
        return shapes[self._quirks.order_answer]
