"""A sandbox that runs in a thread of its own, for tests and programs that are not asynchronous, or are elsewhere."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager

from goedgepickt_async.sandbox import Sandbox

__all__ = ["serving"]


@contextmanager
def serving(sandbox: Sandbox) -> Iterator[Sandbox]:
    """Run a sandbox in a thread for as long as the context lasts.

    Its world, its faults and its quirks may be changed from the calling thread between requests.

    Args:
        sandbox: One that is not started.

    Raises:
        OSError: It cannot listen on its port.
    """
    started: Future[asyncio.AbstractEventLoop] = Future()
    stopping = asyncio.Event()
    thread = threading.Thread(
        target=lambda: asyncio.run(_serve(sandbox, started, stopping)), name="a GoedGepickt sandbox", daemon=True
    )
    try:
        thread.start()
        started.result()
        yield sandbox
    finally:  # also if somebody lost patience before it had started
        started.add_done_callback(lambda _: _stop(started, stopping))
        if thread.is_alive():
            thread.join()


def _stop(started: Future[asyncio.AbstractEventLoop], stopping: asyncio.Event) -> None:
    if started.exception() is None:
        started.result().call_soon_threadsafe(stopping.set)


async def _serve(sandbox: Sandbox, started: Future[asyncio.AbstractEventLoop], stopping: asyncio.Event) -> None:
    try:
        await sandbox.start()
    except BaseException as error:  # noqa: BLE001  it is raised where the thread was started
        started.set_exception(error)
        return
    started.set_result(asyncio.get_running_loop())
    try:
        await stopping.wait()
    finally:
        await sandbox.close()
