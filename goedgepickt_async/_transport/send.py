"""Sends a request once and turns whatever happens into an answer, or into a failure with evidence."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus

import aiohttp
import attrs
from yarl import URL

from goedgepickt_async._transport.context import CallContext
from goedgepickt_async._transport.observer import CallObserver
from goedgepickt_async._transport.request import AttemptResult, Idempotency, RawResponse, TransportFailure
from goedgepickt_async._transport.session import LoopSession
from goedgepickt_async.budget.protocol import (
    Answered,
    Budget,
    Lost,
    NeverSent,
    Outcome,
    Refused,
    parse_retry_after,
    read_rate_headers,
)
from goedgepickt_async.budget.slots import Lane
from goedgepickt_async.errors import (
    BudgetExhaustedError,
    ClientClosedError,
    ConfigurationError,
    ConnectFailedError,
    ConnectionLostError,
    Evidence,
    GoedGepicktError,
    RequestTimeoutError,
    TransportError,
)

__all__ = ["AttemptLimits", "RateLimitMiddleware", "is_success", "send_attempt"]

_ENOUGH = 1 << 18
"""Bytes of a refusal's text."""


@attrs.frozen(kw_only=True)
class AttemptLimits:
    """What one attempt may cost.

    Attributes:
        timeout: Seconds from the grant of a slot to the last byte of the answer.
        connect_timeout: Seconds to connect, TLS included.
        max_wait: Seconds to wait for a slot; None: as long as it takes.
        max_body: Bytes of an answer, decompressed.
    """

    timeout: float
    connect_timeout: float
    max_wait: float | None
    max_body: int


class _ClosedError(Exception):
    """The client was closed before the request could go."""


class _NotSentAgainError(Exception):
    """aiohttp was about to re-send what must happen once."""


class _BodyTooLargeError(Exception):
    """A success whose body is larger than the caller allows."""


class RateLimitMiddleware:
    """What one call uses of the budget: an aiohttp client middleware that takes a slot for each request on the wire.

    aiohttp re-sends GET, PUT and DELETE by itself when a kept-alive connection turns out to be dead. Each of those
    passes through here again, is counted, and is refused where it would do something twice.

    Attributes:
        on_wire: Requests that went out, over all attempts of the call.
        waited: Seconds that the latest attempt waited for the budget.
        sent: Whether the latest request went out.
        answer: The latest answer's status and headers, as soon as they are here.
    """

    def __init__(
        self,
        budget: Budget,
        lane: Lane,
        idempotency: Idempotency,
        observer: CallObserver,
        context: CallContext | None = None,
    ) -> None:
        self.on_wire: int = 0
        self.waited: float = 0.0
        self.sent: bool = False
        self.response: tuple[int, Mapping[str, str]] | None = None
        self.lane = lane
        self.idempotency = idempotency
        self._budget = budget
        self._observer = observer
        self._context = context
        self._place: int | None = None
        self._worst = Evidence.NOT_SENT

    def begin(self, session: LoopSession, limits: AttemptLimits, clock: asyncio.Timeout) -> None:
        """A new attempt; `clock` runs while it is on the wire and stands still while it waits for a slot."""
        self._session, self._limits, self._clock = session, limits, clock
        self.waited = 0.0
        self._forget()

    def mark_sent(self) -> None:
        """The headers of a request are about to leave."""
        self.sent = True
        self.on_wire += 1
        if self._context is not None:
            self._context.count_request()

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Take a slot, send, and say what came of it."""
        if self.sent and self.idempotency is Idempotency.NON_IDEMPOTENT:
            raise _NotSentAgainError
        limits = self._limits
        self._clock.reschedule(None)
        grant = await self._budget.take(
            self.lane, max_lifetime=limits.timeout, max_wait=limits.max_wait, place=self._place
        )
        if self._session.closing:
            self._budget.settle(grant, NeverSent())
            raise _ClosedError
        self._forget()
        self._place, self.waited = grant.place, self.waited + grant.waited
        self._clock.reschedule(asyncio.get_running_loop().time() + limits.timeout)
        try:
            self._announce()
            self._observer.on_request(grant.waited)
            response = await handler(request)
        except BaseException:
            self._budget.settle(grant, Lost() if self.sent else NeverSent())
            raise
        self.response = (response.status, response.headers)
        self._budget.settle(grant, _outcome(response.status, response.headers, self._budget.limit))
        return response

    @property
    def latest(self) -> Evidence:
        """What is known of the latest request's fate, should the attempt end here."""
        if not self.sent:
            return Evidence.NOT_SENT
        if self.response is None:
            return Evidence.UNKNOWN
        status, _ = self.response
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            return Evidence.REJECTED
        return Evidence.APPLIED if is_success(status) else Evidence.UNKNOWN

    @property
    def evidence(self) -> Evidence:
        """What is known of the call's fate: of all its requests, the one that may have done most."""
        worst, latest = self._worst, self.latest
        return worst if worst is latest else max(worst, latest, key=_ORDER.index)

    def check_wait(self, ahead: int, most: float) -> None:
        """Raise BudgetExhaustedError if the wait behind so many others is longer."""
        wait = self._budget.predicted_wait(self.lane, ahead=ahead)
        if wait > most:
            raise BudgetExhaustedError(
                f"{ahead} calls of this client wait for the rate limit before this one, about {wait:.1f} s",
                wait=wait,
                evidence=self.evidence,
            )

    def _announce(self) -> None:
        """Whoever keeps a journal writes down what is about to be done; a read does nothing."""
        if (
            self.idempotency is not Idempotency.SAFE
            and self._context is not None
            and self._context.before_write is not None
        ):
            self._context.before_write()

    def _forget(self) -> None:
        self._worst = self.evidence
        self.sent, self.response = False, None


