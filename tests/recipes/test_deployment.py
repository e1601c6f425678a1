"""The files of docs/howto/deployment: the services run without containers, and share one limit."""

import asyncio
import contextlib
import os
import re
import shlex
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from subprocess import DEVNULL, Popen

import aiohttp
import pytest

from goedgepickt_async import GoedGepickt
from goedgepickt_async.sandbox import Sandbox
from goedgepickt_async.testing import order_status_changed, signed_delivery
from tests.support.warm import Interpreter, Process

FILES = Path(__file__).parents[2] / "docs" / "howto" / "deployment"
COMPOSE = (FILES / "compose.yaml").read_text("utf-8")
COMMANDS = dict(re.findall(r"^  (\w+):\n    <<: \*common\n    command: (.+)$", COMPOSE, re.MULTILINE))


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


async def status(session: aiohttp.ClientSession, method: str, url: str, **options: object) -> int:
    """The status, once the service listens and is not busy."""
    while True:
        with contextlib.suppress(aiohttp.ClientConnectionError):  # the service closes idle connections too
            async with session.request(method, url, **options) as response:  # type: ignore[arg-type]
                await response.read()
                if response.status != 503:  # on a slow machine a request waits for more than `max_wait`
                    return response.status
                if method == "GET":  # the response names the wait: at most until all slots are free
                    assert 1 <= int(response.headers["Retry-After"]) <= 92
        await asyncio.sleep(0.05)


SCRIPT = """
import runpy
import sys

sys.path.insert(0, "")
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def start(command: str, env: dict[str, str], warm: Interpreter) -> Process | Popen[bytes]:
    """A service. What starts its own processes has a new interpreter; the others are forked."""
    program, *arguments = shlex.split(command)
    if program == "uvicorn":
        return Popen([sys.executable, "-m", program, *arguments], cwd=FILES, env=env, stdout=DEVNULL)
    python = ("-c", SCRIPT) if program == "python" else ("-m", "goedgepickt_async")
    return warm.start(*python, *arguments, cwd=FILES, env=env, stderr=2)


@asynccontextmanager
async def running(command: str, env: dict[str, str], warm: Interpreter) -> AsyncIterator[Process | Popen[bytes]]:
    process = start(command, env, warm)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(process.communicate)


@pytest.mark.slow
async def test_web_workers_receiver_and_nightly_export_share_one_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warm: Interpreter
) -> None:
    assert sorted(COMMANDS) == ["nightly", "receiver", "web"]
    (tmp_path / "budget").mkdir(mode=0o700)
    web, port = free_port(), free_port()
    places = {"/data": str(tmp_path), "0.0.0.0": "127.0.0.1", "8000": web}
    commands = {
        name: re.sub("|".join(map(re.escape, places)), lambda found: places[found[0]], command)
        for name, command in COMMANDS.items()
    }
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(asyncio.timeout(300))
        sandbox = await stack.enter_async_context(Sandbox(orders=310, products=20))
        budget = re.search(r"GOEDGEPICKT_BUDGET: (\S+)", COMPOSE)
        assert budget
        variables = {
            "GOEDGEPICKT_API_KEY": sandbox.api_key,
            "GOEDGEPICKT_BASE_URL": sandbox.url,
            "GOEDGEPICKT_BUDGET": budget[1].replace("/var/lib/goedgepickt", str(tmp_path / "budget")),
            "GOEDGEPICKT_WEBHOOK_SECRETS": "geheim",
            "INBOX": str(tmp_path / "webhooks.sqlite3"),
            "HOST": "127.0.0.1",
            "PORT": port,
            "PYTHONPATH": str(FILES.parents[2]),
            "UVICORN_TIMEOUT_WORKER_HEALTHCHECK": "300",  # it would kill workers that start slowly
        }
        services = {
            name: await stack.enter_async_context(running(command, os.environ | variables, warm))
            for name, command in commands.items()
        }
        session = await stack.enter_async_context(aiohttp.ClientSession())
        delivery = signed_delivery(order_status_changed(order_uuid=sandbox.world.orders[0]["uuid"]), "geheim")
        statuses = await asyncio.gather(
            *(status(session, "GET", f"http://127.0.0.1:{web}/stock/SB-00000") for _ in range(40)),
            status(session, "POST", f"http://127.0.0.1:{port}/webhooks", data=delivery.body, headers=delivery.headers),
        )
        assert set(statuses) == {200}
        printed = services["receiver"].stdout
        assert printed is not None
        assert sandbox.world.orders[0]["uuid"].encode() in await asyncio.to_thread(printed.readline)
        assert await asyncio.to_thread(services["nightly"].wait) == 0
        assert len((tmp_path / "orders.jsonl").read_bytes().splitlines()) == 310
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        async with GoedGepickt() as gg:
            await gg.webshops.list().first()
            used = gg.budget.snapshot().used
        recent = [request for request in sandbox.requests if sandbox.requests[-1].at - request.at < 50]
        assert len(recent) <= used <= len(sandbox.requests)  # slots stay in use for 61 s
        assert len(list((tmp_path / "budget").glob("*.state"))) == 1
        assert sandbox.throttled == 0


def test_every_service_of_every_file_names_the_budget() -> None:
    for file in FILES.glob("*.service"):
        assert "GOEDGEPICKT_BUDGET=host:/var/lib/goedgepickt" in file.read_text("utf-8"), file
    kubernetes = (FILES / "kubernetes.yaml").read_text("utf-8")
    assert kubernetes.count("secretRef: {name: goedgepickt}") == kubernetes.count("image:") == 2
