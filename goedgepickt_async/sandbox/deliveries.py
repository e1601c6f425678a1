"""Webhook deliveries in the way of GoedGepickt: signed, retried with growing pauses, given up, recorded.

`Sandbox.deliveries` makes them for a sandbox, and sends to this machine alone. `WebhookSender`, `pauses`, `sign` and
`php_json` are its parts, for another sender.
"""

from __future__ import annotations

import asyncio
import enum
import hashlib
import hmac
import ipaddress
import json
import logging
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any, Final, Self, overload

import aiohttp
import attrs
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from goedgepickt_async.sandbox.app import encode_json
from goedgepickt_async.sandbox.app import encode_json as php_json
from goedgepickt_async.sandbox.world import Change, ChangeKind, Row, World

__all__ = [
    "ATTEMPTS",
    "Attempt",
    "Deliveries",
    "Delivery",
    "DeliveryState",
    "WebhookSender",
    "pauses",
    "php_json",
    "sign",
]


class DeliveryState(enum.StrEnum):
    """The state of a delivery."""

    HELD = "held"
    """Held by `Deliveries.hold`."""
    UNDER_WAY = "under_way"
    """It waits for its first attempt or its next one."""
    DELIVERED = "delivered"
    """The receiver responded with exactly 200."""
    FAILED = "failed"
    """All its attempts failed; its subscription is disabled."""
    DROPPED = "dropped"
    """The subscription was disabled or the sandbox closed before it was delivered."""
    REFUSED = "refused"
    """Never sent, because the URL is of another machine, and a sandbox delivers to this machine only."""


@attrs.frozen(kw_only=True)
class Attempt:
    """One attempt to deliver.

    Attributes:
        at: The start, in Unix seconds.
        seconds: The duration in seconds.
        status: The HTTP status of the response; None without a complete response.
        problem: The reason for a missing response, in one word; None with a response.
    """

    at: float
    seconds: float
    status: int | None = None
    problem: str | None = None

    @property
    def succeeded(self) -> bool:
        """Whether it was answered with exactly 200; any other status is a failure (reference section 6, A)."""
        return self.status == 200


@attrs.define(kw_only=True, eq=False)
class Delivery:
    """The delivery of one event to one subscription.

    Attributes:
        number: The number of the delivery, from 1.
        webhook_uuid: The uuid of the subscription.
        target_url: The URL.
        event: The payload's `event`.
        body: The body, which is the same in each attempt.
        signature: The header `Signature`.
        state: The state.
        attempts: The attempts in order.
    """

    number: int = 0
    webhook_uuid: str
    target_url: str
    event: str
    body: bytes
    signature: str
    state: DeliveryState = DeliveryState.UNDER_WAY
    attempts: list[Attempt] = attrs.field(factory=list)

    @property
    def payload(self) -> dict[str, Any]:
        """What the body says."""
        said: dict[str, Any] = json.loads(self.body)
        return said


_log = logging.getLogger("goedgepickt_async.sandbox")

ATTEMPTS: Final = 10
"""The number of attempts for a delivery (reference section 6, A)."""

FIRST_PAUSE: Final = 1.0
"""Seconds before the second attempt. The service's pauses grow (A); how long they are is not known."""


def pauses(attempts: int = ATTEMPTS, first: float = FIRST_PAUSE) -> Iterator[float]:
    """The seconds to wait before each attempt: none before the first one, then twice as long each time.

    Args:
        attempts: The number of attempts.
        first: The seconds before the second attempt.
    """
    for number in range(attempts):
        yield first * 2.0 ** (number - 1) if number else 0.0


def sign(body: bytes, secret: str) -> str:
    """Return lower-case hexadecimal HMAC-SHA256 of a body's bytes (reference section 6, A).

    Args:
        body: What is sent.
        secret: The secret of the subscription.
    """
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def host_of(url: str) -> str:
    """Return the host of a URL as the sender reads it; empty if the URL has no host."""
    try:
        return URL(url).host or ""
    except ValueError:
        return ""


def is_loopback(url: str) -> bool:
    """Whether the host of a URL is this machine: `localhost` or a loopback address."""
    host = host_of(url)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class LoopbackResolver(AbstractResolver):
    """Knows `localhost` and no other name; the system's name service is not asked."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the loopback addresses.

        Raises:
            OSError: It is another name.
        """
        if host != "localhost":
            raise OSError(None, "a sandbox delivers to this machine only")
        known = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
        return [
            ResolveResult(hostname=host, host=address, port=port, family=kind, proto=0, flags=socket.AI_NUMERICHOST)
            for kind, address in known
            if family in {kind, socket.AF_UNSPEC}
        ]

    async def close(self) -> None:
        """Nothing is open."""


