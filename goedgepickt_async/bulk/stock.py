"""Plans for stock: compare it and write the differences."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, ClassVar, Final

import attrs

from goedgepickt_async._transport.pipeline import Sender
from goedgepickt_async.bulk.products import one_of_several
from goedgepickt_async.bulk.strategy import (
    PlanStrategy,
    ProductsSeen,
    find_products,
    is_utf8,
    not_there,
    number_as_text,
    read_locations,
)
from goedgepickt_async.bulk.values import (
    Action,
    Change,
    Conflict,
    ConflictCode,
    Decision,
    DesiredRow,
    PlannedWrite,
    Resolution,
    Skipped,
    Unchanged,
)
from goedgepickt_async.errors import ConfigurationError
from goedgepickt_async.models import Product, ProductStock, ProductType
from goedgepickt_async.resources import Stock

__all__ = [
    "StockStrategy",
    "diff_free_stock",
    "diff_location_stock",
    "evidence_of",
    "normalize_level",
    "resolve_mutation",
]

_MOST_DIGITS: Final = 12
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,12}(?:\.0+)?", re.ASCII)


def normalize_level(row: Any, index: int) -> DesiredRow | Conflict:
    """Return a desired row from a pair of SKU and quantity; the product's uuid may follow."""
    if not isinstance(row, Sequence) or isinstance(row, str | bytes) or len(row) not in {2, 3}:
        return Conflict(key="", indexes=(index,), reason="a row must be a pair of SKU and quantity")
    sku, level, uuid = (*row, None)[:3]
    text = number_as_text(sku)
    if not isinstance(text, str) or not text.strip():
        return Conflict(key="", indexes=(index,), reason="the sku is empty", fields={"sku": "must be text, not empty"})
    if not is_utf8(text):
        return Conflict(key="", indexes=(index,), reason="the sku is not valid Unicode text")
    whole = _whole(level)
    if whole is None:
        why = "must be a whole number"
        return Conflict(key=text.strip(), indexes=(index,), reason=f"the level {why}", fields={"level": why})
    values = {"sku": text.strip(), "level": whole}
    return DesiredRow(key=text.strip(), index=index, values=values, uuid=uuid if isinstance(uuid, str) else None)


def diff_free_stock(desired: DesiredRow, seen: ProductsSeen) -> Decision:
    """Change the free stock to the desired quantity by a mutation."""

    def diff(product: Product) -> Decision:
        free = None if product.stock is None else product.stock.free_stock
        return _not_told(desired, product) if free is None else _planned(desired, product, Action.MUTATE, free)

    return _diff(desired, seen, diff)


def diff_location_stock(desired: DesiredRow, seen: ProductsSeen, *, location: str) -> Decision:
    """Set the quantity at a location."""

    def diff(product: Product) -> Decision:
        if seen.locations is None:
            total = None if product.stock is None else product.stock.total_stock
            return _not_told(desired, product) if total is None else _planned(desired, product, Action.SET, total)
        for place in seen.locations:
            if place.pick_location_uuid == location:
                return _planned(desired, product, Action.SET, place.quantity)
        reason = "it is not linked to this location"
        return Conflict(
            key=desired.key, indexes=(desired.index,), reason=reason, code=ConflictCode.UNWRITABLE,
            uuids=(product.uuid,),
        )  # fmt: skip

    return _diff(desired, seen, diff)


def _not_told(desired: DesiredRow, product: Product) -> Conflict:
    reason = "the API reports no stock for it"
    return Conflict(key=desired.key, indexes=(desired.index,), reason=reason, uuids=(product.uuid,))


def evidence_of(product: Product) -> dict[str, int | None]:
    """Return the evidence for a mutation: the total and the reserved stock, which picking changes too."""
    stock = product.stock or ProductStock()
    return {"total": stock.total_stock, "reserved": stock.reserved_stock}


def resolve_mutation(delta: int, before: Any, now: Any) -> Resolution:
    """Whether a mutation was carried out, by the numbers before and now; None if they are not conclusive."""
    total, reserved = before.get("total"), before.get("reserved")
    if total is None or now.get("total") is None:
        return Resolution(None, "the API does not report the total stock")
    if reserved != now.get("reserved"):
        return Resolution(None, "the stock was changed by others meanwhile")
    moved = now["total"] - total
    if moved == delta:
        return Resolution(is_done=True)
    return Resolution(is_done=False) if moved == 0 else Resolution(None, "the stock was changed by others meanwhile")


