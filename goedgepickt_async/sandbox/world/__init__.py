"""The world of a sandbox: all its data, and the ways for requests and tests to change it. It knows nothing of HTTP."""

from __future__ import annotations

import random
from collections import deque
from itertools import islice
from typing import Any, Final

from goedgepickt_async.sandbox.world.lifecycle import ACTIONS, ActionError, LifeCycle, Stage, known
from goedgepickt_async.sandbox.world.products import RESERVING
from goedgepickt_async.sandbox.world.table import Change, ChangeKind, Row, Table, WorldSettings

__all__ = [
    "ACTIONS",
    "ActionError",
    "Change",
    "ChangeKind",
    "LifeCycle",
    "Lively",
    "Row",
    "Stage",
    "Table",
    "World",
    "WorldSettings",
]


class World(LifeCycle):
    """All data of one account in memory, for reading and changing.

    `webshops`, `products`, `pick_locations`, `orders`, `shipments` and `webhooks` are sequences of the living rows
    as the API serves them, oldest first. Each change calls the observers (`subscribe`), and so sends webhooks. See
    `LifeCycle` for the actions on orders.
    """

    def set_stock(self, product_uuid: str, pick_location_uuid: str, quantity: int) -> None:
        """Set the quantity of a product at a location.

        Raises:
            KeyError: The product or location does not exist.
        """
        product = known(self.products, product_uuid)
        self.inventory.set(product, known(self.pick_locations, pick_location_uuid), quantity)

    def set_order_status(self, uuid: str, status: str) -> None:
        """Set the status of an order, known or unknown.

        For an order that has not left yet, `completed` ships it, `cancelled` cancels it and `on_hold` holds it, with all
        effects. A backorder is completed without a shipment. Any other status is only stored, also for an order that is
        completed or cancelled; reservations then stay as they are.

        Raises:
            KeyError: The order does not exist.
        """
        index = known(self.orders, uuid)
        actions = self.actions(uuid)
        if status == "completed" and "complete" in actions:
            if self.stage(uuid) in {"new", "on_hold"} and not self.allocator.missing(index):
                self.change_order(index, status="ready_for_picking")
            (self.ship if "ship" in self.actions(uuid) else self.complete)(uuid)
        elif status == "cancelled" and "cancel" in actions:
            self.cancel(uuid)
        elif status == "on_hold" and "hold" in actions:
            self.hold(uuid)
        else:
            self.change_order(index, status=status)

    def add_order(self, *, webshop: int = 0, **fields: Any) -> Row:
        """Add an order directly, without a request and without a change of stock.

        Args:
            webshop: The index of its webshop.
            **fields: Fields as the API serves them; the rest is filled in. `createDate` is its place in
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
            KeyError: The order does not exist.
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
        """Add a product directly, without a request and without stock.

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
            KeyError: The product does not exist.
        """
        self.products.delete(known(self.products, uuid))


_HAPPENS: Final = {"arrive": 36, "advance": 38, "deliver": 12, "restock": 6, "cancel": 4, "return": 2, "correct": 2}
"""How often which thing happens, in a hundred."""
_CHANCES: Final = {
    "restock": (("waiting",), "restock"),
    "cancel": (("new", "ready", "waiting"), "cancel"),
    "correct": (("ready",), "backorder"),
}
"""What happens to an order in one of some stages: the stages and the action."""
_NEXT: Final = {
    "new": "reserve",
    "on_hold": "reserve",
    "ready": "pick",
    "picking": "pick",
    "picked": "pack",
    "packed": "ship",
}
_LOOKED_AT: Final = 40
_ON_THE_WAY: Final = 1000


class Lively:
    """Makes one thing happen at a time; the same seed and world make the same things happen."""

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed)  # noqa: S311 - play data
        self._on_the_way: deque[str] = deque(maxlen=_ON_THE_WAY)

    def step(self, world: World) -> str:
        """Let something happen, and return what: `arrive`, `advance`, `deliver` or another.

        What cannot happen now (for example, there is nothing to deliver) becomes the next step of an order, or an arrival.
        """
        (what,) = self._draw.choices(list(_HAPPENS), list(_HAPPENS.values()))
        try:
            if self._happens(world, what):
                return what
        except (ActionError, KeyError):  # an order that was changed or deleted meanwhile
            pass
        if self._advance(world):
            return "advance"
        self._arrive(world)
        return "arrive"

    def _happens(self, world: World, what: str) -> bool:
        if what == "arrive":
            return self._arrive(world)
        if what == "advance":
            return self._advance(world)
        if what in {"deliver", "return"}:
            if self._on_the_way:
                world.act(self._on_the_way.popleft(), what)
                return True
            return False
        stages, action = _CHANCES[what]
        stage = self._draw.choice(stages) if len(stages) > 1 else stages[0]
        fitting = [uuid for uuid in self._oldest(world) if world.stage(uuid) == stage]
        if fitting:
            world.act(self._draw.choice(fitting), action)
        return bool(fitting)

    def _arrive(self, world: World) -> bool:
        if not world.settings.products:
            return False
        world.place_order(webshop=self._draw.randrange(world.settings.webshops))
        return True

    def _advance(self, world: World) -> bool:
        """Take one of the oldest orders that can move one step further."""
        moving = [uuid for uuid in self._oldest(world) if world.stage(uuid) in _NEXT]
        if not moving:
            return False
        uuid = self._draw.choice(moving[:10])
        action = _NEXT[world.stage(uuid)]
        world.act(uuid, action)
        if action == "ship":
            self._on_the_way.append(uuid)
        return True

    def _oldest(self, world: World) -> list[str]:
        orders = sorted(index for index in world.allocator.orders() if world.orders.lives(index))
        left = (index for index in orders if world.order_status(index) != "completed")
        return [world.orders.uuid(index) for index in islice(left, _LOOKED_AT)]
