"""One call from start to end: rate limit, attempts, retries, and the decision whether to send again."""

from __future__ import annotations

import asyncio
import json
import math
import random
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NoReturn, overload

import attrs

from goedgepickt_async._transport.context import current_context
from goedgepickt_async._transport.observer import CallObserver
from goedgepickt_async._transport.request import (
    NO_BODY,
    AttemptResult,
    Idempotency,
    RawResponse,
    Request,
    TransportFailure,
)
from goedgepickt_async._transport.send import AttemptLimits, RateLimitMiddleware, send_attempt
from goedgepickt_async._transport.session import LoopSession, SessionPool
from goedgepickt_async._transport.verdict import error_from_response, has_error_body, is_error
from goedgepickt_async.budget.protocol import Budget, parse_retry_after
from goedgepickt_async.budget.slots import Lane
from goedgepickt_async.convert import parse
from goedgepickt_async.drift import subscribe as subscribe_to_drift
from goedgepickt_async.errors import (
    BudgetExhaustedError,
    ClientClosedError,
    DecodeError,
    Evidence,
    GoedGepicktError,
    OutcomeUnknownError,
    RateLimitedError,
    RequestTimeoutError,
    ValidationError,
)
from goedgepickt_async.hooks import Hooks
from goedgepickt_async.settings import RetryPolicy, Settings

__all__ = ["CallResult", "Pipeline", "RetryQuota", "Sender", "backoff", "may_send_again", "outcome_unknown"]


def may_send_again(evidence: Evidence, idempotency: Idempotency) -> bool:
    """Whether the table above says to send again."""
    match evidence:
        case Evidence.NOT_SENT | Evidence.REJECTED:
            return True
        case Evidence.UNKNOWN | Evidence.APPLIED:
            return idempotency is not Idempotency.NON_IDEMPOTENT
        case Evidence.FINAL:
            return False


def backoff(policy: RetryPolicy, failures: int, chance: float) -> float:
    """Seconds to pause after the n-th failure (from 1): full jitter, `chance` is drawn from [0, 1)."""
    ceiling = policy.base * 2 ** min(failures - 1, 30)
    return float(chance * min(policy.cap, ceiling))


class RetryQuota:
    """A store of retries that all calls of a client share, so that an outage is not multiplied."""

    _EARNED = 0.1

    def __init__(self, size: int) -> None:
        self._size = size
        self._left = float(size)

    def spend(self) -> bool:
        """Take one; False if none is left."""
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def earn(self) -> None:
        """A call succeeded."""
        self._left = min(self._size, self._left + self._EARNED)


@attrs.frozen(kw_only=True)
class CallResult:
    """A success.

    Attributes:
        data: The body's parsed JSON; None if it is empty and may be.
        answer: The answer.
        request: What it answers.
        attempts: Requests that went out on the wire for it.
    """

    data: Any
    response: RawResponse
    request: Request
    attempts: int


@attrs.frozen
class Sender:
    """A pipeline with one client's settings: all that a resource needs."""

    pipeline: Pipeline
    settings: Settings
    quota: RetryQuota
    generation: int | None = None

    async def send(self, request: Request, lane: Lane = Lane.INTERACTIVE) -> CallResult:
        """Send a call; see `Pipeline.send`."""
        return await self.pipeline.send(request, self.settings, self.quota, lane, self.generation)

    def with_settings(self, settings: Settings) -> Sender:
        """The same with other settings. A retry quota of another size is one of its own, and begins full."""
        same = settings.retry.quota == self.settings.retry.quota
        return Sender(self.pipeline, settings, self.quota if same else RetryQuota(settings.retry.quota))

    def for_one_session(self) -> Sender:
        """The same, for calls that belong together: once the client is closed, they open no other session."""
        return attrs.evolve(self, generation=self.pipeline.sessions.generation)


@attrs.define(kw_only=True)
class _Call:
    """One call, and what it has been through so far."""

    request: Request
    settings: Settings
    body: bytes | None
    middleware: RateLimitMiddleware
    observer: CallObserver
    quota: RetryQuota
    generation: int
    failures: int = 0
    refusals: int = 0

    @property
    def where(self) -> dict[str, Any]:
        """The context that an error of it carries."""
        return {"attempts": self.middleware.on_wire, "method": self.request.method, "path": self.request.path}


