"""The parts of the fixtures, and the fixtures themselves in tests of this project."""

from __future__ import annotations

import asyncio
import threading

import pytest

from goedgepickt_async import ConfigurationError, GoedGepickt, LocalBudget, RetryPolicy
from goedgepickt_async.sandbox import Sandbox
from goedgepickt_async.testing import VirtualClock, serving, unlimited_budget
from goedgepickt_async.testing.sandbox import check, client_of, fitting_budget, is_asynchronous, running
from tests.support.tables import each_row


async def test_an_asynchronous_test_reads_through_the_client(
    goedgepickt_client: GoedGepickt, goedgepickt_sandbox: Sandbox
) -> None:
    assert len(await goedgepickt_client.products.list().collect()) == len(goedgepickt_sandbox.world.products) == 40
    assert goedgepickt_client.settings.webshop_uuid == goedgepickt_sandbox.world.webshops[0]["uuid"]


@pytest.mark.slow
@pytest.mark.goedgepickt_sandbox(limit=5, period=60.0)
def test_an_hour_of_virtual_time_passes_in_a_plain_test(
    goedgepickt_client: GoedGepickt, goedgepickt_clock: VirtualClock, goedgepickt_sandbox: Sandbox
) -> None:
    async def job() -> None:
        for _ in range(300):
            await goedgepickt_client.request("GET", "/webshops")

    goedgepickt_clock.run(job())
    assert goedgepickt_clock.elapsed == pytest.approx(59 * 61, abs=1)
    assert goedgepickt_sandbox.throttled == 0


def test_the_sandbox_has_no_thread_with_a_virtual_clock(
    goedgepickt_clock: VirtualClock, goedgepickt_sandbox: Sandbox
) -> None:
    assert goedgepickt_sandbox.port > 0
    assert not [thread for thread in threading.enumerate() if "sandbox" in thread.name]


@each_row(
    ("options", "message"),
    [
        ({"oders": 1, "limt": 2}, "unknown option limt, oders; the options are .*, orders, "),
        ({"webshops": 0}, r"^'webshops' must be .*\)$"),
        ({"orders": "many"}, "'str' and 'int'"),
        ({"clock": None}, "unknown option clock"),
    ],
)
def test_invalid_options_of_a_sandbox_are_refused_with_an_explanation(options: dict[str, object], message: str) -> None:
    check({"orders": 1})
    with pytest.raises(ValueError, match=message):
        check(options)


@each_row("limit", [None, 10])
def test_a_request_without_the_virtual_clock_is_refused_with_the_call_to_use(limit: int | None) -> None:
    options = {"orders": 1, "limit": limit}
    with (
        VirtualClock() as clock,
        running(options, clock) as sandbox,
        client_of(sandbox, fitting_budget(options, clock), clock) as gg,
    ):
        with pytest.raises(ConfigurationError, match=r"run its code with goedgepickt_clock\.run"):
            asyncio.run(gg.request("GET", "/webshops"))
        assert clock.run(gg.request("GET", "/webshops")).status == 200


def test_the_budget_has_the_limit_and_the_period_of_the_sandbox() -> None:
    with VirtualClock() as clock:
        limited, ample = fitting_budget({"limit": 7, "period": 2.0}, clock), fitting_budget({"limit": None}, clock)
        assert (limited.limit, limited.config.window) == (7, 2.0)
        assert (ample.limit, ample.config.window) == (unlimited_budget(clock).limit, 60.0)
    real = fitting_budget({"limit": 150}, None)
    assert (real.limit, real.config.window) == (150, 60.0)
    assert fitting_budget({"limit": None}, None).limit == ample.limit


def test_retries_pause_in_virtual_time_only() -> None:
    with (
        serving(Sandbox(orders=1)) as sandbox,
        VirtualClock() as clock,
        client_of(sandbox, unlimited_budget(), None) as quick,
        client_of(sandbox, unlimited_budget(), clock) as usual,
    ):
        assert usual.settings.retry == RetryPolicy()
        assert quick.settings.retry.cap <= 0.01


@each_row("used", [{"stopped"}, {"running"}, {"stopped", "running"}])
def test_a_client_is_closed_in_stopped_and_running_event_loops(used: set[str]) -> None:
    stopped, running_loop = asyncio.new_event_loop(), asyncio.new_event_loop()
    thread = threading.Thread(target=running_loop.run_forever)
    thread.start()
    try:
        with running({"orders": 1, "limit": None}, None) as sandbox:
            with client_of(sandbox, unlimited_budget(), None) as gg:
                if "stopped" in used:
                    stopped.run_until_complete(gg.request("GET", "/webshops"))
                if "running" in used:
                    asyncio.run_coroutine_threadsafe(gg.request("GET", "/webshops"), running_loop).result(10)
                sessions = gg._sender.pipeline.sessions
                assert len(sessions.loops) == len(used)
            assert sessions.loops == []
    finally:
        running_loop.call_soon_threadsafe(running_loop.stop)
        thread.join()
        stopped.close()
        running_loop.close()


def test_a_client_is_closed_in_each_of_several_stopped_event_loops() -> None:
    loops = [asyncio.new_event_loop() for _ in range(2)]
    with running({"orders": 1, "limit": None}, None) as sandbox:
        with client_of(sandbox, unlimited_budget(), None) as gg:
            for loop in loops:
                loop.run_until_complete(gg.request("GET", "/webshops"))
            held = list(gg._sender.pipeline.sessions._by_loop.values())
            assert len(held) == 2
        assert all(session.http.closed for session in held)
    for loop in loops:
        loop.close()


def test_asynchronous_tests_are_distinguished_from_plain_tests() -> None:
    async def asynchronous() -> None: ...

    assert is_asynchronous(asynchronous)
    assert not is_asynchronous(LocalBudget)
    assert not is_asynchronous(None)
