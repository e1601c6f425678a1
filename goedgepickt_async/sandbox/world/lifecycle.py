"""The steps of an order: reserved, picked, packed, shipped, delivered, returned; or on hold, without stock, cancelled.

Each step has all its effects: stock and reservations, picked quantities, dates, shipments, the status, and the changes
that webhooks report. If the behaviour of the service is unknown, the step's docstring has the assumption.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

from goedgepickt_async.sandbox.world.orders import shipment_row, track_trace_code
from goedgepickt_async.sandbox.world.state import State
from goedgepickt_async.sandbox.world.table import CARRIERS, ChangeKind, Row, Table

Stage = Literal["new", "waiting", "on_hold", "ready", "picking", "picked", "packed", "shipped", "delivered", "returned",
    "completed", "cancelled", "other"]  # fmt: skip
"""The stage of an order. Unlike the status, it includes picking, packing and delivery."""

ACTIONS: Final[dict[str, str]] = {
    "reserve": "Process an open or held order: ready for picking when its stock is there, else a backorder.",
    "hold": "Put an order on hold; its stock stays reserved.",
    "pick": "Pick all lines of an order that is ready.",
    "pack": "Pack what is picked.",
    "ship": "Send it: a shipment with track and trace, dates, status completed; the pieces leave the stock.",
    "deliver": "Deliver its shipments.",
    "return": "Return its shipments; the pieces are in stock again.",
    "cancel": "Cancel it: the reservation is released.",
    "backorder": "Correct the stock so that a piece is missing, and the order waits for it.",
    "restock": "Add the missing pieces for a backorder.",
    "complete": "Complete it without a shipment; a backorder keeps its stock reserved and needs attention.",
}
"""The actions for orders, by name."""


class ActionError(ValueError):
    """An action is not possible in the state of the order; the message has the reason and the possible actions."""


class LifeCycle(State):
    """The actions for orders, each with the uuid of an order.

    Each action raises `KeyError` if the order does not exist, and `ActionError` if it is not possible; then nothing is
    changed. Each action returns the changed order in the API's form.
    """

    def stage(self, uuid: str) -> Stage:
        """Return the stage of an order."""
        index = known(self.orders, uuid)
        return self._stage(index, self.orders.bare(index))

    def actions(self, uuid: str) -> tuple[str, ...]:
        """Return the names of the possible actions for an order."""
        return _FITTING[self.stage(uuid)]

    def act(self, uuid: str, action: str) -> Row:
        """Run one of `ACTIONS` by its name.

        Raises:
            ActionError: The action does not fit the order's state, or no action has that name.
        """
        if action not in ACTIONS:
            raise ActionError(f"there is no action {action!r}; there are {', '.join(ACTIONS)}")
        do: Callable[[str], Row] = getattr(self, "return_order" if action == "return" else action)
        return do(uuid)

    def reserve(self, uuid: str) -> Row:
        """Process an open or held order: `ready_for_picking` when all its stock is there, else `backorder`."""
        index = self._fit(uuid, "reserve")
        needs = self.needs_of(self.orders.bare(index)["products"])
        fresh = index not in self.allocator
        if fresh:
            self.allocator.add(index, needs)
        self.change_order(index, status=self._processed(index))
        if fresh:
            self._announce_stock(needs)
        return self.orders.row(index)

    def hold(self, uuid: str) -> Row:
        """Put an order on hold; its stock stays reserved."""
        index = self._fit(uuid, "hold")
        self._waiting_open.discard(index)
        self.change_order(index, status="on_hold")
        return self.orders.row(index)

    def pick(self, uuid: str, quantities: Mapping[str, int] | None = None) -> Row:
        """Pick an order that is ready: its lines' `pickedQuantity` grows. No status is known for it, so it keeps its own.

        Args:
            uuid: The order.
            quantities: SKU to pieces, to pick a part of the order; None picks all that is left.
        """
        index = self._fit(uuid, "pick")
        lines, left = [], None if quantities is None else dict(quantities)
        for line in self.orders.bare(index)["products"]:
            wanted = int(line["productQuantity"]) - int(line["pickedQuantity"] or 0)
            if left is not None:
                wanted = min(wanted, max(0, left.get(str(line["sku"]), 0)))
                left[str(line["sku"])] = left.get(str(line["sku"]), 0) - wanted
            lines.append({**line, "pickedQuantity": int(line["pickedQuantity"] or 0) + wanted})
        unknown = [sku for sku in quantities or () if all(str(line["sku"]) != sku for line in lines)]
        if unknown:
            raise ActionError(f"the order has no line with SKU {', '.join(unknown)}")
        self.change_order(index, products=lines)
        return self._touched(index)

    def pack(self, uuid: str) -> Row:
        """Pack an order, and pick remaining pieces first. The API does not show this."""
        index = self._fit(uuid, "pack")
        self._pick_and_pack(index)
        return self._touched(index)

    def ship(
        self,
        uuid: str,
        *,
        carrier: str | None = None,
        track_trace_code: str | None = None,
        status: str = "shipped",
    ) -> Row:
        """Ship an order: it gets a shipment and dates, becomes `completed`, and its pieces leave the stock.

        Remaining pieces are picked and packed first. The free stock does not change, because the pieces were reserved.

        Args:
            uuid: The order.
            carrier: The shipping method of the shipment; None takes the order's own.
            track_trace_code: Its code; None makes one.
            status: The first status of the shipment.
        """
        index = self._fit(uuid, "ship")
        self._pick_and_pack(index)
        self.allocator.remove(index, shipped=True)
        self._waiting_open.discard(index)
        now = self.now_text()
        self._send(index, carrier, track_trace_code, status)
        self.change_order(index, status="completed", finishDate=now, shippedDate=now)
        return self.orders.row(index)

    def deliver(self, uuid: str) -> Row:
        """Deliver the shipments of an order: status `delivered`, with `deliveredDate`. No webhook is known for this."""
        index = self._fit(uuid, "deliver")
        for shipment in self.shipments_of(index):
            if not self.shipments.bare(shipment)["deliveredDate"]:
                self.change_shipment(shipment, status="delivered", deliveredDate=self.now_text())
        return self._touched(index)

    def return_order(self, uuid: str) -> Row:
        """Return the shipments of an order: status `returned`. The pieces are in stock again, and webhooks are sent."""
        index = self._fit(uuid, "return")
        for shipment in self.shipments_of(index):
            self.change_shipment(shipment, status="returned")
        for product, quantity in self.needs_of(self.orders.bare(index)["products"]).items():
            self.inventory.mutate(product, quantity)
        return self._touched(index)

    def cancel(self, uuid: str) -> Row:
        """Cancel an order that is not shipped. Its reservation is released, which can make other orders ready."""
        index = self._fit(uuid, "cancel")
        released = self.allocator.remove(index)
        self._waiting_open.discard(index)
        self._packed.discard(index)
        self.change_order(index, status="cancelled")
        self._announce_stock(released)
        return self.orders.row(index)

    def backorder(self, uuid: str, sku: str | None = None) -> Row:
        """Correct the stock of one of an order's products, so that a piece is missing for the order.

        Younger orders that need the product wait too, since the oldest order is served first.

        Args:
            uuid: The order.
            sku: The product's SKU; None takes the first one whose stock is kept and that may be backordered.
        """
        index = self._fit(uuid, "backorder")
        product = self._to_be_short(index, sku)
        self.inventory.mutate(product, -self.allocator.slack(product, index) - 1)
        return self.orders.row(index)

    def restock(self, uuid: str) -> Row:
        """Add the missing pieces for an order and for older orders, so that it becomes ready."""
        index = self._fit(uuid, "restock")
        for product, lacking in self.allocator.missing(index).items():
            self.inventory.mutate(product, lacking)
        return self.orders.row(index)

    def complete(self, uuid: str) -> Row:
        """Complete an order without a shipment, like a manual completion in GoedGepickt.

        An order that waits for stock keeps its stock reserved and is flagged for attention (reference: what its users run into, 4).
        """
        index = self._fit(uuid, "complete")
        now = self.now_text()
        self._waiting_open.discard(index)
        if index in self.allocator and self.allocator.missing(index):
            flag = 1 if self.settings.oddities else True
            self.change_order(index, status="completed", finishDate=now, attentionNeeded=flag)
            return self.orders.row(index)
        self._pick_and_pack(index)
        self.allocator.remove(index, shipped=True)
        self.change_order(index, status="completed", finishDate=now)
        return self.orders.row(index)

    def track(self, shipment_uuid: str, status: str) -> Row:
        """Give a shipment another status, known or not, such as `in_transit`.

        Raises:
            KeyError: The shipment does not exist.
        """
        index = known(self.shipments, shipment_uuid)
        arrived = self.now_text() if status.startswith("delivered") else self.shipments.bare(index)["deliveredDate"]
        self.change_shipment(index, status=status, deliveredDate=arrived)
        return self.shipments.row(index)

    def place_order(self, lines: Sequence[tuple[str, int]] | None = None, *, webshop: int = 0, **fields: Any) -> Row:
        """Create an order like `POST /orders`: its stock is reserved, and its status follows from that.

        Args:
            lines: Pairs of SKU and quantity; None invents an order from the seed.
            webshop: The index of its webshop.
            **fields: Fields as the API serves them; the rest is invented.

        Raises:
            ValueError: A SKU is unknown, or a quantity is less than 1.
        """
        index = self.orders.size
        row = self._order_maker.invent(index, "open", int(self._now()))
        if lines is not None:
            row["products"] = [line for sku, quantity in lines for line in self._lines_of(sku, quantity, webshop)]
        row["createDate"] = self.now_text()
        return self.orders.row(self.admit_order(webshop, {**row, "uuid": self.orders.uuid(index), **fields}))

    def product_with_sku(self, sku: str, webshop: int) -> int | None:
        """Return the product that a line means: the webshop's own if it has one with the SKU, else any."""
        same = self.products_with_sku(sku)
        own = [product for product in same if self.product_webshop(product) == webshop]
        return next(iter(own or same), None)

    def line(self, product: int, quantity: int, **fields: Any) -> list[Row]:
        """Return the lines that an order of a product has: one, or a bundle's header and its part."""
        bare = self.products.bare(product)
        line = {
            "productUuid": self.products.uuid(product),
            "productName": bare["name"],
            "sku": bare["sku"],
            "productQuantity": quantity,
            "pickedQuantity": 0,
            "productPrice": bare["price"] or "0.00",
            "type": "normal",
            **fields,
        }
        part = self._product_maker.part(product) if product < self.settings.products else None
        if part is None:
            return [line]
        return [
            {**line, "type": "parent"},
            {**self.line(part, quantity * 2)[0], "productPrice": "0.00", "type": "child"},
        ]

    # Inside

    def _lines_of(self, sku: str, quantity: int, webshop: int) -> list[Row]:
        product = self.product_with_sku(sku, webshop)
        if product is None or quantity < 1:
            raise ValueError(
                f"an order line needs the SKU of a product and a quantity of at least 1: {sku!r}, {quantity}"
            )
        return self.line(product, quantity)

    def _stage(self, index: int, row: Row) -> Stage:
        status = str(row["status"])
        if status in _PLAIN:
            return _PLAIN[status]
        if status == "completed":
            return self._stage_of_shipments(index)
        if status != "ready_for_picking":
            return "other"
        if index in self._packed:
            return "packed"
        picked = sum(int(line["pickedQuantity"] or 0) for line in row["products"])
        wanted = sum(int(line["productQuantity"]) for line in row["products"])
        return "ready" if not picked else "picked" if picked >= wanted else "picking"

    def _stage_of_shipments(self, index: int) -> Stage:
        shipments = [self.shipments.bare(shipment) for shipment in self.shipments_of(index)]
        if not shipments:
            return "completed"
        if all(row["status"] == "returned" for row in shipments):
            return "returned"
        return "delivered" if all(row["deliveredDate"] for row in shipments) else "shipped"

    def _fit(self, uuid: str, action: str) -> int:
        index = known(self.orders, uuid)
        row = self.orders.bare(index)
        stage = self._stage(index, row)
        if action in _FITTING[stage]:
            return index
        hint = f"; it can: {', '.join(_FITTING[stage])}" if _FITTING[stage] else ""
        if stage == "waiting":
            short = ", ".join(
                f"{lacking} of {self.products.bare(product)['sku'] or 'a product without SKU'}"
                for product, lacking in self.allocator.missing(index).items()
            )
            hint = f" for {short or 'stock'}{hint}"
        raise ActionError(f"an order that is {_SAID.get(stage, stage)} cannot {action}{hint}")

    def _pick_and_pack(self, index: int) -> None:
        lines = self.orders.bare(index)["products"]
        self.change_order(index, products=[{**line, "pickedQuantity": line["productQuantity"]} for line in lines])
        self._packed.add(index)

    def _to_be_short(self, index: int, sku: str | None) -> int:
        needs = self.allocator.needs(index)
        for product in needs:
            stock = self.inventory.stock(product)
            if stock.unlimited or stock.untracked or not self.allows_backorders(product):
                continue
            if sku is None or str(self.products.bare(product)["sku"]) == sku:
                return product
        raise ActionError(
            "none of the order's products can be short: their stock is unlimited, or not to be backordered"
        )

    def _send(self, index: int, carrier: str | None, code: str | None, status: str) -> None:
        order, number = self.orders.row(index), self.shipments.size
        drawn = CARRIERS[self.identity.draw("shipment", number)[1] % len(CARRIERS)]
        row = shipment_row(
            self.shipments.uuid(number),
            order,
            status=status,
            createDate=self.now_text(),
            deliveredDate=None,
            shippingMethod=carrier or order.get("shippingMethod") or drawn,
            trackTraceCode=code or track_trace_code(number),
            externalId=f"EXT-{number}",
        )
        self.insert_shipment(index, row)

    def _touched(self, index: int) -> Row:
        """Announce that an order changed in something else than its status; no webhook reports it."""
        row = self.orders.row(index)
        self._announce(ChangeKind.ORDER_CHANGED, self.order_webshop(index), row)
        return row


