"""/products: one product, a new one, a changed one; what lies where, and moving it."""

from __future__ import annotations

from typing import Any

import attrs

from goedgepickt_async.sandbox import validation as check
from goedgepickt_async.sandbox.answers import Answer, json_answer
from goedgepickt_async.sandbox.handlers.common import checked, found, refuse
from goedgepickt_async.sandbox.quirks import Quirks
from goedgepickt_async.sandbox.requests import Incoming
from goedgepickt_async.sandbox.validation import Field
from goedgepickt_async.sandbox.world import World

__all__ = ["Products", "StockOfProducts"]


class Products:
    """The controllers of products."""

    def __init__(self, world: World, quirks: Quirks) -> None:
        """Take the world and where to lie."""
        self._world = world
        self._quirks = quirks
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
        """GET /products/{uuid}."""
        return json_answer(self._world.products.row(found(self._world.products, uuid, "Product", request)))

    def create(self, request: Incoming) -> Answer:
        """POST /products."""
        data = checked(self._new_fields, request)
        webshop, sku = int(data["webshopUuid"]), str(data["sku"])
        if self._is_taken(webshop, sku):
            raise refuse(422, f"Product with SKU {sku} already exists", self._quirks, "sku")
        return self._answer(self._world.insert_product(webshop, self._new_row(data)))

    def update(self, request: Incoming, uuid: str) -> Answer:
        """PUT /products/{uuid}."""
        index = found(self._world.products, uuid, "Product", request)
        data = checked(self._fields, request)
        webshop = self._world.product_webshop(index)
        sku = data.get("sku")
        if sku and sku != self._world.products.bare(index)["sku"] and self._is_taken(webshop, sku):
            raise refuse(422, f"Product with SKU {sku} already exists", self._quirks, "sku")
        self._world.change_product(index, **_served(data))
        return self._answer(index)

    def _is_taken(self, webshop: int, sku: str) -> bool:
        same = self._world.products_with_sku(sku)
        return any(self._world.product_webshop(index) == webshop for index in same)

    def _new_row(self, data: dict[str, Any]) -> dict[str, Any]:
        return {
            "uuid": self._world.products.uuid(self._world.products.size),
            "productId": None,
            "sku": None,
            "name": None,
            "ean": None,
            "barcode": None,
            "description": None,
            "internalComment": None,
            "price": None,
            "costPrice": None,
            "taxRate": None,
            "weight": None,
            "length": None,
            "height": None,
            "width": None,
            "picture": None,
            "productAttributes": [],
            "supplier": None,
            "allowBackorders": True,
            "type": "normal",
            **_served(data),
        }

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


class StockOfProducts:
    """The controllers of a product's stock."""

    def __init__(self, world: World, quirks: Quirks) -> None:
        """Take the world and where to lie."""
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

    def get(self, request: Incoming, uuid: str) -> Answer:
        """GET /products/{uuid}/stock."""
        product = self._product(request, uuid)
        places = sorted(self._world.inventory.stock(product).locations, key=lambda place: place.priority)
        locations = [
            {
                "picklocationUuid": self._world.pick_locations.uuid(place.location),
                "picklocationName": self._world.pick_locations.row(place.location)["name"],
                "stockQuantity": place.quantity,
                "stockPriority": place.priority,
            }
            for place in places
        ]
        return json_answer({"stockLocations": locations})

    def link(self, request: Incoming, uuid: str, location_uuid: str) -> Answer:
        """POST /products/{uuid}/stock/{pickLocationUuid}."""
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

    def set(self, request: Incoming, uuid: str, location_uuid: str) -> Answer:
        """PUT /products/{uuid}/stock/{pickLocationUuid}."""
        product, location = self._product(request, uuid), self._location(request, location_uuid)
        data = checked(self._set_fields, request)
        if self._world.inventory.stock(product).at(location) is None:
            raise refuse(404, "Stock location not found for this product", self._quirks)
        self._world.inventory.set(product, location, data["stockQuantity"])
        return json_answer({"message": "Stock updated"})

    def mutate(self, request: Incoming, uuid: str) -> Answer:
        """PUT /products/{uuid}/stock-mutation."""
        product = self._product(request, uuid)
        data = checked(self._mutation_fields, request)
        self._world.inventory.mutate(product, data["mutation"], data.get("pickLocationUuid"))
        return json_answer({"message": "Stock mutation created"})

    def _product(self, request: Incoming, uuid: str) -> int:
        return found(self._world.products, uuid, "Product", request)

    def _location(self, request: Incoming, uuid: str) -> int:
        return found(self._world.pick_locations, uuid, "PickLocation", request)
