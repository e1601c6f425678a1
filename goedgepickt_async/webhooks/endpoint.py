"""The endpoint: from the bytes of a delivery to a response. It knows no framework and no inbox.

The order of the steps keeps a caller without a secret cheap. The headers are checked before the body is read. The
bytes are verified as they arrived. Only a verified body is decompressed and parsed.
"""

from __future__ import annotations

import asyncio
import inspect
import math
import ssl
import time
import zlib
from collections import Counter
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

import attrs

from goedgepickt_async.errors import ConfigurationError, DecodeError, GoedGepicktError, WebhookVerificationError
from goedgepickt_async.logs import log_event
from goedgepickt_async.models import Secret, WebhookEvent
from goedgepickt_async.models.base import warn_unknown
from goedgepickt_async.text import shown
from goedgepickt_async.webhooks.events import EVENTS
from goedgepickt_async.webhooks.signature import Bytes, Secrets, digest_of, matches, no_match, usable_secrets

if TYPE_CHECKING:
    from goedgepickt_async.webhooks.server import DeliveryServer

__all__ = [
    "DeliveryEndpoint",
    "ReceivedDelivery",
    "ReceiverSnapshot",
    "RejectionLog",
    "SecretSource",
    "Stats",
    "WebhookResponse",
    "check_number",
    "checked_secrets",
]

MAX_BODY: Final = 256 * 1024
"""Bytes."""
BODY_TIMEOUT: Final = 10.0
"""Seconds."""

# -- responses ------------------------------------------------------------------------------------------------------


@attrs.frozen
class WebhookResponse:
    """The response to a delivery.

    Attributes:
        status: The HTTP status. Only exactly 200 is a success for the service; otherwise it tries again (A).
        text: The body, as plain text. It contains no details.
    """

    status: int
    text: str


ACCEPTED: Final = WebhookResponse(200, "accepted")
INCOMPLETE: Final = WebhookResponse(400, "the body is incomplete")
NOT_JSON: Final = WebhookResponse(400, "the body is not JSON")
NOT_SIGNED: Final = WebhookResponse(401, "the signature is missing or wrong")
TOO_SLOW: Final = WebhookResponse(408, "the body took too long")
TOO_LARGE: Final = WebhookResponse(413, "the body is too large")
UNSUPPORTED_ENCODING: Final = WebhookResponse(415, "the content encoding is not supported")
UNAVAILABLE: Final = WebhookResponse(503, "try again later")


@attrs.frozen(kw_only=True)
class ReceivedDelivery:
    """A verified delivery.

    Attributes:
        body: The body, decompressed.
        raw_body: The bytes that arrived; the same, unless the body was compressed.
        signature: The value of the `Signature` header.
        content_encoding: The value of the `Content-Encoding` header; empty without that header.
        headers: All headers of the request, if the endpoint's own server received it.
        subscriptions: If secrets are given by subscription, those whose secret signed it; else None.
    """

    body: bytes = attrs.field(repr=False)
    raw_body: bytes = attrs.field(repr=False)
    signature: str = attrs.field(repr=False)
    content_encoding: str = ""
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    subscriptions: frozenset[str] | None = None


# -- statistics and log ---------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class ReceiverSnapshot:
    """What a receiver of this process has done since it was created.

    Attributes:
        accepted: Deliveries answered with 200.
        unmatched: Accepted deliveries for which there is no handler.
        duplicates: Accepted deliveries that added nothing, because an equal one was waiting.
        refused: Deliveries answered with another status, by status.
        handled: Handler calls that succeeded.
        retried: Handler calls that failed and will be repeated.
        given_up: Handler calls that failed for the last time.
        timed_out: Handler calls that took too long; they are among `retried` or `given_up`.
        running: Handlers that are running now.
        inbox_problem: The reason why the last delivery could not be stored, such as a full disk; None after one was
            stored again.
    """

    accepted: int
    unmatched: int
    duplicates: int
    refused: dict[int, int]
    handled: int
    retried: int
    given_up: int
    timed_out: int
    running: int
    inbox_problem: str | None


