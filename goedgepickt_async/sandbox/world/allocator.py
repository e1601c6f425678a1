"""What becomes of a new order: stock is reserved for it, and it is ready, or waits for stock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from goedgepickt_async.sandbox.world.inventory import Inventory

__all__ = ["Allocator"]


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
