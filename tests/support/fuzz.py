"""A plain fuzz of the slots: random jobs against a throttle, in virtual time, one event after the other.

The seed of a job decides all events. It decides latencies, the moments at which the server counts a request and reads
its counter, and restarts without memory. It also decides which responses never come or have no rate headers, and the
foreign traffic on the same IP. The fuzz asserts at each step that every wait ends, and that time continues.
"""

from __future__ import annotations

import heapq
import itertools
import os
import random
from collections.abc import Callable

import attrs
from hypothesis import settings

from goedgepickt_async.budget.slots import FAR, Lane, LimiterConfig, Slots, nanoseconds
from tests.support.throttles import (
    SECOND,
    CacheThrottle,
    DurationThrottle,
    EstimatedWindow,
    SlidingLog,
    Throttle,
    TokenBucket,
)

__all__ = ["FLAVOURS", "Job", "Tally", "depth", "examples", "play"]

FLAVOURS = ("redis", "file", "memcached", "duration")
"""The servers: `ThrottleRequests` over three caches, and `ThrottleRequestsWithRedis`."""

_EPOCH = 1_700_000_000 * SECOND


def depth(seeds: int) -> range:
    """So many seeds; `GOEDGEPICKT_FUZZ=20` in the environment makes it twenty times as many."""
    return range(seeds * int(os.environ.get("GOEDGEPICKT_FUZZ", "1")))


def examples(most: int) -> int:
    """So many examples of hypothesis; the profile `thorough` has ten times as many."""
    assert settings.default is not None
    return most * settings.default.max_examples // settings.get_profile("any machine").max_examples


@attrs.frozen(kw_only=True)
class Job:
    """What is sent, and the events of the job; durations in seconds.

    Attributes:
        limit: Requests in a window.
        window: The server's window.
        late_arrival: How late a lost request may still be counted.
        requests: How many are to be sent.
        concurrency: How many are in progress at the same time.
        latency: The bounds of a request's duration.
        lane: The lane of all of them.
        counter: Whether the slots obey the server's counter.
        lost: The share of requests that are sent and never answered.
        never_sent: The share that never leaves.
        headerless: The share of answers without rate headers.
        foreign: Requests of others in a window.
        clump: How many of them come at the same time.
        before: For how long they have been there when the job begins.
        restarts: The chance of a restart without memory, whenever nothing is in progress.
        make: The slots.
    """

    limit: int = 5
    window: float = 10.0
    late_arrival: float = 3.0
    requests: int = 60
    concurrency: int = 6
    latency: tuple[float, float] = (0.001, 6.0)
    lane: Lane = Lane.INTERACTIVE
    counter: bool = True
    lost: float = 0.0
    never_sent: float = 0.0
    headerless: float = 0.0
    foreign: float = 0.0
    clump: int = 1
    before: float = 0.0
    restarts: float = 0.0
    make: Callable[[LimiterConfig], Slots] = Slots


@attrs.define
class Tally:
    """What came of a job.

    Attributes:
        refusals: Requests of ours that the throttle refused.
        cold_starts: Restarts, and the start.
        ended: When the last one was done, in seconds.
    """

    refusals: int = 0
    cold_starts: int = 1
    ended: float = 0.0


def play(job: Job, flavour: str, seed: int) -> Tally:
    """Play a job with a server of one flavour."""
    return _Play(job, flavour, seed).run()


@attrs.define(eq=False)
class _Sending:
    """One request in progress."""

    slot: int
    sent: int
    fate: str
    has_headers: bool
    admitted: bool = False
    count: int = 0