@attrs.define
class Stats:
    """The counters behind `ReceiverSnapshot`."""

    accepted: int = 0
    unmatched: int = 0
    duplicates: int = 0
    refused: Counter[int] = attrs.field(factory=Counter)
    handled: int = 0
    retried: int = 0
    given_up: int = 0
    timed_out: int = 0
    running: int = 0
    inbox_problem: str | None = None

    def snapshot(self) -> ReceiverSnapshot:
        """The current values."""
        values = attrs.asdict(self, recurse=False)
        return ReceiverSnapshot(**{**values, "refused": dict(self.refused)})


_LOG_INTERVAL: Final = 60.0


class RejectionLog:
    """Logs refused deliveries, each status once a minute, with their number; never a body or a secret.

    Args:
        clock: A monotonic clock, in seconds; for tests.
        emit: Called with the number and kind of what was refused, the status, and the reason; by default it logs.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        emit: Callable[[int, str, int, str], None] | None = None,
    ) -> None:
        self._clock = clock
        self._emit = emit or _log_refused
        self._next: dict[tuple[int, str], float] = {}
        self._unlogged: Counter[tuple[int, str]] = Counter()

    def note(self, status: int, why: str, *, count: int = 1, kind: str = "deliveries") -> None:
        """Count what was refused, and log it if its turn has come.

        Args:
            status: The status of the response.
            why: The reason, without content of the delivery.
            count: How many there were.
            kind: Of what, in the plural.
        """
        self._unlogged[status, kind] += count
        now = self._clock()
        if now < self._next.get((status, kind), now):
            return
        self._next[status, kind] = now + _LOG_INTERVAL
        self._emit(self._unlogged.pop((status, kind)), kind, status, why)


def _log_refused(count: int, kind: str, status: int, why: str) -> None:
    since = "a delivery" if (count, kind) == (1, "deliveries") else f"{count} {kind}"
    log_event("webhook.rejected", since=since, count=count, status=status, why=why)


# -- secrets --------------------------------------------------------------------------------------------------------

SecretsByEvent = Mapping[WebhookEvent, Secrets] | Mapping[str, Secrets]
SecretSource = Secrets | SecretsByEvent | Callable[[], "Secrets | SecretsByEvent | Awaitable[Secrets | SecretsByEvent]"]
"""Secrets; a mapping from subscription to secrets; or a function, sync or async, that returns either per delivery."""

_Keys = dict[str, tuple[Secret, ...]]
CurrentSecrets = _Keys | Callable[[], Any]
"""Secrets that were checked, by subscription, each as a `Secret`, so that no traceback shows them; or a function."""

_ANY: Final = ""  # the key of secrets that are not given by subscription


def checked_secrets(source: SecretSource | CurrentSecrets) -> CurrentSecrets | str:
    """The secrets, or their function; or, as text, why they are refused. It does not raise: see `signature`."""
    if callable(source):
        return source
    given = list(source.values()) if isinstance(source, Mapping) else [source]
    if any(isinstance(some, Iterable) and not isinstance(some, (str, *_SEVERAL)) for some in given):
        return "pass webhook secrets as text, a list, a mapping by event, or a function"
    keys = _by_event(source)
    number = sum(len(some) if isinstance(some, _SEVERAL) else 1 for some in given)
    if not number or sum(map(len, keys.values())) < number:
        return "a webhook receiver needs at least one secret, and no secret may be empty"
    return _misspelt(keys) or keys


_NAMES: Final = {event.lower(): event for event in WebhookEvent} | {
    name.lower(): cls.subscription for name, cls in EVENTS.items() if cls.subscription
}
"""The subscriptions, by their names and by the names in deliveries."""


def _misspelt(names: Iterable[str]) -> str:
    """Return why the name of a subscription is refused, and warn about an unknown one; "" if none is refused.

    A new event of the service is possible. But with a misspelt name, all its deliveries would be refused.
    """
    for name in names:
        if name != _ANY and not isinstance(name, WebhookEvent) and name not in list(WebhookEvent):
            if near := get_close_matches(name[:100].lower(), _NAMES, 1, 0.9):
                meant = _NAMES[near[0]].value
                return f"webhook secrets for the unknown event {shown(name)}; did you mean {meant!r}? For a new event of the service pass WebhookEvent({shown(name)})"
            warn_unknown(WebhookEvent, name, effect="known events with its secret are refused", stacklevel=5)
    return ""


_SEVERAL: Final = (list, tuple, set, frozenset)


def _by_event(secrets: Any) -> _Keys:
    """The usable secrets by subscription."""
    named = secrets if isinstance(secrets, Mapping) else {_ANY: secrets}
    names = (event if isinstance(event, WebhookEvent) else str(event) for event in named)
    return {name: usable_secrets(some) for name, some in zip(names, named.values(), strict=True)}


def _check(keys: _Keys, raw_body: bytes, digest: bytes) -> frozenset[str] | str | None:
    """Verify a body with all secrets.

    Returns:
        The subscriptions whose secret matched; None if secrets are not given by subscription; or, as text, why the
        delivery is refused.
    """
    found = frozenset(event for event, secrets in keys.items() if matches(raw_body, digest, secrets))
    if not found:
        return no_match(sum(map(len, keys.values())))
    return None if _ANY in keys else found


# -- the endpoint ---------------------------------------------------------------------------------------------------


def check_number(name: str, value: object, *, least: float = 0.0) -> None:
    """Refuse what is not a finite number of at least this size."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value < math.inf:
        raise ConfigurationError(f"{name} must be a number, at least {least:g}")


