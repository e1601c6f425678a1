"""Running sandboxes for tests: in a thread, or on a virtual clock; their clients and budgets."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, Final

from goedgepickt_async.budget import LocalBudget
from goedgepickt_async.client import GoedGepickt
from goedgepickt_async.sandbox import Sandbox
from goedgepickt_async.settings import RetryPolicy
from goedgepickt_async.testing.clock import ClockBudget, VirtualClock

__all__ = [
    "VirtualClock",
    "check",
    "client_of",
    "fitting_budget",
    "is_asynchronous",
    "running",
    "serving",
    "unlimited_budget",
]


@contextmanager
def serving(sandbox: Sandbox) -> Iterator[Sandbox]:
    """A context manager that runs a sandbox in a thread.

    Between requests, the calling thread can change its world, faults and quirks.

    Args:
        sandbox: A sandbox that is not started.

    Raises:
        OSError: The port cannot be used.
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
    finally:  # also when the start was interrupted
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


_QUICK: Final = RetryPolicy(base=0.001, cap=0.01)
"""Retries that hardly pause: they do so in real time."""

_AMPLE: Final = 1_000_000

_OPTIONS: Final = frozenset(inspect.signature(Sandbox).parameters) - {"clock"}


def unlimited_budget(clock: VirtualClock | None = None) -> LocalBudget:
    """Return a budget without a practical limit.

    Args:
        clock: The clock; the budget can be used in its event loop only. Without a clock, a 429 of a fault pauses it for
            five seconds at most.
    """
    if clock is None:
        return LocalBudget(_AMPLE, 1.0, safety_margin=0.0, use_server_counter=False)
    return ClockBudget(clock, _AMPLE, 60.0, use_server_counter=False)


@contextmanager
def running(options: Mapping[str, Any], clock: VirtualClock | None) -> Iterator[Sandbox]:
    """A sandbox that runs in a thread, or on a clock while the clock runs something."""
    if clock is None:
        with serving(Sandbox(**options)) as sandbox:
            yield sandbox
        return
    sandbox = Sandbox(**options, clock=clock.time)
    clock.run(sandbox.start())
    try:
        yield sandbox
    finally:
        clock.run(sandbox.close())


def check(options: Mapping[str, Any]) -> None:
    """Raises ValueError, in words, unless a sandbox can be made with these arguments."""
    unknown = sorted(options.keys() - _OPTIONS)
    if unknown:
        raise ValueError(f"unknown option {', '.join(unknown)}; the options are {', '.join(sorted(_OPTIONS))}")
    try:
        Sandbox(**options)
    except (TypeError, ValueError) as error:
        raise ValueError(error.args[0]) from None  # an attrs validator adds its own internals


def fitting_budget(options: Mapping[str, Any], clock: VirtualClock | None) -> LocalBudget:
    """A budget for a sandbox with these arguments."""
    limit, period = options["limit"], options.get("period", 60.0)
    if limit is None:
        return unlimited_budget(clock)
    return LocalBudget(limit, period) if clock is None else ClockBudget(clock, limit, period)


@contextmanager
def client_of(sandbox: Sandbox, budget: LocalBudget, clock: VirtualClock | None) -> Iterator[GoedGepickt]:
    """A client of a sandbox, which is closed afterwards in all loops where it was used."""
    client = GoedGepickt(
        sandbox.api_key,
        base_url=sandbox.url,
        webshop_uuid=str(sandbox.world.webshops[0]["uuid"]),
        budget=budget,
        retry=_QUICK if clock is None else RetryPolicy(),
    )
    try:
        yield client
    finally:
        close(client)


def close(client: GoedGepickt) -> None:
    """Close a client from plain code: a loop that stands still is run for as long as that takes."""
    sessions = client._sender.pipeline.sessions  # noqa: SLF001  the fixture must close them in their loops
    for loop in sessions.loops:
        if not loop.is_running():
            loop.run_until_complete(_close(client))
    if sessions.loops:
        loop = asyncio.new_event_loop()  # `asyncio.run` would replace the current loop
        try:
            loop.run_until_complete(_close(client))
        finally:
            loop.close()


async def _close(client: GoedGepickt) -> None:
    await client.close()
    await asyncio.sleep(0)  # connections that are closed end in the next pass of their loop


def is_asynchronous(test: object) -> bool:
    """Whether a test is run in an event loop of another plugin."""
    return inspect.iscoroutinefunction(inspect.unwrap(test)) if callable(test) else False
