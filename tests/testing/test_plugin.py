"""The plugin in projects of users: each run is a separate pytest process, and tests share the runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from pathlib import Path
from textwrap import dedent

import attrs
import pytest

import goedgepickt_async
from goedgepickt_async import testing
from tests.support.warm import Interpreter

ROOT = Path(goedgepickt_async.__file__).parents[1]
PAGE = (ROOT / "docs" / "howto" / "testing.md").read_text(encoding="utf-8")
# A block that may be skipped needs another package: the test of the page runs it.
SHOWN = "\n\n".join(re.findall(r"(?<!-->\n)^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))

pytestmark = pytest.mark.slow

CONFIG = """
[pytest]
addopts = --strict-markers --strict-config -v --tb=native -p no:cacheprovider
filterwarnings =
    error
    ignore:.*asyncio_default_fixture_loop_scope
    ignore::pytest.PytestAssertRewriteWarning
"""

ASYNC_TESTS = """
    async def test_reads(goedgepickt_client, goedgepickt_sandbox):
        orders = await goedgepickt_client.orders.list().collect()
        assert len(orders) == len(goedgepickt_sandbox.world.orders) == 300
        assert goedgepickt_sandbox.requests[0].path == "/orders"

    async def test_has_a_separate_sandbox(goedgepickt_client, goedgepickt_sandbox):
        assert goedgepickt_sandbox.requests == []
        assert goedgepickt_sandbox.throttled == 0
"""

STRICT = "import pytest\npytestmark = pytest.mark.asyncio\n" + dedent(ASYNC_TESTS)

SHARED_LOOP = """
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

MARKERS = """
        import pytest
        pytestmark = pytest.mark.goedgepickt_sandbox(products=7, orders=1)

        @pytest.fixture
        def goedgepickt_sandbox_options():
            return {"products": 5, "webshops": 3, "limit": 20, "period": 2.0}

        @pytest.mark.goedgepickt_sandbox(orders=12)
        def test_the_nearest_option_is_used(goedgepickt_sandbox, goedgepickt_budget):
            world = goedgepickt_sandbox.world
            assert (len(world.orders), len(world.products), len(world.webshops)) == (12, 7, 3)
            assert (goedgepickt_budget.limit, goedgepickt_budget.snapshot().period) == (20, 2.0)

        @pytest.mark.goedgepickt_sandbox(limit=None)
        def test_without_a_throttle_no_request_waits(goedgepickt_budget):
            assert goedgepickt_budget.limit > 100_000
"""

WRONG_MARKERS = """
        import pytest

        @pytest.mark.goedgepickt_sandbox(oders=3)
        def test_misspelt(goedgepickt_sandbox): ...

        @pytest.mark.goedgepickt_sandbox(webshops=0)
        def test_out_of_range(goedgepickt_sandbox): ...

        @pytest.mark.goedgepickt_sandbox(300)
        def test_without_a_name(goedgepickt_sandbox): ...

        @pytest.mark.goedgepickt_sandbox(clock=None)
        def test_an_option_that_only_the_fixture_sets(goedgepickt_sandbox): ...
"""

CLOCK = """
        import time
        import pytest
        from goedgepickt_async.sandbox import faults

        @pytest.mark.goedgepickt_sandbox(limit=10, period=60.0)
        def test_three_minutes(goedgepickt_clock, goedgepickt_client, goedgepickt_sandbox):
            async def job():
                for _ in range(40):
                    await goedgepickt_client.webshops.list().collect(limit=1)
            began = time.monotonic()
            goedgepickt_clock.run(job())
            assert goedgepickt_clock.elapsed == pytest.approx(3 * 61, abs=1)
            assert (len(goedgepickt_sandbox.requests), goedgepickt_sandbox.throttled) == (40, 0)
            assert goedgepickt_sandbox.requests[-1].at - goedgepickt_sandbox.requests[0].at == pytest.approx(3 * 61, abs=1)

        @pytest.mark.parametrize("asked", [3, 50])
        def test_retry_after(asked, goedgepickt_sandbox, goedgepickt_client, goedgepickt_clock):
            goedgepickt_sandbox.fail("GET", "/orders", faults.TooManyRequests(retry_after=str(asked)))
            orders = goedgepickt_clock.run(goedgepickt_client.orders.list().collect(limit=1))
            assert len(orders) == 1
            assert goedgepickt_clock.elapsed == pytest.approx(asked + 1, abs=1)
"""

