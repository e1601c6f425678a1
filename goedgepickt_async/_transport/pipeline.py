"""One call from start to end: attempts under the rate limit, and retries until a verdict ends it."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import random
from http import HTTPStatus
from typing import Any, Final, NoReturn

import attrs

from goedgepickt_async._transport.context import current_context
from goedgepickt_async._transport.observer import CallObserver
from goedgepickt_async._transport.request import NO_BODY, AttemptResult, Idempotency, RawResponse, Request
from goedgepickt_async._transport.send import AttemptLimits, RateLimitMiddleware, send_attempt
from goedgepickt_async._transport.session import SessionPool
from goedgepickt_async._transport.verdict import Verdict, judge
from goedgepickt_async.budget.protocol import Budget
from goedgepickt_async.budget.slots import Lane
from goedgepickt_async.drift import subscribe as subscribe_to_drift
from goedgepickt_async.errors import (
    BudgetExhaustedError,
    ClientClosedError,
    Evidence,
    GoedGepicktError,
    OutcomeUnknownError,
    RequestTimeoutError,
    ValidationError,
)
from goedgepickt_async.hooks import Hooks
from goedgepickt_async.logs import LOGGERS
from goedgepickt_async.settings import RetryPolicy, Settings
from goedgepickt_async.text import MaskedBytes, MaskedStr

__all__ = ["CallResult", "Pipeline", "RetryQuota", "Sender", "backoff", "outcome_unknown"]

_LOGGER: Final = LOGGERS["call.finished"]
_MAYBE_DONE: Final = {Evidence.UNKNOWN, Evidence.APPLIED}
_CALL_HOOKS: Final = ("call_started", "request", "response", "request_failed", "throttled", "retry", "call_failed")


def backoff(policy: RetryPolicy, failures: int, chance: float) -> float:
    """Seconds to pause after the n-th failure (from 1): full jitter, `chance` is drawn from [0, 1)."""
    ceiling = policy.base * 2 ** min(failures - 1, 30)
    return float(chance * min(policy.cap, ceiling))


class RetryQuota:
    """The retries that all calls of a client share, so that an outage is not multiplied."""

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
    """The result of a call that succeeded.

    Attributes:
        data: The body's parsed JSON; None if it is empty and may be.
        response: The response.
        request: What it answers.
        attempts: Requests that went out for it.
    """

    data: Any = attrs.field(repr=False)
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
    """The state of one call.

    Attributes:
        path: As errors show it.
        generation: How often the sessions were closed when it began.
        observer: None while hooks and log need to hear nothing.
        failures: Attempts that failed, refusals of the throttle aside.
        refusals: Refusals of the throttle.
    """

    request: Request
    settings: Settings
    lane: Lane
    quota: RetryQuota
    generation: int
    middleware: RateLimitMiddleware = attrs.field(repr=False)
    observer: CallObserver | None = attrs.field(repr=False)
    failures: int = 0
    refusals: int = 0

    @property
    def where(self) -> dict[str, Any]:
        """The context that an error of it carries."""
        return {"attempts": self.middleware.attempts, "method": self.request.method, "path": self.request.path}


class Pipeline:
    """Sends calls for one client; shared by everything that is made from it."""

    def __init__(self, sessions: SessionPool, budget: Budget, hooks: Hooks) -> None:
        self.sessions = sessions
        self.budget = budget
        self.hooks = hooks
        self._has_call_hooks = any(getattr(hooks, name) is not None for name in (*_CALL_HOOKS, "call_finished"))
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
        """Send a call until it succeeds, or until a verdict says to stop.

        Args:
            request: What is to be sent.
            settings: How; a lane in it wins over all others.
            quota: The retries that it may take from.
            lane: Who goes first, unless the job that the call belongs to says otherwise.
            generation: How often the client was closed when this began; None: it begins now.

        Raises:
            GoedGepicktError: The error of the tree that tells what happened, with its evidence.
        """
        context = current_context()
        if context is not None and context.lane is not None:
            lane = context.lane
        if settings.lane is not None:
            lane = settings.lane
        body = None if request.body is NO_BODY else _encoded(request)
        observer = None
        if self._has_call_hooks or _LOGGER.isEnabledFor(logging.DEBUG):
            observer = CallObserver(self.hooks, request, settings.base_url, lane)
        key = MaskedStr(f"Bearer {settings.api_key}")
        middleware = RateLimitMiddleware(self.budget, lane, request.idempotency, key, body, observer, context)
        call = _Call(
            request=request,
            settings=settings,
            lane=lane,
            quota=quota,
            generation=self.sessions.generation if generation is None else generation,
            middleware=middleware,
            observer=observer,
        )
        try:
            if observer is not None:
                observer.on_start()
            if settings.deadline is None:
                result = await self._until_decided(call, None)
            else:
                result = await self._in_time(call, settings.deadline)
        except BaseException as error:
            if call.observer is not None:
                call.observer.on_end(error, middleware.evidence, middleware.attempts)
            raise
        if call.observer is not None:
            call.observer.on_end(None, middleware.evidence, middleware.attempts)
        if context is not None:
            context.report_response(result.response)
        return result

    async def _in_time(self, call: _Call, seconds: float) -> CallResult:
        deadline = asyncio.timeout(seconds)
        try:
            async with deadline:
                return await self._until_decided(call, deadline)
        except TimeoutError as exc:
            if isinstance(exc, GoedGepicktError) or not deadline.expired():
                raise
        raise _out_of_time(call)  # outside the handler: the time-out's frames hold the request

    async def _until_decided(self, call: _Call, deadline: asyncio.Timeout | None) -> CallResult:
        while True:
            response, verdict = await self._attempt(call, deadline)
            attempts = call.middleware.attempts
            if verdict.error is None:
                assert isinstance(response, RawResponse)
                call.quota.earn()
                return CallResult(data=verdict.data, response=response, request=call.request, attempts=attempts)
            pause = self._pause(verdict, call)
            if pause is None or (deadline is not None and pause >= _left(deadline)):
                _raise(verdict.error, call)
            self._observer(call).on_retry(verdict.error, pause, attempts)
            await asyncio.sleep(pause)

    async def _attempt(self, call: _Call, deadline: asyncio.Timeout | None) -> tuple[AttemptResult, Verdict]:
        settings, request, middleware = call.settings, call.request, call.middleware
        max_wait = settings.max_wait
        if deadline is not None:
            max_wait = _left(deadline) if max_wait is None else min(_left(deadline), max_wait)
        limits = AttemptLimits(
            timeout=settings.timeout,
            connect_timeout=min(settings.connect_timeout, settings.timeout),
            max_wait=max_wait,
            max_body=settings.max_body,
        )
        headers = {
            "Accept": "application/json",  # a Laravel application otherwise redirects or answers HTML
            "User-Agent": settings.user_agent,
        }
        headers |= settings.headers
        if middleware.body is not None:
            headers["Content-Type"] = "application/json"
        if call.generation != self.sessions.generation:
            raise ClientClosedError(
                "the client was closed, and the call does not open it again",
                evidence=middleware.evidence,
                **call.where,
            )
        session = await self.sessions.get()
        result = await send_attempt(session, middleware, limits, request, settings.base_url, headers)
        if isinstance(result, BudgetExhaustedError):
            raise BudgetExhaustedError(result.message, wait=result.wait, evidence=middleware.evidence, **call.where)
        attempts = middleware.attempts
        verdict = judge(result, request, secret=settings.api_key, attempts=attempts)
        middleware.judged = verdict.evidence
        if isinstance(result, RawResponse):
            if call.observer is not None or result.status == HTTPStatus.TOO_MANY_REQUESTS:
                self._observer(call).on_response(result.status, attempts, middleware.waited)
        elif call.observer is not None:
            call.observer.on_failure(result.error.__name__, result.evidence, attempts)
        return result, verdict

    def _observer(self, call: _Call) -> CallObserver:
        """The call's observer; something is to be told."""
        if call.observer is None:
            call.observer = CallObserver(self.hooks, call.request, call.settings.base_url, call.lane)
        return call.observer

    def _pause(self, verdict: Verdict, call: _Call) -> float | None:
        """Seconds until the next attempt, or None: there is none."""
        policy, asked = call.settings.retry, verdict.retry_after or 0.0
        if verdict.is_throttled:
            # A 429 pauses all calls, in the budget; so this one only has to queue again, at its old place.
            if verdict.pause_budget:
                self.budget.pause(verdict.retry_after)
            call.refusals += 1
            return 0.0 if call.refusals <= policy.max_refusals and asked <= policy.max_retry_after else None
        call.failures += 1
        if isinstance(verdict.error, ClientClosedError):
            return None
        if not verdict.may_send_again or call.failures >= policy.max_attempts:
            return None
        if not call.quota.spend():
            self._observer(call).on_quota_exhausted()
            return None
        if asked > policy.max_retry_after:
            return None
        return max(asked, backoff(policy, call.failures, random.random()))  # noqa: S311  jitter is no secret