_ORDER = [Evidence.NOT_SENT, Evidence.REJECTED, Evidence.UNKNOWN, Evidence.APPLIED]


async def send_attempt(
    session: LoopSession,
    middleware: RateLimitMiddleware,
    limits: AttemptLimits,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    body: bytes | None,
) -> AttemptResult:
    """Send a request once.

    Args:
        session: What carries it.
        middleware: What counts it.
        limits: What it may cost.
        method: The HTTP method.
        url: Whole and quoted.
        headers: All of them, but for those of the connection.
        body: The bytes, or None.

    Raises:
        BudgetExhaustedError: The wait for a slot would be too long.
    """
    try:
        async with session.timeout_scope() as clock:
            left = await _take_permit(session, middleware, limits.max_wait)
            try:
                middleware.begin(
                    session, limits if left is limits.max_wait else attrs.evolve(limits, max_wait=left), clock
                )
                return await _send(session.http, middleware, limits, method, URL(url, encoded=True), headers, body)
            finally:
                session.permits[middleware.lane].release()
    except GoedGepicktError:
        raise
    except _ClosedError:
        return _closed(middleware)
    except _NotSentAgainError:
        return _broken(middleware, "dropped on a kept-alive connection", None)
    except _BodyTooLargeError as exc:
        return _too_large(middleware, limits, exc)
    except TimeoutError as exc:
        return _closed(middleware) if session.closing else _timed_out(middleware, limits, exc)
    except (aiohttp.ClientError, OSError, ValueError, RuntimeError, AssertionError) as exc:
        # The last two are aiohttp's way to say that the session is closed.
        if isinstance(exc, ValueError) and "AUTHORIZATION" in str(exc):
            raise _two_keys() from None
        return _closed(middleware) if session.http.closed else _broken(middleware, _why(exc), exc)


async def _take_permit(session: LoopSession, middleware: RateLimitMiddleware, max_wait: float | None) -> float | None:
    """Take one of the lane's permits; what is left of `max_wait`, as those who wait for one wait for a slot next.

    Raises:
        BudgetExhaustedError: It would take too long.
    """
    permits = session.permits[middleware.lane]
    if not permits.locked:
        await permits.acquire(None)
        return max_wait
    if max_wait is not None:
        middleware.check_wait(permits.waiting, max_wait)
    began = asyncio.get_running_loop().time()
    try:
        await permits.acquire(max_wait)
    except TimeoutError:
        if not session.closing:
            middleware.check_wait(permits.waiting, -1)
        raise
    waited = asyncio.get_running_loop().time() - began
    return None if max_wait is None else max(0.0, max_wait - waited)


async def _send(  # noqa: PLR0917  they are what a request is made of
    http: aiohttp.ClientSession,
    middleware: RateLimitMiddleware,
    limits: AttemptLimits,
    method: str,
    url: URL,
    headers: Mapping[str, str],
    body: bytes | None,
) -> RawResponse:
    async with http.request(
        method,
        url,
        headers=headers,
        data=body,
        allow_redirects=False,
        raise_for_status=False,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=limits.connect_timeout),
        # On a session of the user's, their own middlewares stay outside ours: one slot for each request on the wire.
        middlewares=(*_guards(http, headers), *getattr(http, "_middlewares", ()), middleware),
        trace_request_ctx=middleware,
    ) as response:
        read = _read_whole if is_success(response.status) else _read_some
        return RawResponse(
            status=response.status, headers=response.headers, body=await read(response.content, limits.max_body)
        )


