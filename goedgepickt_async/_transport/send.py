"""One attempt: send a request once, within its limits, and turn everything that happens into an `AttemptResult`."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import aiohttp
import attrs
from yarl import URL

from goedgepickt_async._transport.context import CallContext
from goedgepickt_async._transport.observer import CallObserver
from goedgepickt_async._transport.request import AttemptResult, Idempotency, RawResponse, Request, TransportFailure
from goedgepickt_async._transport.session import LoopSession, current_attempt, has_ended
from goedgepickt_async._transport.verdict import budget_outcome, evidence_at_headers, must_disconnect
from goedgepickt_async.budget.protocol import Budget, Lost, NeverSent
from goedgepickt_async.budget.slots import Lane
from goedgepickt_async.budget.waiting import FairSemaphore
from goedgepickt_async.errors import (
    BudgetExhaustedError,
    ClientClosedError,
    ConnectFailedError,
    ConnectionLostError,
    Evidence,
    GoedGepicktError,
    RequestTimeoutError,
    TransportError,
)
from goedgepickt_async.settings import shown_proxy
from goedgepickt_async.text import MaskedBytes, MaskedStr, printable

__all__ = ["AttemptLimits", "RateLimitMiddleware", "send_attempt"]

_ENOUGH = 1 << 18
"""Bytes of an error's text."""


@attrs.frozen(kw_only=True)
class AttemptLimits:
    """What one attempt may cost.

    Attributes:
        timeout: Seconds from the grant of a slot to the last byte of the response.
        connect_timeout: Seconds to connect, TLS included.
        max_wait: Seconds to wait for a slot; None: as long as it takes.
        max_body: Bytes of a response, decompressed.
    """

    timeout: float
    connect_timeout: float
    max_wait: float | None
    max_body: int


class _ClosedError(Exception):
    """The client was closed before the request could go."""


class _NotSentAgainError(Exception):
    """aiohttp was about to send again what must not be sent twice."""


class _BodyTooLargeError(Exception):
    """A success whose body is larger than the caller allows."""


