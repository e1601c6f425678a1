"""Spans and metrics for OpenTelemetry: one span for each API call, and metrics for dashboards.

It needs the extra `opentelemetry`, which installs only OpenTelemetry's API. The application chooses the SDK and the
exporters. Names follow the HTTP semantic conventions. `url.full` is left out, because a query may contain an e-mail
address; use `url.template`. Spans and metrics have no bodies, headers, error texts or ids.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import Token
from typing import Any, Final

import attrs

from goedgepickt_async import __version__
from goedgepickt_async.budget import Budget, BudgetSnapshot
from goedgepickt_async.hooks import (
    CallFinished,
    CallStarted,
    DriftDetected,
    Hooks,
    ItemFinished,
    PageRead,
    RequestFailed,
    RequestSent,
    ResponseReceived,
    RetryScheduled,
)

try:
    from opentelemetry import context, metrics, trace
except ImportError as _missing:
    raise ImportError(
        "OpenTelemetry is not installed. Run pip install 'goedgepickt-async[opentelemetry]'"
    ) from _missing

__all__ = ["OpenTelemetry"]

_NAME: Final = "goedgepickt_async"
_SCHEMA: Final = "https://opentelemetry.io/schemas/1.26.0"
_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""The buckets of the conventions for `http.client.request.duration`."""
_LONG: Final = (0.0, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)

_CALL: Final = context.create_key("goedgepickt.call")
"""The key of the call in the context, because without an SDK all calls have the same span."""

Attributes = dict[str, str | int | float]


@attrs.frozen
class _Open:
    """A call in progress: its span, which `token` removes from the context, and the attributes of its metrics."""

    span: trace.Span
    token: Token[context.Context]
    labels: Attributes
    lane: str


