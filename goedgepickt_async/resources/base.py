"""Common parts of the resources: sending, parsing, lookup after an unknown outcome, filters."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date, datetime
from functools import partial
from typing import Any, Final, TypeVar

import attrs

from goedgepickt_async import models
from goedgepickt_async._transport.pipeline import CallResult, Sender, outcome_unknown
from goedgepickt_async._transport.request import NO_BODY, Request, query_pairs, quoted
from goedgepickt_async.budget.slots import Lane
from goedgepickt_async.convert import decode, python_name
from goedgepickt_async.convert.hooks import as_list, in_amsterdam
from goedgepickt_async.endpoints import ENDPOINTS, Endpoint
from goedgepickt_async.errors import (
    ConfigurationError,
    DecodeError,
    Evidence,
    GoedGepicktError,
    OutcomeUnknownError,
    ValidationError,
    without_frames,
)
from goedgepickt_async.logs import log_event
from goedgepickt_async.models import PageInfo
from goedgepickt_async.models.base import UNSET, Unset
from goedgepickt_async.paging import AsyncOnly, Fetch, ListSource, OnUnreadable, Paginator, RawPage
from goedgepickt_async.paging.reader import LARGEST_PAGE, MAX_OFFSET

__all__ = [
    "Resource",
    "create_or_lookup",
    "day",
    "not_proven",
    "parse_result",
    "refused",
    "request_to",
    "rows_in",
]

T = TypeVar("T")


def parse_result(result: CallResult, reader: Callable[[Any], T]) -> T:
    """Read the JSON of a response; an error names the call."""
    try:
        return reader(result.data)
    except GoedGepicktError as exc:
        error = exc
    error.evidence = Evidence.APPLIED
    error.attempts, error.method, error.path = result.attempts, result.request.method, result.request.path
    raise without_frames(error)


class Resource(AsyncOnly):
    """The base class of the resources."""

    _usage = "a resource is not a list: use `async for item in gg.orders.list()`, or `await gg.orders.get(uuid)`"

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    async def _get(self, operation: str, cls: type[T], **ids: str) -> T:
        return parse_result(await self._sender.send(request_to(operation, **ids)), partial(decode, cls=cls))

    def _list(
        self,
        operation: str,
        cls: type[T],
        filters: Mapping[str, Any] | None = None,
        *,
        predicate: Callable[[T], bool] | None = None,
        kept_by: tuple[str, ...] = (),
        on_unreadable: OnUnreadable = "raise",
    ) -> Paginator[T]:
        endpoint = ENDPOINTS[operation]
        path, pairs = endpoint.path, query_of(endpoint, filters or {})
        source = ListSource(
            path=path,
            query=pairs,
            identity=(self._sender.settings.server, path, *map("=".join, sorted(pairs)), *kept_by),
            open=lambda: self._reading(path),
            cls=cls,
            predicate=predicate,
            key=endpoint.keys,
            by_date=endpoint.by_date,
            on_unreadable=on_unreadable,
            on_page=self._sender.pipeline.hooks.page,
        )
        return Paginator(source)

    def _reading(self, path: str) -> Fetch:
        """Send the requests of one reading of a list. After the client is closed, they do not open a new session."""
        sender = self._sender.for_one_session()

        async def fetch(pairs: tuple[tuple[str, str], ...], lane: Lane) -> RawPage:
            result = await sender.send(Request(path=path, query=pairs, read=_raw_page), lane)
            page: RawPage = result.data
            return attrs.evolve(page, attempts=result.attempts)

        return fetch

    def _webshop(self, given: str | Unset | None) -> str:
        """Return the uuid of the webshop for a write."""
        webshop = self._sender.settings.webshop_uuid if given is UNSET or given is None else given
        if not webshop or not webshop.strip():
            raise ValidationError(
                "webshop_uuid is required: pass it to this call or to the client, or set GOEDGEPICKT_WEBSHOP_UUID",
                fields={"webshop_uuid": ["is required"]},
                evidence=Evidence.NOT_SENT,
            )
        return webshop


def refused(name: str, why: str) -> ValidationError:
    """Return the error for an argument that is not valid."""
    return ValidationError(f"{name}: {why}; nothing was sent", fields={name: [why]}, evidence=Evidence.NOT_SENT)


def not_proven(path: str, message: str, *, problems: Sequence[str] = ()) -> DecodeError:
    """Return the error for a list whose rows may be the wanted object, so its absence is not proven."""
    return DecodeError(message, problems=problems, evidence=Evidence.FINAL, method="GET", path=path)


def query_of(endpoint: Endpoint, filters: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return the query of a list from the arguments of `list()`; arguments that are None are left out."""
    query: dict[str, Any] = dict(endpoint.query)
    for known in endpoint.filters:
        value = filters.get(known.name)
        if value is None:
            continue
        if not isinstance(value, str | date):
            raise ConfigurationError(f"{known.name} must be text, not {type(value).__name__}")
        if known.name.endswith("_uuid") and not str(value).strip():
            raise ConfigurationError(f"{known.name} is empty: pass None for no filter")
        if known.is_search:
            query |= {"searchAttribute": known.parameter, "searchDelimiter": "=", "searchValue": value}
        else:
            query[known.parameter] = value
    return query_pairs(query)