def _guards(http: aiohttp.ClientSession, headers: Mapping[str, str]) -> tuple[aiohttp.ClientMiddlewareType, ...]:
    """On a session that trusts ~/.netrc, one that looks whether our key is still there.

    With aiohttp 3.12.0 an entry of that file takes its place without a word.
    """
    if not http.trust_env:
        return ()

    async def guard(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        if request.headers.get("Authorization") != headers.get("Authorization"):
            raise _two_keys()
        return await handler(request)

    return (guard,)


async def _read_whole(content: aiohttp.StreamReader, most: int) -> bytes:
    chunks, size = [], 0
    async for chunk in content.iter_any():
        size += len(chunk)
        if size > most:
            raise _BodyTooLargeError
        chunks.append(chunk)
    return b"".join(chunks)


async def _read_some(content: aiohttp.StreamReader, most: int) -> bytes:
    """Of a refusal the status is what counts; as much of its text as can be had."""
    text = bytearray()
    with suppress(aiohttp.ClientError, OSError):
        async for chunk in content.iter_any():
            text += chunk
            if len(text) > min(most, _ENOUGH):
                break
    return bytes(text)


def is_success(status: int) -> bool:
    return 200 <= status < 300


def _outcome(status: int, headers: Mapping[str, str], limit: int) -> Outcome:
    rate = read_rate_headers(headers)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return Refused(parse_retry_after(headers))
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR and rate.remaining is None:
        return Lost()  # a gateway spoke: the application may still count it
    return Answered(rate.counter(limit))


def _timed_out(middleware: RateLimitMiddleware, limits: AttemptLimits, exc: TimeoutError) -> AttemptResult:
    if middleware.response is not None and not is_success(middleware.response[0]):
        return RawResponse(
            status=middleware.response[0], headers=middleware.response[1], body=b""
        )  # its text does not matter
    if not middleware.sent:
        return _failure(middleware, ConnectFailedError, "no connection in time", exc)
    return _failure(middleware, RequestTimeoutError, f"no whole answer within {limits.timeout:g} s", exc)


def _too_large(middleware: RateLimitMiddleware, limits: AttemptLimits, exc: Exception) -> TransportFailure:
    failure = _failure(middleware, TransportError, f"the answer is larger than {limits.max_body} bytes", exc)
    # It would be as large again.
    return (
        failure
        if middleware.idempotency is Idempotency.NON_IDEMPOTENT
        else attrs.evolve(failure, evidence=Evidence.FINAL)
    )


def _closed(middleware: RateLimitMiddleware) -> TransportFailure:
    return _failure(middleware, ClientClosedError, "the client was closed while the call was under way", None)


def _two_keys() -> ConfigurationError:
    return ConfigurationError(
        "the aiohttp session that was passed in brings credentials of its own for this host, from ~/.netrc as it has "
        "trust_env=True: they would take the place of the API key; take the entry out, or pass another session",
        evidence=Evidence.NOT_SENT,
    )


def _broken(middleware: RateLimitMiddleware, why: str, exc: Exception | None) -> TransportFailure:
    # What a ClientResponseError holds are the request's headers, the key among them: it is no cause to show.
    cause = None if isinstance(exc, aiohttp.ClientResponseError) else exc
    if not middleware.sent:
        return _failure(middleware, ConnectFailedError, f"no connection: {why}", cause)
    return _failure(
        middleware, ConnectionLostError, f"the connection broke before the whole answer was here: {why}", cause
    )


def _failure(
    middleware: RateLimitMiddleware, error: type[TransportError], message: str, cause: Exception | None
) -> TransportFailure:
    return TransportFailure(evidence=middleware.latest, error=error, message=message, cause=cause)


def _why(exc: Exception) -> str:
    if isinstance(exc, aiohttp.ClientConnectorDNSError):
        return f"the host {exc.host!r} has no address"
    if isinstance(exc, aiohttp.ClientConnectorError):
        return f"{exc.host}:{exc.port}: {exc.os_error.strerror or type(exc.os_error).__name__}"
    return type(exc).__name__