class OpenTelemetry:
    """Reports calls to OpenTelemetry. Make one for each process, and pass its `hooks` to each client.

    Each call is a span of kind CLIENT below the current span, and is itself the current span until its end. Requests,
    responses and retries are events of the span.

    Args:
        tracer_provider: The tracer provider; None for the global one.
        meter_provider: The meter provider; None for the global one.

    Attributes:
        hooks: The hooks for `GoedGepickt(hooks=…)`. `Hooks.combined` adds your own hooks.
    """

    def __init__(
        self,
        *,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
    ) -> None:
        self._tracer = trace.get_tracer(_NAME, __version__, tracer_provider, _SCHEMA)
        self._open: dict[int, _Open] = {}
        self._budgets: dict[str, weakref.ref[Budget]] = {}
        self._make_instruments(metrics.get_meter(_NAME, __version__, meter_provider, _SCHEMA))
        self.hooks: Hooks = Hooks(
            call_started=self._begin,
            request=self._request,
            response=self._answer,
            request_failed=self._unanswered,
            throttled=self._throttle,
            retry=self._retry,
            call_finished=self._end,
            page=self._page,
            item=self._item,
            drift=self._drift,
        )

    def watch(self, budget: Budget, *, name: str = "default") -> None:
        """Report the state of a budget each time that metrics are collected, as long as the budget exists.

        Args:
            budget: The budget, such as `gg.budget`.
            name: The name of the budget in `goedgepickt.budget.name`. A second budget with this name replaces the
                first.
        """
        self._budgets[name] = weakref.ref(budget)

    def _make_instruments(self, meter: metrics.Meter) -> None:
        def seconds(name: str, what: str, buckets: Sequence[float]) -> metrics.Histogram:
            return meter.create_histogram(name, "s", what, explicit_bucket_boundaries_advisory=buckets)

        call, wait = "Duration of calls, including waits and retries.", "Time that requests waited for the rate limit."
        self._duration = seconds("http.client.request.duration", "Duration of HTTP client requests.", _SECONDS)
        self._call_duration = seconds("goedgepickt.call.duration", call, _LONG)
        self._wait = seconds("goedgepickt.budget.wait", wait, _LONG)
        count = meter.create_counter
        self._requests = count("goedgepickt.requests", "{request}", "Requests that were sent.")
        self._retries = count("goedgepickt.retries", "{retry}", "Retries of calls.")
        self._throttled = count("goedgepickt.throttled", "{request}", "Answers of status 429.")
        self._pages = count("goedgepickt.pages", "{page}", "Pages of lists that were read.")
        self._rows = count("goedgepickt.rows", "{row}", "Items on these pages.")
        self._items = count("goedgepickt.items", "{item}", "Items of bulk jobs that are finished.")
        self._drifts = count("goedgepickt.drift", "{thing}", "Fields and values that this version does not know.")
        for name, unit, what, value in _GAUGES:
            meter.create_observable_gauge(f"goedgepickt.budget.{name}", [self._gauge(value)], unit, what)

    def _gauge(
        self, value: Callable[[BudgetSnapshot], float]
    ) -> Callable[[metrics.CallbackOptions], Iterable[metrics.Observation]]:
        def observe(_: metrics.CallbackOptions) -> Iterator[metrics.Observation]:
            for name, known in list(self._budgets.items()):
                budget = known()
                if budget is not None:
                    yield metrics.Observation(value(budget.snapshot()), {"goedgepickt.budget.name": name})

        return observe

    # -- one call -----------------------------------------------------------------------------------------------

    def _begin(self, seen: CallStarted) -> None:
        labels: Attributes = {
            "http.request.method": seen.method,
            "url.template": seen.route,
            "server.address": seen.address,
            "server.port": seen.port,
        }
        lane = seen.lane.name.lower()
        span = self._tracer.start_span(
            f"{seen.method} {seen.route}", kind=trace.SpanKind.CLIENT, attributes={**labels, "goedgepickt.lane": lane}
        )
        token = context.attach(context.set_value(_CALL, seen.call, trace.set_span_in_context(span)))
        self._open[seen.call] = _Open(span, token, labels, lane)

    def _request(self, seen: RequestSent) -> None:
        if call := self._open.get(seen.call):
            call.span.add_event("goedgepickt.request", {"attempt": seen.attempt, "waited": seen.waited})
            self._requests.add(1, call.labels)
            self._wait.record(seen.waited, {"goedgepickt.lane": call.lane})

    def _answer(self, seen: ResponseReceived) -> None:
        if call := self._open.get(seen.call):
            call.span.add_event("goedgepickt.answer", {"http.response.status_code": seen.status})
            labels = {**call.labels, "http.response.status_code": seen.status}
            if seen.status >= 400:
                labels["error.type"] = str(seen.status)
            self._duration.record(seen.seconds, labels)

    def _unanswered(self, seen: RequestFailed) -> None:
        if call := self._open.get(seen.call):
            call.span.add_event("goedgepickt.unanswered", {"error.type": seen.error})
            self._duration.record(seen.seconds, {**call.labels, "error.type": seen.error})

    def _throttle(self, seen: ResponseReceived) -> None:
        if call := self._open.get(seen.call):
            self._throttled.add(1, call.labels)

    def _retry(self, seen: RetryScheduled) -> None:
        if call := self._open.get(seen.call):
            call.span.add_event("goedgepickt.retry", {"error.type": seen.error, "pause": seen.pause})
            self._retries.add(1, {**call.labels, "error.type": seen.error})

    def _end(self, seen: CallFinished) -> None:
        call = self._open.pop(seen.call, None)
        if call is None:
            return
        if context.get_value(_CALL) == seen.call:  # not if the garbage collector removed the coroutine
            context.detach(call.token)
        if seen.status is not None:
            call.span.set_attribute("http.response.status_code", seen.status)
        if seen.attempts > 1:
            call.span.set_attribute("http.request.resend_count", seen.attempts - 1)
        labels = call.labels
        if seen.error is not None:
            labels = {**labels, "error.type": seen.error}
            call.span.set_attribute("error.type", seen.error)
            call.span.set_attribute("goedgepickt.evidence", str(seen.evidence))
            if seen.error != _CANCELLED:
                call.span.set_status(trace.StatusCode.ERROR)
        call.span.end()
        self._call_duration.record(seen.seconds, labels)

    # -- the rest -----------------------------------------------------------------------------------------------

    def _page(self, seen: PageRead) -> None:
        self._pages.add(1, {"url.template": seen.route})
        self._rows.add(seen.new, {"url.template": seen.route})

    def _item(self, seen: ItemFinished) -> None:
        labels: Attributes = {"goedgepickt.job": seen.job}
        if seen.error is not None:
            labels["error.type"] = seen.error
        self._items.add(1, labels)

    def _drift(self, seen: DriftDetected) -> None:
        labels: dict[str, Any] = attrs.asdict(seen)
        self._drifts.add(1, {f"goedgepickt.drift.{name}": text for name, text in labels.items() if text})


_CANCELLED: Final = "CancelledError"

_GAUGES: Final[tuple[tuple[str, str, str, Callable[[BudgetSnapshot], float]], ...]] = (
    ("limit", "{request}", "Requests that the server allows in a period.", lambda state: state.limit),
    (
        "used",
        "{request}",
        "Used slots, including the ones that are not free yet after a response.",
        lambda state: state.used,
    ),
    ("free", "{request}", "Requests that could be sent now.", lambda state: state.free),
    ("in_flight", "{request}", "Requests that were sent and have no response yet.", lambda state: state.in_flight),
    ("waiting", "{call}", "Calls that queue.", lambda state: sum(state.waiting.values())),
    ("paused", "s", "The remaining pause of all calls after a 429.", lambda state: state.paused_for),
    (
        "foreign_traffic",
        "1",
        "1 while other clients on this IP send requests.",
        lambda state: int(state.foreign_traffic),
    ),
)