def request_to(operation: str, body: Any = NO_BODY, **ids: str) -> Request:
    """Return a request to an endpoint of the table.

    Args:
        operation: The name of the endpoint, such as `orders.get`.
        body: The body, as values for `json.dumps`.
        ids: A value for each `{name}` in the path; a value that is empty or no str is refused.
    """
    endpoint = ENDPOINTS[operation]
    path = endpoint.path
    for name, given in ids.items():
        text = given.strip() if isinstance(given, str) else ""
        if text in _NO_IDS:  # an empty id would address the list
            raise ValidationError(
                "the id in the path must be text that is not empty; nothing was sent",
                fields={"uuid": ["must be text that is not empty"]},
                evidence=Evidence.NOT_SENT,
            )
        path = path.replace(f"{{{name}}}", text if _UNRESERVED(text) else quoted(text))
    is_read = endpoint.method == "GET"
    return Request(
        method=endpoint.method,
        path=path,
        body=body,
        idempotency=endpoint.idempotency,
        may_be_empty=not is_read,
        field_name=partial(_field_name, endpoint),
        read=partial(_object, endpoint.keys) if is_read else _written,
    )


_NO_IDS: Final = frozenset({"", ".", "..", "None"})
_UNRESERVED: Final = re.compile(r"[A-Za-z0-9_.~-]+").fullmatch


def _field_name(endpoint: Endpoint, name: str) -> str:
    """Return the Python name for a field name in the API's errors."""
    if endpoint.body is not None:
        return python_name(getattr(models, endpoint.body), name)
    return dict(endpoint.fields).get(name, name)


def _object(keys: tuple[str, ...], data: Any) -> Any:
    """Check that a response is an object with an identifier. Other fields are not checked."""
    if not isinstance(data, Mapping):
        raise DecodeError("the response is not an object", problems=["$: expected an object"])
    if not any(map(data.get, keys)):
        raise DecodeError(f"the response has no {keys[0]}", problems=[f"$.{keys[0]}: required, but missing"])
    _check_no_failure(data)
    return data


def _written(data: Any) -> Any:
    """Check that the response to a write can mean that the write was carried out.

    It can be empty, a list of objects, or an object that does not report a failure.
    """
    if isinstance(data, Mapping):
        _check_no_failure(data)
        if "items" in data and as_list(data["items"]) is None:
            raise DecodeError("the items in the response are not a list", problems=["$.items: expected a list"])
    elif data is not None and not (isinstance(data, list) and all(isinstance(row, Mapping) for row in data)):
        raise DecodeError("the response to the write is not an object", problems=["$: expected an object"])
    return data


_NO: Final = {"false", "0", "no"}
_FAILED_STATUS: Final = {"error", "fail", "failed", "failure"}


def _check_no_failure(data: Mapping[str, Any]) -> None:
    """Refuse a response with status 200 whose body reports a failure, in any of the usual forms."""
    for name in ("success", "ok"):
        if name in data and (not data[name] or str(data[name]).strip().lower() in _NO):
            raise _says_failed(name)
    if data.get("items") or any(map(data.get, _IDENTIFIERS)):
        return  # the response has the requested object, and `status` and `code` are its fields
    for name in ("status", "code", "statusCode", "status_code"):
        value = data.get(name)
        text = str(value).strip().lower() if isinstance(value, str | int) and not isinstance(value, bool) else ""
        if value is False or text in _FAILED_STATUS or (len(text) == 3 and text.isdecimal() and text >= "300"):
            raise _says_failed(name)
    for name in ("exception", "error", "errorMessage", "errors"):
        if data.get(name):
            raise _says_failed(name)


