"""Handlers that are cancelled, or do not end."""

import asyncio
import contextlib
import threading
from typing import Any

import pytest

from goedgepickt_async import ConfigurationError
from goedgepickt_async.webhooks import (
    Event,
    FailedDelivery,
    HandlerRetry,
    OrderStatusChanged,
    StockUpdated,
    WebhookReceiver,
)
from goedgepickt_async.webhooks.handlers import HandlerExecutor, HandlerTimeoutError
from tests.support.tables import each_row
from tests.support.waiting import SAFETY
from tests.webhooks.support import SECRET, deliver, order, stock, until


async def _cancelled_from_within(_: Any) -> None:
    raise asyncio.CancelledError


def _cancelled_in_a_thread(_: Any) -> None:
    raise asyncio.CancelledError


@each_row("handler", [_cancelled_from_within, _cancelled_in_a_thread])
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


async def test_a_handler_that_is_cancelled_while_it_stops_is_handed_back() -> None:
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


# -- handlers that hang -------------------------------------------------------------------------------------------


async def _hangs(_: Any) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("kind", ["async", "plain", "ignores"])
async def test_handlers_that_hang_time_out_and_do_not_stop_the_others(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("goedgepickt_async.webhooks.handlers._CANCEL_TIMEOUT", 0.01)
    end = threading.Event()

    async def ignores_its_cancellation(_: Any) -> None:
        while not end.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.01)

    hanging = {"async": _hangs, "plain": lambda _: end.wait(SAFETY), "ignores": ignores_its_cancellation}[kind]
    receiver = WebhookReceiver(
        SECRET, retry=HandlerRetry(attempts=1, base=0.001), concurrency=10, handler_timeout=0.1, grace=0.1
    )
    failed: list[FailedDelivery] = []
    fine: list[Any] = []
    receiver.on(OrderStatusChanged, name="hangs")(hanging)
    receiver.on(StockUpdated, name="fine", timeout=SAFETY)(fine.append)
    receiver.on_error(failed.append)
    async with receiver:
        for number in range(12):
            await deliver(receiver, order(f"o-{number}"))
        await deliver(receiver, stock())
        await until(lambda: fine)
        await until(lambda: len(failed) == 12)
        end.set()
    assert {type(one.error) for one in failed} == {HandlerTimeoutError}
    assert receiver.snapshot().timed_out == 12
    assert len(await receiver.inbox.failed()) == 12  # type: ignore[attr-defined]


async def test_a_handler_can_have_its_own_timeout() -> None:
    receiver = WebhookReceiver(SECRET, retry=HandlerRetry(attempts=1), handler_timeout=3600)
    failed: list[FailedDelivery] = []
    receiver.on(StockUpdated, timeout=0.05)(_hangs)
    receiver.on_error(failed.append)
    async with receiver:
        await deliver(receiver, stock())
        await until(lambda: failed)
    with pytest.raises(ConfigurationError, match="timeout"):
        receiver.on(StockUpdated, timeout=0)


async def test_plain_handlers_that_hang_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("goedgepickt_async.webhooks.handlers._MAX_LEFT_BEHIND", 3)
    executor, end = HandlerExecutor(), threading.Event()
    for _ in range(3):
        with pytest.raises(HandlerTimeoutError):
            await executor.call(end.wait, 60, timeout=0.01)
    with pytest.raises(RuntimeError, match="still running"):
        await executor.call(end.wait, 60, timeout=0.01)
    end.set()
    await until(lambda: not executor._left_behind)
    assert await executor.call(end.wait, 60, timeout=SAFETY)