class DeliveryEndpoint:
    """Verifies deliveries and passes them on.

    Args:
        secrets: The secrets.
        accept: Called with each verified delivery; returns the response. What it raises becomes a 503.
        max_body: The largest body, in bytes, before and after decompression.
        body_timeout: Seconds until a body must be complete.
        log: The log of refused deliveries.

    Attributes:
        stats: The counters.
        secrets: The current secrets.
        body_timeout: Seconds until a body must be complete.
        log: The log of refused deliveries.

    Raises:
        ConfigurationError: There is no secret, or an argument is invalid.
    """

    def __init__(
        self,
        secrets: SecretSource | CurrentSecrets,
        accept: Callable[[ReceivedDelivery], Awaitable[WebhookResponse]],
        *,
        max_body: int = MAX_BODY,
        body_timeout: float = BODY_TIMEOUT,
        log: RejectionLog | None = None,
    ) -> None:
        self.stats: Stats = Stats()
        checked = checked_secrets(secrets)
        del secrets  # no traceback shows them
        if isinstance(checked, str):
            raise ConfigurationError(checked)
        check_number("max_body", max_body, least=1)
        check_number("body_timeout", body_timeout, least=0.001)
        self.secrets: CurrentSecrets = checked
        self._accept = accept
        self.log: RejectionLog = RejectionLog() if log is None else log
        self._max_body = max_body
        self.body_timeout: float = body_timeout

    async def receive(
        self,
        raw_body: Bytes,
        signature: str | bytes | None,
        *,
        content_encoding: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> WebhookResponse:
        """Verify the bytes that arrived, pass them on, and return the response. It never raises an `Exception`."""
        if not isinstance(raw_body, Bytes):  # a fault of the program: the service sends it again
            return self.refuse(UNAVAILABLE, f"the body must be the raw bytes, not {type(raw_body).__name__}")
        digest = self.check_headers(signature, memoryview(raw_body).nbytes)
        if isinstance(digest, WebhookResponse):
            return digest
        try:
            return await self._verify(bytes(raw_body), digest, (content_encoding or "").strip().lower(), headers or {})
        except WebhookVerificationError as error:
            return self.refuse(NOT_SIGNED, error.message)
        except DecodeError as error:
            return self.refuse(NOT_JSON, str(error))
        except Exception as error:  # noqa: BLE001  the inbox, or a user's function for secrets, may raise anything
            why = str(error) if isinstance(error, GoedGepicktError) else type(error).__name__  # may contain a secret
            return self.refuse(UNAVAILABLE, f"it could not be stored ({why})")

    async def receive_chunks(
        self,
        chunks: AsyncIterable[bytes],
        signature: str | bytes | None,
        *,
        content_encoding: str | None = None,
        content_length: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> WebhookResponse:
        """Like `receive`, with a body in chunks. It is read only as far as the limits and the headers allow."""
        body = await self._read(chunks, signature, content_length or 0)
        if isinstance(body, WebhookResponse):
            return body
        return await self.receive(body, signature, content_encoding=content_encoding, headers=headers)

    async def _read(
        self, chunks: AsyncIterable[bytes], signature: str | bytes | None, content_length: int
    ) -> bytearray | WebhookResponse:
        """Read a body; or, if it is refused, return the response. Without a plausible signature nothing is read."""
        digest = self.check_headers(signature, content_length)
        if isinstance(digest, WebhookResponse):
            return digest
        body = bytearray()
        try:
            async with asyncio.timeout(self.body_timeout):
                async for chunk in chunks:
                    body += chunk
                    if len(body) > self._max_body:
                        break
        except TimeoutError:
            return self.refuse_slow()
        except Exception as error:  # noqa: BLE001  each framework has its own error for a lost connection
            error.__traceback__ = None  # aiohttp keeps the error with the connection: a cycle that holds the body
            return self.refuse(INCOMPLETE, f"the body ended early ({type(error).__name__})")
        finally:
            if (close := getattr(chunks, "aclose", None)) is not None:
                await close()
        return body

    def check_headers(self, signature: str | bytes | None, length: int) -> bytes | WebhookResponse:
        """The digest that the body must have; or the response to a request that its headers show to be wrong."""
        if length > self._max_body:
            return self.refuse(TOO_LARGE, f"more than {self._max_body} bytes")
        digest = digest_of(signature)
        return self.refuse(NOT_SIGNED, digest) if isinstance(digest, str) else digest

    def check_body(self, raw_body: bytes, digest: bytes) -> WebhookResponse | None:
        """The response to a body whose signature is wrong; None if it may be right.

        It does not call a function for secrets.
        """
        found = None if callable(self.secrets) else _check(self.secrets, raw_body, digest)
        return self.refuse(NOT_SIGNED, found) if isinstance(found, str) else None

    def refuse_slow(self) -> WebhookResponse:
        """The response to a body that is not complete in time."""
        return self.refuse(TOO_SLOW, f"the body was not complete after {self.body_timeout:g} s")

    async def _verify(
        self, raw_body: bytes, digest: bytes, encoding: str, headers: Mapping[str, str]
    ) -> WebhookResponse:
        secrets = self.secrets
        if callable(secrets):
            secrets = secrets()
            secrets = _by_event(await secrets if inspect.isawaitable(secrets) else secrets)
        found = _check(secrets, raw_body, digest)
        if isinstance(found, str):
            return self.refuse(NOT_SIGNED, found)
        body = raw_body if encoding in {"", "identity"} else _decompressed(raw_body, encoding, self._max_body)
        if isinstance(body, WebhookResponse):
            return self.refuse(body, f"a signed body with Content-Encoding: {encoding[:32]!r}")
        delivery = ReceivedDelivery(
            body=body,
            raw_body=raw_body,
            signature=digest.hex(),
            content_encoding=encoding,
            headers=headers,
            subscriptions=found,
        )
        response = await self._accept(delivery)
        if response.status == ACCEPTED.status:
            self.stats.accepted += 1
        return response

    def refuse(self, response: WebhookResponse, why: str) -> WebhookResponse:
        """Count and log a refused delivery.

        Args:
            response: The response, which is returned.
            why: The reason, without content of the delivery.
        """
        self.stats.refused[response.status] += 1
        self.log.note(response.status, why)
        return response

    def server(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        path: str | None = "/",
        ssl_context: ssl.SSLContext | None = None,
        max_connections: int | None = None,
    ) -> DeliveryServer:
        """A server for this endpoint, with bounded connections: `async with endpoint.server() as server: server.url`.

        Args:
            host: Where to listen.
            port: The port to listen on; 0 for a free port.
            path: The path of deliveries, others are 404; None accepts all.
            ssl_context: The TLS context for https; None for http.
            max_connections: The largest number of open connections: see `WebhookReceiver.run`.
        """
        from goedgepickt_async.webhooks.server import DeliveryServer  # noqa: PLC0415  loads aiohttp

        return DeliveryServer(self, host, port, path=path, ssl_context=ssl_context, max_connections=max_connections)


_WINDOW_BITS: Final = {"gzip": 31, "x-gzip": 31, "deflate": 15}


def _decompressed(raw_body: bytes, encoding: str, max_body: int) -> bytes | WebhookResponse:
    """A verified body, decompressed as far as the limit."""
    bits = _WINDOW_BITS.get(encoding)
    if bits is None:
        return UNSUPPORTED_ENCODING
    decompressor = zlib.decompressobj(bits)
    try:
        body = decompressor.decompress(raw_body, max_body + 1)
    except zlib.error:
        return INCOMPLETE
    if len(body) > max_body:
        return TOO_LARGE
    return body if decompressor.eof and not decompressor.unused_data else INCOMPLETE
