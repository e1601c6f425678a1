"""What a list says about its own length."""

from __future__ import annotations

from typing import Any

import attrs

from goedgepickt_async.models.wire_names import wire

__all__ = ["PageInfo"]


@attrs.frozen(kw_only=True, weakref_slot=False)
class PageInfo:
    """The `pageInfo` of a list (A). `total_items` and `last_page` are unreliable (B): nothing here ends a list.

    Attributes:
        items_per_page: The page size that the server really used; it may have clamped the one asked for.
        cursor: Where to go on past the 10,000 results that page numbers reach (B).
    """

    total_items: int | None = attrs.field(default=None, metadata=wire("totalItems"))
    items_per_page: int | None = attrs.field(default=None, metadata=wire("itemsPerPage"))
    current_page: int | None = attrs.field(default=None, metadata=wire("currentPage"))
    last_page: int | None = attrs.field(default=None, metadata=wire("lastPage"))
    cursor: str | None = attrs.field(default=None, metadata=wire("cursor"))
    extra: dict[str, Any] = attrs.field(factory=dict, repr=False, hash=False)
