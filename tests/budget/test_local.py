"""LocalBudget: the queue before the slots, over tasks, loops, threads and forks."""

import asyncio
import gc
import os
import threading
import time
from typing import Any

import pytest

from goedgepickt_async import BudgetExhaustedError, LocalBudget
from goedgepickt_async.budget.protocol import Answered, Grant, NeverSent, Refused
from goedgepickt_async.budget.slots import Lane
from goedgepickt_async.budget.waiting import Pacer
from goedgepickt_async.testing import VirtualClock
from tests.support.waiting import SAFETY

SECOND = 1_000_000_000


def plain(limit: int = 3, period: float = 60.0, **options: object) -> LocalBudget:
    return LocalBudget(limit, period, **({"use_server_counter": False, "headroom": 0} | options))  # type: ignore[arg-type]


async def take(budget: LocalBudget, lane: Lane = Lane.INTERACTIVE, *, max_wait: float | None = None) -> None:
    budget.settle(await budget.take(lane, max_lifetime=1, max_wait=max_wait), Answered())


async def test_within_a_lane_it_is_first_come_first_served() -> None:
    budget = plain(1)
    held = await budget.take(Lane.NORMAL, max_lifetime=1)
    order: list[int] = []

    async def one(number: int) -> None:
        grant = await budget.take(Lane.NORMAL, max_lifetime=1)
        order.append(number)
        await asyncio.sleep(0)
        budget.settle(grant, NeverSent())

    async with asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(one(number))
        await asyncio.sleep(0)
        budget.settle(held, NeverSent())
    assert order == list(range(20))


async def test_a_more_urgent_lane_goes_first() -> None:
    budget = plain(1)
    held = await budget.take(Lane.NORMAL, max_lifetime=1)
    order: list[Lane] = []

    async def one(lane: Lane) -> None:
        grant = await budget.take(lane, max_lifetime=1)
        order.append(lane)
        budget.settle(grant, NeverSent())

    async with asyncio.TaskGroup() as group:
        for lane in (Lane.BULK, Lane.NORMAL, Lane.INTERACTIVE):
            group.create_task(one(lane))
        await asyncio.sleep(0)
        budget.settle(held, NeverSent())
    assert order == [Lane.INTERACTIVE, Lane.NORMAL, Lane.BULK]


async def test_a_refused_request_keeps_its_place() -> None:
    budget = LocalBudget(5, 0.02, safety_margin=0.02)
    first = await budget.take(Lane.INTERACTIVE, max_lifetime=1)
    order: list[str] = []

    async def one(name: str, place: int | None = None) -> None:
        grant = await budget.take(Lane.INTERACTIVE, max_lifetime=1, place=place)
        order.append(name)
        budget.settle(grant, Answered(1))

    budget.settle(first, Refused(0))
    async with asyncio.TaskGroup() as group:
        group.create_task(one("newcomer"))
        await asyncio.sleep(0)
        group.create_task(one("refused", first.place))
    assert order == ["refused", "newcomer"]


async def test_cancelled_calls_leave_nothing_in_the_queue() -> None:
    budget = plain(1)
    held = await budget.take(Lane.INTERACTIVE, max_lifetime=1)
    waiters = [asyncio.create_task(take(budget)) for _ in range(10)]
    await asyncio.sleep(0)
    for waiter in waiters[::2]:
        waiter.cancel()
    await asyncio.sleep(0)
    assert budget.snapshot().waiting[Lane.INTERACTIVE] == 5
    for waiter in waiters:
        waiter.cancel()
    await asyncio.wait(waiters)
    assert budget.snapshot().waiting[Lane.INTERACTIVE] == 0
    budget.settle(held, NeverSent())
    await take(budget)


async def test_a_call_that_is_cancelled_in_the_tick_of_its_grant_gives_the_slot_back() -> None:
    budget = plain(1)
    held = await budget.take(Lane.INTERACTIVE, max_lifetime=1)
    granted, following = asyncio.create_task(take(budget)), asyncio.create_task(take(budget))
    await asyncio.sleep(0)
    budget.settle(held, NeverSent())
    granted.cancel()
    await asyncio.wait([granted, following], timeout=30)
    assert granted.cancelled()
    assert following.done()
    assert budget.snapshot().used == 1


async def test_a_wait_that_is_too_long_is_refused_before_queueing() -> None:
    clock = VirtualClock()
    budget = plain(1, clock=clock.monotonic_ns)
    await take(budget)
    with pytest.raises(BudgetExhaustedError) as caught:
        await take(budget, max_wait=60.9)
    assert caught.value.wait == pytest.approx(61)
    assert budget.snapshot().waiting[Lane.INTERACTIVE] == 0
    assert budget.predicted_wait(Lane.INTERACTIVE) == pytest.approx(61)


