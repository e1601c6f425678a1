"""Products: how each is generated, what lies where, and what is reserved for which orders."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterator, Mapping

import attrs

from goedgepickt_async.sandbox.world.table import (
    ADJECTIVES,
    NOTES,
    NOUNS,
    PLACEHOLDER_PICTURE,
    Row,
    SeededIds,
    WorldSettings,
)


@attrs.define
class LocationStock:
    """What lies of a product at one pick location (`location` is its index)."""

    location: int
    quantity: int
    priority: int


@attrs.define
class Stock:
    """The stock of one product; `untracked` where none was ever kept, so that it limits no order."""

    locations: list[LocationStock]
    reserved: int
    unlimited: bool = False
    minimal: int = 0
    fill_to: int = 0
    untracked: bool = False

    @property
    def total(self) -> int:
        """All that lies anywhere."""
        return sum([place.quantity for place in self.locations])

    @property
    def free(self) -> int:
        """What can still be sold; negative when more is reserved than there is."""
        return self.total - self.reserved

    @property
    def ranked(self) -> list[LocationStock]:
        """The locations, in the order of priority."""
        return sorted(self.locations, key=lambda place: place.priority)

    def at(self, location: int) -> LocationStock | None:
        """Return the stock at a location, or None if the product is not linked to it."""
        return next((place for place in self.locations if place.location == location), None)


_TYPES = {4: "parent", 5: "child"}


class ProductMaker:
    """Makes product `index` from the seed; cheap parts can be asked for alone."""

    def __init__(self, settings: WorldSettings, identity: SeededIds) -> None:
        self._settings = settings
        self._identity = identity
        self._odd = settings.oddities

    def webshop(self, index: int) -> int:
        return index % self._settings.webshops

    def sku(self, index: int) -> str:
        """Return its SKU: in an odd world sometimes number-like, empty, non-ASCII, or another product's."""
        if self._odd and index % 17 == 3:
            return f"{index:04d}"
        if self._odd and index % 41 == 7:
            return ""
        if self._odd and index % 29 == 11:
            return self.sku(max(0, index - self._settings.webshops))
        if self._odd and index % 53 == 9:
            return f"KØB-{index:05d}/é"
        return f"SB-{index:05d}"

    def name(self, index: int) -> str | None:
        """Return its name; in an odd world sometimes None."""
        if self._odd and index % 31 == 13:
            return None
        adjective = ADJECTIVES[index % len(ADJECTIVES)]
        noun = NOUNS[index // len(ADJECTIVES) % len(NOUNS)]
        return f"{adjective} {noun} {index}"

    def cents(self, index: int) -> int:
        return 195 + index * 7919 % 9800

    def type(self, index: int) -> str:
        """Return `parent` for a bundle's header, `child` for the product after it, else `normal`."""
        if not self._odd:
            return "normal"
        return _TYPES.get(index % 19, "normal")

    def part(self, index: int) -> int | None:
        """Return the product in a bundle (two pieces of it); None for other products."""
        return index + 1 if self.type(index) == "parent" and index + 1 < self._settings.products else None

    def stock(self, index: int, demand: int = 0) -> Stock:
        """Return the stock that it has before anything happens.

        Args:
            index: The product.
            demand: How many pieces the generated orders have reserved. One product in eight is scarce: of it lies a part
                of the demand, so that the oldest orders are covered and the newest wait.
        """
        draw = self._identity.draw("stock", index)
        places = self._settings.pick_locations
        first = int.from_bytes(draw[:2]) % places
        chosen = sorted({(first + step * (1 + draw[2])) % places for step in range(1 + draw[3] % 3)})
        locations = [LocationStock(place, 5 + draw[8 + order] % 60, order + 1) for order, place in enumerate(chosen)]
        if demand > 1 and draw[4] % 8 == 0:
            locations = [LocationStock(place.location, 0, place.priority) for place in locations]
            locations[0].quantity = demand * (96 + draw[7] % 128) // 256
        else:
            locations[0].quantity += demand
        stock = Stock(locations, reserved=demand, minimal=draw[5] % 10, fill_to=20 + draw[6] % 30)
        if self._odd:
            self._make_odd(index, stock)
        return stock

    def has_no_stock(self, index: int) -> bool:
        """Whether no stock was ever kept of it, in an odd world: the API serves null then (reference 4.2, A)."""
        return self._odd and index % 67 == 30

    def allows_backorders(self, index: int) -> bool:
        """Whether it may be sold when it is not there."""
        return (self._odd and index % 9 == 5) or self._identity.draw("product", index)[10] % 8 != 0

    def _make_odd(self, index: int, stock: Stock) -> None:
        if index % 37 == 8:
            stock.unlimited = True
        if index % 43 == 10 or self.has_no_stock(index):
            stock.locations = []
            stock.untracked = self.has_no_stock(index)

    def row(self, index: int) -> Row:
        """Return the product as the API serves it, without its stock."""
        draw, ean = self._identity.draw("product", index), _ean(index)
        row: Row = {
            "uuid": self._identity.uuid("product", index),
            "productId": str(100_000 + index),
            "sku": self.sku(index),
            "name": self.name(index),
            "ean": ean if draw[0] % 4 else None,
            "barcode": ean if draw[1] % 3 else None,
            "description": f"Omschrijving van artikel {index}" if draw[2] % 2 else None,
            "internalComment": NOTES[draw[3] % len(NOTES)] if draw[3] % 5 == 0 else None,
            "price": euros(self.cents(index)),
            "costPrice": euros(self.cents(index) // 2) if draw[4] % 3 else None,
            "taxRate": "21" if draw[5] % 4 else "9",
            "weight": None if draw[6] % 5 == 0 else 50 + draw[6] * 10,
            "length": f"{draw[7] % 80 + 1}.5" if draw[7] % 3 else None,
            "height": f"{draw[8] % 80 + 1}" if draw[8] % 3 else None,
            "width": f"{draw[9] % 80 + 1}.25" if draw[9] % 3 else None,
            "picture": f"https://cdn.example.test/products/{100_000 + index}.jpg",
            "productAttributes": [],
            "supplier": self._supplier(index, draw),
            "allowBackorders": draw[10] % 8 != 0,
            "type": self.type(index),
        }
        return self._odd_row(index, row) if self._odd else row

    def _supplier(self, index: int, draw: bytes) -> Row | None:
        if draw[11] % 3 == 0:
            return None
        return {"uuid": self._identity.uuid("supplier", draw[12] % 5), "supplierSku": f"LEV-{index}"}

    def _odd_row(self, index: int, row: Row) -> Row:
        if index % 4 == 1:
            row["picture"] = PLACEHOLDER_PICTURE if index % 8 == 1 else None
        if index % 5 == 2:
            row["productAttributes"] = [{"name": "Kleur", "value": "crème"}]
        if index % 6 == 3:
            row["weight"] = 0.35
        if index % 11 == 4:
            row["price"] = None
        if index % 61 == 12:
            row["taxRate"] = None
        if index % 9 == 5:
            row["allowBackorders"] = None
        if index % 10 == 7:
            row["hsCode"] = "6912.00"
            row["customsInfo"] = {"originCountry": "NL", "declared": 1}
        return row


def euros(cents: int) -> str:
    """Return an amount as the API writes it."""
    return f"{cents // 100}.{cents % 100:02d}"


def _ean(index: int) -> str:
    # 20 to 29 is the range that shops may use inside their own walls: no real article has such a number.
    body = f"20{index:010d}"
    weighed = sum(map(int, body[::2])) + 3 * sum(map(int, body[1::2]))
    return f"{body}{-weighed % 10}"


RESERVING = frozenset({"open", "ready_for_picking", "backorder", "on_hold"})
"""The statuses of orders that have stock reserved. A completed order with a backorder keeps its reservation too."""


class Inventory:
    """The stock of every product: generated until it is first changed, kept from then on.

    `announce` is called when the free stock of a product changed. In an odd world, flags are sometimes 0 and 1.
    """

    def __init__(self, generate: Callable[[int], Stock], announce: Callable[[int], None], *, oddities: bool) -> None:
        self._generate = generate
        self.announce = announce
        self._oddities = oddities
        self._kept: dict[int, Stock] = {}

    def stock(self, product: int) -> Stock:
        """Return the stock of a product. Do not change the object."""
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
        self.announce(product)

    def set(self, product: int, location: int | None, quantity: int) -> None:
        """Set the stock at a location, or at the one of first priority; the product is linked to it if it was not."""
        self._place(product, location).quantity = quantity
        self.announce(product)

    def mutate(self, product: int, delta: int, location: int | None = None) -> None:
        """Add to (or, negative, take from) a location; without one, from the location of first priority."""
        self._place(product, location).quantity += delta
        self.announce(product)

    def reserve(self, product: int, quantity: int) -> None:
        """Reserve a quantity (or, negative, release it); the caller announces it with `announce`."""
        self._own(product).reserved += quantity

    def take_out(self, product: int, quantity: int) -> None:
        """Let reserved pieces leave the building: the free stock stays as it is, so this is not announced."""
        stock = self._own(product)
        stock.reserved -= quantity
        for place in stock.ranked:
            taken = min(quantity, max(0, place.quantity))
            place.quantity -= taken
            quantity -= taken
        if quantity:
            self._place(product, None).quantity -= quantity

    def summary(self, product: int) -> Row:
        """Return the `stock` object of a product as the API serves it."""
        stock = self.stock(product)
        total = stock.total
        return {
            "freeStock": total - stock.reserved,
            "totalStock": total,
            "reservedStock": stock.reserved,
            "unlimitedStock": int(stock.unlimited) if self._oddities and product % 2 else stock.unlimited,
            "minimalStock": stock.minimal,
            "fillStockTo": stock.fill_to,
        }

    def _place(self, product: int, location: int | None) -> LocationStock:
        """Return the stock at a location, linked if it was not; without one, at the location of first priority."""
        stock = self._own(product)
        if location is None:
            location = stock.ranked[0].location if stock.locations else 0
        place = stock.at(location)
        if place is None:
            place = LocationStock(location, 0, len(stock.locations) + 1)
            stock.locations.append(place)
        return place

    def _own(self, product: int) -> Stock:
        kept = self._kept.get(product)
        if kept is None:
            kept = self._kept[product] = self._generate(product)
        return kept


class Allocator:
    """Knows what each order has reserved, and whether the stock covers it: the oldest order is served first.

    An order is covered when, for each of its products, the warehouse has all that is reserved for it and for older
    orders. Products of unlimited stock and those without stock-keeping are never short.
    """

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._needs: dict[int, dict[int, int]] = {}
        self._queues: dict[int, list[int]] = {}

    def __contains__(self, order: int) -> bool:
        return order in self._needs

    def orders(self) -> Iterator[int]:
        """Return the orders that have stock reserved."""
        return iter(list(self._needs))

    def needs(self, order: int) -> Mapping[int, int]:
        """Return the pieces that an order has reserved, by product."""
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
        """Return the pieces that are missing before the order is covered, by product."""
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