class RateLimitMiddleware:
    """The requests of one call, as an aiohttp client middleware that takes a slot for each request on the wire.

    aiohttp sends GET, PUT and DELETE again by itself when a kept-alive connection turns out to be dead. Each of those
    passes through here again, is counted, and is refused where a second time would do something again.

    The key is put into the request here, innermost: it is in no argument of aiohttp's functions, and it replaces what
    a session of the user's brings, such as an entry of ~/.netrc. Cookies are taken out: they belong to another key.

    Attributes:
        attempts: Requests that went out, over all attempts of the call.
        waited: Seconds that the latest attempt waited for the budget.
        sent: Whether the latest request went out.
        head: The latest response's status and headers, as soon as they are here.
        tenant: What tells its API key from others: the calls of different keys take turns.
        judged: The verdict's evidence for the latest request, as soon as there is one.
        transport: The connection of the latest request, where the session is ours.
        is_reused: Whether that connection carried a request before.
        retire: Keeps that connection from further use.
    """

    def __init__(  # noqa: PLR0917  made in one place
        self,
        budget: Budget,
        lane: Lane,
        idempotency: Idempotency,
        authorization: MaskedStr,
        body: MaskedBytes | None,
        observer: CallObserver | None = None,
        context: CallContext | None = None,
    ) -> None:
        self.attempts: int = 0
        self.waited: float = 0.0
        self.sent: bool = False
        self.head: tuple[int, Mapping[str, str]] | None = None
        self.judged: Evidence | None = None
        self.transport: asyncio.BaseTransport | None = None
        self.is_reused: bool = False
        self.retire: Callable[[], None] | None = None
        self.lane = lane
        self.idempotency = idempotency
        self.is_repeatable: bool = idempotency is not Idempotency.NON_IDEMPOTENT
        self.body = body
        self.tenant: int = hash(str(authorization))
        self._authorization = authorization
        self._budget = budget
        self._observer = observer
        self._context = context
        self._place: int | None = None
        self._worst = Evidence.NOT_SENT

    def begin(self, session: LoopSession, limits: AttemptLimits, scope: asyncio.Timeout) -> None:
        """A new attempt; `scope` runs while it is on the wire and stands still while it waits for a slot."""
        self._session, self._limits, self._scope = session, limits, scope
        self.waited = 0.0
        self._forget()

    def before_bytes(self, *, is_body: bool) -> None:
        """The next bytes are about to be handed to the socket.

        aiohttp hands over the headers together with the first bytes of the body.

        Raises:
            ConnectionResetError: The server has closed the connection, so a request that must not be sent twice stays
                here.
        """
        if self.sent:
            return
        if self.transport is not None:
            if self.body is not None and not is_body:
                return
            if self.transport.is_closing():
                return  # aiohttp writes nothing to it, and says so
            if not self.is_repeatable and has_ended(self.transport, is_idle=self.is_reused):
                raise ConnectionResetError
        self.sent = True
        self.attempts += 1
        if self._context is not None:
            self._context.count_request()

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Take a slot, send, and tell the budget what came of it."""
        if self.sent and not self.is_repeatable:
            raise _NotSentAgainError
        limits, session = self._limits, self._session
        self._scope.reschedule(None)
        grant = await self._budget.take(
            self.lane, max_lifetime=limits.timeout, max_wait=limits.max_wait, place=self._place, key=self.tenant
        )
        if session.closing:
            self._budget.settle(grant, NeverSent())
            raise _ClosedError
        if self.sent:
            self._forget()
        self._place, self.waited = grant.place, self.waited + grant.waited
        self._scope.reschedule(asyncio.get_running_loop().time() + limits.timeout)
        token = current_attempt.set(self)
        try:
            # A journal writes down what is about to be done; a read does nothing.
            if self.idempotency is not Idempotency.SAFE and self._context is not None:
                await self._context.announce_write()
            if self._observer is not None:
                self._observer.on_request(grant.waited)
            if not session.is_owned:
                request.headers.popall("Cookie", None)
                if not self.is_repeatable:  # the loop reads the end of pooled connections that the server has closed
                    for _ in range(3):
                        await asyncio.sleep(0)
            request.headers["Authorization"] = self._authorization
            response = await handler(request)
        except BaseException:
            self._budget.settle(grant, Lost() if self.sent else NeverSent())
            raise
        finally:
            current_attempt.reset(token)
        self.head = (response.status, response.headers)
        self._budget.settle(grant, budget_outcome(response.status, response.headers, self._budget.limit))
        return response

    @property
    def latest(self) -> Evidence:
        """What is known of the latest request's fate, should the attempt end here."""
        if self.judged is not None:
            return self.judged
        if not self.sent:
            return Evidence.NOT_SENT
        return Evidence.UNKNOWN if self.head is None else evidence_at_headers(self.head[0])

    @property
    def evidence(self) -> Evidence:
        """What is known of the call's fate: of all its requests, the one that may have done most."""
        latest = self.latest
        return latest if latest is Evidence.FINAL else max(self._worst, latest, key=_ORDER.index)

    def check_wait(self, ahead: int, most: float) -> None:
        """Raise BudgetExhaustedError if the wait behind so many others is longer."""
        wait = self._budget.predicted_wait(self.lane, ahead=ahead, key=self.tenant)
        if wait > most:
            raise BudgetExhaustedError(
                f"{ahead} calls of this client wait for the rate limit before this one, about {wait:.1f} s",
                wait=wait,
                evidence=self.evidence,
            )

    def _forget(self) -> None:
        """The latest request is over; what it may have done stays known."""
        latest = self.latest
        if latest is not Evidence.FINAL:
            self._worst = max(self._worst, latest, key=_ORDER.index)
        self.sent, self.head, self.judged, self.transport, self.retire = False, None, None, None, None


_ORDER = [Evidence.NOT_SENT, Evidence.REJECTED, Evidence.UNKNOWN, Evidence.APPLIED]


async def send_attempt(  # noqa: PLR0917  they are what an attempt is made of
    session: LoopSession,
    middleware: RateLimitMiddleware,
    limits: AttemptLimits,
    request: Request,
    base_url: str,
    headers: Mapping[str, str],
) -> AttemptResult | BudgetExhaustedError:
    """Send a request once.

    Args:
        session: What carries it.
        middleware: What takes a slot for it and counts it; it has the body and the key.
        limits: What it may cost.
        request: The request.
        base_url: Of the API.
        headers: All but those of the connection and the key.

    Returns:
        The response, or why there is none; BudgetExhaustedError if the wait for a slot would be too long.

    Raises:
        GoedGepicktError: The request cannot be sent at all, or a callback of the job forbade it.
    """
    url = URL(request.url(base_url), encoded=True)
    try:
        async with asyncio.timeout(None) as scope:
            session.scopes.add(scope)
            limit = session.limits[middleware.lane]
            try:
                if limit.locked():
                    limits = await _wait_turn(session, limit, middleware, limits)
                else:
                    await limit.acquire(middleware.tenant)
                try:
                    middleware.begin(session, limits, scope)
                    return await _send(session, middleware, limits, request.method, url, headers)
                finally:
                    limit.release()
            finally:
                session.scopes.discard(scope)
    except BudgetExhaustedError as exc:
        return exc
    except GoedGepicktError:
        raise
    except (_ClosedError, _NotSentAgainError, _BodyTooLargeError, *_FOREIGN) as exc:
        return _failed(exc, session, middleware, limits)


