"""Takes entries out of the inbox and has them handled: some at once, each until it succeeded or was given up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import attrs

from goedgepickt_async.errors import DecodeError
from goedgepickt_async.logs import tell
from goedgepickt_async.webhooks.calling import is_being_cancelled
from goedgepickt_async.webhooks.events import AnyEvent, UnknownEvent, parse
from goedgepickt_async.webhooks.inbox import Claim, Inbox
from goedgepickt_async.webhooks.patience import HandlerRetry
from goedgepickt_async.webhooks.routes import Routes
from goedgepickt_async.webhooks.tally import Tally

__all__ = ["FailedDelivery", "Worker"]

_LONG = 60.0
"""Seconds of one wait for entries."""
_AFTER_TROUBLE = 1.0
"""Seconds until an inbox that failed is asked again."""
_LOOK = 0.05
"""Seconds between two looks at whether an inbox that forgets is empty, on stopping."""


@attrs.frozen(kw_only=True)
class FailedDelivery:
    """What was given up.

    Attributes:
        event: What was to be handled.
        handler: The handler's name.
        attempts: How often it was tried.
        error: What it raised last; None if it never came to an end, because the process ended each time.
        body: The bytes of the delivery.
    """

    event: AnyEvent
    handler: str
    attempts: int
    error: Exception | None = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)


class Worker:
    """The hands of a receiver.

    Args:
        inbox: Where the work comes from.
        routes: Who does it.
        tally: What is counted.
        retry: When a handler that failed is tried again.
        gave_up: Hears of what is given up; must not raise.
        concurrency: Handlers at work at once.
        lease: Seconds after which the work of a process that died is done by another.
        again_after: Seconds after a success in which equal deliveries gather, to be handled once more.
    """

    def __init__(
        self,
        inbox: Inbox,
        routes: Routes,
        tally: Tally,
        retry: HandlerRetry,
        gave_up: Callable[[FailedDelivery], Awaitable[None]],
        *,
        concurrency: int,
        lease: float,
        again_after: float,
    ) -> None:
        self._inbox = inbox
        self._routes = routes
        self._tally = tally
        self._retry = retry
        self._gave_up = gave_up
        self._concurrency = concurrency
        self._lease = lease
        self._again_after = again_after
        self._running: dict[asyncio.Task[None], Claim] = {}
        self._has_room = asyncio.Event()
        self._stopping = asyncio.Event()

    @property
    def goes_on(self) -> bool:
        """Whether it takes out what is put in."""
        return not self._stopping.is_set()

    def stop(self) -> None:
        """Take nothing more; what is being handled has the grace to be finished."""
        self._stopping.set()

    async def work(self, grace: float) -> None:
        """Work until `stop`, then for `grace` seconds more at most; what is not finished by then is handed back."""
        async with asyncio.TaskGroup() as group:
            keeper = group.create_task(self._keep_leases())
            feeder = group.create_task(self._feed(group))
            await self._stopping.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace):
                    await self._finish_up(feeder)
            feeder.cancel()
            for task in self._running:
                task.cancel()
            while self._running:
                await asyncio.wait(list(self._running))
            keeper.cancel()

    async def _finish_up(self, feeder: asyncio.Task[None]) -> None:
        """What is in hand; and what lies in an inbox that would forget it."""
        while not self._inbox.is_durable and await self._inbox.waiting(self._routes.names):  # noqa: ASYNC110
            await asyncio.sleep(_LOOK)
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
                claims = await self._inbox.claim(self._routes.names, limit=free, lease=self._lease, wait=_LONG)
            except Exception as error:  # noqa: BLE001  whatever it is, the work goes on
                why = f"the inbox gives no deliveries; it is asked again in {_AFTER_TROUBLE:g} s"
                tell("webhook.trouble", exc_info=error, why=why)
                await asyncio.sleep(_AFTER_TROUBLE)
                continue
            for claim in claims:
                self._start(group, claim)

    def _start(self, group: asyncio.TaskGroup, claim: Claim) -> None:
        task = group.create_task(self._handle(claim))
        self._running[task] = claim
        self._tally.running = len(self._running)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._running[task]
        self._tally.running = len(self._running)
        self._has_room.set()

    async def _keep_leases(self) -> None:
        """While we live, what we have in hand is ours."""
        while True:
            await asyncio.sleep(self._lease / 3)
            if self._running:
                try:
                    await self._inbox.renew(list(self._running.values()), lease=self._lease)
                except Exception as error:  # noqa: BLE001  the leases may still hold until the next time
                    why = f"the leases of {len(self._running)} deliveries could not be renewed"
                    tell("webhook.trouble", exc_info=error, why=why)

    async def _handle(self, claim: Claim) -> None:
        """One entry, to whatever end; only a cancellation leaves it."""
        try:
            await self._attempt(claim)
        except asyncio.CancelledError:
            await self._settle(self._inbox.postpone(claim, delay=0.0, counts=False))
            raise
        except Exception as error:  # noqa: BLE001  one entry must not end the work on all others
            tell("webhook.trouble", exc_info=error, why=f"an entry of {claim.entry.route} could not be dealt with")

    async def _attempt(self, claim: Claim) -> None:
        route = self._routes[claim.entry.route]
        if claim.attempt > self._retry.attempts:  # each time the process died of it, or beside it
            await self._give_up(claim, None)
            return
        try:
            await route.act(parse(claim.entry.body))
        except asyncio.CancelledError as error:
            if is_being_cancelled():
                raise
            await self._failed(claim, _caused_by(error))  # of the handler's own making: else it would run on and on
            return
        except Exception as error:  # noqa: BLE001  a user's code may raise anything
            await self._failed(claim, error)
            return
        self._tally.handled += 1
        remember = self._again_after if route.within is None else 0.0  # `within` gathers what comes by itself
        await self._settle(self._inbox.finish(claim, remember=remember))

    async def _failed(self, claim: Claim, error: Exception) -> None:
        wait = self._retry.wait_asked_for(error)
        if wait is None and claim.attempt >= self._retry.attempts:
            await self._give_up(claim, error)
            return
        self._tally.retried += 1
        pause = self._retry.pause(claim.attempt) if wait is None else wait
        tell(
            "webhook.retried",
            exc_info=error if wait is None else None,
            handler=claim.entry.route,
            attempt=claim.attempt,
            error=type(error).__name__,
            pause=pause,
        )
        await self._settle(self._inbox.postpone(claim, delay=pause, counts=wait is None))

    async def _give_up(self, claim: Claim, error: Exception | None) -> None:
        self._tally.given_up += 1
        attempts = min(claim.attempt, self._retry.attempts)
        tell("webhook.given_up", exc_info=error, handler=claim.entry.route, attempts=attempts)
        entry = claim.entry
        await self._gave_up(
            FailedDelivery(
                event=_event_in(entry.body), handler=entry.route, attempts=attempts, error=error, body=entry.body
            )
        )
        reason = "the process ended" if error is None else type(error).__name__
        await self._settle(self._inbox.give_up(claim, reason=reason))

    async def _settle(self, step: Awaitable[None]) -> None:
        """Tell the inbox; if it does not listen, the lease ends by itself, and it is handled once more."""
        try:
            await step
        except Exception as error:  # noqa: BLE001  an inbox of a user's may raise anything
            why = "the inbox did not take the end of a delivery; it will be handled again"
            tell("webhook.trouble", exc_info=error, why=why)


def _caused_by(error: BaseException) -> Exception:
    failure = RuntimeError("what the handler waited for was cancelled")
    failure.__cause__ = error
    return failure


def _event_in(body: bytes) -> AnyEvent:
    try:
        return parse(body)
    except DecodeError:  # somebody else put it there
        return UnknownEvent()
