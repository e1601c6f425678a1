"""A sandbox in a thread of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import threading
import urllib.request
from collections.abc import Callable

import pytest

from goedgepickt_async import GoedGepickt
from goedgepickt_async.sandbox import Sandbox
from goedgepickt_async.testing import serving
from tests.support.receiver import receiving
from tests.support.waiting import SAFETY, until


def sandboxes() -> int:
    """Threads that serve one; others come and go as they like."""
    return sum(thread.name == "a GoedGepickt sandbox" for thread in threading.enumerate())


def ask(sandbox: Sandbox, path: str) -> int:
    request = urllib.request.Request(sandbox.url + path, headers={"Authorization": f"Bearer {sandbox.api_key}"})
    with urllib.request.urlopen(request, timeout=SAFETY) as answer:
        return int(answer.status)


def test_it_serves_plain_code_and_ends_with_its_thread() -> None:
    before = sandboxes()
    with serving(Sandbox(orders=3, limit=None)) as sandbox:
        assert ask(sandbox, "/orders") == 200
        assert sandboxes() == before + 1
        port = sandbox.port
    assert sandboxes() == before
    assert [recorded.path for recorded in sandbox.requests] == ["/orders"]
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), 5)


def test_it_ends_also_when_the_code_inside_fails() -> None:
    before = sandboxes()
    with pytest.raises(ZeroDivisionError), serving(Sandbox(orders=3)):
        raise ZeroDivisionError
    assert sandboxes() == before


class InterruptedAtStart(Sandbox):
    """A sandbox whose start sends Ctrl-C to the process until the main thread is interrupted.

    A signal that comes just before the main thread waits for a lock does not end this wait: the next one does.
    """

    def __init__(self, interrupted: threading.Event) -> None:
        super().__init__(orders=3)
        self.interrupted = interrupted

    async def start(self) -> None:
        def is_interrupted() -> bool:
            if not self.interrupted.is_set():
                os.kill(os.getpid(), signal.SIGINT)
            return self.interrupted.is_set()

        await until(is_interrupted)
        await super().start()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other signals")
def test_the_thread_ends_when_ctrl_c_comes_before_the_start_is_complete() -> None:
    before, interrupted = sandboxes(), threading.Event()

    def on_interrupt(*_: object) -> None:
        if not interrupted.is_set():
            interrupted.set()
            raise KeyboardInterrupt

    previous = signal.signal(signal.SIGINT, on_interrupt)
    try:
        with pytest.raises(KeyboardInterrupt), serving(InterruptedAtStart(interrupted)):
            raise AssertionError("the sandbox must not start")
    finally:
        signal.signal(signal.SIGINT, previous)
    assert sandboxes() == before


def test_a_port_that_is_taken_is_told_where_it_was_started() -> None:
    before = sandboxes()
    with serving(Sandbox(orders=3)) as first:
        with pytest.raises(OSError, match="in use"), serving(Sandbox(orders=3, port=first.port)):
            raise AssertionError("it runs")
        assert sandboxes() == before + 1
    assert sandboxes() == before


async def test_deliveries_of_changes_from_another_thread_are_made_and_can_be_waited_for(
    make_client: Callable[..., GoedGepickt],
) -> None:
    async with receiving() as receiver:
        with serving(Sandbox(orders=20, limit=None)) as sandbox:
            shop = sandbox.world.webshops[0]
            gg = make_client(sandbox.url, sandbox.api_key, webshop_uuid=shop["uuid"])
            await gg.webhooks.create("order.statusChanged", receiver.url)
            order = next(row for row in sandbox.world.orders if row["webshopName"] == shop["name"])
            for turn in range(1, 21):
                sandbox.world.set_order_status(order["uuid"], "on_hold" if turn % 2 else "open")
                await asyncio.wait_for(sandbox.deliveries.settled(), SAFETY)
                assert len(receiver.came) == turn
        await sandbox.deliveries.settled()  # nothing runs any more, so nothing is in progress
