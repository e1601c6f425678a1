"""The observer of a call: it calls hooks and writes log records for each step."""

from __future__ import annotations

import itertools
import time
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

from goedgepickt_async._transport.request import Request
from goedgepickt_async.budget.slots import Lane
from goedgepickt_async.errors import APIError, ConnectionLostError, Evidence, GoedGepicktError
from goedgepickt_async.hooks import (
    CallFinished,
    CallStarted,
    Hooks,
    RequestFailed,
    RequestSent,
    ResponseReceived,
    RetryScheduled,
    call_hook,
)
from goedgepickt_async.logs import log_event

__all__ = ["CallObserver"]

_numbers: Final = itertools.count(1)
_PORTS: Final = {"http": 80, "https": 443}


class CallObserver:
    """The events of one call, for hooks and the log.

    After each reported request, its response or failure is reported before the next request and before the end of the
    call. So a hook can pair them.

    Args:
        hooks: The hooks to call.
        request: The call.
        base_url: The URL of the API.
        lane: The lane of the call.
    """

    def __init__(self, hooks: Hooks, request: Request, base_url: str, lane: Lane) -> None:
        self._hooks = hooks
        self._lane = lane
        self._base_url = base_url
        self._query = request.query
        self._number = next(_numbers)
        self._what: dict[str, Any] = {
            "call": self._number,
            "method": request.method,
            "path": request.path,
            "route": request.route,
        }
        self._log: dict[str, Any] = {key: value for key, value in self._what.items() if key != "path"}
        self._began = time.perf_counter()
        self._sent_at: float | None = None  # the number of a request whose end is not reported yet
        self._requests = 0
        self._waited = 0.0
        self._status: int | None = None

    def on_start(self) -> None:
        """The call begins."""
        if self._hooks.call_started is not None:
            server = urlsplit(self._base_url)
            port = server.port or _PORTS.get(server.scheme, 0)
            seen = CallStarted(lane=self._lane, address=server.hostname or "", port=port, **self._what)
            call_hook(self._hooks.call_started, seen)

    def on_request(self, waited: float) -> None:
        """A request is about to be sent."""
        if self._sent_at is not None:  # aiohttp repeats a request itself if a kept-alive connection was dead
            self.on_failure(ConnectionLostError.__name__, Evidence.UNKNOWN, self._requests)
        self._sent_at = time.perf_counter()
        self._requests += 1
        self._waited += waited
        names = ",".join(name for name, _ in self._query)
        lane = self._lane.name.lower()
        log_event("request.sent", query=names, lane=lane, attempt=self._requests, waited=waited, **self._log)
        if self._hooks.request is not None:
            call_hook(self._hooks.request, RequestSent(attempt=self._requests, waited=waited, **self._what))

    def on_response(self, status: int, attempts: int, waited: float) -> None:
        """The response to the latest request has arrived."""
        self._status = status
        seconds = self._ended()
        log_event("response.received", status=status, attempts=attempts, seconds=seconds, **self._log)
        is_throttled = status == HTTPStatus.TOO_MANY_REQUESTS
        if is_throttled:
            log_event("response.throttled", attempts=attempts, **self._log)
        if self._hooks.response is None and not is_throttled:
            return
        seen = ResponseReceived(status=status, attempts=attempts, waited=waited, seconds=seconds, **self._what)
        call_hook(self._hooks.response, seen)
        if is_throttled:
            call_hook(self._hooks.throttled, seen)

    def on_failure(self, error: str, evidence: Evidence, attempts: int) -> None:
        """The latest request, if there was one, gets no complete response."""
        if self._sent_at is None:
            return
        self._status = None
        facts: dict[str, Any] = {"error": error, "attempts": attempts, "seconds": self._ended()}
        log_event("request.failed", evidence=evidence.value, **facts, **self._log)
        if self._hooks.request_failed is not None:
            call_hook(self._hooks.request_failed, RequestFailed(evidence=evidence, **facts, **self._what))

    def on_retry(self, error: GoedGepicktError, pause: float, attempts: int) -> None:
        """The call will be retried."""
        evidence = error.evidence or Evidence.UNKNOWN
        status = error.status if isinstance(error, APIError) else self._status
        facts: dict[str, Any] = {
            "error": type(error).__name__,
            "status": status,
            "pause": pause,
            "attempts": attempts,
        }
        log_event("retry.scheduled", evidence=evidence.value, **facts, **self._log)
        if self._hooks.retry is not None:
            # The text of a response may hold personal data.
            reason = f"the status was {error.status}" if isinstance(error, APIError) else error.message
            call_hook(self._hooks.retry, RetryScheduled(evidence=evidence, reason=reason, **facts, **self._what))

    def on_quota_exhausted(self) -> None:
        """The call is not retried, because the retry quota is used up."""
        log_event("retry.exhausted", **self._log)

    def on_end(self, error: BaseException | None, evidence: Evidence, attempts: int) -> None:
        """The call ended, with this error or without one."""
        try:
            if error is not None:
                self.on_failure(type(error).__name__, evidence, attempts)
        finally:  # report the end even if a hook raises
            self._tell_end(error, evidence, attempts)

    def _tell_end(self, error: BaseException | None, evidence: Evidence, attempts: int) -> None:
        known = None if error is None else (error.evidence if isinstance(error, GoedGepicktError) else None) or evidence
        facts: dict[str, Any] = {
            "error": None if error is None else type(error).__name__,
            "status": self._status,
            "attempts": attempts,
            "seconds": time.perf_counter() - self._began,
        }
        log_event(
            "call.finished" if known is None else "call.failed",
            evidence=None if known is None else known.value,
            **facts,
            **self._log,
        )
        if self._hooks.call_finished is None and self._hooks.call_failed is None:
            return
        seen = CallFinished(evidence=known, waited=self._waited, **facts, **self._what)
        try:
            if isinstance(error, Exception):
                call_hook(self._hooks.call_failed, seen)
        finally:
            call_hook(self._hooks.call_finished, seen)

    def _ended(self) -> float:
        """Seconds since the latest request got its slot."""
        began, self._sent_at = self._sent_at, None
        return 0.0 if began is None else time.perf_counter() - began
