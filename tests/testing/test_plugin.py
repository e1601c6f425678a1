"""The plugin in projects of its users: each test here runs a pytest of its own, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

pytest_plugins = ["pytester"]

CONFIG = """
[pytest]
addopts = --strict-markers --strict-config -p no:randomly -p no:cacheprovider
filterwarnings =
    error
    ignore:.*asyncio_default_fixture_loop_scope
"""


def run(pytester: pytest.Pytester, code: str, *arguments: str, config: str = "") -> pytest.RunResult:
    """Run a test module with warnings as errors."""
    pytester.makeini(CONFIG + config)
    pytester.makepyfile(dedent(code))
    return pytester.runpytest_subprocess(*arguments, timeout=50)


ASYNC_TESTS = """
    async def test_reads(goedgepickt_client, goedgepickt_sandbox):
        orders = await goedgepickt_client.orders.list().collect()
        assert len(orders) == len(goedgepickt_sandbox.world.orders) == 300
        assert goedgepickt_sandbox.requests[0].path == "/orders"

    async def test_has_a_sandbox_of_its_own(goedgepickt_client, goedgepickt_sandbox):
        assert goedgepickt_sandbox.requests == []
        assert goedgepickt_sandbox.throttled == 0
"""


def test_it_serves_asynchronous_tests_in_pytest_asyncios_automatic_mode(pytester: pytest.Pytester) -> None:
    run(pytester, ASYNC_TESTS, config="asyncio_mode = auto").assert_outcomes(passed=2)


def test_it_serves_asynchronous_tests_in_pytest_asyncios_strict_mode(pytester: pytest.Pytester) -> None:
    code = "import pytest\npytestmark = pytest.mark.asyncio\n" + dedent(ASYNC_TESTS)
    run(pytester, code, config="asyncio_mode = strict").assert_outcomes(passed=2)


def test_it_leaves_nothing_open_in_an_event_loop_that_many_tests_share(pytester: pytest.Pytester) -> None:
    code = """
        import asyncio, gc, pytest
        pytestmark = pytest.mark.asyncio(loop_scope="module")
        loops, kept = set(), []

        @pytest.mark.parametrize("turn", range(3))
        async def test_shares(turn, goedgepickt_client):
            loops.add(asyncio.get_running_loop())
            await goedgepickt_client.webshops.list().collect()
            kept.append(goedgepickt_client._sender.pipeline.sessions)
            assert len(loops) == 1
            assert [bool(sessions.loops) for sessions in kept] == [False] * turn + [True]
    """
    run(pytester, code, config="asyncio_mode = strict").assert_outcomes(passed=3)


def test_it_serves_asynchronous_tests_under_anyio(pytester: pytest.Pytester) -> None:
    code = """
        import pytest
        pytestmark = pytest.mark.anyio

        @pytest.fixture
        def anyio_backend():
            return "asyncio"
    """
    ran = run(pytester, dedent(code) + dedent(ASYNC_TESTS), "-p", "no:asyncio")
    ran.assert_outcomes(passed=2)


def test_it_serves_plain_tests_with_no_other_plugin(pytester: pytest.Pytester) -> None:
    code = """
        import asyncio
        import urllib.request

        def test_with_a_loop_of_the_tests_own(goedgepickt_client, goedgepickt_sandbox):
            async def read():
                return await goedgepickt_client.orders.list().collect(limit=5)
            assert len(asyncio.run(read())) == 5
            assert len(asyncio.run(read())) == 5

        def test_without_any_loop(goedgepickt_sandbox):
            key = {"Authorization": f"Bearer {goedgepickt_sandbox.api_key}"}
            request = urllib.request.Request(goedgepickt_sandbox.url + "/webshops", headers=key)
            assert urllib.request.urlopen(request).status == 200

        def test_that_leaves_its_loop_open(goedgepickt_client):
            loop = asyncio.new_event_loop()
            loop.run_until_complete(goedgepickt_client.webshops.list().collect())
            kept.append(loop)

        def test_that_finds_the_loop_open(goedgepickt_client):
            kept.pop().close()

        kept = []
    """
    run(pytester, code, "-p", "no:asyncio", "-p", "no:anyio").assert_outcomes(passed=4)


def test_the_marker_and_the_options_fixture_say_what_the_sandbox_is_like(pytester: pytest.Pytester) -> None:
    code = """
        import pytest
        pytestmark = pytest.mark.goedgepickt_sandbox(products=7, orders=1)

        @pytest.fixture
        def goedgepickt_sandbox_options():
            return {"products": 5, "webshops": 3, "limit": 20, "period": 2.0}

        @pytest.mark.goedgepickt_sandbox(orders=12)
        def test_nearest_wins(goedgepickt_sandbox, goedgepickt_budget):
            world = goedgepickt_sandbox.world
            assert (len(world.orders), len(world.products), len(world.webshops)) == (12, 7, 3)
            assert (goedgepickt_budget.limit, goedgepickt_budget.snapshot().period) == (20, 2.0)

        @pytest.mark.goedgepickt_sandbox(limit=None)
        def test_without_a_throttle_nobody_waits(goedgepickt_budget):
            assert goedgepickt_budget.limit > 100_000
    """
    run(pytester, code).assert_outcomes(passed=2)


def test_a_wrong_marker_is_told_in_one_line(pytester: pytest.Pytester) -> None:
    code = """
        import pytest

        @pytest.mark.goedgepickt_sandbox(oders=3)
        def test_misspelt(goedgepickt_sandbox): ...

        @pytest.mark.goedgepickt_sandbox(webshops=0)
        def test_out_of_range(goedgepickt_sandbox): ...

        @pytest.mark.goedgepickt_sandbox(300)
        def test_without_a_name(goedgepickt_sandbox): ...

        @pytest.mark.goedgepickt_sandbox(clock=None)
        def test_the_fixtures_own(goedgepickt_sandbox): ...
    """
    ran = run(pytester, code, "--tb=native")
    ran.assert_outcomes(errors=4)
    ran.stdout.fnmatch_lines_random(
        [
            "the options of goedgepickt_sandbox do not make a sandbox: there is no oders; there are *orders*",
            "the options of goedgepickt_sandbox do not make a sandbox: *webshops*",
            "the marker goedgepickt_sandbox takes named options only, not 300",
            "the options of goedgepickt_sandbox do not make a sandbox: there is no clock; there are *",
        ]
    )
    ran.stdout.no_fnmatch_line("Traceback*")


def test_time_jumps_for_the_client_its_budget_and_the_sandbox_together(pytester: pytest.Pytester) -> None:
    code = """
        import time
        import pytest
        from goedgepickt_async.sandbox import faults

        @pytest.mark.goedgepickt_sandbox(limit=10, period=60.0)
        def test_an_hour(goedgepickt_clock, goedgepickt_client, goedgepickt_sandbox):
            async def job():
                for _ in range(600):
                    await goedgepickt_client.webshops.list().collect(limit=1)
            began = time.monotonic()
            goedgepickt_clock.run(job())
            assert goedgepickt_clock.elapsed == pytest.approx(59 * 61, abs=1)
            assert (len(goedgepickt_sandbox.requests), goedgepickt_sandbox.throttled) == (600, 0)
            assert goedgepickt_sandbox.requests[-1].at - goedgepickt_sandbox.requests[0].at == pytest.approx(59 * 61, abs=1)

        @pytest.mark.parametrize("asked", [3, 50])
        def test_retry_after(asked, goedgepickt_sandbox, goedgepickt_client, goedgepickt_clock):
            goedgepickt_sandbox.fail("GET", "/orders", faults.TooManyRequests(retry_after=str(asked)))
            orders = goedgepickt_clock.run(goedgepickt_client.orders.list().collect(limit=1))
            assert len(orders) == 1
            assert goedgepickt_clock.elapsed == pytest.approx(asked + 1, abs=1)
    """
    run(pytester, code).assert_outcomes(passed=3)


def test_the_clock_refuses_an_asynchronous_test_with_a_hint(pytester: pytest.Pytester) -> None:
    code = """
        async def test_never_runs(goedgepickt_clock):
            raise AssertionError
    """
    ran = run(pytester, code, config="asyncio_mode = auto")
    ran.assert_outcomes(errors=1)
    ran.stdout.fnmatch_lines(["*write `def` instead of `async def`*"])


def test_parallel_processes_do_not_meet(pytester: pytest.Pytester) -> None:
    code = """
        import asyncio
        import pytest

        @pytest.mark.parametrize("turn", range(6))
        def test_reads(turn, goedgepickt_client, goedgepickt_sandbox):
            assert asyncio.run(goedgepickt_client.orders.list().collect(limit=1))
            assert len(goedgepickt_sandbox.requests) == 1
    """
    run(pytester, code, "-n", "2").assert_outcomes(passed=6)


def test_it_can_be_left_out(pytester: pytest.Pytester) -> None:
    ran = run(pytester, "def test_it(goedgepickt_sandbox): ...", "-p", "no:goedgepickt")
    ran.assert_outcomes(errors=1)
    ran.stdout.fnmatch_lines(["*fixture 'goedgepickt_sandbox' not found*"])


def test_it_says_what_it_offers(pytester: pytest.Pytester) -> None:
    listed = run(pytester, "", "--fixtures", "--markers")
    listed.stdout.fnmatch_lines(["@pytest.mark.goedgepickt_sandbox(**options): *"])
    offered = run(pytester, "", "--fixtures")
    for name in ("sandbox", "sandbox_options", "budget", "client", "clock"):
        offered.stdout.fnmatch_lines([f"goedgepickt_{name} -- *"])


def test_at_pytests_start_it_imports_nothing_but_itself(tmp_path: Path) -> None:
    def modules(*arguments: str) -> set[str]:
        code = "import sys, pytest; pytest.main(sys.argv[1:]); print('MODULES', *sys.modules)"
        command = [sys.executable, "-c", code, "--version", "--version", *arguments]
        ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        return set(ran.stdout.rpartition("MODULES ")[2].split())

    more = modules() - modules("-p", "no:goedgepickt")
    assert more <= {"goedgepickt_async", "goedgepickt_async._version", "goedgepickt_async.pytest_plugin"}
    assert "goedgepickt_async.pytest_plugin" in more