def _raise(error: GoedGepicktError, call: _Call) -> NoReturn:
    if error.evidence is not Evidence.FINAL:
        error.evidence = call.middleware.evidence  # an earlier attempt may have done more than the last one
    evidence = error.evidence or Evidence.UNKNOWN
    if call.request.idempotency is Idempotency.NON_IDEMPOTENT and evidence in _MAYBE_DONE:
        raise outcome_unknown(error.message, evidence, call.request, call.middleware.attempts) from error
    raise error


def outcome_unknown(why: str, evidence: Evidence, request: Request, attempts: int) -> OutcomeUnknownError:
    """The error for a write that must not be sent twice, and that may have been carried out."""
    return OutcomeUnknownError(
        f"it is not known whether this write was carried out, so it was not sent again: {why}",
        body=None if request.body is NO_BODY else request.body,
        evidence=evidence,
        attempts=attempts,
        method=request.method,
        path=request.path,
    )


def _out_of_time(call: _Call) -> GoedGepicktError:
    message = f"no answer within the call's deadline of {call.settings.deadline:g} s"
    evidence = call.middleware.evidence
    if call.request.idempotency is Idempotency.NON_IDEMPOTENT and evidence in _MAYBE_DONE:
        return outcome_unknown(message, evidence, call.request, call.middleware.attempts)
    return RequestTimeoutError(message, evidence=evidence, **call.where)


def _encoded(request: Request) -> MaskedBytes:
    try:
        return MaskedBytes(json.dumps(request.body, ensure_ascii=False, allow_nan=False).encode())
    except (TypeError, ValueError, RecursionError) as exc:
        reason = type(exc).__name__
    raise ValidationError(  # outside the handler: the encoder's frames hold the body
        f"the body is no JSON: {reason}",
        evidence=Evidence.NOT_SENT,
        method=request.method,
        path=request.path,
    )


def _left(deadline: asyncio.Timeout) -> float:
    """Seconds until the deadline."""
    when = deadline.when()
    return math.inf if when is None else max(0.0, when - asyncio.get_running_loop().time())
