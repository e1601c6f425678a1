"""What an inbox is: where deliveries lie between the answer and the handler."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol, Self

import attrs

__all__ = ["Claim", "Entry", "Inbox", "Intake"]


@attrs.frozen(kw_only=True)
class Entry:
    """One delivery for one handler.

    Attributes:
        route: Which handler it is for, by its name, which is the same in the next process.
        topic: What it is about. Entries of a topic are handled one at a time, in the order in which they came.
        key: Entries of a topic that have the same key ask for the same thing.
        body: The bytes of the delivery, verified.
        delay: Seconds to leave it lying, for others of its kind to arrive.
    """

    route: str
    topic: str
    key: str
    body: bytes = attrs.field(repr=False)
    delay: float = 0.0

    def dump(self) -> dict[str, Any]:
        """As JSON-ready values, for a task queue."""
        return {**attrs.asdict(self), "body": self.body.decode()}

    @classmethod
    def load(cls, dumped: Mapping[str, Any]) -> Self:
        """The entry that `dump` made these values of."""
        return cls(**{**dumped, "body": dumped["body"].encode()})


@attrs.frozen(kw_only=True)
class Claim:
    """An entry that was handed out to be handled, until its lease ends.

    Attributes:
        entry: It.
        id: Its number in the inbox.
        token: Tells this handing out from others of the same entry.
        attempt: The how-manieth handing out since it came; from 1.
    """

    entry: Entry
    id: int | str
    token: str
    attempt: int


class Intake(Protocol):
    """The half of an inbox that the answer needs. A task queue needs no more: it has workers of its own."""

    async def put(self, entries: Sequence[Entry]) -> int:
        """Keep entries, all or none. Once this returns, they must survive whatever this inbox promises to survive.

        An entry whose equal (route, topic and key) is the last of its topic and still waits may be dropped: whoever
        handles that one will look later than now. It must not be dropped because its equal is being handled, or was
        handled: it may tell of a change that came after that look.

        Returns:
            How many were not dropped.

        Raises:
            Exception: They were not kept; the delivery is answered with 503, and will come again.
        """
        ...


class Inbox(Intake, Protocol):
    """An inbox that hands out what it took. Several receivers and processes may work on one.

    All calls may be cancelled. Those on a claim whose lease has ended, and that was handed out anew, do nothing.

    Attributes:
        is_durable: Whether what lies in it survives this process.
    """

    is_durable: bool

    async def claim(self, routes: Collection[str], *, limit: int, lease: float, wait: float) -> list[Claim]:
        """Hand out entries that are due; they are nobody else's until the lease ends, and then anybody's again.

        If it is cancelled, it keeps nothing for whoever is not there any more: what it had taken is handed back.

        Args:
            routes: Only these.
            limit: At most so many.
            lease: Seconds.
            wait: Seconds to wait until there is one at least.
        """
        ...

    async def renew(self, claims: Sequence[Claim], *, lease: float) -> None:
        """Let the leases end `lease` seconds from now."""
        ...

    async def finish(self, claim: Claim, *, remember: float = 0.0) -> None:
        """It was handled: forget it.

        Args:
            claim: It.
            remember: Seconds in which an entry with the same key as the one last handled of its topic is taken, but
                left lying until they are over, so that a burst of equal deliveries leads to two looks, not to ten.
        """
        ...

    async def postpone(self, claim: Claim, *, delay: float, counts: bool = True) -> None:
        """Hand it back, to be handed out again after `delay` seconds.

        Args:
            claim: It.
            delay: Seconds.
            counts: Whether the attempt counts.
        """
        ...

    async def give_up(self, claim: Claim, *, reason: str) -> None:
        """Put it aside, so that it holds up nobody; a durable inbox keeps it."""
        ...

    async def waiting(self, routes: Collection[str]) -> int:
        """How many entries are there for these routes, handed out or not, without those that were put aside."""
        ...

    async def close(self) -> None:
        """Let go of files and threads. What lies in it stays, and the next call opens it again."""
        ...
