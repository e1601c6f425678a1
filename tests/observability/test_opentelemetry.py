"""Spans and metrics, as OpenTelemetry's own SDK collects them."""

import asyncio
import contextlib
import contextvars
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from goedgepickt_async import GoedGepickt, GoedGepicktError, Hooks, LocalBudget, NotFoundError
from goedgepickt_async.sandbox import Sandbox, faults
from tests.observability.conftest import Heard
from tests.support.waiting import until

pytest.importorskip("opentelemetry.sdk")

from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from goedgepickt_async.contrib.opentelemetry import OpenTelemetry

Make = Callable[..., GoedGepickt]


@attrs.define
class Collected:
    """A telemetry, and what it has told."""

    telemetry: OpenTelemetry
    tracer: trace.Tracer
    exporter: InMemorySpanExporter
    reader: InMemoryMetricReader

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self.exporter.get_finished_spans())

    def points(self, name: str) -> list[Any]:
        data = self.reader.get_metrics_data()
        if data is None:
            return []
        return [
            point
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]


@pytest.fixture
def collected() -> Iterator[Collected]:
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    meters = MeterProvider(metric_readers=[reader])
    telemetry = OpenTelemetry(tracer_provider=tracers, meter_provider=meters)
    yield Collected(telemetry, tracers.get_tracer("tests"), exporter, reader)
    tracers.shutdown()
    meters.shutdown()


@pytest.fixture
def traced(sandbox: Sandbox, make_client: Make, collected: Collected) -> GoedGepickt:
    return make_client(sandbox.url, sandbox.api_key, hooks=collected.telemetry.hooks)


async def test_a_call_is_a_client_span_named_and_described_by_the_conventions(
    traced: GoedGepickt, collected: Collected
) -> None:
    order = await traced.orders.list().first()
    assert order is not None
    await traced.orders.get(order.uuid)
    span = collected.spans[-1]
    assert (span.name, span.kind) == ("GET /orders/{id}", trace.SpanKind.CLIENT)
    port = int(traced.settings.base_url.split(":")[2].split("/")[0])
    assert span.attributes == {
        "http.request.method": "GET",
        "url.template": "/orders/{id}",
        "server.address": "127.0.0.1",
        "server.port": port,
        "http.response.status_code": 200,
        "goedgepickt.lane": "interactive",
    }
    assert [event.name for event in span.events] == ["goedgepickt.request", "goedgepickt.answer"]
    assert span.status.status_code is trace.StatusCode.UNSET
    assert order.uuid not in span.to_json()


async def test_a_retry_is_an_event_and_counted_as_a_resend(
    traced: GoedGepickt, collected: Collected, sandbox: Sandbox
) -> None:
    sandbox.fail("GET", "/webshops", faults.Status(500))
    await traced.request("GET", "/webshops")
    (span,) = collected.spans
    assert span.attributes is not None
    assert span.attributes["http.request.resend_count"] == 1
    assert "error.type" not in span.attributes
    retry = next(event for event in span.events if event.name == "goedgepickt.retry")
    assert retry.attributes is not None
    assert retry.attributes["error.type"] == "ServerError"
    (point,) = collected.points("goedgepickt.retries")
    assert (point.value, point.attributes["error.type"]) == (1, "ServerError")


async def test_an_error_is_in_the_span_by_its_type_alone(traced: GoedGepickt, collected: Collected) -> None:
    with pytest.raises(NotFoundError):
        await traced.orders.get("no-such-order")
    (span,) = collected.spans
    assert span.attributes is not None
    assert (span.attributes["error.type"], span.attributes["http.response.status_code"]) == ("NotFoundError", 404)
    assert span.status.status_code is trace.StatusCode.ERROR
    assert span.status.description is None


