"""Requests with the context of their calls, responses and transport failures. No I/O."""

from __future__ import annotations

import enum
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote, urlencode
from uuid import UUID

import attrs

from goedgepickt_async.errors import ConfigurationError, Evidence, GoedGepicktError, ValidationError
from goedgepickt_async.text import printable, shown

if TYPE_CHECKING:  # `goedgepickt --help` reads the endpoints, and must not wait for the budgets
    from goedgepickt_async.budget.slots import Lane

__all__ = [
    "NO_BODY",
    "AttemptResult",
    "CallContext",
    "Idempotency",
    "RawResponse",
    "Request",
    "TransportFailure",
    "current_context",
    "query_pairs",
    "quoted",
    "raw_path",
]

_PLAIN_PATH: Final = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9_.~-]*)+")
_WORD: Final = re.compile(r"[A-Za-z][A-Za-z_-]{0,39}", re.ASCII)


class Idempotency(enum.Enum):
    """The effect of a second identical request (RFC 9110, 9.2). It depends on the endpoint, not on the HTTP method."""

    SAFE = "safe"
    """Changes nothing."""
    IDEMPOTENT = "idempotent"
    """The request sets a state; a second one sets the same state."""
    NON_IDEMPOTENT = "non-idempotent"
    """A second request creates or changes something again, such as `PUT …/stock-mutation`."""


class _NoBody(enum.Enum):
    NO_BODY = enum.auto()


NO_BODY = _NoBody.NO_BODY
"""No body at all, in contrast to a JSON null."""


@attrs.frozen(kw_only=True)
class Request:
    """A request to the API.

    Attributes:
        method: The HTTP method.
        path: The path below the base URL, URL-quoted, with a leading slash.
        query: Pairs of names and values, not URL-quoted.
        body: The body, as values for `json.dumps`, or `NO_BODY`.
        idempotency: The effect of a second identical request.
        may_be_empty: Whether a response with an empty body is a success.
        from_user: Whether the path was passed to `gg.request`.
        route: The route, if the caller passed one.
        field_name: Maps the API's field names in errors to Python names.
        read: Returns the data of the call from the JSON of a success. It raises `DecodeError` if the JSON does not
            belong to this request. Then the response counts as unreadable, and a read is retried. Default: the JSON.
    """

    method: str = "GET"
    path: str
    query: tuple[tuple[str, str], ...] = attrs.field(default=(), repr=False)
    body: Any = attrs.field(default=NO_BODY, repr=False)
    idempotency: Idempotency = Idempotency.SAFE
    may_be_empty: bool = False
    from_user: bool = False
    _route: str | None = attrs.field(default=None, alias="route")
    field_name: Callable[[str], str] = attrs.field(default=str, repr=False, eq=False)
    read: Callable[[Any], Any] | None = attrs.field(default=None, repr=False, eq=False)

    @property
    def route(self) -> str:
        """The path with `{id}` in the place of each id, for metrics and logs, because it names no order or product.

        Paths of the API alternate between collection and id. In a path for `gg.request`, everything after the first
        collection counts as an id, unless the caller passed a route.
        """
        if self._route is not None:
            return self._route
        segments = self.path.removeprefix("/").split("/")
        last = 0 if self.from_user else len(segments)
        return "".join(
            f"/{segment if index % 2 == 0 and index <= last and _WORD.fullmatch(segment) else '{id}'}"
            for index, segment in enumerate(segments)
        )

    def where(self, attempts: int) -> dict[str, Any]:
        """The arguments of an error of this request, after so many attempts."""
        return {"attempts": attempts, "method": self.method, "path": self.path}

    def url(self, base_url: str) -> str:
        """The whole URL, URL-quoted; `base_url` has no slash at its end."""
        if not self.query:
            return base_url + self.path
        try:
            return f"{base_url}{self.path}?{urlencode(self.query, quote_via=quote)}"
        except UnicodeEncodeError:
            pass
        raise _no_unicode("a query parameter")


