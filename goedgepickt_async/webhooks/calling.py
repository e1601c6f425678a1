"""Calls a user's function, a plain one in a thread, so that it holds up nobody."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

__all__ = ["Threads", "is_being_cancelled"]


class Threads:
    """Threads for plain functions, apart from those that name look-ups need; made when there is such a function.

    Args:
        most: How many there are at most.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None

    async def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call and, if it gives something to await, await it.

        A plain function that runs cannot be interrupted: to cancel this is to wait for it, and to carry on.
        """
        if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None)):  # noqa: B004
            return await function(*arguments)
        result = await self._in_thread(function, *arguments)
        return await result if inspect.isawaitable(result) else result

    async def _in_thread(self, function: Callable[..., Any], *arguments: Any) -> Any:
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self._most, thread_name_prefix="goedgepickt-webhook")
            running = self._pool.submit(contextvars.copy_context().run, _call, function, *arguments)
        future = asyncio.wrap_future(running)
        while not future.done():
            try:
                await asyncio.wait([future])
            except asyncio.CancelledError:
                if running.cancel():  # it has not begun
                    raise
        return future.result()

    def close(self) -> None:
        """Let the threads end; the next call makes new ones."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False)


def _call(function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except StopIteration as error:  # no future can carry it: whoever awaits it would wait for ever
        raise RuntimeError("the function raised StopIteration") from error


def is_being_cancelled() -> bool:
    """Whether a `CancelledError` here is meant for this task, and not the end of something that it awaited."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
