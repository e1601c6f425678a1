"""/products/{uuid}/stock and /products/{uuid}/stock-mutation: what quirks where, and moving it."""

from __future__ import annotations

from goedgepickt_async.sandbox import validation as check
from goedgepickt_async.sandbox.answers import Answer, json_answer
from goedgepickt_async.sandbox.handlers.common import checked, found, refuse
from goedgepickt_async.sandbox.incoming import Incoming
from goedgepickt_async.sandbox.quirks import Quirks
from goedgepickt_async.sandbox.validation import Field
from goedgepickt_async.sandbox.world import World

__all__ = ["StockOfProducts"]


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
