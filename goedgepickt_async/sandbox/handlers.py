"""The controllers of single objects and of writes, and the table of all routes; `lists` answers the lists."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

import attrs

from goedgepickt_async.sandbox import validation as check
from goedgepickt_async.sandbox.app import Answer, Quirks, Refusal, Router, error, invalid, json_answer
from goedgepickt_async.sandbox.lists import Lists, PageLimits
from goedgepickt_async.sandbox.requests import Incoming
from goedgepickt_async.sandbox.validation import COUNTRIES, BrokenRule, Errors, Field, Rule, validate
from goedgepickt_async.sandbox.world import Table, World
from goedgepickt_async.sandbox.world.table import parse_moment, write_moment


def checked(fields: Iterable[Field], request: Incoming) -> dict[str, Any]:
    """Return the request's input.

    Raises:
        Refusal: 422, with all that is wrong.
    """
    errors = Errors()
    data = validate(fields, request.data, errors)
    if not errors and request.is_unreadable:
        errors.add("body", "array")
    if errors:
        raise invalid(request, errors)
    return data


def found(table: Table, uuid: str, model: str, request: Incoming) -> int:
    """Return the index of the row that a path names.

    Raises:
        Refusal: 404, in the words of Laravel's route model binding.
    """
    index = table.find(uuid)
    if index is None:
        raise Refusal(error(request, 404, f"No query results for model [App\\Models\\{model}] {uuid}"))
    return index


def refuse(status: int, text: str, quirks: Quirks, field: str | None = None) -> Refusal:
    """Return a refusal in the service's own words, to be raised.

    The quirks know the key of the text. Laravel also lists it under `errors` if a field is to blame: clients look there.
    """
    body: dict[str, object] = {quirks.error_key: text}
    if field is not None and quirks.error_key == "message":
        body["errors"] = {field: [text]}
    return Refusal(json_answer(body, status))


_EMPTY: Final = (
    "productId", "sku", "name", "ean", "barcode", "description", "internalComment", "price", "costPrice",
    "taxRate", "weight", "length", "height", "width", "picture",
)  # fmt: skip
"""The fields of a product that are null in a new product."""


class Products:
    """The controllers of products and their stock."""

    def __init__(self, world: World, quirks: Quirks) -> None:
        self._world = world
        self._quirks = quirks
        quantity = Field("stockQuantity", check.whole(0), required=True)
        self._link_fields = (quantity, Field("priority", check.whole(0)))
        self._set_fields = (quantity, Field("reason", check.text))
        self._mutation_fields = (
            Field("mutation", check.whole(), required=True),
            Field("mutationReason", check.text),
            Field("pickLocationUuid", check.known(world.pick_locations.find)),
        )
        self._fields = (
            Field("webshopUuid", check.known(world.webshops.find)),
            Field("name", check.text),
            Field("sku", check.text),
            Field("productId", check.text),
            Field("stockManagement", check.boolean),
            Field("url", check.url),
            Field("picture", check.url),
            Field("price", check.decimal),
        )
        required = {"webshopUuid", "name", "sku"}
        self._new_fields = tuple(attrs.evolve(field, required=field.name in required) for field in self._fields)

    def get(self, request: Incoming, uuid: str) -> Answer:
        return json_answer(self._world.products.row(self._product(request, uuid)))

    def create(self, request: Incoming) -> Answer:
        data = checked(self._new_fields, request)
        self._check_sku(data["webshopUuid"], data["sku"])
        return self._answer(self._world.insert_product(data["webshopUuid"], self._new_row(data)))

    def update(self, request: Incoming, uuid: str) -> Answer:
        index = self._product(request, uuid)
        data = checked(self._fields, request)
        if data.get("sku") not in {None, self._world.products.bare(index)["sku"]}:
            self._check_sku(self._world.product_webshop(index), data["sku"])
        self._world.change_product(index, **_served(data))
        return self._answer(index)

    def stock(self, request: Incoming, uuid: str) -> Answer:
        return json_answer({"stockLocations": self._world.stock_locations(self._product(request, uuid))})

    def link_stock(self, request: Incoming, uuid: str, location_uuid: str) -> Answer:
        product, location = self._product(request, uuid), self._location(request, location_uuid)
        data = checked(self._link_fields, request)
        stock = self._world.inventory.stock(product)
        if stock.at(location) is not None:
            raise refuse(422, "Stock location already exists for this product", self._quirks, "pickLocationUuid")
        priority = data.get("priority")
        self._world.inventory.link(
            product, location, data["stockQuantity"], len(stock.locations) + 1 if priority is None else priority
        )
        return json_answer({"message": "Stock location created"})

    def set_stock(self, request: Incoming, uuid: str, location_uuid: str) -> Answer:
        product, location = self._product(request, uuid), self._location(request, location_uuid)
        data = checked(self._set_fields, request)
        if self._world.inventory.stock(product).at(location) is None:
            raise refuse(404, "Stock location not found for this product", self._quirks)
        self._world.inventory.set(product, location, data["stockQuantity"])
        return json_answer({"message": "Stock updated"})

    def mutate_stock(self, request: Incoming, uuid: str) -> Answer:
        product = self._product(request, uuid)
        data = checked(self._mutation_fields, request)
        self._world.inventory.mutate(product, data["mutation"], data.get("pickLocationUuid"))
        return json_answer({"message": "Stock mutation created"})

    def _product(self, request: Incoming, uuid: str) -> int:
        return found(self._world.products, uuid, "Product", request)

    def _location(self, request: Incoming, uuid: str) -> int:
        return found(self._world.pick_locations, uuid, "PickLocation", request)

    def _check_sku(self, webshop: int, sku: str) -> None:
        if webshop in map(self._world.product_webshop, self._world.products_with_sku(sku)):
            raise refuse(422, f"Product with SKU {sku} already exists", self._quirks, "sku")

    def _new_row(self, data: dict[str, Any]) -> dict[str, Any]:
        uuid = self._world.products.uuid(self._world.products.size)
        fixed = {"productAttributes": [], "allowBackorders": True, "type": "normal"}
        return {"uuid": uuid, **dict.fromkeys(_EMPTY), "supplier": None, **fixed, **_served(data)}

    def _answer(self, index: int) -> Answer:
        product = self._world.products.row(index)
        if self._quirks.product_answer == "bare":
            return json_answer(product)
        return json_answer({"items": [product] if self._quirks.product_answer == "items" else []})


def _served(data: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of the input that products show, as they show them."""
    shown = ("name", "sku", "productId", "picture", "price")
    # A SKU is never null: emptied, it is an empty text.
    return {name: data[name] or ("" if name == "sku" else data[name]) for name in shown if name in data}


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


