"""Plans for products and for their stock: compare them and write the differences."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, ClassVar, Final

import attrs

from goedgepickt_async._transport.pipeline import Sender
from goedgepickt_async.bulk.strategy import (
    PlanStrategy,
    ProductsSeen,
    conflict,
    conflicting,
    fields_of,
    find_products,
    fold,
    is_utf8,
    not_there,
    number_as_text,
    read_locations,
    refused,
)
from goedgepickt_async.bulk.values import (
    NOT_REPORTED,
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
from goedgepickt_async.convert import to_plain
from goedgepickt_async.errors import ConfigurationError, ValidationError
from goedgepickt_async.models import NewProduct, Product, ProductStock, ProductType, ProductUpdate
from goedgepickt_async.models.serialization import plain_scalar
from goedgepickt_async.resources import Products, Stock
from goedgepickt_async.text import shown

__all__ = [
    "ProductStrategy",
    "StockStrategy",
    "diff_free_stock",
    "diff_location_stock",
    "diff_product",
    "equal",
    "evidence_of",
    "normalize",
    "normalize_level",
    "normalize_product",
    "one_of_several",
    "resolve_mutation",
]

# -- products -----------------------------------------------------------------------------------------------------

_TEXTS: Final = ("webshop_uuid", "name", "sku", "product_id", "url", "picture")
_READABLE: Final = frozenset({"name", "sku", "product_id", "picture", "price"})
_WIRE_NAMES: Final = {"stock_management": "stockManagement", "url": "url"}
"""Fields that the API accepts and is not known to return. If it returns them, they are in `extra`."""
_FLAGS: Final = {"0": False, "1": True, "false": False, "true": True}


def equal(field: str, one: Any, other: Any) -> bool:
    """Whether two values of a product's field are equal."""
    return bool(normalize(field, one) == normalize(field, other))


def normalize(field: str, value: Any) -> Any:
    """Return the normalised value; None for an empty value."""
    text = value.strip() if isinstance(value, str) else value
    if text is None or text == "":
        return None
    if field == "price":
        try:
            return Decimal(str(text))
        except InvalidOperation:
            return text
    if field == "stock_management":
        return _FLAGS.get(str(text).lower(), text)
    return str(text)


def normalize_product(row: Any, index: int, *, key: str, webshop: str) -> DesiredRow | Conflict:
    """Return a desired row, as values for `json.dumps`.

    Args:
        row: A `NewProduct`, `ProductUpdate`, `Product`, another attrs object, or a mapping. Of a `Product`, which was
            read, only the fields that can be written are used.
        index: Its place in the input.
        key: The field that identifies a product.
        webshop: The webshop of the plan.
    """
    fields: dict[str, Any] = {}
    try:
        fields = fields_of(row)
        uuid = fields.pop("uuid", None)
        if isinstance(row, Product):
            fields = {name: value for name, value in fields.items() if name in _READABLE}
        fields |= {name: number_as_text(fields[name]) for name in _TEXTS if name in fields}
        values = to_plain(ProductUpdate(**{name: value for name, value in fields.items() if name != key}))
    except (TypeError, ValidationError) as error:
        found = fields.get(key)
        return refused(error, index, found.strip() if isinstance(found, str) else "")
    own = values.pop("webshop_uuid", webshop)
    found = fields.get(key)
    if found is not None and not isinstance(found, str):
        return Conflict(key="", indexes=(index,), reason=f"{key}: must be text", fields={key: "must be text"})
    identifier = (found or "").strip()
    if not identifier:
        return Conflict(key="", indexes=(index,), reason=f"the {key} is empty", fields={key: "must not be empty"})
    if not is_utf8(identifier):
        return Conflict(key="", indexes=(index,), reason=f"the {key} is not valid Unicode text")
    if own != webshop:
        return Conflict(key=identifier, indexes=(index,), reason="it is for another webshop than this plan")
    values = {key: identifier, **values}
    return DesiredRow(key=identifier, index=index, values=values, uuid=uuid if isinstance(uuid, str) else None)


