"""One call from start to end: its attempts under the rate limit and its retries."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import random
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, NoReturn

import aiohttp
import attrs
from yarl import URL

from goedgepickt_async._transport.observer import CallObserver
from goedgepickt_async._transport.request import (
    NO_BODY,
    AttemptResult,
    CallContext,
    Idempotency,
    RawResponse,
    Request,
    TransportFailure,
    current_context,
)
from goedgepickt_async._transport.session import LoopSession, SessionPool, current_attempt, has_ended
from goedgepickt_async._transport.verdict import (
    DISCONNECTING,
    EndedError,
    Verdict,
    budget_outcome,
    evidence_at_headers,
    failure_of,
    judge,
)
from goedgepickt_async.budget.protocol import Budget, Lost, NeverSent
from goedgepickt_async.budget.slots import Lane
from goedgepickt_async.budget.waiting import FairSemaphore
from goedgepickt_async.errors import (
    BudgetExhaustedError,
    ClientClosedError,
    ConfigurationError,
    ConnectionLostError,
    Evidence,
    GoedGepicktError,
    OutcomeUnknownError,
    RequestTimeoutError,
    TransportError,
    ValidationError,
)
from goedgepickt_async.hooks import Hooks
from goedgepickt_async.logs import LOGGERS, subscribe_to_drift
from goedgepickt_async.settings import RetryPolicy, Settings, shown_proxy
from goedgepickt_async.text import MaskedBytes, MaskedStr, printable

__all__ = ["Call", "CallResult", "Pipeline", "RetryQuota", "Sender", "backoff", "outcome_unknown"]

_LOGGER: Final = LOGGERS["call.finished"]
_MAYBE_DONE: Final = {Evidence.UNKNOWN, Evidence.APPLIED}
_ORDER: Final = [Evidence.NOT_SENT, Evidence.REJECTED, Evidence.UNKNOWN, Evidence.APPLIED]
_CALL_HOOKS: Final = (
    "call_started",
    "request",
    "response",
    "request_failed",
    "throttled",
    "retry",
    "call_failed",
    "call_finished",
)
_ENOUGH: Final = 1 << 18
"""The largest number of bytes that are read of an error's text."""
# In Python 3.11 each access to an enumeration member calls a function.
_NOT_SENT: Final = Evidence.NOT_SENT
_SAFE: Final = Idempotency.SAFE
_NON_IDEMPOTENT: Final = Idempotency.NON_IDEMPOTENT
_INTERACTIVE: Final = Lane.INTERACTIVE


def backoff(policy: RetryPolicy, failures: int, chance: float) -> float:
    """The pause in seconds after the n-th failure (from 1), with full jitter; `chance` is drawn from [0, 1)."""
    ceiling = policy.base * 2 ** min(failures - 1, 30)
    return float(chance * min(policy.cap, ceiling))


class RetryQuota:
    """The number of retries that all calls of a client share, so that retries do not overload a failing server."""

    _EARNED = 0.1

    def __init__(self, size: int) -> None:
        self._size = size
        self._left = float(size)

    def spend(self) -> bool:
        """Take a retry; False if the quota is used up."""
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def earn(self) -> None:
        """A call succeeded."""
        self._left = min(self._size, self._left + self._EARNED)


@attrs.frozen(kw_only=True)
class CallResult:
    """The result of a call that succeeded.

    Attributes:
        data: The data of the response, as `Request.read` returns it; None if the body is empty.
        response: The response.
        request: The request.
        attempts: The number of HTTP requests that were sent for the call.
    """

    data: Any = attrs.field(repr=False)
    response: RawResponse
    request: Request
    attempts: int


class Pipeline:
    """The parts that a client shares with the clients made from it: sessions, budget, hooks."""

    def __init__(self, sessions: SessionPool, budget: Budget, hooks: Hooks) -> None:
        self.sessions = sessions
        self.budget = budget
        self.hooks = hooks
        self.has_call_hooks: bool = any(getattr(hooks, name) is not None for name in _CALL_HOOKS)
        budget.listen(hooks.dispatch)
        if hooks.drift is not None:
            subscribe_to_drift(hooks.on_drift)


