"""Which page to ask for next, and what of it is new: pure arithmetic of lists that move while they are read.

The API knows page numbers and a page size, and no offset. A row that leaves the list shifts all later rows one
place to the front; whoever asks for page after page misses one at each seam. So the size is varied from page to page
such that each page begins a few rows before the last one ended. It must then contain a row that was read before
(the joint); what follows the joint is new, what precedes it is not. Without a joint the list has shifted further than
the overlap, and the reader steps back.

Facts used: reference section 3. Only an empty page ends a list (B); the server may clamp the size (A/B);
page numbers reach 10,000 results, then a cursor (B), or a later `createdAfter` (A).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from datetime import date

import attrs

__all__ = ["LARGEST_PAGE", "OVERLAP", "REACH", "TRAIL", "Ask", "Position", "Trail", "next_ask"]

LARGEST_PAGE = 100
"""Works on products, pick locations and shipments (A/B); the answer says what was given."""

REACH = 10_000
"""Results that page numbers reach (B)."""

OVERLAP = 3
"""Rows by which a page overlaps the one before."""

_SEAM = 10
"""Rows that a resume token remembers."""

TRAIL = 1_000
"""Rows that a reader remembers."""


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
        """The place after the last one that it covers."""
        return self.start + self.per_page


@attrs.frozen(kw_only=True)
class Position:
    """How far a list was read.

    Attributes:
        covered: The places below this one were read.
        per_page: The size of the page read last.
        last_rows: How many rows it had; fewer than its size means that the list seemed to end there.
        cursor: Read on from here instead of by place.
        window: The `createdAfter` that took over where page numbers no longer reach.
        joining: After a new window: skip until the joint is found.
        last_day: When the row read last was created, to read on from by date.
        seam: The keys of the rows read last, newest last.
        rows: Rows read so far.
        pages: Pages read so far.
    """

    covered: int = 0
    per_page: int = LARGEST_PAGE
    last_rows: int = LARGEST_PAGE
    cursor: str | None = None
    window: date | None = None
    joining: bool = False
    last_day: date | None = None
    seam: tuple[str, ...] = ()
    rows: int = 0
    pages: int = 0

    @property
    def short(self) -> bool:
        """Whether the list seemed to end with the page read last."""
        return self.last_rows < self.per_page


class Trail:
    """The keys of the rows read last, bounded, so that a list of any length is read in the same memory."""

    def __init__(self, seam: Iterable[str], *, whole: bool) -> None:
        self._keys = deque(seam, maxlen=TRAIL)
        self._known = set(self._keys)
        self.whole = whole  # whether all rows read so far are in it

    def __contains__(self, key: str) -> bool:
        return key in self._known

    def extend(self, keys: Iterable[str]) -> None:
        """Remember more, and forget the oldest."""
        for key in keys:
            if len(self._keys) == TRAIL:
                self._known.discard(self._keys[0])
                self.whole = False
            self._keys.append(key)
            self._known.add(key)

    def joint(self, keys: Sequence[str]) -> int | None:
        """The index of the last of these keys that was read before; None: not one of them was."""
        return next((index for index in reversed(range(len(keys))) if keys[index] in self._known), None)

    def new(self, keys: Sequence[str], start: int) -> list[int]:
        """The indexes from `start` on whose key was not read before; a key that comes twice counts once."""
        seen: set[str] = set()
        fresh = []
        for index in range(start, len(keys)):
            if keys[index] not in self._known and keys[index] not in seen:
                seen.add(keys[index])
                fresh.append(index)
        return fresh

    @property
    def seam(self) -> tuple[str, ...]:
        """The last few of them."""
        return tuple(self._keys)[-_SEAM:]


def next_ask(position: Position, largest: int, *, back: int = OVERLAP, fixed: bool = False) -> Ask:
    """What to ask for next.

    Args:
        position: How far the list was read.
        largest: The largest page size.
        back: Rows before the end of what was read from which on to read again.
        fixed: The server knows only this one size, so pages cannot overlap.
    """
    if position.cursor is not None:
        return Ask(page=None, per_page=largest, cursor=position.cursor)
    plain = position.short or fixed or position.joining
    if position.covered == 0 or (plain and back == OVERLAP and position.covered % position.per_page == 0):
        size = position.per_page if position.covered else largest
        return Ask(page=position.covered // size + 1, per_page=size)
    return _overlapping(max(0, position.covered - back), largest, fixed=fixed)


def _overlapping(start: int, largest: int, *, fixed: bool) -> Ask:
    """The page that begins at `start` or a little before and reaches furthest."""
    sizes = (largest,) if fixed else range(1, largest + 1)
    asks = (Ask(page=start // size + 1, per_page=size) for size in sizes)
    return max((ask for ask in asks if ask.end <= REACH or fixed), key=lambda ask: (ask.end, ask.per_page))
