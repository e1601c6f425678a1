"""Stock that moves: what quirks where, what is reserved, and who is told."""

from __future__ import annotations

from collections.abc import Callable

from goedgepickt_async.sandbox.world.products import LocationStock, Stock
from goedgepickt_async.sandbox.world.table import Row

__all__ = ["Inventory"]


class Inventory:
    """The stock of every product: generated until it is first changed, kept from then on."""

    def __init__(self, generate: Callable[[int], Stock], moved: Callable[[int], None], *, oddities: bool) -> None:
        """Take the maker of a product's first stock and the function to call after each change."""
        self._generate = generate
        self._moved = moved
        self._oddities = oddities
        self._kept: dict[int, Stock] = {}

    def stock(self, product: int) -> Stock:
        """Return the stock of a product, to look at."""
        return self._kept.get(product) or self._generate(product)

    def is_untouched(self, product: int) -> bool:
        """Whether its stock is still as it was generated."""
        return product not in self._kept

    def open(self, product: int, stock: Stock) -> None:
        """Give a new product its first stock; nobody is told."""
        self._kept[product] = stock

    def link(self, product: int, location: int, quantity: int, priority: int) -> None:
        """Link a product to a location where it did not lie yet."""
        self._own(product).locations.append(LocationStock(location, quantity, priority))
        self._moved(product)

    def set(self, product: int, location: int, quantity: int) -> None:
        """Set what quirks at a location; the product is linked to it if it was not."""
        stock = self._own(product)
        place = stock.at(location)
        if place is None:
            stock.locations.append(LocationStock(location, quantity, len(stock.locations) + 1))
        else:
            place.quantity = quantity
        self._moved(product)

    def mutate(self, product: int, delta: int, location: int | None = None) -> None:
        """Add to (or, negative, take from) a location; without one, from the location of first priority."""
        stock = self._own(product)
        if location is None:
            ranked = sorted(stock.locations, key=lambda place: place.priority)
            location = ranked[0].location if ranked else 0
        place = stock.at(location)
        if place is None:
            place = LocationStock(location, 0, len(stock.locations) + 1)
            stock.locations.append(place)
        place.quantity += delta
        self._moved(product)

    def reserve(self, product: int, quantity: int) -> None:
        """Reserve (or, negative, release) a quantity for an order."""
        self._own(product).reserved += quantity
        self._moved(product)

    def summary(self, product: int) -> Row:
        """Return the `stock` object of a product as the API serves it."""
        stock = self.stock(product)
        return {
            "freeStock": stock.free,
            "totalStock": stock.total,
            "reservedStock": stock.reserved,
            "unlimitedStock": int(stock.unlimited) if self._oddities and product % 2 else stock.unlimited,
            "minimalStock": stock.minimal,
            "fillStockTo": stock.fill_to,
        }

    def _own(self, product: int) -> Stock:
        return self._kept.setdefault(product, self._generate(product))