class Sender:
    """A pipeline with the settings of one client, for its resources.

    Attributes:
        generation: How often the client had been closed when the job of these calls started; None for single calls.
        headers: The headers of each request, except for `Authorization` and the body's headers.
        key: The `Authorization` header.
        tenant: A hash of the key: calls of different keys take turns.
        timeout: The timeouts for aiohttp, which limit only the connecting.
    """

    def __init__(
        self, pipeline: Pipeline, settings: Settings, quota: RetryQuota, generation: int | None = None
    ) -> None:
        self.pipeline = pipeline
        self.settings = settings
        self.quota = quota
        self.generation = generation
        self.key: MaskedStr = MaskedStr(f"Bearer {settings.api_key}")
        self.tenant: int = hash(self.key)
        self.timeout: aiohttp.ClientTimeout = aiohttp.ClientTimeout(
            total=None, sock_connect=min(settings.connect_timeout, settings.timeout)
        )
        self.headers: dict[str, str] = {
            "Accept": "application/json",  # without this header, Laravel redirects or responds with HTML
            "User-Agent": settings.user_agent,
            **settings.headers,
        }

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        """Raise TypeError: a copy would share no connections and no budget."""
        raise TypeError("a client cannot be pickled or copied deeply: make one client in each process")

    async def send(self, request: Request, lane: Lane = _INTERACTIVE) -> CallResult:
        """Send a call until it succeeds, or until a verdict says to stop.

        Args:
            request: The request to send.
            lane: The lane, unless the call's job or the settings have another one.
        """
        settings, pipeline, context = self.settings, self.pipeline, current_context()
        if settings.lane is not None:
            lane = settings.lane
        elif context is not None and context.lane is not None:
            lane = context.lane
        call = Call(self, request, lane, context)
        try:
            if pipeline.has_call_hooks or _LOGGER.isEnabledFor(logging.DEBUG):
                call.observe().on_start(settings.base_url)
            result = await (call.run() if settings.deadline is None else call.run_in_time(settings.deadline))
        except BaseException as error:
            if call.observer is not None:
                call.observer.on_end(error, call.evidence, call.attempts)
            raise
        if call.observer is not None:
            call.observer.on_end(None, call.evidence, call.attempts)
        if context is not None:
            context.report_response(result.response)
        return result

    def with_settings(self, settings: Settings) -> Sender:
        """Return a sender with other settings. A retry quota of another size is a separate one, and starts full."""
        same = settings.retry.quota == self.settings.retry.quota
        return Sender(self.pipeline, settings, self.quota if same else RetryQuota(settings.retry.quota))

    def with_headers(self, headers: Mapping[str, str]) -> Sender:
        """Return a sender with these headers in addition."""
        if not isinstance(headers, Mapping):
            raise ConfigurationError(f"headers must be a mapping, not {type(headers).__name__}")
        return self.with_settings(attrs.evolve(self.settings, headers={**self.settings.headers, **headers}))

    def for_one_session(self) -> Sender:
        """Return a sender for the calls of one list or job. If the client is closed, they do not open a new session."""
        return Sender(self.pipeline, self.settings, self.quota, self.pipeline.sessions.generation)


