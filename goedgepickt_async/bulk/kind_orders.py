"""Plans for new orders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, ClassVar

from goedgepickt_async.bulk.judging_orders import judge_order, new_order, wished_order
from goedgepickt_async.bulk.kinds import Kind
from goedgepickt_async.bulk.planned import Conflict, PlannedWrite, Verdict, Wish
from goedgepickt_async.bulk.reading import read_orders
from goedgepickt_async.resources import Orders
from goedgepickt_async.wire.pipeline import Sender

__all__ = ["OrderKind"]


class OrderKind(Kind[tuple[str, ...]]):
    """New orders, of which some may be there."""

    name: ClassVar[str] = "orders"

    def __init__(self, sender: Sender, *, webshop: str, since: date | str | None = None) -> None:
        self.noun = "order id"
        self.webshop: str | None = webshop
        self._shop = webshop
        self._since = date.fromisoformat(since) if isinstance(since, str) else since
        self.options: Mapping[str, Any] = {"since": None if self._since is None else self._since.isoformat()}
        self._sender = sender
        self._orders = Orders(sender)

    def wish(self, row: Any, index: int) -> Wish | Conflict:
        """A desired row, checked and in one form."""
        return wished_order(row, index, webshop=self._shop)

    async def read(self, wishes: Sequence[Wish]) -> Mapping[str, tuple[str, ...]]:
        """The orders with these ids."""
        return await read_orders(self._sender, wishes, since=self._since, webshop=self._shop)

    def judge(self, wish: Wish, present: tuple[str, ...] | None) -> Verdict:
        """Create or leave it."""
        return judge_order(wish, present or ())

    async def send(self, write: PlannedWrite) -> str | None:
        """Create it."""
        return (await self._orders.create(new_order(write.wish.values))).uuid
