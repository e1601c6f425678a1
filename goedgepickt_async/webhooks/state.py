"""Looks at the present state of what an event is about, and gives a handler that."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from goedgepickt_async.errors import ConfigurationError, NotFoundError
from goedgepickt_async.webhooks.calling import Threads
from goedgepickt_async.webhooks.events import AnyEvent, OrderStatusChanged

__all__ = ["Client", "look_at_order", "look_at_product"]

Act = Callable[[AnyEvent], Awaitable[None]]
Handler = Callable[..., Any]


class Reads(Protocol):
    """Reads one thing by its uuid."""

    async def get(self, uuid: str) -> Any: ...


class Client(Protocol):
    """What is needed of a client; `GoedGepickt` is one. Both give a `Reads`; type checkers see no cached property so."""

    @property
    def products(self) -> Any: ...

    @property
    def orders(self) -> Any: ...


def look_at_product(
    client: Callable[[], Client | None], handler: Handler, gone: Handler | None, threads: Threads
) -> Act:
    """What to do on an event of a product: get it, and call the handler with it."""

    async def act(event: AnyEvent) -> None:
        uuid: str = event.product_uuid  # type: ignore[union-attr]  # the route is for such events only
        await _look(_reads(client).products, uuid, handler, gone, threads)

    return act


def look_at_order(client: Callable[[], Client | None], handler: Handler, gone: Handler | None, threads: Threads) -> Act:
    """What to do on an event of an order: get it, and call the handler with it."""

    async def act(event: AnyEvent) -> None:
        assert isinstance(event, OrderStatusChanged), "the route is for such events only"
        await _look(_reads(client).orders, event.order_uuid, handler, gone, threads)

    return act


def _reads(client: Callable[[], Client | None]) -> Client:
    found = client()
    if found is None:
        raise ConfigurationError("to look at products and orders, a webhook receiver needs client=")
    return found


async def _look(reads: Reads, uuid: str, handler: Handler, gone: Handler | None, threads: Threads) -> None:
    try:
        found = await reads.get(uuid)
    except NotFoundError:
        if gone is not None:
            await threads.call(gone, uuid)
        return
    await threads.call(handler, found)
