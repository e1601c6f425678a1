"""The `webhooks trigger` command: makes something happen in a sandbox that it reports as an event."""

from __future__ import annotations

import uuid
from urllib.parse import urlsplit

from goedgepickt_async import GoedGepickt, ProductType
from goedgepickt_async.cli.connect import ServerOptions, connect
from goedgepickt_async.cli.errors import CommandError, Exit, UsageError, info
from goedgepickt_async.cli.webhooks.listen import demo_order
from goedgepickt_async.cli.webhooks.options import SendOptions, checked_url
from goedgepickt_async.cli.webhooks.recording import signing_secrets
from goedgepickt_async.cli.webhooks.send import deliver, end_of, print_attempt
from goedgepickt_async.sandbox import Sandbox
from goedgepickt_async.sandbox.deliveries import WebhookSender, sign
from goedgepickt_async.webhooks import EVENTS

__all__ = ["trigger"]

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


async def trigger(event: str, url: str | None, server: ServerOptions) -> int:
    """Change an order or a product in a sandbox.

    Args:
        event: What the sandbox is to report.
        url: With the embedded sandbox, where it delivers.
        server: Which sandbox.

    Returns:
        The exit code.

    Raises:
        CommandError: It was not delivered.
        UsageError: There is no such event, or it is not a sandbox.
    """
    server.check()
    if event not in EVENTS:
        raise UsageError(f"there is no event {event!r}; there are {', '.join(EVENTS)}")
    if server.sandbox:
        if url is None:
            raise UsageError("with --sandbox, say with --to where it delivers, such as http://127.0.0.1:8080/webhooks")
        return await _in_an_embedded_sandbox(event, checked_url(url), server)
    if url is not None:
        raise UsageError("--to is for --sandbox; a sandbox that runs delivers to its subscriptions")
    async with connect(server) as connection:
        base_url = connection.client.settings.base_url
        if urlsplit(base_url).hostname not in _LOOPBACK:
            raise UsageError("trigger changes orders and stock, so it is for a sandbox on this machine: --base-url")
        info(f"{await _change(connection.client, event)}; the sandbox delivers it to its subscriptions")
    return Exit.DONE


async def _in_an_embedded_sandbox(event: str, url: str, server: ServerOptions) -> int:
    """The sandbox says what it reports; it is sent from here, since the receiver does not know the sandbox's secrets."""
    secret = signing_secrets()[0]
    seed = 1 if server.sandbox_seed is None else server.sandbox_seed
    orders, products = server.sandbox_orders or 10, server.sandbox_products or 100
    async with Sandbox(orders=orders, products=products, seed=seed, limit=None) as sandbox:
        sandbox.deliveries.hold()
        async with GoedGepickt(sandbox.api_key, base_url=sandbox.url) as client:
            subscription = EVENTS[event].subscription
            assert subscription is not None, "all known events can be subscribed to"
            await client.webhooks.ensure(url, subscription)
            info(await _change(client, event))
        body = next(delivery.body for delivery in sandbox.deliveries if delivery.event == event)
    options = SendOptions()
    async with WebhookSender(timeout=options.timeout) as sender:
        signature = sign(body, secret.reveal())
        return end_of(await deliver(sender, url, body, signature, options, tell=print_attempt))


async def _change(client: GoedGepickt, event: str) -> str:
    """Change what the event is about; what was changed, in words."""
    if EVENTS[event].resource == "order":
        webshop = await client.webshops.list().first()
        if webshop is None:
            raise CommandError("the sandbox has no webshop")
        order = await client.orders.create(demo_order(f"TRIGGER-{uuid.uuid4().hex[:8]}", webshop.uuid))
        return f"order {order.order_id or order.uuid} was created"
    wanted = ProductType.PARENT if event.startswith("compound") else ProductType.NORMAL
    async for product in client.products.list():
        if product.type == wanted:
            await client.stock.mutate(product.uuid, 1, reason="trigger")
            return f"the stock of product {product.sku} changed by 1"
    raise CommandError(f"the sandbox has no product of the type {wanted}")
