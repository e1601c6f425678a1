"""One attempt to deliver: a POST whose only success is exactly 200, in time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

import aiohttp
from aiohttp.abc import AbstractResolver

from goedgepickt_async.sandbox.deliveries.record import Attempt

__all__ = ["WebhookSender"]

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
        """Try once. Whatever happens is in the answer; nothing but a cancellation is raised.

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
                if read > _READ_AT_MOST:  # nobody wants to know the rest
                    response.close()
                    break
            return response.status
