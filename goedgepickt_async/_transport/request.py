"""Requests, responses and transport failures, as plain values. No I/O."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote, unquote, urlencode
from uuid import UUID

import attrs

from goedgepickt_async.errors import ConfigurationError, Evidence, GoedGepicktError, ValidationError
from goedgepickt_async.text import printable

__all__ = [
    "NO_BODY",
    "AttemptResult",
    "Idempotency",
    "RawResponse",
    "Request",
    "TransportFailure",
    "query_pairs",
    "quoted",
    "raw_path",
]

_PLAIN_PATH: Final = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9_.~-]*)+")
_WORD: Final = re.compile(r"[A-Za-z][A-Za-z_-]{0,39}", re.ASCII)


class Idempotency(enum.Enum):
    """What sending a request twice would do (RFC 9110, 9.2): a property of the endpoint, not of the HTTP method."""

    SAFE = "safe"
    """Changes nothing."""
    IDEMPOTENT = "idempotent"
    """Sets a state; a second time sets the same."""
    NON_IDEMPOTENT = "non-idempotent"
    """A second time creates or changes something again, as `PUT …/stock-mutation` does."""


class _NoBody(enum.Enum):
    NO_BODY = enum.auto()


NO_BODY = _NoBody.NO_BODY
"""No body at all, in contrast to a JSON null."""


@attrs.frozen(kw_only=True)
class Request:
    """One call of the API.

    Attributes:
        method: The HTTP method.
        path: Below the base URL, quoted, with a leading slash.
        query: Pairs, unquoted.
        body: JSON-ready, or `NO_BODY`.
        idempotency: What sending it twice would do.
        may_be_empty: Whether an empty body is a success too.
        from_user: Whether a user wrote the path.
        route: The route, where a user named it.
        field_name: Maps wire names to Python names, for the server's errors.
        check: Raises `DecodeError` if the JSON of a success does not belong to this request. The response counts as
            unreadable: a read is sent again.
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
    check: Callable[[Any], object] | None = attrs.field(default=None, repr=False, eq=False)

    @property
    def route(self) -> str:
        """The path with `{id}` in the place of each id: fit for metrics and logs, as it names no order or product.

        The API's paths are a collection, an id, a collection and so on. In a path that a user wrote, everything behind
        the first collection counts as an id, unless the user named the route.
        """
        if self._route is not None:
            return self._route
        segments = self.path.removeprefix("/").split("/")
        last = 0 if self.from_user else len(segments)
        return "".join(
            f"/{segment if index % 2 == 0 and index <= last and _WORD.fullmatch(segment) else '{id}'}"
            for index, segment in enumerate(segments)
        )

    def url(self, base_url: str) -> str:
        """The whole URL, quoted; `base_url` has no slash at its end.

        Raises:
            ValidationError: A query parameter holds half of a surrogate pair, which no URL can carry.
        """
        if not self.query:
            return base_url + self.path
        try:
            return f"{base_url}{self.path}?{urlencode(self.query, quote_via=quote)}"
        except UnicodeEncodeError:
            pass
        raise _no_unicode("a query parameter")


def raw_path(path: str) -> str:
    """A path that a user wrote, checked to stay below the base URL, where the key may go.

    Raises:
        ConfigurationError: It is a whole URL, has a query, or climbs out of the base.
        ValidationError: It holds half of a surrogate pair.
    """
    if not isinstance(path, str):
        raise ConfigurationError(f"the path must be a text, such as '/suppliers', not {type(path).__name__}")
    path = "/" + path.removeprefix("/")
    if _PLAIN_PATH.fullmatch(path):
        return path
    plain = unquote(path)
    if plain.startswith("//") or "://" in plain or "?" in path or "#" in path or {".", ".."} & set(plain.split("/")):
        raise ConfigurationError(
            "the path must be below the base URL, such as '/suppliers'; query parameters go into `query`"
        )
    return quoted(path, safe="/%:@!$&'()*+,;=~-._")


def query_pairs(query: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Query parameters as text; those that are None are left out.

    Raises:
        ValidationError: A value is not a text, number, boolean, date or enumeration member.
    """
    return tuple((str(name), _text(name, value)) for name, value in query.items() if value is not None)


def _text(name: object, value: Any) -> str:
    if isinstance(value, enum.Enum):
        value = value.value
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str | int | float | Decimal | UUID):
        return str(value)
    raise ValidationError(
        f"query parameter {printable(str(name), 40)!r} must be a text, number, boolean or date, "
        f"not {type(value).__name__}",
        fields={str(name): ["must be a text, number, boolean or date"]},
        evidence=Evidence.NOT_SENT,
    )


def quoted(text: str, safe: str = "") -> str:
    """Text for a path.

    Raises:
        ValidationError: It holds half of a surrogate pair.
    """
    try:
        return quote(text, safe=safe)
    except UnicodeEncodeError:
        pass
    raise _no_unicode("the path")  # outside the handler: the foreign exception is no context of ours


def _no_unicode(what: str) -> ValidationError:
    return ValidationError(
        f"{what} holds half of a surrogate pair, which is no Unicode text: nothing was sent",
        evidence=Evidence.NOT_SENT,
    )


@attrs.frozen(kw_only=True)
class RawResponse:
    """A whole response of any status.

    Attributes:
        status: The HTTP status.
        headers: Case-insensitive.
        body: The bytes, decompressed.
    """

    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class TransportFailure:
    """No whole response came.

    Attributes:
        evidence: What is known about the request.
        error: The class of our error for it.
        message: What happened, free of keys and personal data.
        cause: The exception behind it, without its traceback, because its frames hold the request.
    """

    evidence: Evidence
    error: type[GoedGepicktError]
    message: str
    cause: BaseException | None = None


AttemptResult = RawResponse | TransportFailure
