"""RedisBudget: the queue before a Redis that is there, over tasks, loops, threads and forks."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from goedgepickt_async.budget.protocol import (
    Answered,
    Budget,
    BudgetEvent,
    ForeignTrafficDetected,
    Lost,
    NeverSent,
    PauseStarted,
    Refused,
    WaitStarted,
)
from goedgepickt_async.budget.redis import RedisBudget
from goedgepickt_async.budget.slots import Lane
from goedgepickt_async.errors import BudgetExhaustedError
from tests.support.redis_server import RedisServer, needs_redis, redis_server
from tests.support.waiting import until

pytestmark = needs_redis

Make = Callable[..., RedisBudget]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


def plain(server: RedisServer, limit: int = 3, period: float = 60.0, **options: Any) -> RedisBudget:
    """A budget whose name is its own, unless one is given."""
    defaults: dict[str, Any] = {"use_server_counter": False, "headroom": 0, "name": uuid.uuid4().hex, "url": server.url}
    return RedisBudget(limit, period, **(defaults | options))


@pytest.fixture
async def make(server: RedisServer) -> AsyncIterator[Make]:
    """Budgets, closed at the end; they leave nothing waiting."""
    made: list[RedisBudget] = []

    def new(*args: Any, **options: Any) -> RedisBudget:
        made.append(plain(server, *args, **options))
        return made[-1]

    yield new
    for budget in made:
        assert sum(budget.snapshot().waiting.values()) == 0
        await budget.close()


async def take(budget: Budget, lane: Lane = Lane.INTERACTIVE, *, max_wait: float | None = None) -> None:
    budget.settle(await budget.take(lane, max_lifetime=1, max_wait=max_wait), Answered())


async def refresh(budget: Budget) -> None:
    """Have the picture be of now."""
    budget.settle(await budget.take(Lane.INTERACTIVE, max_lifetime=1), NeverSent())
    await settled(budget)


async def settled(budget: Any) -> None:
    """Until the post has been carried to Redis."""
    desks = budget._desks
    await until(lambda: not budget._standing.has_post() and not any(desk._worker for desk in desks.values()))


def test_it_is_a_budget(server: RedisServer) -> None:
    assert isinstance(plain(server), Budget)


async def test_within_a_lane_it_is_first_come_first_served(make: Make) -> None:
    budget = make(1)
    held = await budget.take(Lane.NORMAL, max_lifetime=1)
    order: list[int] = []

    async def one(number: int) -> None:
        grant = await budget.take(Lane.NORMAL, max_lifetime=1)
        order.append(number)
        await asyncio.sleep(0)
        budget.settle(grant, NeverSent())

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(one(number))
        await asyncio.sleep(0)
        budget.settle(held, NeverSent())
    assert order == list(range(20))


async def test_a_more_urgent_lane_goes_first(make: Make) -> None:
    budget = make(1)
    held = await budget.take(Lane.NORMAL, max_lifetime=1)
    order: list[Lane] = []

    async def one(lane: Lane) -> None:
        grant = await budget.take(lane, max_lifetime=1)
        order.append(lane)
        budget.settle(grant, NeverSent())

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        for lane in (Lane.BULK, Lane.NORMAL, Lane.INTERACTIVE):
            group.create_task(one(lane))
        await asyncio.sleep(0.01)
        budget.settle(held, NeverSent())
    assert order == [Lane.INTERACTIVE, Lane.NORMAL, Lane.BULK]


async def test_a_waiter_who_waits_for_long_moves_up_a_lane(make: Make) -> None:
    budget = make(1)
    held = await budget.take(Lane.NORMAL, max_lifetime=1)
    order: list[str] = []

    async def one(name: str, lane: Lane) -> None:
        grant = await budget.take(lane, max_lifetime=1)
        order.append(name)
        budget.settle(grant, NeverSent())

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(one("old", Lane.NORMAL))
        await asyncio.sleep(0.01)
        group.create_task(one("new", Lane.INTERACTIVE))
        await asyncio.sleep(0.01)
        (desk,) = budget._desks.values()
        desk._queue[-1].ages_at = 0
        budget.settle(held, NeverSent())
    assert order == ["old", "new"]


async def test_a_refused_request_keeps_its_place(make: Make) -> None:
    budget = make(5, 0.02, safety_margin=0.02, use_server_counter=True)
    first = await budget.take(Lane.INTERACTIVE, max_lifetime=1)
    order: list[str] = []

    async def one(name: str, place: int | None = None) -> None:
        grant = await budget.take(Lane.INTERACTIVE, max_lifetime=1, place=place)
        order.append(name)
        budget.settle(grant, Answered(1))

    budget.settle(first, Refused(0))
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(one("newcomer"))
        await asyncio.sleep(0)
        group.create_task(one("refused", first.place))
    assert order == ["refused", "newcomer"]


async def test_lanes_other_than_the_interactive_leave_a_headroom(make: Make) -> None:
    budget = make(30, headroom=3)
    async with asyncio.timeout(30):
        for _ in range(27):
            await budget.take(Lane.NORMAL, max_lifetime=1)
        with pytest.raises(BudgetExhaustedError):
            await budget.take(Lane.NORMAL, max_lifetime=1, max_wait=0.02)
        for _ in range(3):
            await budget.take(Lane.INTERACTIVE, max_lifetime=1)


async def test_a_burst_goes_at_once_and_no_more_than_the_limit(make: Make) -> None:
    budget = make(50)
    callers = [asyncio.create_task(budget.take(Lane.NORMAL, max_lifetime=1)) for _ in range(60)]
    await until(lambda: sum(caller.done() for caller in callers) >= 50)
    await asyncio.sleep(0.2)
    assert sum(caller.done() for caller in callers) == 50
    await cancel(callers)


async def cancel(callers: list[asyncio.Task[Any]]) -> None:
    for caller in callers:
        caller.cancel()
    await asyncio.wait(callers)


async def test_a_storm_of_cancellations_leaves_every_slot_free(make: Make) -> None:
    budget = make(20, 0.05, safety_margin=0.0, late_arrival=0.0)
    for delay in (0, 0, 0.0005, 0.001, 0.002, 0.005):
        callers = [asyncio.create_task(budget.take(Lane(n % 3), max_lifetime=3600)) for n in range(60)]
        await asyncio.sleep(delay)
        await cancel(callers)
        for caller in callers:
            if not caller.cancelled():
                budget.settle(caller.result(), NeverSent())
    await settled(budget)
    for grant in [await budget.take(Lane.INTERACTIVE, max_lifetime=3600) for _ in range(20)]:
        budget.settle(grant, NeverSent())
    await settled(budget)
    snapshot = budget.snapshot()
    assert (snapshot.free, snapshot.used, snapshot.in_flight) == (20, 0, 0)


async def test_what_was_granted_to_a_caller_who_is_cancelled_meanwhile_is_given_back(make: Make) -> None:
    budget = make(1)
    for turns in range(12):  # at each turn of the event loop between asking and having
        caller = asyncio.create_task(budget.take(Lane.INTERACTIVE, max_lifetime=30))
        for _ in range(turns):
            await asyncio.sleep(0)
        caller.cancel()
        await asyncio.wait([caller])
        if not caller.cancelled():
            budget.settle(caller.result(), NeverSent())
        async with asyncio.timeout(30):
            await refresh(budget)


async def test_a_waiter_cancelled_in_the_tick_of_its_grant_gives_it_back(make: Make) -> None:
    budget = make(1)
    await refresh(budget)
    granted = asyncio.create_task(budget.take(Lane.INTERACTIVE, max_lifetime=30))
    while not budget._standing._held:  # noqa: ASYNC110  it is this very turn of the loop that matters
        await asyncio.sleep(0)
    granted.cancel()
    await asyncio.wait([granted])
    assert granted.cancelled()
    async with asyncio.timeout(30):
        await take(budget)


async def test_a_wait_that_is_too_long_is_refused_at_once(make: Make) -> None:
    budget = make(1)
    await take(budget)
    with pytest.raises(BudgetExhaustedError) as caught:
        await asyncio.wait_for(take(budget, max_wait=55), 30)
    assert 30 < caught.value.wait <= 61
    assert 30 < budget.predicted_wait(Lane.INTERACTIVE) <= 61
    assert 91 < budget.predicted_wait(Lane.INTERACTIVE, ahead=1) <= 122


async def test_whoever_comes_behind_others_is_judged_without_asking_again(make: Make) -> None:
    budget = make(1)
    await take(budget)
    await settled(budget)
    before = budget._standing.picture.seen_at
    first = asyncio.create_task(take(budget))
    await until(lambda: budget._standing.picture.seen_at != before)
    trips = budget._standing.picture.seen_at
    with pytest.raises(BudgetExhaustedError) as caught:
        await asyncio.wait_for(take(budget, max_wait=70), 30)
    assert 91 < caught.value.wait <= 122
    assert budget._standing.picture.seen_at == trips
    await cancel([first])


async def test_who_will_not_wait_at_all_has_what_is_free(make: Make) -> None:
    budget = make(1)
    await take(budget, max_wait=0)
    with pytest.raises(BudgetExhaustedError):
        await take(budget, max_wait=0)


async def test_a_wait_that_turns_out_too_long_ends_in_time(make: Make) -> None:
    budget = make(1, period=0.02, safety_margin=0.0)
    await budget.take(Lane.INTERACTIVE, max_lifetime=30)
    with pytest.raises(BudgetExhaustedError):
        await asyncio.wait_for(take(budget, max_wait=0.05), 30)


async def test_time_alone_wakes_whoever_waits(make: Make) -> None:
    budget = make(2, period=0.03, safety_margin=0.0)
    async with asyncio.timeout(30):
        for _ in range(6):
            await take(budget)


async def test_a_429_pauses_everybody_and_nobodys_finishing_ends_the_pause(make: Make) -> None:
    budget = make(10, 0.3, safety_margin=0.1, use_server_counter=True)
    probe = await budget.take(Lane.INTERACTIVE, max_lifetime=1)
    budget.settle(probe, Answered(1))
    one, other = await budget.take(Lane.NORMAL, max_lifetime=1), await budget.take(Lane.NORMAL, max_lifetime=1)
    budget.settle(one, Refused(None))
    await settled(budget)
    assert budget.snapshot().paused_for > 0.05
    budget.settle(other, Answered(2))
    await settled(budget)
    assert budget.snapshot().free == 0
    with pytest.raises(BudgetExhaustedError):
        await take(budget, max_wait=0.001)
    await asyncio.wait_for(take(budget), 30)
    assert budget.snapshot().throttled == 1


async def test_a_pause_reaches_the_other_processes(make: Make) -> None:
    one, other = make(10, name="shared-pause"), make(10, name="shared-pause")
    await refresh(one)
    await refresh(other)
    one.pause(1e9)
    await settled(one)
    assert 290 < one.snapshot().paused_for <= 5 * 60 + 1
    with pytest.raises(BudgetExhaustedError) as caught:
        await other.take(Lane.INTERACTIVE, max_lifetime=1, max_wait=1)
    assert 290 < caught.value.wait <= 5 * 60 + 1
    assert other.snapshot().throttled == 1


async def test_two_budgets_of_one_name_share_the_slots_and_two_names_do_not(make: Make) -> None:
    one, other, stranger = make(2, name="shared-slots"), make(2, name="shared-slots"), make(2)
    await take(one)
    await take(other)
    for budget in (one, other):
        with pytest.raises(BudgetExhaustedError):
            await take(budget, max_wait=1)
    await take(stranger, max_wait=1)


async def test_an_answer_to_another_process_lets_the_next_one_go_without_delay(make: Make) -> None:
    one = make(10, 3600, name="shared-probe", use_server_counter=True)
    other = make(10, 3600, name="shared-probe", use_server_counter=True)
    probe = await one.take(Lane.INTERACTIVE, max_lifetime=3600)
    following = asyncio.create_task(take(other))
    await asyncio.sleep(0.1)
    assert not following.done()
    one.settle(probe, Answered(1))
    await asyncio.wait_for(following, 30)  # after 180 s it would have gone without


async def test_a_request_whose_end_nobody_knows_cools_for_longer(make: Make) -> None:
    budget = make(1)
    budget.settle(await budget.take(Lane.INTERACTIVE, max_lifetime=1), Lost())
    with pytest.raises(BudgetExhaustedError) as caught:
        await take(budget, max_wait=1)
    assert caught.value.wait == pytest.approx(61, abs=30)
    assert budget._standing.picture.cooling[0] - budget._standing.now() > 61e9


async def test_settling_twice_changes_nothing(make: Make) -> None:
    budget = make(2)
    grant = await budget.take(Lane.INTERACTIVE, max_lifetime=1)
    budget.settle(grant, Answered())
    budget.settle(grant, NeverSent())
    await settled(budget)
    assert budget.snapshot().used == 1


async def test_bulk_requests_are_paced(make: Make) -> None:
    budget = make(15, 1.5, headroom=0)
    loop = asyncio.get_running_loop()
    started = loop.time()
    for _ in range(4):  # one at once, then one each period / (0.92 limit)
        await take(budget, Lane.BULK)
    assert loop.time() - started >= 3 * 1.5 / (0.92 * 15) - 0.02


async def test_the_worker_ends_when_there_is_nothing_to_do(make: Make) -> None:
    budget = make(2)
    await take(budget)
    await settled(budget)
    assert [desk._worker for desk in budget._desks.values()] == [None]


async def test_a_worker_that_somebody_cancels_is_replaced(make: Make) -> None:
    budget = make(1)
    held = await budget.take(Lane.INTERACTIVE, max_lifetime=1)
    waiter = asyncio.create_task(take(budget))
    await asyncio.sleep(0.05)
    (desk,) = budget._desks.values()
    assert desk._worker is not None
    desk._worker.cancel()
    await asyncio.sleep(0.01)
    budget.settle(held, NeverSent())
    await asyncio.wait_for(waiter, 30)


async def test_what_the_garbage_collector_settles_in_the_middle_of_a_change_is_settled_after_it(make: Make) -> None:
    budget = make(1)
    grant = await budget.take(Lane.INTERACTIVE, max_lifetime=30)
    with budget._standing.lock.locked():
        budget.settle(grant, NeverSent())
        assert budget._standing._held
    await asyncio.wait_for(take(budget), 30)


class Ear:
    def __init__(self) -> None:
        self.heard: list[BudgetEvent] = []

    def hear(self, event: BudgetEvent) -> None:
        self.heard.append(event)


async def test_who_listens_hears_of_waits_strangers_and_pauses(make: Make) -> None:
    ear, budget = Ear(), make(10, 3600, use_server_counter=True)
    budget.listen(ear.hear)
    first = await budget.take(Lane.INTERACTIVE, max_lifetime=1)
    waiting = asyncio.create_task(take(budget, Lane.NORMAL))
    await until(lambda: ear.heard)
    budget.settle(first, Answered(5))
    await asyncio.wait_for(waiting, 30)
    budget.settle(await budget.take(Lane.INTERACTIVE, max_lifetime=1), Refused(0))
    assert [type(event) for event in ear.heard] == [WaitStarted, ForeignTrafficDetected, PauseStarted]
    assert isinstance(ear.heard[1], ForeignTrafficDetected)
    assert ear.heard[1].counted == 5
    assert ear.heard[2] == PauseStarted(seconds=1.0, throttled=1)
