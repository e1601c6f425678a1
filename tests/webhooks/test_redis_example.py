"""The inbox of docs/howto/webhooks.md that lives in Redis, in a real one."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from goedgepickt_async.webhooks import HandlerRetry, InboxEntry, StockUpdated, WebhookReceiver
from tests.support.redis_server import RedisServer, needs_redis, redis_server
from tests.webhooks.support import SECRET, deliver, stock, until

pytestmark = needs_redis

DOCS = Path(__file__).parent.parent.parent / "docs" / "howto" / "webhooks.md"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
async def inbox(server: RedisServer) -> AsyncIterator[Any]:
    namespace: dict[str, Any] = {}
    code = re.search(r"name: redis-inbox -->\n```python\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    assert code is not None
    exec(code[1], namespace)
    redis = Redis.from_url(server.url, decode_responses=True)
    await redis.flushall()
    made = namespace["RedisInbox"](redis, poll=0.01)
    yield made
    await made.close()


async def test_a_receiver_works_on_it(inbox: Any) -> None:
    receiver = WebhookReceiver(SECRET, inbox=inbox, retry=HandlerRetry(attempts=3, base=0.01))
    seen: list[StockUpdated] = []
    failed: list[StockUpdated] = []

    @receiver.on(StockUpdated)
    async def handle(event: StockUpdated) -> None:
        if event.product_uuid == "p-3" and not failed:
            failed.append(event)
            raise ValueError
        seen.append(event)

    async with receiver:
        for number in range(20):
            assert (await deliver(receiver, stock(f"p-{number}"))).status == 200
        await until(lambda: len(seen) == 20)
        await until(lambda: receiver.snapshot().running == 0)
        assert await inbox.waiting(receiver._handlers) == 0
    assert len(failed) == 1


async def test_it_drops_what_waits_and_keeps_what_comes_while_its_equal_is_handled(inbox: Any) -> None:
    entry = InboxEntry(handler="r", ordering_key="t", dedup_key="k", body=b"{}")
    options = {"limit": 10, "lease": 60.0, "wait": 0.0}
    assert [await inbox.put([entry]) for _ in range(3)] == [1, 0, 0]
    (one,) = await inbox.claim(["r"], **options)
    assert (one.entry, one.attempt) == (entry, 1)
    await inbox.put([entry])
    assert await inbox.claim(["r"], **options) == []
    await inbox.finish(one)
    (again,) = await inbox.claim(["r"], **options)
    await inbox.finish(again)
    assert await inbox.waiting(["r"]) == 0
    assert await inbox.redis.keys() == []


async def test_what_is_not_finished_in_its_lease_is_anybodys(inbox: Any) -> None:
    await inbox.put([InboxEntry(handler="r", ordering_key="later", dedup_key="k", body=b"{}", delay=3600)])
    assert await inbox.claim(["r"], limit=1, lease=0.05, wait=0.0) == []
    await inbox.put([InboxEntry(handler="r", ordering_key="t", dedup_key="k", body=b"{}", delay=0.05)])
    for attempt in (1, 2):
        (one,) = await inbox.claim(["r"], limit=2, lease=0.05, wait=240.0)
        assert (one.entry.ordering_key, one.attempt) == ("t", attempt)
    await inbox.give_up(one, reason="x")
    await asyncio.sleep(0.1)
    assert await inbox.claim(["r"], limit=1, lease=1.0, wait=0.0) == []