_IDENTIFIERS: Final = ("uuid", "orderUuid", "webhookUuid", "trackTraceCode", "externalId")


def _says_failed(name: str) -> DecodeError:
    return DecodeError(
        f"the response has HTTP status 200, but its {name} reports a failure",
        problems=[f"$.{name}: expected no failure"],
    )


def rows_in(data: Any, name: str) -> list[Any]:
    """Return the rows of a list.

    `[]` and `{}` are the empty list. An object with numeric keys, as PHP sends it, is the list of its values. Another
    response does not count as an empty list, because callers create missing objects.

    Raises:
        DecodeError: The response has no list.
    """
    if not isinstance(data, Mapping):
        raise DecodeError("the answer is no list", problems=[f"$: expected an object with {name}"])
    if name not in data:
        raise DecodeError(
            f"the response is not a list: it has no {name}", problems=[f"$.{name}: required, but missing"]
        )
    _check_no_failure(data)
    rows = as_list(data[name])
    if rows is None:
        raise DecodeError(f"the response is not a list: its {name} is none", problems=[f"$.{name}: expected a list"])
    return rows


_MOST_ROWS: Final = 10 * LARGEST_PAGE


def _raw_page(data: Any) -> RawPage:
    """Return a page of a list. A page with too many rows is refused before its rows are read.

    A list without pages can be longer, up to the largest length of the API's lists (B).
    """
    rows, info = rows_in(data, "items"), data.get("pageInfo")
    count = len(rows)
    does_not_page = not info or (
        isinstance(info, Mapping) and count in [info.get("totalItems"), info.get("itemsPerPage")]
    )
    if count > MAX_OFFSET or (count > _MOST_ROWS and not does_not_page):
        raise DecodeError(
            f"the response is not a page of the list: it has {count:,} rows, but at most {LARGEST_PAGE} were requested",
            problems=[f"$.items: expected at most {LARGEST_PAGE} rows"],
        )
    return RawPage(rows=rows, info=_page_info(info or {}), has_info=bool(info))


def _page_info(info: Any) -> PageInfo:
    """Return the `pageInfo` of a list.

    A count that cannot be read is left out, because no decision depends on it alone.
    """
    try:
        return decode(info, PageInfo)
    except DecodeError:
        counts = ("totalItems", "itemsPerPage", "currentPage", "lastPage")
        if not isinstance(info, dict):
            raise
        return decode({name: value for name, value in info.items() if name not in counts or _is_count(value)}, PageInfo)


def _is_count(value: Any) -> bool:
    try:
        decode({"totalItems": value}, PageInfo)
    except DecodeError:
        return False
    return True


async def create_or_lookup(
    sender: Sender,
    request: Request,
    reader: Callable[[Any], T | None],
    find: Callable[[], Awaitable[T | None]],
) -> T:
    """Send a write once. If its outcome is unknown, look for the created object.

    Args:
        sender: The sender.
        request: The write.
        reader: Returns the created object from the JSON of the response; None if the response does not have it.
        find: Looks for the created object if the response was lost or does not have it.

    Raises:
        OutcomeUnknownError: The server may have carried out the write, and the lookup did not find out.
    """
    unknown: OutcomeUnknownError
    try:
        made = parse_result(await sender.send(request), reader)
    except OutcomeUnknownError as error:
        unknown = error
    except DecodeError as error:
        unknown = outcome_unknown(error.message, Evidence.APPLIED, request, error.attempts)
    else:
        if made is not None:
            return made
        silent = "the response has a success status, but does not contain the id of the created object"
        unknown = outcome_unknown(silent, Evidence.APPLIED, request, 1)
    try:
        found = await find()
    except GoedGepicktError as error:
        unknown.message += f"; the lookup failed: {error.message}"
        raise unknown from error
    if found is None:  # no proof, because the server may still process the write
        unknown.message += "; the lookup has not found it so far"
        raise unknown
    log_event("write.found", method=request.method, route=request.route)
    return found


def day(moment: date | None) -> date | None:
    """Return the day for `createdAfter`, which has no time of day (reference section 3, A)."""
    if isinstance(moment, datetime):
        if moment.tzinfo is None:
            raise ConfigurationError("created_after must be a date, or a datetime with a time zone")
        return in_amsterdam(moment).date()
    if moment is not None and not isinstance(moment, date):
        raise ConfigurationError(
            f"created_after must be a date, such as date(2026, 11, 1), not {type(moment).__name__}"
        )
    return moment
