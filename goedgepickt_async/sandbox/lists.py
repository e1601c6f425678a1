"""Lists: filters, search and order, and one page by number or cursor."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any, Final

import attrs

from goedgepickt_async.sandbox.app import Quirks
from goedgepickt_async.sandbox.world import Table
from goedgepickt_async.sandbox.world.table import day_start

__all__ = ["BadCursorError", "ListQuery", "Listing", "PageLimits", "PageRequest", "Pager"]


_KEPT_SELECTIONS: Final = 16


@attrs.frozen(kw_only=True)
class ListQuery:
    """The checked filters and order of a list request; None for missing ones.

    Attributes:
        webshop: Only rows of this webshop (index); -1 for an unknown webshop.
        created_after: Only rows created on this Dutch day or later.
        search: The attribute and the value that it must have.
        status: Only rows with one of these statuses.
        leaks: Whether rows that had one of these statuses before are included.
        by_date: Sorted by creation instead of by the order in which the rows came in.
        descending: Newest first.
    """

    webshop: int | None = None
    created_after: date | None = None
    search: tuple[str, str] | None = None
    status: frozenset[str] | None = None
    leaks: bool = False
    by_date: bool = False
    descending: bool = False


@attrs.define(kw_only=True)
class Listing:
    """How the rows of one table are filtered and sorted.

    Attributes:
        table: The rows.
        searchable: The attributes that the search of three knows, with how to read each from a row's index.
        candidates: For some attributes, a quick way to the few rows that can have a value.
        webshop: The webshop of a row, where rows have one.
        created: When a row was created (Unix second), where rows know; it must grow over the generated rows.
        status: The status of a row, where the list has a separate filter for it.
        past: The statuses that a row had before.
    """

    table: Table
    searchable: dict[str, Callable[[int], Any]]
    candidates: dict[str, Callable[[str], Sequence[int]]] = attrs.field(factory=dict)
    webshop: Callable[[int], int | None] | None = None
    created: Callable[[int], int] | None = None
    status: Callable[[int], str] | None = None
    past: Callable[[int], frozenset[str]] = attrs.field(default=lambda _: frozenset())
    _selections: dict[ListQuery, tuple[int, Sequence[int]]] = attrs.field(factory=dict, init=False)

    def select(self, query: ListQuery) -> Sequence[int]:
        """Return the indices of the rows that the query asks for, in its order."""
        known = self._selections.get(query)
        if known is not None and known[0] == self.table.version:
            return known[1]
        selection = self._sorted(self._filtered(query), query)
        if len(self._selections) >= _KEPT_SELECTIONS:
            self._selections.clear()
        self._selections[query] = (self.table.version, selection)
        return selection

    def sort_key(self, query: ListQuery) -> Callable[[int], tuple[int, int]]:
        """Return the sort key of the query's selection; it also finds the place of a row that is gone."""
        sign = -1 if query.descending else 1
        if query.by_date and self.created is not None:
            created = self.created
            return lambda index: (sign * created(index), sign * index)
        return lambda index: (0, sign * index)

    def _filtered(self, query: ListQuery) -> Sequence[int]:
        rows = self._searched(query)
        if query.created_after is not None and self.created is not None:
            rows = self._since(rows, day_start(query.created_after), self.created)
        if query.webshop is not None and self.webshop is not None:
            webshop = self.webshop
            rows = [index for index in rows if webshop(index) == query.webshop]
        if query.status is not None and self.status is not None:
            status, wanted = self.status, query.status
            past = self.past if query.leaks else (lambda _: frozenset[str]())
            rows = [index for index in rows if status(index) in wanted or not wanted.isdisjoint(past(index))]
        return rows

    def _searched(self, query: ListQuery) -> Sequence[int]:
        if query.search is None:
            return self.table.living()
        attribute, value = query.search
        read = self.searchable[attribute]
        quick = self.candidates.get(attribute)
        rows = self.table.living() if quick is None else [index for index in quick(value) if self.table.lives(index)]
        return [index for index in rows if _as_text(read(index)) == value]

    def _since(self, rows: Sequence[int], start: int, created: Callable[[int], int]) -> Sequence[int]:
        generated = self.table.generated
        cut = bisect_left(range(generated), start, key=created)
        tail = rows[bisect_left(rows, cut) :]
        if not len(tail) or tail[-1] < generated:
            return tail
        return [index for index in tail if index < generated or created(index) >= start]

    def _sorted(self, rows: Sequence[int], query: ListQuery) -> Sequence[int]:
        if query.by_date and self.created is not None and len(rows) and rows[-1] >= self.table.generated:
            created = self.created
            rows = sorted(rows, key=lambda index: (created(index), index))
        return rows[::-1] if query.descending else rows


def _as_text(value: Any) -> str | None:
    return None if value is None else str(value)


class BadCursorError(ValueError):
    """The cursor is not from this list."""


@attrs.frozen(kw_only=True)
class PageLimits:
    """The limits of pages: size and reach of page numbers.

    Attributes:
        default: The default page size.
        largest: The largest page size.
        reach: The number of rows that page numbers reach.
        cursor: Whether pages have cursors.
    """

    default: int = 15
    largest: int = 100
    reach: int = 10_000
    cursor: bool = True


@attrs.frozen(kw_only=True)
class PageRequest:
    """The requested page. A cursor has priority over a number."""

    number: int = 1
    size: int | None = None
    cursor: str | None = None


class Pager:
    """Cuts pages out of selections."""

    def __init__(self, limits: PageLimits, quirks: Quirks) -> None:
        self._limits = limits
        self._quirks = quirks
        self._frozen: dict[tuple[str, ListQuery], int] = {}

    def page(self, listing: Listing, query: ListQuery, asked: PageRequest) -> dict[str, Any]:
        """Return the answer of a list: `items` and `pageInfo`.

        Raises:
            BadCursorError: The cursor is not from this sandbox.
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
