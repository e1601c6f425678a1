"""Serves the recipes of docs/howto/web-backends.md, each in its framework, all on one small budget."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import uvicorn
from aiohttp import web

from goedgepickt_async import HostBudget
from goedgepickt_async.sandbox import Sandbox
from tests.recipes.pages import block, blocks, module

PAGE = "web-backends.md"
ROOT = Path(__file__).parents[2]
LIMIT = 60
"""Requests in the sandbox's window, and in the budget's."""
PERIOD = 600.0
"""Seconds. No window ends during a test, also on a slow machine."""

Serve = Callable[[Sandbox, Path], AbstractAsyncContextManager[str]]


def a_budget(folder: Path) -> HostBudget:
    """The budget that the recipe under test and the test's own clients share."""
    return HostBudget(LIMIT, PERIOD, name="recipe", directory=folder)


@asynccontextmanager
async def on_fastapi(sandbox: Sandbox, folder: Path) -> AsyncIterator[str]:
    app = module(folder, "app", blocks(PAGE, "answers", "fastapi")).create_app(
        api_key=sandbox.api_key, base_url=sandbox.url, budget=a_budget(folder)
    )
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, access_log=False))
    serving = asyncio.create_task(server._serve())
    try:
        async with asyncio.timeout(240):
            while not server.started:
                assert not serving.done()
                await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving


@asynccontextmanager
async def on_aiohttp(sandbox: Sandbox, folder: Path) -> AsyncIterator[str]:
    app = module(folder, "app", blocks(PAGE, "answers", "aiohttp")).create_app(
        api_key=sandbox.api_key, base_url=sandbox.url, budget=a_budget(folder)
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def on_django(sandbox: Sandbox, folder: Path) -> AsyncIterator[str]:
    write_django_project(folder)
    async with uvicorn_process("asgi:application", sandbox, folder) as url:
        yield url


def write_django_project(folder: Path) -> None:
    """The modules that the page names, and the settings that a project has anyway."""
    client = block(PAGE, "django-client")
    made = "gg = GoedGepickt()\n"
    assert made in client
    budget = f"HostBudget({LIMIT}, {PERIOD}, name='recipe', directory={str(folder)!r})"
    client = client.replace(made, f"from goedgepickt_async import HostBudget\n\ngg = GoedGepickt(budget={budget})\n")
    views = "from answers import GoedGepicktError, answer_to\nfrom client import visitors\n" + block(
        PAGE, "django-views"
    )
    settings = "ROOT_URLCONF = 'urls'\nALLOWED_HOSTS = ['*']\nSECRET_KEY = 'for tests'\nUSE_TZ = True\n"
    modules = {
        "answers": block(PAGE, "answers"),
        "client": client,
        "views": views,
        "urls": "from django.urls import include, path\n\nurlpatterns = [path('', include('views'))]\n",
        "asgi": block(PAGE, "django-asgi"),
        "settings": settings,
    }
    for name, code in modules.items():
        (folder / f"{name}.py").write_text(code, "utf-8")


@asynccontextmanager
async def uvicorn_process(
    app: str, sandbox: Sandbox, folder: Path, *options: str, workers: int = 1
) -> AsyncIterator[str]:
    """Uvicorn in a separate process, in Python's development mode; it must end without a word of complaint."""
    environment = (
        os.environ
        | {
            "DJANGO_SETTINGS_MODULE": "settings",
            "GOEDGEPICKT_API_KEY": sandbox.api_key,
            "GOEDGEPICKT_BASE_URL": sandbox.url,
            "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
            "PYTHONMALLOC": "pymalloc",  # the development mode would also check the memory of C code, at a quarter of the time
        }
    )
    process = await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            "-X",
            "dev",
            "-m",
            "uvicorn",
            app,
            "--port",
            "0",
            "--no-access-log",
            *options,
            "--workers",
            str(workers),
        ),
        env=environment,
        cwd=folder,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    said: list[str] = []
    try:
        async with asyncio.timeout(240):
            url = await _where_it_runs(process.stderr, said, workers)
        yield url
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(240):
            said.append((await process.stderr.read()).decode())
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    assert _complaints("".join(said), url) == [], "".join(said)


def _complaints(said: str, url: str) -> list[str]:
    """The lines that tell of trouble, except for the parent's own listening socket, which uvicorn does not close."""
    own = f"laddr=('127.0.0.1', {url.rpartition(':')[2]})>"
    lines = re.findall(r".*(?:Warning|Error|Traceback|unclosed).*", said)
    return [line for line in lines if own not in line and "Enable tracemalloc" not in line]


async def _where_it_runs(log: asyncio.StreamReader, said: list[str], workers: int) -> str:
    """The URL that uvicorn's log names, once all of its workers have started; before, the port is closed."""
    url, started = None, 0
    while url is None or started < workers:
        line = (await log.readline()).decode()
        said.append(line)
        assert line, "".join(said)
        started += "Application startup complete" in line
        if found := re.search(r"running on (http://\S+)", line):
            url = found[1]
    return url
