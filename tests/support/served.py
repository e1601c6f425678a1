"""A sandbox that runs in a thread of its own, for commands that take the main thread (and its signals)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from goedgepickt_async.sandbox import Sandbox


@contextmanager
def served(**options: Any) -> Iterator[Sandbox]:
    """A running sandbox; its world and its faults may be changed from the calling thread between requests."""
    started, stopping = threading.Event(), asyncio.Event()
    made: list[tuple[Sandbox, asyncio.AbstractEventLoop]] = []

    async def serve() -> None:
        async with Sandbox(**options) as sandbox:
            made.append((sandbox, asyncio.get_running_loop()))
            started.set()
            await stopping.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert started.wait(10)
        yield made[0][0]
    finally:
        if made:
            made[0][1].call_soon_threadsafe(stopping.set)
        thread.join(10)
    assert not thread.is_alive()