_FOREIGN = (aiohttp.ClientError, OSError, ValueError, RuntimeError, AssertionError)
"""What aiohttp raises. The last two are its way to say that the session is closed. A TimeoutError is an OSError."""


def _failed(
    exc: Exception, session: LoopSession, middleware: RateLimitMiddleware, limits: AttemptLimits
) -> AttemptResult:
    if isinstance(exc, _ClosedError):
        return _closed(middleware)
    if isinstance(exc, _NotSentAgainError):
        return _broken(middleware, "it was dropped on a kept-alive connection", session)
    if isinstance(exc, _BodyTooLargeError):
        return _too_large(middleware, limits)
    if isinstance(exc, TimeoutError):
        return _closed(middleware) if session.closing else _timed_out(middleware, limits, exc)
    return _closed(middleware) if session.http.closed else _broken(middleware, exc, session)


async def _wait_turn(
    session: LoopSession, limit: FairSemaphore, middleware: RateLimitMiddleware, limits: AttemptLimits
) -> AttemptLimits:
    """Acquire one of the lane's permits; the limits with what is left of `max_wait`.

    Raises:
        BudgetExhaustedError: It would take too long, as those who wait for a permit wait for a slot next.
    """
    max_wait = limits.max_wait
    if max_wait is not None:
        middleware.check_wait(limit.ahead_of(middleware.tenant), max_wait)
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        async with asyncio.timeout(max_wait):
            await limit.acquire(middleware.tenant)
    except TimeoutError:
        if not session.closing:
            middleware.check_wait(limit.ahead_of(middleware.tenant), -1)
        raise
    if max_wait is None:
        return limits
    return attrs.evolve(limits, max_wait=max(0.0, max_wait - (loop.time() - began)))


async def _send(  # noqa: PLR0917  they are what a request is made of
    session: LoopSession,
    middleware: RateLimitMiddleware,
    limits: AttemptLimits,
    method: str,
    url: URL,
    headers: Mapping[str, str],
) -> RawResponse:
    http = session.http
    options: dict[str, Any] = {}
    # On a session of the user's, their own middlewares stay outside ours: one slot for each request on the wire.
    middlewares: tuple[aiohttp.ClientMiddlewareType, ...] = (middleware,)
    if session.is_owned:
        if session.proxy is not None:
            options["proxy"] = session.proxy
    else:
        middlewares = (*getattr(http, "_middlewares", ()), middleware)
        options["auto_decompress"] = True
    async with http.request(
        method,
        url,
        headers=headers,
        data=middleware.body,
        allow_redirects=False,
        raise_for_status=False,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=limits.connect_timeout),
        middlewares=middlewares,
        trace_request_ctx=middleware,
        **options,
    ) as response:
        if middleware.retire is not None and must_disconnect(response.status):
            middleware.retire()
        body = await _read(response, limits.max_body)
        return RawResponse(status=response.status, headers=response.headers, body=body)


async def _read(response: aiohttp.ClientResponse, most: int) -> bytes:
    """The whole body of a success; of an error as much of its text as can be had, as the status is what counts."""
    chunks, size = [], 0
    if 200 <= response.status < 300:
        async for chunk in response.content.iter_any():
            size += len(chunk)
            if size > most:
                raise _BodyTooLargeError
            chunks.append(chunk)
    else:
        with suppress(aiohttp.ClientError, OSError):
            async for chunk in response.content.iter_any():
                size += len(chunk)
                chunks.append(chunk)
                if size > min(most, _ENOUGH):
                    break
    return b"".join(chunks)


# -- failures


def _timed_out(middleware: RateLimitMiddleware, limits: AttemptLimits, exc: TimeoutError) -> AttemptResult:
    head = middleware.head
    if head is not None and not 200 <= head[0] < 300:
        return RawResponse(status=head[0], headers=head[1], body=b"")  # its text does not matter
    if not middleware.sent:
        return _failure(middleware, ConnectFailedError, "no connection in time", exc)
    return _failure(middleware, RequestTimeoutError, f"no whole answer within {limits.timeout:g} s", exc)


