"""Who waits for a slot, in which order: strict between lanes, first come first served inside one. No IO, no clock."""

from __future__ import annotations

import asyncio
from bisect import insort
from collections import Counter, deque
from collections.abc import Iterator

import attrs

from goedgepickt_async.budget.protocol import Grant
from goedgepickt_async.budget.slots import Lane

__all__ = ["Lanes", "Waiter"]


@attrs.define(eq=False)
class Waiter:
    """One caller who waits.

    Attributes:
        place: Their number; who came first has the lowest.
        lane: The lane they stand in.
        life: How long their attempt may live, in nanoseconds.
        asked: When they came, in nanoseconds.
        loop: The event loop that they wait in.
        granted: What they wait for.
        grant: What they were given, which `granted` hears of a moment later.
    """

    place: int
    lane: Lane
    max_lifetime: int
    asked: int
    loop: asyncio.AbstractEventLoop
    granted: asyncio.Future[Grant]
    grant: Grant | None = None

    def __lt__(self, other: Waiter) -> bool:
        return self.place < other.place


class Lanes:
    """The waiters of one process."""

    def __init__(self) -> None:
        self._queues: dict[Lane, deque[Waiter]] = {lane: deque() for lane in Lane}
        self.loops: Counter[asyncio.AbstractEventLoop] = Counter()

    def __contains__(self, waiter: Waiter) -> bool:
        return waiter in self._queues[waiter.lane]

    def join(self, waiter: Waiter) -> None:
        """Stand in the lane, at the place."""
        insort(self._queues[waiter.lane], waiter)
        self.loops[waiter.loop] += 1

    def leave(self, waiter: Waiter) -> None:
        """Go; whoever has left already stays away."""
        if waiter not in self:
            return
        self._queues[waiter.lane].remove(waiter)
        self.loops[waiter.loop] -= 1
        if not self.loops[waiter.loop]:
            del self.loops[waiter.loop]

    def leave_with(self, loop: asyncio.AbstractEventLoop) -> None:
        """All go who waited in a loop that is closed."""
        for queue in self._queues.values():
            for waiter in [waiter for waiter in queue if waiter.loop is loop]:
                self.leave(waiter)

    def in_order(self) -> Iterator[Waiter]:
        """Whoever is first in the first lane that has anybody, until nobody is left."""
        for queue in self._queues.values():
            while queue:
                yield queue[0]

    def before(self, waiter: Waiter) -> int:
        """How many go before this one."""
        sooner = sum(len(self._queues[lane]) for lane in Lane if lane < waiter.lane)
        return sooner + sum(1 for other in self._queues[waiter.lane] if other.place < waiter.place)

    def up_to(self, lane: Lane) -> int:
        """How many a newcomer in this lane would have before them."""
        return sum(len(self._queues[other]) for other in Lane if other <= lane)

    def counts(self) -> dict[Lane, int]:
        """How many wait in each lane."""
        return {lane: len(queue) for lane, queue in self._queues.items()}

    def move_up(self, asked_before: int) -> None:
        """Those who wait since before then move up a lane, so that nobody starves."""
        for lane in (Lane.NORMAL, Lane.BULK):
            queue = self._queues[lane]
            while queue and queue[0].asked < asked_before:
                waiter = queue.popleft()
                waiter.lane, waiter.asked = Lane(lane - 1), asked_before
                insort(self._queues[waiter.lane], waiter)
