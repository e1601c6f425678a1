"""The aiohttp session of a client with tasks, event loops, threads and forks, and when it closes."""

import asyncio
import gc
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import pytest

from goedgepickt_async import (
    ClientClosedError,
    ConfigurationError,
    ConnectFailedError,
    Evidence,
    GoedGepickt,
    GoedGepicktError,
    Hooks,
    LocalBudget,
    OutcomeUnknownError,
    RetryPolicy,
)
from goedgepickt_async.sandbox import Sandbox, faults
from goedgepickt_async.testing import unlimited_budget
from tests.support.raw_server import Exchange, raw_server
from tests.support.tables import each_row
from tests.support.waiting import SAFETY, until

Make = Callable[..., GoedGepickt]


@pytest.fixture
def lasting_sandbox() -> Iterator[Sandbox]:
    """A sandbox in a separate event loop, for tests that run loops themselves."""
    loop = asyncio.new_event_loop()
    running = loop.run_until_complete(_started())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield running
    asyncio.run_coroutine_threadsafe(running.close(), loop).result(SAFETY)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(SAFETY)
    loop.close()


async def _started() -> Sandbox:
    sandbox = Sandbox(orders=3, products=3, limit=None)
    await sandbox.start()
    return sandbox


def client_of(sandbox: Sandbox, **options: Any) -> GoedGepickt:
    return GoedGepickt(sandbox.api_key, base_url=sandbox.url, budget=LocalBudget(10_000, 60), **options)


async def test_fifty_tasks_share_one_session(sandbox: Sandbox) -> None:
    async with client_of(sandbox) as client:
        opened = (await client._sender.pipeline.sessions.get()).http

        async def call() -> aiohttp.ClientSession:
            await client.request("GET", "/webshops")
            return (await client._sender.pipeline.sessions.get()).http

        sessions = await asyncio.gather(*(call() for _ in range(50)))
    assert set(sessions) == {opened}
    assert len(sandbox.requests) == 50
    assert len({recorded.connection for recorded in sandbox.requests}) <= 25


async def test_many_first_calls_at_the_same_time_open_one_session(sandbox: Sandbox) -> None:
    client = client_of(sandbox)
    await asyncio.gather(*(client.request("GET", "/webshops") for _ in range(20)))
    assert len(client._sender.pipeline.sessions._by_loop) == 1
    await client.close()


async def test_a_client_can_be_closed_twice_and_opened_again(sandbox: Sandbox) -> None:
    client = client_of(sandbox)
    await client.request("GET", "/webshops")
    await client.close()
    await client.close()
    async with client:
        await client.request("GET", "/webshops")
    await client.request("GET", "/webshops")
    await client.close()
    assert not client._sender.pipeline.sessions.open_here


def test_four_event_loops_in_four_threads_each_have_a_session(lasting_sandbox: Sandbox) -> None:
    client = client_of(lasting_sandbox)
    failures: list[BaseException] = []

    async def work() -> None:
        await asyncio.gather(*(client.request("GET", "/webshops") for _ in range(10)))

    def run() -> None:
        try:
            asyncio.run(work())
        except BaseException as exc:
            failures.append(exc)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SAFETY)
    assert not failures
    assert len(lasting_sandbox.requests) == 40
    assert not client._sender.pipeline.sessions.open_here  # each ended with its loop


def test_a_client_works_in_one_event_loop_after_another(lasting_sandbox: Sandbox) -> None:
    client = client_of(lasting_sandbox)
    for _ in range(3):
        asyncio.run(client.request("GET", "/webshops"))
    assert len(lasting_sandbox.requests) == 3


def test_close_reaches_the_sessions_of_other_running_loops(lasting_sandbox: Sandbox) -> None:
    client = client_of(lasting_sandbox)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(_use(client), loop).result(SAFETY)
    assert client._sender.pipeline.sessions.open_here
    asyncio.run(client.close())
    assert not client._sender.pipeline.sessions.open_here
    loop.call_soon_threadsafe(loop.stop)
    thread.join(SAFETY)
    loop.close()


async def _use(client: GoedGepickt) -> None:
    await client.request("GET", "/webshops")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_a_forked_child_opens_a_separate_session_and_keeps_the_parents_session_open(lasting_sandbox: Sandbox) -> None:
    client = client_of(lasting_sandbox)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(_use(client))
    connector = loop.run_until_complete(client._sender.pipeline.sessions.get()).http.connector
    connector._keepalive_timeout = 1e6  # type: ignore[union-attr]  # aiohttp closes a connection that is idle for 15 s
    child = os.fork()
    if child == 0:
        try:
            warnings.simplefilter("error")
            asyncio.run(_use_and_close(client))
            del client
            gc.collect()
            os._exit(0)
        except BaseException:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    loop.run_until_complete(_use_and_close(client))
    loop.close()
    connections = [recorded.connection for recorded in lasting_sandbox.requests]
    assert connections[0] == connections[2] != connections[1]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the test forks while threads run
