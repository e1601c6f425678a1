"""Plans for products: compare them and write the differences."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, ClassVar, Final

from goedgepickt_async._transport.pipeline import Sender
from goedgepickt_async.bulk.strategy import (
    PlanStrategy,
    ProductsSeen,
    conflicting,
    fields_of,
    find_products,
    fold,
    is_utf8,
    not_there,
    number_as_text,
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
    Skipped,
    Unchanged,
)
from goedgepickt_async.convert import to_plain
from goedgepickt_async.errors import ConfigurationError, ValidationError
from goedgepickt_async.models import NewProduct, OpenEnum, Product, ProductUpdate
from goedgepickt_async.resources import Products

__all__ = [
    "AMOUNTS",
    "FLAGS",
    "ProductStrategy",
    "diff_product",
    "equal",
    "normalize",
    "normalize_product",
    "one_of_several",
    "plain",
]

AMOUNTS: Final = frozenset({"price"})
FLAGS: Final = frozenset({"stock_management"})
_WORDS: Final = {"0": False, "1": True, "false": False, "true": True}


def equal(field: str, one: Any, other: Any) -> bool:
    """Whether two values of a product's field are equal."""
    return bool(normalize(field, one) == normalize(field, other))


def normalize(field: str, value: Any) -> Any:
    """Return the normalised value; None for an empty value."""
    text = value.strip() if isinstance(value, str) else value
    if text is None or text == "":
        return None
    if field in AMOUNTS:
        return _amount(text)
    if field in FLAGS:
        return _WORDS.get(str(text).lower(), text)
    return str(text)


def plain(value: Any) -> Any:
    """Return a value of a product for `json.dumps`."""
    if isinstance(value, Decimal):
        return format(value, "f")
    return value.value if isinstance(value, OpenEnum) else value


def _amount(value: Any) -> Any:
    try:
        return Decimal(str(value))
    except InvalidOperation:
        return value


_TEXTS: Final = ("webshop_uuid", "name", "sku", "product_id", "url", "picture")
_READABLE: Final = frozenset({"name", "sku", "product_id", "picture", "price"})
_WIRE_NAMES: Final = {"stock_management": "stockManagement", "url": "url"}
"""Fields that the API accepts and is not known to return. If it returns them, they are in `extra`."""


def normalize_product(row: Any, index: int, *, key: str, webshop: str) -> DesiredRow | Conflict:
    """Return a desired row, as values for `json.dumps`.

    Args:
        row: A `NewProduct`, `ProductUpdate`, `Product`, another attrs object, or a mapping.
        index: Its place in the input.
        key: The field that identifies a product.
        webshop: The webshop that the plan is for.
    """
    try:
        fields = fields_of(row)
        uuid = fields.pop("uuid", None)
        fields = {name: value for name, value in fields.items() if _is_wanted(row, name)}
        for name in _TEXTS:
            if name in fields:
                fields[name] = number_as_text(fields[name])
        values = to_plain(ProductUpdate(**{name: value for name, value in fields.items() if name != key}))
    except (TypeError, ValidationError) as error:
        return refused(error, index, _shown(row, key))
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
    present: Sequence[Product] | ProductsSeen,
    *,
    webshop: str,
    update_pictures: bool,
    existing_only: bool = False,
    create_elsewhere: bool = False,
    allow_similar: bool = False,
) -> Decision:
    """Decide about a product: create it, change it, skip it, or report a conflict."""
    seen = present if isinstance(present, ProductsSeen) else ProductsSeen(products=tuple(present))
    if len(seen.products) > 1:
        return one_of_several(
            desired, seen.products, lambda product: _change(desired, product, update_pictures=update_pictures)
        )
    if seen.products:
        return _change(desired, seen.products[0], update_pictures=update_pictures)
    wrong = not_there(desired, seen)
    allowed = {ConflictCode.OTHER_WEBSHOP: create_elsewhere, ConflictCode.NEAR_MISS: allow_similar}
    if wrong is not None and not allowed[wrong.code]:
        return wrong
    if existing_only:
        reason = "it does not exist, and existing_only is set"
        return Conflict(key=desired.key, indexes=(desired.index,), reason=reason, code=ConflictCode.NOT_FOUND)
    return _create(desired, webshop)


def one_of_several(desired: DesiredRow, present: Sequence[Product], diff: Callable[[Product], Decision]) -> Decision:
    """Only the uuid tells which product is meant.

    Even then the product is not changed, because a plan identifies products by their key.
    """
    own = [product for product in present if product.uuid == desired.uuid]
    decision = diff(own[0]) if own else None
    if isinstance(decision, Unchanged | Skipped):
        return decision
    return Conflict(
        key=desired.key,
        indexes=(desired.index,),
        reason=f"{len(present)} products have it",
        code=ConflictCode.AMBIGUOUS,
        uuids=tuple(product.uuid for product in present),
    )


