"""What the resources share: sending, parsing with context, look-up after an unknown outcome, filters."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import date, datetime
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import attrs

from goedgepickt_async._transport.pipeline import CallResult, Sender, outcome_unknown
from goedgepickt_async._transport.request import Request, query_pairs
from goedgepickt_async.budget.slots import Lane
from goedgepickt_async.convert import decode, decode_rows
from goedgepickt_async.errors import (
    ConfigurationError,
    DecodeError,
    Evidence,
    GoedGepicktError,
    OutcomeUnknownError,
    ValidationError,
)
from goedgepickt_async.logs import log_event
from goedgepickt_async.models import PageInfo
from goedgepickt_async.models.base import UNSET, Unset
from goedgepickt_async.paging import Fetch, ListSource, Paginator, RawPage

__all__ = ["DUTCH", "Resource", "create_once", "day", "read", "search"]

T = TypeVar("T")


def read(result: CallResult, reader: Callable[[Any], T]) -> T:
    """Read an answer's JSON; an error says which call it was."""
    try:
        return reader(result.data)
    except GoedGepicktError as error:
        error.evidence = Evidence.APPLIED
        error.attempts, error.method, error.path = result.attempts, result.request.method, result.request.path
        raise


class Resource:
    """One kind of thing that the API knows."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    async def _get(self, path: str, cls: type[T]) -> T:
        result = await self._sender.send(Request(path=path))
        return read(result, lambda data: decode(data, cls))

    def _list(
        self,
        path: str,
        cls: type[T],
        query: Mapping[str, Any] | None = None,
        *,
        keep: Callable[[T], bool] | None = None,
        kept_by: tuple[str, ...] = (),
        key: tuple[str, ...] = ("uuid",),
        by_date: bool = False,
    ) -> Paginator[T]:
        pairs = query_pairs(query or {})
        source = ListSource(
            path=path,
            query=pairs,
            identity=(self._sender.settings.server, path, *map("=".join, sorted(pairs)), *kept_by),
            reading=lambda: self._reading(path),
            decode=lambda rows: decode_rows(rows, cls),
            keep=keep,
            key=key,
            by_date=by_date,
            route=Request(path=path).route,
            told=self._sender.pipeline.hooks.page,
        )
        return Paginator(source)

    def _reading(self, path: str) -> Fetch:
        """Requests of one reading of a list; it ends with the session that it began on, and opens no other."""
        sender = self._sender.for_one_session()

        async def fetch(pairs: tuple[tuple[str, str], ...], lane: Lane) -> RawPage:
            result = await sender.send(Request(path=path, query=pairs), lane)
            return attrs.evolve(read(result, _raw_page), attempts=result.attempts)

        return fetch

    def _webshop(self, given: str | Unset | None) -> str:
        """The webshop that a write is for.

        Raises:
            ValidationError: Neither the call nor the client names one.
        """
        webshop = self._sender.settings.webshop_uuid if given is UNSET or given is None else given
        if not webshop:
            raise ValidationError(
                "webshop_uuid: is required; give it here, to the client, or in GOEDGEPICKT_WEBSHOP_UUID",
                fields={"webshop_uuid": ["is required"]},
                evidence=Evidence.NOT_SENT,
            )
        return webshop


def search(attribute: str, value: Any) -> dict[str, Any]:
    """The API's search of three (reference section 4.2: confidence A for a SKU); nothing if there is no value."""
    if value is None:
        return {}
    return {"searchAttribute": attribute, "searchDelimiter": "=", "searchValue": value}


def _raw_page(data: Any) -> RawPage:
    if not isinstance(data, Mapping):
        raise DecodeError("a list came without its wrapper", problems=["$: expected an object with items"])
    rows, info = data.get("items"), data.get("pageInfo")
    if rows is None:  # the reference, section 3: treat as empty (A)
        rows = []
    if not isinstance(rows, list):
        raise DecodeError("a list came without rows", problems=["$.items: expected a list"])
    return RawPage(rows=rows, info=decode(info or {}, PageInfo), has_info=bool(info))


async def create_once(
    sender: Sender,
    request: Request,
    reader: Callable[[Any], T | None],
    find: Callable[[], Awaitable[T | None]],
) -> T:
    """Send a write once.

    Args:
        sender: What sends it.
        request: The write.
        reader: From the answer's JSON to what was made; None if the answer does not tell.
        find: Looks for what was made, when the answer was lost or does not tell.

    Raises:
        OutcomeUnknownError: It may or may not have been carried out, and looking it up did not settle it.
    """
    try:
        made = read(await sender.send(request), reader)
    except OutcomeUnknownError as unknown:
        return await _look_up(request, find, unknown)
    except DecodeError as error:
        lost = outcome_unknown(error.message, Evidence.APPLIED, request, error.attempts)
        return await _look_up(request, find, lost)
    if made is not None:
        return made
    silent = "the server said success, but not what it made"
    return await _look_up(request, find, outcome_unknown(silent, Evidence.APPLIED, request, 1))


async def _look_up(request: Request, find: Callable[[], Awaitable[T | None]], unknown: OutcomeUnknownError) -> T:
    """What is found. Nothing found proves nothing: the server may still be at it."""
    try:
        found = await find()
    except GoedGepicktError as error:
        unknown.message += f"; and looking it up failed: {error.message}"
        raise unknown from error
    if found is None:
        unknown.message += "; it was looked up and is not there, so far"
        raise unknown
    log_event("write.found", method=request.method, route=request.route)
    return found


DUTCH = ZoneInfo("Europe/Amsterdam")


def day(moment: date | None) -> date | None:
    """The day that `createdAfter` takes; the API knows no time of day there (reference section 3, A).

    Raises:
        ConfigurationError: A datetime without a time zone, or no date at all.
    """
    if isinstance(moment, datetime):
        if moment.tzinfo is None:
            raise ConfigurationError("created_after must be a date, or a datetime with a time zone")
        return moment.astimezone(DUTCH).date()
    if moment is not None and not isinstance(moment, date):
        raise ConfigurationError(f"created_after must be a date, not {type(moment).__name__}")
    return moment
