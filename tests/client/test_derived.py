"""Clients of `with_options` and `for_key`: what they share, what they close, and which retry quota they use."""

import asyncio
import copy
import gc
import os
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import aiohttp.web
import pytest

from goedgepickt_async import ConfigurationError, GoedGepickt, LocalBudget, RetryPolicy, ServerError
from goedgepickt_async.sandbox import Sandbox, faults
from goedgepickt_async.testing import serving

Make = Callable[..., GoedGepickt]


def client_of(sandbox: Sandbox, **options: Any) -> GoedGepickt:
    return GoedGepickt(
        sandbox.api_key, base_url=sandbox.url, budget=LocalBudget(10_000, 60, use_server_counter=False), **options
    )


def is_open(client: GoedGepickt) -> bool:
    return client._sender.pipeline.sessions.open_here


@pytest.mark.slow
async def test_a_block_of_a_derived_client_alone_closes_the_session_at_the_end(sandbox: Sandbox) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        async with client_of(sandbox).with_options(timeout=50).for_key(sandbox.api_key) as client:
            await client.request("GET", "/webshops")
            assert is_open(client)
        assert not is_open(client)
        del client
        gc.collect()


async def test_a_derived_client_inside_the_block_of_its_parent_leaves_the_session_open(sandbox: Sandbox) -> None:
    async with client_of(sandbox) as parent:
        async with parent.with_options(timeout=50) as derived:
            await derived.request("GET", "/webshops")
        assert is_open(parent)
        await parent.request("GET", "/webshops")
    assert not is_open(parent)
    assert len({recorded.connection for recorded in sandbox.requests}) == 1


async def test_a_derived_client_leaves_the_session_open_that_its_parent_has_opened(sandbox: Sandbox) -> None:
    parent = client_of(sandbox)
    await parent.request("GET", "/webshops")
    async with parent.with_options(timeout=50) as derived:
        await derived.request("GET", "/webshops")
    assert is_open(parent)
    await parent.close()


async def test_a_derived_client_does_not_end_calls_on_a_borrowed_session(sandbox: Sandbox) -> None:
    release = asyncio.Event()

    class Held:
        async def play(self, exchange: faults.Exchange) -> aiohttp.web.StreamResponse:
            answer = await exchange.answer()
            await release.wait()
            return exchange.reply(answer)

    sandbox.fail("GET", "/orders", Held())
    async with aiohttp.ClientSession() as session:
        parent = client_of(sandbox, session=session)
        call = asyncio.create_task(parent.request("GET", "/orders"))
        while not sandbox.requests:  # noqa: ASYNC110  no event reports the arrival
            await asyncio.sleep(0.005)
        async with parent.with_options(timeout=50) as derived:
            await derived.request("GET", "/webshops")
        assert not call.done()
        release.set()
        assert (await call).status == 200


async def test_the_last_of_several_blocks_closes_the_session(sandbox: Sandbox) -> None:
    parent = client_of(sandbox)
    first, second = parent.with_options(timeout=50), parent.with_options(timeout=60)
    await first.__aenter__()
    await second.__aenter__()
    await first.__aexit__(None, None, None)
    assert is_open(parent)
    await second.request("GET", "/webshops")
    await second.__aexit__(None, None, None)
    assert not is_open(parent)


async def test_a_block_does_not_close_a_session_that_its_parent_opened_again(sandbox: Sandbox) -> None:
    parent = client_of(sandbox)
    async with parent.with_options(timeout=50):
        await parent.close()
        await parent.request("GET", "/webshops")
    assert is_open(parent)
    await parent.close()


async def test_a_block_that_ends_after_the_block_of_its_parent_closes_its_session(sandbox: Sandbox) -> None:
    parent = client_of(sandbox)
    derived = parent.with_options(timeout=50)
    async with parent:
        await derived.__aenter__()
    assert not is_open(parent)
    await derived.request("GET", "/webshops")
    await derived.__aexit__(None, None, None)
    assert not is_open(parent)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")  # because of the thread of the sandbox
