"""Handlers: which events they get, how they are called, and when a failed call is repeated."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import hashlib
import inspect
import math
import random
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, Final, Protocol

import attrs

from goedgepickt_async.errors import BudgetExhaustedError, ConfigurationError, NotFoundError
from goedgepickt_async.text import safe_repr
from goedgepickt_async.webhooks.events import EVENTS, AnyEvent, Event
from goedgepickt_async.webhooks.inbox import InboxEntry

__all__ = [
    "Client",
    "Handler",
    "HandlerExecutor",
    "HandlerRegistry",
    "HandlerRetry",
    "HandlerTimeoutError",
    "check_function",
    "events_of",
    "fetch_and_call",
    "handler_name",
    "is_being_cancelled",
]

# -- which events ---------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True, eq=False)
class Handler:
    """One registered handler.

    Attributes:
        name: Its name in the inbox, the same in the next process.
        events: The classes of events that it gets.
        call: Handles one event.
        within: Seconds in which events with the same ordering key are combined; None if each is handled by itself.
    """

    name: str
    events: tuple[type[Event], ...]
    call: Callable[[AnyEvent], Awaitable[object]]
    within: float | None = None

    def entry(self, ordering_key: str, digest: str, body: bytes) -> InboxEntry:
        """The inbox entry for a delivery."""
        if self.within is None:
            return InboxEntry(handler=self.name, ordering_key=ordering_key, dedup_key=digest, body=body)
        # All of these ask for the current state, so one waiting entry is enough: their dedup key is the same.
        return InboxEntry(handler=self.name, ordering_key=ordering_key, dedup_key="", body=body, delay=self.within)


class HandlerRegistry:
    """All handlers of a receiver."""

    def __init__(self) -> None:
        self._handlers: dict[str, Handler] = {}

    def __getitem__(self, name: str) -> Handler:
        return self._handlers[name]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all handlers."""
        return tuple(self._handlers)

    def add(self, handler: Handler) -> None:
        """Add a handler.

        Raises:
            ConfigurationError: The name is taken: waiting entries could go to the wrong handler.
        """
        if handler.name in self._handlers:
            raise ConfigurationError(f"two handlers are called {handler.name!r}: give one of them another name=")
        self._handlers[handler.name] = handler

    def entries(self, event: AnyEvent, body: bytes) -> Sequence[InboxEntry]:
        """The inbox entries for an event: one for each handler that gets it."""
        digest = hashlib.sha256(body).hexdigest()
        ordering_key = event.ordering_key or f"body:{digest}"
        matching = (handler for handler in self._handlers.values() if isinstance(event, handler.events))
        return [handler.entry(ordering_key, digest, body) for handler in matching]


def events_of(resource: str) -> tuple[type[Event], ...]:
    """The classes of all events about `order` or `product`."""
    return tuple(cls for cls in EVENTS.values() if cls.resource == resource)


def handler_name(function: Callable[..., object], kind: str) -> str:
    """The default name: the function's qualified name, without the module, which may be `__main__` or `app`.

    Raises:
        ConfigurationError: The function has no name.
    """
    name = getattr(function, "__qualname__", None)
    if not isinstance(name, str):
        raise ConfigurationError(f"a handler without a name of its own ({type(function).__name__}) needs name=")
    return f"{kind}:{name}"


def check_function(function: Any) -> None:
    """Refuse what cannot be called, or does nothing when called.

    Raises:
        ConfigurationError: It is not callable, or is a generator function, whose body a call does not run.
    """
    if not callable(function):
        raise ConfigurationError(f"a handler must be a function, not {type(function).__name__}")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ConfigurationError(f"the handler {function.__qualname__} has a yield: calling it would do nothing")


# -- calling them ---------------------------------------------------------------------------------------------------


class HandlerTimeoutError(TimeoutError):
    """A handler did not end in time."""


class HandlerExecutor:
    """Calls a user's functions: async ones as tasks, plain ones in threads that nothing else uses.

    A call that takes too long fails, and others go on: a task is cancelled, a thread is left behind. Threads are daemon
    threads, so one that hangs does not keep the program from ending.
    """

    def __init__(self) -> None:
        self._left_behind: set[Future[Any]] = set()

    async def call(self, function: Callable[..., Any], *arguments: Any, timeout: float) -> Any:  # noqa: ASYNC109
        """Call a function and, if the result is awaitable, await it.

        A plain function cannot be interrupted: cancelling this call waits for its end, and then continues.

        Raises:
            HandlerTimeoutError: It did not end in time.
            RuntimeError: Too many plain functions that did not end in time are still running.
        """
        if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None)):  # noqa: B004
            return await _in_task(function(*arguments), timeout)
        result = await self._in_thread(function, *arguments, timeout=timeout)
        return await _in_task(result, timeout) if inspect.isawaitable(result) else result

    async def _in_thread(self, function: Callable[..., Any], *arguments: Any, timeout: float) -> Any:  # noqa: ASYNC109
        if len(self._left_behind) >= _MAX_LEFT_BEHIND:
            raise RuntimeError(f"{_MAX_LEFT_BEHIND} handlers that timed out are still running; no more are started")
        running: Future[Any] = Future()
        call = partial(contextvars.copy_context().run, _call, running, function, *arguments)
        threading.Thread(target=call, name="goedgepickt-webhook", daemon=True).start()
        future = asyncio.wrap_future(running)
        until = time.monotonic() + timeout
        while not future.done():
            try:
                await asyncio.wait([future], timeout=max(0.0, until - time.monotonic()))
            except asyncio.CancelledError:
                continue
            if not future.done() and time.monotonic() >= until:
                self._left_behind.add(running)
                running.add_done_callback(self._left_behind.discard)
                future.add_done_callback(_retrieve)
                raise _timed_out(timeout)
        return future.result()


