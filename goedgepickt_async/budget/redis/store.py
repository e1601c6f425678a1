"""One event loop's way to the script in Redis: operations there, a picture back. Knows nothing of queues."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import attrs

from goedgepickt_async.budget.redis.picture import Picture, read_picture
from goedgepickt_async.budget.redis.script import SCRIPT, SHA, key_names
from goedgepickt_async.budget.slots import Lane, LimiterConfig, Slots, nanoseconds
from goedgepickt_async.errors import ConfigurationError

__all__ = ["Operation", "RedisClient", "Store", "client_for_url", "microseconds", "script_header"]


class RedisClient(Protocol):
    """What is used of a client of redis-py's asyncio side."""

    def execute_command(self, *args: Any, **options: Any) -> Awaitable[Any]:
        """Send a command and read its answer."""
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...


@attrs.frozen
class Operation:
    """One step of the script; see `script.py` for what the arguments are, in microseconds."""

    name: str
    member: str = ""
    a: int = 0
    b: int = 0

    @property
    def arguments(self) -> tuple[str, str, int, int]:
        """As the script wants them."""
        return self.name, self.member, self.a, self.b

    @classmethod
    def take(cls, member: str, lane: Lane, max_lifetime: int) -> Operation:
        """Take a slot for an attempt that lives at most `life` nanoseconds."""
        return cls("take", member, int(lane), microseconds(max_lifetime))


def microseconds(duration: int) -> int:
    """Nanoseconds as whole microseconds, rounded up: the longer is the safer."""
    return -(-duration // 1_000)


def script_header(config: LimiterConfig) -> tuple[int, ...]:
    """The numbers of the budget, in the script's order."""
    return (
        config.limit,
        microseconds(config.cooldown),
        microseconds(nanoseconds(config.late_arrival)),
        microseconds(nanoseconds(config.interactive_interval)),
        config.headroom_kept,
        microseconds(config.part(Slots.PROBES)),
        int(config.use_server_counter),
        Slots.SHARED_FOR,
        Slots.MOST_MARGIN,
        Slots.SILENT,
        *config.margins,
        microseconds(config.part(Slots.LISTEN)),
        microseconds(config.part(Slots.HEARD)),
    )


def client_for_url(url: str, patience: float) -> Callable[[], RedisClient]:
    """What makes a client; it does not retry by itself, which would hide an outage for seconds.

    Raises:
        ConfigurationError: redis-py is not installed, or the URL is none of Redis.
    """
    try:
        from redis.asyncio import Redis  # noqa: PLC0415  the extra `redis` may not be installed
        from redis.asyncio.retry import Retry  # noqa: PLC0415
        from redis.backoff import NoBackoff  # noqa: PLC0415
    except ImportError:
        raise ConfigurationError(
            "RedisBudget needs redis-py: install the extra, as in goedgepickt-async[redis]"
        ) from None

    def make() -> RedisClient:
        client: RedisClient = Redis.from_url(
            url, socket_connect_timeout=patience, socket_timeout=patience, retry=Retry(NoBackoff(), 0)
        )
        return client

    try:
        make()
    except ValueError as exc:
        raise ConfigurationError(f"not a URL of a Redis: {exc}") from None
    return make


class Store:
    """The script in one Redis, through one client, from one event loop.

    Args:
        client: Bound to the running loop with its first command.
        name: Of the budget.
        config: Its numbers.
        patience: Seconds to wait for an answer.
        owned: Whether the client is to be closed in the end.
    """

    def __init__(self, client: RedisClient, name: str, config: LimiterConfig, patience: float, *, owned: bool) -> None:
        self._client = client
        self._keys = key_names(name)
        self._header = script_header(config)
        self._patience = patience
        self._owned = owned

    async def call(self, known: str, newborn: str, operations: Sequence[Operation]) -> Picture:
        """Carry out the operations in their order, as one step.

        Args:
            known: The era that the caller knows and has rows in, or "".
            newborn: The name of a new era, should one begin.
            operations: What to do.

        Raises:
            Exception: Whatever redis-py raises; TimeoutError if no answer came in time.
        """
        steps = [argument for operation in operations for argument in operation.arguments]
        arguments = (len(self._keys), *self._keys, known, newborn, *self._header, *steps)
        async with asyncio.timeout(self._patience):
            reply = await self._evaluate(arguments)
        return read_picture(reply, time.monotonic_ns())

    async def close(self) -> None:
        """Close the client, if it is ours."""
        if self._owned:
            await self._client.aclose()

    async def _evaluate(self, arguments: tuple[Any, ...]) -> Any:
        try:
            return await self._run(arguments)
        except Exception as exc:
            if not _is_dropped_connection(exc):
                raise
        # A kept connection may have been dropped while nobody looked (a proxy's idle limit, a failover). The script
        # may be asked twice, so ask once more over a new connection before calling Redis gone.
        return await self._run(arguments)

    async def _run(self, arguments: tuple[Any, ...]) -> Any:
        try:
            return await self._client.execute_command("EVALSHA", SHA, *arguments)
        except Exception as exc:
            if type(exc).__name__ != "NoScriptError":  # by name: redis-py is imported only where it must be
                raise
        return await self._client.execute_command("EVAL", SCRIPT, *arguments)


def _is_dropped_connection(exc: Exception) -> bool:
    """Redis-py's own ConnectionError is no OSError; what it raises for a refused password is one of its kind."""
    return isinstance(exc, OSError) or type(exc).__name__ == "ConnectionError"
