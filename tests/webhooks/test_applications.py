"""The whole applications of docs/howto/webhooks.md, run as they stand: client, receiver and handlers in one program."""

import asyncio
import json
import os
import re
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from goedgepickt_async import GoedGepickt
from goedgepickt_async.sandbox import Sandbox
from goedgepickt_async.webhooks import sign
from tests.support.warm import Interpreter, Process

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "webhooks.md").read_text()
SECRET = "geheim"


def program(name: str) -> str:
    found = re.search(rf"<!--- name: {name} -->\n(?:<!--- skip[^\n]*-->\n)?```python\n(.*?)```", PAGE, re.DOTALL)
    assert found, name
    return found[1]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def running(warm: Interpreter, folder: Path, sandbox: Sandbox, *command: str) -> AsyncIterator[Process]:
    environment = {
        **os.environ,
        "GOEDGEPICKT_API_KEY": sandbox.api_key,
        "GOEDGEPICKT_BASE_URL": sandbox.url,
        "GOEDGEPICKT_BUDGET": "local",
        "GOEDGEPICKT_WEBHOOK_SECRETS": f"other,{SECRET}",
    }
    run = 'run_module("uvicorn"' if command[0] == "uvicorn" else f'run_path("{command[0]}"'
    code = f"import runpy, sys; sys.argv = {list(command)}; sys.path.insert(0, ''); runpy.{run}, run_name='__main__')"
    process = warm.start("-c", code, cwd=folder, env=environment, stderr=2)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(process.communicate)


async def delivered(url: str, body: bytes, secret: str = SECRET) -> int:
    """The status, once the application listens."""
    async with asyncio.timeout(120), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.post(url, data=body, headers={"Signature": sign(body, secret)}) as answer:
                    return answer.status
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.05)


async def lines(process: Process, number: int) -> set[str]:
    assert process.stdout is not None
    found: set[str] = set()
    while len(found) < number:
        line = (await asyncio.to_thread(process.stdout.readline)).decode().strip()
        if re.search(r" (is|has) ", line):
            found.add(line)
    return found


@pytest.mark.slow
async def test_the_applications_of_the_page_handle_deliveries(
    tmp_path: Path, sandbox: Sandbox, gg: GoedGepickt, warm: Interpreter
) -> None:
    async with asyncio.TaskGroup() as group:  # each waits five seconds for further events of its product
        for name in ("fastapi", "aiohttp", "django"):
            (folder := tmp_path / name).mkdir()
            group.create_task(handles_deliveries(name, folder, sandbox, gg, warm))


async def handles_deliveries(name: str, tmp_path: Path, sandbox: Sandbox, gg: GoedGepickt, warm: Interpreter) -> None:
    port = free_port()
    text = program(f"{name}-application").replace("port=8080", f"port={port}")
    module = "service" if name == "django" else "app"
    (tmp_path / f"{module}.py").write_text(text)
    target = "service:application" if name == "django" else "app:app"
    serve = ("app.py",) if name == "aiohttp" else ("uvicorn", target, "--port", str(port), "--log-level", "error")
    work = ("service.py", "work") if name == "django" else None
    product, order = await gg.products.list().first(), await gg.orders.list().first()
    assert product is not None
    assert order is not None
    stock = json.dumps({"event": "stockUpdated", "productUuid": product.uuid, "newStock": "1"}).encode()
    status = json.dumps(
        {"event": "orderStatusChanged", "orderUuid": order.uuid, "orderNumber": "S-1", "newStatus": "completed"}
    ).encode()
    url = f"http://127.0.0.1:{port}/webhooks"
    async with running(warm, tmp_path, sandbox, *serve) as server:
        assert await delivered(url, stock) == 200
        assert await delivered(url, status) == 200
        assert await delivered(url, status, "wrong") == 401
        if work is None:
            told = await lines(server, 2)
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"http://127.0.0.1:{port}/orders/{order.uuid}") as got,
            ):
                assert (await got.json())["status"] == order.status
        else:
            async with running(warm, tmp_path, sandbox, *work) as worker:
                told = await lines(worker, 2)
    assert told == {"S-1 is completed", f"{product.sku} has {product.stock.available if product.stock else None}"}