def diff_product(
    desired: DesiredRow,
    seen: ProductsSeen,
    *,
    webshop: str,
    update_pictures: bool = False,
    existing_only: bool = False,
    create_elsewhere: bool = False,
    allow_similar: bool = False,
) -> Decision:
    """Decide about a product: create it, change it, skip it, or report a conflict."""
    if seen.products:
        return one_of_several(
            desired, seen.products, lambda product: _change(desired, product, update_pictures=update_pictures)
        )
    wrong = not_there(desired, seen)
    allowed = {ConflictCode.OTHER_WEBSHOP: create_elsewhere, ConflictCode.NEAR_MISS: allow_similar}
    if wrong is not None and not allowed[wrong.code]:
        return wrong
    if existing_only:
        return conflict(desired, "it does not exist, and existing_only is set", ConflictCode.NOT_FOUND)
    return _create(desired, webshop)


def one_of_several(desired: DesiredRow, present: Sequence[Product], diff: Callable[[Product], Decision]) -> Decision:
    """Decide about the product, or about the one of several that the row names by its uuid.

    Of several, none is changed, because a plan identifies products by their key.
    """
    if len(present) == 1:
        return diff(present[0])
    decision = next((diff(product) for product in present if product.uuid == desired.uuid), None)
    if isinstance(decision, Unchanged | Skipped):
        return decision
    uuids = tuple(product.uuid for product in present)
    return conflict(desired, f"{len(present)} products have it", ConflictCode.AMBIGUOUS, uuids=uuids)


def _create(desired: DesiredRow, webshop: str) -> Decision:
    values = {
        name: value
        for name, value in desired.values.items()
        if normalize(name, value) is not None and not (name == "picture" and _is_placeholder(value))
    }
    try:
        NewProduct(webshop_uuid=webshop, **values)
    except ValidationError as error:
        wrong = refused(error, desired.index, desired.key)
        reason = f"it does not exist and cannot be created: {wrong.reason}"
        return attrs.evolve(wrong, reason=reason, code=ConflictCode.NOT_FOUND)
    changes = tuple(Change(field=name, before=None, after=value) for name, value in values.items())
    return PlannedWrite(action=Action.CREATE, desired=desired, name=str(values["name"]), changes=changes)


def _change(desired: DesiredRow, present: Product, *, update_pictures: bool) -> Decision:
    changes: list[Change] = []
    unreported: list[Change] = []
    for name, value in desired.values.items():
        if name not in _READABLE and _WIRE_NAMES[name] not in present.extra:
            unreported.append(Change(field=name, before=NOT_REPORTED, after=value))
            continue
        there = plain_scalar(getattr(present, name) if name in _READABLE else present.extra[_WIRE_NAMES[name]])
        if name == "picture" and not _is_picture_wanted(value, present, update_pictures=update_pictures):
            continue
        if not equal(name, value, there):
            changes.append(Change(field=name, before=there, after=value))
    if not changes:
        return Unchanged(key=desired.key, index=desired.index, uuid=present.uuid)
    return PlannedWrite(
        action=Action.UPDATE,
        desired=desired,
        uuid=present.uuid,
        name=present.name or "",
        changes=(*changes, *unreported),  # fields that cannot be compared are sent only with others
    )


def _is_picture_wanted(value: Any, present: Product, *, update_pictures: bool) -> bool:
    if _is_placeholder(value):
        return False  # it means "no picture" (A): never a desired value
    return update_pictures or (normalize("picture", value) is not None and not present.has_picture)


def _is_placeholder(value: Any) -> bool:
    return value is not None and "image_placeholder" in str(value).lower()


