"""One page of a list: by page number as far as those reach, by cursor beyond."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import attrs

from goedgepickt_async.sandbox.listing import Listing, ListQuery
from goedgepickt_async.sandbox.quirks import Quirks

__all__ = ["BadCursorError", "PageLimits", "PageRequest", "Pager"]


class BadCursorError(ValueError):
    """The cursor was not given out by this list."""


@attrs.frozen(kw_only=True)
class PageLimits:
    """How far page numbers reach and how large pages get.

    Attributes:
        default: The page size when none is asked for.
        largest: The page size above which `perPage` is clamped.
        reach: How many results page numbers reach.
        cursor: Whether cursors are given out.
    """

    default: int = 15
    largest: int = 100
    reach: int = 10_000
    cursor: bool = True


@attrs.frozen(kw_only=True)
class PageRequest:
    """Which page is asked for; the cursor goes before the number."""

    number: int = 1
    size: int | None = None
    cursor: str | None = None


class Pager:
    """Cuts pages out of selections."""

    def __init__(self, limits: PageLimits, quirks: Quirks) -> None:
        """Take the limits and the quirks, which may change between two pages."""
        self._limits = limits
        self._quirks = quirks
        self._frozen: dict[tuple[str, ListQuery], int] = {}

    def page(self, listing: Listing, query: ListQuery, asked: PageRequest) -> dict[str, Any]:
        """Return the answer of a list: `items` and `pageInfo`.

        Raises:
            BadCursorError: The cursor is not one of ours.
        """
        selection = listing.select(query)
        size = self._size(asked)
        start = self._after(listing, query, asked.cursor) if asked.cursor else self._start(selection, asked, size)
        stop = start + size
        if not asked.cursor:
            stop = min(stop, max(start, self._limits.reach))
        indices = selection[start:stop]
        cursor = None
        if len(indices) and start + len(indices) < len(selection):
            cursor = self._cursor(listing, query, indices[-1], asked)
        info = self._info(listing, query, len(selection), size, asked)
        return self._envelope([listing.table.row(index) for index in indices], info, cursor)

    def _size(self, asked: PageRequest) -> int:
        if self._quirks.ignore_per_page or asked.size is None or asked.size < 1:
            return self._limits.default
        return min(asked.size, self._limits.largest)

    def _start(self, selection: Sequence[int], asked: PageRequest, size: int) -> int:
        start = (asked.number - 1) * size
        within = min(len(selection), self._limits.reach)
        if self._quirks.repeat_last_page and start >= within:
            return max(0, (within - 1) // size * size)
        return start if start < self._limits.reach else len(selection)

    def _after(self, listing: Listing, query: ListQuery, cursor: str) -> int:
        selection, key = listing.select(query), listing.sort_key(query)
        return bisect_right(selection, _read_cursor(cursor), key=key)

    def _cursor(self, listing: Listing, query: ListQuery, last: int, asked: PageRequest) -> str | None:
        if not self._limits.cursor:
            return None
        if self._quirks.repeat_cursor and asked.cursor:
            return asked.cursor
        return _write_cursor(listing.sort_key(query)(last))

    def _info(self, listing: Listing, query: ListQuery, total: int, size: int, asked: PageRequest) -> dict[str, Any]:
        quirks = self._quirks
        if quirks.freeze_page_info:
            total = self._frozen.setdefault((listing.table.kind, query), total)
        counted_for = quirks.last_page_for or size
        last = max(1, -(-total // counted_for))
        return {
            "totalItems": total if quirks.total_items is None else quirks.total_items,
            "itemsPerPage": asked.size if quirks.hide_clamp and asked.size else size,
            "currentPage": asked.number,
            "lastPage": last if quirks.last_page is None else quirks.last_page,
        }

    def _envelope(self, items: list[Any], info: dict[str, Any], cursor: str | None) -> dict[str, Any]:
        if cursor is not None:
            info["cursor"] = cursor
        page: dict[str, Any] = {"items": items, "pageInfo": info}
        if self._quirks.drop_empty_items and not items:
            del page["items"]
        if self._quirks.drop_page_info:
            del page["pageInfo"]
        return page


def _write_cursor(key: tuple[int, int]) -> str:
    return urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> tuple[int, int]:
    try:
        first, second = json.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        return int(first), int(second)
    except (ValueError, TypeError) as problem:
        raise BadCursorError(cursor) from problem