def _create(desired: DesiredRow, webshop: str) -> Decision:
    values = {
        name: value
        for name, value in desired.values.items()
        if normalize(name, value) is not None and not (name == "picture" and _is_placeholder(value))
    }
    try:
        NewProduct(webshop_uuid=webshop, **values)
    except ValidationError as error:
        conflict = refused(error, desired.index)
        return Conflict(
            key=desired.key,
            indexes=conflict.indexes,
            reason=f"it does not exist and cannot be created: {conflict.reason}",
            code=ConflictCode.NOT_FOUND,
            fields=conflict.fields,
        )
    changes = tuple(Change(field=name, before=None, after=value) for name, value in values.items())
    return PlannedWrite(action=Action.CREATE, desired=desired, name=str(values["name"]), changes=changes)


def _change(desired: DesiredRow, present: Product, *, update_pictures: bool) -> Decision:
    changes = list(_differences(desired.values, present, update_pictures=update_pictures))
    if not changes:
        return Unchanged(key=desired.key, index=desired.index, uuid=present.uuid)
    return PlannedWrite(
        action=Action.UPDATE,
        desired=desired,
        uuid=present.uuid,
        name=present.name or "",
        changes=(*changes, *_untold(desired.values, present)),
    )


def _differences(wanted: Mapping[str, Any], present: Product, *, update_pictures: bool) -> Iterator[Change]:
    for name, value in wanted.items():
        if not _is_told(name, present):
            continue
        there = _there(name, present)
        if name == "picture" and not _is_picture_wanted(value, present, update_pictures=update_pictures):
            continue
        if not equal(name, value, there):
            yield Change(field=name, before=there, after=value)


def _untold(wanted: Mapping[str, Any], present: Product) -> Iterator[Change]:
    """Fields that cannot be compared are sent if other fields are sent anyway."""
    for name, value in wanted.items():
        if not _is_told(name, present):
            yield Change(field=name, before=NOT_REPORTED, after=value)


def _is_picture_wanted(value: Any, present: Product, *, update_pictures: bool) -> bool:
    if _is_placeholder(value):
        return False  # it means "no picture" (A): never a desired value
    return update_pictures or (normalize("picture", value) is not None and not present.has_picture)


def _is_placeholder(value: Any) -> bool:
    return value is not None and "image_placeholder" in str(value).lower()


def _is_told(name: str, present: Product) -> bool:
    return name in _READABLE or _WIRE_NAMES[name] in present.extra


def _there(name: str, present: Product) -> Any:
    return plain(getattr(present, name) if name in _READABLE else present.extra[_WIRE_NAMES[name]])


def _is_wanted(row: Any, name: str) -> bool:
    """From a product that was read, only the fields that can be written are used."""
    return not isinstance(row, Product) or name in _READABLE


def _shown(row: Any, key: str) -> str:
    """The key of a refused row, if it has one."""
    try:
        found = fields_of(row).get(key)
    except TypeError:
        return ""
    return found.strip() if isinstance(found, str) else ""


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
        if key not in {"sku", "product_id"}:
            raise ConfigurationError(f"key must be 'sku' or 'product_id', not {key!r}")
        self.noun = key
        self.webshop = webshop
        self.options: Mapping[str, Any] = {
            "key": key,
            "update_pictures": update_pictures,
            "existing_only": existing_only,
            "create_elsewhere": create_elsewhere,
            "allow_similar": allow_similar,
        }
        self._existing_only = existing_only
        self._create_elsewhere = create_elsewhere
        self._allow_similar = allow_similar
        self._sender = sender
        self._products = Products(sender)
        self._key = key
        self._update_pictures = update_pictures

    def normalize(self, row: Any, index: int) -> DesiredRow | Conflict:
        """A desired row, checked and in one form."""
        return normalize_product(row, index, key=self._key, webshop=self.webshop)

    async def read(self, desired_rows: Sequence[DesiredRow]) -> Mapping[str, ProductsSeen]:
        """Return the products with these keys."""
        keys = {desired.key for desired in desired_rows}
        seen, looked_at = await find_products(self._sender, keys, key=self._key, webshop=self.webshop)
        self.looked_at: str = looked_at
        return seen

    def diff(self, desired: DesiredRow, present: ProductsSeen | None) -> Decision:
        """Decide about a product."""
        return diff_product(
            desired, present or ProductsSeen(), webshop=self.webshop, update_pictures=self._update_pictures,
            existing_only=self._existing_only, create_elsewhere=self._create_elsewhere,
            allow_similar=self._allow_similar,
        )  # fmt: skip

    def settle(self, decisions: Sequence[Decision]) -> Sequence[Decision]:
        """Two new products must not have nearly the same key."""
        decisions = super().settle(decisions)
        if self._allow_similar:
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
        """Whether this strategy can have planned a saved write."""
        wanted = write.desired.values
        changes = all(change.field in wanted and change.after == wanted[change.field] for change in write.changes)
        return changes and write.action in {Action.CREATE, Action.UPDATE} and super().is_sound(write)

    async def send(self, write: PlannedWrite) -> str | None:
        """Create or change the product."""
        values = {change.field: change.after for change in write.changes}
        if write.action is Action.CREATE:
            return (await self._products.create(NewProduct(webshop_uuid=self.webshop, **values))).uuid
        assert write.uuid is not None
        await self._products.update(write.uuid, ProductUpdate(webshop_uuid=self.webshop, **values))
        return write.uuid
