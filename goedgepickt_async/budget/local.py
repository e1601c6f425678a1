"""LocalBudget: the slots live in this process, for all its clients, keys, tasks, event loops and threads."""

from __future__ import annotations

import asyncio
import os
import threading
import time
import weakref
from bisect import insort
from collections import Counter, deque
from collections.abc import Callable, Iterator

import attrs

from goedgepickt_async.budget.protocol import (
    Answered,
    BudgetSnapshot,
    Grant,
    Lost,
    NeverSent,
    Outcome,
    Refused,
)
from goedgepickt_async.budget.slots import FAR, Lane, Rules, Slots, nanoseconds
from goedgepickt_async.errors import BudgetExhaustedError, Evidence

__all__ = ["LocalBudget"]

_SECOND = 1_000_000_000
_LONGEST_PAUSE = 5
"""In windows: a longer Retry-After is not the throttle's; after this pause one request alone asks again."""

_living: weakref.WeakSet[LocalBudget] = weakref.WeakSet()


@attrs.define(eq=False)
class _Waiter:
    place: int
    lane: Lane
    life: int
    asked: int
    loop: asyncio.AbstractEventLoop
    granted: asyncio.Future[Grant]
    grant: Grant | None = None

    def __lt__(self, other: _Waiter) -> bool:
        return self.place < other.place


