"""`Paginator` and `Page`: what `list()` returns, and the resume tokens."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import json
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, NoReturn, Protocol, TypeVar

import attrs
from cattrs.preconf.json import make_converter

from goedgepickt_async.budget.slots import Lane
from goedgepickt_async.errors import ConfigurationError, DecodeError, Evidence, GoedGepicktError
from goedgepickt_async.hooks import PageRead, call_hook
from goedgepickt_async.logs import log_event
from goedgepickt_async.models import PageInfo
from goedgepickt_async.paging.reader import LARGEST_PAGE, MAX_OFFSET, Batch, ListReader, PageRequest, Position, RawPage
from goedgepickt_async.text import html_table, safe_repr

__all__ = [
    "AsyncOnly",
    "ListSource",
    "OnUnreadable",
    "Page",
    "Pages",
    "Paginator",
    "UnreadableRow",
    "read_token",
    "refuse",
    "write_token",
]

_VERSION = 1

_LONGEST = 10_000
"""Characters; one that we wrote has about two thousand."""

_CONVERTER = make_converter(detailed_validation=False)
"""Of positions, for tokens: dates as ISO 8601."""


def write_token(identity: Sequence[str], position: Position) -> str:
    """The token for a position in a list; `identity` is what tells the list apart from others."""
    plain = [_VERSION, _fingerprint(identity), _CONVERTER.unstructure(position)]
    packed = zlib.compress(json.dumps(plain, separators=(",", ":")).encode(), level=1)
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
        position = _CONVERTER.structure(values, Position)
    except Exception:  # noqa: BLE001  whatever a damaged token makes of its values
        raise ConfigurationError("this resume token is damaged") from None
    if not 0 <= position.covered <= MAX_OFFSET or position.rows < len(position.seam):
        raise ConfigurationError("this resume token is damaged")
    return position


def _fingerprint(identity: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]


T = TypeVar("T")

_SMALLEST_PAGE = 20
"""However few are wanted: smaller pages could not overlap well, should the list be read on."""


@attrs.frozen(kw_only=True)
class UnreadableRow:
    """A row of a list that cannot be read, and that was set aside (`on_unreadable=`). Its repr shows no value.

    Attributes:
        page: The page's number, as `Page.number`.
        place: Its place in the answer, as `$.items[23]`.
        id: What tells it apart, such as its uuid; None if it has nothing of the kind.
        problems: One line for each bad value, as `$.items[23].totalPaid: expected …`; it never holds the value.
        row: The row as it came, as JSON values. It may hold personal data.
    """

    page: int
    place: str
    id: str | None
    problems: tuple[str, ...]
    row: Any = attrs.field(repr=False)


OnUnreadable = Literal["raise", "skip"] | Callable[[UnreadableRow], object]
"""What becomes of a row that cannot be read: it raises, it is set aside, or it is set aside and handed to a function."""


@attrs.frozen(kw_only=True)
class Page(Generic[T]):
    """The new items that one request brought.

    Attributes:
        items: In the list's order; rows that an earlier page brought are left out.
        number: Which page of this reading, from 1.
        info: The `pageInfo` of the response. `total_items` and `last_page` are unreliable (reference section 3, B).
        filtered: New rows that the server sent although they are not what was asked for.
        unreadable: New rows that cannot be read; empty unless the list was asked for with `on_unreadable=`.
    """

    items: tuple[T, ...]
    number: int
    info: PageInfo
    filtered: int = 0
    unreadable: tuple[UnreadableRow, ...] = ()
    _identity: tuple[str, ...] = attrs.field(repr=False, alias="identity")
    _after: Position = attrs.field(repr=False, alias="after")

    @property
    def resume(self) -> str:
        """A token: hand it to `pages(resume=…)` to read on after this page, in another process if need be.

        It is written when it is asked for, since most readers never ask.
        """
        return write_token(self._identity, self._after)

    def __rich_repr__(self) -> Iterator[Any]:
        """For rich: the number of the page, and its items."""
        yield "number", self.number
        yield "items", self.items
        if self.unreadable:
            yield "unreadable", self.unreadable

    def _repr_html_(self) -> str:
        """For notebooks: a row for each item, without personal data."""
        rows = [(place, repr(item)) for place, item in enumerate(self.items)]
        return html_table(f"Page {self.number}: {len(self.items)} items, {len(self.unreadable)} unreadable", rows)


Fetch = Callable[[tuple[tuple[str, str], ...], Lane], Awaitable[RawPage]]


class BadRow(Protocol):
    """What the decoder says of a row that it cannot read: its index among those it was given, and why."""

    @property
    def index(self) -> int: ...

    @property
    def problems(self) -> tuple[str, ...]: ...


@safe_repr
@attrs.frozen(kw_only=True)
class ListSource(Generic[T]):
    """What a paginator reads from.

    Attributes:
        path: Of the list.
        query: The filters, as sent.
        identity: What tells it apart from other lists: the server, the path, and all filters.
        reading: Begins a reading: what it returns sends one request, given the whole query and the lane.
        decode: From raw rows, and the index of each in the answer, to items and to those that cannot be read.
        decode_error: From those that cannot be read to the error that says so.
        predicate: Whether an item belongs to what was asked for.
        key: The wire names under which rows carry what tells them apart.
        by_date: Whether the list takes `createdAfter`.
        route: The path without ids, for hooks and logs.
        on_page: Called with each page.
        on_unreadable: What becomes of a row that cannot be read.
    """

    path: str
    query: tuple[tuple[str, str], ...]
    identity: tuple[str, ...]
    open: Callable[[], Fetch]
    decode: Callable[[list[Any], list[int]], tuple[list[T], Sequence[BadRow]]]
    decode_error: Callable[[Any], DecodeError]
    predicate: Callable[[T], bool] | None = None
    key: tuple[str, ...] = ("uuid",)
    by_date: bool = False
    route: str = ""
    on_page: Callable[[PageRead], object] | None = None
    on_unreadable: OnUnreadable = "raise"

    def __attrs_post_init__(self) -> None:
        """Check the choice.

        Raises:
            ConfigurationError: `on_unreadable` is neither `"raise"`, `"skip"` nor a function.
        """
        if self.on_unreadable not in {"raise", "skip"} and not callable(self.on_unreadable):
            raise ConfigurationError('on_unreadable must be "raise", "skip" or a function')


def refuse(wrong: Any, *_: object) -> NoReturn:
    """The body of each method that an `AsyncOnly` object has only to say what to write instead."""
    raise TypeError(wrong._usage)  # noqa: SLF001  its own


class AsyncOnly:
    """Raises a `TypeError` that says what to write, where an asynchronous object is used as a synchronous one."""

    __slots__ = ()
    _usage: ClassVar[str]

    if not TYPE_CHECKING:  # type checkers report these uses themselves, as long as the methods are missing
        __iter__ = __next__ = __len__ = __getitem__ = __contains__ = __reversed__ = __enter__ = __exit__ = refuse

        def __bool__(self) -> bool:
            """True: `len` says nothing about it."""
            return True


@safe_repr
class Paginator(AsyncOnly, Generic[T]):
    """A list of the API, read page by page as it is consumed. Nothing is sent before it is iterated.

    Iterating gives the items: `async for order in gg.orders.list(): …`. It can be iterated again, which reads the list
    again. From the second page on, the next page is fetched ahead; the first items cost one request. A list is complete or
    raises. Rows that exist during the whole reading come exactly once, also while other rows come and go.

    Raises while iterated:
        PagingError: The list cannot be read whole.
        GoedGepicktError: Any error of a call; its `resume` tells where to continue.
    """

    _usage = (
        "a list is read asynchronously: use `async for item in …`, `await ….collect()` for all items, "
        "`len(await ….collect())`, or `await ….first()` for one"
    )

    if not TYPE_CHECKING:
        __await__ = __aenter__ = __aexit__ = __anext__ = refuse

    def __init__(self, source: ListSource[T], *, limit: int | None = None) -> None:
        self._source = source
        self._limit = limit

    def __repr__(self) -> str:
        return f"<Paginator of {self._source.path}>"

    def __aiter__(self) -> AsyncIterator[T]:
        """The items in order."""
        return self._items()

    def limit(self, number: int) -> Paginator[T]:
        """The same list, limited to `number` items.

        Raises:
            ConfigurationError: It is no whole number, or negative.
        """
        if type(number) is not int or number < 0:
            raise ConfigurationError(f"limit must be a whole number, not {number!r}")
        return Paginator(self._source, limit=number if self._limit is None else min(number, self._limit))

    async def first(self) -> T | None:
        """The first item, or None if the list is empty; usually one request."""
        items = await self.collect(limit=1)
        return items[0] if items else None

    async def collect(self, *, limit: int | None = None) -> list[T]:
        """All items as a list.

        Args:
            limit: At most so many.
        """
        paginator = self if limit is None else self.limit(limit)
        return [item async for item in paginator]

    def pages(self, *, resume: str | None = None) -> Pages[T]:
        """The pages: `async for page in gg.orders.list().pages(): …`.

        Args:
            resume: The `resume` of a page or of an error, to read on after it.

        Raises (while iterated):
            ConfigurationError: The token is not a token, or is the token of another list.
        """
        return Pages(self._read_pages(resume))

    async def _read_pages(self, resume: str | None) -> AsyncGenerator[Page[T]]:
        stream = self._stream(resume)
        try:
            while (page := await stream.next()) is not None:
                yield page
        finally:
            await stream.close()

    async def _items(self) -> AsyncGenerator[T]:
        # Not by way of `pages`: a loop that ends closes all generators together, and a nested one cannot be closed then.
        stream = self._stream(None)
        try:
            while (page := await stream.next()) is not None:
                for item in page.items:
                    yield item
        finally:
            await stream.close()

    def _stream(self, resume: str | None) -> _PageStream[T]:
        source = self._source
        position = Position() if resume is None else read_token(resume, source.identity)
        ask = partial(self._ask, source.open())
        reader = ListReader(ask, position, largest=self._largest(), key=source.key, by_date=source.by_date)
        return _PageStream(self, reader, position, self._limit)

    def _page(self, batch: Batch, left: int | None) -> Page[T]:
        source = self._source
        places = batch.fresh
        items, bad = source.decode([batch.page.rows[place] for place in places], places)
        if bad and source.on_unreadable == "raise":
            error = source.decode_error(bad)
            error.evidence, error.attempts = Evidence.APPLIED, batch.page.attempts
            error.resume_after = write_token(source.identity, batch.after)
            raise error
        bad_indexes = {row.index for row in bad}
        readable = (number for number in range(1, len(places) + 1) if number - 1 not in bad_indexes)
        predicate = source.predicate
        kept = [
            (number, item) for number, item in zip(readable, items, strict=True) if not predicate or predicate(item)
        ]
        given = kept if left is None else kept[:left]
        last = given[-1][0] if given else 0
        is_cut = len(given) < len(kept)
        return Page(
            items=tuple(item for _, item in given),
            number=batch.after.pages,
            info=batch.page.info,
            filtered=len(items) - len(kept),
            unreadable=tuple(self._unreadable(batch, row) for row in bad if not is_cut or row.index < last),
            identity=source.identity,
            after=batch.position_after(last) if is_cut else batch.after,
        )

    def _unreadable(self, batch: Batch, bad: BadRow) -> UnreadableRow:
        place = batch.fresh[bad.index]
        row = batch.page.rows[place]
        ids = (row.get(name) for name in self._source.key) if isinstance(row, dict) else ()
        return UnreadableRow(
            page=batch.after.pages,
            place=f"$.items[{place}]",
            id=next((value for value in ids if isinstance(value, str) and value), None),
            problems=bad.problems,
            row=row,
        )

    def _report(self, batch: Batch, page: Page[T]) -> None:
        source, rows = self._source, len(batch.page.rows)
        facts: dict[str, Any] = {
            "route": source.route or source.path,
            "number": page.number,
            "rows": rows,
            "new": len(page.items),
            "known": rows - len(batch.fresh),
            "requests": batch.asked,
            "unreadable": len(page.unreadable),
        }
        log_event("page.read", **facts)
        if page.unreadable:
            log_event("page.unreadable", route=facts["route"], number=page.number, rows=len(page.unreadable))
        if callable(source.on_unreadable):
            for row in page.unreadable:
                source.on_unreadable(row)
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


class Pages(AsyncOnly, AsyncGenerator[Page[T], None]):
    """The pages of a list: an async generator."""

    _usage = "pages are read asynchronously: use `async for page in ….pages()`, or `await anext(….pages())` for one"

    def __init__(self, pages: AsyncGenerator[Page[T]]) -> None:
        self._pages = pages

    async def asend(self, value: None) -> Page[T]:
        """As of any async generator."""
        return await self._pages.asend(value)

    async def athrow(self, *error: Any) -> Page[T]:
        """As of any async generator."""
        return await self._pages.athrow(*error)

    async def aclose(self) -> None:
        """End the reading, and what is fetched ahead."""
        await self._pages.aclose()


async def _end(task: asyncio.Task[Any]) -> None:
    """Cancel what was fetched ahead and see it end; what it ended in is of no interest any more."""
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()


class _PageStream(Generic[T]):
    """One reading of a list: its pages in order, with one fetched ahead."""

    def __init__(self, paginator: Paginator[T], reader: ListReader, position: Position, left: int | None) -> None:
        self._paginator = paginator
        self._reader = reader
        self._before = position
        self._left = left
        self._ahead: asyncio.Task[Batch | None] | None = None
        self._pages = 0

    async def next(self) -> Page[T] | None:
        """The next page; None at the end."""
        paginator, reader = self._paginator, self._reader
        if not self._wants_more():
            return None
        with paginator._resumable(self._before):  # noqa: SLF001  same module
            batch = await (reader.next_batch() if self._ahead is None else self._ahead)
            self._ahead = None
            if batch is None:
                self._left = 0
                return None
            page = paginator._page(batch, self._left)  # noqa: SLF001
        paginator._report(batch, page)  # noqa: SLF001
        self._before = batch.after
        if self._left is not None:
            self._left -= len(page.items)
        self._pages += 1
        if self._pages > 1 and self._wants_more():  # a caller who came back for a second page reads on
            name = f"next page of {paginator._source.path}"  # noqa: SLF001
            self._ahead = asyncio.create_task(reader.next_batch(), name=name)
        return page

    async def close(self) -> None:
        """End what is fetched ahead."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            await _end(ahead)

    def _wants_more(self) -> bool:
        return self._left is None or self._left > 0
