"""Takes entries from the inbox and runs their handlers: several at once, each until it succeeded or was given up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import attrs

from goedgepickt_async.errors import DecodeError
from goedgepickt_async.logs import log_event
from goedgepickt_async.webhooks.endpoint import Stats
from goedgepickt_async.webhooks.events import AnyEvent, UnknownEvent, parse
from goedgepickt_async.webhooks.handlers import (
    HandlerRegistry,
    HandlerRetry,
    HandlerTimeoutError,
    is_being_cancelled,
)
from goedgepickt_async.webhooks.inbox import Claim, Inbox

__all__ = ["FailedDelivery", "Worker"]

_CLAIM_WAIT = 60.0
"""Seconds of one wait for entries."""
_INBOX_RETRY = 1.0
"""Seconds until an inbox that failed is used again."""
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


class Worker:
    """Runs the handlers of a receiver.

    Args:
        inbox: Where the entries come from.
        handlers: The handlers.
        stats: The counters.
        retry: When a handler that failed is called again.
        on_given_up: Called with what is given up; must not raise.
        concurrency: The largest number of handlers that run at once.
        lease: Seconds after which the entries of a process that died are handed to another one.
        dedup_window: Seconds after a success in which equal deliveries are combined.
    """

    def __init__(
        self,
        inbox: Inbox,
        handlers: HandlerRegistry,
        stats: Stats,
        retry: HandlerRetry,
        on_given_up: Callable[[FailedDelivery], Awaitable[None]],
        *,
        concurrency: int,
        lease: float,
        dedup_window: float,
    ) -> None:
        self._inbox = inbox
        self._handlers = handlers
        self._stats = stats
        self._retry = retry
        self._on_given_up = on_given_up
        self._concurrency = concurrency
        self._lease = lease
        self._dedup_window = dedup_window
        self._running: dict[asyncio.Task[None], Claim] = {}
        self._has_room = asyncio.Event()
        self._stopping = asyncio.Event()

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
        while not self._inbox.is_durable and await self._inbox.waiting(self._handlers.names):  # noqa: ASYNC110
            await asyncio.sleep(_DRAIN_POLL)
        feeder.cancel()
        await asyncio.wait([feeder])
        if self._running:
            await asyncio.wait(list(self._running))

    async def _feed(self, group: asyncio.TaskGroup) -> None:
        while True:
            self._has_room.clear()
            free = self._concurrency - len(self._running)
            if free <= 0:
                await self._has_room.wait()
                continue
            try:
                names = self._handlers.names
                claims = await self._inbox.claim(names, limit=free, lease=self._lease, wait=_CLAIM_WAIT)
            except Exception as error:  # noqa: BLE001  an inbox of a user's may raise anything
                why = f"the inbox hands out no deliveries; next try in {_INBOX_RETRY:g} s"
                log_event("webhook.error", exc_info=error, why=why)
                await asyncio.sleep(_INBOX_RETRY)
                continue
            for claim in claims:
                self._start(group, claim)

    def _start(self, group: asyncio.TaskGroup, claim: Claim) -> None:
        task = group.create_task(self._handle(claim))
        self._running[task] = claim
        self._stats.running = len(self._running)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._running[task]
        self._stats.running = len(self._running)
        self._has_room.set()

    async def _renew_leases(self) -> None:
        while True:
            await asyncio.sleep(self._lease / 3)
            if self._running:
                try:
                    await self._inbox.renew(list(self._running.values()), lease=self._lease)
                except Exception as error:  # noqa: BLE001  the leases may still hold until the next time
                    why = f"the leases of {len(self._running)} deliveries could not be renewed"
                    log_event("webhook.error", exc_info=error, why=why)

    async def _handle(self, claim: Claim) -> None:
        """Handle one entry. Only a cancellation leaves this method as an exception."""
        try:
            await self._attempt(claim)
        except asyncio.CancelledError:
            await self._update_inbox(self._inbox.postpone(claim, delay=0.0, counts=False))
            raise
        except Exception as error:  # noqa: BLE001  one entry must not end the work on all others
            log_event("webhook.error", exc_info=error, why=f"an entry of {claim.entry.handler} could not be handled")

    async def _attempt(self, claim: Claim) -> None:
        handler = self._handlers[claim.entry.handler]
        if claim.attempt > self._retry.attempts:  # the process died during each attempt
            await self._give_up(claim, None)
            return
        try:
            await handler.call(parse(claim.entry.body))
        except asyncio.CancelledError as error:
            if is_being_cancelled():
                raise
            await self._failed(claim, _caused_by(error))  # raised by the handler itself: else it would repeat for ever
            return
        except Exception as error:  # noqa: BLE001  a user's code may raise anything
            self._stats.timed_out += isinstance(error, HandlerTimeoutError)
            await self._failed(claim, error)
            return
        self._stats.handled += 1
        window = self._dedup_window if handler.within is None else 0.0  # `within` combines events by itself
        await self._update_inbox(self._inbox.finish(claim, dedup_window=window))

    async def _failed(self, claim: Claim, error: Exception) -> None:
        wait = self._retry.requested_wait(error)
        if wait is None and claim.attempt >= self._retry.attempts:
            await self._give_up(claim, error)
            return
        self._stats.retried += 1
        pause = self._retry.pause(claim.attempt) if wait is None else wait
        log_event(
            "webhook.retried",
            exc_info=error if wait is None else None,
            handler=claim.entry.handler,
            attempt=claim.attempt,
            error=type(error).__name__,
            pause=pause,
        )
        await self._update_inbox(self._inbox.postpone(claim, delay=pause, counts=wait is None))

    async def _give_up(self, claim: Claim, error: Exception | None) -> None:
        self._stats.given_up += 1
        attempts = min(claim.attempt, self._retry.attempts)
        log_event("webhook.given_up", exc_info=error, handler=claim.entry.handler, attempts=attempts)
        entry = claim.entry
        event = _event_in(entry.body)
        await self._on_given_up(
            FailedDelivery(event=event, handler=entry.handler, attempts=attempts, error=error, body=entry.body)
        )
        reason = "the process ended" if error is None else type(error).__name__
        await self._update_inbox(self._inbox.give_up(claim, reason=reason))

    async def _update_inbox(self, step: Awaitable[None]) -> None:
        """Report the end of an entry; if the inbox fails, the lease ends by itself, and the entry is handled again."""
        try:
            await step
        except Exception as error:  # noqa: BLE001  an inbox of a user's may raise anything
            why = "the inbox did not record the end of a delivery; it will be handled again"
            log_event("webhook.error", exc_info=error, why=why)


def _caused_by(error: BaseException) -> Exception:
    failure = RuntimeError("what the handler waited for was cancelled")
    failure.__cause__ = error
    return failure


def _event_in(body: bytes) -> AnyEvent:
    try:
        return parse(body)
    except DecodeError:  # it was not put there by a receiver
        return UnknownEvent()
