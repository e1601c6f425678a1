"""Handlers: which events they get, how they are called, when a failed call is repeated, and the worker that runs them."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import math
import random
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from functools import partial
from typing import Any, Final, Protocol

import attrs

from goedgepickt_async.errors import BudgetExhaustedError, ConfigurationError, DecodeError
from goedgepickt_async.logs import log_event
from goedgepickt_async.text import safe_repr
from goedgepickt_async.webhooks.endpoint import Stats, check_number
from goedgepickt_async.webhooks.events import AnyEvent, Event, UnknownEvent, parse
from goedgepickt_async.webhooks.inbox import Claim, Inbox, InboxEntry

__all__ = [
    "Client",
    "FailedDelivery",
    "Handler",
    "HandlerExecutor",
    "HandlerRetry",
    "HandlerTimeoutError",
    "Worker",
    "check_function",
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


def handler_name(function: Callable[..., object], kind: str) -> str:
    """The default name: the function's qualified name, without the module, which may be `__main__` or `app`."""
    name = getattr(function, "__qualname__", None)
    if not isinstance(name, str):
        raise ConfigurationError(f"a handler without a name ({type(function).__name__}) needs name=")
    return f"{kind}:{name}"


def check_function(function: Any) -> None:
    """Refuse what cannot be called, and generator functions, whose body a call does not run."""
    if not callable(function):
        raise ConfigurationError(f"a handler must be a function, not {type(function).__name__}")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ConfigurationError(f"the handler {function.__qualname__} has a yield: calling it would do nothing")


# -- calling them ---------------------------------------------------------------------------------------------------


class HandlerTimeoutError(TimeoutError):
    """A handler did not end in time."""


class HandlerExecutor:
    """Calls a user's functions: async ones as tasks, plain ones in threads that nothing else uses.

    A call that takes too long fails, and others continue: a task is cancelled, a thread is left behind. Threads are
    daemon threads, so one that hangs does not keep the program from ending.
    """

    def __init__(self) -> None:
        self._left_behind: set[Future[Any]] = set()

    async def call(self, function: Callable[..., Any], *arguments: Any, timeout: float) -> Any:  # noqa: ASYNC109
        """Call a function and, if the result is awaitable, await it.

        A plain function cannot be interrupted: cancelling this call waits for its end, and then continues.

        Raises:
            HandlerTimeoutError: It did not end in time.
            RuntimeError: The function called `sys.exit`, or raised what is no `Exception` and would stop the receiver. Or
                too many plain functions that did not end in time are still running.
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
        return _result(future)


_MAX_LEFT_BEHIND: Final = 100
_CANCEL_TIMEOUT: Final = 1.0
"""Seconds that a task has to end after it was cancelled because it took too long."""


async def _in_task(awaitable: Awaitable[Any], timeout: float) -> Any:  # noqa: ASYNC109
    """Await it in a new task, so that one that ignores its cancellation does not hold up the caller."""
    task = asyncio.ensure_future(_without_exit(awaitable))
    until = time.monotonic() + timeout
    try:
        await asyncio.wait([task], timeout=timeout)
    except asyncio.CancelledError:
        while not task.done() and (left := until - time.monotonic()) > 0:
            task.cancel()  # it may end by its cancellation, with a result or with an error
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([task], timeout=left)
        if task.done() and not task.cancelled():
            return _result(task)
        task.add_done_callback(_retrieve)
        raise
    if not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=_CANCEL_TIMEOUT)
        task.add_done_callback(_retrieve)
        raise _timed_out(timeout)
    return _result(task)


async def _without_exit(awaitable: Awaitable[Any]) -> Any:
    try:
        return await awaitable
    except SystemExit as error:  # it would stop the event loop
        raise RuntimeError("the function called sys.exit") from error


def _result(future: asyncio.Future[Any]) -> Any:
    error = future.exception()
    if error is None or isinstance(error, (Exception, asyncio.CancelledError, KeyboardInterrupt)):
        return future.result()
    raise RuntimeError(f"the function raised {type(error).__name__}") from error


def _timed_out(timeout: float) -> HandlerTimeoutError:
    return HandlerTimeoutError(f"the handler did not end within {timeout:g} s")


def _retrieve(future: asyncio.Future[Any]) -> None:
    """Take the exception of what was left behind, so that asyncio does not report it."""
    if not future.cancelled():
        future.exception()


def _call(future: Future[Any], function: Callable[..., Any], *arguments: Any) -> None:
    try:
        result = function(*arguments)
    except StopIteration as error:  # a future cannot carry it: the awaiting task would never continue
        future.set_exception(_failure("the function raised StopIteration", error))
    except BaseException as error:  # noqa: BLE001  it is raised where the call is awaited
        future.set_exception(error)
    else:
        future.set_result(result)


def _failure(text: str, cause: BaseException) -> RuntimeError:
    failure = RuntimeError(text)
    failure.__cause__ = cause
    return failure


def is_being_cancelled() -> bool:
    """Whether a `CancelledError` is meant for the current task, and not the result of something that it awaited."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class Client(Protocol):
    """What a receiver needs of a client, such as `GoedGepickt`; type checkers do not accept its cached properties."""

    @property
    def products(self) -> Any:
        """A resource with `get(uuid)`."""

    @property
    def orders(self) -> Any:
        """A resource with `get(uuid)`."""