def test_a_block_in_a_forked_child_closes_the_session_of_the_child() -> None:
    with serving(Sandbox(orders=1, limit=None)) as sandbox:
        parent = client_of(sandbox)
        loop = asyncio.new_event_loop()
        loop.run_until_complete(parent.__aenter__())
        child = os.fork()
        if child == 0:
            try:
                asyncio.run(_use_in_a_block(parent.with_options(timeout=50)))
                os._exit(0)
            except BaseException:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        loop.run_until_complete(parent.__aexit__(None, None, None))
        loop.close()


async def _use_in_a_block(client: GoedGepickt) -> None:
    async with client:
        await client.request("GET", "/webshops")
    if is_open(client):  # the loop's end would close it too
        os._exit(1)


async def failing_attempts(client: GoedGepickt, sandbox: Sandbox) -> int:
    sandbox.requests.clear()
    with pytest.raises(ServerError):
        await client.request("GET", "/webshops")
    return len(sandbox.requests)


async def test_a_client_is_copied_as_a_derived_client_and_cannot_be_pickled(sandbox: Sandbox) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        async with client_of(sandbox) as client:
            assert await copy.copy(client).webshops.list().collect() == await client.webshops.list().collect()
            gc.collect()
            assert is_open(client)
            for thing in (client, client.orders, client.bulk, client.orders.get):
                with pytest.raises(TypeError, match="make one client in each process"):
                    pickle.dumps(thing)


def test_clients_that_a_subclass_derives_have_its_attributes() -> None:
    class Shop(GoedGepickt):
        def __init__(self, name: str) -> None:
            super().__init__("key", budget=LocalBudget())
            self.name = name

    shop = Shop("Voorbeeld")
    assert [client.name for client in (shop.with_options(timeout=60), shop.for_key("other"))] == [shop.name] * 2  # type: ignore[attr-defined]
    assert shop.for_key("other").settings.api_key == "other"


async def test_clients_with_quotas_of_different_sizes_do_not_share_a_quota(sandbox: Sandbox, make_client: Make) -> None:
    sandbox.fail("GET", "/webshops", faults.Status(500), times=None)
    policy = {"base": 0.001, "cap": 0.01, "max_attempts": 4}
    client = make_client(sandbox.url, sandbox.api_key, retry=RetryPolicy(quota=3, **policy))  # type: ignore[arg-type]
    none = client.with_options(retry=RetryPolicy(quota=0, **policy))  # type: ignore[arg-type]
    ample = client.with_options(retry=RetryPolicy(quota=100, **policy))  # type: ignore[arg-type]
    assert await failing_attempts(none, sandbox) == 1
    assert [await failing_attempts(client, sandbox) for _ in range(2)] == [4, 1]
    assert [await failing_attempts(ample, sandbox) for _ in range(2)] == [4, 4]


async def test_clients_with_quotas_of_the_same_size_share_one_quota(sandbox: Sandbox, make_client: Make) -> None:
    sandbox.fail("GET", "/webshops", faults.Status(500), times=None)
    policy = RetryPolicy(quota=3, base=0.001, cap=0.01)
    client = make_client(sandbox.url, sandbox.api_key, retry=policy)
    assert await failing_attempts(client.with_options(timeout=40), sandbox) == 4
    assert await failing_attempts(client.for_key(sandbox.api_key), sandbox) == 1


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # newer versions of aiohttp advise against auth=
async def test_a_borrowed_session_with_credentials_is_refused_and_the_error_names_auth(
    sandbox: Sandbox,
) -> None:
    async with aiohttp.ClientSession(auth=aiohttp.BasicAuth("somebody", "s3cret")) as session:
        client = client_of(sandbox, session=session)
        with pytest.raises(ConfigurationError, match="auth=") as caught:
            await client.request("GET", "/webshops")
    assert "s3cret" not in str(caught.value)
    assert len(sandbox.requests) == 0


async def test_the_key_replaces_credentials_from_netrc(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password s3cret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    async with aiohttp.ClientSession(trust_env=True) as session:
        assert (await client_of(sandbox, session=session).request("GET", "/webshops")).status == 200


async def test_the_key_replaces_an_authorization_header_of_a_borrowed_session(sandbox: Sandbox) -> None:
    async with aiohttp.ClientSession(headers={"Authorization": "Basic c29tZWJvZHk6czNjcmV0"}) as session:
        assert (await client_of(sandbox, session=session).request("GET", "/webshops")).status == 200