class Call:
    """One call: its attempts, and the aiohttp middleware that takes a slot for each request.

    aiohttp repeats GET, PUT and DELETE itself if a kept-alive connection was dead. Each repeat passes through the
    middleware and is counted. A repeat of a non-idempotent request is refused.

    The key is added here, in the innermost layer: no argument of aiohttp's functions has it. It replaces credentials of the
    user's session or of ~/.netrc. Cookies are removed, because they belong to another key.

    Attributes:
        observer: The observer, which reports to hooks and log; None if both are off.
        attempts: The number of requests sent in all attempts.
        body: The encoded body, or None.
        is_repeatable: Whether the request may be sent twice.
        sent: Whether the latest request was sent.
        head: The status and headers of the latest response, after they have arrived.
        judged: The evidence of the verdict on the latest request, as soon as there is one.
        transport: The connection of the latest request, if the client made the session.
        is_reused: Whether that connection was used for an earlier request.
    """

    attempts: int = 0
    observer: CallObserver | None = None
    sent: bool = False
    head: tuple[int, Mapping[str, str]] | None = None
    judged: Evidence | None = None
    transport: asyncio.BaseTransport | None = None
    is_reused: bool = False
    _place: int | None = None
    _waited: float = 0.0  # for the slot of the latest attempt
    _worst: Evidence = _NOT_SENT
    _failures: int = 0  # failed attempts, without attempts that got a 429
    _refusals: int = 0
    _deadline: asyncio.Timeout | None = None

    def __init__(self, sender: Sender, request: Request, lane: Lane, context: CallContext | None = None) -> None:
        pipeline = sender.pipeline
        self.request = request
        self.lane = lane
        self.body: bytes | None = None if request.body is NO_BODY else _encoded(request)
        self.is_repeatable: bool = request.idempotency is not _NON_IDEMPOTENT
        self._sender = sender
        self._generation = pipeline.sessions.generation if sender.generation is None else sender.generation
        self._budget = pipeline.budget
        self._context = context

    def observe(self) -> CallObserver:
        """The observer of the call, made on first use."""
        if self.observer is None:
            self.observer = CallObserver(self._sender.pipeline.hooks, self.request, self.lane)
        return self.observer

    @property
    def evidence(self) -> Evidence:
        """What is known about the call: the evidence of the request that may have had the largest effect."""
        latest = self._latest
        return latest if latest is Evidence.FINAL else max(self._worst, latest, key=_ORDER.index)

    @property
    def _latest(self) -> Evidence:
        """What is known about the latest request, if the attempt ends here."""
        if self.judged is not None:
            return self.judged
        if not self.sent:
            return Evidence.NOT_SENT
        return Evidence.UNKNOWN if self.head is None else evidence_at_headers(self.head[0])

    @property
    def _where(self) -> dict[str, Any]:
        """The context for an error of this call."""
        return self.request.where(self.attempts)

    # -- attempts ------------------------------------------------------------------------------------------------

    async def run_in_time(self, seconds: float) -> CallResult:
        """Repeat attempts until one decides, or until the deadline."""
        deadline = self._deadline = asyncio.timeout(seconds)
        try:
            async with deadline:
                return await self.run()
        except TimeoutError as exc:
            if isinstance(exc, GoedGepicktError) or not deadline.expired():
                raise
        # Outside the handler: the timeout's frames hold the request.
        message, evidence = f"the call timed out: no response within the deadline of {seconds:g} s", self.evidence
        if not self.is_repeatable and evidence in _MAYBE_DONE:
            raise outcome_unknown(message, evidence, self.request, self.attempts)
        raise RequestTimeoutError(message, evidence=evidence, **self._where)

    async def run(self) -> CallResult:
        """Repeat attempts until one decides."""
        sender, request = self._sender, self.request
        sessions, secret = sender.pipeline.sessions, sender.settings.api_key
        while True:
            if self._generation != sessions.generation:
                message = "the client was closed before the list or job was finished"
                raise ClientClosedError(message, evidence=self.evidence, **self._where)
            result = await self._attempt(await sessions.get())
            verdict = judge(result, request, secret=secret, attempts=self.attempts)
            error, self.judged = verdict.error, verdict.evidence
            if self.observer is not None or (error is not None and verdict.is_throttled):
                self._report(result)
            if error is None:
                assert isinstance(result, RawResponse)
                sender.quota.earn()
                return CallResult(data=verdict.data, response=result, request=request, attempts=self.attempts)
            pause = self._pause(verdict)
            if pause is None or (self._deadline is not None and pause >= _left(self._deadline)):
                self._raise(error)
            self.observe().on_retry(error, pause, self.attempts)
            await asyncio.sleep(pause)

    async def _attempt(self, session: LoopSession) -> AttemptResult:
        """Send the request once. Return the response or the failure; raise if it cannot be sent."""
        sender, request = self._sender, self.request
        base_url = sender.settings.base_url
        url = URL(request.url(base_url) if request.query else base_url + request.path, encoded=True)
        headers = sender.headers if self.body is None else sender.headers | {"Content-Type": "application/json"}
        max_wait = sender.settings.max_wait
        if self._deadline is not None:
            max_wait = min(_left(self._deadline), math.inf if max_wait is None else max_wait)
        limit, message, wait = session.limits[self.lane], "", 0.0
        self._session, self._max_wait, self._waited = session, max_wait, 0.0
        if self._failures or self._refusals:
            self._forget()
        try:
            async with asyncio.timeout(None) as scope:
                session.scopes.add(scope)
                self._scope = scope  # its time runs while the request is on the wire, not while it waits for a slot
                try:
                    if not limit.take_free():
                        await self._wait_turn(limit)
                    try:
                        async with session.http.request(
                            request.method,
                            url,
                            headers=headers,
                            data=self.body,
                            allow_redirects=False,
                            raise_for_status=False,
                            timeout=sender.timeout,
                            # The middlewares of the user's session stay outside: each request that they send takes a
                            # slot.
                            middlewares=(*session.middlewares, self),
                            proxy=session.proxy,
                            auto_decompress=True,
                            trace_request_ctx=self,
                        ) as response:
                            body = await _read(response, sender.settings.max_body)
                            return RawResponse(status=response.status, headers=response.headers, body=body)
                    finally:
                        limit.release()
                finally:
                    session.scopes.discard(scope)
        except BudgetExhaustedError as exc:
            message, wait = exc.message, exc.wait
        except GoedGepicktError:
            raise
        except Exception as exc:
            if session.is_owned and not isinstance(exc, (EndedError, *_FOREIGN)):
                raise  # a fault of this package; a middleware or tracer of the user's session may raise anything
            return self._failed(exc)
        raise BudgetExhaustedError(message, wait=wait, evidence=self.evidence, **self._where)

    async def _wait_turn(self, limit: FairSemaphore) -> None:
        """Acquire a permit of the lane, and reduce `max_wait` by the time that this took.

        All calls that wait for a permit wait for a slot afterwards, so they count in the predicted wait.
        """
        max_wait, tenant = self._max_wait, self._sender.tenant
        if max_wait is not None:
            self._check_wait(limit.ahead_of(tenant), max_wait)
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with asyncio.timeout(max_wait):
                await limit.acquire(tenant)
        except TimeoutError:
            if not self._session.closing:
                self._check_wait(limit.ahead_of(tenant), -1)
            raise
        if max_wait is not None:
            self._max_wait = max(0.0, max_wait - (loop.time() - began))

    def _check_wait(self, ahead: int, most: float) -> None:
        """Raise BudgetExhaustedError if the wait behind this number of calls is longer than allowed."""
        wait = self._budget.predicted_wait(self.lane, ahead=ahead, key=self._sender.tenant)
        if wait > most:
            raise BudgetExhaustedError(
                f"this call would wait about {wait:.1f} s for the rate limit, after the active calls of this client and "
                f"{ahead} that wait already",
                wait=wait,
            )

    def _forget(self) -> None:
        """The latest request is over; its evidence is kept."""
        if self.sent or self.judged is not None:
            latest = self._latest
            if latest is not Evidence.FINAL:
                self._worst = max(self._worst, latest, key=_ORDER.index)
        self.sent, self.head, self.judged, self.transport = False, None, None, None

    def _failed(self, exc: Exception) -> AttemptResult:
        session, settings = self._session, self._sender.settings
        if session.closing if isinstance(exc, TimeoutError) else session.http.closed:
            exc = _closed()
        elif isinstance(exc, EndedError) and not self.is_repeatable:
            exc.evidence = None
        return failure_of(
            exc,
            sent=self.sent,
            head=self.head,
            evidence=self._latest,
            timeout=settings.timeout,
            proxy=None if session.proxy is None else shown_proxy(session.proxy),
        )

    # -- on the wire ---------------------------------------------------------------------------------------------

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Take a slot, send the request, and report the outcome to the budget."""
        if self.sent and not self.is_repeatable:
            raise EndedError(
                ConnectionLostError,
                "the connection closed before the complete response arrived: the server closed the kept-alive "
                "connection",
            )
        sender, session, budget, scope = self._sender, self._session, self._budget, self._scope
        timeout = sender.settings.timeout
        if scope.when() is not None:
            scope.reschedule(None)
        grant = await budget.take(
            self.lane, max_lifetime=timeout, max_wait=self._max_wait, place=self._place, key=sender.tenant
        )
        if session.closing:
            budget.settle(grant, NeverSent())
            raise _closed()
        if self.sent:
            self._forget()
        self._place, self._waited = grant.place, self._waited + grant.waited
        scope.reschedule(asyncio.get_running_loop().time() + timeout)
        token = current_attempt.set(self)
        try:
            context = self._context
            # A journal records each write before it is sent, and no reads.
            if context is not None and context.before_write is not None and self.request.idempotency is not _SAFE:
                await context.before_write()
            if self.observer is not None:
                self.observer.on_request(grant.waited)
            if not session.is_owned:
                await self._adapt_to_borrowed(request)
            request.headers["Authorization"] = sender.key
            response = await handler(request)
        except BaseException:
            budget.settle(grant, Lost() if self.sent else NeverSent())
            raise
        finally:
            current_attempt.reset(token)
        status, headers = self.head = (response.status, response.headers)
        if status in DISCONNECTING and self.transport is not None:
            self.transport.close()
        budget.settle(grant, budget_outcome(status, headers, budget.limit))
        return response

    async def _adapt_to_borrowed(self, request: aiohttp.ClientRequest) -> None:
        """Undo the changes of the user's session."""
        request.headers.popall("Cookie", None)
        if not self.is_repeatable:  # the loop reads the end of pooled connections that the server has closed
            for _ in range(3):
                await asyncio.sleep(0)

    def before_bytes(self) -> None:
        """The first bytes of the latest request are about to be sent.

        Raises:
            ConnectionResetError: The server has closed the connection, so a non-idempotent request is not sent.
        """
        if self.sent:
            return
        if self.transport is not None:
            if self.transport.is_closing():
                return  # aiohttp does not write to a closed connection, and raises
            if not self.is_repeatable and has_ended(self.transport, is_idle=self.is_reused):
                raise ConnectionResetError
        self.sent = True
        self.attempts += 1
        if self._context is not None:
            self._context.count_request()

    # -- after an attempt ----------------------------------------------------------------------------------------

    def _report(self, result: AttemptResult) -> None:
        if isinstance(result, TransportFailure):
            self.observe().on_failure(result.error.__name__, result.evidence, self.attempts)
        else:
            self.observe().on_response(result.status, self.attempts, self._waited)

    def _pause(self, verdict: Verdict) -> float | None:
        """Return the seconds until the next attempt, or None if there is no next one."""
        policy, asked = self._sender.settings.retry, verdict.retry_after or 0.0
        if verdict.is_throttled:
            # The budget pauses all calls after a 429. This call queues again at its old place.
            if verdict.pause_budget:
                self._budget.pause(verdict.retry_after)
            self._refusals += 1
            return 0.0 if self._refusals <= policy.max_refusals and asked <= policy.max_retry_after else None
        self._failures += 1
        if isinstance(verdict.error, ClientClosedError):
            return None
        if not verdict.may_send_again or self._failures >= policy.max_attempts:
            return None
        if not self._sender.quota.spend():
            self.observe().on_quota_exhausted()
            return None
        if asked > policy.max_retry_after:
            return None
        return max(asked, backoff(policy, self._failures, random.random()))  # noqa: S311  jitter is no secret

    def _raise(self, error: GoedGepicktError) -> NoReturn:
        if error.evidence is not Evidence.FINAL:
            error.evidence = self.evidence  # an earlier attempt may have had a larger effect than the last one
        evidence = error.evidence or Evidence.UNKNOWN
        if not self.is_repeatable and evidence in _MAYBE_DONE:
            raise outcome_unknown(error.message, evidence, self.request, self.attempts) from error
        raise error


