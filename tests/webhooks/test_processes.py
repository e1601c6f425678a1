"""Processes that are killed or stopped during the work, and processes that share an inbox."""

import asyncio
import os
import signal
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from goedgepickt_async import ConfigurationError
from goedgepickt_async.webhooks import SqliteInbox, StockUpdated, WebhookReceiver, sign
from goedgepickt_async.webhooks.inbox.sqlite import default_inbox_path
from goedgepickt_async.webhooks.server import DeliveryServer, serve
from tests.support.warm import Interpreter, Process
from tests.webhooks.support import SECRET, stock, until

pytestmark = pytest.mark.slow

ROUTE = "StockUpdated:main.<locals>.handle"


Start = Callable[..., AbstractAsyncContextManager[tuple[Process, str]]]


@pytest.fixture
def a_process(warm: Interpreter, tmp_path: Path) -> Start:
    """Starts a receiver; its process and URL."""

    @asynccontextmanager
    async def start(seconds: float = 0.0, *, lease: float = 1.0) -> AsyncIterator[tuple[Process, str]]:
        arguments = [str(tmp_path / "inbox"), str(tmp_path / "handled"), str(seconds), str(lease)]
        worker = warm.start("-m", "tests.webhooks.serving_worker", *arguments, cwd=tmp_path, env=os.environ)
        assert worker.stdout is not None
        try:
            yield worker, (await asyncio.to_thread(worker.stdout.readline)).decode().strip()
        finally:
            worker.kill()
            await asyncio.to_thread(worker.communicate)

    return start


def handled(tmp_path: Path, name: str = "handled") -> Counter[str]:
    file = tmp_path / name
    return Counter(file.read_text().split()) if file.exists() else Counter()


async def begun(tmp_path: Path) -> None:
    """Until a handler has begun."""
    await until(lambda: handled(tmp_path, "handled.begun"))


async def send(session: aiohttp.ClientSession, url: str, product: str) -> bool:
    """As the service does: whether the answer was exactly 200."""
    body = stock(product)
    try:
        async with session.post(url, data=body, headers={"Signature": sign(body, SECRET)}) as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


async def test_nothing_accepted_is_lost_when_the_process_is_killed(tmp_path: Path, a_process: Start) -> None:
    accepted: set[str] = set()
    async with aiohttp.ClientSession() as session:
        for start in range(3):
            seconds = 0.05 if start < 2 else 3600  # the last is killed before any handler's end
            async with a_process(seconds) as (process, url):

                async def bombard(lane: int, start: int = start, url: str = url) -> None:
                    number = 0
                    while await send(session, url, product := f"p-{start}-{lane}-{number}"):
                        accepted.add(product)
                        number += 1

                bombarding = asyncio.gather(*map(bombard, range(8)))
                want = 100 * (start + 1)
                await until(lambda want=want: len(accepted) >= want)  # type: ignore[misc]
                process.kill()
                await bombarding
    assert set(handled(tmp_path)) != accepted, "some were killed between the answer and the handler's end"
    async with a_process():
        await until(lambda: accepted <= set(handled(tmp_path)))
    assert accepted <= set(handled(tmp_path))
    assert len(accepted) >= 300


async def test_two_processes_on_one_inbox_share_the_work_and_do_it_once(tmp_path: Path, a_process: Start) -> None:
    products = {f"p-{number}" for number in range(120)}
    async with (
        aiohttp.ClientSession() as session,
        a_process(0.01, lease=600) as (_, one),
        a_process(0.01, lease=600) as (_, other),
    ):
        sent = await asyncio.gather(*(send(session, (one, other)[len(p) % 2], p) for p in sorted(products)))
        assert all(sent)
        await until(lambda: set(handled(tmp_path)) == products)
    assert handled(tmp_path) == Counter(products)
    assert handled(tmp_path, "handled.begun") == Counter(products)


