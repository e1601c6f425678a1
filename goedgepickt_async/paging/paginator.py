"""`Paginator` and `Page`: what `list()` returns, and the resume tokens."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import json
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing
from datetime import date
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, NoReturn, TypeVar

import attrs
from cattrs.preconf.json import make_converter

from goedgepickt_async.budget.slots import Lane
from goedgepickt_async.convert.converter import BadRow, decode_error, decode_readable
from goedgepickt_async.errors import ConfigurationError, Evidence, GoedGepicktError, PagingError
from goedgepickt_async.hooks import PageRead, call_hook
from goedgepickt_async.logs import log_event
from goedgepickt_async.models import PageInfo
from goedgepickt_async.paging.reader import LARGEST_PAGE, MAX_OFFSET, Batch, ListReader, PageRequest, Position, RawPage
from goedgepickt_async.text import html_table, safe_repr, shown

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
"""The longest token in characters; real tokens have about two thousand."""

_CONVERTER = make_converter(detailed_validation=False)
"""The converter of positions for tokens, with dates as ISO 8601."""


def write_token(identity: Sequence[str], position: Position) -> str:
    """Return the token for a position in a list; `identity` identifies the list."""
    plain = [_VERSION, _fingerprint(identity), _CONVERTER.unstructure(position)]
    packed = zlib.compress(json.dumps(plain, separators=(",", ":")).encode(), level=1)
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def read_token(token: str, identity: Sequence[str]) -> Position:
    """Return the position of a token. A token of another version or another list is refused."""
    try:
        token = token[:_LONGEST]
        packed = base64.urlsafe_b64decode(token.strip() + "=" * (-len(token.strip()) % 4))
        unpacker = zlib.decompressobj()
        version, fingerprint, values = json.loads(unpacker.decompress(packed, _LONGEST))
        intact = unpacker.eof
    except (ValueError, TypeError, AttributeError, RecursionError, binascii.Error, zlib.error):
        raise ConfigurationError("this is not a resume token, or it is not complete") from None
    if not intact:
        raise ConfigurationError("the resume token is not complete")
    if version != _VERSION:
        raise ConfigurationError("this resume token is from another version of goedgepickt-async")
    if fingerprint != _fingerprint(identity):
        raise ConfigurationError("this resume token is from another list, or from the same list with other filters")
    try:
        position = _CONVERTER.structure(values, Position)
    except Exception:  # noqa: BLE001  whatever a damaged token makes of its values
        raise ConfigurationError("the resume token is damaged") from None
    if not 0 <= position.covered <= MAX_OFFSET or position.rows < len(position.seam):
        raise ConfigurationError("the resume token is damaged")
    return position


def _fingerprint(identity: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]


T = TypeVar("T")

_SMALLEST_PAGE = 20
"""Even if fewer rows are needed, because smaller pages cannot overlap well."""


@attrs.frozen(kw_only=True)
class UnreadableRow:
    """A row that cannot be read and was skipped (`on_unreadable=`). Its repr does not show values.

    Attributes:
        page: The number of the page, as in `Page.number`.
        place: The place in the response, such as `$.items[23]`.
        id: The identifier of the row, such as its uuid; None without an identifier.
        problems: One line for each wrong value, such as `$.items[23].totalPaid: expected …`, without the value.
        row: The JSON values of the row. They may be personal data.
    """

    page: int
    place: str
    id: str | None
    problems: tuple[str, ...]
    row: Any = attrs.field(repr=False)


OnUnreadable = Literal["raise", "skip"] | Callable[[UnreadableRow], object]
"""What happens to a row that cannot be read: raise, skip it, or skip it and call a function."""


@attrs.frozen(kw_only=True)
class Page(Generic[T]):
    """The new items of one page.

    Attributes:
        items: The items in the order of the list, without rows of earlier pages.
        number: The number of the page in this reading, from 1.
        info: The `pageInfo` of the response. `total_items` and `last_page` are unreliable (reference section 3, B).
        filtered: The number of new rows that do not fit the filters of the list.
        unreadable: The new rows that cannot be read; empty without `on_unreadable=`.
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
        """The resume token: pass it to `pages(resume=…)` to continue after this page, also in another process.

        It is made on first access, because most programs do not use it.
        """
        return write_token(self._identity, self._after)

    def __rich_repr__(self) -> Iterator[Any]:
        """The display in rich: the number of the page and its items."""
        yield "number", self.number
        yield "items", self.items
        if self.unreadable:
            yield "unreadable", self.unreadable

    def _repr_html_(self) -> str:
        """The display in notebooks: a row for each item, without personal data."""
        rows = [(place, repr(item)) for place, item in enumerate(self.items)]
        return html_table(f"Page {self.number}: {len(self.items)} items, {len(self.unreadable)} unreadable", rows)


