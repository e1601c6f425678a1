"""The order of the waiting calls: strict between lanes, and within a lane the keys take turns. No I/O, no clock."""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable, Iterator
from typing import TypeVar

import attrs
from aiolimiter import AsyncLimiter

from goedgepickt_async.budget.config import Lane
from goedgepickt_async.budget.protocol import Grant

__all__ = ["FairSemaphore", "Pacer", "WaitQueue", "Waiter", "bulk_rate"]

T = TypeVar("T")

_SHARE = 0.92
"""The pace of the bulk lane as a part of the allowed rate: 2.3 of 2.5 requests per second."""
_BURST = 15
"""The limit divided by this number is the first burst of the bulk lane: 10 of 150 requests."""


class FairTurns:
    """Turns for keys: the next call of a key gets the turn after its last call, so the keys are served in rotation.

    This is start-time fair queueing with calls of equal cost. A new key starts at the present turn. It does not wait
    for the queued calls of other keys, and it does not collect turns.
    """

    def __init__(self) -> None:
        self.turn = 0
        self._last: dict[Hashable, int] = {}
        self._calls: Counter[Hashable] = Counter()

    def next(self, key: Hashable) -> int:
        """Return the turn that another call of a key would get."""
        return max(self.turn, self._last.get(key, 0)) + 1

    def join(self, key: Hashable) -> int:
        """Give a turn to another call of a key."""
        turn = self.next(key)
        self._last[key] = turn
        self._calls[key] += 1
        return turn

    def rejoin(self, key: Hashable) -> int:
        """The turn of a call that was served before: it is first."""
        self._last.setdefault(key, self.turn)
        self._calls[key] += 1
        return self.turn

    def leave(self, key: Hashable) -> None:
        """A call was served, or gave up."""
        self._calls[key] -= 1
        if not self._calls[key]:
            del self._calls[key], self._last[key]

    @property
    def keys(self) -> int:
        """The number of keys with calls."""
        return len(self._calls)


@attrs.define(eq=False)
class Waiter:
    """A waiting call.

    Attributes:
        place: The number of the call; the first call has the lowest number.
        lane: The lane of the call.
        key: The tenant, or anything else that takes turns.
        max_lifetime: The longest time of its attempt, in nanoseconds.
        asked: The time when it started to wait, in nanoseconds.
        deadline: The time when it gives up, in nanoseconds; None without a time limit.
        loop: The event loop of the call.
        granted: The future that the call awaits.
        again: Whether the call had a slot before and got a 429.
        turn: Its turn among the calls of its lane.
        grant: The grant, which is set just before `granted` gets it.
        error: The error of the call, which is set just before `granted` is woken.
        judged: Whether its wait was predicted.
    """

    place: int
    lane: Lane
    key: Hashable
    max_lifetime: int
    asked: int
    deadline: int | None
    loop: asyncio.AbstractEventLoop
    granted: asyncio.Future[Grant]
    again: bool = False
    turn: int = 0
    grant: Grant | None = None
    error: BaseException | None = None
    judged: bool = False

    def __lt__(self, other: Waiter) -> bool:
        return (self.turn, self.place) < (other.turn, other.place)

    def wake(self) -> None:
        """Wake its task, from any thread.

        Raises:
            RuntimeError: Its loop is closed.
        """
        self.loop.call_soon_threadsafe(self._resolve)

    def _resolve(self) -> None:
        if self.granted.done():
            return
        if self.error is not None:
            self.granted.set_exception(self.error)
        elif self.grant is not None:
            self.granted.set_result(self.grant)


class WaitQueue:
    """The waiters of one process."""

    def __init__(self) -> None:
        self._queues: dict[Lane, list[Waiter]] = {lane: [] for lane in Lane}
        self.turns: dict[Lane, FairTurns] = {lane: FairTurns() for lane in Lane}
        self.loops: Counter[asyncio.AbstractEventLoop] = Counter()

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._queues.values())

    def __iter__(self) -> Iterator[Waiter]:
        """All waiting calls, in the order of service."""
        for queue in self._queues.values():
            yield from queue

    def join(self, waiter: Waiter) -> None:
        """Add a call to its lane, with the turn of its key."""
        turns = self.turns[waiter.lane]
        waiter.turn = turns.rejoin(waiter.key) if waiter.again else turns.join(waiter.key)
        insort(self._queues[waiter.lane], waiter)
        self.loops[waiter.loop] += 1

    def leave(self, waiter: Waiter) -> bool:
        """Remove a call. Return whether it was waiting."""
        index = self._index(waiter)
        if index is None:
            return False
        del self._queues[waiter.lane][index]
        self.turns[waiter.lane].leave(waiter.key)
        self.loops[waiter.loop] -= 1
        if not self.loops[waiter.loop]:
            del self.loops[waiter.loop]
        return True

    def _index(self, waiter: Waiter) -> int | None:
        queue = self._queues[waiter.lane]
        index = bisect_left(queue, waiter)
        return index if index < len(queue) and queue[index] is waiter else None

    def leave_with(self, loop: asyncio.AbstractEventLoop) -> None:
        """Remove the calls of closed loops."""
        for waiter in [waiter for waiter in self if waiter.loop is loop]:
            self.leave(waiter)

    def before(self, waiter: Waiter) -> int:
        """The number of calls before this one."""
        sooner = sum(len(self._queues[lane]) for lane in Lane if lane < waiter.lane)
        return sooner + sum(1 for other in self._queues[waiter.lane] if other < waiter)

    def ahead_of(self, lane: Lane, key: Hashable) -> int:
        """The number of calls before a new call in this lane."""
        turn = self.turns[lane].next(key)
        sooner = sum(len(self._queues[other]) for other in Lane if other < lane)
        return sooner + bisect_right(self._queues[lane], turn, key=lambda waiter: waiter.turn)

    def counts(self) -> dict[Lane, int]:
        """The number of waiting calls in each lane."""
        return {lane: len(queue) for lane, queue in self._queues.items()}

    def in_lane(self, lane: Lane) -> list[Waiter]:
        """The waiting calls of one lane, in the order of service. Do not change the list."""
        return self._queues[lane]

    def age(self, asked_before: int) -> None:
        """Move calls that wait since before this time to the next higher lane, so that no call starves."""
        for lane in (Lane.NORMAL, Lane.BULK):
            for waiter in [waiter for waiter in self._queues[lane] if waiter.asked < asked_before]:
                self.leave(waiter)
                waiter.lane, waiter.asked, waiter.again = Lane(lane - 1), asked_before, True
                self.join(waiter)


