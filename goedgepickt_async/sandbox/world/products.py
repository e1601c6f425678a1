"""Generated products and where their stock quirks."""

from __future__ import annotations

import attrs

from goedgepickt_async.sandbox.world import sample_data
from goedgepickt_async.sandbox.world.table import Row, SeededIds, WorldSettings

__all__ = ["LocationStock", "ProductMaker", "Stock"]


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
        """All that quirks anywhere."""
        return sum(place.quantity for place in self.locations)

    @property
    def free(self) -> int:
        """What can still be sold; negative when more is reserved than there is."""
        return self.total - self.reserved

    def at(self, location: int) -> LocationStock | None:
        """Return what lies at a location, or None if the product is not linked to it."""
        return next((place for place in self.locations if place.location == location), None)


class ProductMaker:
    """Makes product `index` from the seed; cheap parts can be asked for alone."""

    def __init__(self, settings: WorldSettings, identity: SeededIds) -> None:
        """Take the world's settings and its source of randomness."""
        self._settings = settings
        self._identity = identity
        self._odd = settings.oddities

    def webshop(self, index: int) -> int:
        """Return the index of the webshop that sells it."""
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
        adjective = sample_data.ADJECTIVES[index % len(sample_data.ADJECTIVES)]
        noun = sample_data.NOUNS[index // len(sample_data.ADJECTIVES) % len(sample_data.NOUNS)]
        return f"{adjective} {noun} {index}"

    def cents(self, index: int) -> int:
        """Return its price in euro cents."""
        return 195 + index * 7919 % 9800

    def type(self, index: int) -> str:
        """Return `parent` for a bundle's header, `child` for the product after it, else `normal`."""
        if not self._odd:
            return "normal"
        return {4: "parent", 5: "child"}.get(index % 19, "normal")

    def part(self, index: int) -> int | None:
        """Return the product that a bundle consists of, twice each; None if it is no bundle."""
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
        draw = self._identity.draw("product", index)
        row: Row = {
            "uuid": self._identity.uuid("product", index),
            "productId": str(100_000 + index),
            "sku": self.sku(index),
            "name": self.name(index),
            "ean": _ean(index) if draw[0] % 4 else None,
            "barcode": _ean(index) if draw[1] % 3 else None,
            "description": f"Omschrijving van artikel {index}" if draw[2] % 2 else None,
            "internalComment": sample_data.NOTES[draw[3] % len(sample_data.NOTES)] if draw[3] % 5 == 0 else None,
            "price": _euros(self.cents(index)),
            "costPrice": _euros(self.cents(index) // 2) if draw[4] % 3 else None,
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
            row["picture"] = sample_data.PLACEHOLDER_PICTURE if index % 8 == 1 else None
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


def _euros(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"


def _ean(index: int) -> str:
    # 20 to 29 is the range that shops may use inside their own walls: no real article has such a number.
    body = f"20{index:010d}"
    weighed = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(body))
    return f"{body}{-weighed % 10}"
