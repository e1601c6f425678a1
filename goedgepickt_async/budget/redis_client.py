"""The parts of `RedisBudget`: the redis-py client, the reasons for its errors, and the state as last read."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol
from urllib.parse import urlsplit

from goedgepickt_async.budget.config import FAR, SECOND, Lane, LimiterConfig, nanoseconds
from goedgepickt_async.budget.encoding import StateError, StateVersionError
from goedgepickt_async.budget.slots import Slots
from goedgepickt_async.budget.store import SharerMemory, SlotStore, new_sharer
from goedgepickt_async.errors import ConfigurationError
from goedgepickt_async.logs import log_event

__all__ = [
    "CONNECTING",
    "RedisClient",
    "RedisStore",
    "answers_without_tls",
    "client_or_maker",
    "close_client",
    "is_dropped_connection",
    "misconfiguration",
    "without_password",
]

_POLL = 3
"""The part of a window after which a waiting process checks again without a notification."""
CONNECTING = 5
"""The timeout for connecting, as a multiple of `patience`, because connecting takes several round trips."""


class RedisClient(Protocol):
    """The methods of a `redis.asyncio` client that the budget uses."""

    def execute_command(self, *args: Any, **options: Any) -> Awaitable[Any]:
        """Send a command and read its response."""
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...


class RedisStore(SlotStore):
    """The state as last seen, and the slots of this process.

    Attributes:
        patience: The seconds to wait for a response of Redis.
        retry_every: The seconds between two attempts to reach Redis during an outage.
    """

    kind = "redis"

    def __init__(
        self, config: LimiterConfig, clock: Callable[[], int], place: str, patience: float, retry_every: float
    ) -> None:
        self.config: LimiterConfig = config
        self.clock: Callable[[], int] = clock
        self.place: str = place
        self.patience: float = patience
        self.retry_every: float = retry_every
        self.problem: str = ""
        self.reached: bool = False
        self._tolerance = max(nanoseconds(config.safety_margin), nanoseconds(config.window) // 60)
        self._start_afresh()

    def _start_afresh(self) -> None:
        self.sharer: int = new_sharer()
        self.memory: SharerMemory = SharerMemory(self.sharer, self._tolerance)
        self.slots: Slots | None = None
        self.data: bytes = b""  # the state in Redis, if `slots` is not None
        self.changed: bool = False
        self.is_cold: bool = True
        self.slack: int = 0
        self._seen: tuple[int, int, int] | None = None  # epoch, the state's time, this process's time

    @property
    def now(self) -> int:
        """The earliest possible time of Redis's clock: its last value plus the time since the response."""
        if self._seen is None:
            return 0
        return max(self._seen[1] + self.clock() - self._seen[2], self.slots.at if self.slots is not None else 0)

    @property
    def handover(self) -> int:
        """The nanoseconds before the end of an outage in which nothing is sent, for the last report."""
        return min(4 * self.slack + SECOND // 50, nanoseconds(self.patience))

    def load(self, data: bytes, told: int, sent: int) -> None:
        """Redis responded with its state and its time to a command that was sent at this time of this process's clock.

        Raises:
            StateVersionError: The key is used by another version of this package.
        """
        here = self.clock()
        try:
            slots = Slots.decode(data, self.config, self.sharer) if data else None
        except StateVersionError:
            raise
        except StateError as error:
            log_event(
                "budget.reset",
                why=f"the budget's state in Redis is damaged ({error}); this process restores the slots that it knows",
            )
            slots = None
        if slots is None:
            slots = Slots(self.config, self.sharer)
        self.slots, self.data = slots, data
        self.note_time(told, sent)
        self.changed = self.memory.restore(slots, self.now, here)

    def note_time(self, told: int, sent: int) -> None:
        """Follow Redis's clock. If it was changed, the time of the state continues from its last value."""
        assert self.slots is not None
        here, slots = self.clock(), self.slots
        self.slack = here - sent
        time_there = told + slots.clock
        if time_there < slots.at - SECOND:
            slots.clock += slots.at - time_there
            time_there, self.changed = slots.at, True
        if self._seen is not None and self._seen[0] == slots.epoch:
            latest = self._seen[1] + (here - self._seen[2]) + self.slack + self._tolerance
            if time_there > latest:
                slots.clock -= time_there - latest
                time_there, self.changed = latest, True
        self._seen = (slots.epoch, time_there, here)

    # -- a store of `QueuedBudget`, whose transactions are `RedisBudget`'s -----------------------------------------

    def begin(self, *, settles: bool = False) -> None:
        """Not possible here: Redis responds later, so `RedisBudget` does it."""

    def noted(self, slots: Slots, now: int, taken: Iterable[int], settled: Iterable[int]) -> None:
        """Remember the slots of this process."""
        self.is_cold = slots.is_cold()
        self.memory.note(slots, now, self.clock(), taken, settled)

    def peek(self) -> tuple[Slots, int]:
        """The state as last seen."""
        return self.slots or Slots(self.config, self.sharer), self.now

    def look_again_in(self, slots: Slots, now: int, lane: Lane, ahead: int) -> int:
        """The time until a slot may be free for the call, and at the latest until the next poll."""
        leaves = lane is not Lane.INTERACTIVE and slots.config.headroom_kept > 0
        busy = sum(1 for demand in slots.sharers.values() if any(demand.calls))
        # Otherwise all processes try at the same time, and all but one fail.
        each = 2 * self.slack * min(busy, ahead) // max(1, ahead)
        wake = slots.nth_change(now, ahead + leaves, each)
        room = slots.room_from(now) if leaves else FAR
        if room < FAR:  # otherwise slots must become free first
            wake = max(wake, min(room, now + self.config.part(_POLL)))
        poll = self.config.part(_POLL) * random.uniform(0.8, 1.0)  # noqa: S311  not all at once
        return min(max(wake - now, self.slack), round(poll))

    def after_fork(self) -> None:
        """Called in a forked child: it has nothing in flight and opens its own connection."""
        self._start_afresh()

    def describe(self) -> dict[str, Any]:
        """The place of the state."""
        return {"place": self.place, "problem": self.problem}


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
    if not isinstance(url, str):
        raise ConfigurationError(f"url must be text, not {type(url).__name__}")
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
        # No retries of redis-py, which would hide an outage for seconds.
        made: RedisClient = Redis.from_url(
            url, socket_connect_timeout=connecting, socket_timeout=connecting, retry=Retry(NoBackoff(), 0)
        )
        return made

    try:
        make()
    except ValueError as error:
        raise ConfigurationError(f"url= is not a Redis URL: {error}") from None
    return make


def is_dropped_connection(error: Exception) -> bool:
    """redis-py's ConnectionError is not an OSError."""
    return not isinstance(error, TimeoutError) and (
        isinstance(error, OSError) or type(error).__name__ == "ConnectionError"
    )


async def close_client(client: Any) -> None:
    """Close a client; one of a Sentinel has further connections, which `aclose` leaves open."""
    await client.aclose()
    manager = getattr(getattr(client, "connection_pool", None), "sentinel_manager", None)
    for sentinel in getattr(manager, "sentinels", ()):
        await sentinel.aclose()


async def answers_without_tls(url: str | None) -> bool:
    """Whether a server that did not respond to TLS accepts Redis's protocol without TLS."""
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


_CLUSTER = "it is a cluster node: pass client=lambda: RedisCluster(...)"
_REMEDIES = {  # by names of classes and parts of an error's text in lower case; the first row that fits counts
    ("AuthenticationError", "AuthorizationError"): "the user name or the password is wrong or missing",
    ("NoPermissionError",): "its user lacks rights: EVAL, GET, SET, TIME, PUBLISH and SUBSCRIBE on the budget's key",
    ("MovedError",): f"{_CLUSTER} of redis.asyncio.cluster",
    ("ClusterCrossSlotError",): _CLUSTER,
    ("ReadOnlyError",): "it is a read-only replica: use the URL of the primary",
    (
        "InvalidResponse",
    ): "it does not use Redis's protocol. Check the port: it may need TLS (rediss://) or belong to another service",
    ("SSLCertVerificationError", "certificate verify failed"): "its TLS certificate is not trusted",
    ("SSLError",): "TLS failed: the port may be without TLS (redis://), or the certificate is not trusted",
    ("AttributeError", "TypeError"): "client= must be a client of redis.asyncio or a function that returns one",
    ("unknown command",): "it does not support EVAL. For a Sentinel, pass client=lambda: Sentinel(...).master_for(...)",
    ("db index",): "it has no database with this number",
    ("wrongtype",): "another program uses the budget's key: pass another name=",
    ("name or service not known", "nodename nor servname", "no address associated"): "its host name is unknown",
    ("wrong version number",): "TLS failed: the port may be without TLS (redis://)",
    ("moved ",): f"{_CLUSTER} of redis.asyncio.cluster",
    ("client sent auth",): "a password was given, but Redis has none",
    ("noauth",): "it requires a password",
}


def misconfiguration(error: BaseException) -> str | None:
    """The wrong setting that an error of Redis means; None for an outage, which can end by itself."""
    seen: BaseException | None = error
    while seen is not None:
        signs = {kind.__name__ for kind in type(seen).__mro__}
        text = str(seen).lower()
        for known, remedy in _REMEDIES.items():
            if any(sign in signs or sign in text for sign in known):
                return remedy
        seen = seen.__cause__ or seen.__context__
    return None
