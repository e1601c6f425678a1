"""The observer of a call: it calls hooks and writes log records for each step."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

from goedgepickt_async._transport.request import Request
from goedgepickt_async.budget.slots import Lane
from goedgepickt_async.errors import APIError, ConnectionLostError, Evidence, GoedGepicktError
from goedgepickt_async.hooks import (
    CallEvent,
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
from goedgepickt_async.settings import DEFAULT_PORTS

__all__ = ["CallObserver"]

_numbers: Final = itertools.count(1)


class CallObserver:
    """The events of one call, for hooks and the log.

    After each reported request, its response or failure is reported before the next request and before the end of the
    call. So a hook can pair them.
    """

    def __init__(self, hooks: Hooks, request: Request, lane: Lane) -> None:
        self._hooks = hooks
        self._lane = lane
        self._query = request.query
        self._call: dict[str, Any] = {
            "call": next(_numbers),
            "method": request.method,
            "path": request.path,
            "route": request.route,
        }
        self._began = time.perf_counter()
        self._sent_at: float | None = None  # the time of a request whose end is not reported yet
        self._requests = 0
        self._waited = 0.0
        self._status: int | None = None

    def on_start(self, base_url: str) -> None:
        """The call begins."""
        if self._hooks.call_started is not None:
            server = urlsplit(base_url)
            port = server.port or DEFAULT_PORTS.get(server.scheme, 0)
            seen = CallStarted(lane=self._lane, address=server.hostname or "", port=port, **self._call)
            call_hook(self._hooks.call_started, seen)

    def on_request(self, waited: float) -> None:
        """A request is about to be sent."""
        if self._sent_at is not None:  # aiohttp repeats a request itself if a kept-alive connection was dead
            self.on_failure(ConnectionLostError.__name__, Evidence.UNKNOWN, self._requests)
        self._sent_at = time.perf_counter()
        self._requests += 1
        self._waited += waited
        facts = {"attempt": self._requests, "waited": waited}
        names = ",".join(name for name, _ in self._query)
        self._report("request.sent", self._hooks.request, RequestSent, facts, query=names, lane=self._lane.name.lower())

    def on_response(self, status: int, attempts: int, waited: float) -> None:
        """The response to the latest request has arrived."""
        self._status = status
        facts = {"status": status, "attempts": attempts, "waited": waited, "seconds": self._ended()}
        self._report("response.received", self._hooks.response, ResponseReceived, facts)
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            self._report("response.throttled", self._hooks.throttled, ResponseReceived, facts)

    def on_failure(self, error: str, evidence: Evidence, attempts: int) -> None:
        """The latest request, if there was one, gets no complete response."""
        if self._sent_at is None:
            return
        self._status = None
        facts = {"error": error, "evidence": evidence, "attempts": attempts, "seconds": self._ended()}
        self._report("request.failed", self._hooks.request_failed, RequestFailed, facts)

    def on_retry(self, error: GoedGepicktError, pause: float, attempts: int) -> None:
        """The call will be retried."""
        reason, status = error.message, self._status
        if isinstance(error, APIError):  # its message has text of the response, which may hold personal data
            reason, status = f"the status was {error.status}", error.status
        facts = {
            "error": type(error).__name__,
            "evidence": error.evidence or Evidence.UNKNOWN,
            "reason": reason,
            "status": status,
            "pause": pause,
            "attempts": attempts,
        }
        self._report("retry.scheduled", self._hooks.retry, RetryScheduled, facts)

    def on_quota_exhausted(self) -> None:
        """The call is not retried, because the retry quota is used up."""
        log_event("retry.exhausted", **self._call)

    def on_end(self, error: BaseException | None, evidence: Evidence, attempts: int) -> None:
        """The call ended, with this error or without one."""
        hooks = self._hooks
        try:
            if error is not None:
                self.on_failure(type(error).__name__, evidence, attempts)
        finally:  # report the end even if a hook raises
            known = error.evidence if isinstance(error, GoedGepicktError) else None
            facts: dict[str, Any] = {
                "error": None if error is None else type(error).__name__,
                "evidence": None if error is None else known or evidence,
                "status": self._status,
                "attempts": attempts,
                "waited": self._waited,
                "seconds": time.perf_counter() - self._began,
            }
            try:
                failed = hooks.call_failed if isinstance(error, Exception) else None
                self._report("call.finished" if error is None else "call.failed", failed, CallFinished, facts)
            finally:
                if hooks.call_finished is not None:
                    call_hook(hooks.call_finished, CallFinished(**facts, **self._call))

    def _report(
        self,
        event: str,
        hook: Callable[[Any], object] | None,
        cls: type[CallEvent],
        facts: Mapping[str, Any],
        **logged: object,
    ) -> None:
        """Log an event, and call the hook for it. The log ignores facts that are not its fields."""
        log_event(event, **{**self._call, **facts, **logged})
        if hook is not None:
            call_hook(hook, cls(**facts, **self._call))

    def _ended(self) -> float:
        """Seconds since the latest request got its slot."""
        began, self._sent_at = self._sent_at, None
        return 0.0 if began is None else time.perf_counter() - began