def bulk_rate(limit: int, window: float) -> float:
    """The average number of requests per second in the bulk lane.

    Args:
        limit: The number of requests that may be sent in a window.
        window: In seconds.
    """
    return _SHARE * limit / window


class FairSemaphore:
    """A semaphore for one event loop, in which the keys take turns.

    Attributes:
        held: The number of tasks that have acquired it.
    """

    def __init__(self, number: int) -> None:
        self.held: int = 0
        self._most = number
        self._turns = FairTurns()
        self._line: list[tuple[int, int, asyncio.Future[None]]] = []
        self._number = 0

    @property
    def waiting(self) -> int:
        """The number of waiting tasks."""
        return len(self._line)

    def take_free(self) -> bool:
        """Acquire it without a wait. False: the caller must wait."""
        if self.held == self._most:
            return False
        self.held += 1
        return True

    def ahead_of(self, key: Hashable) -> int:
        """The number of tasks before a new one with this key."""
        turn = self._turns.next(key)
        return sum(1 for other, _, _ in self._line if other <= turn)

    async def acquire(self, key: Hashable = None) -> None:
        """Wait for the turn of the key."""
        if self.take_free():
            return
        self._number += 1
        turn = self._turns.join(key)
        entry = (turn, self._number, asyncio.get_running_loop().create_future())
        insort(self._line, entry)  # the numbers differ, so no futures are compared
        try:
            await entry[2]
        except BaseException:
            if entry in self._line:
                self._line.remove(entry)
            elif entry[2].done() and not entry[2].cancelled():
                self.release()  # it was cancelled at the moment of its turn
            raise
        finally:
            self._turns.leave(key)

    def release(self) -> None:
        """Release it."""
        while self._line:
            turn, _, waiting = self._line.pop(0)
            if not waiting.done():
                self._turns.turn = max(self._turns.turn, turn)
                waiting.set_result(None)
                return
        self.held -= 1


@attrs.define(eq=False)
class _LoopPacer:
    """The waiting bulk requests of one event loop."""

    limiter: AsyncLimiter
    turn: FairSemaphore = attrs.field(factory=lambda: FairSemaphore(1))
    has_token: bool = False


class Pacer:
    """After a first burst, bulk requests are spread evenly over time, so that slots become free evenly.

    The pace comes from aiolimiter's token bucket. Each event loop has its own bucket. A bucket does not keep the order
    of calls and takes no token back. Therefore only the first call takes a token, and an unused token goes to the next
    call.

    Args:
        limit: The number of requests that may be sent in a window.
        window: In seconds.
    """

    def __init__(self, limit: int, window: float) -> None:
        self._burst = max(1, limit // _BURST)
        self._each = 1 / bulk_rate(limit, window)
        self._by_loop: dict[asyncio.AbstractEventLoop, _LoopPacer] = {}

    async def run_paced(self, take: Callable[[], Awaitable[T]], key: Hashable = None) -> T:
        """Wait for the turn of the key and for the pace, then for `take`."""
        pacer = self._here()
        await pacer.turn.acquire(key)
        try:
            if not pacer.has_token:
                await pacer.limiter.acquire()
                pacer.has_token = True
            taken = await take()
            pacer.has_token = False
            return taken
        finally:
            pacer.turn.release()

    def wait(self, key: Hashable = None) -> float:
        """The approximate seconds that a new call would wait for the pace."""
        pacer = self._by_loop.get(asyncio.get_running_loop())
        return 0.0 if pacer is None else (pacer.turn.held + pacer.turn.ahead_of(key)) * self._each

    def waiting(self) -> int:
        """The number of waiting bulk requests in all event loops."""
        return sum(pacer.turn.held + pacer.turn.waiting for pacer in list(self._by_loop.values()))

    def _here(self) -> _LoopPacer:
        loop = asyncio.get_running_loop()
        pacer = self._by_loop.get(loop)
        if pacer is None:
            for ended in [known for known in list(self._by_loop) if known.is_closed()]:
                self._by_loop.pop(ended, None)
            pacer = self._by_loop[loop] = _LoopPacer(AsyncLimiter(self._burst, self._burst * self._each))
        return pacer
