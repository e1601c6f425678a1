"""`Paginator` and `Page`: what `list()` returns, and the resume tokens."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import json
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from datetime import date
from functools import partial
from typing import Any, Generic, NoReturn, TypeVar

import attrs

from goedgepickt_async.budget.slots import Lane
from goedgepickt_async.errors import ConfigurationError, DecodeError, Evidence, GoedGepicktError
from goedgepickt_async.hooks import PageRead, call_hook
from goedgepickt_async.logs import log_event
from goedgepickt_async.models import PageInfo
from goedgepickt_async.paging.reader import LARGEST_PAGE, MAX_OFFSET, Batch, ListReader, PageRequest, Position, RawPage

__all__ = ["ListSource", "Page", "Paginator", "read_token", "write_token"]

_VERSION = 1

_LONGEST = 10_000
"""Characters; one that we wrote has about two thousand."""


def write_token(identity: Sequence[str], position: Position) -> str:
    """The token for a position in a list; `identity` is what tells the list apart from others."""
    plain = [_VERSION, _fingerprint(identity), attrs.asdict(position, recurse=False)]
    packed = zlib.compress(json.dumps(plain, separators=(",", ":"), default=date.isoformat).encode(), level=1)
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def read_token(token: str, identity: Sequence[str]) -> Position:
    """The position that a token tells.

    Raises:
        ConfigurationError: It is no token, one of another version of this package, or one of another list.
    """
    try:
        token = token[:_LONGEST]
        packed = base64.urlsafe_b64decode(token.strip() + "=" * (-len(token.strip()) % 4))
        unpacker = zlib.decompressobj()
        version, fingerprint, values = json.loads(unpacker.decompress(packed, _LONGEST))
        intact = unpacker.eof
    except (ValueError, TypeError, AttributeError, RecursionError, binascii.Error, zlib.error):
        raise ConfigurationError("this is no resume token, or not the whole of one") from None
    if not intact:
        raise ConfigurationError("this is not the whole of a resume token")
    if version != _VERSION:
        raise ConfigurationError("this resume token is of another version of goedgepickt-async")
    if fingerprint != _fingerprint(identity):
        raise ConfigurationError("this resume token is of another list, or of the same one with other filters")
    try:
        return _position(values)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise ConfigurationError("this resume token is damaged") from None


def _position(values: dict[str, Any]) -> Position:
    whole = {name: int(values[name]) for name in ("covered", "rows", "pages")}
    position = Position(
        **whole,
        short=bool(values["short"]),
        cursor=None if values["cursor"] is None else str(values["cursor"]),
        window=_day(values["window"]),
        last_day=_day(values["last_day"]),
        first=_keys(values["first"]),
        seam=_keys(values["seam"]),
    )
    if not 0 <= position.covered <= MAX_OFFSET or position.rows < len(position.seam):
        raise ValueError
    return position


def _keys(values: object) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TypeError
    return tuple(values)


def _day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)


def _fingerprint(identity: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]


T = TypeVar("T")

_SMALLEST_PAGE = 20
"""However few are wanted: smaller pages could not overlap well, should the list be read on."""


@attrs.frozen(kw_only=True)
class Page(Generic[T]):
    """The new items that one request brought.

    Attributes:
        items: In the list's order; rows that an earlier page brought are left out.
        number: Which page of this reading, from 1.
        info: What the server says of the list. `total_items` and `last_page` are unreliable (reference section 3, B).
        filtered: New rows that the server sent although they are not what was asked for.
    """

    items: tuple[T, ...]
    number: int
    info: PageInfo
    filtered: int = 0
    _identity: tuple[str, ...] = attrs.field(repr=False, alias="identity")
    _after: Position = attrs.field(repr=False, alias="after")

    @property
    def resume(self) -> str:
        """A token: hand it to `pages(resume=…)` to read on after this page, in another process if need be.

        It is written when it is asked for, since most readers never ask.
        """
        return write_token(self._identity, self._after)


Fetch = Callable[[tuple[tuple[str, str], ...], Lane], Awaitable[RawPage]]


@attrs.frozen(kw_only=True)
class ListSource(Generic[T]):
    """What a paginator reads from.

    Attributes:
        path: Of the list.
        query: The filters, as sent.
        identity: What tells it apart from other lists: the server, the path, and all filters.
        reading: Begins a reading: what it returns sends one request, given the whole query and the lane.
        decode: Raw rows to items; what the server's filter let through wrongly is left out by `predicate`.
        predicate: Whether an item belongs to what was asked for.
        key: The wire names under which rows carry what tells them apart.
        by_date: Whether the list takes `createdAfter`.
        route: The path without ids, for whoever watches.
        on_page: Hears of each page.
    """

    path: str
    query: tuple[tuple[str, str], ...]
    identity: tuple[str, ...]
    open: Callable[[], Fetch]
    decode: Callable[[list[Any]], list[T]]
    predicate: Callable[[T], bool] | None = None
    key: tuple[str, ...] = ("uuid",)
    by_date: bool = False
    route: str = ""
    on_page: Callable[[PageRead], object] | None = None


class Paginator(Generic[T]):
    """A list of the API, read page by page as it is consumed. Nothing is sent before it is iterated.

    Iterating gives the items: `async for order in gg.orders.list(): …`. It can be iterated again, which reads the list
    again. While a page is worked on, the next one is fetched (from the second page on, so that looking at the first
    items costs one request). A list is read whole or raises: rows that were there from the beginning to the end of the
    reading come exactly once, also while others come and go.

    Raises while iterated:
        PagingError: The list cannot be read whole.
        GoedGepicktError: Any error of a call; its `resume` tells where to go on.
    """

    def __init__(self, source: ListSource[T], *, limit: int | None = None) -> None:
        self._source = source
        self._limit = limit

    def __repr__(self) -> str:
        return f"<Paginator of {self._source.path}>"

    def __aiter__(self) -> AsyncIterator[T]:
        """The items, one by one."""
        return self._items()

    def __await__(self) -> NoReturn:
        """Refused: a list is iterated."""
        raise TypeError("a list is not awaited: use `async for item in …`, or `await ….collect()` for all of it")

    def __iter__(self) -> NoReturn:
        """Refused: the list is asynchronous."""
        raise TypeError("use `async for`, not `for`; or `for item in await ….collect()`")

    def __len__(self) -> NoReturn:
        """Refused: the API's totals are unreliable (B)."""
        raise TypeError("a list has no length before it is read: use `len(await ….collect())`")

    def __getitem__(self, _index: object) -> NoReturn:
        """Refused: the list is read page by page."""
        raise TypeError("a list has no index: use `await ….first()`, or `(await ….collect(limit=n))[i]`")

    def __bool__(self) -> bool:
        """True, always: whether it has items is known once it is read."""
        return True

    def limit(self, number: int) -> Paginator[T]:
        """The same list, of which at most `number` items are read.

        Raises:
            ConfigurationError: It is no whole number, or negative.
        """
        if type(number) is not int or number < 0:
            raise ConfigurationError(f"limit must be a whole number, not {number!r}")
        return Paginator(self._source, limit=number if self._limit is None else min(number, self._limit))

    async def first(self) -> T | None:
        """The first item, or None if there is none; one request, as a rule."""
        items = await self.collect(limit=1)
        return items[0] if items else None

    async def collect(self, *, limit: int | None = None) -> list[T]:
        """All items as a list.

        Args:
            limit: At most so many.
        """
        paginator = self if limit is None else self.limit(limit)
        return [item async for item in paginator]

    async def pages(self, *, resume: str | None = None) -> AsyncGenerator[Page[T]]:
        """The pages, one by one.

        Args:
            resume: The `resume` of a page or of an error, to read on after it.

        Raises:
            ConfigurationError: The token is none, or of another list.
        """
        source = self._source
        position = Position() if resume is None else read_token(resume, source.identity)
        ask = partial(self._ask, source.open())
        reader = ListReader(ask, position, largest=self._largest(), key=source.key, by_date=source.by_date)
        left = self._limit
        before = position
        ahead: asyncio.Task[Batch | None] | None = None
        came_back = False
        try:
            while left is None or left > 0:
                with self._resumable(before):
                    batch = await (reader.next_batch() if ahead is None else ahead)
                    ahead = None
                    if batch is None:
                        return
                    page = self._page(batch, left)
                self._tell(batch, page)
                before = batch.after
                del batch  # its raw rows are not kept while somebody looks at the page
                left = None if left is None else left - len(page.items)
                if came_back and (left is None or left > 0):
                    ahead = asyncio.create_task(reader.next_batch(), name=f"next page of {source.path}")
                yield page
                came_back = True
        finally:
            if ahead is not None:
                await _end(ahead)

    async def _items(self) -> AsyncGenerator[T]:
        async with aclosing(self.pages()) as pages:
            async for page in pages:
                for item in page.items:
                    yield item

    def _page(self, batch: Batch, left: int | None) -> Page[T]:
        source = self._source
        rows = self._decoded(batch)
        kept = [
            (number, row)
            for number, row in enumerate(rows, start=1)
            if source.predicate is None or source.predicate(row)
        ]
        given = kept if left is None else kept[:left]
        is_cut = len(given) < len(kept)
        after = batch.position_after(given[-1][0] if given else 0) if is_cut else batch.after
        return Page(
            items=tuple(item for _, item in given),
            number=batch.after.pages,
            info=batch.page.info,
            filtered=len(batch.fresh) - len(kept),
            identity=source.identity,
            after=after,
        )

    def _decoded(self, batch: Batch) -> list[T]:
        """The new rows; those that an earlier page brought are not read again."""
        rows = batch.page.rows
        try:
            return self._source.decode([rows[index] for index in batch.fresh])
        except DecodeError as error:
            refusal = error
        try:
            self._source.decode(rows)
        except DecodeError as error:
            refusal = error  # it has the places in the answer as it came
        refusal.evidence, refusal.attempts = Evidence.APPLIED, batch.page.attempts
        raise refusal

    def _tell(self, batch: Batch, page: Page[T]) -> None:
        source, rows = self._source, len(batch.page.rows)
        facts: dict[str, Any] = {
            "route": source.route or source.path,
            "number": page.number,
            "rows": rows,
            "new": len(page.items),
            "known": rows - len(batch.fresh),
            "requests": batch.asked,
        }
        log_event("page.read", **facts)
        if source.on_page is not None:
            call_hook(source.on_page, PageRead(path=source.path, **facts))

    @contextmanager
    def _resumable(self, position: Position) -> Iterator[None]:
        """An error in here tells where the list can be taken up again."""
        try:
            yield
        except GoedGepicktError as error:
            error.resume = write_token(self._source.identity, position)
            error.method, error.path = "GET", self._source.path
            raise

    async def _ask(self, fetch: Fetch, ask: PageRequest, window: date | None) -> RawPage:
        source = self._source
        query = [pair for pair in source.query if window is None or pair[0] != "createdAfter"]
        if window is not None:
            query.append(("createdAfter", window.isoformat()))
        query.append(("perPage", str(ask.per_page)))
        query.append(("page", str(ask.page)) if ask.cursor is None else ("cursor", ask.cursor))
        first = ask.cursor is None and ask.page == 1 and window is None
        return await fetch(tuple(query), Lane.INTERACTIVE if first else Lane.NORMAL)

    def _largest(self) -> int:
        if self._limit is None or self._source.predicate is not None:
            return LARGEST_PAGE
        return min(LARGEST_PAGE, max(_SMALLEST_PAGE, self._limit))


async def _end(task: asyncio.Task[Any]) -> None:
    """Cancel what was fetched ahead and see it end; what it ended in is of no interest any more."""
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()
