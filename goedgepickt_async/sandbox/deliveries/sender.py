"""One webhook delivery: its record, its signature, and one attempt, to this machine alone."""

from __future__ import annotations

import asyncio
import enum
import hashlib
import hmac
import ipaddress
import json
import socket
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
import attrs
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

__all__ = [
    "ATTEMPTS",
    "FIRST_PAUSE",
    "Attempt",
    "Delivery",
    "DeliveryState",
    "LoopbackResolver",
    "WebhookSender",
    "host_of",
    "is_loopback",
    "pauses",
    "sign",
]


class DeliveryState(enum.StrEnum):
    """Where a delivery stands."""

    HELD = "held"
    """Kept back by `Deliveries.hold`."""
    UNDER_WAY = "under_way"
    """It waits for its first attempt or its next one."""
    DELIVERED = "delivered"
    """It was answered with exactly 200."""
    FAILED = "failed"
    """All its attempts failed; its subscription is disabled."""
    DROPPED = "dropped"
    """Its subscription was disabled, or the sandbox closed, before it got there."""
    REFUSED = "refused"
    """Never tried: it was for another machine, and a sandbox delivers to this one only."""


@attrs.frozen(kw_only=True)
class Attempt:
    """One attempt to deliver.

    Attributes:
        at: When it began, in Unix seconds.
        seconds: How long it took.
        status: The HTTP status that was answered; None if there was no whole answer.
        problem: Why there was none, in a word; None if there was.
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
    """One event on its way to one subscription.

    Attributes:
        number: Which one it is, counted from 1.
        webhook_uuid: Which subscription it is of.
        target_url: Where it goes.
        event: The payload's `event`.
        body: The bytes that are sent, each time the same ones.
        signature: The header `Signature`.
        state: Where it stands.
        attempts: What was tried, in order.
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


ATTEMPTS: Final = 10
"""How often a delivery is tried in all (reference section 6, A)."""

FIRST_PAUSE: Final = 1.0
"""Seconds before the second attempt. The service's pauses grow (A); how long they are is not known."""


def pauses(attempts: int = ATTEMPTS, first: float = FIRST_PAUSE) -> Iterator[float]:
    """The seconds to wait before each attempt: none before the first one, then twice as long each time.

    Args:
        attempts: How many there are in all.
        first: Seconds before the second one.
    """
    for number in range(attempts):
        yield first * 2.0 ** (number - 1) if number else 0.0


def sign(body: bytes, secret: str) -> str:
    """Return lower-case hexadecimal HMAC-SHA256 of a body's bytes (reference section 6, A).

    Args:
        body: What is sent.
        secret: The subscription's own.
    """
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def host_of(url: str) -> str:
    """Return the host of a URL as the sender reads it; empty if there is none."""
    try:
        return URL(url).host or ""
    except ValueError:
        return ""


def is_loopback(url: str) -> bool:
    """Whether a URL is of this machine: `localhost` or a loopback address."""
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


_READ_AT_MOST: Final = 64 * 1024


class WebhookSender:
    """Carries bodies to receivers, as the service does; an asynchronous context.

    It follows no redirect, keeps no connection and no cookie, and uses no proxy.

    Args:
        timeout: Seconds that an attempt may take; what takes longer has failed. The service's own bound is not known.
        resolver: Who finds addresses of host names; None is the system.
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

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def attempt(self, url: str, body: bytes, signature: str) -> Attempt:
        """Try once. The attempt says what happened; only a cancellation is raised.

        Args:
            url: Where to.
            body: What is sent.
            signature: The header `Signature`.
        """
        at, start = self._clock(), time.perf_counter()
        status, problem = await self._outcome(url, body, signature)
        return Attempt(at=at, seconds=time.perf_counter() - start, status=status, problem=problem)

    async def _outcome(self, url: str, body: bytes, signature: str) -> tuple[int | None, str | None]:
        try:
            async with asyncio.timeout(self._timeout):
                return await self._post(url, body, signature), None
        except TimeoutError:
            return None, "timed out"
        except aiohttp.ClientConnectorError as error:
            return None, f"not connected: {error.os_error.strerror or type(error.os_error).__name__}"
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError, ValueError):
            return None, "not a URL that can be called"
        except (aiohttp.ClientError, OSError) as error:
            return None, f"connection lost: {type(error).__name__}"

    async def _post(self, url: str, body: bytes, signature: str) -> int:
        assert self._session is not None, "a webhook sender is an asynchronous context"
        headers = {"Signature": signature}
        async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as response:
            read = 0
            async for piece in response.content.iter_any():
                read += len(piece)
                if read > _READ_AT_MOST:  # the rest of an answer does not matter
                    response.close()
                    break
            return response.status