class Pipeline:
    """Sends calls for one client; shared by everything that is made from it."""

    def __init__(self, sessions: SessionPool, budget: Budget, hooks: Hooks) -> None:
        self.sessions = sessions
        self.budget = budget
        self.hooks = hooks
        budget.listen(hooks.dispatch)
        if hooks.drift is not None:
            subscribe_to_drift(hooks.on_drift)

    async def send(
        self,
        request: Request,
        settings: Settings,
        quota: RetryQuota,
        lane: Lane = Lane.INTERACTIVE,
        generation: int | None = None,
    ) -> CallResult:
        """Send a call until it succeeds, or until the decision table says to stop.

        Args:
            request: What is to be sent.
            settings: How; a lane in it wins over all others.
            quota: The retries that it may take from.
            lane: Who goes first, unless an context that this is part of says otherwise.
            generation: How often the client was closed when this began; None: it begins now.

        Raises:
            GoedGepicktError: The error of the tree that tells what happened, with its evidence.
        """
        context = current_context()
        if context is not None and context.lane is not None:
            lane = context.lane
        lane = lane if settings.lane is None else settings.lane
        body = _encoded(request)
        observer = CallObserver(self.hooks, request, settings.base_url, lane)
        middleware = RateLimitMiddleware(self.budget, lane, request.idempotency, observer, context)
        generation = self.sessions.generation if generation is None else generation
        call = _Call(
            request=request,
            settings=settings,
            body=body,
            middleware=middleware,
            observer=observer,
            quota=quota,
            generation=generation,
        )
        try:
            observer.on_start()
            result = await self._in_time(call)
        except BaseException as error:
            observer.on_end(error, middleware.evidence, middleware.on_wire)
            raise
        observer.on_end(None, middleware.evidence, middleware.on_wire)
        return result

    async def _in_time(self, call: _Call) -> CallResult:
        deadline = asyncio.timeout(call.settings.deadline)
        try:
            async with deadline:
                return await self._until_decided(call, deadline)
        except TimeoutError as exc:
            if isinstance(exc, GoedGepicktError) or not deadline.expired():
                raise
            raise _out_of_time(call) from None

    async def _until_decided(self, call: _Call, deadline: asyncio.Timeout) -> CallResult:
        while True:
            outcome = await self._attempt(call, deadline)
            result = _result(outcome, call)
            if isinstance(result, CallResult):
                call.quota.earn()
                return result
            pause = self._pause(outcome, result, call)
            if pause is None or pause >= _left(deadline, math.inf):
                _raise(result, call)
            call.observer.on_retry(result, pause, call.middleware.on_wire)
            await asyncio.sleep(pause)

    async def _attempt(self, call: _Call, deadline: asyncio.Timeout) -> AttemptResult:
        settings, request = call.settings, call.request
        limits = AttemptLimits(
            timeout=settings.timeout,
            connect_timeout=min(settings.connect_timeout, settings.timeout),
            max_wait=_left(deadline, settings.max_wait),
            max_body=settings.max_body,
        )
        session = await self._session(call)
        try:
            outcome = await send_attempt(
                session,
                call.middleware,
                limits,
                request.method,
                request.url(settings.base_url),
                headers=_headers(call),
                body=call.body,
            )
        except BudgetExhaustedError as error:
            evidence = call.middleware.evidence
            raise BudgetExhaustedError(error.message, wait=error.wait, evidence=evidence, **call.where) from None
        if isinstance(outcome, RawResponse):
            call.observer.on_response(outcome.status, call.middleware.on_wire, call.middleware.waited)
        else:
            call.observer.on_failure(outcome.error.__name__, outcome.evidence, call.middleware.on_wire)
        return outcome

    async def _session(self, call: _Call) -> LoopSession:
        """The loop's session; a call that was under way when it was closed does not open another."""
        if call.generation != self.sessions.generation:
            raise ClientClosedError(
                "the client was closed, and the call does not open it again",
                evidence=call.middleware.evidence,
                **call.where,
            )
        return await self.sessions.get()

    def _pause(self, outcome: AttemptResult, error: GoedGepicktError, call: _Call) -> float | None:
        """Seconds until the next attempt, or None: there is none."""
        assert error.evidence is not None
        policy, request = call.settings.retry, call.request
        if isinstance(error, RateLimitedError) and error.evidence is Evidence.REJECTED:
            return self._pause_after_429(error, call)
        call.failures += 1
        if isinstance(error, ClientClosedError):
            return None
        if not may_send_again(error.evidence, request.idempotency) or call.failures >= policy.max_attempts:
            return None
        if not call.quota.spend():
            call.observer.on_quota_exhausted()
            return None
        asked = parse_retry_after(outcome.headers) or 0.0 if isinstance(outcome, RawResponse) else 0.0
        if asked > policy.max_retry_after:
            return None
        return max(asked, backoff(policy, call.failures, random.random()))  # noqa: S311  jitter is no secret

    def _pause_after_429(self, error: RateLimitedError, call: _Call) -> float | None:
        """A 429 pauses everybody, in the budget; so the call itself only has to queue again, at its old place."""
        if error.status != HTTPStatus.TOO_MANY_REQUESTS:  # the throttle's text: the budget has not heard of it yet
            self.budget.pause(error.retry_after)
        call.refusals += 1
        policy = call.settings.retry
        endured = call.refusals <= policy.max_refusals and (error.retry_after or 0.0) <= policy.max_retry_after
        return 0.0 if endured else None


