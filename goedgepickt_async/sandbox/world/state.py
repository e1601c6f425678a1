"""The state of a sandbox: its tables, what is known about their rows, and how changes are kept and announced."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from goedgepickt_async.sandbox.world.orders import OrderMaker, ShipmentMaker
from goedgepickt_async.sandbox.world.products import RESERVING, Allocator, Inventory, ProductMaker, Stock
from goedgepickt_async.sandbox.world.table import (
    PLATFORMS,
    SHOP_WORDS,
    Change,
    ChangeKind,
    Observer,
    Row,
    SeededIds,
    Table,
    WorldSettings,
    parse_moment,
    write_moment,
)

_STYLES: Final = {"space": 0, "T": 1, "Z": 2}
_ORDER_DATES: Final = ("createDate", "finishDate", "shippedDate")
_SHIPMENT_DATES: Final = ("createDate", "deliveredDate")


class State:
    """All data of one account in memory.

    `webshops`, `products`, `pick_locations`, `orders`, `shipments` and `webhooks` are sequences of the living rows,
    oldest first, as the API serves them. Generated rows are made when they are read.

    Three rules are always true. The reserved stock of a product is the quantity in open orders, and in completed orders
    that were short. The oldest orders get stock first. An order is `backorder` if stock is missing, and otherwise
    `ready_for_picking`.

    Args:
        settings: The sizes and the seed.
        now: The clock that dates new rows, in Unix seconds.
        dates: A function that returns the form of dates: `space`, `T`, `Z`, or `mixed` (another form in each row).
    """

    def __init__(
        self, settings: WorldSettings, now: Callable[[], float], dates: Callable[[], str] = lambda: "space"
    ) -> None:
        identity = SeededIds(settings.seed)
        self.settings = settings
        self.identity = identity
        self._now = now
        self._dates = dates
        self._observers: list[Observer] = []
        self._product_maker = ProductMaker(settings, identity)
        self._order_maker = OrderMaker(settings, identity, self._product_maker)
        self._shipment_maker = ShipmentMaker(settings, identity, self._order_maker)
        self._skus: dict[str, list[int]] | None = None
        self._product_webshops: dict[int, int] = {}
        self._order_columns: dict[int, tuple[int, int]] = {}
        self._shipment_columns: dict[int, tuple[int, int]] = {}
        self._parcels: dict[int, list[int]] = {}
        self._past: dict[int, set[str]] = {}
        self._waiting_open: set[int] = set()
        self._packed: set[int] = set()
        self._demand: dict[int, int] = {}
        self.inventory: Inventory = Inventory(self._first_stock, self._stock_moved, oddities=settings.oddities)
        self.allocator: Allocator = Allocator(self.inventory)
        self.webshops: Table = Table("webshop", settings.webshops, self._make_webshop, identity)
        self.pick_locations: Table = Table("picklocation", settings.pick_locations, self._make_location, identity)
        self.products: Table = Table(
            "product", settings.products, self._product_maker.row, identity, self._dress_product
        )
        self.orders: Table = Table("order", settings.orders, self._order_maker.row, identity, self._dress_order)
        shipments = self._shipment_maker
        self.shipments: Table = Table("shipment", shipments.count, shipments.row, identity, self._dress_shipment)
        self.webhooks: Table = Table("webhook", 0, lambda _: {}, identity)
        self._allocate_generated()

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

    def past_statuses(self, index: int) -> frozenset[str]:
        """Return the statuses that order `index` had before its present one, as far as they are known or likely."""
        past = self._past.get(index, set())
        if index >= self.settings.orders:
            return frozenset(past)
        first = self._order_maker.status(index)
        if first == "completed":
            return frozenset({"ready_for_picking", *(("backorder",) if index % 7 == 0 else ()), *past})
        return frozenset({"open", *past} if first == "cancelled" else past)

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
        kept = self._shipment_columns.get(index)
        return kept[1] if kept else self._shipment_maker.created(index)

    def shipment_order(self, index: int) -> int | None:
        """Return the order that shipment `index` is of, if any."""
        kept = self._shipment_columns.get(index)
        return kept[0] if kept else self._shipment_maker.order(index)

    def shipments_of(self, order: int) -> list[int]:
        """Return the shipments of order `order`, oldest first."""
        generated = self._shipment_maker.of_order(order) if order < self.settings.orders else range(0)
        return [*generated, *self._parcels.get(order, ())]

    def shipment_webshop(self, index: int) -> int | None:
        """Return the index of the webshop whose order the shipment is of, if any."""
        order = self.shipment_order(index)
        return None if order is None else self.order_webshop(order)

    def product_webshop(self, index: int) -> int:
        """Return the index of the webshop that sells product `index`."""
        kept = self._product_webshops.get(index)
        return self._product_maker.webshop(index) if kept is None else kept

    def allows_backorders(self, product: int) -> bool:
        """Whether a product may be sold when it is not there; unless it says no, it may."""
        if not self.products.keeps(product):
            return self._product_maker.allows_backorders(product)
        return self.products.bare(product).get("allowBackorders") is not False

    def stock_locations(self, product: int) -> list[Row]:
        """Return what lies of a product at each location as the API serves it, in the order of priority."""
        return [
            {
                "picklocationUuid": self.pick_locations.uuid(place.location),
                "picklocationName": self.pick_locations.row(place.location)["name"],
                "stockQuantity": place.quantity,
                "stockPriority": place.priority,
            }
            for place in self.inventory.stock(product).ranked
        ]

    def status_counts(self) -> dict[str, int]:
        """How many living orders have each status."""
        counts = Counter(self._order_maker.status_counts())
        for index in self.orders.gone() | set(self.orders.kept()):
            if index < self.settings.orders:
                counts[self._order_maker.status(index)] -= 1
        counts.update(self.order_status(index) for index in self.orders.kept())
        return {status: number for status, number in counts.items() if number}

    def orders_with_status(self, status: str) -> Sequence[int]:
        """Return the indices of the living orders with a status, oldest first."""
        generated, kept = self._order_maker.with_status(status), self.orders.kept()
        changed = self.orders.gone() | set(kept)
        if not changed:
            return generated
        unchanged = [index for index in generated if index not in changed]
        return sorted([*unchanged, *(index for index in kept if self.order_status(index) == status)])

    def product_label(self, index: int) -> tuple[str, str]:
        """Return SKU and name of product `index`, without making the whole row where that is not needed."""
        if not self.products.keeps(index):
            return self._product_maker.sku(index), self._product_maker.name(index) or ""
        row = self.products.bare(index)
        return str(row["sku"]), str(row["name"] or "")

    def products_with_sku(self, sku: str) -> list[int]:
        """Return the indices of the living products with this SKU, in order."""
        return [index for index in self._sku_index().get(sku, ()) if self.products.lives(index)]

    def orders_with_number(self, number: str) -> list[int]:
        """Return the indices of the living orders that can have this text as one of their numbers."""
        generated = self._order_maker.with_number(number)
        return [index for index in sorted({*generated, *self.orders.kept()}) if self.orders.lives(index)]

    def subscribe(self, observer: Observer) -> Callable[[], None]:
        """Call the observer with every change from now on; returns the function that ends this."""
        self._observers.append(observer)
        return lambda: self._observers.remove(observer)

    # Keeping what changes

    def insert_order(self, webshop: int, row: Row) -> int:
        """Keep a whole new order; returns its index."""
        index = self.orders.size
        self._order_columns[index] = (webshop, parse_moment(str(row["createDate"])))
        self.orders.add(row)
        self._announce(ChangeKind.ORDER_CREATED, webshop, self.orders.row(index))
        return index

    def admit_order(self, webshop: int, row: Row, *, process: bool = True) -> int:
        """Keep a new order as the service does: reserve stock for it, and give it the status that this leads to.

        An `open` order becomes `ready_for_picking` when all is there. It becomes `backorder` when each short product may
        be backordered; otherwise it stays open until its stock is there. `completed` and `cancelled` ones reserve nothing.

        Args:
            webshop: The index of its webshop.
            row: The order, with the status that was asked for.
            process: Whether an open order is processed immediately.
        """
        index, needs = self.orders.size, self.needs_of(row["products"])
        if row["status"] in RESERVING:
            self.allocator.add(index, needs)
            if row["status"] == "open" and process and needs:
                row = {**row, "status": self._processed(index)}
        self.insert_order(webshop, row)
        if index in self.allocator:
            self._announce_stock(needs)
        return index

    def needs_of(self, lines: Iterable[Mapping[str, Any]]) -> dict[int, int]:
        """Return the pieces that an order's lines need, by known product; headers of bundles are left out."""
        needs: dict[int, int] = {}
        for line in lines:
            product = self.products.find(str(line.get("productUuid") or ""))
            if product is not None and line.get("type") != "parent":
                needs[product] = needs.get(product, 0) + int(line["productQuantity"])
        return needs

    def change_order(self, index: int, **fields: Any) -> None:
        """Change fields of an order; a change of status is announced."""
        before = self.order_status(index)
        self.orders.put(index, {**self.orders.bare(index), **fields})
        after = self.order_status(index)
        if after != before:
            self._past.setdefault(index, set()).add(before)
            self._past[index].discard(after)
            self._announce(ChangeKind.ORDER_STATUS_CHANGED, self.order_webshop(index), self.orders.row(index))

    def insert_shipment(self, order: int, row: Row) -> int:
        """Keep a new shipment of an order; returns its index."""
        index = self.shipments.size
        self._shipment_columns[index] = (order, parse_moment(str(row["createDate"])))
        self._parcels.setdefault(order, []).append(index)
        self.shipments.add(row)
        self._announce(ChangeKind.SHIPMENT_CREATED, self.order_webshop(order), self.shipments.row(index))
        return index

    def change_shipment(self, index: int, **fields: Any) -> None:
        """Change fields of a shipment."""
        self.shipments.put(index, {**self.shipments.bare(index), **fields})
        self._announce(ChangeKind.SHIPMENT_CHANGED, self.shipment_webshop(index), self.shipments.row(index))

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

    def add_webhook(self, webshop: int, event: str, target_url: str) -> Row:
        """Subscribe a URL to an event of a webshop (by index), and return the subscription with its secret."""
        number = self.webhooks.size
        row = {
            "webhookUuid": self.webhooks.uuid(number),
            "webhookEvent": event,
            "webhookSecret": self.identity.draw("webhook secret", number).hex()[:40],
            "targetUrl": target_url,
            "webshopName": self.webshops.row(webshop)["name"],
            "webshopUuid": self.webshops.uuid(webshop),
        }
        self.insert_webhook(webshop, row)
        return row

    # Inside

    def _allocate_generated(self) -> None:
        """Let stock decide which generated orders are ready and which wait, the oldest first."""
        needs = {index: self._order_maker.needs(index) for index in self._order_maker.reserving()}
        for need in needs.values():
            for product, quantity in need.items():
                self._demand[product] = self._demand.get(product, 0) + quantity
        left: dict[int, float] = {}
        for product in self._demand:
            stock = self.inventory.stock(product)
            left[product] = float("inf") if stock.unlimited or stock.untracked else stock.total
        for index, need in needs.items():
            self.allocator.load(index, need)
            short = []
            for product, quantity in need.items():
                left[product] -= quantity
                if left[product] < 0:
                    short.append(product)
            if short and self._order_maker.status(index) == "ready_for_picking":
                backorder = all(self._product_maker.allows_backorders(product) for product in short)
                self._order_maker.settle(index, "backorder" if backorder else "open")
                if not backorder:
                    self._waiting_open.add(index)

    def _first_stock(self, product: int) -> Stock:
        return self._product_maker.stock(product, self._demand.get(product, 0))

    def _processed(self, order: int) -> str:
        """Return the status that an order gets whose stock is reserved."""
        missing = self.allocator.missing(order)
        self._waiting_open.discard(order)
        if not missing:
            return "ready_for_picking"
        if all(self.allows_backorders(product) for product in missing):
            return "backorder"
        self._waiting_open.add(order)
        return "open"

    def _announce(self, kind: ChangeKind, webshop: int | None, row: Row) -> None:
        change = Change(kind, webshop, row)
        for observer in tuple(self._observers):
            observer(change)

    def _announce_stock(self, products: Iterable[int]) -> None:
        for product in products:
            self.inventory.announce(product)

    def _stock_moved(self, product: int) -> None:
        row = self.products.row(product)
        self._announce(ChangeKind.PRODUCT_STOCK_CHANGED, self.product_webshop(product), row)
        self._reallocate(product)

    def _reallocate(self, product: int) -> None:
        """Give the orders that need a product the status that its stock now allows, the oldest first."""
        for order, covered in self.allocator.waiting_for(product):
            status = self.order_status(order)
            lost = not covered and status == "ready_for_picking"
            found = covered and (status == "backorder" or order in self._waiting_open)
            if not self.orders.lives(order) or not (lost or found):
                continue
            after = self._processed(order)
            if after != status:
                self.change_order(order, status=after)

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
        parcels = [self._parcel(shipment) for shipment in self.shipments_of(index)]
        # Before shipping the field is empty or not there at all.
        left_out = self.settings.oddities and index % 2 and index < self.settings.orders
        if parcels or not ("shipments" in row or left_out):
            row["shipments"] = parcels
        return self._respelled(index, row, _ORDER_DATES)

    def _dress_shipment(self, index: int, row: Row) -> Row:
        return self._respelled(index, row, _SHIPMENT_DATES)

    def _parcel(self, shipment: int) -> Row:
        if not self.shipments.keeps(shipment):
            return self._respelled(shipment, self._shipment_maker.parcel(shipment), _SHIPMENT_DATES)
        row = self.shipments.row(shipment)
        return {name: row[name] for name in ("trackTraceCode", "trackTraceUrl", "createDate")}

    def _respelled(self, index: int, row: Row, names: tuple[str, ...]) -> Row:
        dates = self._dates()
        style = index % 3 if dates == "mixed" else _STYLES[dates]
        if style:
            for name in names:
                if row.get(name):
                    row[name] = write_moment(parse_moment(str(row[name])), style)
        return row

    def _webshop_name(self, index: int) -> str:
        return f"{SHOP_WORDS[index % len(SHOP_WORDS)]}winkel {index + 1}"

    def _make_webshop(self, index: int) -> Row:
        return {
            "uuid": self.identity.uuid("webshop", index),
            "name": self._webshop_name(index),
            "url": f"https://shop{index + 1}.example.test",
            "platform": PLATFORMS[index % len(PLATFORMS)],
        }

    def _make_location(self, index: int) -> Row:
        aisle, place = divmod(index, 20)
        return {
            "uuid": self.identity.uuid("picklocation", index),
            "name": f"{chr(65 + aisle % 26)}{aisle // 26 or ''}-{place + 1:02d}",
        }
