"""The task that owns all deliveries under way, from the sandbox's start to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from goedgepickt_async.sandbox.deliveries.record import Delivery
from goedgepickt_async.sandbox.deliveries.sender import WebhookSender

__all__ = ["Rounds"]

Carry = Callable[[Delivery, WebhookSender], Coroutine[Any, Any, None]]


class Rounds:
    """Has each delivery carried in a task of its own; all of them end with it.

    Args:
        carry: Does the work on one delivery.
        sender: Makes what it works with.
    """

    def __init__(self, carry: Carry, sender: Callable[[], WebhookSender]) -> None:
        self._carry = carry
        self._courier = sender
        self._queue: asyncio.Queue[Delivery] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._run(), name="webhook deliveries of a sandbox")

    def put(self, delivery: Delivery) -> None:
        """Have a delivery carried; the world may be changed from any thread."""
        self._loop.call_soon_threadsafe(self._queue.put_nowait, delivery)

    async def wait(self, something: asyncio.Event) -> None:
        """Wait for something that happens in the deliveries' event loop; also from another one, in another thread."""
        if asyncio.get_running_loop() is self._loop:
            await something.wait()
            return
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_happened(something), self._loop))

    async def close(self) -> None:
        """End all that is under way, and wait for that."""
        self._task.cancel()
        await asyncio.wait([self._task])
        if not self._task.cancelled():
            self._task.result()  # it cannot have ended well

    async def _run(self) -> None:
        async with self._courier() as sender, asyncio.TaskGroup() as group:
            while True:
                delivery = await self._queue.get()
                group.create_task(self._carry(delivery, sender))


async def _happened(something: asyncio.Event) -> None:
    await something.wait()