class WebhookSender:
    """Sends bodies to receivers, like the service. It is an async context manager.

    It follows no redirect, keeps no connection and no cookie, and uses no proxy.

    Args:
        timeout: Seconds that an attempt may take; what takes longer has failed. The service's own bound is not known.
        resolver: The resolver for host names; None for the system's resolver.
        clock: The clock of `Attempt.at`, in Unix seconds.
    """

    def __init__(
        self, *, timeout: float = 10.0, resolver: AbstractResolver | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._timeout = timeout
        self._resolver = resolver
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True, resolver=self._resolver, use_dns_cache=False),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            headers={"Content-Type": "application/json", "User-Agent": "GuzzleHttp/7"},
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def attempt(self, url: str, body: bytes, signature: str) -> Attempt:
        """Make one attempt. The result has the status or the error; only a cancellation is raised.

        Args:
            url: The URL of the receiver.
            body: What is sent.
            signature: The header `Signature`.
        """
        at, start = self._clock(), time.perf_counter()
        status, problem = None, None
        try:
            async with asyncio.timeout(self._timeout):
                status = await self._post(url, body, signature)
        except TimeoutError:
            problem = "timed out"
        except aiohttp.ClientConnectorError as error:
            problem = f"not connected: {error.os_error.strerror or type(error.os_error).__name__}"
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError, ValueError):
            problem = "not a URL that can be called"
        except (aiohttp.ClientError, OSError) as error:
            problem = f"connection lost: {type(error).__name__}"
        return Attempt(at=at, seconds=time.perf_counter() - start, status=status, problem=problem)

    async def _post(self, url: str, body: bytes, signature: str) -> int:
        assert self._session is not None, "a webhook sender is an asynchronous context"
        headers = {"Signature": signature}
        async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as response:
            read = 0
            async for piece in response.content.iter_any():
                read += len(piece)
                if read > 64 * 1024:  # the rest of a response does not matter
                    response.close()
                    break
            return response.status


