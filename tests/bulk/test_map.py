"""bulk.map: one outcome for each item, in bounded memory. No task remains when the loop is left."""

import asyncio
import gc
import threading
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goedgepickt_async import BulkStoppedError, ConfigurationError, GoedGepickt, Lane, StopAfter
from goedgepickt_async.bulk.map import BulkRunner, OutcomeStream, compute, eta
from goedgepickt_async.sandbox import Sandbox
from goedgepickt_async.testing import unlimited_budget
from tests.support.recording_budget import RecordingBudget
from tests.support.tables import each_row

pytestmark = pytest.mark.virtual_time


def stream(operation: Any, items: Any, **options: Any) -> OutcomeStream[Any, Any]:
    return OutcomeStream(BulkRunner(operation, items, unlimited_budget(), **{"concurrency": 3, **options}))


async def drained(outcomes: OutcomeStream[Any, Any]) -> tuple[list[Any], Exception | None]:
    """All outcomes, and the error that was raised after them."""
    seen: list[Any] = []
    try:
        async for outcome in outcomes:
            seen.append(outcome)  # noqa: PERF401  the outcomes before an error are needed, too
    except Exception as error:
        return seen, error
    return seen, None


async def double(number: int) -> int:
    await asyncio.sleep(0)
    return number * 2


async def numbers(most: int) -> AsyncIterator[int]:
    for number in range(most):
        await asyncio.sleep(0)
        yield number


@each_row("ordered", [True, False])
@each_row("items", [lambda: list(range(50)), lambda: (n for n in range(50)), lambda: numbers(50)])
async def test_each_item_has_one_outcome_for_every_kind_of_source(items: Callable[[], Any], ordered: bool) -> None:
    outcomes = [outcome async for outcome in stream(double, items(), ordered=ordered)]
    assert sorted((o.index, o.item, o.unwrap()) for o in outcomes) == [(n, n, 2 * n) for n in range(50)]
    if ordered:
        assert [o.index for o in outcomes] == list(range(50))


@settings(max_examples=40)
@given(
    cases=st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=25),
    concurrency=st.integers(1, 6),
    ordered=st.booleans(),
)
def test_each_item_has_one_outcome_regardless_of_durations_and_failures(
    cases: list[tuple[int, bool]], concurrency: int, ordered: bool
) -> None:
    running = most = 0

    async def work(case: tuple[int, bool]) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(case[0]):
            await asyncio.sleep(0)
        running -= 1
        if case[1]:
            raise LookupError

    async def run() -> list[Any]:
        return [o async for o in stream(work, cases, concurrency=concurrency, ordered=ordered)]

    outcomes = asyncio.run(run())
    assert sorted(o.index for o in outcomes) == list(range(len(cases)))
    assert all(o.ok != cases[o.index][1] for o in outcomes)
    assert most <= concurrency


async def test_an_item_is_taken_from_the_source_only_when_work_can_start() -> None:
    taken = 0

    def endless() -> Any:
        nonlocal taken
        while True:
            taken += 1
            yield taken

    async with stream(double, endless(), concurrency=4) as outcomes:
        for _ in range(10):
            await anext(outcomes)
        await asyncio.sleep(0.01)
        assert taken <= 10 + 4 + 1


async def test_leaving_the_loop_ends_all_work_and_closes_the_source() -> None:
    ended: list[str] = []

    async def source() -> AsyncIterator[int]:
        try:
            for number in range(1000):
                yield number
        finally:
            ended.append("source")

    async def work(number: int) -> int:
        try:
            await asyncio.sleep(60 if number else 0)
        finally:
            ended.append("work")
        return number

    before = asyncio.all_tasks()
    async with stream(work, source()) as outcomes:
        async for outcome in outcomes:
            assert outcome.item == 0
            break
    assert asyncio.all_tasks() == before
    assert ended.count("source") == 1
    with pytest.raises(StopAsyncIteration):
        await anext(outcomes)


async def test_an_unreferenced_stream_ends_its_tasks() -> None:
    before = asyncio.all_tasks()
    outcomes = stream(double, numbers(100))
    await anext(outcomes)
    gone = weakref.ref(outcomes)
    del outcomes
    gc.collect()
    assert gone() is None
    for _ in range(20):
        await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


async def test_cancelling_the_consumer_once_or_twice_ends_all_work() -> None:
    cleaned = 0

    async def work(_: int) -> None:
        nonlocal cleaned
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.02)
            cleaned += 1

    async def consume() -> None:
        async with aclosing(stream(work, range(9))) as outcomes:
            async for _ in outcomes:
                pass

    before = asyncio.all_tasks()
    task = asyncio.create_task(consume())
    await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cleaned == 3
    assert asyncio.all_tasks() == before