def _diff(desired: DesiredRow, seen: ProductsSeen, diff: Callable[[Product], Decision]) -> Decision:
    """Return the product of a row if its stock can be written, or the conflict."""
    if not seen.products:
        return not_there(desired, seen) or Conflict(
            key=desired.key,
            indexes=(desired.index,),
            reason="no product of this account has this SKU",
            code=ConflictCode.NOT_FOUND,
        )

    def writable(product: Product) -> Decision:
        if product.type == ProductType.PARENT:
            return _skip(desired, product, "a compound product: only its parts have stock")
        if product.stock is not None and product.stock.unlimited_stock:
            return _skip(desired, product, "its stock is unlimited")
        return diff(product)

    product, *others = seen.products
    return one_of_several(desired, seen.products, writable) if others else writable(product)


def _planned(desired: DesiredRow, product: Product, action: Action, present: int | None) -> Decision:
    field = "quantity" if action is Action.SET else "free_stock"
    level = desired.values["level"]
    if present == level:
        return Unchanged(key=desired.key, index=desired.index, uuid=product.uuid)
    if level < 0:  # a stock that is negative already may stay so
        why = "must not be negative"
        return Conflict(key=desired.key, indexes=(desired.index,), reason=f"the level {why}", fields={"level": why})
    return PlannedWrite(
        action=action,
        desired=desired,
        uuid=product.uuid,
        name=product.name or "",
        changes=(Change(field=field, before=present, after=level),),
        seen=evidence_of(product),
    )


def _skip(desired: DesiredRow, product: Product, reason: str) -> Skipped:
    return Skipped(key=desired.key, index=desired.index, uuid=product.uuid, reason=reason)


def _whole(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, Decimal):
        value = format(value, "f") if value.is_finite() and value.adjusted() < _MOST_DIGITS else ""
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        return int(value.strip().partition(".")[0])
    return value if isinstance(value, int) and abs(value) < 10**_MOST_DIGITS else None


class StockStrategy(PlanStrategy[ProductsSeen]):
    """The strategy for stock."""

    name: ClassVar[str] = "stock"

    def __init__(
        self,
        sender: Sender,
        *,
        webshop: str,
        mode: str = "free",
        location: str | None = None,
        one_location: bool = False,
        reason: str | None = None,
    ) -> None:
        if mode not in {"set", "free"}:
            raise ConfigurationError(f"mode must be 'set' or 'free', not {mode!r}")
        if mode == "set" and not location:
            raise ConfigurationError("mode 'set' needs location=, the uuid of a pick location")
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

    def normalize(self, row: Any, index: int) -> DesiredRow | Conflict:
        """A desired row, checked and in one form."""
        return normalize_level(row, index)

    async def read(self, desired_rows: Sequence[DesiredRow]) -> Mapping[str, ProductsSeen]:
        """Return the products with these SKUs, and their locations if they are needed."""
        keys = {desired.key for desired in desired_rows}
        products, looked_at = await find_products(self._sender, keys, key="sku", webshop=self.webshop)
        self.looked_at: str = looked_at
        if self.reads_in_pages:
            return products
        single = [seen.products[0].uuid for seen in products.values() if len(seen.products) == 1]
        locations = await read_locations(self._sender, single)
        return {
            key: attrs.evolve(seen, locations=locations.get(seen.products[0].uuid)) if seen.products else seen
            for key, seen in products.items()
        }

    def diff(self, desired: DesiredRow, present: ProductsSeen | None) -> Decision:
        """Decide about the stock of a product."""
        seen = present or ProductsSeen()
        if not self._sets:
            return diff_free_stock(desired, seen)
        if not self.reads_in_pages and len(seen.products) > 1:
            desired = attrs.evolve(desired, uuid=None)  # their locations were not read
        assert self._location is not None
        return diff_location_stock(desired, seen, location=self._location)

    def is_sound(self, write: PlannedWrite) -> bool:
        """Whether a write that was saved is one that this strategy can have planned."""
        wanted = write.desired.values
        again = self.normalize((wanted["sku"], wanted["level"]), write.index)
        action = Action.SET if self._sets else Action.MUTATE
        is_same = isinstance(again, DesiredRow) and again == write.desired and write.action is action
        return is_same and [change.after for change in write.changes] == [wanted["level"]]

    async def send(self, write: PlannedWrite) -> str | None:
        """Set or mutate the stock."""
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

    def resolve(self, write: PlannedWrite, present: ProductsSeen | None) -> tuple[Resolution, str | None]:
        """Find out whether a write was carried out: a mutation by the numbers, a set quantity by its value."""
        if write.action is not Action.MUTATE:
            return super().resolve(write, present)
        same = [product for product in (present or ProductsSeen()).products if product.uuid == write.uuid]
        if not same:
            return Resolution(None, "the product does not exist any more"), None
        (change,) = write.changes
        return resolve_mutation(change.after - change.before, write.seen, evidence_of(same[0])), write.uuid
