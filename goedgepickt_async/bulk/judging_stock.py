"""What is to be done about the desired stock of one product, given the present ones with its SKU. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

import attrs

from goedgepickt_async.bulk.judging_products import several_there
from goedgepickt_async.bulk.planned import Action, Change, Conflict, LeftAlone, PlannedWrite, Unchanged, Verdict, Wish
from goedgepickt_async.bulk.rows import is_utf8
from goedgepickt_async.models import Product, ProductStock, ProductType, StockLocation

__all__ = ["Settled", "StockSeen", "evidence_of", "judge_free", "judge_set", "settle_mutation", "wished_level"]

_MOST_DIGITS: Final = 12
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,12}(?:\.0+)?", re.ASCII)


@attrs.frozen(kw_only=True)
class StockSeen:
    """What is there of one SKU.

    Attributes:
        products: The products that have it.
        locations: Where it lies, if that was asked for.
    """

    products: tuple[Product, ...] = ()
    locations: tuple[StockLocation, ...] | None = None


@attrs.frozen
class Settled:
    """What the numbers say of a mutation whose answer was lost: done, not done, or (None) nobody can tell."""

    is_done: bool | None
    why: str = ""


def wished_level(row: Any, index: int) -> Wish | Conflict:
    """A desired pair of SKU and level in one form."""
    if not isinstance(row, Sequence) or isinstance(row, str | bytes) or len(row) != 2:
        return Conflict(key="", indexes=(index,), reason="a row must be a pair of a SKU and a level")
    sku, level = row
    text = str(sku) if isinstance(sku, int) and not isinstance(sku, bool) else sku
    if not isinstance(text, str) or not text.strip():
        return Conflict(key="", indexes=(index,), reason="the sku is empty", fields={"sku": "must be text, not empty"})
    if not is_utf8(text):
        return Conflict(key="", indexes=(index,), reason="the sku is no text that UTF-8 can carry")
    whole = _whole(level)
    if whole is None or whole < 0:
        why = "must be a whole number" if whole is None else "must not be negative"
        return Conflict(key=text.strip(), indexes=(index,), reason=f"the level {why}", fields={"level": why})
    return Wish(key=text.strip(), index=index, values={"sku": text.strip(), "level": whole})


def judge_free(wish: Wish, seen: StockSeen) -> Verdict:
    """Bring the free stock to the level by a mutation."""
    product = _one(wish, seen)
    if not isinstance(product, Product):
        return product
    stock = product.stock
    if stock is None or stock.free_stock is None:
        return Conflict(key=wish.key, indexes=(wish.index,), reason="its stock is not told", uuids=(product.uuid,))
    return _judged(wish, product, Action.MUTATE, "free_stock", stock.free_stock)


def judge_set(wish: Wish, seen: StockSeen, *, location: str) -> Verdict:
    """Set what lies at the location."""
    product = _one(wish, seen)
    if not isinstance(product, Product):
        return product
    if seen.locations is None:
        total = None if product.stock is None else product.stock.total_stock
        if total is None:
            return Conflict(key=wish.key, indexes=(wish.index,), reason="its stock is not told", uuids=(product.uuid,))
        return _judged(wish, product, Action.SET, "quantity", total)
    for place in seen.locations:
        if place.pick_location_uuid == location:
            return _judged(wish, product, Action.SET, "quantity", place.quantity)
    return Conflict(
        key=wish.key,
        indexes=(wish.index,),
        reason="it is not linked to this location",
        uuids=(product.uuid,),
    )


def evidence_of(product: Product) -> dict[str, int | None]:
    """What tells later whether a mutation was carried out: the total, and what is reserved, which picking changes too."""
    stock = product.stock or ProductStock()
    return {"total": stock.total_stock, "reserved": stock.reserved_stock}


def settle_mutation(delta: int, before: Any, now: Any) -> Settled:
    """Whether a mutation was carried out, by the numbers before and now; only where they leave no other reading."""
    total, reserved = before.get("total"), before.get("reserved")
    if total is None or now.get("total") is None:
        return Settled(None, "the API does not tell the total stock")
    if reserved != now.get("reserved"):
        return Settled(None, "other stock moved meanwhile")
    moved = now["total"] - total
    if moved == delta:
        return Settled(is_done=True)
    return Settled(is_done=False) if moved == 0 else Settled(None, "other stock moved meanwhile")


def _one(wish: Wish, seen: StockSeen) -> Product | Conflict | LeftAlone:
    """The product that the wish is about, if its stock can be written."""
    if not seen.products:
        return Conflict(key=wish.key, indexes=(wish.index,), reason="no product has this SKU")
    product, *others = seen.products
    if others:
        return several_there(wish, seen.products)
    if product.type == ProductType.PARENT:
        return _left_alone(wish, product, "a compound product: its stock is that of its parts")
    if product.stock is not None and product.stock.unlimited_stock:
        return _left_alone(wish, product, "its stock is unlimited")
    return product


def _judged(wish: Wish, product: Product, action: Action, field: str, present: int | None) -> Verdict:
    level = wish.values["level"]
    if present == level:
        return Unchanged(key=wish.key, index=wish.index, uuid=product.uuid)
    return PlannedWrite(
        action=action,
        wish=wish,
        uuid=product.uuid,
        name=product.name or "",
        changes=(Change(field=field, before=present, after=level),),
        seen=evidence_of(product),
    )


def _left_alone(wish: Wish, product: Product, reason: str) -> LeftAlone:
    return LeftAlone(key=wish.key, index=wish.index, uuid=product.uuid, reason=reason)


def _whole(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, Decimal):
        value = format(value, "f") if value.is_finite() and value.adjusted() < _MOST_DIGITS else ""
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        return int(value.strip().partition(".")[0])
    return value if isinstance(value, int) and abs(value) < 10**_MOST_DIGITS else None
