"""Which page to ask for next: pure arithmetic of lists that move while they are read.

The API knows page numbers and a page size, and no offset. A row that leaves the list shifts all later rows one
place to the front; whoever asks for page after page misses one at each seam. So the size is varied from page to page
such that each page begins a few rows before the last one ended. Its first row must then be one that was read before;
else the list has shifted further than the overlap, and the reader steps back.

Facts used: reference section 3. Only an empty page ends a list (B); the server may clamp the size (A/B);
page numbers reach 10,000 results, then a cursor (B), or a later `createdAfter` (A).
"""

from __future__ import annotations

from datetime import date

import attrs

__all__ = ["LARGEST_PAGE", "OVERLAP", "REACH", "Ask", "Position", "overlapping", "plain", "reaching_back"]

LARGEST_PAGE = 100
"""Works on products, pick locations and shipments (A/B); the answer says what was given."""

REACH = 10_000
"""Results that page numbers reach (B)."""

OVERLAP = 3
"""Rows by which a page overlaps the one before, at least."""


@attrs.frozen(kw_only=True)
class Ask:
    """One request for rows: `page` of `per_page`, or what follows a cursor."""

    page: int | None
    per_page: int
    cursor: str | None = None

    @property
    def start(self) -> int:
        """The first place in the list that it covers, from 0."""
        return 0 if self.page is None else (self.page - 1) * self.per_page

    @property
    def end(self) -> int:
        """The place after the last one that it covers; page numbers do not reach further than `REACH`."""
        return min(self.start + self.per_page, REACH)

    @property
    def size(self) -> int:
        """How many rows it covers."""
        return self.end - self.start


@attrs.frozen(kw_only=True)
class Position:
    """How far a list was read.

    Attributes:
        covered: The places below this one were read.
        short: The page read last was not full, so the list seemed to end there.
        cursor: Read on from here instead of by place.
        window: The `createdAfter` that took over where page numbers no longer reach.
        last_day: When the row read last was created, to read on from by date.
        first: The keys of the list's first rows: a server that ignores cursors shows them again.
        seam: The keys of the rows read last, newest last.
        rows: Rows read so far.
        pages: Pages read so far.
    """

    covered: int = 0
    short: bool = False
    cursor: str | None = None
    window: date | None = None
    last_day: date | None = None
    first: tuple[str, ...] = ()
    seam: tuple[str, ...] = ()
    rows: int = 0
    pages: int = 0


def plain(covered: int, per_page: int) -> Ask:
    """The first page of this size that begins at `covered` or behind it: there is nothing, if the list has ended."""
    return Ask(page=-(-covered // per_page) + 1, per_page=per_page)


def overlapping(covered: int, largest: int, overlap: int) -> Ask:
    """The page that begins at least `overlap` rows before `covered`, and reaches furthest.

    Where so small a page cannot both overlap that much and bring anything new, it overlaps less.
    """
    asks = (_furthest(covered - less, largest) for less in range(min(overlap, covered), -1, -1))
    return next(ask for ask in asks if ask.end > covered)


def reaching_back(covered: int, largest: int, back: int) -> Ask:
    """A page that begins `back` rows before `covered`, or a little before that."""
    return _furthest(max(0, covered - back), largest)


def _furthest(start: int, largest: int) -> Ask:
    """The page that begins at `start` or a little before and reaches furthest."""
    # By plain numbers: a hundred objects for each page of a list would cost more than sending the request.
    _, size = max((end, size) for size in range(1, largest + 1) if (end := (start // size + 1) * size) <= REACH)
    return Ask(page=start // size + 1, per_page=size)