def _fields(rule: Rule, *names: str) -> tuple[Field, ...]:
    return tuple(Field(name, rule) for name in names)


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
        *_fields(check.text, "shippingMethod", "paymentMethod", "invoiceNumber", "customerNote"),
        *_fields(check.decimal, *_MONEY),
        Field("ignoreUnknownProductWarnings", check.boolean),
        Field("pickupLocationData", fields=_PICKUP_FIELDS),
        Field("orderItems", items=_LINE_FIELDS, required=True),
    )


def order_row(world: World, data: dict[str, Any], lines: list[dict[str, Any]], status: str) -> dict[str, Any]:
    """Return the order as it is kept and served, of checked input and of its lines as they are served.

    An order that begins as completed was handled elsewhere: it has a finish date, and no shipment of this warehouse.
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
    *_fields(check.text, "locationNumber", "carrier", "location", "street", "houseNumber", "zipcode", "city"),
    Field("country", _COUNTRY),
)
_LINE_FIELDS: Final = (
    Field("sku", check.text, required=True),
    Field("productName", check.text, required=True),
    Field("productQuantity", check.whole(1), required=True),
    Field("taxRate", check.decimal),
    *_fields(check.text, "lineItemId", "productId", "ean", "productImage"),
    *_fields(check.decimal, *_UNIT_MONEY),
)


class Orders:
    """The controllers of orders."""

    def __init__(self, world: World, quirks: Quirks) -> None:
        self._world = world
        self._quirks = quirks
        self._fields = order_fields(world)

    def get(self, request: Incoming, uuid: str) -> Answer:
        return json_answer(self._world.orders.row(found(self._world.orders, uuid, "Order", request)))

    def create(self, request: Incoming) -> Answer:
        data, world = checked(self._fields, request), self._world
        webshop, order_id = data["webshopUuid"], data["orderId"]
        same = [
            index
            for index in world.orders_with_number(order_id)
            if world.order_webshop(index) == webshop and world.order_id(index) == order_id
        ]
        if same and self._quirks.duplicate_order == "refuse":
            raise refuse(422, f"Order {order_id} already exists", self._quirks, "orderId")
        if same and self._quirks.duplicate_order == "return_first":
            return self._answer(world.orders.uuid(same[0]))
        return self._answer(self._place(data))

    def _place(self, data: dict[str, Any]) -> str:
        webshop = data["webshopUuid"]
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

    def _answer(self, uuid: str) -> Answer:
        if self._quirks.order_answer == "empty":
            return Answer(200)
        name, _, inner = self._quirks.order_answer.partition(".")
        return json_answer({"message": "Order created", name: {inner: uuid} if inner else uuid})


# The name of the event "shipment created" is not known, so the form is checked and not the name.
_EVENT: Final = re.compile(r"[a-z]+\.[a-z][A-Za-z]*")


class Webhooks:
    """The controllers of webhook subscriptions."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._fields = (
            Field("webshopUuid", check.known(world.webshops.find), required=True),
            Field("webhookEvent", _event, required=True),
            Field("targetUrl", check.url, required=True),
        )

    def create(self, request: Incoming) -> Answer:
        data = checked(self._fields, request)
        row = self._world.add_webhook(data["webshopUuid"], data["webhookEvent"], data["targetUrl"])
        return json_answer(row)


def _event(value: Any) -> str:
    name = check.text(value)
    if not _EVENT.fullmatch(name):
        raise BrokenRule("in")
    return name


def build_router(world: World, limits: PageLimits, quirks: Quirks) -> Router:
    """Return the table of all routes of the API, over one world."""
    lists = Lists(world, limits, quirks)
    products = Products(world, quirks)
    orders = Orders(world, quirks)
    webhooks = Webhooks(world)
    router = Router()
    for path in lists.by_path:
        router.add(path, get=lists.controller(path))
    router.add("/products", post=products.create)
    router.add("/orders", post=orders.create)
    router.add("/webhooks", post=webhooks.create)
    router.add("/products/{}", get=products.get, put=products.update)
    router.add("/products/{}/stock", get=products.stock)
    router.add("/products/{}/stock/{}", post=products.link_stock, put=products.set_stock)
    router.add("/products/{}/stock-mutation", put=products.mutate_stock)
    router.add("/orders/{}", get=orders.get)
    return router