async def test_the_other_process_takes_over_what_a_killed_one_had_claimed(tmp_path: Path, a_process: Start) -> None:
    async with aiohttp.ClientSession() as session:
        async with a_process(seconds=3600) as (process, url):
            assert await send(session, url, "p-1")
            await begun(tmp_path)
            process.kill()
        async with a_process():
            await until(lambda: handled(tmp_path) == {"p-1": 1})


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_it_in_good_order(tmp_path: Path, a_process: Start, number: signal.Signals) -> None:
    async with aiohttp.ClientSession() as session, a_process(seconds=0.1) as (process, url):
        assert await send(session, url, "p-1")
        await begun(tmp_path)
        process.send_signal(number)
        assert await asyncio.to_thread(process.communicate) == (b"stopped: 0 running\n", b"")
        assert process.wait() == 0
    assert handled(tmp_path) == {"p-1": 1}


async def test_a_second_signal_stops_it_immediately_and_loses_nothing(tmp_path: Path, a_process: Start) -> None:
    async with aiohttp.ClientSession() as session, a_process(seconds=3600) as (process, url):
        assert await send(session, url, "p-1")
        await begun(tmp_path)
        process.send_signal(signal.SIGTERM)
        while await send(session, url, "p-1"):  # noqa: ASYNC110  until the first has been seen: it listens no longer
            await asyncio.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait) == 0
    inbox = SqliteInbox(tmp_path / "inbox")
    assert len(await inbox.claim([ROUTE], limit=1, lease=1, wait=0)) == 1, "it was handed back, and is due at once"
    await inbox.close()


# -- run, in this process ---------------------------------------------------------------------------------------


async def test_run_serves_until_it_is_cancelled_and_its_inbox_is_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unused_port: int
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    for product in ("p-1", "p-2"):
        receiver = WebhookReceiver(SECRET)
        seen: list[StockUpdated] = []
        receiver.on(StockUpdated)(seen.append)
        urls: list[str] = []
        running = asyncio.create_task(receiver.run(port=unused_port, ready=urls.append))
        await until(lambda: urls or running.done())  # noqa: B023  it is awaited here
        async with aiohttp.ClientSession() as session:
            assert await send(session, urls[0], product)
            async with session.post(urls[0] + "elsewhere") as answer:
                assert answer.status == 404
        await until(lambda: seen)  # noqa: B023
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    place = default_inbox_path(unused_port)
    assert place.is_relative_to(tmp_path)
    assert place.stat().st_mode & 0o077 == 0


async def test_a_second_signal_while_the_server_stops_stops_the_handlers_too(tmp_path: Path) -> None:
    class StopsForever(DeliveryServer):
        async def __aexit__(self, *error: object) -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            try:
                await asyncio.Event().wait()
            finally:
                await super().__aexit__(None, None, None)

    receiver = WebhookReceiver(SECRET, inbox=SqliteInbox(tmp_path / "inbox"), grace=3600)
    begun = asyncio.Event()

    @receiver.on(StockUpdated)
    async def handle(_: StockUpdated) -> None:
        begun.set()
        await asyncio.Event().wait()

    running = asyncio.create_task(serve(receiver, StopsForever(receiver._endpoint), None))
    body = stock()
    assert (await receiver.receive(body, sign(body, SECRET))).status == 200
    await begun.wait()
    os.kill(os.getpid(), signal.SIGTERM)
    await running
    inbox = SqliteInbox(tmp_path / "inbox")
    route = f"StockUpdated:{handle.__qualname__}"
    assert len(await inbox.claim([route], limit=1, lease=1, wait=0)) == 1, "it was handed back"
    await inbox.close()


async def test_run_says_when_it_cannot_listen(tmp_path: Path, unused_port: int) -> None:
    server = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", unused_port)
    async with server:
        with pytest.raises(ConfigurationError, match="cannot listen"):
            await WebhookReceiver(SECRET, inbox=SqliteInbox(tmp_path / "i")).run(port=unused_port)
    with pytest.raises(ConfigurationError, match="inbox"):
        await WebhookReceiver(SECRET).run(port=0)


@pytest.fixture
async def unused_port() -> int:
    server = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port


async def test_a_file_of_another_version_is_left_alone(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "i")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    receiver = WebhookReceiver(SECRET, inbox=SqliteInbox(tmp_path / "i"))
    receiver.on(StockUpdated)(print)
    body = stock()
    assert (await receiver.receive(body, sign(body, SECRET))).status == 503
