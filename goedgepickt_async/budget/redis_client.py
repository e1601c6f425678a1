"""The client of redis-py that `RedisBudget` uses: how it is made, and what its errors say of the settings."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, Protocol
from urllib.parse import urlsplit

from goedgepickt_async.errors import ConfigurationError

__all__ = [
    "CONNECTING",
    "RedisClient",
    "answers_without_tls",
    "client_or_maker",
    "is_dropped_connection",
    "misconfiguration",
    "without_password",
]

CONNECTING = 5
"""Connecting takes several round trips: so many times the patience for one answer."""


class RedisClient(Protocol):
    """What is used of a client of redis-py's asyncio side."""

    def execute_command(self, *args: Any, **options: Any) -> Awaitable[Any]:
        """Send a command and read its answer."""
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...


def without_password(url: str | None) -> str:
    if url is None:
        return ""
    parts = urlsplit(url)
    host = (parts.hostname or "") + (f":{parts.port}" if parts.port else "")
    return f"{parts.scheme}://{host}{parts.path}"


def client_or_maker(
    url: str | None, client: RedisClient | Callable[[], RedisClient] | None, patience: float
) -> RedisClient | Callable[[], RedisClient]:
    if client is not None and url is None:
        return client
    if url is None or client is not None:
        raise ConfigurationError("RedisBudget needs either url or client")
    try:
        from redis.asyncio import Redis  # noqa: PLC0415  the extra `redis` may not be installed
        from redis.asyncio.retry import Retry  # noqa: PLC0415
        from redis.backoff import NoBackoff  # noqa: PLC0415
    except ImportError:
        raise ConfigurationError(
            "RedisBudget needs redis-py: install the extra, as in goedgepickt-async[redis]"
        ) from None
    connecting = patience * CONNECTING

    def make() -> RedisClient:
        # It does not retry by itself, which would hide an outage for seconds.
        made: RedisClient = Redis.from_url(
            url, socket_connect_timeout=connecting, socket_timeout=connecting, retry=Retry(NoBackoff(), 0)
        )
        return made

    try:
        make()
    except ValueError as error:
        raise ConfigurationError(f"not a URL of a Redis: {error}") from None
    return make


def is_dropped_connection(error: Exception) -> bool:
    """Redis-py's own ConnectionError is no OSError."""
    return not isinstance(error, TimeoutError) and (
        isinstance(error, OSError) or type(error).__name__ == "ConnectionError"
    )


async def answers_without_tls(url: str | None) -> bool:
    """Whether a server that was asked for TLS, and said nothing, speaks Redis's protocol in the clear."""
    parts = urlsplit(url or "")
    if parts.scheme != "rediss":
        return False
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(1):
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 6379)
            try:
                writer.write(b"PING\r\n")
                return (await reader.read(1)) in {b"+", b"-"}
            finally:
                writer.close()
    return False


_REMEDIES = {
    "AuthenticationError": "the user name or the password is wrong or missing",
    "AuthorizationError": "the user name or the password is wrong or missing",
    "NoPermissionError": "its user lacks rights: EVAL, GET, SET, TIME, PUBLISH and SUBSCRIBE on the budget's key",
    "MovedError": "it is a node of a cluster: pass client=lambda: RedisCluster(...) of redis.asyncio.cluster",
    "ClusterCrossSlotError": "it is a node of a cluster: pass client=lambda: RedisCluster(...)",
    "ReadOnlyError": "it is a read-only replica: name the primary",
    "InvalidResponse": "it does not speak Redis's protocol: is the port one of TLS (rediss://), or of another service?",
    "SSLError": "TLS failed: is the port one without TLS (redis://), or its certificate unknown?",
    "SSLCertVerificationError": "its TLS certificate is not trusted",
    "AttributeError": "client= must be, or make, a client of redis.asyncio",
    "TypeError": "client= must be, or make, a client of redis.asyncio",
}
_TEXTS = {
    "unknown command": "it does not know EVAL: is it a Sentinel? Pass client=lambda: Sentinel(...).master_for(...)",
    "db index": "it has no database of that number",
    "wrongtype": "another program uses the budget's key: give the budget another name=",
    "name or service not known": "its host name is unknown",
    "nodename nor servname": "its host name is unknown",
    "no address associated": "its host name is unknown",
    "wrong version number": "TLS failed: is the port one without TLS (redis://)?",
    "certificate verify failed": "its TLS certificate is not trusted",
    "moved ": "it is a node of a cluster: pass client=lambda: RedisCluster(...) of redis.asyncio.cluster",
    "client sent auth": "it has no password, and one was given",
    "noauth": "it asks for a password",
}


def misconfiguration(error: BaseException) -> str | None:
    """What is wrong with the settings, if that is what the error says; an outage passes by itself, this does not."""
    seen: BaseException | None = error
    while seen is not None:
        for kind in type(seen).__mro__:
            if kind.__name__ in _REMEDIES:
                return _REMEDIES[kind.__name__]
        text = str(seen).lower()
        for part, remedy in _TEXTS.items():
            if part in text:
                return remedy
        seen = seen.__cause__ or seen.__context__
    return None
