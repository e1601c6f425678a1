"""The adapters in the real frameworks, served on a real socket, and what they must not do.

The frameworks are imported late: it takes as long as the tests, and each process of pytest-xdist collects this file.
"""
# ruff: noqa: PLC0415

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from goedgepickt_async.webhooks import (
    Event,
    StockUpdated,
    WebhookReceiver,
    aiohttp_handler,
    django_view,
    sign,
    starlette_endpoint,
)
from goedgepickt_async.webhooks.receiver import _length
from tests.support.tables import each_row
from tests.webhooks.support import SECRET, stock, until

Served = Callable[[WebhookReceiver], Any]
HOOK = "/hooks/goedgepickt"


@asynccontextmanager
async def on_aiohttp(receiver: WebhookReceiver) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post(HOOK, aiohttp_handler(receiver))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}{HOOK}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def on_uvicorn(app: Any, lifespan: Any = "off") -> AsyncIterator[str]:
    import uvicorn

    config = uvicorn.Config(app, port=0, log_config=None, lifespan=lifespan, access_log=False)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server._serve())
    await until(lambda: server.started or serving.done())
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}{HOOK}"
    finally:
        server.should_exit = True
        await serving


def on_starlette(receiver: WebhookReceiver) -> Any:
    from starlette.applications import Starlette
    from starlette.routing import Route

    route = Route(HOOK, starlette_endpoint(receiver), methods=["POST"])
    return on_uvicorn(Starlette(routes=[route]))


def on_fastapi(receiver: WebhookReceiver) -> Any:
    import fastapi

    app = fastapi.FastAPI()
    app.add_route(HOOK, starlette_endpoint(receiver), methods=["POST"])
    return on_uvicorn(app)


urlpatterns: list[Any] = []


def on_django(receiver: WebhookReceiver) -> Any:
    import django
    from django.conf import settings
    from django.core.asgi import get_asgi_application
    from django.urls import clear_url_caches, path

    if not settings.configured:
        settings.configure(
            ROOT_URLCONF=__name__,
            ALLOWED_HOSTS=["*"],
            SECRET_KEY="for tests",
            MIDDLEWARE=["django.middleware.common.CommonMiddleware", "django.middleware.csrf.CsrfViewMiddleware"],
            LOGGING_CONFIG=None,
        )
        sys.modules.setdefault(__name__, sys.modules[on_django.__module__])
        django.setup()
    urlpatterns[:] = [path(HOOK[1:], django_view(receiver))]
    clear_url_caches()
    return on_uvicorn(get_asgi_application())


FRAMEWORKS = [on_aiohttp, on_starlette, on_fastapi, on_django]


@pytest.fixture(params=FRAMEWORKS, ids=lambda served: served.__name__)
def served(request: Any) -> Served:
    chosen: Served = request.param
    return chosen


@asynccontextmanager
async def a_receiver(served: Served, **options: Any) -> AsyncIterator[tuple[str, aiohttp.ClientSession, list[Any]]]:
    receiver = WebhookReceiver(SECRET, **options)
    seen: list[Any] = []
    receiver.on(Event)(seen.append)
    async with receiver, served(receiver) as url, aiohttp.ClientSession() as session:
        yield url, session, seen


async def post(session: aiohttp.ClientSession, url: str, data: Any, signature: str | None) -> tuple[int, str]:
    headers = {} if signature is None else {"signature": signature}
    async with session.post(url, data=data, headers=headers) as answer:
        return answer.status, await answer.text()


async def test_the_raw_bytes_are_handed_over_and_the_answer_is_exactly_200(served: Served) -> None:
    body = b'{ "event":"stockUpdated",\n"newStock":"5", "productSku":"caf\\u00e9\\/\xc3\xa9", "productUuid":"p-1"}'
    async with a_receiver(served) as (url, session, seen):
        assert await post(session, url, body, sign(body, SECRET)) == (200, "accepted")
        assert (await post(session, url, b'"unknown"', sign(b'"unknown"', SECRET)))[0] == 200
        await until(lambda: len(seen) == 2)
    assert StockUpdated(product_uuid="p-1", product_sku="café/é", new_stock=5) in seen


