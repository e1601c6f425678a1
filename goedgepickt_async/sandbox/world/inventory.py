"""Stock: what lies where, what is reserved for which orders, and which of them it covers."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterator, Mapping

from goedgepickt_async.sandbox.world.products import LocationStock, Stock
from goedgepickt_async.sandbox.world.table import Row

__all__ = ["RESERVING", "Allocator", "Inventory"]

RESERVING = frozenset({"open", "ready_for_picking", "backorder", "on_hold"})
"""The statuses of orders that have stock reserved. A completed order with a backorder keeps its reservation too."""


class Inventory:
    """The stock of every product: generated until it is first changed, kept from then on.

    Args:
        generate: Makes the first stock of a product.
        moved: Called after each change of a product's stock.
        oddities: Whether flags are sometimes written as 0 and 1.
    """

    def __init__(self, generate: Callable[[int], Stock], moved: Callable[[int], None], *, oddities: bool) -> None:
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
        """Give a new product its first stock; this is not announced."""
        self._kept[product] = stock

    def link(self, product: int, location: int, quantity: int, priority: int) -> None:
        """Link a product to a location where it did not lie yet."""
        self._own(product).locations.append(LocationStock(location, quantity, priority))
        self._moved(product)

    def set(self, product: int, location: int, quantity: int) -> None:
        """Set what lies at a location; the product is linked to it if it was not."""
        stock = self._own(product)
        place = stock.at(location)
        if place is None:
            stock.locations.append(LocationStock(location, quantity, len(stock.locations) + 1))
        else:
            place.quantity = quantity
        self._moved(product)

    def mutate(self, product: int, delta: int, location: int | None = None) -> None:
        """Add to (or, negative, take from) a location; without one, from the location of first priority."""
        self._add(product, delta, location)
        self._moved(product)

    def reserve(self, product: int, quantity: int) -> None:
        """Reserve a quantity (or, negative, release it); the caller announces it with `announce`."""
        self._own(product).reserved += quantity

    def take_out(self, product: int, quantity: int) -> None:
        """Let reserved pieces leave the building: the free stock stays as it is, so this is not announced."""
        stock = self._own(product)
        stock.reserved -= quantity
        for place in sorted(stock.locations, key=lambda place: place.priority):
            taken = min(quantity, max(0, place.quantity))
            place.quantity -= taken
            quantity -= taken
        if quantity:
            self._add(product, -quantity, None)

    def announce(self, product: int) -> None:
        """Announce that a product's free stock changed."""
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

    def _add(self, product: int, delta: int, location: int | None) -> None:
        stock = self._own(product)
        if location is None:
            ranked = sorted(stock.locations, key=lambda place: place.priority)
            location = ranked[0].location if ranked else 0
        place = stock.at(location)
        if place is None:
            place = LocationStock(location, 0, len(stock.locations) + 1)
            stock.locations.append(place)
        place.quantity += delta

    def _own(self, product: int) -> Stock:
        kept = self._kept.get(product)
        if kept is None:
            kept = self._kept[product] = self._generate(product)
        return kept


class Allocator:
    """Knows what each order has reserved, and whether the stock covers it: the oldest order is served first.

    An order is covered when, for each of its products, all that is reserved for it and for older orders lies in the
    warehouse. Products of unlimited stock and those without stock-keeping are never short.
    """

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._needs: dict[int, dict[int, int]] = {}
        self._queues: dict[int, list[int]] = {}

    def __contains__(self, order: int) -> bool:
        """Whether the order has stock reserved."""
        return order in self._needs

    def orders(self) -> Iterator[int]:
        """Return the orders that have stock reserved."""
        return iter(list(self._needs))

    def needs(self, order: int) -> Mapping[int, int]:
        """Return how many pieces of which product an order has reserved."""
        return self._needs.get(order, {})

    def load(self, order: int, needs: dict[int, int]) -> None:
        """Take over a generated order; its reservations are in the generated stock. Call in the order of age."""
        self._needs[order] = needs
        for product in needs:
            self._queues.setdefault(product, []).append(order)

    def add(self, order: int, needs: Mapping[int, int]) -> None:
        """Reserve what an order needs; the caller announces the products."""
        self._needs[order] = dict(needs)
        for product, quantity in needs.items():
            insort(self._queues.setdefault(product, []), order)
            self._inventory.reserve(product, quantity)

    def remove(self, order: int, *, shipped: bool = False) -> dict[int, int]:
        """Give up an order's reservation and return it; the caller announces the products.

        Args:
            order: The order.
            shipped: Whether the pieces leave the warehouse with it.
        """
        needs = self._needs.pop(order, {})
        for product, quantity in needs.items():
            self._queues[product].remove(order)
            if shipped:
                self._inventory.take_out(product, quantity)
            else:
                self._inventory.reserve(product, -quantity)
        return needs

    def missing(self, order: int) -> dict[int, int]:
        """Return how many pieces of which product are missing before the order is covered."""
        found = {}
        for product in self._needs.get(order, {}):
            lacking = -self.slack(product, order)
            if lacking > 0:
                found[product] = lacking
        return found

    def slack(self, product: int, order: int) -> int:
        """Return what is left of a product after the order and all older ones got theirs; negative when it is short."""
        stock = self._inventory.stock(product)
        if stock.unlimited or stock.untracked:
            return 1 << 30
        used = 0
        for other in self._queues.get(product, ()):
            if other > order:
                break
            used += self._needs[other][product]
        return stock.total - used

    def waiting_for(self, product: int) -> list[tuple[int, bool]]:
        """Return the orders that reserved a product, oldest first, with whether their share of it is there."""
        stock = self._inventory.stock(product)
        endless = stock.unlimited or stock.untracked
        left, found = stock.total, []
        for order in self._queues.get(product, ()):
            left -= self._needs[order][product]
            found.append((order, endless or left >= 0))
        return found
