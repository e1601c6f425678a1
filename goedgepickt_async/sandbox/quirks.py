"""Where a sandbox departs from the plain truth, or from one guess at what the real service does."""

from __future__ import annotations

from typing import Literal

import attrs

__all__ = ["Quirks"]


@attrs.define(kw_only=True)
class Quirks:
    """Settings that can be changed at any time; the defaults are what the reference shows, or its likeliest reading.

    Attributes:
        total_items: What `pageInfo.totalItems` says instead of the truth.
        last_page: What `pageInfo.lastPage` says instead of the truth.
        last_page_for: The page size that `lastPage` is computed for instead of the one that was given.
        freeze_page_info: Whether each list keeps saying the totals of its first reading (a cache).
        drop_page_info: Whether lists come without `pageInfo`.
        ignore_per_page: Whether `perPage` is ignored and the default page size given.
        hide_clamp: Whether `pageInfo.itemsPerPage` repeats what was asked for instead of what was given.
        repeat_last_page: Whether a page past the end answers the last page again instead of an empty one.
        drop_empty_items: Whether an empty page has no `items` at all.
        repeat_cursor: Whether the cursor of a cursor page is the one that it was asked with, so that it never ends.
        orderstatus_leaks: How the `orderstatus` filter leaks: every n-th order is in, whatever its status; 0 for
            an honest filter.
        order_answer: The shape of the answer to a new order.
        product_answer: The shape of the answer to a new or changed product.
        duplicate_order: What a second order with the same webshop and `orderId` does: it makes a second order, is
            refused with 422, or is answered with the first one.
        unknown_sku: What a line with an unknown SKU does: the order is put on hold for attention, or refused with 422.
        wrong_kind_status: The status that a key of one kind gets at the other's path.
        error_key: The key under which the service's own errors (not Laravel's) give their text; beside `message` there is
            `errors` where a field is to blame.
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
    orderstatus_leaks: int = 7
    order_answer: Literal["orderUuid", "uuid", "order.uuid", "data.uuid", "empty"] = "orderUuid"
    product_answer: Literal["items", "bare", "empty_items"] = "items"
    duplicate_order: Literal["create", "refuse", "return_first"] = "create"
    unknown_sku: Literal["hold", "refuse"] = "hold"
    wrong_kind_status: Literal[401, 403, 404] = 401
    error_key: Literal["message", "error", "errorMessage"] = "message"