def test_children_can_call_after_a_fork_while_threads_call(lasting_sandbox: Sandbox) -> None:
    """Threads open and close sessions all the time, so a fork can copy a pool that is partly changed."""
    client = client_of(lasting_sandbox)
    stop, started = threading.Event(), threading.Barrier(3)

    def work() -> None:
        started.wait()
        while not stop.is_set():
            asyncio.run(_use(client))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    started.wait()
    children = []
    for _ in range(6):
        child = os.fork()
        if child == 0:
            try:
                signal.alarm(300)  # a child that hangs ends after 300 seconds and the test fails
                asyncio.run(_use(client))
                os._exit(0)
            except BaseException:
                os._exit(1)
        children.append(child)
        asyncio.run(_use(client))
    stop.set()
    for thread in threads:
        thread.join()
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 6
    asyncio.run(client.close())


@each_row("borrowed", [True, False])
async def test_no_cookie_of_the_server_is_sent_back(borrowed: bool) -> None:
    """A cookie belongs to one key, and the next request may have another key."""

    async def answer(exchange: Exchange) -> None:
        await exchange.answer(b"{}", "200 OK", "Set-Cookie: session=of-the-first-key; Path=/")

    async with raw_server(answer) as server, aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        session = http if borrowed else None
        async with GoedGepickt("one", base_url=server.url, session=session, budget=unlimited_budget()) as gg:
            for client in (gg, gg.for_key("another"), gg):
                await client.request("GET", "/a")
                await client.request("POST", "/a", json={})
            async with http.get(server.url) as own:  # the user's own requests on their session keep their cookies
                await own.read()
        heads = [arrival.head.lower() for arrival in server.arrivals]
    assert len(heads) == 7
    assert not any("\r\ncookie:" in head for head in heads[:-1])
    assert ("\r\ncookie:" in heads[-1]) is borrowed


async def _use_and_close(client: GoedGepickt) -> None:
    await client.request("GET", "/webshops")
    await client.close()


async def test_a_client_that_is_not_closed_warns_with_the_place_of_its_creation(sandbox: Sandbox) -> None:
    client = client_of(sandbox)
    await client.orders.list().first()
    with pytest.warns(ResourceWarning, match=r"not closed; it was made at .*test_session\.py:\d+"):
        del client
    await asyncio.sleep(0)
    await asyncio.sleep(0.01)


def test_an_unused_client_gives_no_warning() -> None:
    client = GoedGepickt("key")
    del client
    gc.collect()