CLOCK_IN_ASYNCHRONOUS_TEST = """
        async def test_never_runs(goedgepickt_clock):
            raise AssertionError
"""

ANYIO = """
        import pytest
        pytestmark = pytest.mark.anyio

        @pytest.fixture
        def anyio_backend():
            return "asyncio"
"""

PLAIN = """
        import asyncio
        import urllib.request

        def test_with_an_event_loop_that_the_test_starts(goedgepickt_client, goedgepickt_sandbox):
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

PARALLEL = """
        import asyncio
        import pytest

        @pytest.mark.parametrize("turn", range(6))
        def test_reads(turn, goedgepickt_client, goedgepickt_sandbox):
            assert asyncio.run(goedgepickt_client.orders.list().collect(limit=1))
            assert len(goedgepickt_sandbox.requests) == 1
"""


@attrs.frozen
class Ran:
    """Runs of pytest that have ended, and their output."""

    out: str

    def outcomes(self, module: str) -> list[str]:
        """The results of the tests of a module, sorted."""
        return sorted(re.findall(rf"^test_{module}\.py::[^ ]+ (PASSED|FAILED|ERROR)", self.out, re.MULTILINE))


Run = Callable[..., Ran]

NEEDED = {"goedgepickt", "asyncio", "anyio"}
# Other installed plugins: their import takes seconds.
OTHERS = [f"-pno:{plugin.name}" for plugin in entry_points(group="pytest11") if plugin.name not in NEEDED]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Runs test modules with warnings as errors, in processes that have imported pytest and the package already."""
    environment = dict(os.environ)
    ours = ("bulk.products", "client", "resources.orders", "sandbox.server", "testing")
    imported = ("pytest", "pytest_asyncio.plugin", *(f"goedgepickt_async.{name}" for name in ours))

    def run(*arguments: str, config: str = "", processes: int = 1, **modules: str) -> Ran:
        folder = tmp_path_factory.mktemp("project")
        (folder / "pytest.ini").write_text(CONFIG + config, encoding="utf-8")
        for name, code in modules.items():
            (folder / f"test_{name}.py").write_text(dedent(code), encoding="utf-8")
        command = ("-m", "pytest", *OTHERS, *arguments)
        started = [interpreter.start(*command, cwd=folder, env=environment) for _ in range(processes)]
        return Ran(b"".join(part for process in started for part in process.communicate()).decode())

    with Interpreter(imported, environment) as interpreter:
        yield run


@pytest.fixture(scope="module")
def in_strict_mode(run: Run) -> Ran:
    """One run of all modules that can share the strict mode of pytest-asyncio."""
    modules = {"strict": STRICT, "shared": SHARED_LOOP, "markers": MARKERS, "wrong": WRONG_MARKERS, "clock": CLOCK}
    return run(config="asyncio_mode = strict", **modules)


@pytest.fixture(scope="module")
def in_automatic_mode(run: Run) -> Ran:
    """One run of all modules that can share the automatic mode, and of the tests that the page shows."""
    modules = {"automatic": ASYNC_TESTS, "refused": CLOCK_IN_ASYNCHRONOUS_TEST, "page": SHOWN}
    return run(config="asyncio_mode = auto", **modules)


@pytest.fixture(scope="module")
def without_pytest_asyncio(run: Run) -> Ran:
    """One run without pytest-asyncio."""
    return run("-p", "no:asyncio", anyio=dedent(ANYIO) + dedent(ASYNC_TESTS), plain=PLAIN)


def test_asynchronous_tests_pass_in_the_strict_mode_of_pytest_asyncio(in_strict_mode: Ran) -> None:
    assert in_strict_mode.outcomes("strict") == ["PASSED"] * 2, in_strict_mode.out


def test_asynchronous_tests_pass_in_the_automatic_mode_of_pytest_asyncio(in_automatic_mode: Ran) -> None:
    assert in_automatic_mode.outcomes("automatic") == ["PASSED"] * 2, in_automatic_mode.out


def test_clients_are_closed_in_an_event_loop_that_many_tests_share(in_strict_mode: Ran) -> None:
    assert in_strict_mode.outcomes("shared") == ["PASSED"] * 3, in_strict_mode.out


