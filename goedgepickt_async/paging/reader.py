"""Reads a list page by page: overlap check, cursor, date windows, end of the list. It does no I/O itself."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import date, timedelta
from itertools import islice
from typing import Any

import attrs

from goedgepickt_async.errors import DecodeError, Evidence, PagingError
from goedgepickt_async.logs import log_event
from goedgepickt_async.models import PageInfo

__all__ = [
    "LARGEST_PAGE",
    "MAX_OFFSET",
    "MEMORY",
    "OVERLAP",
    "SEAM",
    "Batch",
    "ListReader",
    "PageRequest",
    "Position",
    "RawPage",
    "SeenKeys",
    "key_of",
    "overlapping",
    "plain",
    "reaching_back",
]

MEMORY = 1_000
"""The number of rows that a reader remembers."""

SEAM = 120
"""The number of rows that a resume token remembers: more than the largest page."""

_CHANGING = {"status", "deliveredDate", "finishDate", "shippedDate"}
"""The fields that can change in a row without an identifier."""


class SeenKeys:
    """The keys of the latest rows, in order."""

    def __init__(self, seam: Iterable[str], *, whole: bool) -> None:
        self._keys = deque(seam, maxlen=MEMORY)
        self._known = set(self._keys)
        self.whole: bool = whole  # whether it has all rows so far

    def __contains__(self, key: str) -> bool:
        return key in self._known

    def __len__(self) -> int:
        return len(self._keys)

    def extend(self, keys: Iterable[str]) -> None:
        """Add keys, and forget the oldest ones."""
        more = list(keys)
        too_many = len(self._keys) + len(more) - MEMORY
        if too_many > 0:
            self._known.difference_update(islice(self._keys, too_many))
            self.whole = False
        self._keys.extend(more)
        self._known.update(more[-MEMORY:])

    def unknown(self, keys: Sequence[str]) -> list[int]:
        """Return the indexes of the new keys; a key that occurs twice counts once."""
        seen: set[str] = set()
        fresh = []
        for index, key in enumerate(keys):
            if key not in self._known and key not in seen:
                seen.add(key)
                fresh.append(index)
        return fresh

    def after_last_known(self, keys: Sequence[str]) -> list[int]:
        """Return the indexes of the new keys after the last known key, for pages that start earlier."""
        last_known = next((index for index in reversed(range(len(keys))) if keys[index] in self._known), -1)
        return [index for index in self.unknown(keys) if index > last_known]

    @property
    def seam(self) -> tuple[str, ...]:
        """Return the latest keys, for a resume token."""
        return tuple(self._keys)[-SEAM:]


def key_of(row: Any, names: Sequence[str]) -> str:
    """Return a short digest that identifies a row: of its identifier, or else of its constant fields.

    Raises:
        DecodeError: The row has no identifier, and is nested too deep.
    """
    if isinstance(row, dict):
        for name in names:
            if isinstance(row.get(name), str) and row[name]:
                return _digest(f"{name}:{row[name]}")
        row = {name: value for name, value in row.items() if name not in _CHANGING}
    try:
        text = json.dumps(row, sort_keys=True)
    except RecursionError:
        text = ""
    if not text:  # outside the handler, because the encoder's frames hold the row
        raise DecodeError("a row has no identifier and is nested too deep", evidence=Evidence.APPLIED)
    return _digest(text)


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=6).hexdigest()


LARGEST_PAGE = 100
"""The page size. It works for products, pick locations and shipments (A/B); the response contains the real size."""

MAX_OFFSET = 10_000
"""The number of rows that page numbers can reach (B)."""

OVERLAP = 3
"""The smallest overlap of two pages, in rows."""


@attrs.frozen(kw_only=True)
class PageRequest:
    """One request for rows: a page of this size, or the rows after a cursor."""

    page: int | None
    per_page: int
    cursor: str | None = None

    @property
    def start(self) -> int:
        """The first position in the list that it covers, from 0."""
        return 0 if self.page is None else (self.page - 1) * self.per_page

    @property
    def end(self) -> int:
        """The position after the last one that it covers; page numbers end at `MAX_OFFSET`."""
        return min(self.start + self.per_page, MAX_OFFSET)

    @property
    def size(self) -> int:
        """The number of rows that it covers."""
        return self.end - self.start


@attrs.frozen(kw_only=True)
class Position:
    """The position in a list.

    Attributes:
        covered: All positions below this one were read.
        short: Whether the latest page was not full, so the list seemed to end.
        cursor: The cursor to continue with, instead of page numbers.
        window: The `createdAfter` that replaces page numbers after `MAX_OFFSET`.
        last_day: The creation time of the latest row, to continue by date.
        first: The keys of the first rows, which a server that ignores cursors sends again.
        seam: The keys of the latest rows, with the newest at the end.
        rows: The number of rows so far.
        pages: The number of pages so far.
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