async def test_a_wait_that_becomes_too_long_ends_with_an_error() -> None:
    budget = plain(1, period=0.02, safety_margin=0.0)
    await budget.take(Lane.INTERACTIVE, max_lifetime=30)
    with pytest.raises(BudgetExhaustedError):
        await asyncio.wait_for(take(budget, max_wait=0.05), 30)


async def test_time_alone_wakes_a_waiting_call() -> None:
    budget = plain(2, period=0.03, safety_margin=0.0)
    async with asyncio.timeout(30):
        for _ in range(6):
            await take(budget)


async def test_a_429_pauses_all_calls_and_another_response_does_not_end_the_pause() -> None:
    budget = LocalBudget(10, 0.1, safety_margin=0.05)
    probe = await budget.take(Lane.INTERACTIVE, max_lifetime=1)
    budget.settle(probe, Answered(1))
    one, other = await budget.take(Lane.NORMAL, max_lifetime=1), await budget.take(Lane.NORMAL, max_lifetime=1)
    budget.settle(one, Refused(None))
    assert budget.snapshot().paused_for > 0.1
    budget.settle(other, Answered(2))
    assert budget.snapshot().free == 0
    with pytest.raises(BudgetExhaustedError):
        await take(budget, max_wait=0.01)
    await asyncio.wait_for(take(budget), 30)
    assert budget.snapshot().throttled == 1


async def test_an_extremely_long_retry_after_is_shortened() -> None:
    budget = LocalBudget(10, 60)
    budget.pause(1e9)
    assert budget.snapshot().paused_for <= 5 * 60 + 1


def test_a_budget_serves_one_event_loop_after_another() -> None:
    budget = plain(2, period=0.02, safety_margin=0.0)
    for _ in range(3):
        asyncio.run(asyncio.wait_for(_take_many(budget, 3), 30))


async def _take_many(budget: LocalBudget, number: int) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(number):
            group.create_task(take(budget))