async def test_what_is_refused_is_refused_by_its_status(served: Served) -> None:
    large = b"x" * 262_145
    async with a_receiver(served) as (url, session, seen):
        assert (await post(session, url, stock(), None))[0] == 401
        assert (await post(session, url, stock(), "0" * 64))[0] == 401
        assert (await post(session, url, b"{", sign(b"{", SECRET)))[0] == 400
        assert (await post(session, url, large, sign(large, SECRET)))[0] == 413
        async with session.get(url) as answer:
            assert answer.status == 405
    assert seen == []


async def test_a_body_over_the_cap_without_a_length_is_a_413(served: Served) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 20_000

    async with a_receiver(served) as (url, session, _):
        assert (await post(session, url, chunks(), "0" * 64))[0] == 413


async def test_a_body_within_the_cap_may_come_in_chunks(served: Served) -> None:
    body = stock(more="x" * 200_000)

    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, len(body), 1000):
            yield body[at : at + 1000]

    async with a_receiver(served) as (url, session, seen):
        assert (await post(session, url, chunks(), sign(body, SECRET)))[0] == 200
        await until(lambda: seen)


async def test_odd_headers_and_broken_bodies_never_make_a_500(served: Served) -> None:
    async with a_receiver(served) as (url, _, _seen):
        port = int(url.split(":")[2].split("/")[0])
        start = f"POST {HOOK} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n".encode()
        for rest in (
            b"Signature: \xff\xfe\r\nContent-Length: 2\r\n\r\n{}",
            b"Signature: a\r\nSignature: b\r\nContent-Length: 2\r\n\r\n{}",
            b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n{}\r\n0\r\n\r\n",
            b"Content-Type: application/json; charset=utf-16\r\nContent-Length: 2\r\n\r\n{}",
            b"Content-Type: multipart/form-data\r\nContent-Length: 2\r\n\r\n{}",
        ):
            status = await raw(port, start + rest)
            assert status in {400, 401}, rest


async def raw(port: int, request: bytes) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    line = await asyncio.wait_for(reader.readline(), 120)
    writer.close()
    await writer.wait_closed()
    return int(line.split()[1])


async def test_a_slow_handler_does_not_slow_the_answer(served: Served) -> None:
    go_on = asyncio.Event()
    receiver = WebhookReceiver(SECRET, grace=0.0)

    @receiver.on(StockUpdated)
    async def wait(_: StockUpdated) -> None:
        await go_on.wait()

    async with receiver, served(receiver) as url, aiohttp.ClientSession() as session:
        for number in range(20):
            body = stock(f"p-{number}")
            assert (await post(session, url, body, sign(body, SECRET)))[0] == 200


@each_row(("header", "length"), [("9" * 5000, 10**20 - 1), ("75", 75), ("-1", None), ("", None)])
def test_any_content_length_is_read_or_left_out(header: str, length: int | None) -> None:
    assert _length(header) == length


@pytest.mark.slow
def test_importing_the_webhooks_imports_no_framework() -> None:
    code = (
        "import sys, goedgepickt_async.webhooks;"
        "print(*{'aiohttp', 'starlette', 'fastapi', 'django', 'redis'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""


async def test_fastapi_takes_the_endpoint_as_a_path_operation_too() -> None:
    import fastapi

    app = fastapi.FastAPI()
    receiver = WebhookReceiver(SECRET)
    app.post(HOOK)(starlette_endpoint(receiver))
    async with receiver, on_uvicorn(app) as url, aiohttp.ClientSession() as session:
        assert (await post(session, url, stock(), sign(stock(), SECRET)))[0] == 200
