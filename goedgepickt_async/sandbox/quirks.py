"""Quirks: variants of the sandbox's behaviour, for wrong data and for open questions about the real service."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_type_hints

import attrs

__all__ = ["Quirks"]


@attrs.define(kw_only=True)
class Quirks:
    """Settings that can be changed at any time. The defaults follow the reference, or its most likely meaning.

    Attributes:
        total_items: A wrong value for `pageInfo.totalItems`.
        last_page: A wrong value for `pageInfo.lastPage`.
        last_page_for: Another page size for the calculation of `lastPage`.
        freeze_page_info: Whether each list repeats the totals of its first reading, like a cache.
        drop_page_info: Whether lists have no `pageInfo`.
        ignore_per_page: Whether `perPage` is ignored and the default page size is used.
        hide_clamp: Whether `pageInfo.itemsPerPage` has the requested size instead of the used size.
        repeat_last_page: Whether a page after the end is the last page again instead of an empty page.
        drop_empty_items: Whether an empty page has no key `items`.
        repeat_cursor: Whether a cursor page repeats its own cursor, so that the list never ends.
        orderstatus_leaks: Whether the `orderstatus` filter also returns orders that once had the status and now have
            another, as two of the service's users have seen (B).
        date_style: How lists write dates: `space` (`2026-11-01 09:30:00`), `T`, `Z` (in UTC, with fractions), or `mixed`
            (another form in each row, which no service does within one list).
        strict: Whether searches without public evidence are refused with 422: `searchAttribute` other
            than `status` (orders), `sku` and `supplierUuid` (products).
        order_answer: The form of the response to a new order.
        product_answer: The form of the response to a new or changed product.
        duplicate_order: The response to a second order with the same webshop and `orderId`: a second order, 422, or the
            first order.
        unknown_sku: The effect of a line with an unknown SKU: the order is put on hold, or refused with 422.
        wrong_kind_status: The status for a key of one API at the path of the other API.
        error_key: The key under which the service's own errors (not Laravel's) give their text. With `message` there is
            also `errors` where a field is to blame. Clients in production look for `errorMessage` before `message` (A).
    """

    total_items: int | None = None
    last_page: int | None = None
    last_page_for: int | None = None
    freeze_page_info: bool = False
    drop_page_info: bool = False
    ignore_per_page: bool = False
    hide_clamp: bool = False
    repeat_last_page: bool = False
    drop_empty_items: bool = False
    repeat_cursor: bool = False
    orderstatus_leaks: bool = True
    date_style: Literal["space", "T", "Z", "mixed"] = "space"
    strict: bool = False
    order_answer: Literal["orderUuid", "uuid", "order.uuid", "data.uuid", "empty"] = "orderUuid"
    product_answer: Literal["items", "bare", "empty_items"] = "items"
    duplicate_order: Literal["create", "refuse", "return_first"] = "create"
    unknown_sku: Literal["hold", "refuse"] = "hold"
    wrong_kind_status: Literal[401, 403, 404] = 401
    error_key: Literal["message", "error", "errorMessage"] = "errorMessage"

    def update(self, values: Mapping[str, Any]) -> None:
        """Set several quirks together; nothing is set if one of them is wrong.

        Args:
            values: Names and values, as JSON has them.

        Raises:
            ValueError: The quirk does not exist or cannot have this value; the message has the possible values.
        """
        for name, value in values.items():
            _check(name, value)
        for name, value in values.items():
            setattr(self, name, value)

    @classmethod
    def describe(cls) -> list[dict[str, Any]]:
        """Return name, kind (`boolean`, `integer` or `choice`), choices, default and meaning of each quirk."""
        said = dict(
            re.findall(r"^    (\w+): (.+?)(?=^    \w+: |\Z)", inspect.getdoc(cls) or "", re.DOTALL | re.MULTILINE)
        )
        return [
            {
                "name": field.name,
                "kind": _kind(field.name),
                "choices": list(_choices(field.name)),
                "default": field.default,
                "text": " ".join(said.get(field.name, "").split()),
            }
            for field in attrs.fields(cls)
        ]


@functools.cache
def _hints() -> dict[str, Any]:
    """The types of the quirks; every sandbox asks for each several times."""
    return get_type_hints(Quirks)


def _choices(name: str) -> tuple[Any, ...]:
    hint = _hints()[name]
    return get_args(hint) if _kind(name) == "choice" else ()


def _kind(name: str) -> str:
    hint = _hints()[name]
    return "boolean" if hint is bool else "integer" if type(None) in get_args(hint) else "choice"


def _check(name: str, value: Any) -> None:
    names = [field.name for field in attrs.fields(Quirks)]
    if name not in names:
        raise ValueError(f"unknown quirk {name!r}; the quirks are {', '.join(names)}")
    kind = _kind(name)
    if kind == "boolean" and not isinstance(value, bool):
        raise ValueError(f"{name} is true or false, not {value!r}")
    if kind == "integer" and value is not None and (type(value) is not int or value < 0):
        raise ValueError(f"{name} is a whole number, at least 0, or null; not {value!r}")
    if kind == "choice" and (isinstance(value, bool) or value not in _choices(name)):
        raise ValueError(f"{name} is one of {', '.join(map(str, _choices(name)))}; not {value!r}")