class _Play:
    def __init__(self, job: Job, flavour: str, seed: int) -> None:
        self.job = job
        self.draw = random.Random(seed)
        self.foreign = random.Random(seed + 1)
        self.offset = _EPOCH + round(self.draw.random() * SECOND)
        self.server = _server(job, flavour, self.draw.random())
        self.slots = self._fresh()
        self.now = 0
        self.to_send, self.done, self.under_way = job.requests, 0, 0
        self.tally = Tally()
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def run(self) -> Tally:
        if self.job.foreign:
            self._expect_foreign()
        begun = nanoseconds(self.job.before)
        while self._events and self._events[0][0] < begun:
            self.now = self._events[0][0]
            heapq.heappop(self._events)[2]()
        self.now = begun
        self._send_what_may_go()
        while self.done < self.job.requests:
            self._go_on()
        self.tally.ended = (self.now - begun) / SECOND
        return self.tally

    def _go_on(self) -> None:
        """To the next event, or to the moment at which a waiting request must check again."""
        change = FAR
        if self.to_send and self.under_way < self.job.concurrency:
            change = self.slots.next_change(self.now)
            assert change > self.now, "time does not go on"
            assert change < FAR or self.under_way, "who waits is never told to look again"
        self.now = max(self.now, min(change, self._events[0][0] if self._events else FAR))
        assert self.now < FAR, "nothing will ever happen again"
        while self._events and self._events[0][0] <= self.now:
            heapq.heappop(self._events)[2]()
        self._send_what_may_go()

    def _send_what_may_go(self) -> None:
        while self.to_send and self.under_way < self.job.concurrency:
            slot = self.slots.take(self.now, self.job.lane, nanoseconds(self.job.latency[1]))
            if slot is None:
                return
            assert self.slots.used(self.now) <= self.job.limit
            self.to_send -= 1
            self.under_way += 1
            self._send(slot)

    def _send(self, slot: int) -> None:
        sending = _Sending(slot, self.now, self._fate(), self.draw.random() >= self.job.headerless)
        latency = self.draw.uniform(*self.job.latency)
        ends = self.now + nanoseconds(latency)
        if sending.fate != "never sent":
            late = self.job.late_arrival if sending.fate == "lost" else 0.0
            counted = self.now + nanoseconds(self.draw.random() * (latency + late))
            self._at(counted, lambda: self._count(sending))
            if sending.fate == "answered":
                read = counted + round(self.draw.random() * (ends - counted))
                self._at(read, lambda: self._read(sending))
        self._at(ends, lambda: self._end(sending))

    def _fate(self) -> str:
        chance = self.draw.random()
        if chance < self.job.lost:
            return "lost"
        return "never sent" if chance < self.job.lost + self.job.never_sent else "answered"

    def _count(self, sending: _Sending) -> None:
        sending.admitted = self.server.arrive(self.offset + self.now)
        self.tally.refusals += not sending.admitted

    def _read(self, sending: _Sending) -> None:
        sending.count = self.server.counter(self.offset + self.now)

    def _end(self, sending: _Sending) -> None:
        self.under_way -= 1
        again = sending.fate == "never sent" or (sending.fate == "answered" and not sending.admitted)
        self.to_send += again
        self.done += not again
        self._settle(sending)
        if not self.under_way and self.draw.random() < self.job.restarts:
            self.slots = self._fresh()
            self.tally.cold_starts += 1

    def _settle(self, sending: _Sending) -> None:
        if sending.fate == "never sent":
            self.slots.give_back(sending.slot)
        elif sending.fate == "lost":
            self.slots.lost(sending.slot, self.now)
        elif not sending.admitted:
            self.slots.give_back(sending.slot)
            self.slots.throttled(self.now, nanoseconds(self.job.window + 1))
        else:
            self.slots.answered(sending.slot, self.now, sending.count if sending.has_headers else None)

    def _expect_foreign(self) -> None:
        each = self.job.foreign / self.job.clump
        gap = self.foreign.expovariate(each / self.job.window)
        self._at(self.now + nanoseconds(gap), self._foreign_come)

    def _foreign_come(self) -> None:
        for _ in range(self.job.clump):
            self.server.arrive(self.offset + self.now)
        self._expect_foreign()

    def _at(self, instant: int, act: Callable[[], None]) -> None:
        heapq.heappush(self._events, (max(instant, self.now), next(self._order), act))

    def _fresh(self) -> Slots:
        job = self.job
        return job.make(
            LimiterConfig(
                limit=job.limit, window=job.window, late_arrival=job.late_arrival, use_server_counter=job.counter
            )
        )


def _server(job: Job, flavour: str, phase: float) -> Throttle:
    match flavour:
        case "duration":
            return DurationThrottle(job.limit, job.window)
        case "sliding":
            return SlidingLog(job.limit, job.window)
        case "bucket":
            return TokenBucket(job.limit, job.window)
        case "estimated":
            return EstimatedWindow(job.limit, job.window, phase * job.window)
    return CacheThrottle(job.limit, job.window, flavour, phase)