def raw_path(path: str) -> str:
    """The path for `gg.request`, after a check that it stays below the base URL.

    Raises:
        ConfigurationError: The path is a whole URL, has a query, or leads out of the base URL.
        ValidationError: The text has half of a surrogate pair.
    """
    if not isinstance(path, str):
        raise ConfigurationError(f"the path must be a str, such as '/webshops', not {type(path).__name__}")
    path = "/" + path.removeprefix("/")
    if _PLAIN_PATH.fullmatch(path):
        return path
    plain = unquote(path)
    if plain.startswith("//") or "://" in plain or "?" in path or "#" in path or {".", ".."} & set(plain.split("/")):
        raise ConfigurationError(
            "the path must be below the base URL, such as '/webshops'; pass parameters as query= (--query NAME=VALUE)"
        )
    return quoted(path, safe="/%:@!$&'()*+,;=~-._")


def query_pairs(query: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """The query parameters as text; parameters that are None are left out.

    Raises:
        ValidationError: A value is not a str, number, boolean, date or enumeration member.
    """
    return tuple((_text(name, name), _text(name, value)) for name, value in query.items() if value is not None)


def _text(name: object, value: Any) -> str:
    if isinstance(value, enum.Enum):
        value = value.value
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, date):
        return value.isoformat()
    why = f"must be a text, number, boolean or date, not {type(value).__name__}"
    if isinstance(value, str | int | float | Decimal | UUID):
        try:
            return str(value)
        except ValueError:
            why = "must have fewer digits"
    raise ValidationError(
        f"query parameter {shown(name)}: the name and the value {why}",
        fields={printable(name, 40) if isinstance(name, str) else "query": [why]},
        evidence=Evidence.NOT_SENT,
    )


def quoted(text: str, safe: str = "") -> str:
    """The text, URL-quoted for a path. Half of a surrogate pair raises a `ValidationError`."""
    try:
        return quote(text, safe=safe)
    except UnicodeEncodeError:
        pass
    raise _no_unicode("the path")  # outside the handler, so that the exception is not the context of the error


def _no_unicode(what: str) -> ValidationError:
    return ValidationError(
        f"{what} has half of a surrogate pair, which is not valid Unicode text; nothing was sent",
        evidence=Evidence.NOT_SENT,
    )


@attrs.frozen(kw_only=True)
class RawResponse:
    """A complete response, with any status.

    Attributes:
        status: The HTTP status.
        headers: The headers; names are case-insensitive.
        body: The body, decompressed.
    """

    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class TransportFailure:
    """A request without a complete response.

    Attributes:
        evidence: What is known about the effect of the request.
        error: The class of the package's error for it.
        message: What happened, without keys and personal data.
        cause: The exception that caused it, without its traceback, because the frames hold the request.
    """

    evidence: Evidence
    error: type[GoedGepicktError]
    message: str
    cause: BaseException | None = None


AttemptResult = RawResponse | TransportFailure


_current: Final[ContextVar[CallContext | None]] = ContextVar("goedgepickt_async_call_context", default=None)

current_context: Final = _current.get
"""The job of the running code, or None."""


@attrs.define(kw_only=True, eq=False)
class CallContext:
    """A job that makes API calls.

    Attributes:
        lane: The lane of its calls, unless the client has a lane in its settings; None: the lane of each call.
        on_response: A function that gets the response of each successful call.
        before_write: A coroutine function that is awaited before each write is sent; its exception prevents the
            sending.
        requests: The number of requests sent for this job so far, including inner jobs.
    """

    lane: Lane | None = None
    before_write: Callable[[], Awaitable[None]] | None = None
    on_response: Callable[[RawResponse], None] | None = None
    requests: int = 0
    _parent: CallContext | None = None

    @contextmanager
    def active(self) -> Iterator[CallContext]:
        """Calls in this block, and in tasks that start in it, belong to this job.

        An inner job uses the lower of the two lanes: a part of a bulk job is a bulk job.
        """
        self._parent = _current.get()
        if self._parent is not None and self._parent.lane is not None:
            self.lane = self._parent.lane if self.lane is None else max(self._parent.lane, self.lane)
        token = _current.set(self)
        try:
            yield self
        finally:
            _current.reset(token)

    def count_request(self) -> None:
        """A request of this job is about to be sent."""
        self.requests += 1
        if self._parent is not None:
            self._parent.count_request()

    def report_response(self, response: RawResponse) -> None:
        """A call of this job succeeded."""
        if self.on_response is not None:
            self.on_response(response)
        if self._parent is not None:
            self._parent.report_response(response)
