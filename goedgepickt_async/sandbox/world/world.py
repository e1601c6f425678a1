"""The world of a sandbox: all that its GoedGepickt knows, and the ways for tests to change it."""

from __future__ import annotations

from typing import Any, Final

from goedgepickt_async.sandbox.world.inventory import RESERVING
from goedgepickt_async.sandbox.world.lifecycle import LifeCycle, known
from goedgepickt_async.sandbox.world.table import Row

__all__ = ["World"]

_STEPS: Final = {"cancelled": "cancel", "on_hold": "hold"}


class World(LifeCycle):
    """Everything in one account, in memory, to look at and to change.

    `webshops`, `products`, `pick_locations`, `orders`, `shipments` and `webhooks` are sequences of the living rows
    as the API serves them, oldest first. Every change of state is announced to the observers (`subscribe`), and so to
    webhook subscriptions. See `LifeCycle` for what can be done to an order.
    """

    def set_stock(self, product_uuid: str, pick_location_uuid: str, quantity: int) -> None:
        """Set what lies of a product at a location.

        Raises:
            KeyError: There is no such product or location.
        """
        product = known(self.products, product_uuid)
        self.inventory.set(product, known(self.pick_locations, pick_location_uuid), quantity)

    def set_order_status(self, uuid: str, status: str) -> None:
        """Give an order another status, known or not.

        For an order that has not left yet, `completed` ships it (a backorder is completed without a shipment), `cancelled`
        cancels and `on_hold` holds it, with all effects. Any other status is only written down, as it is, and so is a
        status for an order that is completed or cancelled; reservations then stay as they are.

        Raises:
            KeyError: There is no such order.
        """
        index = known(self.orders, uuid)
        actions = self.actions(uuid)
        if status == "completed" and "complete" in actions:
            if self.stage(uuid) in {"new", "on_hold"} and not self.allocator.missing(index):
                self.change_order(index, status="ready_for_picking")
            (self.ship if "ship" in self.actions(uuid) else self.complete)(uuid)
        elif _STEPS.get(status) in actions:
            self.act(uuid, _STEPS[status])
        else:
            self.change_order(index, status=status)

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
        """Delete an order, by its place in `orders` or by its uuid, and return its uuid; its reservation is released.

        Raises:
            KeyError: There is no such order.
        """
        uuid = str(self.orders[which]["uuid"]) if isinstance(which, int) else which
        index = known(self.orders, uuid)
        self.orders.delete(index)
        self._announce_stock(self.allocator.remove(index))
        return uuid

    def restore_order(self, uuid: str) -> None:
        """Bring a deleted order back to its old place: a row that appears in the middle of a list."""
        index = self.identity.index("order", uuid)
        if index is None:
            raise KeyError(uuid)
        self.orders.restore(index)
        if self.order_status(index) in RESERVING and index not in self.allocator:
            needs = self.needs_of(self.orders.bare(index)["products"])
            self.allocator.add(index, needs)
            self._announce_stock(needs)

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
        self.products.delete(known(self.products, uuid))
