"""Functions of the user's that end in a way of their own."""

import asyncio
from typing import Any

import pytest

from goedgepickt_async.webhooks import Event, FailedDelivery, HandlerRetry, WebhookReceiver
from tests.webhooks.support import SECRET, deliver, stock, until


async def _cancelled_from_within(_: Any) -> None:
    raise asyncio.CancelledError


def _cancelled_in_a_thread(_: Any) -> None:
    raise asyncio.CancelledError


@pytest.mark.parametrize("handler", [_cancelled_from_within, _cancelled_in_a_thread])
async def test_a_handler_that_awaits_what_was_cancelled_has_failed(handler: Any) -> None:
    receiver = WebhookReceiver(SECRET, retry=HandlerRetry(attempts=3, base=0.001))
    failed: list[FailedDelivery] = []
    receiver.on(Event)(handler)
    receiver.on_error(_cancelled_from_within)  # nor does a hook like that keep it from being given up
    receiver.on_error(failed.append)
    async with receiver:
        await deliver(receiver, stock())
        await until(lambda: failed)
    assert [(one.attempts, type(one.error).__name__) for one in failed] == [(3, "RuntimeError")]
    assert receiver.snapshot().given_up == 1


async def test_a_handler_that_is_cancelled_while_it_stops_is_handed_back_all_the_same() -> None:
    receiver = WebhookReceiver(SECRET, grace=0.0)
    begun = asyncio.Event()
    errors: list[FailedDelivery] = []

    @receiver.on(Event)
    async def hang(_: Event) -> None:
        begun.set()
        await asyncio.Event().wait()

    receiver.on_error(errors.append)
    async with receiver:
        await deliver(receiver, stock())
        await begun.wait()
    assert (errors, receiver.snapshot().retried) == ([], 0)
