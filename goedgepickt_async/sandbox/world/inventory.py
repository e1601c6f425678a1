"""Stock: what lies where, what is reserved, and which orders it covers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from goedgepickt_async.sandbox.world.products import LocationStock, Stock
from goedgepickt_async.sandbox.world.table import Row

__all__ = ["Allocator", "Inventory"]


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


class Allocator:
    """Reserves stock for new orders and remembers which of them wait for it.

    Generated orders are history: their stock was reserved before the world began, and they wait for nothing.
    """

    def __init__(self, inventory: Inventory, allows_backorders: Callable[[int], bool]) -> None:
        """Take the stock, and who knows whether a product may be sold when it is not there."""
        self._inventory = inventory
        self._allows_backorders = allows_backorders
        self._waiting: dict[int, Counter[int]] = {}

    def place(self, order: int, needs: Mapping[int, int], status: str) -> str:
        """Reserve what an order needs and return the status that it gets.

        Args:
            order: The index of the order.
            needs: How many it needs of which product.
            status: What was asked for. `completed` and `cancelled` orders reserve nothing; `open` ones become
                `ready_for_picking` when all is there, `backorder` when not and every short product may be
                backordered, and stay open otherwise.
        """
        if status in {"completed", "cancelled"}:
            return status
        for product, quantity in needs.items():
            self._inventory.reserve(product, quantity)
        if status != "open" or not needs:
            return status
        short = [product for product in needs if self._is_short(product)]
        if not short:
            return "ready_for_picking"
        if not all(self._allows_backorders(product) for product in short):
            return "open"
        self._waiting[order] = Counter(needs)
        return "backorder"

    def ready_after(self, product: int) -> list[int]:
        """Return the orders that wait no longer after this product's stock moved, oldest first."""
        concerned = [order for order, needs in self._waiting.items() if product in needs]
        ready = [order for order in concerned if self._is_covered(order)]
        for order in ready:
            del self._waiting[order]
        return ready

    def _is_short(self, product: int) -> bool:
        stock = self._inventory.stock(product)
        return not stock.unlimited and stock.free < 0

    def _is_covered(self, order: int) -> bool:
        """Whether all is there for an order if those that came after it wait; the oldest is served first."""
        for product in self._waiting[order]:
            stock = self._inventory.stock(product)
            later = sum(needs[product] for other, needs in self._waiting.items() if other > order)
            if not stock.unlimited and stock.free + later < 0:
                return False
        return True