async def test_a_borrowed_session_is_used_and_never_closed(sandbox: Sandbox) -> None:
    seen: list[str] = []

    async def theirs(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        seen.append(request.method)
        return await handler(request)

    async with aiohttp.ClientSession(middlewares=(theirs,), headers={"X-Theirs": "1"}) as session:
        async with client_of(sandbox, session=session) as client:
            await client.request("GET", "/webshops")
            assert client.budget.snapshot().used == 1
        assert not session.closed
        async with session.get(sandbox.url + "/webshops", headers={"Accept": "application/json"}) as response:
            assert response.status == 401
    assert seen == ["GET", "GET"]
    assert sandbox.requests[0].headers["X-Theirs"] == "1"


@each_row("error", [KeyError("k"), RuntimeError("r"), UnicodeError("u")], ids=repr)
@each_row("after", [False, True], ids=["before", "after"])
async def test_an_error_in_the_code_of_a_borrowed_session_becomes_an_error_of_the_package(
    sandbox: Sandbox, error: Exception, after: bool
) -> None:
    async def theirs(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        if after:
            await handler(request)
        raise error

    async with aiohttp.ClientSession(middlewares=(theirs,)) as session:
        client = client_of(sandbox, session=session, retry=RetryPolicy(max_attempts=1))
        with pytest.raises(OutcomeUnknownError if after else ConnectFailedError) as caught:
            await client.request("POST", "/suppliers", json={})
        assert caught.value.evidence is (Evidence.UNKNOWN if after else Evidence.NOT_SENT)
        assert client.budget.snapshot().in_flight == 0
        assert type(error).__name__ in str(caught.value)


async def test_a_borrowed_session_that_is_closed_is_refused() -> None:
    session = aiohttp.ClientSession()
    await session.close()
    client = GoedGepickt("key", session=session, base_url="http://127.0.0.1:9/x")
    with pytest.raises(ConfigurationError, match="closed"):
        await client.request("GET", "/a")


async def test_closing_the_client_ends_running_calls_with_an_error_of_the_package(sandbox: Sandbox) -> None:
    sandbox.fail("*", "*", faults.NeverAnswer(), times=None)
    # With the server's counter, the second request would wait for the first response, or for three seconds.
    client = GoedGepickt(
        sandbox.api_key,
        base_url=sandbox.url,
        budget=LocalBudget(10_000, 60, use_server_counter=False),
        concurrency=2,
    )
    reads = [asyncio.create_task(client.request("GET", "/orders")) for _ in range(4)]
    write = asyncio.create_task(client.request("POST", "/orders", json={}))
    await until(lambda: len(sandbox.requests) == 2)
    await client.close()
    results = await asyncio.wait_for(asyncio.gather(*reads, write, return_exceptions=True), SAFETY)
    assert [type(result) for result in results[:4]] == [ClientClosedError] * 4
    assert isinstance(results[4], ClientClosedError | OutcomeUnknownError)
    assert not client._sender.pipeline.sessions.open_here
    assert client.budget.snapshot().in_flight == 0


async def test_closing_the_client_after_a_blocked_loop_raises_no_error(sandbox: Sandbox) -> None:
    sandbox.fail("*", "*", faults.NeverAnswer(), times=None)
    client = client_of(sandbox, timeout=0.05)
    call = asyncio.create_task(client.request("GET", "/orders"))
    await asyncio.sleep(0.04)
    time.sleep(0.1)  # noqa: ASYNC251  the timeout expires while the loop is blocked
    await client.close()
    with pytest.raises(GoedGepicktError):
        await call
    assert not client._sender.pipeline.sessions.open_here


def test_a_borrowed_session_of_another_event_loop_is_refused() -> None:
    loop = asyncio.new_event_loop()

    async def make() -> aiohttp.ClientSession:
        return aiohttp.ClientSession()

    session = loop.run_until_complete(make())
    client = GoedGepickt("key", session=session, base_url="http://127.0.0.1:9/x")
    with pytest.raises(ConfigurationError, match="another event loop"):
        asyncio.run(_use(client))
    loop.run_until_complete(session.close())
    loop.close()


def test_an_async_function_as_a_hook_is_refused() -> None:
    async def hook(_: object) -> None: ...

    with pytest.raises(ConfigurationError, match="plain function"):
        Hooks(retry=hook)


async def test_clients_with_other_options_or_keys_share_the_session_and_the_budget(sandbox: Sandbox) -> None:
    async with client_of(sandbox) as client:
        web = client.with_options(timeout=31, max_wait=1, lane="bulk")
        other = client.for_key("another-key", webshop_uuid="w")
        assert web.budget is client.budget is other.budget
        assert (web.settings.timeout, web.settings.max_wait, client.settings.timeout) == (31, 1, 30)
        assert other.settings.webshop_uuid == "w"
        await web.request("GET", "/webshops")
        await web.close()
        await client.request("GET", "/webshops")
    assert len({recorded.connection for recorded in sandbox.requests}) == 1


def test_clients_of_one_server_share_one_budget_by_default() -> None:
    one, other = GoedGepickt("a"), GoedGepickt("b", api="account")
    same = GoedGepickt("d", base_url="https://ACCOUNT.goedgepickt.nl.:443/api/v1")
    assert same.budget is one.budget
    elsewhere = GoedGepickt("c", base_url="http://127.0.0.1:9/x")
    assert one.budget is other.budget
    assert elsewhere.budget is not one.budget


@each_row(
    ("spelled", "kept"),
    [
        ("HTTPS://API.Example.test.:443/V1/", "https://api.example.test/V1"),
        ("https://api.example.test:8443", "https://api.example.test:8443"),
        ("http://[::1]:80/x", "http://[::1]/x"),
        ("http://127.0.0.1:443/", "http://127.0.0.1:443"),
    ],
)
def test_a_server_has_one_base_url_in_every_spelling(spelled: str, kept: str) -> None:
    assert GoedGepickt("k", base_url=spelled).settings.base_url == kept


@each_row(
    ("arguments", "hint"),
    [
        ({}, "GOEDGEPICKT_API_KEY"),
        ({"api_key": ""}, "API key is missing"),
        ({"api_key": "  \n"}, "API key is missing"),
        ({"api_key": "two words"}, "copy the whole key"),
        ({"api_key": '"quoted"'}, "copy the whole key"),
        ({"api_key": "'quoted'"}, "copy the whole key"),
        ({"api_key": 5}, "api_key must be text, not int"),
        ({"api_key": b"key"}, "api_key must be text, not bytes"),
        ({"api_key": "evil\r\nHost: x"}, "copy the whole key"),
        ({"api_key": "k", "api": "other"}, "fulfilment"),
        ({"api_key": "k", "base_url": "account.goedgepickt.nl"}, "base_url"),
        ({"api_key": "k", "base_url": "ftp://a.example.test"}, "base_url"),
        ({"api_key": "k", "base_url": "https://a..example.test"}, "with a host"),
        ({"api_key": "k", "base_url": f"https://{'a' * 64}.example.test"}, "with a host"),
        ({"api_key": "k", "base_url": "https://a.example.test:0"}, "with a host"),
        ({"api_key": "k", "base_url": "https://a.example.test/v 1"}, "without spaces"),
        ({"api_key": "k", "base_url": "https://é.example.test"}, "xn--"),
        ({"api_key": "k", "base_url": "http://user:pass@a.example.test"}, "user"),
        ({"api_key": "k", "base_url": "http://:s3cret@a.example.test/"}, "user"),
        ({"api_key": "k", "base_url": "http://a.example.test:bad/s3cret"}, "http or https URL"),
        ({"api_key": "k", "timeout": float("inf")}, "seconds"),
        ({"api_key": "k", "max_body": 0}, "max_body"),
        ({"api_key": "k", "max_body": "1"}, "max_body"),
        ({"api_key": "k", "retry": "x"}, "RetryPolicy"),
        ({"api_key": "k", "user_agent": "a\nb"}, "printable ASCII"),
        ({"api_key": "k", "webshop_uuid": 5}, "printable ASCII"),
        ({"api_key": "k", "concurrency": "5"}, "concurrency"),
        ({"api_key": "k", "timeout": 0}, "timeout"),
        ({"api_key": "k", "timeout": "5"}, "^timeout must be a number of seconds"),
        ({"api_key": "k", "connect_timeout": True}, "^connect_timeout must be a number of seconds"),
        ({"api_key": "k", "max_wait": -1}, "^max_wait must be a number of seconds"),
        ({"api_key": "k", "deadline": float("nan")}, "^deadline must be a number of seconds"),
        ({"api_key": "k", "session": "s3cret"}, "session must be an aiohttp.ClientSession"),
        ({"api_key": "k", "budget": 150}, "budget must be a budget, such as LocalBudget"),
        ({"api_key": "k", "hooks": print}, "hooks must be a Hooks"),
        ({"api_key": "k", "lane": "fast"}, "interactive"),
        ({"api_key": "k", "time_out": 5}, "time_out"),
        ({"api_key": "k", "concurrency": 0}, "concurrency"),
    ],
)
def test_a_bad_setting_is_refused_when_the_client_is_made(
    arguments: dict[str, Any], hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GOEDGEPICKT_API_KEY", raising=False)
    with pytest.raises(ConfigurationError, match=hint) as caught:
        GoedGepickt(**arguments)
    assert "s3cret" not in str(caught.value)


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOEDGEPICKT_API_KEY", " from-env \n")
    monkeypatch.setenv("GOEDGEPICKT_API", "account")
    monkeypatch.setenv("GOEDGEPICKT_WEBSHOP_UUID", "w")
    client = GoedGepickt()
    assert client.settings.api_key == "from-env"
    assert client.settings.base_url.endswith("/api/v1")
    assert client.settings.webshop_uuid == "w"
    assert "from-env" not in repr(client.settings)
    monkeypatch.setenv("GOEDGEPICKT_BASE_URL", "http://127.0.0.1:9/x/")
    assert GoedGepickt().settings.base_url == "http://127.0.0.1:9/x"
    with pytest.raises(ConfigurationError, match="GOEDGEPICKT_BASE_URL"):
        GoedGepickt(api="fulfilment")
    monkeypatch.setenv("GOEDGEPICKT_API", "acount")
    with pytest.raises(ConfigurationError, match="acount"):
        GoedGepickt()


@pytest.mark.parametrize("ending", ["", "/"])
async def test_a_slash_at_the_end_of_the_base_url_does_not_matter(
    sandbox: Sandbox, make_client: Make, ending: str
) -> None:
    client = make_client(sandbox.url + ending, sandbox.api_key)
    assert (await client.request("GET", "webshops")).status == 200
