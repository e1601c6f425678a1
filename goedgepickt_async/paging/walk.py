"""Reads a list batch by batch, through whatever the server and the moving rows do."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from typing import Any

import attrs

from goedgepickt_async.errors import PagingError
from goedgepickt_async.models import PageInfo
from goedgepickt_async.paging.positions import LARGEST_PAGE, OVERLAP, REACH, TRAIL, Ask, Position, Trail, next_ask

__all__ = ["Batch", "RawPage", "Walk"]

_log = logging.getLogger("goedgepickt_async.paging")

_MOST_WITHOUT_NEWS = 10
"""Pages in a row that may bring nothing new, beside those that the trail explains, until the list never ends."""


@attrs.frozen(kw_only=True)
class RawPage:
    """What one request brought.

    Attributes:
        rows: The `items`, as JSON objects.
        info: The `pageInfo`, empty if there was none.
        has_info: Whether there was one.
    """

    rows: list[Any]
    info: PageInfo
    has_info: bool = True


@attrs.frozen(kw_only=True)
class Batch:
    """The rows of one page that were not read before.

    Attributes:
        page: The page.
        fresh: The indexes of the new rows in `page.rows`.
        after: The position after them.
    """

    page: RawPage
    fresh: list[int]
    after: Position


Fetch = Callable[[Ask, date | None], Awaitable[RawPage]]


class Walk:
    """One reading of one list.

    Args:
        fetch: Asks the server; its second argument replaces the list's own `createdAfter`, if not None.
        position: Where to begin.
        largest: The page size to ask for.
        key: The names under which a row carries what tells it apart.
        by_date: Whether the list can be narrowed by `createdAfter`.
    """

    def __init__(
        self,
        fetch: Fetch,
        position: Position,
        *,
        largest: int = LARGEST_PAGE,
        key: tuple[str, ...] = ("uuid",),
        by_date: bool = False,
    ) -> None:
        self.position = position
        self._fetch = fetch
        self._largest = min(largest, position.per_page) if position.covered else largest
        self._key = key
        self._by_date = by_date
        self._trail = Trail(position.seam, whole=position.rows == len(position.seam))
        self._sizes: dict[int, int] = {}  # asked -> given
        self._last_keys: list[str] | None = None
        self._ended = False
        self._without_news = 0
        self._back = OVERLAP

    async def next_batch(self) -> Batch | None:
        """The next rows; None at the end of the list.

        Raises:
            PagingError: The list cannot be read whole.
        """
        while not self._ended:
            if self.position.cursor is None and self.position.covered >= REACH:
                if self.position.short:
                    return None
                self._open_window()
            ask = next_ask(self.position, self._largest, back=self._back, fixed=self._fixed)
            page = await self._fetch(ask, self.position.window)
            step = self._in_cursor if ask.cursor is not None else self._by_number
            batch = step(ask, page)
            if batch is None:
                return None
            if batch.fresh:
                return batch
        return None

    # -- by page number -----------------------------------------------------------------------------------------

    def _by_number(self, ask: Ask, page: RawPage) -> Batch | None:
        given = self._note_size(ask, page)
        if given is not None:
            if ask.page != 1:
                return self._nothing(page, self.position)  # ask again, in the size that the server gives
            ask = attrs.evolve(ask, per_page=given)
        if not page.rows:
            return self._at_empty_page(ask, page)
        keys = [self._key_of(row) for row in page.rows]
        if keys == self._last_keys and ask.start >= self.position.covered:
            self._refuse_repetition(page)
            return None
        self._last_keys = keys
        joint = self._trail.joint(keys)
        is_blind = self._fixed and ask.start >= self.position.covered
        if joint is None and self.position.rows and not is_blind and not self._may_begin_anew(ask):
            return self._without_joint(ask, page)
        self._back = OVERLAP
        fresh = self._trail.new(keys, 0 if joint is None else joint + 1)
        return self._advance(ask, page, keys, fresh)

    def _note_size(self, ask: Ask, page: RawPage) -> int | None:
        """The size that the server gave, if it is another than asked for."""
        given = page.info.items_per_page
        if given is None or given < 1:
            given = ask.per_page
        self._sizes[ask.per_page] = given
        if given == ask.per_page:
            return None
        self._largest = given
        if self._fixed:
            _log.warning(
                "the server knows only pages of %d rows: rows that leave the list meanwhile may be missed", given
            )
        return given

    @property
    def _fixed(self) -> bool:
        """The server gives one size, whatever is asked for: it gave more than that once."""
        return any(given > asked for asked, given in self._sizes.items())

    def _at_empty_page(self, ask: Ask, page: RawPage) -> Batch | None:
        if ask.start >= self.position.covered or ask.start == 0:
            if self.position.joining:
                raise PagingError("the list lost its last rows while it was read on by date")
            return None
        # It overlaps what was read, and yet nothing is there: the list has become shorter.
        return self._step_back(ask, page)

    def _may_begin_anew(self, ask: Ask) -> bool:
        """All that was read is known and gone, and here the list begins: whatever stands here is new."""
        return ask.start == 0 and self._trail.whole and not self.position.joining

    def _without_joint(self, ask: Ask, page: RawPage) -> Batch:
        if self.position.joining:  # rows of the window before, up to the last one that was read
            covered = attrs.evolve(self.position, covered=ask.end, per_page=ask.per_page)
            return self._nothing(page, covered)
        if self.position.short and ask.start >= self.position.covered:
            return self._beyond_a_short_page(page)
        if ask.start == 0:
            raise PagingError(
                "the list changes faster than it can be read: none of the rows read last is there any more"
            )
        return self._step_back(ask, page)

    def _beyond_a_short_page(self, page: RawPage) -> Batch:
        """The list went on after a page that was not full: perhaps its size was clamped in silence."""
        position = self.position
        self._largest = position.last_rows
        covered = position.covered - position.per_page + position.last_rows
        return self._nothing(page, attrs.evolve(position, covered=covered, last_rows=position.per_page))

    def _step_back(self, ask: Ask, page: RawPage) -> Batch:
        self._back = max(self._back * 4, self.position.covered - ask.start + self._largest)
        return self._nothing(page, self.position)

    def _advance(self, ask: Ask, page: RawPage, keys: list[str], fresh: list[int]) -> Batch:
        self._count_news(fresh)
        self._trail.extend(keys[index] for index in fresh)
        after = attrs.evolve(
            self.position,
            covered=ask.end,
            per_page=ask.per_page,
            last_rows=len(page.rows),
            joining=False,
            cursor=page.info.cursor if ask.end >= REACH else None,
            last_day=_day(page.rows[-1]) or self.position.last_day,
            seam=self._trail.seam,
            rows=self.position.rows + len(fresh),
            pages=self.position.pages + bool(fresh),
        )
        self.position = after
        return Batch(page=page, fresh=fresh, after=after)

    def _nothing(self, page: RawPage, after: Position) -> Batch:
        self._count_news([])
        self.position = after
        return Batch(page=page, fresh=[], after=after)

    def _refuse_repetition(self, page: RawPage) -> None:
        if page.has_info:
            raise PagingError("the server gives the same page twice; whether the list ends here cannot be known")
        # No `pageInfo` and the same again: this list has no pages.

    def _count_news(self, fresh: list[int]) -> None:
        self._without_news = 0 if fresh or self.position.joining else self._without_news + 1
        if self._without_news > _MOST_WITHOUT_NEWS + TRAIL // self._largest:
            raise PagingError("the list does not end: page after page brings nothing new")

    # -- past the reach of page numbers -------------------------------------------------------------------------

    def _open_window(self) -> None:
        """No cursor was offered: read on from the day before the last row, by date."""
        last = self.position.last_day if self._by_date else None
        if last is None:
            raise PagingError(
                f"the list has more than {REACH} rows, the server offers no cursor, and it cannot be read on by date"
            )
        window = last - timedelta(days=1)
        if self.position.window is not None and window <= self.position.window:
            raise PagingError(f"more than {REACH} rows since {window}, and the server offers no cursor")
        _log.info("past %d rows: reading on by date, from %s", REACH, window)
        self.position = attrs.evolve(self.position, covered=0, window=window, joining=True)

    def _in_cursor(self, ask: Ask, page: RawPage) -> Batch | None:
        if not page.rows:
            return None
        keys = [self._key_of(row) for row in page.rows]
        fresh = self._trail.new(keys, 0)
        self._count_news(fresh)
        self._trail.extend(keys[index] for index in fresh)
        self._ended = page.info.cursor is None or page.info.cursor == ask.cursor
        self.position = attrs.evolve(
            self.position,
            cursor=ask.cursor if self._ended else page.info.cursor,
            seam=self._trail.seam,
            rows=self.position.rows + len(fresh),
            pages=self.position.pages + bool(fresh),
        )
        return Batch(page=page, fresh=fresh, after=self.position)

    def _key_of(self, row: Any) -> str:
        for name in self._key if isinstance(row, dict) else ():
            if isinstance(row.get(name), str) and row[name]:
                return str(row[name])
        return hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest()[:32]


def _day(row: Any) -> date | None:
    try:
        return date.fromisoformat(row["createDate"][:10])
    except (TypeError, KeyError, ValueError):
        return None
