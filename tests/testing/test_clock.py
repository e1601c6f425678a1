"""The virtual clock, which skips waiting times, and its event loop."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from goedgepickt_async import BudgetExhaustedError, GoedGepickt, LocalBudget, RequestTimeoutError, RetryPolicy
from goedgepickt_async.sandbox import Sandbox, faults
from goedgepickt_async.sandbox.deliveries import DeliveryState, pauses
from goedgepickt_async.testing import VirtualClock
from goedgepickt_async.testing.clock import VirtualLoop
from goedgepickt_async.webhooks import InboxEntry, SqliteInbox
from tests.support.receiver import receiving
from tests.support.tables import each_row

_SOMAXCONN = Path("/proc/sys/net/core/somaxconn")
ROOM_FOR_MANY = _SOMAXCONN.exists() and int(_SOMAXCONN.read_text(encoding="ascii")) > 1000
A_LONG_TIME = 7 * 24 * 3600.0
NO_TIME = pytest.approx(0.0, abs=0.001)
"""The virtual time that the iterations of the loop take."""


def about(seconds: float) -> Any:
    return pytest.approx(seconds, abs=0.01)


def client(sandbox: Sandbox, clock: VirtualClock, limit: int = 150, **options: Any) -> GoedGepickt:
    budget = LocalBudget(limit, 60.0, clock=clock.monotonic_ns)
    return GoedGepickt(sandbox.api_key, base_url=sandbox.url, budget=budget, **options)


async def test_another_event_loop_and_its_sandbox_work_normally_while_a_virtual_clock_runs(gg: GoedGepickt) -> None:
    """The clock does not change other loops."""

    def nap() -> float:
        with VirtualClock() as clock:
            clock.run(asyncio.sleep(A_LONG_TIME))
            return clock.elapsed

    assert await asyncio.to_thread(nap) == about(A_LONG_TIME)
    assert await gg.webshops.list().collect()


def test_sleeping_tasks_wake_in_order_without_real_waiting() -> None:
    woken: list[tuple[str, float]] = []

    async def nap(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        woken.append((name, clock.elapsed))

    async def main() -> str:
        async with asyncio.TaskGroup() as group:
            for name, seconds in (("week", A_LONG_TIME), ("second", 1.0), ("hour", 3600.0), ("hour too", 3600.0)):
                group.create_task(nap(name, seconds))
        return "done"

    began = time.monotonic()
    with VirtualClock(start=1_000.0) as clock:
        assert clock.run(main()) == "done"
        assert woken == [
            ("second", about(1)),
            ("hour", about(3600)),
            ("hour too", about(3600)),
            ("week", about(A_LONG_TIME)),
        ]
        assert clock.time() == about(1_000.0 + A_LONG_TIME)
        assert clock.monotonic() == clock.monotonic_ns() / 1e9 == clock.elapsed
    assert time.monotonic() - began < 30


def test_the_budget_and_the_throttle_of_the_sandbox_use_the_same_clock() -> None:
    async def main() -> tuple[int, int]:
        async with Sandbox(limit=10, clock=clock.time) as sandbox, client(sandbox, clock, limit=10) as gg:
            for _ in range(35):
                await gg.request("GET", "/webshops")
            return len(sandbox.requests), sandbox.throttled

    with VirtualClock() as clock:
        assert clock.run(main()) == (35, 0)
        assert clock.elapsed == about(3 * 61)


def test_the_throttle_of_a_sandbox_uses_the_virtual_clock() -> None:
    """Without this test, the test above would also pass with a sandbox that accepts every request."""

    async def main() -> int:
        async with Sandbox(limit=10, clock=clock.time) as sandbox, client(sandbox, clock, limit=1000) as gg:
            for _ in range(12):
                await gg.request("GET", "/webshops")
            return sandbox.throttled

    with VirtualClock() as clock:
        assert clock.run(main()) == 1
        assert clock.elapsed == about(61)


@pytest.mark.slow
def test_bulk_work_is_paced_by_the_virtual_clock() -> None:
    async def main() -> int:
        async with Sandbox(limit=150, clock=clock.time) as sandbox, client(sandbox, clock) as gg:
            outcomes = [outcome async for outcome in gg.bulk.map(lambda _: gg.request("GET", "/webshops"), range(200))]
            return sum(outcome.error is None for outcome in outcomes)

    with VirtualClock() as clock:
        assert clock.run(main()) == 200
        assert clock.elapsed == pytest.approx((200 - 10) / 2.3, abs=1.0)


def test_a_slow_response_exceeds_the_timeout_exactly_when_it_would_in_real_time() -> None:
    async def main() -> list[float]:
        took = []
        once = RetryPolicy(max_attempts=1)
        async with (
            Sandbox(limit=None, clock=clock.time) as sandbox,
            client(sandbox, clock, timeout=30, retry=once) as gg,
        ):
            for slow in (faults.Slow(29.9), faults.Slow(30.1), faults.NeverAnswer(), faults.SlowBody(29.9)):
                sandbox.fail("GET", "/webshops", slow)
                began = clock.elapsed
                try:
                    await gg.request("GET", "/webshops")
                except RequestTimeoutError:
                    took.append(began - clock.elapsed)
                else:
                    took.append(clock.elapsed - began)
        return took

    with VirtualClock() as clock:
        assert clock.run(main()) == [about(29.9), about(-30), about(-30), about(29.9)]


def test_the_error_of_a_call_that_would_wait_too_long_has_the_waiting_time() -> None:
    async def main() -> float:
        async with Sandbox(limit=2, clock=clock.time) as sandbox, client(sandbox, clock, limit=2) as gg:
            await gg.request("GET", "/webshops")
            await gg.request("GET", "/webshops")
            await asyncio.sleep(20)
            with pytest.raises(BudgetExhaustedError) as caught:
                await gg.with_options(max_wait=5).request("GET", "/webshops")
            return caught.value.wait

    with VirtualClock() as clock:
        assert clock.run(main()) == about(41)
        assert clock.elapsed == about(20)


def test_the_pauses_between_the_attempts_of_a_delivery_take_no_real_time() -> None:
    async def main() -> tuple[int, str]:
        async with receiving() as receiver, Sandbox(limit=None, clock=clock.time) as sandbox:
            receiver.answer([500] * 10)
            async with client(sandbox, clock) as gg:
                shop = sandbox.world.webshops[0]
                await gg.webhooks.create("order.statusChanged", receiver.url, webshop_uuid=shop["uuid"])
            row = next(row for row in sandbox.world.orders if row["webshopName"] == shop["name"])
            sandbox.world.set_order_status(row["uuid"], "on_hold")
            await sandbox.deliveries.settled()
            return len(receiver.came), sandbox.deliveries[0].state

    with VirtualClock() as clock:
        assert clock.run(main()) == (10, DeliveryState.FAILED)
        assert clock.elapsed == about(sum(pauses()))


def test_a_sandbox_and_a_client_continue_in_the_next_run() -> None:
    with VirtualClock() as clock:
        sandbox = Sandbox(limit=None, clock=clock.time)
        clock.run(sandbox.start())
        gg = client(sandbox, clock)
        assert clock.run(gg.request("GET", "/webshops")).status == 200
        clock.advance(3600)
        assert clock.run(gg.request("GET", "/webshops")).status == 200
        assert sandbox.requests[1].at - sandbox.requests[0].at == about(3600)
        clock.run(gg.close())
        clock.run(sandbox.close())


def test_a_task_that_is_due_after_advance_continues_in_the_next_run() -> None:
    async def start() -> asyncio.Task[None]:
        task = asyncio.create_task(asyncio.sleep(60))
        await asyncio.sleep(0)
        return task

    async def is_done(task: asyncio.Task[None]) -> bool:
        for _ in range(5):
            await asyncio.sleep(0)
        return task.done()

    with VirtualClock() as clock:
        task = clock.run(start())
        clock.advance(59.9)
        assert not clock.run(is_done(task))
        clock.advance(0.1)
        assert clock.run(is_done(task))


def test_less_than_a_nanosecond_is_rounded_up() -> None:
    clock = VirtualClock()
    clock.advance(1e-10)
    assert clock.monotonic_ns() == 1


@each_row("seconds", [-1, float("inf"), float("nan")])
def test_the_clock_cannot_advance_by_a_negative_or_infinite_time(seconds: float) -> None:
    with pytest.raises(ValueError, match="at least 0"):
        VirtualClock().advance(seconds)


def test_virtual_time_stops_until_a_working_thread_has_ended() -> None:
    async def main() -> str:
        async with asyncio.timeout(3600):
            done = await asyncio.to_thread(work)
        assert clock.elapsed == NO_TIME
        await asyncio.sleep(3600)
        return done

    def work() -> str:
        time.sleep(0.05)
        return "done"

    with VirtualClock() as clock:
        assert clock.run(main()) == "done"
        assert clock.elapsed == about(3600)


def test_virtual_time_stops_while_the_thread_of_a_file_inbox_works(tmp_path: Path) -> None:
    async def main() -> int:
        inbox = SqliteInbox(tmp_path / "inbox.db", clock=clock.time)
        async with asyncio.timeout(3600):
            await inbox.put([InboxEntry(handler="handler", ordering_key="order", dedup_key="1", body=b"{}")])
            (claim,) = await inbox.claim(["handler"], limit=5, lease=60.0, wait=0.0)
            await inbox.finish(claim)
            left = await inbox.waiting(["handler"])
            await inbox.close()
        return left

    with VirtualClock() as clock:
        assert clock.run(main()) == 0
        assert clock.elapsed == NO_TIME


@pytest.mark.slow
@pytest.mark.skipif(not ROOM_FOR_MANY, reason="this system lets few connections wait to be accepted")
def test_many_simultaneous_connections_are_made_without_a_pause() -> None:
    """The system retries a connection that does not fit its queue after a second; the loop does not notice this."""
    many = 300

    async def main() -> int:
        async with (
            Sandbox(limit=None, clock=clock.time) as sandbox,
            client(sandbox, clock, limit=many, concurrency=many) as gg,
        ):
            responses = await asyncio.gather(*(gg.request("GET", "/webshops") for _ in range(many)))
            return sum(response.attempts for response in responses)

    with VirtualClock() as clock:
        assert clock.run(main()) == many
        assert clock.elapsed == NO_TIME


def test_a_timeout_ends_on_time_while_a_thread_never_ends() -> None:
    released = threading.Event()

    async def main() -> None:
        async with asyncio.timeout(0.05):
            await asyncio.to_thread(released.wait)

    with VirtualClock() as clock:
        try:
            with pytest.raises(TimeoutError):
                clock.run(main())
            assert clock.elapsed == about(0.05)
        finally:
            released.set()


def test_virtual_time_stops_until_the_system_has_delivered_sent_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loopback is late: the selector finds no bytes at first, although some were sent."""
    with VirtualClock() as clock:
        loop = VirtualLoop(clock.monotonic, clock.advance)
        selector = loop._jumping
        below: Any = type(selector).__mro__[1]
        real, blind = below.select, [False]

        def late(self: Any, timeout: float | None = None) -> Any:
            return [] if blind[0] else real(self, timeout)

        def arrives() -> None:
            blind[0] = False

        monkeypatch.setattr(below, "select", late)
        monkeypatch.setattr(selector._courier, "go", arrives)

        async def main() -> bytes:
            mine, theirs = socket.socketpair()
            with mine, theirs:
                mine.setblocking(False)
                reading = asyncio.create_task(loop.sock_recv(mine, 4))
                await asyncio.sleep(0)
                theirs.send(b"here")
                blind[0] = True
                return await asyncio.wait_for(reading, 3600)

        try:
            mine = loop.run_until_complete(main())
        finally:
            loop.close()
        assert mine == b"here"
        assert clock.elapsed == NO_TIME


def test_the_byte_that_the_clock_sends_over_the_loopback_leaves_no_socket_open() -> None:
    with VirtualClock() as clock:
        for _ in range(3):
            clock.run(asyncio.sleep(1))
    assert clock.elapsed == about(3)  # an open socket would be a warning, and warnings are errors


async def test_run_inside_an_event_loop_raises_an_error_that_says_where_to_call_it() -> None:
    with VirtualClock() as clock, pytest.raises(RuntimeError, match="call run from plain code"):
        clock.run(asyncio.sleep(0))


def test_a_clock_can_be_closed_twice_and_used_again() -> None:
    clock = VirtualClock()
    clock.run(asyncio.sleep(1))
    clock.close()
    clock.close()
    clock.run(asyncio.sleep(1))
    clock.close()
    assert clock.elapsed == about(2)