def _check_choice(_: object, attribute: attrs.Attribute[Any], choice: Any) -> None:
    if not callable(choice) and not (isinstance(choice, str) and choice in {"raise", "skip"}):
        raise ConfigurationError(f'{attribute.name} must be "raise", "skip" or a function')


Fetch = Callable[[tuple[tuple[str, str], ...], Lane], Awaitable[RawPage]]


@safe_repr
@attrs.frozen(kw_only=True)
class ListSource(Generic[T]):
    """The source of a paginator.

    Attributes:
        path: The path of the list.
        query: The filters of the list, as they are sent.
        identity: The identity of the list: the server, the path and all filters.
        open: Starts a reading. It returns a function that sends one request with the given query and lane.
        cls: The model of a row.
        predicate: Whether an item fits the filters.
        key: The JSON keys that identify a row.
        by_date: Whether the list has the filter `createdAfter`.
        on_page: A function that is called with each page.
        on_unreadable: What happens to a row that cannot be read.
    """

    path: str
    query: tuple[tuple[str, str], ...]
    identity: tuple[str, ...]
    open: Callable[[], Fetch]
    cls: type[T]
    predicate: Callable[[T], bool] | None = None
    key: tuple[str, ...] = ("uuid",)
    by_date: bool = False
    on_page: Callable[[PageRead], object] | None = None
    on_unreadable: OnUnreadable = attrs.field(default="raise", validator=_check_choice)


def refuse(wrong: Any, *_: object) -> NoReturn:
    """The body of the methods of `AsyncOnly`, which raise an error with the right code."""
    raise TypeError(wrong._usage)  # noqa: SLF001  its own


class AsyncOnly:
    """Raises a `TypeError` with the right code if an async object is used like a synchronous one."""

    __slots__ = ()
    _usage: ClassVar[str]

    if not TYPE_CHECKING:  # type checkers report these uses themselves, as long as the methods are missing
        __iter__ = __next__ = __len__ = __getitem__ = __contains__ = __reversed__ = __enter__ = __exit__ = refuse

        def __bool__(self) -> bool:
            """Return True, so that `bool()` does not call `len`."""
            return True


