"""Which rows a list holds: filters, search, order. Which of them one page shows is in `paging.py`."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any, Final

import attrs

from goedgepickt_async.sandbox.world import Table
from goedgepickt_async.sandbox.world.calendar import day_start

__all__ = ["ListQuery", "Listing"]

_KEPT_SELECTIONS: Final = 16


@attrs.frozen(kw_only=True)
class ListQuery:
    """What a request asks of a list, checked; None where nothing is asked.

    Attributes:
        webshop: Only rows of this webshop (index); -1 for a webshop that nobody knows.
        created_after: Only rows created on this Dutch day or later.
        search: The attribute and the value that it must have.
        status: Only rows with one of these statuses, as far as the server is honest about it.
        leaks: Every n-th row passes the status filter whatever its status; 0 for none.
        by_date: Sorted by creation instead of by the order in which the rows came in.
        descending: Newest first.
    """

    webshop: int | None = None
    created_after: date | None = None
    search: tuple[str, str] | None = None
    status: frozenset[str] | None = None
    leaks: int = 0
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
        status: The status of a row, where the list has a filter of its own for it.
    """

    table: Table
    searchable: dict[str, Callable[[int], Any]]
    candidates: dict[str, Callable[[str], Sequence[int]]] = attrs.field(factory=dict)
    webshop: Callable[[int], int | None] | None = None
    created: Callable[[int], int] | None = None
    status: Callable[[int], str] | None = None
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
        """Return the key by which the query's selection ascends, for finding a place in it that has no row."""
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
            status, wanted, leaks = self.status, query.status, query.leaks
            rows = [index for index in rows if status(index) in wanted or (leaks and index % leaks == 0)]
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