# -- when a failed call is repeated ---------------------------------------------------------------------------------


def _at_least(least: float) -> Callable[[object, attrs.Attribute[Any], Any], None]:
    return lambda _, attribute, value: check_number(attribute.name, value, least=least)


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


# -- the worker --------------------------------------------------------------------------------------------------------

_CLAIM_WAIT = 60.0
"""Seconds of one wait for entries."""
_INBOX_RETRY = 1.0
"""Seconds until an inbox that failed is used again."""
_INBOX_LOG_INTERVAL = 60.0
"""Seconds between two messages about an inbox that fails, so that they do not fill a disk that is full."""
_DRAIN_POLL = 0.05
"""Seconds between two checks whether an inbox that is not durable is empty, when the receiver stops."""


@attrs.frozen(kw_only=True)
class FailedDelivery:
    """A delivery whose handler failed for the last time.

    Attributes:
        event: The event.
        handler: The handler's name.
        attempts: The number of attempts.
        error: What the last attempt raised; None if it never ended, because the process died each time.
        body: The bytes of the delivery.
    """

    event: AnyEvent
    handler: str
    attempts: int
    error: Exception | None = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)


@attrs.define(kw_only=True, eq=False, repr=False)
class Worker:
    """Runs the handlers of a receiver. For its settings see `WebhookReceiver`; `on_given_up` must not raise."""

    inbox: Inbox
    handlers: Mapping[str, Handler]
    stats: Stats
    retry: HandlerRetry
    on_given_up: Callable[[FailedDelivery], Awaitable[None]]
    concurrency: int
    lease: float
    dedup_window: float
    _running: dict[asyncio.Task[None], Claim] = attrs.field(factory=dict, init=False)
    _has_room: asyncio.Event = attrs.field(factory=asyncio.Event, init=False)
    _stopping: asyncio.Event = attrs.field(factory=asyncio.Event, init=False)

    @property
    def is_running(self) -> bool:
        """Whether it claims entries."""
        return not self._stopping.is_set()

    def stop(self) -> None:
        """Claim nothing more. Running handlers have the grace period to finish."""
        self._stopping.set()

    async def work(self, grace: float) -> None:
        """Run handlers until `stop`, and for at most `grace` seconds more; then hand back what is not finished."""
        async with asyncio.TaskGroup() as group:
            renewer = group.create_task(self._renew_leases())
            feeder = group.create_task(self._feed(group))
            await self._stopping.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace):
                    await self._drain(feeder)
            feeder.cancel()
            for task in self._running:
                task.cancel()
            while self._running:
                await asyncio.wait(list(self._running))
            renewer.cancel()

    async def _drain(self, feeder: asyncio.Task[None]) -> None:
        """Wait for running handlers, and for all entries of an inbox that is not durable."""
        while not self.inbox.is_durable and await self.inbox.waiting(tuple(self.handlers)):  # noqa: ASYNC110
            await asyncio.sleep(_DRAIN_POLL)
        feeder.cancel()
        await asyncio.wait([feeder])
        if self._running:
            await asyncio.wait(list(self._running))

    async def _feed(self, group: asyncio.TaskGroup) -> None:
        log_from = -math.inf
        while True:
            self._has_room.clear()
            free = self.concurrency - len(self._running)
            if free <= 0:
                await self._has_room.wait()
                continue
            try:
                names = tuple(self.handlers)
                claims = await self.inbox.claim(names, limit=free, lease=self.lease, wait=_CLAIM_WAIT)
            except Exception as error:  # noqa: BLE001  an inbox of a user's may raise anything
                now = asyncio.get_running_loop().time()
                if now >= log_from:
                    log_from = now + _INBOX_LOG_INTERVAL
                    why = (
                        "deliveries cannot be claimed from the inbox; it is tried again (logged at most once a minute)"
                    )
                    log_event("webhook.error", exc_info=error, why=why)
                await asyncio.sleep(_INBOX_RETRY)
                continue
            for claim in claims:
                self._start(group, claim)

    def _start(self, group: asyncio.TaskGroup, claim: Claim) -> None:
        task = group.create_task(self._handle(claim))
        self._running[task] = claim
        self.stats.running = len(self._running)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._running[task]
        self.stats.running = len(self._running)
        self._has_room.set()

    async def _renew_leases(self) -> None:
        while True:
            await asyncio.sleep(self.lease / 3)
            if self._running:
                try:
                    await self.inbox.renew(list(self._running.values()), lease=self.lease)
                except Exception as error:  # noqa: BLE001  the leases may still hold until the next time
                    why = f"the leases of {len(self._running)} deliveries could not be renewed"
                    log_event("webhook.error", exc_info=error, why=why)

    async def _handle(self, claim: Claim) -> None:
        """Handle one entry. Only a cancellation leaves this method as an exception."""
        try:
            await self._attempt(claim)
        except asyncio.CancelledError:
            await self._update_inbox(self.inbox.postpone(claim, delay=0.0, counts=False))
            raise
        except Exception as error:  # noqa: BLE001  one entry must not end the work on all others
            log_event("webhook.error", exc_info=error, why=f"an entry of {claim.entry.handler} could not be handled")

    async def _attempt(self, claim: Claim) -> None:
        handler = self.handlers[claim.entry.handler]
        if claim.attempt > self.retry.attempts:  # the process died during each attempt
            await self._give_up(claim, None)
            return
        try:
            await handler.call(parse(claim.entry.body))
        except asyncio.CancelledError as error:
            if is_being_cancelled():
                raise
            # The handler itself raised it. If it counted as a cancellation, it would be repeated without end.
            await self._failed(claim, _failure("an awaitable of the handler was cancelled", error))
            return
        except Exception as error:  # noqa: BLE001  a user's code may raise anything
            self.stats.timed_out += isinstance(error, HandlerTimeoutError)
            await self._failed(claim, error)
            return
        self.stats.handled += 1
        window = self.dedup_window if handler.within is None else 0.0  # `within` combines events by itself
        await self._update_inbox(self.inbox.finish(claim, dedup_window=window))

    async def _failed(self, claim: Claim, error: Exception) -> None:
        wait = self.retry.requested_wait(error)
        if wait is None and claim.attempt >= self.retry.attempts:
            await self._give_up(claim, error)
            return
        self.stats.retried += 1
        pause = self.retry.pause(claim.attempt) if wait is None else wait
        log_event(
            "webhook.retried",
            exc_info=error if wait is None else None,
            handler=claim.entry.handler,
            attempt=claim.attempt,
            error=type(error).__name__,
            pause=pause,
        )
        await self._update_inbox(self.inbox.postpone(claim, delay=pause, counts=wait is None))

    async def _give_up(self, claim: Claim, error: Exception | None) -> None:
        self.stats.given_up += 1
        attempts = min(claim.attempt, self.retry.attempts)
        log_event("webhook.given_up", exc_info=error, handler=claim.entry.handler, attempts=attempts)
        entry = claim.entry
        event = _event_in(entry.body)
        await self.on_given_up(
            FailedDelivery(event=event, handler=entry.handler, attempts=attempts, error=error, body=entry.body)
        )
        reason = "the process ended" if error is None else type(error).__name__
        await self._update_inbox(self.inbox.give_up(claim, reason=reason))

    async def _update_inbox(self, step: Awaitable[None]) -> None:
        """Report the end of an entry; if the inbox fails, the lease ends by itself, and the entry is handled again."""
        try:
            await step
        except Exception as error:  # noqa: BLE001  an inbox of a user's may raise anything
            why = "the inbox did not record the end of a delivery; it will be handled again"
            log_event("webhook.error", exc_info=error, why=why)


def _event_in(body: bytes) -> AnyEvent:
    try:
        return parse(body)
    except DecodeError:  # it was not put there by a receiver
        return UnknownEvent()
