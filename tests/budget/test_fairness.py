"""Inside a lane the keys (tenants) take turns: in one process, and across processes."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from goedgepickt_async import HostBudget, LocalBudget
from goedgepickt_async.budget.protocol import Answered, Budget
from goedgepickt_async.budget.slots import Lane
from goedgepickt_async.testing import VirtualClock
from tests.support.tables import each_row

WINDOW = 60.0


def run(clock: VirtualClock, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with clock:
        clock.run(main())


async def call(budget: Budget, key: str, ended: list[str], lane: Lane = Lane.INTERACTIVE) -> None:
    grant = await budget.take(lane, max_lifetime=30, key=key)
    ended.append(key)
    await asyncio.sleep(0.2)
    budget.settle(grant, Answered())


def local(clock: VirtualClock, **options: Any) -> LocalBudget:
    return LocalBudget(20, WINDOW, clock=clock.monotonic_ns, use_server_counter=False, **options)


@each_row("lane", [Lane.INTERACTIVE, Lane.NORMAL, Lane.BULK])
def test_a_single_call_of_a_tenant_waits_less_than_a_window_behind_three_hundred_of_another(lane: Lane) -> None:
    clock = VirtualClock()

    async def main() -> None:
        budget, ended = local(clock), list[str]()
        crowd = [asyncio.create_task(call(budget, "big", ended, lane)) for _ in range(300)]
        await asyncio.sleep(1)
        began = clock.monotonic()
        await call(budget, "small", ended, lane)
        assert clock.monotonic() - began < WINDOW + 2
        for task in crowd:
            task.cancel()
        await asyncio.wait(crowd)

    run(clock, main)


def test_a_tenant_alone_uses_every_slot() -> None:
    clock = VirtualClock()

    async def main() -> None:
        budget, ended = local(clock), list[str]()
        began = clock.monotonic()
        await asyncio.gather(*(call(budget, "only", ended) for _ in range(20)))
        assert clock.monotonic() - began < 1

    run(clock, main)


def test_three_tenants_get_equal_parts_regardless_of_their_number_of_calls() -> None:
    clock = VirtualClock()

    async def main() -> None:
        budget, ended = local(clock), list[str]()
        await asyncio.gather(*(call(budget, "first", list[str]()) for _ in range(20)))
        wants = {"a": 100, "b": 30, "c": 12}
        calls = [asyncio.create_task(call(budget, key, ended)) for key, n in wants.items() for _ in range(n)]
        await asyncio.sleep(2.5 * WINDOW)
        assert len(ended) == 40
        assert {key: ended.count(key) for key in wants} == pytest.approx({"a": 14, "b": 14, "c": 12}, abs=1)
        for task in calls:
            task.cancel()
        await asyncio.wait(calls)

    run(clock, main)


def test_cancelled_calls_do_not_delay_their_tenant() -> None:
    clock = VirtualClock()

    async def main() -> None:
        budget, ended = local(clock), list[str]()
        await asyncio.gather(*(call(budget, "first", list[str]()) for _ in range(20)))
        many = [asyncio.create_task(call(budget, "a", ended)) for _ in range(50)]
        await asyncio.sleep(1)
        for task in many:
            task.cancel()
        await asyncio.wait(many)
        others = [asyncio.create_task(call(budget, "b", ended)) for _ in range(30)]
        await asyncio.sleep(0)
        again = asyncio.create_task(call(budget, "a", ended))
        await again
        assert ended.index("a") <= 2
        for task in others:
            task.cancel()
        await asyncio.wait(others)

    run(clock, main)


@pytest.mark.parametrize("attempt", range(6))  # chance decides which of the two checks the file first
def test_processes_that_share_a_file_take_turns_and_lanes_hold_across_them(tmp_path: Path, attempt: int) -> None:
    clock = VirtualClock()

    async def main() -> None:
        one, two = (
            HostBudget(20, WINDOW, directory=tmp_path, clock=clock.monotonic_ns, use_server_counter=False)
            for _ in range(2)
        )
        ended = list[str]()
        await asyncio.gather(*(call(one, "first", list[str]()) for _ in range(20)))
        crowd = [asyncio.create_task(call(one, "big", ended, Lane.NORMAL)) for _ in range(200)]
        await asyncio.sleep(5)
        small = [asyncio.create_task(call(two, "small", ended, Lane.NORMAL)) for _ in range(3)]
        person = asyncio.create_task(call(two, "person", ended))
        await asyncio.sleep(WINDOW)
        assert person.done()
        assert all(task.done() for task in small)
        assert ended.index("person") < 20, "the window's first slots are free for both: one of them is the person's"
        for task in crowd:
            task.cancel()
        await asyncio.wait(crowd)

    run(clock, main)