def _too_large(middleware: RateLimitMiddleware, limits: AttemptLimits) -> TransportFailure:
    failure = _failure(middleware, TransportError, f"the answer is larger than {limits.max_body} bytes", None)
    # It would be as large again.
    return attrs.evolve(failure, evidence=Evidence.FINAL) if middleware.is_repeatable else failure


def _closed(middleware: RateLimitMiddleware) -> TransportFailure:
    return _failure(middleware, ClientClosedError, "the client was closed while the call was under way", None)


def _broken(middleware: RateLimitMiddleware, why: Exception | str, session: LoopSession) -> TransportFailure:
    exc = why if isinstance(why, Exception) else None
    text = describe(exc) if exc is not None else str(why)
    if not middleware.sent:
        proxy = "" if session.proxy is None else f" through the proxy {shown_proxy(session.proxy)}"
        return _failure(middleware, ConnectFailedError, f"no connection{proxy}: {text}", exc)
    if isinstance(exc, aiohttp.ClientResponseError | aiohttp.ClientPayloadError):
        return _failure(middleware, ConnectionLostError, f"the server's answer cannot be read as HTTP: {text}", exc)
    return _failure(
        middleware, ConnectionLostError, f"the connection broke before the whole answer was here: {text}", exc
    )


def _failure(
    middleware: RateLimitMiddleware, error: type[TransportError], message: str, cause: Exception | None
) -> TransportFailure:
    return TransportFailure(evidence=middleware.latest, error=error, message=message, cause=_bare(cause))


def _bare(exc: BaseException | None) -> BaseException | None:
    """The operating system's error behind a failure, without tracebacks: the frames in them hold the request.

    The exceptions of aiohttp hold the request's headers, or the proxy's password, and are dropped.
    """
    seen: BaseException | None = exc
    for _ in range(5):
        if seen is None or (isinstance(seen, aiohttp.ClientError) and not isinstance(seen, ssl.SSLError)):
            seen = getattr(seen, "__cause__", None) or getattr(seen, "__context__", None)
        elif isinstance(seen, OSError):
            return type(seen)(*seen.args) if type(seen).__module__ in {"builtins", "ssl", "socket"} else None
        else:
            break
    return None


def describe(exc: BaseException) -> str:
    """What an exception of aiohttp or the operating system says, in words that show no header and no key.

    Attributes of foreign exceptions differ from version to version, so each is read with a default.
    """
    reason = getattr(exc, "strerror", None) or _of_server(exc) or ""
    os_error = getattr(exc, "__cause__", None)
    if not reason and isinstance(os_error, OSError):
        reason = getattr(os_error, "verify_message", None) or os_error.strerror or type(os_error).__name__
    if isinstance(exc, aiohttp.ClientConnectorDNSError):
        return f"the host {printable(str(getattr(exc, 'host', '?')), 255)!r} has no address"
    place = ""
    if isinstance(exc, aiohttp.ClientConnectorError | aiohttp.ClientConnectorCertificateError):
        host, port = getattr(exc, "host", None), getattr(exc, "port", None)
        place = f"{printable(str(host), 255)}:{port}: " if host else ""
    if isinstance(exc, aiohttp.ClientConnectorCertificateError):
        certificate = getattr(exc, "certificate_error", None) or os_error
        reason = f"the certificate was not accepted: {getattr(certificate, 'verify_message', None) or reason or 'TLS'}"
    reason = printable(str(reason), 200)
    return f"{place}{reason}" if reason else f"{place}{type(exc).__name__}"


def _of_server(exc: BaseException) -> str:
    """What aiohttp says is wrong with a response, without the bytes that it quotes: they may be anybody's data."""
    status = getattr(exc, "status", 0)
    if isinstance(exc, aiohttp.ClientHttpProxyError):
        hint = ": it wants credentials (user:password@ in the proxy's URL)" if status == 407 else ""
        return f"the proxy answered {status} {_unquoted(getattr(exc, 'message', ''))}{hint}"
    if isinstance(exc, aiohttp.ClientPayloadError):
        cause = exc.__cause__
        return _unquoted(getattr(cause, "message", None) or str(exc).partition("message:")[2] or str(exc))
    if isinstance(exc, aiohttp.ClientResponseError):
        return _unquoted(getattr(exc, "message", ""))
    if isinstance(exc, aiohttp.ServerDisconnectedError):
        message = getattr(exc, "message", None)
        return _unquoted(message) if isinstance(message, str) else "the server disconnected within the headers"
    return ""


def _unquoted(text: object) -> str:
    """The text up to the first quotation."""
    return _QUOTED.split(printable(str(text), 300))[0].rstrip(" :<^")


_QUOTED = re.compile(r"\bb?['\"]|[ =]['\"]|\{")