@each_row("stop", [StopAfter(errors=1), StopAfter(errors=3), StopAfter(ratio=0.5, at_least=4)])
async def test_a_stopped_stream_still_returns_the_outcomes_of_all_started_items(stop: StopAfter) -> None:
    started: list[int] = []

    async def work(number: int) -> None:
        started.append(number)
        await asyncio.sleep(0)
        raise LookupError

    outcomes, stopped = await drained(stream(work, range(1000), stop=stop))
    assert sorted(o.index for o in outcomes) == started
    assert len(started) < 20
    assert isinstance(stopped, BulkStoppedError)
    assert (stopped.failed, stopped.done) == (len(started), len(started))


async def test_an_error_of_the_source_is_raised_after_the_outcomes() -> None:
    def source() -> Any:
        yield from range(5)
        raise OSError("no more")

    outcomes, error = await drained(stream(double, source()))
    assert isinstance(error, OSError)
    assert sorted(o.item for o in outcomes) == list(range(5))


async def test_a_cancellation_inside_an_operation_is_the_outcome_of_its_item() -> None:
    async def work(number: int) -> int:
        if number == 2:
            inner = asyncio.ensure_future(asyncio.sleep(60))
            inner.cancel()
            await inner
        return number

    outcomes = [o async for o in stream(work, range(5))]
    assert [o.index for o in outcomes if not o.ok] == [2]
    assert len(outcomes) == 5


async def test_invalid_sources_operations_and_limits_are_refused(gg: GoedGepickt) -> None:
    with pytest.raises(ConfigurationError):
        gg.bulk.map(double, [1], concurrency=0)
    with pytest.raises(ConfigurationError):
        await anext(gg.bulk.map(double, 5))  # type: ignore[arg-type]
    wrong: list[Any] = [None, "get", 5]
    for operation in wrong:
        with pytest.raises(ConfigurationError, match=r"such as gg\.orders\.get"):
            gg.bulk.map(operation, [1])
    refused: list[dict[str, Any]] = [{"errors": 0}, {"ratio": 20}, {"ratio": float("nan")}, {}]
    for limits in refused:
        with pytest.raises(ConfigurationError):
            StopAfter(**limits)


async def test_an_operation_that_is_not_async_is_named_in_each_outcome(gg: GoedGepickt) -> None:
    not_async: Any = str
    outcomes = [outcome async for outcome in gg.bulk.map(not_async, [1, 2])]
    assert [str(outcome.error) for outcome in outcomes] == [
        "the operation must be a coroutine function (async def), but it returned str"
    ] * 2


async def test_requests_of_operations_use_the_bulk_lane_unless_the_client_sets_another_lane(sandbox: Sandbox) -> None:
    budget = RecordingBudget()
    async with GoedGepickt(sandbox.api_key, base_url=sandbox.url, budget=budget) as gg:
        uuid = str(sandbox.world.orders[0]["uuid"])
        plain = gg.with_options(lane="normal")
        for client, expected in ((gg, Lane.BULK), (plain, Lane.NORMAL)):
            budget.asked.clear()
            async for outcome in gg.bulk.map(client.orders.get, [uuid] * 3):
                assert outcome.ok
            assert [asked.lane for asked in budget.asked] == [expected] * 3
        budget.asked.clear()
        await gg.orders.get(uuid)
        assert [asked.lane for asked in budget.asked] == [Lane.INTERACTIVE]


async def test_progress_counts_items_and_requests_and_estimates_the_remaining_time(gg: GoedGepickt) -> None:
    uuids = [order.uuid async for order in gg.orders.list().limit(6)]
    outcomes = gg.bulk.map(gg.orders.get, uuids, concurrency=2)
    async with outcomes:
        await anext(outcomes)
        halfway = outcomes.progress
        assert halfway.total == 6
        assert 1 <= halfway.done < 6
        assert halfway.eta is not None
        async for _ in outcomes:
            pass
    assert outcomes.progress.requests == 6
    assert outcomes.progress.eta == 0.0


def test_the_eta_uses_the_rate_of_the_budget_or_without_requests_the_elapsed_time() -> None:
    assert eta(left=100, done=10, requests=20, elapsed=0.1, rate=2.0) == pytest.approx(100)
    assert eta(left=100, done=10, requests=0, elapsed=5.0, rate=2.0) == pytest.approx(50)
    assert eta(left=100, done=0, requests=0, elapsed=5.0, rate=2.0) is None
    assert eta(left=0, done=0, requests=0, elapsed=5.0, rate=2.0) == 0.0


async def test_a_generator_that_has_ended_is_refused_but_an_empty_iterator_is_accepted() -> None:
    async def items() -> AsyncGenerator[int]:
        yield 1

    async def work(item: int) -> int:
        return item

    sources: list[Any] = [(number for number in [1]), items()]
    for source in sources:
        assert [outcome.result async for outcome in stream(work, source)] == [1]
        with pytest.raises(ConfigurationError, match="has ended"):
            await anext(stream(work, source))
    assert await drained(stream(work, iter([]))) == ([], None)


@pytest.mark.parametrize(("rows", "in_loop"), [(200, True), (201, False)])
async def test_many_rows_are_computed_in_a_thread_so_that_the_loop_is_free(rows: int, in_loop: bool) -> None:
    assert (await compute(threading.get_ident, range(rows)) == threading.get_ident()) is in_loop