class ProductStrategy(PlanStrategy[ProductsSeen]):
    """The strategy for products."""

    name: ClassVar[str] = "products"

    def __init__(
        self,
        sender: Sender,
        *,
        webshop: str,
        key: str = "sku",
        update_pictures: bool = False,
        existing_only: bool = False,
        create_elsewhere: bool = False,
        allow_similar: bool = False,
    ) -> None:
        if not isinstance(key, str) or key not in {"sku", "product_id"}:
            raise ConfigurationError(f"key must be 'sku' or 'product_id', not {shown(key)}")
        self._rules = {
            "update_pictures": update_pictures,
            "existing_only": existing_only,
            "create_elsewhere": create_elsewhere,
            "allow_similar": allow_similar,
        }
        super().__init__(sender, webshop, noun=key, options={"key": key, **self._rules})
        self._products = Products(sender)

    def normalize(self, row: Any, index: int) -> DesiredRow | Conflict:
        return normalize_product(row, index, key=self.noun, webshop=self.webshop)

    async def read(self, desired_rows: Sequence[DesiredRow]) -> Mapping[str, ProductsSeen]:
        keys = {desired.key for desired in desired_rows}
        seen, looked_at = await find_products(self._sender, keys, key=self.noun, webshop=self.webshop)
        self.looked_at: str = looked_at
        return seen

    def diff(self, desired: DesiredRow, present: ProductsSeen | None) -> Decision:
        return diff_product(desired, present or ProductsSeen(), webshop=self.webshop, **self._rules)

    def settle(self, decisions: Sequence[Decision]) -> Sequence[Decision]:
        """Two new products must not have nearly the same key, either."""
        decisions = super().settle(decisions)
        if self._rules["allow_similar"]:
            return decisions
        return conflicting(
            decisions,
            lambda write: fold(write.key) if write.action is Action.CREATE else None,
            lambda same: (
                f"{' and '.join(repr(write.key) for write in same[:3])} are nearly equal, and both would be created"
            ),
            ConflictCode.NEAR_MISS,
        )

    def is_sound(self, write: PlannedWrite) -> bool:
        wanted = write.desired.values
        changes = all(change.field in wanted and change.after == wanted[change.field] for change in write.changes)
        return changes and write.action in {Action.CREATE, Action.UPDATE} and super().is_sound(write)

    async def send(self, write: PlannedWrite) -> str | None:
        values = {change.field: change.after for change in write.changes}
        if write.uuid is None:
            return (await self._products.create(NewProduct(webshop_uuid=self.webshop, **values))).uuid
        await self._products.update(write.uuid, ProductUpdate(webshop_uuid=self.webshop, **values))
        return write.uuid


# -- stock --------------------------------------------------------------------------------------------------------

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
    key = text.strip()
    if not is_utf8(key):
        return Conflict(key="", indexes=(index,), reason="the sku is not valid Unicode text")
    whole = _whole(level)
    if whole is None:
        why = "must be a whole number"
        return Conflict(key=key, indexes=(index,), reason=f"the level {why}", fields={"level": why})
    values = {"sku": key, "level": whole}
    return DesiredRow(key=key, index=index, values=values, uuid=uuid if isinstance(uuid, str) else None)


def _whole(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, Decimal):
        value = format(value, "f") if value.is_finite() and value.adjusted() < _MOST_DIGITS else ""
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        return int(value.strip().partition(".")[0])
    return value if isinstance(value, int) and abs(value) < 10**_MOST_DIGITS else None


def diff_free_stock(desired: DesiredRow, seen: ProductsSeen) -> Decision:
    """Change the free stock to the desired quantity by a mutation."""

    def diff(product: Product) -> Decision:
        free = None if product.stock is None else product.stock.free_stock
        return _unreported(desired, product) if free is None else _planned(desired, product, Action.MUTATE, free)

    return _diff(desired, seen, diff)


def diff_location_stock(desired: DesiredRow, seen: ProductsSeen, *, location: str) -> Decision:
    """Set the quantity at a location."""

    def diff(product: Product) -> Decision:
        if seen.locations is None:
            total = None if product.stock is None else product.stock.total_stock
            return _unreported(desired, product) if total is None else _planned(desired, product, Action.SET, total)
        for place in seen.locations:
            if place.pick_location_uuid == location:
                return _planned(desired, product, Action.SET, place.quantity)
        reason = "it is not linked to this location"
        return conflict(desired, reason, ConflictCode.UNWRITABLE, uuids=(product.uuid,))

    return _diff(desired, seen, diff)