def plain(covered: int, per_page: int) -> PageRequest:
    """The first page of this size that starts at `covered` or later, which is empty if the list has ended."""
    return PageRequest(page=-(-covered // per_page) + 1, per_page=per_page)


def overlapping(covered: int, largest: int, overlap: int) -> PageRequest:
    """The page that starts at least `overlap` rows before `covered` and has the most new rows.

    If the page is too small for this overlap and a new row, it overlaps less.
    """
    asks = (_furthest(covered - less, largest) for less in range(min(overlap, covered), -1, -1))
    return next(ask for ask in asks if ask.end > covered)


def reaching_back(covered: int, largest: int, back: int) -> PageRequest:
    """A page that starts `back` rows before `covered`, or slightly earlier."""
    return _furthest(max(0, covered - back), largest)


def _furthest(start: int, largest: int) -> PageRequest:
    """The page that starts at `start` or slightly earlier and has the most rows after it."""
    # Plain numbers, because a hundred objects for each page would take more time than the request.
    _, size = max((end, size) for size in range(1, largest + 1) if (end := (start // size + 1) * size) <= MAX_OFFSET)
    return PageRequest(page=start // size + 1, per_page=size)


_MOST_WITHOUT_NEWS = 10
"""The number of consecutive pages without a new row after which the list counts as endless, in addition to pages with
known keys."""

_MOST_TIES = 20
"""The largest growth of the overlap, because rows with the same creation time have no fixed order."""


@attrs.frozen(kw_only=True)
class RawPage:
    """The result of one request.

    Attributes:
        rows: The items, as JSON objects.
        info: The `pageInfo`; empty if the response has none.
        has_info: Whether the response had a `pageInfo`.
        attempts: The number of HTTP requests that were sent for it.
    """

    rows: list[Any] = attrs.field(repr=False)  # data of customers, which error trackers would collect
    info: PageInfo
    has_info: bool = True
    attempts: int = 1


@attrs.frozen(kw_only=True)
class Batch:
    """The new rows of one page.

    Attributes:
        page: The page.
        fresh: The indexes of the new rows in `page.rows`.
        before: The position before these rows.
        after: The position after these rows.
        keys: The keys of `page.rows`.
        asked: The number of page requests for it.
        start: The position of the first row; None for a page of a cursor.
    """

    page: RawPage
    fresh: list[int]
    before: Position
    after: Position
    keys: list[str]
    start: int | None
    asked: int = 1

    def position_after(self, number: int) -> Position:
        """Return the position after the first `number` of the new rows."""
        if number >= len(self.fresh):
            return self.after
        read = tuple(self.keys[index] for index in self.fresh[:number])
        base = self.before if self.start is None else attrs.evolve(self.after, covered=self.start + self.fresh[number])
        return attrs.evolve(
            base,
            short=False,
            cursor=self.before.cursor,
            first=self.after.first,
            seam=(self.before.seam + read)[-SEAM:],
            rows=self.before.rows + number,
            pages=self.after.pages,
        )


Fetch = Callable[[PageRequest, date | None], Awaitable[RawPage]]


class ListReader:
    """One reading of one list.

    Args:
        fetch: The function that sends a request. Its second argument replaces the list's `createdAfter`, if it is not
            None.
        position: The position to start from.
        largest: The page size to request.
        key: The JSON keys that identify a row, the best one first.
        by_date: Whether the list has the filter `createdAfter`.
    """

    def __init__(
        self,
        fetch: Fetch,
        position: Position,
        *,
        largest: int = LARGEST_PAGE,
        key: Sequence[str] = ("uuid",),
        by_date: bool = False,
    ) -> None:
        # The list may have grown after its end: continue there as at any other position.
        self.position: Position = attrs.evolve(position, short=False)
        self._fetch = fetch
        self._largest = largest
        self._key = key
        self._by_date = by_date
        self._seen = SeenKeys(position.seam, whole=position.rows == len(position.seam))
        self._ended = False
        self._without_news = 0
        self._last_keys: list[str] = []
        self._before_last_keys: list[str] = []
        self._repeated = False  # whether the latest page repeated the page before it
        self._overlap = OVERLAP  # overlap of the next page, in rows
        self._back = 0  # rows to go back, because the overlap was not enough
        self._has_gaps = False  # whether pages in the middle of the list are not full
        self._total: int | None = None  # the total that the latest non-empty page reported
        self._claims_more = False  # whether the last page was not full and the total is higher
        self._looked_twice = False
        # In a new window: whether to skip rows that were read before; True until the first new row.
        self._resyncing = False
        self._resynced = False  # … and whether a known row was found
        self._filled: int | None = None  # the page size that the server reported for the first full page
        self._fixed: int | None = None  # the only page size of the server
        self._gives_cursors = False  # whether the server sends a cursor on pages before the last
        self._again: int | None = None  # then: the page to read again, because pages cannot overlap

    async def next_batch(self) -> Batch | None:
        """Return the next rows; None at the end of the list.

        Raises:
            PagingError: The list cannot be read completely.
        """
        asked = 0
        while not self._ended:
            ask = self._next_ask()
            asked += 1
            page = await self._fetch(ask, self.position.window)
            if self._contradiction(ask, page) is not None:
                asked += 1
                page = await self._fetch(ask, self.position.window)
                contradiction = self._contradiction(ask, page)
                if contradiction is not None:
                    raise PagingError(contradiction)
            self._total = page.info.total_items if page.rows else self._total
            batch = self._in_cursor(ask, page) if ask.cursor is not None else self._by_number(ask, page)
            if batch is not None and batch.fresh:
                self._without_news = 0
                return attrs.evolve(batch, asked=asked)
            self._without_news += not self._resyncing
            if self._without_news > _MOST_WITHOUT_NEWS + MEMORY // self._largest:
                raise PagingError("the list does not end: the server sends pages without new rows")
        return None

    def _next_ask(self) -> PageRequest:
        if self.position.cursor is None and self.position.covered >= MAX_OFFSET:
            self._open_window()
        position = self.position
        if position.cursor is not None:
            return PageRequest(page=None, per_page=self._largest, cursor=position.cursor)
        if self._fixed is not None:
            return PageRequest(page=self._again or position.covered // self._fixed + 1, per_page=self._fixed)
        behind = plain(position.covered, self._largest)
        if position.covered == 0 or self._resyncing or (position.short and behind.start < MAX_OFFSET):
            return behind
        if self._back:
            return reaching_back(position.covered, self._largest, self._back)
        return overlapping(position.covered, self._largest, self._overlap)

    def _contradiction(self, ask: PageRequest, page: RawPage) -> str | None:
        """Return what an empty page contradicts, or None. A failing server may send empty pages.

        Totals are unreliable (B), so a total that is equally too high on every page contradicts nothing.
        """
        if page.rows:
            return None
        read, total, before = self.position.rows, page.info.total_items, self._total
        if ask.cursor is None and ask.start == 0:
            if total:
                return f"the server reports {total} rows, but returns none of them"
            if read and not self._resyncing:
                return f"{read} rows were read, but now the server reports an empty list"
        is_end = self._looked_twice and self.position.window is None
        if is_end and before is not None and before > read and (total is None or total < read):
            return f"the server reported {before} rows, but the list ends after {read}"
        return None

    # -- by page number -----------------------------------------------------------------------------------------

    def _by_number(self, ask: PageRequest, page: RawPage) -> Batch | None:
        given = _size_given(ask, page, self._filled)
        self._note_filled(ask, len(page.rows), page.info.items_per_page)
        if given != ask.per_page:
            self._learn_size(ask, given)
            if ask.page != 1:
                if page.rows:  # the list has not ended
                    self.position = attrs.evolve(self.position, short=False)
                return None  # request again, with a size that the server supports
            ask = attrs.evolve(ask, per_page=given)
        if not page.rows:
            self._at_empty_page(ask)
            return None
        self._gives_cursors = self._gives_cursors or bool(page.info.cursor)
        keys = [key_of(row, self._key) for row in page.rows]
        if self._is_clamped_to_the_last_page(ask, page, keys):
            self._ended = True
            return None
        is_repeated = keys == self._last_keys and keys[-1] in self._seen  # and not a page that was not taken
        if is_repeated and (ask.start >= self.position.covered or self._repeated):
            self._at_repetition(ask, page)
            return None
        self._repeated = False
        self._before_last_keys, self._last_keys = self._last_keys, keys
        remembers = self._seen.whole or ask.start >= self.position.covered - len(self._seen) // 2
        if self._is_continuous(ask, keys, remembers=remembers):
            return self._advance(ask, page, keys, remembers=remembers)
        self._at_a_gap(ask)
        return None

    def _is_clamped_to_the_last_page(self, ask: PageRequest, page: RawPage, keys: list[str]) -> bool:
        """Whether the server sent and reported another page than requested, and reports that all rows were read."""
        info = page.info
        if self._again is not None or ask.page is None:
            return False
        is_another = info.current_page is not None and info.current_page < ask.page
        has_all = self.position.window is None and info.total_items == self.position.rows
        return is_another and has_all and (keys == self._last_keys or all(key in self._seen for key in keys))

    def _note_filled(self, ask: PageRequest, rows: int, claimed: int | None) -> None:
        if rows == ask.per_page != claimed:
            self._filled = 0  # the server has other sizes, too
        elif rows and rows == claimed and self._filled is None:
            self._filled = rows

    def _learn_size(self, ask: PageRequest, given: int) -> None:
        self._largest = given
        if given > ask.per_page:
            self._fixed = given
            log_event("page.size_fixed", rows=given)

    def _is_continuous(self, ask: PageRequest, keys: list[str], *, remembers: bool) -> bool:
        """Whether there can be no rows between the earlier rows and this page."""
        if self._resyncing:
            self._resynced = self._resynced or any(key in self._seen for key in keys)
            return self._resynced
        if not self.position.rows or self._fixed is not None:
            return True
        if ask.start >= self.position.covered and not self.position.short:
            return True  # the pages are too small to overlap
        if not remembers:
            return any(key in self._seen for key in keys)
        # At the start of the list, with all rows in memory, each unknown row is new.
        return keys[0] in self._seen or (ask.start == 0 and self._seen.whole)

    def _advance(self, ask: PageRequest, page: RawPage, keys: list[str], *, remembers: bool) -> Batch:
        before, seen = self.position, self._seen
        fresh = seen.unknown(keys) if remembers and not self._resyncing else seen.after_last_known(keys)
        seen.extend(keys[index] for index in fresh)
        rows = before.rows + len(fresh)
        is_full = len(keys) >= ask.size
        self._claims_more = not is_full and before.window is None and (page.info.total_items or 0) > rows
        self._looked_twice = self._looked_twice and not fresh
        self._resyncing = self._resyncing and not fresh
        self._overlap, self._back = OVERLAP + _ties(page.rows), 0
        self.position = attrs.evolve(
            before,
            covered=ask.end if is_full or self._has_gaps or self._fixed else ask.start + len(keys),
            short=not is_full and not (self._has_gaps and fresh),
            last_day=_day(page.rows[-1]) or before.last_day,
            first=before.first or tuple(keys[:3]),
            seam=seen.seam,
            rows=rows,
            pages=before.pages + bool(fresh),
        )
        if self._fixed is not None:
            self._read_again(ask, before, fresh)
        if ask.end >= MAX_OFFSET:
            self._at_max_offset(page, is_full=is_full)
        return Batch(page=page, fresh=fresh, before=before, after=self.position, keys=keys, start=ask.start)

    def _at_max_offset(self, page: RawPage, *, is_full: bool) -> None:
        """Page numbers end here: continue with a cursor or a later date."""
        claims_more = (page.info.total_items or 0) > self.position.rows
        lacks_cursor = not page.info.cursor and self._gives_cursors  # the pages before had one, because rows followed
        if lacks_cursor and not claims_more:
            self._ended = True
        elif lacks_cursor and not self._by_date and not self._looked_twice:
            self._looked_twice = True
            self.position = attrs.evolve(self.position, covered=MAX_OFFSET - 1)  # read the page again
        elif page.info.cursor or is_full or self._by_date or (page.info.total_items or 0) >= MAX_OFFSET:
            self.position = attrs.evolve(
                self.position, covered=MAX_OFFSET, short=False, cursor=page.info.cursor or None
            )
        else:
            self._ended = True

    def _read_again(self, ask: PageRequest, before: Position, fresh: list[int]) -> None:
        """Pages cannot overlap: after each page, the page before it is read again for rows that moved into it."""
        if self._again is not None:
            self._again = None
            self.position = attrs.evolve(self.position, covered=before.covered, short=before.short and not fresh)
        elif ask.page is not None and ask.page > 1:
            self._again = ask.page - 1

    def _at_empty_page(self, ask: PageRequest) -> None:
        position = self.position
        if self._resyncing and not self._resynced:
            raise PagingError("the latest rows disappeared from the list while it was continued by date")
        if ask.start and ask.start < position.covered and self._fixed is None:
            self._step_back(ask)  # it overlaps known rows but is empty: the list has become shorter
        elif self._looked_twice or not (self._claims_more or (position.rows and (self._fixed or not position.short))):
            self._ended = True
        else:
            self._look_twice(ask)

    def _look_twice(self, ask: PageRequest) -> None:
        """The list may not have ended: the total is higher, or the pages are too small to overlap.

        The server may send smaller pages than it reports, or an empty page by mistake.
        """
        self._looked_twice = True
        if self._fixed is not None:
            self._again = (ask.page or 1) - 1 or None
            return
        self._largest = max(1, min(self._largest, len(self._last_keys)))
        self._back = 0 if self.position.short else 1
        self.position = attrs.evolve(self.position, short=False)

    def _at_repetition(self, ask: PageRequest, page: RawPage) -> None:
        if not page.has_info:
            self._ended = True  # no `pageInfo` and the same rows again: this list has no pages
        elif self._repeated:
            raise PagingError("the server sends the same page twice, so the end of the list is unknown")
        else:  # new rows may have moved these to the next page
            self._repeated = True
            self._step_back(ask)

    def _at_a_gap(self, ask: PageRequest) -> None:
        """No row of the page was read before."""
        position = self.position
        if self._resyncing:  # not yet at the end of the window before it
            self.position = attrs.evolve(position, covered=ask.end)
        elif position.short and ask.start >= position.covered:
            self._go_on_behind_a_short_page()
        elif ask.start == 0:
            raise PagingError("the list changes faster than it can be read: none of the latest rows is in it any more")
        else:
            self._step_back(ask)

    def _go_on_behind_a_short_page(self) -> None:
        """This was not the end: pages are smaller than reported, or have gaps."""
        if not self._has_gaps:
            self._largest = max(1, min(self._largest, len(self._before_last_keys)))
        self._has_gaps = True
        self.position = attrs.evolve(self.position, short=False)

    def _step_back(self, ask: PageRequest) -> None:
        self._back = max(self._back * 4, self.position.covered - ask.start + self._largest)
        self.position = attrs.evolve(self.position, short=False)

    # -- past the reach of page numbers -------------------------------------------------------------------------

    def _open_window(self) -> None:
        """The server sent no cursor: continue by date, from the day before the last row."""
        last = self.position.last_day if self._by_date else None
        if last is None:
            raise PagingError(
                f"the list has more than {MAX_OFFSET} rows, the server sends no cursor, and the list cannot be "
                "continued by date"
            )
        window = last - min(timedelta(days=1), last - date.min)
        if self.position.window is not None and window <= self.position.window:
            window = last
        if self.position.window is not None and window <= self.position.window:
            raise PagingError(f"more than {MAX_OFFSET} rows since {window}, and the server sends no cursor")
        log_event("page.window", rows=MAX_OFFSET, since=window.isoformat())
        self._resyncing, self._resynced, self._back = True, False, 0
        self.position = attrs.evolve(self.position, covered=0, short=False, window=window)

    def _in_cursor(self, ask: PageRequest, page: RawPage) -> Batch | None:
        keys = [key_of(row, self._key) for row in page.rows]
        if any(key in keys for key in self.position.first):
            raise PagingError("the server ignores its own cursor and sends the list from its start")
        fresh = self._seen.unknown(keys)
        self._seen.extend(keys[index] for index in fresh)
        following, before = page.info.cursor or None, self.position
        is_last = not page.rows or following in {None, ask.cursor}
        claims_more = (page.info.total_items or self._total or 0) > before.rows + len(fresh)
        if is_last and claims_more and not self._looked_twice:
            self._looked_twice, following = True, ask.cursor  # the page may be empty by mistake: read it again
        else:
            self._ended = is_last
        self.position = attrs.evolve(
            before,
            cursor=ask.cursor if self._ended else following,
            seam=self._seen.seam,
            rows=before.rows + len(fresh),
            pages=before.pages + bool(fresh),
        )
        return Batch(page=page, fresh=fresh, before=before, after=self.position, keys=keys, start=None)


def _size_given(ask: PageRequest, page: RawPage, filled: int | None = None) -> int:
    """The page size that the server used: the reported size, if it fits the number of rows.

    A reported size above the requested size is used if an earlier page had so many rows: the server has only this size.
    """
    claimed, rows = page.info.items_per_page or ask.per_page, len(page.rows)
    if rows > max(claimed, ask.per_page):
        return rows
    is_too_large = rows <= ask.per_page < claimed and (claimed != filled or rows == ask.per_page)
    return ask.per_page if claimed < 1 or rows > claimed or is_too_large else claimed


def _ties(rows: list[Any]) -> int:
    """The number of rows before the last one with the same creation time, which have no fixed order."""
    moments = [row.get("createDate") if isinstance(row, dict) else None for row in rows[-_MOST_TIES:]]
    if moments[-1] is None:
        return 0
    same = itertools.takewhile(lambda moment: moment == moments[-1], reversed(moments))
    return sum(1 for _ in same) - 1


def _day(row: Any) -> date | None:
    try:
        return date.fromisoformat(row["createDate"][:10])
    except (TypeError, KeyError, ValueError):
        return None