class LocalBudget:
    """A budget for this process.

    It may be shared by any number of clients, event loops and threads. Two processes that each have one do not know
    of each other, but for the server's own counter.

    Args:
        limit: Requests that the server allows in a period (150; confidence A).
        period: The server's window in seconds (60; confidence B).
        guard: Seconds added to the period, for server clocks that tick in whole seconds.
        late: Seconds after which a request whose client gave up is certain not to be counted any more.
        headroom: Slots that lists and bulk jobs leave to interactive calls (at most a tenth of the limit).
        soon: Seconds within which a slot that comes free counts as headroom.
        use_server_counter: Obey the server's counter too; it makes restarts and strangers on the same IP harmless.
        clock: The time in nanoseconds, never going back; for tests.
    """

    def __init__(
        self,
        limit: int = 150,
        period: float = 60.0,
        *,
        guard: float = 1.0,
        late: float = 30.0,
        headroom: int = 10,
        soon: float = 1.0,
        use_server_counter: bool = True,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.rules = Rules(
            limit=limit,
            window=period,
            guard=guard,
            late=late,
            headroom=headroom,
            soon=soon,
            use_server_counter=use_server_counter,
        )
        self._clock = clock
        self._slots = Slots(self.rules)
        self._last_place = 0
        self._start_afresh()
        _living.add(self)

    def __repr__(self) -> str:
        return f"LocalBudget(limit={self.rules.limit}, period={self.rules.window:g})"

    @property
    def limit(self) -> int:
        """Requests in a period."""
        return self.rules.limit

    async def take(self, lane: Lane, *, life: float, max_wait: float | None = None, place: int | None = None) -> Grant:
        """Wait for the right to send one request; see `Budget.take`."""
        with self._lock:
            waiter = self._newcomer(lane, life, place)
            self._enqueue(waiter)
            self._hand_out()
            if waiter.grant is not None:
                return waiter.grant
            wait = self._wait_of(waiter)
            if max_wait is not None and wait > max_wait:
                self._leave(waiter)
                raise _exhausted(wait)
        try:
            async with asyncio.timeout(max_wait):
                return await waiter.granted
        except TimeoutError:
            with self._lock:
                self._abandon(waiter)
                raise _exhausted(self._wait_of(waiter)) from None
        except BaseException:  # cancelled, or thrown away with its loop
            with self._lock:
                self._abandon(waiter)
            raise

    def settle(self, grant: Grant, outcome: Outcome) -> None:
        """Say what came of a grant; see `Budget.settle`."""
        with self._lock:
            now = self._clock()
            match outcome:
                case Answered(count):
                    self._slots.answered(grant.slot, now, count)
                case Lost():
                    self._slots.lost(grant.slot, now)
                case NeverSent():
                    self._slots.give_back(grant.slot)
                case Refused(retry_after):
                    self._slots.refused(grant.slot, now, self._pause_for(retry_after))
            self._hand_out()

    def pause(self, retry_after: float | None) -> None:
        """Pause everybody, because the throttle spoke; see `Budget.pause`."""
        with self._lock:
            self._slots.throttled(self._clock(), self._pause_for(retry_after))
            self._hand_out()

    def predicted_wait(self, lane: Lane) -> float:
        """Seconds that a newcomer in this lane would wait, if all goes as usual."""
        with self._lock:
            ahead = sum(len(self._queues[other]) for other in Lane if other <= lane)
            return self._slots.predicted_wait(self._clock(), ahead) / _SECOND

    def snapshot(self) -> BudgetSnapshot:
        """The state now."""
        with self._lock:
            now, slots = self._clock(), self._slots
            free, change, paused = slots.free(now), slots.next_change(now), slots.paused_until(now)
            return BudgetSnapshot(
                limit=self.rules.limit,
                period=self.rules.window,
                used=slots.used(now),
                free=0 if paused else max(0, free),
                in_flight=slots.in_flight(now),
                next_free_in=0.0 if free > 0 and not paused else None if change == FAR else (change - now) / _SECOND,
                waiting={lane: len(queue) for lane, queue in self._queues.items()},
                strangers_seen=slots.strangers_seen(now),
                paused_for=(paused - now) / _SECOND if paused else 0.0,
                throttled=slots.throttled_count,
            )

    # -- the queue; all of it under the lock --------------------------------------------------------------------

    def _start_afresh(self) -> None:
        """Forget whoever waits; also in a forked child, where the parent's loops and lock mean nothing."""
        self._lock = threading.Lock()
        self._queues: dict[Lane, deque[_Waiter]] = {lane: deque() for lane in Lane}
        self._loops: Counter[asyncio.AbstractEventLoop] = Counter()
        self._alarms: dict[asyncio.AbstractEventLoop, tuple[int, asyncio.TimerHandle]] = {}

    def _after_fork(self) -> None:
        self._start_afresh()
        self._slots.orphan_all(self._clock())  # they stay taken: the parent's requests come from the same IP

    def _newcomer(self, lane: Lane, life: float, place: int | None) -> _Waiter:
        loop = asyncio.get_running_loop()
        if place is None:
            self._last_place += 1
            place = self._last_place
        return _Waiter(place, lane, nanoseconds(life), self._clock(), loop, loop.create_future())

    def _enqueue(self, waiter: _Waiter) -> None:
        insort(self._queues[waiter.lane], waiter)
        self._loops[waiter.loop] += 1

    def _leave(self, waiter: _Waiter) -> None:
        if waiter not in self._queues[waiter.lane]:  # its loop was found closed
            return
        self._queues[waiter.lane].remove(waiter)
        self._loops[waiter.loop] -= 1
        if not self._loops[waiter.loop]:
            del self._loops[waiter.loop]
            alarm = self._alarms.pop(waiter.loop, None)
            if alarm is not None and not waiter.loop.is_closed():
                alarm[1].cancel()

    def _abandon(self, waiter: _Waiter) -> None:
        """Its caller gave up: out of the queue, or give back what it was granted a moment ago."""
        if waiter.grant is None:
            self._leave(waiter)
        else:
            self._slots.give_back(waiter.grant.slot)
        self._hand_out()

    def _wait_of(self, waiter: _Waiter) -> float:
        before = sum(len(self._queues[lane]) for lane in Lane if lane < waiter.lane)
        beside = sum(1 for other in self._queues[waiter.lane] if other.place < waiter.place)
        return self._slots.predicted_wait(self._clock(), before + beside) / _SECOND

    def _in_order(self) -> Iterator[_Waiter]:
        """Whoever is first in the first lane that has anybody, until nobody is left."""
        for lane in Lane:
            while self._queues[lane]:
                yield self._queues[lane][0]

    def _hand_out(self) -> None:
        """Give what is free to whoever is first; nobody can overtake, as a grant is handed over, not fought for."""
        for waiter in self._in_order():
            now = self._clock()
            slot = self._slots.take(now, waiter.lane, waiter.life)
            if slot is None:
                break
            self._leave(waiter)
            waiter.grant = Grant(slot, waiter.place, (now - waiter.asked) / _SECOND)
            try:
                waiter.loop.call_soon_threadsafe(_wake, waiter)
            except RuntimeError:  # its loop is closed: nobody will ever use the slot
                self._slots.give_back(slot)
        self._set_alarms()

    def _set_alarms(self) -> None:
        """Each loop that has a waiter looks again when time alone may have freed a slot."""
        if not self._loops:
            return
        due = self._slots.next_change(self._clock())
        here = _running_loop()
        for loop in list(self._loops):
            alarm = self._alarms.get(loop)
            if alarm is not None and alarm[0] <= due:
                continue
            if loop is here:
                self._set_alarm(loop, due)
                continue
            try:
                loop.call_soon_threadsafe(self._look_again)
            except RuntimeError:  # closed with waiters in it
                self._forget_loop(loop)

    def _set_alarm(self, loop: asyncio.AbstractEventLoop, due: int) -> None:
        before = self._alarms.pop(loop, None)
        if before is not None:
            before[1].cancel()
        if due < FAR:
            delay = max(0, due - self._clock()) / _SECOND
            self._alarms[loop] = (due, loop.call_later(delay, self._ring, loop))

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._lock:
            self._alarms.pop(loop, None)
            self._hand_out()

    def _look_again(self) -> None:
        with self._lock:
            self._hand_out()

    def _forget_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        for queue in self._queues.values():
            for waiter in [waiter for waiter in queue if waiter.loop is loop]:
                queue.remove(waiter)
        del self._loops[loop]
        self._alarms.pop(loop, None)

    def _pause_for(self, retry_after: float | None) -> int:
        """The pause after a 429: what the server asks and a second more, since it rounds down."""
        asked = self.rules.window if retry_after is None else retry_after
        return nanoseconds(min(asked, _LONGEST_PAUSE * self.rules.window) + self.rules.guard)


def _wake(waiter: _Waiter) -> None:
    if waiter.grant is not None and not waiter.granted.done():
        waiter.granted.set_result(waiter.grant)


def _exhausted(wait: float) -> BudgetExhaustedError:
    return BudgetExhaustedError(
        f"the rate limit lets this request go in {wait:.1f} s, which is longer than the caller will wait",
        wait=wait,
        evidence=Evidence.NOT_SENT,
    )


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _after_fork_in_child() -> None:
    for budget in list(_living):
        budget._after_fork()  # noqa: SLF001  same module


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
