"""Plans for stock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from goedgepickt_async.bulk.judging_stock import (
    Settled,
    StockSeen,
    evidence_of,
    judge_free,
    judge_set,
    settle_mutation,
    wished_level,
)
from goedgepickt_async.bulk.kinds import Kind
from goedgepickt_async.bulk.planned import Action, Conflict, PlannedWrite, Verdict, Wish
from goedgepickt_async.bulk.reading import read_locations, read_products
from goedgepickt_async.errors import ConfigurationError
from goedgepickt_async.resources import Stock
from goedgepickt_async.wire.pipeline import Sender

__all__ = ["StockKind"]


class StockKind(Kind[StockSeen]):
    """Stock as it is wanted."""

    name: ClassVar[str] = "stock"

    def __init__(
        self,
        sender: Sender,
        *,
        webshop: str | None,
        mode: str = "free",
        location: str | None = None,
        one_location: bool = False,
        reason: str | None = None,
    ) -> None:
        if mode not in {"set", "free"}:
            raise ConfigurationError(f"mode must be 'set' or 'free', not {mode!r}")
        if mode == "set" and not location:
            raise ConfigurationError("to set quantities, say at which pick location: location=, its uuid")
        self.noun = "sku"
        self.webshop = webshop
        self.options: Mapping[str, Any] = {
            "mode": mode,
            "location": location,
            "one_location": one_location,
            "reason": reason,
        }
        self.reads_in_pages: bool = mode == "free" or one_location
        self._sender = sender
        self._stock = Stock(sender)
        self._sets = mode == "set"
        self._location = location
        self._reason = reason

    def wish(self, row: Any, index: int) -> Wish | Conflict:
        """A desired row, checked and in one form."""
        return wished_level(row, index)

    async def read(self, wishes: Sequence[Wish]) -> Mapping[str, StockSeen]:
        """The products with these SKUs; and where they lie, if that has to be asked one by one."""
        keys = {wish.key for wish in wishes}
        products = await read_products(self._sender, keys, key="sku", webshop=self.webshop)
        if self.reads_in_pages:
            return {key: StockSeen(products=found) for key, found in products.items()}
        single = [found[0].uuid for found in products.values() if len(found) == 1]
        locations = await read_locations(self._sender, single)
        return {
            key: StockSeen(products=found, locations=locations.get(found[0].uuid)) for key, found in products.items()
        }

    def judge(self, wish: Wish, present: StockSeen | None) -> Verdict:
        """Set, mutate, or leave it."""
        seen = present or StockSeen()
        if not self._sets:
            return judge_free(wish, seen)
        assert self._location is not None
        return judge_set(wish, seen, location=self._location)

    async def send(self, write: PlannedWrite) -> str | None:
        """Set or mutate it."""
        assert write.uuid is not None
        (change,) = write.changes
        if write.action is Action.SET:
            assert self._location is not None
            await self._stock.set(write.uuid, self._location, change.after, reason=self._reason)
        else:
            await self._stock.mutate(
                write.uuid, change.after - change.before, reason=self._reason, pick_location_uuid=self._location
            )
        return write.uuid

    def settle(self, write: PlannedWrite, present: StockSeen | None) -> tuple[Settled, str | None]:
        """A mutation can only be told by the numbers; a quantity that was set is there or not."""
        if write.action is not Action.MUTATE:
            return super().settle(write, present)
        same = [product for product in (present or StockSeen()).products if product.uuid == write.uuid]
        if not same:
            return Settled(None, "the product is not there any more"), None
        (change,) = write.changes
        return settle_mutation(change.after - change.before, write.seen, evidence_of(same[0])), write.uuid
