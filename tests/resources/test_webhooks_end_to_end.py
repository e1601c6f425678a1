"""From a write of the client to a handler in the same program: subscribed, delivered, verified, and with faults."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from goedgepickt_async import GoedGepickt, WebhookEvent
from goedgepickt_async.sandbox import Sandbox
from goedgepickt_async.webhooks import OrderStatusChanged, StockUpdated, WebhookReceiver, aiohttp_handler
from tests.resources.test_resources import new_order
from tests.support.waiting import SAFETY, until


class Endpoint:
    """A server on a free port. It gets its receiver when the secrets are known."""

    def __init__(self) -> None:
        self.url = ""
        self.receiver: WebhookReceiver | None = None

    async def handle(self, request: web.Request) -> web.Response:
        return web.Response(status=503) if self.receiver is None else await aiohttp_handler(self.receiver)(request)


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    endpoint = Endpoint()
    app = web.Application()
    app.router.add_post("/hooks", endpoint.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    endpoint.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hooks"
    yield endpoint
    await runner.cleanup()


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(orders=230, products=40, seed=7, limit=None, delivery_pace=0.001) as running:
        yield running


@pytest.mark.parametrize("copies", [1, 3])
async def test_writes_of_the_client_are_received_as_verified_events(
    gg: GoedGepickt, sandbox: Sandbox, endpoint: Endpoint, copies: int
) -> None:
    sandbox.deliveries.copies = copies
    subscribed = await gg.webhooks.ensure(endpoint.url, list(WebhookEvent))
    received: list[OrderStatusChanged | StockUpdated] = []
    receiver = WebhookReceiver(subscribed.secrets, dedup_window=0.01)
    receiver.on(OrderStatusChanged, StockUpdated)(received.append)
    async with receiver:
        product = await gg.products.list().first()
        assert product is not None
        order = await gg.orders.create(new_order("S-1001"))
        await gg.stock.mutate(product.uuid, -1, reason="damaged")
        await until(lambda: any(delivery.attempts for delivery in sandbox.deliveries))  # before there is a receiver
        endpoint.receiver = receiver
        await asyncio.wait_for(sandbox.deliveries.settled(), SAFETY)
        await until(lambda: {OrderStatusChanged, StockUpdated} <= {type(event) for event in received})
    assert {delivery.state for delivery in sandbox.deliveries} == {"delivered"}
    assert any(len(delivery.attempts) > 1 for delivery in sandbox.deliveries)
    changed = next(event for event in received if isinstance(event, OrderStatusChanged))
    assert (changed.order_uuid, changed.order_number) == (order.uuid, "S-1001")
    assert changed.new_status == (await gg.orders.get(order.uuid)).status
    stock = [event for event in received if isinstance(event, StockUpdated) and event.product_uuid == product.uuid]
    now = await gg.products.get(product.uuid)
    assert now.stock is not None
    assert stock[-1].new_stock == now.stock.free_stock


async def test_deliveries_with_another_secret_are_refused_until_the_subscription_is_disabled(
    gg: GoedGepickt, sandbox: Sandbox, endpoint: Endpoint
) -> None:
    await gg.webhooks.ensure(endpoint.url, WebhookEvent.PRODUCT_STOCK_CHANGED)
    receiver = WebhookReceiver("another secret")
    received: list[StockUpdated] = []
    receiver.on(StockUpdated)(received.append)
    async with receiver:
        endpoint.receiver = receiver
        product = await gg.products.list().first()
        assert product is not None
        await gg.stock.mutate(product.uuid, -1)
        await asyncio.wait_for(sandbox.deliveries.settled(), SAFETY)
    assert received == []
    assert [attempt.status for attempt in sandbox.deliveries[0].attempts] == [401] * 10
    assert sandbox.deliveries.disabled == {sandbox.deliveries[0].webhook_uuid}
