"""The portal of docs/howto/sync-programs.md: threads share one loop, one client and its connections."""

from __future__ import annotations

import atexit
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from goedgepickt_async import ConfigurationError, GoedGepickt, NotFoundError
from goedgepickt_async.sandbox import Sandbox, faults
from goedgepickt_async.testing import serving
from tests.recipes.pages import block, module

pytest.importorskip("anyio", reason="anyio is not installed")

PAGE = "sync-programs.md"
ROOT = Path(__file__).parents[2]
SCRIPT = """
from concurrent.futures import ThreadPoolExecutor

with ThreadPoolExecutor(8) as threads:
    found = list(threads.map(lambda number: run(lambda gg: gg.products.find_by_sku(f"SB-{number:05}")), range(2, 42)))
print(sum(product is not None for product in found))
"""


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    with serving(Sandbox(orders=1, products=60, limit=None, oddities=False)) as running:
        monkeypatch.setenv("GOEDGEPICKT_API_KEY", running.api_key)
        monkeypatch.setenv("GOEDGEPICKT_BASE_URL", running.url)
        yield running


@pytest.fixture
def portal(tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    at_exit: list[Callable[[], object]] = []
    monkeypatch.setattr(atexit, "register", at_exit.append)
    made = module(tmp_path, "portal", block(PAGE, "portal"))
    yield made
    for function in at_exit:
        function()


@pytest.mark.slow
def test_forty_calls_of_eight_threads_share_their_connections_and_the_program_ends(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "program.py"
    program.write_text(block(PAGE, "portal") + SCRIPT, "utf-8")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    ran = subprocess.run([sys.executable, "-W", "error", str(program)], capture_output=True, text=True, check=True)
    assert int(ran.stdout) == 40
    assert ran.stderr == ""
    assert len(sandbox.requests) >= 40
    # A connection ends that is idle for 15 s, so on a slow machine there are more than threads.
    assert len({recorded.connection for recorded in sandbox.requests}) < 40


def test_a_client_that_cannot_be_made_leaves_no_portal_that_blocks_the_end_of_the_program(
    portal: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GOEDGEPICKT_API_KEY")
    before = threading.enumerate()
    with pytest.raises(ConfigurationError) as caught:  # it keeps the frames, as a program does that ends with it
        portal.run(lambda gg: gg.webshops.list().first())
    assert threading.enumerate() == before
    assert caught.value.__traceback__ is not None


def test_errors_arrive_as_they_are_and_the_loop_cannot_wait_for_itself(portal: ModuleType) -> None:
    with pytest.raises(NotFoundError):
        portal.run(lambda gg: gg.orders.get("8f1e0000-0000-4000-8000-000000000000"))

    async def inside(gg: GoedGepickt) -> None:
        portal.run(lambda gg: gg.webshops.list().first())

    with pytest.raises(RuntimeError):
        portal.run(inside)
    assert portal.run(lambda gg: gg.webshops.list().first()) is not None


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Flask's own
def test_a_flask_application_answers_from_any_thread(portal: ModuleType, sandbox: Sandbox, tmp_path: Path) -> None:
    pytest.importorskip("flask", reason="the dependency group contrib is not installed")
    code = "run = None\nfrom goedgepickt_async import GoedGepickt\n" + block(PAGE, "flask")
    app: Any = module(tmp_path, "app", code)
    app.run = portal.run

    def ask(number: int) -> int:
        return int(app.app.test_client().get(f"/stock/SB-{number:05}").status_code)

    with ThreadPoolExecutor(8) as threads:
        statuses = list(threads.map(ask, range(2, 42)))
    assert statuses.count(200) == 40
    # A connection ends that is idle for 15 s, so on a slow machine there are more than threads.
    assert len({recorded.connection for recorded in sandbox.requests}) < 40
    assert app.app.test_client().get("/stock/no-such-sku").status_code == 404
    sandbox.fail("GET", "/products", faults.Status(401), times=9)
    assert app.app.test_client().get("/stock/SB-00002").status_code == 502
