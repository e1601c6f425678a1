"""What is to be done about one desired product, given the present ones with its key. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from goedgepickt_async.bulk.meaning import meaning, plain, say_the_same
from goedgepickt_async.bulk.planned import UNTOLD, Action, Change, Conflict, PlannedWrite, Unchanged, Verdict, Wish
from goedgepickt_async.bulk.rows import fields_of, is_utf8, refused
from goedgepickt_async.convert import to_plain
from goedgepickt_async.errors import ValidationError
from goedgepickt_async.models import NewProduct, Product, ProductUpdate

__all__ = ["judge_product", "several_there", "wished_product"]

_TEXTS: Final = ("webshop_uuid", "name", "sku", "product_id", "url", "picture")
_READABLE: Final = frozenset({"name", "sku", "product_id", "picture", "price"})
_WIRE_NAMES: Final = {"stock_management": "stockManagement", "url": "url"}
"""Fields that the API takes and is not known to answer; should it, they are among what is unknown."""


def wished_product(row: Any, index: int, *, key: str, webshop: str) -> Wish | Conflict:
    """A desired row in one form: what is wanted, as values that JSON takes.

    Args:
        row: A `NewProduct`, `ProductUpdate`, `Product`, another attrs object, or a mapping.
        index: Its place in the input.
        key: The field that tells it apart.
        webshop: The webshop that the plan is for.
    """
    try:
        fields = {name: value for name, value in fields_of(row).items() if _is_wanted(row, name)}
        for name in _TEXTS:
            if isinstance(fields.get(name), int) and not isinstance(fields[name], bool):
                fields[name] = str(fields[name])  # a number in JSON is an identifier all the same
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
        return Conflict(key="", indexes=(index,), reason=f"the {key} is no text that UTF-8 can carry")
    if own != webshop:
        return Conflict(key=identifier, indexes=(index,), reason="it is for another webshop than this plan")
    return Wish(key=identifier, index=index, values={key: identifier, **values})


def judge_product(wish: Wish, present: Sequence[Product], *, webshop: str, update_pictures: bool) -> Verdict:
    """Create it, change it, leave it, or say what is in the way."""
    if len(present) > 1:
        return several_there(wish, present)
    return _change(wish, present[0], update_pictures=update_pictures) if present else _create(wish, webshop)


def several_there(wish: Wish, present: Sequence[Product]) -> Conflict:
    """Which of them is meant, nobody can tell."""
    return Conflict(
        key=wish.key,
        indexes=(wish.index,),
        reason=f"{len(present)} products there have it",
        uuids=tuple(product.uuid for product in present),
    )


def _create(wish: Wish, webshop: str) -> Verdict:
    values = {name: value for name, value in wish.values.items() if meaning(name, value) is not None}
    try:
        NewProduct(webshop_uuid=webshop, **values)
    except ValidationError as error:
        conflict = refused(error, wish.index, wish.key)
        return Conflict(
            key=wish.key,
            indexes=conflict.indexes,
            reason=f"it is not there, and cannot be created: {conflict.reason}",
            fields=conflict.fields,
        )
    changes = tuple(Change(field=name, before=None, after=value) for name, value in values.items())
    return PlannedWrite(action=Action.CREATE, wish=wish, name=str(values["name"]), changes=changes)


def _change(wish: Wish, present: Product, *, update_pictures: bool) -> Verdict:
    changes = list(_differences(wish.values, present, update_pictures=update_pictures))
    if not changes:
        return Unchanged(key=wish.key, index=wish.index, uuid=present.uuid)
    return PlannedWrite(
        action=Action.UPDATE,
        wish=wish,
        uuid=present.uuid,
        name=present.name or "",
        changes=(*changes, *_untold(wish.values, present)),
    )


def _differences(wanted: Mapping[str, Any], present: Product, *, update_pictures: bool) -> Iterator[Change]:
    for name, value in wanted.items():
        if not _is_told(name, present):
            continue
        there = _there(name, present)
        if name == "picture" and not _is_picture_wanted(value, present, update_pictures=update_pictures):
            continue
        if not say_the_same(name, value, there):
            yield Change(field=name, before=there, after=value)


def _untold(wanted: Mapping[str, Any], present: Product) -> Iterator[Change]:
    """What nobody can compare goes along with what is sent anyway: that costs nothing."""
    for name, value in wanted.items():
        if not _is_told(name, present):
            yield Change(field=name, before=UNTOLD, after=value)


def _is_picture_wanted(value: Any, present: Product, *, update_pictures: bool) -> bool:
    if value is not None and "image_placeholder" in str(value).lower():
        return False  # it means "no picture" (A): nobody wishes for one
    return update_pictures or (meaning("picture", value) is not None and not present.has_picture)


def _is_told(name: str, present: Product) -> bool:
    return name in _READABLE or _WIRE_NAMES[name] in present.extra


def _there(name: str, present: Product) -> Any:
    return plain(getattr(present, name) if name in _READABLE else present.extra[_WIRE_NAMES[name]])


def _is_wanted(row: Any, name: str) -> bool:
    """Of a product that was read somewhere, only what can be written counts."""
    return not isinstance(row, Product) or name in _READABLE


def _shown(row: Any, key: str) -> str:
    """The key of a refused row, as far as it has one."""
    try:
        found = fields_of(row).get(key)
    except TypeError:
        return ""
    return found.strip() if isinstance(found, str) else ""