def known(table: Table, uuid: str) -> int:
    """Return the index of the living row with this uuid.

    Raises:
        KeyError: The row does not exist.
    """
    index = table.find(uuid)
    if index is None:
        raise KeyError(uuid)
    return index


_PLAIN: Final[dict[str, Stage]] = {
    "open": "new",
    "backorder": "waiting",
    "on_hold": "on_hold",
    "cancelled": "cancelled",
}
_SAID: Final = {"new": "open", "waiting": "waiting", "ready": "ready for picking", "on_hold": "on hold"}
_MOVING: Final = ("pick", "pack", "ship", "hold", "backorder", "complete", "cancel")
_FITTING: Final[dict[Stage, tuple[str, ...]]] = {
    "new": ("reserve", "hold", "complete", "cancel"),
    "waiting": ("restock", "hold", "complete", "cancel"),
    "on_hold": ("reserve", "complete", "cancel"),
    "ready": _MOVING,
    "picking": _MOVING,
    "picked": ("pack", "ship", "hold", "backorder", "complete", "cancel"),
    "packed": ("ship", "hold", "complete", "cancel"),
    "shipped": ("deliver", "return"),
    "delivered": ("return",),
    "returned": (),
    "completed": (),
    "cancelled": (),
    "other": ("cancel",),
}