def test_asynchronous_tests_pass_with_anyio(without_pytest_asyncio: Ran) -> None:
    assert without_pytest_asyncio.outcomes("anyio") == ["PASSED"] * 2, without_pytest_asyncio.out


def test_plain_tests_pass(without_pytest_asyncio: Ran) -> None:
    assert without_pytest_asyncio.outcomes("plain") == ["PASSED"] * 4, without_pytest_asyncio.out


def test_the_tests_that_the_page_shows_pass_without_changes(in_automatic_mode: Ran) -> None:
    shown = len(re.findall(r"^ *(?:async )?def test_", SHOWN, re.MULTILINE))
    twice = 1  # one test is parametrized with two values
    assert in_automatic_mode.outcomes("page") == ["PASSED"] * (shown + twice), in_automatic_mode.out
    assert shown > 15


def test_the_page_names_all_fixtures_and_functions() -> None:
    plugin = (ROOT / "goedgepickt_async" / "pytest_plugin.py").read_text(encoding="utf-8")
    fixtures = re.findall(r"^@pytest.fixture\ndef (\w+)", plugin, re.MULTILINE)
    assert len(fixtures) == 5
    assert [name for name in fixtures if f"`{name}`" not in PAGE] == []
    assert [name for name in testing.__all__ if name not in PAGE] == []


def test_the_marker_and_the_options_fixture_configure_the_sandbox(in_strict_mode: Ran) -> None:
    assert in_strict_mode.outcomes("markers") == ["PASSED"] * 2, in_strict_mode.out


def test_an_invalid_marker_is_reported_in_one_line(in_strict_mode: Ran) -> None:
    assert in_strict_mode.outcomes("wrong") == ["ERROR"] * 4, in_strict_mode.out
    expected = [
        "the options of goedgepickt_sandbox do not make a sandbox: unknown option oders; the options are .*orders.*",
        "the options of goedgepickt_sandbox do not make a sandbox: .*webshops.*",
        "the marker goedgepickt_sandbox takes named options only, not 300",
        "the options of goedgepickt_sandbox do not make a sandbox: unknown option clock; the options are .*",
    ]
    for line in expected:
        assert re.search(f"^{line}$", in_strict_mode.out, re.MULTILINE), line
    assert "Traceback" not in in_strict_mode.out


def test_the_client_its_budget_and_the_sandbox_share_the_virtual_time(in_strict_mode: Ran) -> None:
    assert in_strict_mode.outcomes("clock") == ["PASSED"] * 3, in_strict_mode.out


def test_the_clock_refuses_an_asynchronous_test_with_a_hint(in_automatic_mode: Ran) -> None:
    assert in_automatic_mode.outcomes("refused") == ["ERROR"], in_automatic_mode.out
    assert "write `def` instead of `async def`" in in_automatic_mode.out


def test_parallel_processes_do_not_disturb_each_other(run: Run) -> None:
    ran = run(processes=2, parallel=PARALLEL)
    assert ran.outcomes("parallel") == ["PASSED"] * 12, ran.out


def test_the_plugin_lists_its_fixtures_imports_only_itself_and_can_be_disabled(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    markers = request.config.getini("markers")
    assert any(marker.startswith("goedgepickt_sandbox(**options): ") for marker in markers), markers

    code = """
import sys, pytest
for arguments in (["-p", "no:goedgepickt"], []):
    pytest.main(["--fixtures", *sys.argv[1:], *arguments])
    print("MODULES", *sys.modules)
"""
    command = [sys.executable, "-c", code, *OTHERS]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    fixtures_without, modules_without, fixtures, modules = re.split(r"^MODULES (.*)\n", ran.stdout, flags=re.MULTILINE)[
        :4
    ]
    for name in ("sandbox", "sandbox_options", "budget", "client", "clock"):
        assert re.search(rf"^goedgepickt_{name} -- ", fixtures, re.MULTILINE), fixtures
    assert "goedgepickt_sandbox" not in fixtures_without
    more = set(modules.split()) - set(modules_without.split())
    assert more <= {"goedgepickt_async", "goedgepickt_async.pytest_plugin"}
    assert "goedgepickt_async.pytest_plugin" in more