async def test_spans_are_below_their_callers_span_in_each_of_many_tasks(
    traced: GoedGepickt, collected: Collected
) -> None:
    async def work(number: int) -> None:
        with collected.tracer.start_as_current_span(f"job {number}"):
            for _ in range(3):
                await traced.request("GET", "/webshops")
                await asyncio.sleep(0)

    await asyncio.gather(*(work(number) for number in range(20)))
    jobs = {span.context.span_id: span.name for span in collected.spans if span.context and span.parent is None}
    calls = [span for span in collected.spans if span.name == "GET /webshops"]
    assert (len(jobs), len(calls)) == (20, 60)
    below = [jobs[span.parent.span_id] for span in calls if span.parent is not None]
    assert {name: below.count(name) for name in jobs.values()} == dict.fromkeys(jobs.values(), 3)


async def test_a_page_fetched_ahead_is_below_the_span_that_reads_the_list(
    traced: GoedGepickt, collected: Collected
) -> None:
    with collected.tracer.start_as_current_span("export") as export:
        assert len(await traced.orders.list().collect()) == 230
        assert trace.get_current_span() is export
    calls = [span for span in collected.spans if span.name == "GET /orders"]
    assert len(calls) > 2
    assert {span.parent and span.parent.span_id for span in calls} == {export.get_span_context().span_id}


async def test_the_span_is_current_while_the_call_lasts_and_not_after_it(
    sandbox: Sandbox, make_client: Make, collected: Collected
) -> None:
    current: list[trace.Span] = []
    hooks = Hooks.combined(collected.telemetry.hooks, Hooks(request=lambda _: current.append(trace.get_current_span())))
    await make_client(sandbox.url, sandbox.api_key, hooks=hooks).request("GET", "/webshops")
    (span,) = collected.spans
    assert [one.get_span_context() for one in current] == [span.context]
    assert trace.get_current_span() is trace.INVALID_SPAN


async def test_a_cancelled_call_ends_its_span_without_calling_it_an_error(
    traced: GoedGepickt, collected: Collected, sandbox: Sandbox
) -> None:
    sandbox.fail("GET", "/webshops", faults.NeverAnswer())
    call = asyncio.create_task(traced.request("GET", "/webshops"))
    await until(lambda: sandbox.requests)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    (span,) = collected.spans
    assert span.attributes is not None
    assert span.attributes["error.type"] == "CancelledError"
    assert span.status.status_code is trace.StatusCode.UNSET
    assert span.end_time is not None
    assert collected.telemetry._open == {}
    assert trace.get_current_span() is trace.INVALID_SPAN


@pytest.mark.parametrize("tracers", [TracerProvider(), TracerProvider(sampler=ALWAYS_OFF), trace.NoOpTracerProvider()])
async def test_a_call_that_is_thrown_away_elsewhere_ends_its_span_and_leaves_that_context_alone(
    sandbox: Sandbox, make_client: Make, tracers: Any, caplog: pytest.LogCaptureFixture
) -> None:
    telemetry = OpenTelemetry(tracer_provider=tracers)
    client = make_client(sandbox.url, sandbox.api_key, hooks=telemetry.hooks)
    sandbox.fail("GET", "/webshops", faults.NeverAnswer())
    coroutine = client.request("GET", "/webshops")
    waiting_for = contextvars.copy_context().run(coroutine.send, None)
    assert len(telemetry._open) == 1
    coroutine.close()
    waiting_for.cancel()
    assert telemetry._open == {}
    assert caplog.records == []


async def test_durations_are_counted_once_for_each_request(
    traced: GoedGepickt, collected: Collected, sandbox: Sandbox
) -> None:
    sandbox.fail("GET", "/webshops", faults.Status(500))
    sandbox.fail("GET", "/webshops", faults.CutBody())
    await traced.request("GET", "/webshops")
    points = collected.points("http.client.request.duration")
    told = {(p.attributes.get("http.response.status_code"), p.attributes.get("error.type")): p.count for p in points}
    assert told == {(500, "500"): 1, (None, "ConnectionLostError"): 1, (200, None): 1}
    assert {point.explicit_bounds[0] for point in points} == {0.005}
    (requests,) = collected.points("goedgepickt.requests")
    (waits,) = collected.points("goedgepickt.budget.wait")
    (calls,) = collected.points("goedgepickt.call.duration")
    assert (requests.value, waits.count, calls.count) == (3, 3, 1)