def test_a_budget_serves_event_loops_in_several_threads_at_the_same_time() -> None:
    budget = plain(10, period=0.02, safety_margin=0.0)
    threads = [threading.Thread(target=asyncio.run, args=(_take_many(budget, 30),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    assert sum(budget.snapshot().waiting.values()) == 0


def test_an_event_loop_that_closes_with_waiting_calls_does_not_block_other_loops() -> None:
    budget = plain(1)
    loop = asyncio.new_event_loop()
    held = loop.run_until_complete(budget.take(Lane.INTERACTIVE, max_lifetime=1))
    waiting = budget.take(Lane.INTERACTIVE, max_lifetime=1)
    forgotten = loop.create_task(waiting)
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    assert budget.snapshot().waiting[Lane.INTERACTIVE] == 1
    budget.settle(held, NeverSent())
    asyncio.run(asyncio.wait_for(take(budget), 30))
    forgotten._log_destroy_pending = False  # type: ignore[attr-defined]  # it can never end: its loop is closed
    waiting.close()


def test_waiting_calls_that_the_garbage_collector_finds_do_not_block_the_budget() -> None:
    budget = plain(1, period=0.01, safety_margin=0.0)

    def leave_a_cycle() -> None:
        loop = asyncio.new_event_loop()
        task = loop.create_task(budget.take(Lane.INTERACTIVE, max_lifetime=1))
        loop.run_until_complete(asyncio.sleep(0))
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        loop.close()

    thresholds = gc.get_threshold()
    worker = threading.Thread(target=lambda: asyncio.run(_take_many(budget, 50)))
    held = asyncio.run(_held(budget))
    for _ in range(20):
        leave_a_cycle()
    gc.set_threshold(1)
    try:
        budget.settle(held, NeverSent())
        worker.start()
        worker.join(30)
    finally:
        gc.set_threshold(*thresholds)
    assert not worker.is_alive()


async def _held(budget: LocalBudget) -> Grant:
    return await budget.take(Lane.INTERACTIVE, max_lifetime=1)


async def test_the_pace_of_the_bulk_lane_is_a_burst_and_then_an_even_flow() -> None:
    budget = LocalBudget(150, 3.0, safety_margin=0.0, use_server_counter=False)
    began = time.monotonic()
    for _ in range(20):
        budget.settle(await budget.take(Lane.BULK, max_lifetime=1), Answered())
    assert time.monotonic() - began >= 10 * 3.0 / (0.92 * 150) * 0.9


async def test_an_unused_token_of_the_pace_goes_to_the_next_call() -> None:
    pacer = Pacer(15, 60)

    async def never() -> None:
        await asyncio.sleep(60)

    async def immediately() -> int:
        return 1

    waiting = asyncio.create_task(pacer.run_paced(never))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    async with asyncio.timeout(30):
        assert await pacer.run_paced(immediately) == 1
    assert pacer.waiting() == 0


async def test_a_call_that_waits_too_long_moves_up_a_lane() -> None:
    clock = VirtualClock()
    budget = plain(1, clock=clock.monotonic_ns)
    held = await budget.take(Lane.NORMAL, max_lifetime=30)
    order: list[str] = []

    async def one(name: str, lane: Lane) -> None:
        grant = await budget.take(lane, max_lifetime=1)
        order.append(name)
        budget.settle(grant, NeverSent())

    async with asyncio.TaskGroup() as group:
        group.create_task(one("old", Lane.NORMAL))
        await asyncio.sleep(0)
        clock.advance(301)
        for _ in range(3):
            group.create_task(one("new", Lane.INTERACTIVE))
        await asyncio.sleep(0)
        budget.settle(held, NeverSent())
    assert order == ["old", "new", "new", "new"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_a_forked_child_does_not_wait_for_a_probe_of_its_parent() -> None:
    budget = LocalBudget(5, 0.05, safety_margin=0.0, late_arrival=0.0)
    asyncio.run(_leave_a_probe_in_flight(budget))
    child = os.fork()
    if child == 0:
        try:
            asyncio.run(asyncio.wait_for(take(budget), 30))
            os._exit(0)
        except BaseException:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


async def _leave_a_probe_in_flight(budget: LocalBudget) -> None:
    await budget.take(Lane.INTERACTIVE, max_lifetime=60)


async def test_the_snapshot_shows_the_state_of_the_slots() -> None:
    clock = VirtualClock()
    budget = plain(3, clock=clock.monotonic_ns)
    await budget.take(Lane.INTERACTIVE, max_lifetime=1)
    await take(budget)
    snapshot = budget.snapshot()
    assert (snapshot.limit, snapshot.used, snapshot.free, snapshot.in_flight) == (3, 2, 1, 1)
    await take(budget)
    clock.advance(1)
    assert budget.snapshot().next_free_in == pytest.approx(60)


async def test_a_slot_that_is_free_is_taken_without_waking_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    budget = LocalBudget(use_server_counter=False)
    woken = []
    monkeypatch.setattr(asyncio.get_running_loop(), "call_soon_threadsafe", lambda *call: woken.append(call))
    first = await budget.take(Lane.INTERACTIVE, max_lifetime=1.0)
    second = await budget.take(Lane.INTERACTIVE, max_lifetime=1.0)
    assert second.place > first.place
    assert second.slot != first.slot
    assert budget.snapshot().in_flight == 2
    assert not woken


def test_a_settlement_by_the_garbage_collector_does_not_wait_for_its_own_thread() -> None:
    """The collector may finalize an abandoned call just after the lock is taken, or just before it is released."""

    class Interrupted:
        """A lock around which the collector runs."""

        def __init__(self, inner: Any) -> None:
            self.inner = inner

        def acquire(self) -> None:
            self.inner.acquire()
            collect()

        def release(self) -> None:
            collect()
            self.inner.release()

    async def take(count: int) -> list[Grant]:
        return [await budget.take(Lane.INTERACTIVE, max_lifetime=60) for _ in range(count)]

    def collect() -> None:
        if abandoned:
            budget.settle(abandoned.pop(), NeverSent())

    budget, abandoned = plain(10), list[Grant]()
    grants = asyncio.run(take(5))
    abandoned += grants[:4]
    budget._alone.lock = Interrupted(budget._alone.lock)  # type: ignore[assignment]
    thread = threading.Thread(target=budget.settle, args=(grants[4], NeverSent()), daemon=True)
    thread.start()
    thread.join(SAFETY)
    assert not thread.is_alive()
    assert abandoned == []
    assert budget.snapshot().used == 0


def test_deferred_work_of_a_failed_transaction_is_done_when_the_transaction_ends() -> None:
    budget, done = LocalBudget(), [0]
    budget._alone.deferred.append(lambda: done.append(1))
    with pytest.raises(ZeroDivisionError), budget._alone:
        _ = 1 // done[0]
    assert done == [0, 1]
