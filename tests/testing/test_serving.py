"""A sandbox in a separate thread."""

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
    """The number of threads that serve a sandbox. Other threads can start and end at any time."""
    return sum(thread.name == "a GoedGepickt sandbox" for thread in threading.enumerate())


def ask(sandbox: Sandbox, path: str) -> int:
    request = urllib.request.Request(sandbox.url + path, headers={"Authorization": f"Bearer {sandbox.api_key}"})
    with urllib.request.urlopen(request, timeout=SAFETY) as response:
        return int(response.status)


def test_a_sandbox_serves_plain_code_and_its_thread_ends_with_the_context() -> None:
    before = sandboxes()
    with serving(Sandbox(orders=3, limit=None)) as sandbox:
        assert ask(sandbox, "/orders") == 200
        assert sandboxes() == before + 1
        port = sandbox.port
    assert sandboxes() == before
    assert [recorded.path for recorded in sandbox.requests] == ["/orders"]
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), 5)


def test_the_thread_of_a_sandbox_ends_when_the_code_inside_fails() -> None:
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


def test_a_port_in_use_raises_an_error_in_the_thread_that_starts_the_sandbox() -> None:
    before = sandboxes()
    with serving(Sandbox(orders=3)) as first:
        with pytest.raises(OSError, match="in use"), serving(Sandbox(orders=3, port=first.port)):
            raise AssertionError("it runs")
        assert sandboxes() == before + 1
    assert sandboxes() == before


async def test_a_change_from_another_thread_is_delivered_and_settled_waits_for_it(
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
        await sandbox.deliveries.settled()  # the sandbox has ended, so no delivery is in progress
