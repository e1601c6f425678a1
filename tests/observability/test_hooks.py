"""Hooks get the events of calls, pages and items."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from goedgepickt_async import (
    Evidence,
    GoedGepickt,
    GoedGepicktError,
    Hooks,
    Lane,
    LocalBudget,
    NotFoundError,
    OutcomeUnknownError,
    ServerError,
    StopAfter,
)
from goedgepickt_async.sandbox import Sandbox, faults
from tests.observability.conftest import Heard

Make = Callable[..., GoedGepickt]


async def test_a_call_that_succeeds_is_reported_from_start_to_end(watched: GoedGepickt, heard: Heard) -> None:
    order = await watched.orders.list().first()
    assert order is not None
    heard.events.clear()
    await watched.orders.get(order.uuid)
    assert heard.story == ["call_started", "request", "response", "call_finished"]
    (call,), (request,), (answer,), (done,) = (
        heard.of(name) for name in ("call_started", "request", "response", "call_finished")
    )
    assert call.path == f"/orders/{order.uuid}"
    assert {event.route for event in (call, request, answer, done)} == {"/orders/{id}"}
    assert {event.call for event in (call, request, answer, done)} == {call.call}
    assert (call.method, call.lane, call.address) == ("GET", Lane.INTERACTIVE, "127.0.0.1")
    assert (request.attempt, answer.status, answer.attempts) == (1, 200, 1)
    assert (done.error, done.evidence, done.status, done.attempts) == (None, None, 200, 1)
    assert 0 < answer.seconds <= done.seconds


async def test_each_request_ends_before_the_next_one_begins(
    watched: GoedGepickt, heard: Heard, sandbox: Sandbox
) -> None:
    for fault in (faults.Status(500), faults.Drop(), faults.CutBody()):
        sandbox.fail("GET", "/webshops", fault)
    await watched.request("GET", "/webshops")
    assert heard.story == [
        "call_started",
        *("request", "response", "retry"),
        *("request", "request_failed"),  # a kept-alive connection was dropped, and aiohttp sends again by itself
        *("request", "request_failed", "retry"),
        *("request", "response", "call_finished"),
    ]
    retries, (done,) = heard.of("retry"), heard.of("call_finished")
    assert [retry.status for retry in retries][:1] == [500]
    assert retries[0].error == "ServerError"
    assert (done.error, done.attempts) == (None, len(heard.of("request")))


async def test_a_connection_that_cannot_be_made_is_reported_as_not_sent(make_client: Make, heard: Heard) -> None:
    client = make_client("http://127.0.0.1:9/api", hooks=heard.hooks())
    with pytest.raises(GoedGepicktError):
        await client.request("GET", "/webshops")
    assert heard.story.count("request") == heard.story.count("request_failed") == 4
    assert {event.error for event in heard.of("request_failed")} == {"ConnectFailedError"}
    (failure,) = heard.of("call_failed")
    assert (failure.error, failure.evidence, failure.status) == ("ConnectFailedError", Evidence.NOT_SENT, None)
    assert failure.attempts == 0
    assert heard.story[-2:] == ["call_failed", "call_finished"]


async def test_a_refused_call_is_a_failure_with_its_status(watched: GoedGepickt, heard: Heard) -> None:
    with pytest.raises(NotFoundError):
        await watched.orders.get("no-such-order")
    (failure,), (done,) = heard.of("call_failed"), heard.of("call_finished")
    assert failure == done
    assert (done.error, done.status, done.evidence) == ("NotFoundError", 404, Evidence.FINAL)


async def test_write_of_unknown_outcome_is_reported_as_unknown(
    watched: GoedGepickt, heard: Heard, sandbox: Sandbox
) -> None:
    sandbox.fail("POST", "/suppliers", faults.Drop())
    with pytest.raises(OutcomeUnknownError):
        await watched.request("POST", "/suppliers", json={"name": "Voorbeeld"})
    (failure,) = heard.of("call_failed")
    assert (failure.error, failure.evidence) == ("OutcomeUnknownError", Evidence.UNKNOWN)


async def test_a_cancelled_call_ends_too_and_is_no_failure(
    watched: GoedGepickt, heard: Heard, sandbox: Sandbox
) -> None:
    sandbox.fail("GET", "/webshops", faults.NeverAnswer())
    call = asyncio.create_task(watched.request("GET", "/webshops"))
    while not sandbox.requests:  # noqa: ASYNC110  nothing else tells that it has arrived
        await asyncio.sleep(0.005)
    call.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await call
    assert heard.story == ["call_started", "request", "request_failed", "call_finished"]
    assert heard.of("request_failed")[0].error == heard.of("call_finished")[0].error == "CancelledError"
    assert heard.of("call_finished")[0].evidence is Evidence.UNKNOWN


async def test_each_of_many_parallel_calls_starts_and_ends_once(
    watched: GoedGepickt, heard: Heard, sandbox: Sandbox
) -> None:
    sandbox.fail(
        "*",
        "*",
        faults.Sometimes([faults.Status(500), faults.Drop(), faults.Slow(0.01)], share=0.3, seed=3),
        times=None,
    )
    await asyncio.gather(*(watched.request("GET", "/webshops") for _ in range(40)), return_exceptions=True)
    numbers = {call.call for call in heard.of("call_started")}
    assert len(numbers) == 40
    for number in numbers:
        story = [name for name, event in heard.events if getattr(event, "call", None) == number]
        assert (story[0], story[-1], story.count("call_finished")) == ("call_started", "call_finished", 1)
        ends = [name for name in story if name in {"request", "response", "request_failed"}]
        assert ends[::2] == ["request"] * (len(ends) // 2)
        assert set(ends[1::2]) <= {"response", "request_failed"}


async def test_a_429_is_reported_with_its_request(make_client: Make, heard: Heard, sandbox: Sandbox) -> None:
    client = make_client(
        sandbox.url, sandbox.api_key, hooks=heard.hooks(), budget=LocalBudget(1000, 0.05, safety_margin=0.01)
    )
    sandbox.fail("GET", "/webshops", faults.TooManyRequests(retry_after="0"))
    await client.request("GET", "/webshops")
    (seen,) = heard.of("throttled")
    assert (seen.status, seen.route) == (429, "/webshops")
    assert heard.of("pause")


async def test_pages_are_reported_without_the_overlap(watched: GoedGepickt, heard: Heard) -> None:
    orders = await watched.orders.list().collect()
    pages = heard.of("page")
    assert [page.number for page in pages] == list(range(1, len(pages) + 1))
    assert sum(page.new for page in pages) == len(orders) == 230
    assert all(page.rows == page.new + page.known for page in pages)
    assert any(page.known for page in pages[1:])
    assert {(page.route, page.requests) for page in pages} == {("/orders", 1)}


async def test_an_overlap_that_had_to_be_read_again_shows_in_the_requests(
    watched: GoedGepickt, heard: Heard, sandbox: Sandbox
) -> None:
    sandbox.fail("GET", "/orders", faults.ChangeWorld(_forget_first_thirty), after=1)
    await watched.orders.list().collect()
    assert max(page.requests for page in heard.of("page")) > 1


def _forget_first_thirty(world: Any) -> None:
    for _ in range(30):
        world.delete_order(0)


async def test_each_item_of_a_bulk_job_is_reported(watched: GoedGepickt, heard: Heard) -> None:
    async def halve(number: int) -> float:
        if number == 2:
            raise ServerError("an invented one", status=500, evidence=Evidence.FINAL)
        return number / 2

    outcomes = [outcome async for outcome in watched.bulk.map(halve, range(5))]
    assert len(outcomes) == 5
    items = heard.of("item")
    assert {(item.index, item.error) for item in items} == {
        (0, None), (1, None), (2, "ServerError"), (3, None), (4, None)
    }  # fmt: skip
    assert {item.job for item in items} == {"map"}


async def test_items_of_an_applied_plan_are_reported(watched: GoedGepickt, heard: Heard) -> None:
    product = await watched.products.list().first()
    assert product is not None
    assert product.sku
    plan = await watched.products.plan([{"sku": product.sku, "name": "Een andere naam"}])
    assert heard.of("item") == []
    outcomes = [outcome async for outcome in plan.apply(stop=StopAfter(errors=1))]
    assert [(item.job, item.error) for item in heard.of("item")] == [("products", None)] * len(outcomes)
    assert outcomes


async def test_combined_hooks_all_get_the_event_and_one_that_raises_keeps_no_other_from_it(
    sandbox: Sandbox, make_client: Make
) -> None:
    first, last = Heard(), Heard()

    def fail(_: object) -> None:
        raise LookupError

    hooks = Hooks.combined(first.hooks(), Hooks(call_started=fail, response=fail), Hooks(), last.hooks())
    await make_client(sandbox.url, sandbox.api_key, hooks=hooks).request("GET", "/webshops")
    assert first.events == last.events
    assert first.story == ["call_started", "request", "response", "call_finished"]


class StoppedError(BaseException):
    """As Ctrl-C, or a test that fails in a hook."""


@pytest.mark.parametrize(
    "name", ["call_started", "request", "response", "request_failed", "call_failed", "call_finished"]
)
async def test_a_hook_that_ends_the_program_keeps_no_other_from_hearing_the_end(
    sandbox: Sandbox, make_client: Make, name: str
) -> None:
    def stop(_: object) -> None:
        raise StoppedError

    first, last = Heard(), Heard()
    hooks = Hooks.combined(first.hooks(), Hooks(**{name: stop}), last.hooks())
    client = make_client(sandbox.url, sandbox.api_key, hooks=hooks)
    spoilt: dict[str, faults.Fault] = {"request_failed": faults.Drop(), "call_failed": faults.Status(404)}
    if name in spoilt:
        sandbox.fail("GET", "/webshops", spoilt[name])
    with pytest.raises(StoppedError):
        await client.request("GET", "/webshops")
    assert first.events == last.events
    assert (first.story[0], first.story[-1]) == ("call_started", "call_finished")
    assert client.budget.snapshot().in_flight == 0


async def test_hook_that_ends_the_program_at_a_wait_leaves_the_queue_empty(sandbox: Sandbox, make_client: Make) -> None:
    """Else those who are gone would be given the next slots."""

    def stop(_: object) -> None:
        raise StoppedError

    client = make_client(sandbox.url, sandbox.api_key, budget=LocalBudget(1, 60), hooks=Hooks(wait=stop))
    await client.request("GET", "/webshops")
    with pytest.raises(StoppedError):
        await client.request("GET", "/webshops")
    assert set(client.budget.snapshot().waiting.values()) == {0}


async def test_a_hook_cannot_cancel_the_call(make_client: Make, sandbox: Sandbox) -> None:
    """Without this rule, a hook that reads a cancelled future would end the task."""

    def look(_: object) -> None:
        raise asyncio.CancelledError

    client = make_client(sandbox.url, sandbox.api_key, hooks=Hooks(request=look, call_finished=look))
    assert (await client.request("GET", "/webshops")).status == 200


def test_combining_no_hooks_calls_no_hook() -> None:
    assert Hooks.combined() == Hooks() == Hooks.combined(Hooks(), Hooks())


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/orders", "/orders"),
        ("/orders/0b5c", "/orders/{id}"),
        ("/customers/jan@example.test", "/customers/{id}"),
        ("/customers/12/jansen", "/customers/{id}/{id}"),
        ("/06-12345678", "/{id}"),
    ],
)
async def test_a_route_names_collections_and_no_id(watched: GoedGepickt, heard: Heard, path: str, route: str) -> None:
    with contextlib.suppress(GoedGepicktError):
        await watched.request("GET", path)
    assert heard.of("call_finished")[0].route == route


async def test_a_route_of_a_resource_names_all_its_collections(watched: GoedGepickt, heard: Heard) -> None:
    for call in (watched.stock.get("p-1"), watched.stock.mutate("p-1", -2, reason="kapot")):
        with contextlib.suppress(GoedGepicktError):
            await call
    assert [done.route for done in heard.of("call_finished")] == [
        "/products/{id}/stock",
        "/products/{id}/stock-mutation",
    ]


async def test_a_route_can_be_named(watched: GoedGepickt, heard: Heard) -> None:
    with contextlib.suppress(GoedGepicktError):
        await watched.request("GET", "/customers/12/notes", route="/customers/{id}/notes")
    assert heard.of("call_finished")[0].route == "/customers/{id}/notes"


async def test_hooks_that_several_clients_share_get_a_pause_once(
    sandbox: Sandbox, make_client: Make, heard: Heard
) -> None:
    hooks, budget = heard.hooks(), LocalBudget(1000, 0.05, safety_margin=0.01)
    clients = [make_client(sandbox.url, sandbox.api_key, hooks=hooks, budget=budget) for _ in range(3)]
    sandbox.fail("GET", "/webshops", faults.TooManyRequests(retry_after="0"))
    await clients[0].request("GET", "/webshops")
    assert len(heard.of("pause")) == 1
