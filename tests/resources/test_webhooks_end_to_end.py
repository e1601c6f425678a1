"""From a write of the client to a handler of its own: subscribed, delivered, verified, disturbed on the way."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from goedgepickt_async import GoedGepickt, WebhookEvent
from goedgepickt_async.sandbox import Sandbox
from goedgepickt_async.webhooks import OrderStatusChanged, StockUpdated, WebhookReceiver, aiohttp_handler
from tests.resources.test_resources import new_order
from tests.support.waiting import SAFETY, until


class Door:
    """A server on a free port whose receiver comes once its secrets are known."""

    def __init__(self) -> None:
        self.url = ""
        self.receiver: WebhookReceiver | None = None

    async def handle(self, request: web.Request) -> web.Response:
        return web.Response(status=503) if self.receiver is None else await aiohttp_handler(self.receiver)(request)


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    door = Door()
    app = web.Application()
    app.router.add_post("/hooks", door.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    door.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hooks"
    yield door
    await runner.cleanup()


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(orders=230, products=40, seed=7, limit=None, delivery_pace=0.001) as running:
        yield running


@pytest.mark.parametrize("copies", [1, 3])
async def test_what_the_client_writes_comes_back_verified(
    gg: GoedGepickt, sandbox: Sandbox, door: Door, copies: int
) -> None:
    sandbox.deliveries.copies = copies
    subscribed = await gg.webhooks.ensure(door.url, list(WebhookEvent))
    heard: list[OrderStatusChanged | StockUpdated] = []
    receiver = WebhookReceiver(subscribed.secrets, dedup_window=0.01)
    receiver.on(OrderStatusChanged, StockUpdated)(heard.append)
    async with receiver:
        product = await gg.products.list().first()
        assert product is not None
        order = await gg.orders.create(new_order("S-1001"))
        await gg.stock.mutate(product.uuid, -1, reason="damaged")
        await until(lambda: any(delivery.attempts for delivery in sandbox.deliveries))  # before anybody is there
        door.receiver = receiver
        await asyncio.wait_for(sandbox.deliveries.settled(), SAFETY)
        await until(lambda: {OrderStatusChanged, StockUpdated} <= {type(event) for event in heard})
    assert {delivery.state for delivery in sandbox.deliveries} == {"delivered"}
    assert any(len(delivery.attempts) > 1 for delivery in sandbox.deliveries)
    told = next(event for event in heard if isinstance(event, OrderStatusChanged))
    assert (told.order_uuid, told.order_number) == (order.uuid, "S-1001")
    assert told.new_status == (await gg.orders.get(order.uuid)).status
    stock = [event for event in heard if isinstance(event, StockUpdated) and event.product_uuid == product.uuid]
    now = await gg.products.get(product.uuid)
    assert now.stock is not None
    assert stock[-1].new_stock == now.stock.free_stock


async def test_what_somebody_else_signed_is_not_heard_and_the_subscription_is_given_up(
    gg: GoedGepickt, sandbox: Sandbox, door: Door
) -> None:
    await gg.webhooks.ensure(door.url, WebhookEvent.PRODUCT_STOCK_CHANGED)
    receiver = WebhookReceiver("another secret")
    heard: list[StockUpdated] = []
    receiver.on(StockUpdated)(heard.append)
    async with receiver:
        door.receiver = receiver
        product = await gg.products.list().first()
        assert product is not None
        await gg.stock.mutate(product.uuid, -1)
        await asyncio.wait_for(sandbox.deliveries.settled(), SAFETY)
    assert heard == []
    assert [attempt.status for attempt in sandbox.deliveries[0].attempts] == [401] * 10
    assert sandbox.deliveries.disabled == {sandbox.deliveries[0].webhook_uuid}