@safe_repr
class Paginator(AsyncOnly, Generic[T]):
    """A list of the API, which is read page by page. It sends nothing before you iterate.

    Iterate over the items: `async for order in gg.orders.list(): …`. Iterating again reads the list again. From the
    second page on, the next page is fetched ahead. A list is complete or raises an error. Each row that exists during
    the whole reading appears exactly once, even if other rows are created or deleted.

    Raises while iterated:
        PagingError: The list cannot be read completely.
        GoedGepicktError: Any error of a call; its `resume` is the token to continue.
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
        """Iterate over the items in order."""
        return self._items()

    def limit(self, number: int) -> Paginator[T]:
        """Return the same list, limited to `number` items.

        Raises:
            ConfigurationError: The number is negative or not a whole number.
        """
        if type(number) is not int or number < 0:
            raise ConfigurationError(f"limit must be a whole number, not {shown(number)}")
        return Paginator(self._source, limit=number if self._limit is None else min(number, self._limit))

    async def first(self) -> T | None:
        """Return the first item, or None if the list is empty. It usually sends one request."""
        items = await self.collect(limit=1)
        return items[0] if items else None

    async def collect(self, *, limit: int | None = None) -> list[T]:
        """Return all items as a list.

        Args:
            limit: The largest number of items.
        """
        paginator = self if limit is None else self.limit(limit)
        return [item async for item in paginator]

    def pages(self, *, resume: str | None = None) -> Pages[T]:
        """Iterate over the pages: `async for page in gg.orders.list().pages(): …`.

        Args:
            resume: The `resume` of a page or of an error, to continue after it.

        Raises (while iterated):
            ConfigurationError: The text is not a token, or is the token of another list.
        """
        return Pages(self._read_pages(resume))

    async def _read_pages(self, resume: str | None) -> AsyncGenerator[Page[T]]:
        async with aclosing(_PageStream(self._source, resume, self._limit)) as stream:
            while (page := await stream.next()) is not None:
                yield page

    async def _items(self) -> AsyncGenerator[T]:
        # Without `pages`: a loop that ends closes all generators at the same time, and cannot close a nested one.
        async with aclosing(_PageStream(self._source, None, self._limit)) as stream:
            while (page := await stream.next()) is not None:
                for item in page.items:
                    yield item


class Pages(AsyncOnly, AsyncGenerator[Page[T], None]):
    """The pages of a list, as an async generator."""

    _usage = "pages are read asynchronously: use `async for page in ….pages()`, or `await anext(….pages())` for one"

    def __init__(self, pages: AsyncGenerator[Page[T]]) -> None:
        self._pages = pages

    async def asend(self, value: None) -> Page[T]:
        """See `AsyncGenerator`."""
        return await self._pages.asend(value)

    async def athrow(self, *error: Any) -> Page[T]:
        """See `AsyncGenerator`."""
        return await self._pages.athrow(*error)

    async def aclose(self) -> None:
        """End the reading and cancel the page that is fetched ahead."""
        await self._pages.aclose()


class _PageStream(Generic[T]):
    """One reading of a list: its pages in order, with one page fetched ahead."""

    def __init__(self, source: ListSource[T], resume: str | None, left: int | None) -> None:
        self._source = source
        self._left = left
        self._before = Position() if resume is None else read_token(resume, source.identity)
        self._fetch = source.open()
        largest = LARGEST_PAGE
        if left is not None and source.predicate is None:
            largest = min(LARGEST_PAGE, max(_SMALLEST_PAGE, left))
        self._reader = ListReader(self._ask, self._before, largest=largest, key=source.key, by_date=source.by_date)
        self._ahead: asyncio.Task[Batch | None] | None = None
        self._pages = 0

    async def next(self) -> Page[T] | None:
        """Return the next page; None at the end."""
        if not self._wants_more():
            return None
        try:
            batch = await (self._reader.next_batch() if self._ahead is None else self._ahead)
            self._ahead = None
            if batch is None:
                self._left = 0
                return None
            page = self._page(batch)
        except GoedGepicktError as error:
            error.resume = write_token(self._source.identity, self._before)
            error.method, error.path = "GET", self._source.path
            if isinstance(error, PagingError):
                error.evidence = Evidence.FINAL
            raise
        self._report(batch, page)
        self._before = batch.after
        if self._left is not None:
            self._left -= len(page.items)
        self._pages += 1
        if self._pages > 1 and self._wants_more():  # a caller that requests a second page probably continues
            self._ahead = asyncio.create_task(self._reader.next_batch(), name=f"next page of {self._source.path}")
        return page

    async def aclose(self) -> None:
        """Cancel the page that is fetched ahead, and wait for its end."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            ahead.cancel()
            await asyncio.wait([ahead])
            if not ahead.cancelled():
                ahead.exception()  # it is not needed

    def _wants_more(self) -> bool:
        return self._left is None or self._left > 0

    async def _ask(self, ask: PageRequest, window: date | None) -> RawPage:
        query = [pair for pair in self._source.query if window is None or pair[0] != "createdAfter"]
        if window is not None:
            query.append(("createdAfter", window.isoformat()))
        query.append(("perPage", str(ask.per_page)))
        query.append(("page", str(ask.page)) if ask.cursor is None else ("cursor", ask.cursor))
        first = ask.cursor is None and ask.page == 1 and window is None
        return await self._fetch(tuple(query), Lane.INTERACTIVE if first else Lane.NORMAL)

    def _page(self, batch: Batch) -> Page[T]:
        source, places = self._source, batch.fresh
        items, bad = decode_readable([batch.page.rows[place] for place in places], source.cls, places=places)
        if bad and source.on_unreadable == "raise":
            error = decode_error(source.cls, bad)
            error.evidence, error.attempts = Evidence.APPLIED, batch.page.attempts
            error.resume_after = write_token(source.identity, batch.after)
            raise error
        bad_indexes = {row.index for row in bad}
        readable = (number for number in range(1, len(places) + 1) if number - 1 not in bad_indexes)
        predicate = source.predicate
        kept = [
            (number, item) for number, item in zip(readable, items, strict=True) if not predicate or predicate(item)
        ]
        given = kept if self._left is None else kept[: self._left]
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
            "route": source.path,
            "number": page.number,
            "rows": rows,
            "new": len(page.items),
            "known": rows - len(batch.fresh),
            "requests": batch.asked,
            "unreadable": len(page.unreadable),
        }
        log_event("page.read", **facts)
        if page.unreadable:
            log_event("page.unreadable", route=source.path, number=page.number, rows=len(page.unreadable))
        if callable(source.on_unreadable):
            for row in page.unreadable:
                source.on_unreadable(row)
        if source.on_page is not None:
            call_hook(source.on_page, PageRead(path=source.path, **facts))