class Deliveries(Sequence[Delivery]):
    """All deliveries, oldest first, with methods to delay, repeat and reorder them.

    Changes are reported while the sandbox runs. Each subscription has one worker, which attempts one
    delivery at a time, in the order of the changes. Further attempts follow after growing pauses. A delivery whose attempts
    have all failed disables its subscription, and so does a receiver that is too slow each time. Deliveries
    go to this machine only: one for another machine is recorded as refused.

    Args:
        world: The world whose changes are reported.
        pace: The factor for the pauses of the service.
        timeout: The longest time of an attempt in seconds.
        clock: Of the attempts' times.

    Attributes:
        copies: The number of copies of each later delivery; more than 1 makes duplicates.
        delay: The seconds before the first attempt of each later delivery.
        changed: A function that is called when a delivery is made, attempted or finished.
    """

    def __init__(self, world: World, *, pace: float, timeout: float, clock: Callable[[], float]) -> None:
        if not 0 <= pace < float("inf") or not 0 < timeout < float("inf"):
            raise ValueError("the pace of deliveries must be at least 0, and their timeout more")
        self.changed: Callable[[], None] = lambda: None
        self.copies = 1
        self.delay: float = 0.0
        self._numbers = count(1)
        self._world = world
        self._pace = pace
        self._timeout = timeout
        self._clock = clock
        self._log: list[Delivery] = []
        self._held: list[Delivery] | None = None
        self._open: set[Delivery] = set()
        self._counting = threading.Lock()  # the world may be changed from any thread
        self._all_ended = asyncio.Event()
        self._all_ended.set()
        self._disabled: set[str] = set()
        self._warned: set[str] = set()
        self._workers: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._running: tuple[asyncio.AbstractEventLoop, asyncio.Queue[Delivery], asyncio.Task[None]] | None = None
        world.subscribe(self._report)

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
        """Clear the log; pending deliveries continue."""
        self._log.clear()

    async def settled(self) -> None:
        """Wait until all deliveries are delivered, given up or held."""
        if self._running is None:
            return
        loop, _, _ = self._running
        if loop is asyncio.get_running_loop():
            await self._all_ended.wait()
        else:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._all_ended.wait(), loop))

    # Subscriptions

    @property
    def disabled(self) -> frozenset[str]:
        """The uuids of the subscriptions that were given up. The API does not tell (reference section 4.7)."""
        return frozenset(self._disabled)

    def enable(self, webhook_uuid: str) -> None:
        """Enable a disabled subscription again, which its owner can do on the website of the service."""
        self._disabled.discard(webhook_uuid)

    def resend(self, delivery: Delivery) -> Delivery:
        """Deliver the same bytes again as a new delivery, also for a disabled subscription.

        Raises:
            RuntimeError: The sandbox is not running.
        """
        if self._running is None:
            raise RuntimeError("the sandbox is not started")
        self.enable(delivery.webhook_uuid)
        again = attrs.evolve(delivery, number=next(self._numbers), state=DeliveryState.UNDER_WAY, attempts=[])
        self._add(again)
        return again

    # Disturbing

    def hold(self) -> None:
        """Hold all later deliveries."""
        self._held = [] if self._held is None else self._held

    def release(self, *, reverse: bool = False) -> None:
        """Send the held deliveries, and end holding.

        Args:
            reverse: Whether the last delivery is sent first.
        """
        held, self._held = self._held or [], None
        for delivery in reversed(held) if reverse else held:
            self._send(delivery)

    # What the sandbox does

    async def start(self) -> None:
        """Start to report changes."""
        if self._running is None:
            self._workers.clear()
            loop, queue = asyncio.get_running_loop(), asyncio.Queue[Delivery]()
            self._running = loop, queue, loop.create_task(self._run(queue), name="webhook deliveries of a sandbox")

    async def close(self) -> None:
        """Cancel all deliveries in progress, and wait for their end; they are dropped."""
        if self._running is None:
            return
        (_, _, task), self._running = self._running, None
        task.cancel()
        try:
            await asyncio.wait([task])
            if not task.cancelled():
                task.result()  # it cannot have ended well
        finally:
            for delivery in [*self._open, *(self._held or [])]:
                self._end(delivery, DeliveryState.DROPPED)
            self._held = None

    # Inside

    def _report(self, change: Change) -> None:
        """Deliver a change to its subscribers.

        A new order reports its first status. Each change of stock is reported, also the change of a bundle's header.
        """
        if self._running is None:
            return
        if change.kind in {ChangeKind.ORDER_CREATED, ChangeKind.ORDER_STATUS_CHANGED}:
            event, payload = "order.statusChanged", self._order_payload(change.row)
        elif change.kind is ChangeKind.PRODUCT_STOCK_CHANGED:
            event, payload = "product.stockChanged", _stock_payload(change.row)
        else:
            return
        body = encode_json(payload)
        webshop = None if change.webshop is None else self._world.webshops.uuid(change.webshop)
        for hook in self._world.webhooks:
            is_subscribed = hook["webhookEvent"] == event and webshop in {None, hook["webshopUuid"]}
            if not is_subscribed or hook["webhookUuid"] in self._disabled:
                continue
            for _ in range(self.copies):
                self._add(
                    Delivery(
                        number=next(self._numbers),
                        webhook_uuid=hook["webhookUuid"],
                        target_url=hook["targetUrl"],
                        event=payload["event"],
                        body=body,
                        signature=sign(body, hook["webhookSecret"]),
                    )
                )

    def _order_payload(self, row: Row) -> dict[str, Any]:
        index = self._world.orders.find(str(row["uuid"]))
        return {
            "event": "orderStatusChanged",
            "newStatus": row["status"],
            "orderNumber": row.get("orderId") if index is None else self._world.order_id(index),
            "orderUuid": row["uuid"],
        }

    def _add(self, delivery: Delivery) -> None:
        self._log.append(delivery)
        if not is_loopback(delivery.target_url):
            delivery.state = DeliveryState.REFUSED
            self._warn(delivery)
        elif self._held is not None:
            delivery.state = DeliveryState.HELD
            self._held.append(delivery)
        else:
            self._send(delivery)
        self.changed()

    def _warn(self, delivery: Delivery) -> None:
        if delivery.webhook_uuid not in self._warned:
            self._warned.add(delivery.webhook_uuid)
            host = host_of(delivery.target_url) or "no host"
            _log.warning("a subscription points to %s; a sandbox delivers to this machine alone, so not there", host)

    def _send(self, delivery: Delivery) -> None:
        running = self._running
        if running is None:
            return
        loop, queue, _ = running
        delivery.state = DeliveryState.UNDER_WAY
        with self._counting:
            self._open.add(delivery)
            self._all_ended.clear()
        loop.call_soon_threadsafe(queue.put_nowait, delivery)  # the world may be changed from any thread

    def _end(self, delivery: Delivery, state: DeliveryState) -> None:
        delivery.state = state
        with self._counting:
            self._open.discard(delivery)
            if not self._open:
                self._all_ended.set()
        self.changed()

    async def _run(self, queue: asyncio.Queue[Delivery]) -> None:
        sender = WebhookSender(timeout=self._timeout, resolver=LoopbackResolver(), clock=self._clock)
        async with sender, asyncio.TaskGroup() as group:
            while True:
                group.create_task(self._deliver(await queue.get(), sender))

    async def _deliver(self, delivery: Delivery, sender: WebhookSender) -> None:
        state = DeliveryState.DROPPED
        try:
            state = await self._attempt_all(delivery, sender)
        finally:
            self._end(delivery, state)

    async def _attempt_all(self, delivery: Delivery, sender: WebhookSender) -> DeliveryState:
        await asyncio.sleep(self.delay)
        for pause in pauses():
            await asyncio.sleep(pause * self._pace)
            async with self._workers[delivery.webhook_uuid]:
                if delivery.webhook_uuid in self._disabled:
                    return DeliveryState.DROPPED
                attempt = await sender.attempt(delivery.target_url, delivery.body, delivery.signature)
            delivery.attempts.append(attempt)
            self.changed()
            if attempt.succeeded:
                return DeliveryState.DELIVERED
        self._disabled.add(delivery.webhook_uuid)
        return DeliveryState.FAILED


def _stock_payload(row: Row) -> dict[str, Any]:
    return {
        "event": "compoundProductStockUpdated" if row.get("type") == "parent" else "stockUpdated",
        "newStock": str((row["stock"] or {}).get("freeStock", 0)),
        "productSku": row["sku"],
        "productUuid": row["uuid"],
    }
