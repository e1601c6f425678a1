"""What both inboxes do, step by step on a test clock."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from goedgepickt_async.errors import InboxError
from goedgepickt_async.webhooks import Claim, InboxEntry, MemoryInbox, SqliteInbox
from tests.webhooks.support import Clock, until

AnyInbox = MemoryInbox | SqliteInbox
ROUTES = ("r", "other")


def entry(topic: str = "t", key: str = "k", *, route: str = "r", delay: float = 0.0) -> InboxEntry:
    return InboxEntry(handler=route, ordering_key=topic, dedup_key=key, body=f"{topic}{key}".encode(), delay=delay)


async def claim(inbox: AnyInbox, limit: int = 10, *, lease: float = 60.0) -> list[Claim]:
    return await inbox.claim(ROUTES, limit=limit, lease=lease, wait=0.0)


def keys(claims: list[Claim]) -> list[str]:
    return [claim.entry.dedup_key for claim in claims]


@pytest.fixture
def clock() -> Clock:
    return Clock()


def in_a_file(folder: Path, clock: Clock) -> SqliteInbox:
    return SqliteInbox(folder / "i", clock=clock, survives_power_cut=False)


@pytest.fixture(params=["memory", "sqlite"])
async def inbox(request: Any, tmp_path: Path, clock: Clock) -> AsyncIterator[AnyInbox]:
    made: AnyInbox = MemoryInbox(clock=clock) if request.param == "memory" else in_a_file(tmp_path, clock)
    yield made
    await made.close()


async def test_what_is_put_is_handed_out_once_and_then_gone(inbox: AnyInbox) -> None:
    assert await inbox.put([entry("a"), entry("b")]) == 2
    claims = await claim(inbox)
    assert [one.entry for one in claims] == [entry("a"), entry("b")]
    assert [one.attempt for one in claims] == [1, 1]
    assert await claim(inbox) == []
    for one in claims:
        await inbox.finish(one)
    assert await inbox.waiting(ROUTES) == 0


async def test_an_equal_one_that_waits_takes_the_place_of_the_new_one(inbox: AnyInbox) -> None:
    assert [await inbox.put([entry()]) for _ in range(10)] == [1] + [0] * 9
    assert await inbox.waiting(ROUTES) == 1


async def test_an_equal_one_that_is_being_handled_does_not(inbox: AnyInbox) -> None:
    await inbox.put([entry()])
    (one,) = await claim(inbox)
    assert [await inbox.put([entry()]) for _ in range(3)] == [1, 0, 0]
    assert await claim(inbox) == []
    await inbox.finish(one)
    assert len(await claim(inbox)) == 1


async def test_an_equal_one_with_another_in_between_does_not(inbox: AnyInbox) -> None:
    for key in "ABAB":
        assert await inbox.put([entry(key=key)]) == 1
    assert await inbox.waiting(ROUTES) == 4


async def test_after_a_success_equal_ones_gather_and_are_handed_out_once_more(inbox: AnyInbox, clock: Clock) -> None:
    await inbox.put([entry()])
    await inbox.finish((await claim(inbox))[0], dedup_window=2.0)
    clock.now += 0.5
    assert [await inbox.put([entry()]) for _ in range(9)] == [1] + [0] * 8
    assert await claim(inbox) == []
    clock.now += 1.5
    (again,) = await claim(inbox)
    await inbox.finish(again, dedup_window=2.0)
    clock.now += 2.0
    await inbox.put([entry()])
    assert len(await claim(inbox)) == 1, "long after it is an event like any other"


async def test_what_came_while_its_equal_was_handled_gathers_too(inbox: AnyInbox, clock: Clock) -> None:
    await inbox.put([entry()])
    (one,) = await claim(inbox)
    await inbox.put([entry()])
    await inbox.finish(one, dedup_window=2.0)
    assert await claim(inbox) == []
    clock.now += 2.0
    assert len(await claim(inbox)) == 1


async def test_another_event_of_the_topic_waits_for_nothing(inbox: AnyInbox) -> None:
    await inbox.put([entry(key="A")])
    await inbox.finish((await claim(inbox))[0], dedup_window=2.0)
    await inbox.put([entry(key="B")])
    (one,) = await claim(inbox)
    await inbox.finish(one, dedup_window=2.0)
    await inbox.put([entry(key="A")])
    assert keys(await claim(inbox)) == ["A"]


async def test_a_topic_is_handed_out_one_at_a_time_and_in_order(inbox: AnyInbox) -> None:
    await inbox.put([entry(key=key) for key in "ABC"] + [entry("u", "X")])
    seen = []
    while claims := await claim(inbox):
        seen.append(keys(claims))
        for one in claims:
            await inbox.finish(one)
    assert seen == [["A", "X"], ["B"], ["C"]]


async def test_one_topic_of_two_routes_is_two_lines(inbox: AnyInbox) -> None:
    await inbox.put([entry(), entry(route="other")])
    assert len(await claim(inbox)) == 2


async def test_only_the_routes_asked_for_are_handed_out(inbox: AnyInbox) -> None:
    await inbox.put([entry(), entry(route="unknown")])
    assert [one.entry.handler for one in await claim(inbox)] == ["r"]
    assert await inbox.waiting(["unknown"]) == 1


async def test_what_is_delayed_is_handed_out_later(inbox: AnyInbox, clock: Clock) -> None:
    await inbox.put([entry(delay=5.0)])
    clock.now += 3.0
    assert await inbox.put([entry(delay=5.0)]) == 0, "from the first of them"
    assert await claim(inbox) == []
    clock.now += 2.0
    assert len(await claim(inbox)) == 1


async def test_what_was_put_back_is_handed_out_later_with_its_attempts_counted(inbox: AnyInbox, clock: Clock) -> None:
    await inbox.put([entry(key="A"), entry(key="B")])
    (one,) = await claim(inbox)
    await inbox.postpone(one, delay=5.0)
    assert await claim(inbox) == [], "nobody overtakes it in its line"
    clock.now += 5.0
    (one,) = await claim(inbox)
    assert (one.entry.dedup_key, one.attempt) == ("A", 2)
    await inbox.postpone(one, delay=0.0, counts=False)
    assert (await claim(inbox))[0].attempt == 2


async def test_an_equal_one_renews_the_attempts_of_one_that_failed(inbox: AnyInbox, clock: Clock) -> None:
    await inbox.put([entry()])
    for _ in range(3):
        await inbox.postpone((await claim(inbox))[0], delay=0.0)
    assert await inbox.put([entry()]) == 0
    assert (await claim(inbox))[0].attempt == 1


async def test_what_was_given_up_does_not_block_its_line(inbox: AnyInbox) -> None:
    await inbox.put([entry(key="A"), entry(key="B")])
    await inbox.give_up((await claim(inbox))[0], reason="ValueError")
    assert keys(await claim(inbox)) == ["B"]
    assert await inbox.waiting(ROUTES) == 1


async def test_a_lease_that_ends_makes_it_anybodys_and_the_late_one_changes_nothing(
    inbox: AnyInbox, clock: Clock
) -> None:
    await inbox.put([entry()])
    (dead,) = await claim(inbox, lease=60.0)
    clock.now += 59.0
    assert await claim(inbox) == []
    clock.now += 1.0
    (alive,) = await claim(inbox)
    assert alive.attempt == 2
    await inbox.finish(dead)
    await inbox.postpone(dead, delay=0.0)
    await inbox.give_up(dead, reason="late")
    await inbox.renew([dead], lease=0.0)
    assert await claim(inbox) == []
    assert await inbox.waiting(ROUTES) == 1
    await inbox.finish(alive)
    assert await inbox.waiting(ROUTES) == 0


async def test_a_lease_that_is_renewed_continues(inbox: AnyInbox, clock: Clock) -> None:
    await inbox.put([entry()])
    (one,) = await claim(inbox, lease=60.0)
    clock.now += 50.0
    await inbox.renew([one], lease=60.0)
    clock.now += 50.0
    assert await claim(inbox) == []


async def test_at_most_so_many_are_handed_out_the_longest_due_first(inbox: AnyInbox, clock: Clock) -> None:
    await inbox.put([entry("late", delay=3.0), entry("early", delay=1.0), entry("middle", delay=2.0, route="other")])
    clock.now += 3.0
    assert [one.entry.ordering_key for one in await claim(inbox, 2)] == ["early", "middle"]


async def test_who_waits_is_woken_by_what_is_put(inbox: AnyInbox) -> None:
    waiting = asyncio.create_task(inbox.claim(ROUTES, limit=1, lease=60.0, wait=3600.0))
    await until(lambda: inbox._notifier._waiters)
    await inbox.put([entry()])
    assert len(await asyncio.wait_for(waiting, 120)) == 1


async def test_who_is_cancelled_while_claiming_keeps_nothing(inbox: AnyInbox) -> None:
    for _ in range(20):
        await inbox.put([entry()])
        claiming = asyncio.create_task(inbox.claim(ROUTES, limit=1, lease=3600.0, wait=30.0))
        await asyncio.sleep(0)
        claiming.cancel()
        (result,) = await asyncio.gather(claiming, return_exceptions=True)
        if not isinstance(result, list):
            (one,) = await inbox.claim(ROUTES, limit=1, lease=3600.0, wait=5.0)
            assert one.attempt == 1
            await inbox.finish(one)
        else:
            await inbox.finish(result[0])


async def test_what_a_cancelled_claim_took_is_handed_back_also_when_the_inbox_is_closed(
    tmp_path: Path, clock: Clock
) -> None:
    inbox = in_a_file(tmp_path, clock)
    for _ in range(10):
        await inbox.put([entry()])
        claiming = asyncio.create_task(inbox.claim(ROUTES, limit=1, lease=3600.0, wait=30.0))
        await asyncio.sleep(0)
        claiming.cancel()
        await asyncio.gather(claiming, return_exceptions=True)
        await inbox.close()
        assert inbox._committer is None, "nothing opened it again"
        (one,) = await claim(inbox)
        await inbox.finish(one)
    await inbox.close()


async def test_one_step_that_cannot_be_spoils_no_other(tmp_path: Path) -> None:
    inbox = SqliteInbox(tmp_path / "i")
    bad = InboxEntry(handler="r", ordering_key="\ud800", dedup_key="k", body=b"{}")
    results = await asyncio.gather(*(inbox.put([one]) for one in (entry("a"), bad, entry("b"))), return_exceptions=True)
    assert (results[0], type(results[1]), results[2]) == (1, InboxError, 1)
    await inbox.close()


async def test_it_serves_several_event_loops(inbox: AnyInbox) -> None:
    async def put(number: int) -> None:
        await inbox.put([entry(str(number))])

    await asyncio.gather(*(asyncio.to_thread(asyncio.run, put(number)) for number in range(5)))
    assert len(await claim(inbox)) == 5


async def test_an_entry_goes_through_a_task_queue_unchanged() -> None:
    one = InboxEntry(handler="r", ordering_key="t", dedup_key="k", body='{"a":"é"}'.encode(), delay=2.0)
    assert InboxEntry.load(one.dump()) == one
    assert '"a"' not in repr(one)


async def test_a_full_inbox_in_memory_refuses() -> None:
    inbox = MemoryInbox(limit=2)
    await inbox.put([entry("a"), entry("b")])
    with pytest.raises(InboxError, match="full"):
        await inbox.put([entry("c")])


async def test_memory_forgets_what_it_remembered(clock: Clock) -> None:
    inbox = MemoryInbox(clock=clock)
    for number in range(100):
        await inbox.put([entry(str(number))])
        await inbox.finish((await claim(inbox))[0], dedup_window=2.0)
        clock.now += 1.0
    assert len(inbox._handled) <= 3
    assert not inbox._lines
    assert not inbox._rows


async def test_a_clock_that_is_set_back_holds_up_nothing(tmp_path: Path, clock: Clock) -> None:
    inbox = SqliteInbox(tmp_path / "i", clock=clock)
    await inbox.put([entry("leased"), entry("failed"), entry("done")])
    leased, failed, done = await claim(inbox, lease=10.0)
    await inbox.put([entry("delayed", delay=10.0), entry("leased", "behind"), entry("done", "other", delay=10.0)])
    await inbox.postpone(failed, delay=10.0)
    await inbox.finish(done, dedup_window=10.0)
    clock.now -= 3600.0
    await inbox.put([entry("done")])  # takes heed of it, too
    assert await claim(inbox) == []
    await inbox.renew([leased], lease=5.0)
    clock.now += 10.0
    assert {one.entry.ordering_key for one in await claim(inbox)} == {"leased", "failed", "delayed", "done"}
    await inbox.close()


async def test_a_clock_that_is_set_back_by_a_hair_moves_nothing(tmp_path: Path, clock: Clock) -> None:
    inbox = SqliteInbox(tmp_path / "i", clock=clock)
    await inbox.put([entry(delay=10.0)])
    clock.now -= 0.5
    await inbox.put([entry("other", delay=10.0)])
    clock.now += 10.0
    assert [one.entry.ordering_key for one in await claim(inbox)] == ["other"]
    await inbox.close()
