"""The interface of an inbox: the place where deliveries wait between the response and the handler."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Final, Protocol, Self

import attrs

__all__ = ["Claim", "FailedEntry", "Inbox", "InboxEntry", "InboxStatus", "Intake", "Notifier", "long_poll"]


@attrs.frozen(kw_only=True)
class InboxEntry:
    """One delivery for one handler.

    Attributes:
        handler: The handler's name, which is the same in the next process.
        ordering_key: Entries with the same key are handled one at a time, in the order of arrival.
        dedup_key: Entries with the same ordering key and the same dedup key ask for the same work.
        body: The verified bytes of the delivery.
        delay: Seconds to wait before it is handed out, so that equal entries can be combined.
    """

    handler: str
    ordering_key: str
    dedup_key: str
    body: bytes = attrs.field(repr=False)
    delay: float = 0.0

    def dump(self) -> dict[str, Any]:
        """Values that JSON can hold, for a task queue."""
        return {**attrs.asdict(self), "body": self.body.decode()}

    @classmethod
    def load(cls, dumped: Mapping[str, Any]) -> Self:
        """The entry from which `dump` made these values."""
        return cls(**{**dumped, "body": dumped["body"].encode()})


@attrs.frozen(kw_only=True)
class Claim:
    """An entry that was handed out, until its lease ends.

    Attributes:
        entry: The entry.
        id: Its number in the inbox.
        token: Distinguishes this claim from other claims of the same entry.
        attempt: The delivery attempt, starting at 1.
    """

    entry: InboxEntry
    id: int | str
    token: str
    attempt: int


@attrs.frozen(kw_only=True)
class FailedEntry:
    """An entry that was given up.

    Attributes:
        id: Its number, for `requeue_failed` and `drop_failed`.
        entry: The entry.
        reason: The type of the last error.
        failed_at: When it was given up, in seconds since the epoch.
        attempts: The number of attempts; 0 if it is not known.
    """

    id: int
    entry: InboxEntry
    reason: str
    failed_at: float
    attempts: int


@attrs.frozen(kw_only=True)
class InboxStatus:
    """The state of an inbox, for metrics.

    Attributes:
        waiting: Entries that wait or are being handled.
        oldest_age: Seconds since the oldest of these was stored; 0 if no entry waits.
        failed: Entries that were given up.
        used: The size, in bytes; 0 if it is not known.
        limit: The largest size, in bytes; 0 for no limit.
    """

    waiting: int
    oldest_age: float
    failed: int
    used: int = 0
    limit: int = 0

    @property
    def is_full(self) -> bool:
        """Whether the size is at its limit, so that deliveries are answered with 503."""
        return 0 < self.limit <= self.used


class Intake(Protocol):
    """The part of an inbox that the response needs. A task queue needs no more, since it has its own workers."""

    async def put(self, entries: Sequence[InboxEntry]) -> int:
        """Store entries, all or none. When this returns, they are as durable as the inbox promises.

        An entry may be dropped if the last entry of its ordering key has the same dedup key and still waits. The
        handler of that entry reads later than now. It must not be dropped because an equal entry is being handled or
        was handled: it may report a change that came after that.

        Returns:
            The number of entries that were not dropped.

        Raises:
            Exception: They were not stored. The response is 503, and the service sends the delivery again.
        """
        ...


class Inbox(Intake, Protocol):
    """An inbox with workers that claim its entries. Several receivers and processes can share one.

    All calls can be cancelled. A call with a claim that expired and was handed out again does nothing.

    Attributes:
        is_durable: Whether its entries survive this process.
    """

    is_durable: bool

    async def claim(self, handlers: Collection[str], *, limit: int, lease: float, wait: float) -> list[Claim]:
        """Claim entries that are due. Until the lease ends, no other caller gets them.

        When the call is cancelled, entries that it took are handed back.

        Args:
            handlers: The names of the handlers.
            limit: The largest number of entries.
            lease: Seconds until the claims expire.
            wait: The longest time to wait for a first entry, in seconds.
        """
        ...

    async def renew(self, claims: Sequence[Claim], *, lease: float) -> None:
        """Let the claims expire `lease` seconds from now."""
        ...

    async def finish(self, claim: Claim, *, dedup_window: float = 0.0) -> None:
        """Remove an entry that was handled.

        Args:
            claim: The claim.
            dedup_window: Seconds in which an equal entry is stored but not handed out. So a burst of equal deliveries is
                handled twice instead of ten times.
        """
        ...

    async def postpone(self, claim: Claim, *, delay: float, counts: bool = True) -> None:
        """Hand an entry back.

        Args:
            claim: The claim.
            delay: Seconds until it is handed out again.
            counts: Whether the attempt counts.
        """
        ...

    async def give_up(self, claim: Claim, *, reason: str) -> None:
        """Set an entry aside as failed, so that the next one of its ordering key can go. A durable inbox keeps it."""
        ...

    async def waiting(self, handlers: Collection[str]) -> int:
        """The number of entries for these handlers, handed out or not, without failed ones."""
        ...

    async def close(self) -> None:
        """Close files and threads. The entries stay, and the next call opens the inbox again."""
        ...


# -- waiting for entries -----------------------------------------------------------------------------------------------

_SHORTEST_WAIT: Final = 0.001


class Notifier:
    """A condition variable for tasks in any event loop and any thread.

    Attributes:
        version: Goes up with each `notify`.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiters: set[asyncio.Future[None]] = set()
        self.version: int = 0

    def notify(self) -> None:
        """Wake all waiting tasks; callable from any thread."""
        with self._lock:
            self.version += 1
            waiters, self._waiters = self._waiters, set()
        for waiter in waiters:
            with contextlib.suppress(RuntimeError):  # its event loop is closed
                waiter.get_loop().call_soon_threadsafe(_wake, waiter)

    async def wait(self, version: int, seconds: float) -> None:
        """Return when `version` is no longer current, or after this number of seconds."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        with self._lock:
            if self.version != version:
                return
            self._waiters.add(waiter)
        try:
            await asyncio.wait([waiter], timeout=seconds)
        finally:
            with self._lock:
                self._waiters.discard(waiter)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


async def long_poll(
    look: Callable[[], Awaitable[tuple[list[Claim], float]]], notifier: Notifier, wait: float
) -> list[Claim]:
    """Call `look` until it returns claims, for `wait` seconds at most.

    Args:
        look: Claims what is due; and returns the seconds until the next entry is due, as far as it is known.
        notifier: Says when there may be something new.
        wait: Seconds.
    """
    until = time.monotonic() + wait
    while True:
        version = notifier.version
        claims, again_in = await look()
        left = until - time.monotonic()
        if claims or left <= 0:
            return claims
        await notifier.wait(version, min(left, max(again_in, _SHORTEST_WAIT)))
