"""What is sent and what comes back: requests, responses, transport failures."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, Final
from urllib.parse import quote, unquote, urlencode

import attrs

from goedgepickt_async.errors import ConfigurationError, Evidence, GoedGepicktError, ValidationError

__all__ = [
    "NO_BODY",
    "AttemptResult",
    "Idempotency",
    "RawResponse",
    "Request",
    "TransportFailure",
    "path_to",
    "query_pairs",
    "raw_path",
]

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
        field_name: From a wire field's name to the Python one, for what the server complains of.
    """

    method: str = "GET"
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: Any = attrs.field(default=NO_BODY, repr=False)
    idempotency: Idempotency = Idempotency.SAFE
    may_be_empty: bool = False
    from_user: bool = False
    _route: str | None = None
    field_name: Callable[[str], str] = attrs.field(default=str, repr=False, eq=False)

    @property
    def route(self) -> str:
        """The path with `{id}` in the place of each id: fit for metrics and logs, as it names no order or product.

        The API's paths are a collection, an id, a collection and so on. Of a path that a user wrote, anything behind
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
        """The whole URL, quoted."""
        url = base_url.rstrip("/") + self.path
        return f"{url}?{urlencode(self.query, quote_via=quote)}" if self.query else url


def path_to(*segments: str) -> str:
    """A path out of segments, each quoted.

    Raises:
        ValidationError: A segment is empty or no text, which would address the list above it.
    """
    for segment in segments:
        if str(segment).strip() in {"", ".", "..", "None"}:
            raise ValidationError(
                "an identifier in the path is empty or unusable: nothing was sent",
                fields={"uuid": ["must be a non-empty text"]},
                evidence=Evidence.NOT_SENT,
            )
    return "/" + "/".join(quote(segment.strip(), safe="") for segment in segments)


def raw_path(path: str) -> str:
    """A path that a user wrote, checked to stay below the base URL, where the key may go.

    Raises:
        ConfigurationError: It is a whole URL, has a query, or climbs out of the base.
    """
    path = "/" + path.removeprefix("/")
    plain = unquote(path)
    if plain.startswith("//") or "://" in plain or "?" in path or "#" in path or {".", ".."} & set(plain.split("/")):
        raise ConfigurationError(
            "the path must lie below the base URL, such as '/suppliers'; query parameters go into `query`"
        )
    return quote(path, safe="/%:@!$&'()*+,;=~-._")


def query_pairs(query: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Query parameters as text; those that are None are left out."""
    return tuple((name, _text(value)) for name, value in query.items() if value is not None)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, enum.Enum):
        return str(value.value)
    if isinstance(value, date):
        return value.isoformat()
    return str(value)


@attrs.frozen(kw_only=True)
class RawResponse:
    """A whole answer, whatever its status.

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
    """No whole answer.

    Attributes:
        evidence: What is known of the request's fate.
        error: The class of our error that tells it.
        message: What happened, free of keys and personal data.
        cause: The exception behind it.
    """

    evidence: Evidence
    error: type[GoedGepicktError]
    message: str
    cause: BaseException | None = None


AttemptResult = RawResponse | TransportFailure
