"""What most tests need: a sandbox, a client on it, and budgets that never wait."""

import asyncio
import itertools
import logging
import os
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from goedgepickt_async import GoedGepickt, RetryPolicy, logs
from goedgepickt_async.sandbox import Sandbox
from goedgepickt_async.testing import unlimited_budget
from tests.support.virtual import virtual_loop
from tests.support.warm import Interpreter

# asyncio's debug mode reports each slow callback: that depends on the machine too.
logging.getLogger("asyncio").addFilter(lambda record: not record.getMessage().startswith("Executing "))

QUICK = RetryPolicy(base=0.001, cap=0.01)
"""Retries that hardly pause."""


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> Mapping[str, Callable[[], Any]]:
    """A test that is marked `virtual_time` runs on a loop whose time jumps: no wait in it depends on the machine.

    All that it talks to must run in the test's own loop: no sandbox in a thread, no other process.
    """
    if item.get_closest_marker("virtual_time") is not None:
        return {"virtual": virtual_loop}
    return {"real": asyncio.new_event_loop}


_numbers = itertools.count()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    """Remove a test's reports of unknown fields if it made many: a process makes at most 256, and later tests need some.

    The next test gets another directory for its state: a fixture would cost more, in thousands of tests.
    """
    before = len(logs._seen)
    try:
        return (yield)
    finally:
        added = list(logs._seen)[before:]
        if len(added) > 20:  # the sandbox's own are fewer
            for report in added:
                del logs._seen[report]
        if "XDG_STATE_HOME" in os.environ:  # after the last test it is removed
            os.environ["XDG_STATE_HOME"] = str(Path(os.environ["XDG_STATE_HOME"]).with_name(str(next(_numbers))))


@pytest.fixture(scope="session", autouse=True)
def _own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What a test keeps, such as runs that it interrupts, is of no other test, and not of the user."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("states") / "first"))
        yield


@pytest.fixture(scope="session")
def warm() -> Iterator[Interpreter]:
    """An interpreter with the package, for processes that start in milliseconds."""
    if not hasattr(os, "fork"):
        pytest.skip("Windows has no fork")
    names = "budget.redis bulk.apply bulk.orders bulk.products client convert.dump resources.orders sandbox.server"
    names += " webhooks.receiver webhooks.server cli.runner cli.sandbox cli.export cli.listen"
    modules = [f"goedgepickt_async.{name}" for name in names.split()]
    modules.append("tests.support.command_options:read_options")
    ours = {name: value for name, value in os.environ.items() if not name.startswith("GOEDGEPICKT_")}
    with Interpreter(modules, ours) as started:
        yield started


@pytest.fixture
def goedgepickt_sandbox_options() -> dict[str, Any]:
    return {"orders": 230, "products": 40, "seed": 7}


@pytest.fixture
async def sandbox(goedgepickt_sandbox_options: dict[str, Any]) -> AsyncIterator[Sandbox]:
    """A sandbox in the test's own loop, without a throttle; `goedgepickt_sandbox` has its own thread."""
    options: dict[str, Any] = {"limit": None} | goedgepickt_sandbox_options
    async with Sandbox(**options) as running:
        yield running


@pytest.fixture
async def make_client() -> AsyncIterator[Callable[..., GoedGepickt]]:
    """Clients for a URL, closed at the end."""
    made: list[GoedGepickt] = []

    def make(url: str, key: str = "a-key", **options: Any) -> GoedGepickt:
        defaults: dict[str, Any] = {"budget": unlimited_budget(), "retry": QUICK, "timeout": 60}
        client = GoedGepickt(key, base_url=url, **(defaults | options))
        made.append(client)
        return client

    yield make
    for client in made:
        await client.close()


@pytest.fixture
def gg(sandbox: Sandbox, make_client: Callable[..., GoedGepickt]) -> GoedGepickt:
    """A client of the sandbox, which soon loses its patience."""
    return make_client(sandbox.url, sandbox.api_key, webshop_uuid=str(sandbox.world.webshops[0]["uuid"]))