async def test_pages_rows_items_and_429s_are_counted(sandbox: Sandbox, make_client: Make, collected: Collected) -> None:
    budget = LocalBudget(1000, 0.05, safety_margin=0.01)
    client = make_client(sandbox.url, sandbox.api_key, budget=budget, hooks=collected.telemetry.hooks)
    sandbox.fail("GET", "/orders", faults.TooManyRequests(retry_after="0"))
    await client.orders.list().collect()
    _ = [outcome async for outcome in client.bulk.map(client.orders.get, ["no-such-order", "nor-this"])]
    (pages,), (rows,) = collected.points("goedgepickt.pages"), collected.points("goedgepickt.rows")
    assert (pages.value > 2, rows.value) == (True, 230)
    (throttled,), (items,) = collected.points("goedgepickt.throttled"), collected.points("goedgepickt.items")
    assert throttled.value == 1
    assert (items.value, dict(items.attributes)) == (
        2,
        {"goedgepickt.job": "map", "error.type": "NotFoundError"},
    )


async def test_the_budget_is_reported_each_time_that_metrics_are_collected_for_as_long_as_it_lives(
    sandbox: Sandbox, make_client: Make, collected: Collected
) -> None:
    budget = LocalBudget(5, 60)
    client = make_client(sandbox.url, sandbox.api_key, budget=budget, hooks=collected.telemetry.hooks)
    collected.telemetry.watch(client.budget, name="sandbox")
    for used in (0, 1, 2):
        (point,) = collected.points("goedgepickt.budget.used")
        assert (point.value, dict(point.attributes)) == (used, {"goedgepickt.budget.name": "sandbox"})
        await client.request("GET", "/webshops")
    (limit,) = collected.points("goedgepickt.budget.limit")
    assert limit.value == 5
    gone = LocalBudget(7, 60)
    collected.telemetry.watch(gone, name="gone")
    assert len(collected.points("goedgepickt.budget.limit")) == 2
    del gone
    assert len(collected.points("goedgepickt.budget.limit")) == 1


async def test_other_hooks_get_the_same_events_with_it(
    sandbox: Sandbox, make_client: Make, collected: Collected, heard: Heard
) -> None:
    hooks = Hooks.combined(heard.hooks(), collected.telemetry.hooks)
    client = make_client(sandbox.url, sandbox.api_key, hooks=hooks)
    with contextlib.suppress(GoedGepicktError):
        await client.orders.get("no-such-order")
    assert heard.story == ["call_started", "request", "response", "call_failed", "call_finished"]
    assert len(collected.spans) == 1


async def test_every_metric_is_in_the_page_and_every_name_there_is_one(
    sandbox: Sandbox, make_client: Make, collected: Collected
) -> None:
    page = Path(__file__).parents[2] / "docs" / "howto" / "observability.md"
    lines = [
        line for line in page.read_text(encoding="utf-8").splitlines() if re.match(r"\| `(goedgepickt|http)\.", line)
    ]
    listed: set[str] = set()
    for line in lines:
        names = re.findall(r"`([a-z_.]+)`", line.split("|")[1])
        listed |= {name if "." in name.strip(".") else f"goedgepickt.budget{name}" for name in names}
    budget = LocalBudget(1000, 0.05, safety_margin=0.01)
    client = make_client(sandbox.url, sandbox.api_key, budget=budget, hooks=collected.telemetry.hooks)
    collected.telemetry.watch(budget)
    sandbox.fail("GET", "/orders", faults.TooManyRequests(retry_after="0"))
    await client.orders.list().collect()
    _ = [outcome async for outcome in client.bulk.map(client.orders.get, ["no-such-order"])]
    data = collected.reader.get_metrics_data()
    assert data is not None
    made = {
        metric.name
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    assert made == listed
