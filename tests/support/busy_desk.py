"""A list that never ends and interactive calls during it, in virtual time against Laravel's throttle."""

from __future__ import annotations

import heapq
import itertools
import random
from bisect import bisect
from collections import deque
from collections.abc import Callable

import attrs

from goedgepickt_async.budget.slots import FAR, Lane, LimiterConfig, Slots, nanoseconds
from tests.support.throttles import SECOND, CacheThrottle, Throttle

__all__ = ["BusyDesk", "Tally"]


@attrs.define
class Tally:
    """What came of it; in seconds.

    Attributes:
        share: Of the requests that slots allow in so many whole cycles, how many arrived.
        waits: Of each interactive call, for the budget.
        refused: Requests that the throttle refused.
    """

    share: float
    waits: list[float]
    refused: int


class BusyDesk:
    """One run.

    Args:
        lane: Of the endless job, which has so many requests in progress as it may.
        people: Interactive calls in a second.
        latency: The bounds of a request's duration in seconds.
        seed: Of everything that is drawn.
        server: Its throttle; Laravel's by default.
        config: The budget's numbers.
        foreign: Requests of others in a second.

    Attributes:
        foreign_traffic: Whether the budget ever counted its own requests as foreign traffic.
    """

    def __init__(
        self,
        lane: Lane,
        *,
        people: float,
        latency: tuple[float, float],
        seed: int,
        server: Throttle | None = None,
        config: LimiterConfig | None = None,
        foreign: float = 0.0,
    ) -> None:
        self._lane, self._people, self._latency, self._foreign = lane, people, latency, foreign
        self._draw = random.Random(seed)
        self._slots = Slots(config or LimiterConfig())
        self.foreign_traffic = False
        self._server: Throttle = server or CacheThrottle(150, 60)
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._now = 0
        self._queue: deque[int] = deque()
        self._waits: list[float] = []
        self._arrivals: list[int] = []
        self._durations: list[int] = []
        self._refused = 0

    def run(self, seconds: float, *, left_out: float) -> Tally:
        """Work for so long; the first `left_out` seconds count for no share."""
        if self._people:
            self._expect_somebody()
        if self._foreign:
            self._expect_foreign()
        while self._now < nanoseconds(seconds):
            self._hand_out()
            change = self._slots.next_change(self._now)
            self._now = max(self._now, min(change, self._events[0][0] if self._events else FAR))
            while self._events and self._events[0][0] <= self._now:
                heapq.heappop(self._events)[2]()
        return Tally(self._share(nanoseconds(left_out), nanoseconds(seconds)), self._waits, self._refused)

    def _share(self, begin: int, end: int) -> float:
        cycle = 61 * SECOND + sum(self._durations) // len(self._durations)
        cycles = (end - begin) // cycle - 1
        starts = [begin + cycle * part // 20 for part in range(20)]
        counts = [bisect(self._arrivals, at + cycles * cycle) - bisect(self._arrivals, at) for at in starts]
        return sum(counts) / len(counts) / (cycles * 150)

    def _hand_out(self) -> None:
        while self._queue:
            slot = self._slots.take(self._now, Lane.INTERACTIVE, 30 * SECOND)
            if slot is None:
                return
            self._waits.append((self._now - self._queue.popleft()) / SECOND)
            self._send(slot)
        while (slot := self._slots.take(self._now, self._lane, 30 * SECOND)) is not None:
            self._send(slot)

    def _send(self, slot: int) -> None:
        duration = nanoseconds(self._draw.uniform(*self._latency))
        self._durations.append(duration)
        ends = self._now + duration
        self._at(self._now + round(duration * self._draw.random()), lambda: self._count(slot, ends))

    def _count(self, slot: int, ends: int) -> None:
        admitted = self._server.arrive(self._now)
        self._arrivals.append(self._now)
        self._at(ends, lambda: self._end(slot, admitted=admitted))

    def _end(self, slot: int, *, admitted: bool) -> None:
        if admitted:
            self._slots.answered(slot, self._now, self._server.counter(self._now))
            self.foreign_traffic |= self._slots.foreign_traffic(self._now)
        else:
            self._refused += 1
            self._slots.give_back(slot)
            self._slots.throttled(self._now, 60 * SECOND)

    def _expect_somebody(self) -> None:
        self._at(self._now + nanoseconds(self._draw.expovariate(self._people)), self._somebody_calls)

    def _expect_foreign(self) -> None:
        self._at(self._now + nanoseconds(self._draw.expovariate(self._foreign)), self._foreign_comes)

    def _foreign_comes(self) -> None:
        self._server.arrive(self._now)
        self._expect_foreign()

    def _somebody_calls(self) -> None:
        self._queue.append(self._now)
        self._expect_somebody()

    def _at(self, instant: int, act: Callable[[], None]) -> None:
        heapq.heappush(self._events, (instant, next(self._order), act))