def _diff(desired: DesiredRow, seen: ProductsSeen, diff: Callable[[Product], Decision]) -> Decision:
    """Decide about a product whose stock can be written; or the reason why not."""
    if not seen.products:
        missing = conflict(desired, "no product of this account has this SKU", ConflictCode.NOT_FOUND)
        return not_there(desired, seen) or missing

    def writable(product: Product) -> Decision:
        reason = ""
        if product.type == ProductType.PARENT:
            reason = "a compound product: only its parts have stock"
        elif product.stock is not None and product.stock.unlimited_stock:
            reason = "its stock is unlimited"
        if reason:
            return Skipped(key=desired.key, index=desired.index, uuid=product.uuid, reason=reason)
        return diff(product)

    return one_of_several(desired, seen.products, writable)


def _unreported(desired: DesiredRow, product: Product) -> Conflict:
    return conflict(desired, "the API reports no stock for it", uuids=(product.uuid,))


def _planned(desired: DesiredRow, product: Product, action: Action, present: int | None) -> Decision:
    level = desired.values["level"]
    if present == level:
        return Unchanged(key=desired.key, index=desired.index, uuid=product.uuid)
    if level < 0:  # a stock that is negative already may stay so
        why = "must not be negative"
        return conflict(desired, f"the level {why}", fields={"level": why})
    field = "quantity" if action is Action.SET else "free_stock"
    return PlannedWrite(
        action=action,
        desired=desired,
        uuid=product.uuid,
        name=product.name or "",
        changes=(Change(field=field, before=present, after=level),),
        seen=evidence_of(product),
    )


def evidence_of(product: Product) -> dict[str, int | None]:
    """Return the evidence for a mutation: the total and the reserved stock, which picking changes too."""
    stock = product.stock or ProductStock()
    return {"total": stock.total_stock, "reserved": stock.reserved_stock}


def resolve_mutation(delta: int, before: Any, now: Any) -> Resolution:
    """Whether a mutation was carried out, by the numbers before and now; None if they are not conclusive."""
    total, reserved = before.get("total"), before.get("reserved")
    if total is None or now.get("total") is None:
        return Resolution(None, "the API does not report the total stock")
    moved = now["total"] - total
    if reserved != now.get("reserved") or moved not in {0, delta}:
        return Resolution(None, "the stock was changed by others meanwhile")
    return Resolution(is_done=moved == delta)


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
        if not isinstance(mode, str) or mode not in {"set", "free"}:
            raise ConfigurationError(f"mode must be 'set' or 'free', not {shown(mode)}")
        if mode == "set" and location is None:
            raise ConfigurationError("mode 'set' needs location=, the uuid of a pick location")
        if location is not None and not (isinstance(location, str) and location.strip()):
            raise ConfigurationError(f"location must be the uuid of a pick location, not {shown(location)}")
        options = {"mode": mode, "location": location, "one_location": one_location, "reason": reason}
        super().__init__(sender, webshop, noun="sku", options=options)
        self.reads_in_pages: bool = mode == "free" or one_location
        self._stock = Stock(sender)
        self._location = location
        self._set_at = location if mode == "set" else None
        self._reason = reason

    def normalize(self, row: Any, index: int) -> DesiredRow | Conflict:
        return normalize_level(row, index)

    async def read(self, desired_rows: Sequence[DesiredRow]) -> Mapping[str, ProductsSeen]:
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
        seen = present or ProductsSeen()
        if self._set_at is None:
            return diff_free_stock(desired, seen)
        if not self.reads_in_pages and len(seen.products) > 1:
            desired = attrs.evolve(desired, uuid=None)  # their locations were not read
        return diff_location_stock(desired, seen, location=self._set_at)

    def is_sound(self, write: PlannedWrite) -> bool:
        wanted = write.desired.values
        action = Action.MUTATE if self._set_at is None else Action.SET
        is_same = self.normalize((wanted["sku"], wanted["level"]), write.index) == write.desired
        return is_same and write.action is action and [change.after for change in write.changes] == [wanted["level"]]

    async def send(self, write: PlannedWrite) -> str | None:
        assert write.uuid is not None
        (change,) = write.changes
        if self._set_at is not None:
            await self._stock.set(write.uuid, self._set_at, change.after, reason=self._reason)
        else:
            delta = change.after - change.before
            await self._stock.mutate(write.uuid, delta, reason=self._reason, pick_location_uuid=self._location)
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