def _result(outcome: AttemptResult, call: _Call) -> CallResult | GoedGepicktError:
    """What an exchange amounts to: the success, or the error with its evidence."""
    if isinstance(outcome, TransportFailure):
        error = outcome.error(outcome.message, evidence=outcome.evidence, **call.where)
        error.__cause__ = outcome.cause
        return error
    if is_error(outcome):
        return _refusal(outcome, call)
    try:
        data = None if call.request.may_be_empty and not outcome.body.strip() else parse(outcome.body)
    except DecodeError as error:
        return _unreadable(outcome, error, call)
    if has_error_body(data):
        return _refusal(outcome, call)
    return CallResult(data=data, response=outcome, request=call.request, attempts=call.middleware.on_wire)


def _refusal(response: RawResponse, call: _Call) -> GoedGepicktError:
    return error_from_response(response, secret=call.settings.api_key, field_name=call.request.field_name, **call.where)


def _unreadable(response: RawResponse, error: DecodeError, call: _Call) -> DecodeError:
    if "html" not in response.headers.get("Content-Type", ""):
        return DecodeError(error.message, evidence=Evidence.APPLIED, **call.where)
    # A page for people is no glitch: it would come again.
    evidence = Evidence.APPLIED if call.request.idempotency is Idempotency.NON_IDEMPOTENT else Evidence.FINAL
    return DecodeError("a web page came instead of JSON: is base_url right?", evidence=evidence, **call.where)


def _raise(error: GoedGepicktError, call: _Call) -> NoReturn:
    if error.evidence is not Evidence.FINAL:
        error.evidence = call.middleware.evidence  # an earlier attempt may have done more than the last one
    evidence = error.evidence or Evidence.UNKNOWN
    if call.request.idempotency is Idempotency.NON_IDEMPOTENT and evidence in {Evidence.UNKNOWN, Evidence.APPLIED}:
        raise outcome_unknown(error.message, evidence, call.request, call.middleware.on_wire) from error
    raise error


def outcome_unknown(why: str, evidence: Evidence, request: Request, attempts: int) -> OutcomeUnknownError:
    """The error for a write that happens once, and that perhaps has."""
    return OutcomeUnknownError(
        f"nobody can say whether this write was carried out, so it was not sent again: {why}",
        body=None if request.body is NO_BODY else request.body,
        evidence=evidence,
        attempts=attempts,
        method=request.method,
        path=request.path,
    )


def _out_of_time(call: _Call) -> GoedGepicktError:
    message = f"no answer within the call's deadline of {call.settings.deadline:g} s"
    evidence = call.middleware.evidence
    if call.request.idempotency is Idempotency.NON_IDEMPOTENT and evidence in {Evidence.UNKNOWN, Evidence.APPLIED}:
        return outcome_unknown(message, evidence, call.request, call.middleware.on_wire)
    return RequestTimeoutError(message, evidence=evidence, **call.where)


def _headers(call: _Call) -> Mapping[str, str]:
    settings = call.settings
    headers = {
        "Accept": "application/json",  # a Laravel application otherwise redirects or answers HTML
        "Authorization": f"Bearer {settings.api_key}",
        "User-Agent": settings.user_agent,
    }
    if call.body is not None:
        headers["Content-Type"] = "application/json"
    return headers


def _encoded(request: Request) -> bytes | None:
    if request.body is NO_BODY:
        return None
    try:
        return json.dumps(request.body, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as exc:
        raise ValidationError(
            f"the body is no JSON: {type(exc).__name__}",
            evidence=Evidence.NOT_SENT,
            method=request.method,
            path=request.path,
        ) from None


@overload
def _left(deadline: asyncio.Timeout, most: float) -> float: ...
@overload
def _left(deadline: asyncio.Timeout, most: float | None) -> float | None: ...
def _left(deadline: asyncio.Timeout, most: float | None) -> float | None:
    """Seconds until the deadline, `most` at most."""
    when = deadline.when()
    if when is None:
        return most
    left = max(0.0, when - asyncio.get_running_loop().time())
    return left if most is None else min(left, most)