_FOREIGN: Final = (aiohttp.ClientError, OSError, ValueError, RuntimeError, AssertionError)
"""The exceptions that aiohttp raises. The last two mean that the session is closed. A TimeoutError is an OSError."""


def _closed() -> EndedError:
    return EndedError(ClientClosedError, "the client was closed while the call was in progress")


async def _read(response: aiohttp.ClientResponse, most: int) -> bytes:
    """Return the complete body of a success, or the readable part of an error's text.

    For errors the status is enough.
    """
    chunks, size, content = [], 0, response.content
    if 200 <= response.status < 300:
        while chunk := await content.readany():
            size += len(chunk)
            if size > most:  # a retry would get the same size
                raise EndedError(TransportError, f"the response is larger than {most} bytes", Evidence.FINAL)
            chunks.append(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)
    with suppress(aiohttp.ClientError, OSError):
        while size <= min(most, _ENOUGH) and (chunk := await content.readany()):
            size += len(chunk)
            chunks.append(chunk)
    return b"".join(chunks)


def outcome_unknown(why: str, evidence: Evidence, request: Request, attempts: int) -> OutcomeUnknownError:
    """The error for a non-idempotent write that may have been carried out."""
    return OutcomeUnknownError(
        f"it is not known whether this write was carried out, so it was not sent again: {why}",
        body=None if request.body is NO_BODY else request.body,
        evidence=evidence,
        **request.where(attempts),
    )


def _encoded(request: Request) -> MaskedBytes:
    try:
        return MaskedBytes(json.dumps(request.body, ensure_ascii=False, allow_nan=False).encode())
    except (TypeError, ValueError, RecursionError) as exc:
        reason = type(exc).__name__
        if str(exc).startswith("Object of type "):  # it has the name of the type only
            reason = f"{printable(str(exc), 100)}; pass text for a Decimal or a date, and to_dict(wire=True) of a model"
    raise ValidationError(  # outside the handler, because the encoder's frames hold the body
        f"the body cannot be written as JSON: {reason}",
        evidence=Evidence.NOT_SENT,
        **request.where(0),
    )


def _left(deadline: asyncio.Timeout) -> float:
    """Seconds until the deadline."""
    when = deadline.when()
    return math.inf if when is None else max(0.0, when - asyncio.get_running_loop().time())
