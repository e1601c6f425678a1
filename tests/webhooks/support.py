"""What the tests of the webhooks share."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from goedgepickt_async.webhooks import WebhookReceiver, WebhookResponse, sign

SECRET = "geheim"


def body_of(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def stock(product: str = "p-1", level: object = "5", **more: Any) -> bytes:
    return body_of(event="stockUpdated", newStock=level, productSku="0012", productUuid=product, **more)


def order(uuid: str = "o-1", status: str = "completed") -> bytes:
    return body_of(event="orderStatusChanged", newStatus=status, orderNumber="S-1", orderUuid=uuid)


async def deliver(receiver: WebhookReceiver, body: bytes, secret: str = SECRET) -> WebhookResponse:
    return await receiver.receive(body, sign(body, secret))


async def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait until it holds; what is waited for is quick, the bound is for a machine that is busy."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  it may be anything
            await asyncio.sleep(0.005)


class Clock:
    """A clock that goes when told."""

    def __init__(self, now: float = 1_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now
