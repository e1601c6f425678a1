"""The deliveries of a sandbox: who is told what, how often, and when a receiver is given up."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import overload

from goedgepickt_async.sandbox.answers import encode_json
from goedgepickt_async.sandbox.deliveries.loopback import OwnMachine, host_of, is_loopback
from goedgepickt_async.sandbox.deliveries.pauses import pauses
from goedgepickt_async.sandbox.deliveries.record import Delivery, DeliveryState
from goedgepickt_async.sandbox.deliveries.reports import Report, report_of, subscribed
from goedgepickt_async.sandbox.deliveries.rounds import Rounds
from goedgepickt_async.sandbox.deliveries.sender import WebhookSender
from goedgepickt_async.sandbox.deliveries.signature import sign
from goedgepickt_async.sandbox.world import Change, Row, World

__all__ = ["Deliveries"]

_log = logging.getLogger("goedgepickt_async.sandbox")


class Deliveries(Sequence[Delivery]):
    """Every delivery that was made of the world's changes, oldest first; and the ways to disturb them.

    Changes are reported while the sandbox runs. Each subscription has one worker: its deliveries are attempted one at
    a time, first attempts in the order of the changes, further ones after pauses that grow. A delivery whose attempts
    have all failed disables its subscription, and so does a receiver that is too slow each time. Nobody but this machine
    is ever called: what is for another one is written down as refused.

    Args:
        world: Whose changes are reported.
        pace: What the service's pauses are multiplied by.
        timeout: Seconds that an attempt may take.
        clock: Of the attempts' times.

    Attributes:
        copies: How many times each delivery is made from now on; more than once is a duplicate.
        delay: Seconds before the first attempt of each delivery from now on.
    """

    def __init__(self, world: World, *, pace: float, timeout: float, clock: Callable[[], float]) -> None:
        if not 0 <= pace < float("inf") or not 0 < timeout < float("inf"):
            raise ValueError("the pace of deliveries must be at least 0, and their time-out more")
        self.copies = 1
        self.delay: float = 0.0
        self._world = world
        self._pace = pace
        self._make_courier = lambda: WebhookSender(timeout=timeout, resolver=OwnMachine(), clock=clock)
        self._log: list[Delivery] = []
        self._held: list[Delivery] | None = None
        self._open: set[Delivery] = set()
        self._counting = threading.Lock()  # the world may be changed from any thread
        self._quiet = asyncio.Event()
        self._disabled: set[str] = set()
        self._strange: set[str] = set()
        self._workers: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._rounds: Rounds | None = None
        self._quiet.set()
        world.subscribe(self._hear)

    # The log

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._log)

    @overload
    def __getitem__(self, place: int) -> Delivery: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[Delivery]: ...

    def __getitem__(self, place: int | slice) -> Delivery | Sequence[Delivery]:
        """Return one, or some."""
        return self._log[place]

    def clear(self) -> None:
        """Forget what is written down; what is under way goes on."""
        self._log.clear()

    async def settled(self) -> None:
        """Wait until nothing is under way: all is delivered, given up, or held."""
        if self._rounds is not None:
            await self._rounds.wait(self._quiet)

    # Subscriptions

    @property
    def disabled(self) -> frozenset[str]:
        """The uuids of the subscriptions that were given up. The API does not tell (reference section 4.7)."""
        return frozenset(self._disabled)

    def enable(self, webhook_uuid: str) -> None:
        """Report to a subscription again, as its owner can ask for in the service's own pages."""
        self._disabled.discard(webhook_uuid)

    # Disturbing

    def hold(self) -> None:
        """Keep deliveries back from now on."""
        self._held = [] if self._held is None else self._held

    def release(self, *, reverse: bool = False) -> None:
        """Send what was kept back, and keep nothing back any more.

        Args:
            reverse: Whether the last one goes first.
        """
        held, self._held = self._held or [], None
        for delivery in reversed(held) if reverse else held:
            self._send(delivery)

    # What the sandbox does

    async def start(self) -> None:
        """Report what changes from now on."""
        if self._rounds is None:
            self._workers.clear()
            self._rounds = Rounds(self._carry, self._make_courier)

    async def close(self) -> None:
        """End all that is under way; it is dropped."""
        rounds, self._rounds = self._rounds, None
        if rounds is None:
            return
        try:
            await rounds.close()
        finally:
            for delivery in [*self._open, *(self._held or [])]:
                self._end(delivery, DeliveryState.DROPPED)
            self._held = None

    # Inside

    def _hear(self, change: Change) -> None:
        if self._rounds is None:
            return
        report = report_of(self._world, change)
        if report is None:
            return
        for hook in subscribed(self._world, report):
            if hook["webhookUuid"] not in self._disabled:
                self._make(hook, report)

    def _make(self, hook: Row, report: Report) -> None:
        body = encode_json(report.payload)
        for _ in range(self.copies):
            delivery = Delivery(
                webhook_uuid=hook["webhookUuid"],
                target_url=hook["targetUrl"],
                event=report.payload["event"],
                body=body,
                signature=sign(body, hook["webhookSecret"]),
            )
            self._log.append(delivery)
            self._post(delivery)

    def _post(self, delivery: Delivery) -> None:
        if not is_loopback(delivery.target_url):
            delivery.state = DeliveryState.REFUSED
            self._warn(delivery)
        elif self._held is not None:
            delivery.state = DeliveryState.HELD
            self._held.append(delivery)
        else:
            self._send(delivery)

    def _warn(self, delivery: Delivery) -> None:
        if delivery.webhook_uuid in self._strange:
            return
        self._strange.add(delivery.webhook_uuid)
        host = host_of(delivery.target_url) or "no host"
        _log.warning("a subscription points to %s; a sandbox delivers to this machine alone, so not there", host)

    def _send(self, delivery: Delivery) -> None:
        if self._rounds is None:
            return
        delivery.state = DeliveryState.UNDER_WAY
        with self._counting:
            self._open.add(delivery)
            self._quiet.clear()
        self._rounds.put(delivery)

    def _end(self, delivery: Delivery, state: DeliveryState) -> None:
        delivery.state = state
        with self._counting:
            self._open.discard(delivery)
            if not self._open:
                self._quiet.set()

    async def _carry(self, delivery: Delivery, sender: WebhookSender) -> None:
        state = DeliveryState.DROPPED
        try:
            state = await self._tried(delivery, sender)
        finally:
            self._end(delivery, state)

    async def _tried(self, delivery: Delivery, sender: WebhookSender) -> DeliveryState:
        await asyncio.sleep(self.delay)
        for pause in pauses():
            await asyncio.sleep(pause * self._pace)
            async with self._workers[delivery.webhook_uuid]:
                if delivery.webhook_uuid in self._disabled:
                    return DeliveryState.DROPPED
                attempt = await sender.attempt(delivery.target_url, delivery.body, delivery.signature)
            delivery.attempts.append(attempt)
            if attempt.succeeded:
                return DeliveryState.DELIVERED
        self._disabled.add(delivery.webhook_uuid)
        return DeliveryState.FAILED