_MAX_LEFT_BEHIND: Final = 100
_CANCEL_TIMEOUT: Final = 1.0
"""Seconds that a task has to end after it was cancelled because it took too long."""


async def _in_task(awaitable: Awaitable[Any], timeout: float) -> Any:  # noqa: ASYNC109
    """Await it in a task of its own, so that one that ignores its cancellation does not hold up the caller."""
    task = asyncio.ensure_future(awaitable)
    until = time.monotonic() + timeout
    try:
        await asyncio.wait([task], timeout=timeout)
    except asyncio.CancelledError:
        while not task.done() and (left := until - time.monotonic()) > 0:
            task.cancel()  # it may end by its cancellation, with a result or with an error
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([task], timeout=left)
        if task.done() and not task.cancelled():
            return task.result()
        task.add_done_callback(_retrieve)
        raise
    if not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=_CANCEL_TIMEOUT)
        task.add_done_callback(_retrieve)
        raise _timed_out(timeout)
    return task.result()


def _timed_out(timeout: float) -> HandlerTimeoutError:
    return HandlerTimeoutError(f"the handler did not end within {timeout:g} s")


def _retrieve(future: asyncio.Future[Any]) -> None:
    """Take the exception of what was left behind, so that asyncio does not report it."""
    if not future.cancelled():
        future.exception()


def _call(future: Future[Any], function: Callable[..., Any], *arguments: Any) -> None:
    try:
        result = function(*arguments)
    except StopIteration as error:  # a future cannot carry it: the awaiting task would wait for ever
        future.set_exception(_with_cause(RuntimeError("the function raised StopIteration"), error))
    except BaseException as error:  # noqa: BLE001  it is raised where the call is awaited
        future.set_exception(error)
    else:
        future.set_result(result)


def _with_cause(error: Exception, cause: BaseException) -> Exception:
    error.__cause__ = cause
    return error


def is_being_cancelled() -> bool:
    """Whether a `CancelledError` is meant for the current task, and not the result of something that it awaited."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


# -- the current state ----------------------------------------------------------------------------------------------


class Client(Protocol):
    """What a receiver needs of a client, such as `GoedGepickt`; type checkers do not accept its cached properties."""

    @property
    def products(self) -> Any:
        """A resource with `get(uuid)`."""

    @property
    def orders(self) -> Any:
        """A resource with `get(uuid)`."""


async def fetch_and_call(
    resource: Any,
    event: AnyEvent,
    function: Callable[..., Any],
    gone: Callable[..., Any] | None,
    executor: HandlerExecutor,
    *,
    timeout: float,  # noqa: ASYNC109
) -> None:
    """Read the order or product that an event is about, and call a handler with it.

    Args:
        resource: Has `get(uuid)`.
        event: The event.
        function: Gets the order or product.
        gone: Gets the uuid of one that no longer exists; None ignores it.
        executor: Calls the functions.
        timeout: Seconds that a function may take. The request has time-outs of its own.
    """
    try:
        found = await resource.get(event.resource_uuid)
    except NotFoundError:
        if gone is not None:
            await executor.call(gone, event.resource_uuid, timeout=timeout)
        return
    await executor.call(function, found, timeout=timeout)


# -- when a failed call is repeated ---------------------------------------------------------------------------------


def _at_least(least: float) -> Callable[[object, attrs.Attribute[Any], Any], None]:
    def check(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value < math.inf:
            raise ConfigurationError(f"{attribute.name} must be a number, at least {least:g}, not {value!r}")

    return check


@safe_repr
@attrs.frozen(kw_only=True)
class HandlerRetry:
    """When a handler that failed is called again: after a pause that doubles, minus up to half of it at random.

    Attributes:
        attempts: The number of attempts in all. With the defaults, the last one comes about ten minutes later.
        base: The first pause, in seconds.
        cap: The longest pause, in seconds.
    """

    attempts: int = attrs.field(default=10, validator=_at_least(1))
    base: float = attrs.field(default=1.0, validator=_at_least(0))
    cap: float = attrs.field(default=300.0, validator=_at_least(0))

    def pause(self, attempt: int, draw: Callable[[], float] = random.random) -> float:
        """Seconds to wait after the attempt with this number, starting at 1, failed."""
        longest = min(self.cap, self.base * 2.0 ** min(attempt - 1, 64))
        return longest * (0.5 + draw() / 2)

    def requested_wait(self, error: Exception) -> float | None:
        """The wait that an error asks for: an exhausted rate limit is not the handler's failure."""
        return max(error.wait, 0.1) if isinstance(error, BudgetExhaustedError) else None
