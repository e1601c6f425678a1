"""What the tests of the webhooks share."""

import json
from typing import Any

from goedgepickt_async.webhooks import WebhookReceiver, WebhookResponse, sign
from tests.support.waiting import until

__all__ = ["SECRET", "Clock", "body_of", "deliver", "order", "stock", "until"]

SECRET = "geheim"


def body_of(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def stock(product: str = "p-1", level: object = "5", **more: Any) -> bytes:
    return body_of(event="stockUpdated", newStock=level, productSku="0012", productUuid=product, **more)


def order(uuid: str = "o-1", status: str = "completed") -> bytes:
    return body_of(event="orderStatusChanged", newStatus=status, orderNumber="S-1", orderUuid=uuid)


async def deliver(receiver: WebhookReceiver, body: bytes, secret: str = SECRET) -> WebhookResponse:
    return await receiver.receive(body, sign(body, secret))


class Clock:
    """A clock that goes when told."""

    def __init__(self, now: float = 1_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now
