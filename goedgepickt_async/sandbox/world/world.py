"""The world of a sandbox: all that its GoedGepickt knows, and the ways to look at it and to change it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from goedgepickt_async.sandbox.world import sample_data
from goedgepickt_async.sandbox.world.inventory import Allocator, Inventory
from goedgepickt_async.sandbox.world.orders import OrderMaker
from goedgepickt_async.sandbox.world.products import ProductMaker, Stock
from goedgepickt_async.sandbox.world.shipments import ShipmentMaker
from goedgepickt_async.sandbox.world.table import (
    Change,
    ChangeKind,
    Identity,
    Observer,
    Row,
    Table,
    WorldSettings,
    parse_moment,
    write_moment,
)

__all__ = ["World"]


class World:
    """Everything in one account, in memory.

    `webshops`, `products`, `pick_locations`, `orders`, `shipments` and `webhooks` are sequences of the living rows
    as the API serves them, oldest first; rows are generated when read. Tests change the world through the methods
    here; every change of state is announced to the observers (`subscribe`).
    """

    def __init__(self, settings: WorldSettings, now: Callable[[], float]) -> None:
        """Take the sizes and the clock that dates new rows (Unix seconds)."""
        identity = Identity(settings.seed)
        self.settings = settings
        self.identity = identity
        self._now = now
        self._observers: list[Observer] = []
        self._product_maker = ProductMaker(settings, identity)
        self._order_maker = OrderMaker(settings, identity, self._product_maker)
        self._shipment_maker = ShipmentMaker(settings, identity, self._order_maker)
        self._skus: dict[str, list[int]] | None = None
        self._product_webshops: dict[int, int] = {}
        self._order_columns: dict[int, tuple[int, int]] = {}
        self.inventory: Inventory = Inventory(self._product_maker.stock, self._stock_moved, oddities=settings.oddities)
        self.allocator: Allocator = Allocator(self.inventory, self.allows_backorders)
        self.webshops: Table = Table("webshop", settings.webshops, self._make_webshop, identity)
        self.pick_locations: Table = Table("picklocation", settings.pick_locations, self._make_location, identity)
        self.products: Table = Table(
            "product", settings.products, self._product_maker.row, identity, self._dress_product
        )
        self.orders: Table = Table("order", settings.orders, self._order_maker.row, identity, self._dress_order)
        self.shipments: Table = Table("shipment", self._shipment_maker.count, self._shipment_maker.row, identity)
        self.webhooks: Table = Table("webhook", 0, lambda _: {}, identity)

    # Looking

    def order(self, uuid: str) -> Row | None:
        """Return the order with this uuid as the API serves it, or None."""
        index = self.orders.find(uuid)
        return None if index is None else self.orders.row(index)

    def product(self, uuid: str) -> Row | None:
        """Return the product with this uuid as the API serves it, or None."""
        index = self.products.find(uuid)
        return None if index is None else self.products.row(index)

    def order_status(self, index: int) -> str:
        """Return the status of order `index`."""
        if self.orders.keeps(index):
            return str(self.orders.bare(index)["status"])
        return self._order_maker.status(index)

    def order_webshop(self, index: int) -> int:
        """Return the index of the webshop of order `index`."""
        kept = self._order_columns.get(index)
        return kept[0] if kept else self._order_maker.webshop(index)

    def order_id(self, index: int) -> str:
        """Return the id that the webshop gave order `index`, also where the order does not show it."""
        shown = self.orders.bare(index) if self.orders.keeps(index) else {}
        if "orderId" not in shown and index < self.orders.generated:
            return self._order_maker.order_id(index)
        return str(shown.get("orderId"))

    def order_created(self, index: int) -> int:
        """Return the Unix second at which order `index` was created, by its own `createDate`."""
        kept = self._order_columns.get(index)
        return kept[1] if kept else self._order_maker.created(index)

    def shipment_created(self, index: int) -> int:
        """Return the Unix second at which shipment `index` was created."""
        return self._shipment_maker.created(index)

    def shipment_webshop(self, index: int) -> int | None:
        """Return the index of the webshop whose order the shipment is of, if any."""
        order = self._shipment_maker.order(index)
        return None if order is None else self.order_webshop(order)

    def product_webshop(self, index: int) -> int:
        """Return the index of the webshop that sells product `index`."""
        kept = self._product_webshops.get(index)
        return self._product_maker.webshop(index) if kept is None else kept

    def allows_backorders(self, product: int) -> bool:
        """Whether a product may be sold when it is not there; unless it says no, it may."""
        return self.products.bare(product).get("allowBackorders") is not False

    def products_with_sku(self, sku: str) -> list[int]:
        """Return the indices of the living products with this SKU, in order."""
        return [index for index in self._sku_index().get(sku, ()) if self.products.lives(index)]

    def orders_with_number(self, number: str) -> list[int]:
        """Return the indices of the living orders that can have this text as one of their numbers."""
        generated = self._order_maker.with_number(number)
        return [index for index in sorted({*generated, *self.orders.kept()}) if self.orders.lives(index)]

    # Changing

    def subscribe(self, observer: Observer) -> Callable[[], None]:
        """Call the observer with every change from now on; returns the function that ends this."""
        self._observers.append(observer)
        return lambda: self._observers.remove(observer)

    def set_stock(self, product_uuid: str, pick_location_uuid: str, quantity: int) -> None:
        """Set what quirks of a product at a location.

        Raises:
            KeyError: There is no such product or location.
        """
        product = _known(self.products, product_uuid)
        self.inventory.set(product, _known(self.pick_locations, pick_location_uuid), quantity)

    def set_order_status(self, uuid: str, status: str) -> None:
        """Give an order another status, known or not; its reservations stay as they are.

        Raises:
            KeyError: There is no such order.
        """
        self.change_order(_known(self.orders, uuid), status=status)

    def add_order(self, *, webshop: int = 0, **fields: Any) -> Row:
        """Put an order into the world behind the API's back, without moving stock.

        Args:
            webshop: The index of its webshop.
            **fields: Fields as the API serves them; the rest is filled in. `createDate` decides where it stands in
                time; in the list's own order it comes last, as every new row does.

        Returns:
            The order as the API serves it.
        """
        like = self._order_maker.row(0) if self.settings.orders else {"products": []}
        number = str(10_000 + self.orders.size)
        row = {
            **like,
            "uuid": self.orders.uuid(self.orders.size),
            "externalDisplayId": number,
            "orderNumber": number,
            "orderId": number,
            "status": "open",
            "createDate": self.now_text(),
            **fields,
        }
        return self.orders.row(self.insert_order(webshop, row))

    def delete_order(self, which: int | str) -> str:
        """Delete an order, by its place in `orders` or by its uuid, and return its uuid.

        Raises:
            KeyError: There is no such order.
        """
        uuid = str(self.orders[which]["uuid"]) if isinstance(which, int) else which
        self.orders.delete(_known(self.orders, uuid))
        return uuid

    def restore_order(self, uuid: str) -> None:
        """Bring a deleted order back to its old place: a row that appears in the middle of a list."""
        index = self.identity.index("order", uuid)
        if index is None:
            raise KeyError(uuid)
        self.orders.restore(index)

    def add_product(self, *, webshop: int = 0, **fields: Any) -> Row:
        """Put a product into the world behind the API's back, without stock.

        Args:
            webshop: The index of its webshop.
            **fields: Fields as the API serves them; the rest is filled in.

        Returns:
            The product as the API serves it.
        """
        blank = dict.fromkeys(self._product_maker.row(0))
        number = self.products.size
        row = {
            **blank,
            "uuid": self.products.uuid(number),
            "sku": f"SB-{number:05d}",
            "name": f"Artikel {number}",
            "type": "normal",
            "productAttributes": [],
            **fields,
        }
        return self.products.row(self.insert_product(webshop, row))

    def delete_product(self, uuid: str) -> None:
        """Delete a product.

        Raises:
            KeyError: There is no such product.
        """
        self.products.delete(_known(self.products, uuid))

    # What the endpoints change the world by

    def insert_order(self, webshop: int, row: Row) -> int:
        """Keep a whole new order; returns its index."""
        index = self.orders.size
        self._order_columns[index] = (webshop, parse_moment(str(row["createDate"])))
        self.orders.add(row)
        self._announce(ChangeKind.ORDER_CREATED, webshop, self.orders.row(index))
        return index

    def change_order(self, index: int, **fields: Any) -> None:
        """Change fields of an order; a change of status is announced."""
        before = self.order_status(index)
        self.orders.put(index, {**self.orders.bare(index), **fields})
        if self.order_status(index) != before:
            self._announce(ChangeKind.ORDER_STATUS_CHANGED, self.order_webshop(index), self.orders.row(index))

    def insert_product(self, webshop: int, row: Row) -> int:
        """Keep a whole new product, without stock; returns its index."""
        skus = self._sku_index()
        index = self.products.size
        self._product_webshops[index] = webshop
        self.inventory.open(index, Stock([], 0))
        self.products.add(row)
        skus.setdefault(str(row["sku"]), []).append(index)
        self._announce(ChangeKind.PRODUCT_CREATED, webshop, self.products.row(index))
        return index

    def change_product(self, index: int, **fields: Any) -> None:
        """Change fields of a product."""
        before = self.products.bare(index)
        after = {**before, **fields}
        self._sku_index()[str(before["sku"])].remove(index)
        self._sku_index().setdefault(str(after["sku"]), []).append(index)
        self.products.put(index, after)
        self._announce(ChangeKind.PRODUCT_CHANGED, self.product_webshop(index), self.products.row(index))

    def insert_webhook(self, webshop: int, row: Row) -> int:
        """Keep a new webhook subscription; returns its index."""
        index = self.webhooks.add(row)
        self._announce(ChangeKind.WEBHOOK_CREATED, webshop, row)
        return index

    def now_text(self) -> str:
        """Return the present as Dutch local time, in the form that most dates have."""
        return write_moment(int(self._now()))

    # Inside

    def _announce(self, kind: ChangeKind, webshop: int | None, row: Row) -> None:
        change = Change(kind, webshop, row)
        for observer in tuple(self._observers):
            observer(change)

    def _stock_moved(self, product: int) -> None:
        row = self.products.row(product)
        self._announce(ChangeKind.PRODUCT_STOCK_CHANGED, self.product_webshop(product), row)
        for order in self.allocator.ready_after(product):
            self.change_order(order, status="ready_for_picking")

    def _sku_index(self) -> dict[str, list[int]]:
        if self._skus is None:
            self._skus = {}
            for index in range(self.settings.products):
                self._skus.setdefault(self._product_maker.sku(index), []).append(index)
        return self._skus

    def _dress_product(self, index: int, row: Row) -> Row:
        none = self._product_maker.has_no_stock(index) and self.inventory.is_untouched(index)
        row["stock"] = None if none else self.inventory.summary(index)
        return row

    def _dress_order(self, index: int, row: Row) -> Row:
        row["webshopName"] = self._webshop_name(self.order_webshop(index))
        if index < self.settings.orders:
            parcels = [self._shipment_maker.parcel(parcel) for parcel in self._shipment_maker.of_order(index)]
            # Before shipping the field is empty or not there at all.
            if parcels or not (self.settings.oddities and index % 2):
                row["shipments"] = parcels
        return row

    def _webshop_name(self, index: int) -> str:
        word = sample_data.SHOP_WORDS[index % len(sample_data.SHOP_WORDS)]
        return f"{word}winkel {index + 1}"

    def _make_webshop(self, index: int) -> Row:
        return {
            "uuid": self.identity.uuid("webshop", index),
            "name": self._webshop_name(index),
            "url": f"https://shop{index + 1}.example.test",
            "platform": sample_data.PLATFORMS[index % len(sample_data.PLATFORMS)],
        }

    def _make_location(self, index: int) -> Row:
        aisle, place = divmod(index, 20)
        return {
            "uuid": self.identity.uuid("picklocation", index),
            "name": f"{chr(65 + aisle % 26)}{aisle // 26 or ''}-{place + 1:02d}",
        }


def _known(table: Table, uuid: str) -> int:
    index = table.find(uuid)
    if index is None:
        raise KeyError(uuid)
    return index
