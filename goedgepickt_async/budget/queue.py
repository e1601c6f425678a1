"""The queue before the slots, over tasks, event loops and threads of one process. Where the slots live is a store's."""

from __future__ import annotations

import asyncio
import itertools
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any, Protocol, TypeVar

import attrs
from aiolimiter import AsyncLimiter

from goedgepickt_async.budget.lanes import Lanes, Waiter
from goedgepickt_async.budget.protocol import (
    Answered,
    BudgetEvent,
    BudgetSnapshot,
    ForeignTrafficDetected,
    Grant,
    Listeners,
    Lost,
    NeverSent,
    Outcome,
    PauseStarted,
    Refused,
    WaitStarted,
)
from goedgepickt_async.budget.slots import FAR, Lane, LimiterConfig, Slots, nanoseconds
from goedgepickt_async.errors import BudgetExhaustedError, Evidence
from goedgepickt_async.logs import log_event

__all__ = ["Pacer", "QueuedBudget", "SlotStore", "bulk_rate"]

T = TypeVar("T")

_SHARE = 0.92
"""Of the allowed rate: 2.3 of 2.5 requests a second."""
_BURST = 15
"""A fifteenth of the limit goes at once: 10 of 150."""


def bulk_rate(limit: int, window: float) -> float:
    """Requests a second that the bulk lane lets through in the long run.

    Args:
        limit: Requests that the server allows in a window.
        window: In seconds.
    """
    return _SHARE * limit / window


@attrs.define(eq=False)
class _Turns:
    """Who is first among the bulk requests of one event loop."""

    limiter: AsyncLimiter
    turn: asyncio.Lock = attrs.field(factory=asyncio.Lock)
    has_token: bool = False
    waiting: int = 0


class Pacer:
    """Lets bulk requests through one by one, at an even pace.

    Args:
        limit: Requests that the server allows in a window.
        window: In seconds.
    """

    def __init__(self, limit: int, window: float) -> None:
        self._burst = max(1, limit // _BURST)
        self._each = 1 / bulk_rate(limit, window)
        self._by_loop: dict[asyncio.AbstractEventLoop, _Turns] = {}

    async def in_turn(self, take: Callable[[], Awaitable[T]]) -> T:
        """Wait for the turn and for the pace, then for `take`."""
        turns = self._turns()
        turns.waiting += 1
        try:
            async with turns.turn:  # fair: asyncio's locks are handed over in the order of asking
                if not turns.has_token:
                    await turns.limiter.acquire()
                    turns.has_token = True
                taken = await take()
                turns.has_token = False
                return taken
        finally:
            turns.waiting -= 1

    def wait(self) -> float:
        """Seconds that a newcomer would wait for the pace, about."""
        turns = self._by_loop.get(asyncio.get_running_loop())
        return turns.waiting * self._each if turns is not None else 0.0

    def waiting(self) -> int:
        """How many wait for their turn, in all event loops."""
        return sum(turns.waiting for turns in list(self._by_loop.values()))

    def _turns(self) -> _Turns:
        loop = asyncio.get_running_loop()
        turns = self._by_loop.get(loop)
        if turns is None:
            for ended in [known for known in list(self._by_loop) if known.is_closed()]:
                self._by_loop.pop(ended, None)
            turns = self._by_loop[loop] = _Turns(AsyncLimiter(self._burst, self._burst * self._each))
        return turns


_SECOND = 1_000_000_000
_LONGEST_PAUSE = 5
"""In windows: a longer Retry-After is not the throttle's; after this pause one request alone asks again."""
_CLOSE = nanoseconds(0.001)
"""Two alarms so close are one: else loops would wake each other for ever, each a moment earlier."""
_AGED = nanoseconds(300)
"""After so long a waiter moves up a lane."""
_WORTH_TELLING = 5.0
"""Seconds of waiting from which on the log is told, once a window."""


class SlotStore(Protocol):
    """Where slots live."""

    def open(self) -> AbstractContextManager[tuple[Slots, int]]:
        """The slots, and the time now on their clock in nanoseconds; what was changed is kept on leaving."""
        ...

    def look_again_in(self, slots: Slots, now: int) -> int:
        """Nanoseconds until a request may go that may not go now; FAR if only an answer in this process can tell."""
        ...

    def after_fork(self) -> None:
        """This process is a child now: what its parent holds is none of its own."""
        ...


_living: weakref.WeakSet[QueuedBudget] = weakref.WeakSet()


class QueuedBudget:
    """A budget for this process's tasks, event loops and threads, over slots that live in a store.

    Args:
        store: Where the slots live.
        config: Their numbers.
        clock: The time in nanoseconds, never going back, for what happens in this process.
    """

    def __init__(self, store: SlotStore, config: LimiterConfig, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self.config = config
        self._store = store
        self._clock = clock
        self._places = itertools.count(1)
        self._told_at = -FAR
        self._listeners = Listeners()
        self._start_afresh()
        _living.add(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(limit={self.config.limit}, period={self.config.window:g})"

    @property
    def limit(self) -> int:
        """Requests in a period."""
        return self.config.limit

    async def take(
        self, lane: Lane, *, max_lifetime: float, max_wait: float | None = None, place: int | None = None
    ) -> Grant:
        """Wait for the right to send one request; see `Budget.take`."""
        if lane is not Lane.BULK or place is not None:  # who was refused has had their turn
            return await self._take(lane, max_lifetime, max_wait, place)
        if max_wait is not None and self._pacer.wait() > max_wait:
            raise _exhausted(self._pacer.wait())
        try:
            async with asyncio.timeout(max_wait):
                return await self._pacer.in_turn(lambda: self._take(lane, max_lifetime, None, None))
        except TimeoutError:
            raise _exhausted(self.predicted_wait(lane)) from None

    def settle(self, grant: Grant, outcome: Outcome) -> None:
        """Say what came of a grant; see `Budget.settle`."""
        if self._holder == threading.get_ident():  # the garbage collector came by while this thread was in here
            self._deferred.append(partial(self.settle, grant, outcome))
            return
        with self._open() as (slots, now):
            knew_strangers = slots.foreign_traffic(now)
            match outcome:
                case Answered(count):
                    slots.answered(grant.slot, now, count)
                    if slots.foreign_traffic(now) and not knew_strangers:
                        self._announce(ForeignTrafficDetected(counted=count or 0, ours=slots.used(now)))
                case Lost():
                    slots.lost(grant.slot, now)
                case NeverSent():
                    slots.give_back(grant.slot)
                case Refused(retry_after):
                    slots.give_back(grant.slot)
                    self._pause(slots, now, retry_after)
            self._hand_out(slots, now)

    def pause(self, retry_after: float | None) -> None:
        """Pause everybody, because the throttle spoke; see `Budget.pause`."""
        with self._open() as (slots, now):
            self._pause(slots, now, retry_after)
            self._hand_out(slots, now)

    def listen(self, method: Callable[[BudgetEvent], Any]) -> None:
        """Tell a bound method of events; see `Budget.listen`."""
        self._listeners.add(method)

    def predicted_wait(self, lane: Lane, *, ahead: int = 0) -> float:
        """Seconds that a newcomer in this lane would wait, if all goes as usual; see `Budget.predicted_wait`."""
        with self._open() as (slots, now):
            return slots.predicted_wait(now, ahead + self._lanes.up_to(lane), lane) / _SECOND

    def snapshot(self) -> BudgetSnapshot:
        """The state now."""
        with self._open() as (slots, now):
            free, change, paused = slots.free(now), slots.next_change(now), slots.paused_until(now)
            waiting = self._lanes.counts()
            waiting[Lane.BULK] = max(waiting[Lane.BULK], self._pacer.waiting())
            return BudgetSnapshot(
                limit=self.config.limit,
                period=self.config.window,
                used=slots.used(now),
                free=0 if paused else max(0, free),
                in_flight=slots.in_flight(now),
                next_free_in=0.0 if free > 0 and not paused else None if change == FAR else (change - now) / _SECOND,
                waiting=waiting,
                foreign_traffic=slots.foreign_traffic(now),
                paused_for=(paused - now) / _SECOND if paused else 0.0,
                throttled=slots.throttled_count,
            )

    # -- one at a time ------------------------------------------------------------------------------------------

    @contextmanager
    def _open(self) -> Iterator[tuple[Slots, int]]:
        with self._lock:
            self._holder = threading.get_ident()
            try:
                with self._store.open() as opened:
                    yield opened
            finally:
                self._holder = 0
        while self._deferred:
            self._deferred.popleft()()

    def _start_afresh(self) -> None:
        self._lock = threading.Lock()
        self._holder = 0  # the thread that is in here
        self._deferred: deque[Callable[[], object]] = deque()
        self._lanes = Lanes()
        self._alarms: dict[asyncio.AbstractEventLoop, tuple[int, asyncio.TimerHandle]] = {}
        self._pacer = Pacer(self.config.limit, self.config.window)

    def _after_fork(self) -> None:
        """A child: nobody waits here, and the parent's lock may be held for ever."""
        self._start_afresh()
        self._store.after_fork()

    async def _take(self, lane: Lane, max_lifetime: float, max_wait: float | None, place: int | None) -> Grant:
        while True:
            asked = self._clock()
            grant = await self._wait_for_grant(lane, max_lifetime, max_wait, place)
            if self._clock() - asked - nanoseconds(grant.waited) <= nanoseconds(max_lifetime):
                return grant
            # The loop stood still for an attempt's whole life (a suspended machine, a debugger): take another.
            self.settle(grant, NeverSent())
            place = grant.place

    async def _wait_for_grant(
        self, lane: Lane, max_lifetime: float, max_wait: float | None, place: int | None
    ) -> Grant:
        waiter = self._newcomer(lane, max_lifetime, place)
        try:
            self._queue_up(waiter, max_wait)
            if waiter.grant is not None:
                return waiter.grant
            async with asyncio.timeout(max_wait):
                return await waiter.granted
        except BudgetExhaustedError:
            raise
        except TimeoutError:
            raise _exhausted(self._abandon(waiter)) from None
        except GeneratorExit:  # thrown away with its loop, perhaps by the garbage collector: no lock may be taken now
            self._deferred.append(partial(self._abandon, waiter))
            raise
        except BaseException:  # cancelled; or a hook that heard of the wait ends the program
            self._abandon(waiter)
            raise

    def _queue_up(self, waiter: Waiter, max_wait: float | None) -> None:
        """Into the queue; it may be granted at once.

        Raises:
            BudgetExhaustedError: It would take too long, and the waiter is out again.
        """
        with self._open() as (slots, now):
            if self._granted_at_once(waiter, slots, now):
                return
            self._lanes.join(waiter)
            self._hand_out(slots, now)
            if waiter.grant is not None:
                return
            wait = slots.predicted_wait(now, self._lanes.before(waiter), waiter.lane) / _SECOND
            if max_wait is not None and wait > max_wait:
                self._lanes.leave(waiter)
                raise _exhausted(wait)
            self._tell(wait, waiter.lane)

    def _granted_at_once(self, waiter: Waiter, slots: Slots, now: int) -> bool:
        """Where nobody waits, whoever comes is first: no queue, and nobody to be woken."""
        slot = None if self._lanes.loops else slots.take(now, waiter.lane, waiter.max_lifetime)
        if slot is None:
            return False
        waiter.grant = Grant(slot, waiter.place, 0.0)
        return True

    def _newcomer(self, lane: Lane, max_lifetime: float, place: int | None) -> Waiter:
        loop = asyncio.get_running_loop()
        place = next(self._places) if place is None else place
        return Waiter(place, lane, nanoseconds(max_lifetime), self._clock(), loop, loop.create_future())

    def _abandon(self, waiter: Waiter) -> float:
        """Its caller gave up: out of the queue, or give back what it was granted a moment ago; the wait foregone."""
        with self._open() as (slots, now):
            wait = slots.predicted_wait(now, self._lanes.before(waiter), waiter.lane)
            wait = wait or min(slots.next_change(now) - now, slots.config.cooldown)  # a probe is out: it cannot be said
            self._lanes.leave(waiter)
            if waiter.grant is not None:
                slots.give_back(waiter.grant.slot)
            self._hand_out(slots, now)
            return wait / _SECOND

    # -- handing out --------------------------------------------------------------------------------------------

    def _hand_out(self, slots: Slots, now: int) -> None:
        """Give what is free to whoever is first; nobody can overtake, as a grant is handed over, not fought for."""
        here = self._clock()
        self._lanes.move_up(here - _AGED)
        for waiter in self._lanes.in_order():
            slot = slots.take(now, waiter.lane, waiter.max_lifetime)
            if slot is None:
                break
            self._lanes.leave(waiter)
            waiter.grant = Grant(slot, waiter.place, (here - waiter.asked) / _SECOND)
            try:
                waiter.loop.call_soon_threadsafe(_wake, waiter)
            except RuntimeError:  # its loop is closed: nobody will ever use the slot
                slots.give_back(slot)
        self._set_alarms(slots, now)

    def _set_alarms(self, slots: Slots, now: int) -> None:
        """Each loop that has a waiter looks again when time alone, or somebody elsewhere, may have freed a slot."""
        here = _running_loop()
        for loop in [loop for loop in self._alarms if loop not in self._lanes.loops]:
            _, ringing = self._alarms.pop(loop)
            if loop is here:  # the others' are theirs to cancel; they ring in vain
                ringing.cancel()
        if not self._lanes.loops:
            return
        due = now + min(self._store.look_again_in(slots, now), _AGED)
        for loop in list(self._lanes.loops):
            alarm = self._alarms.get(loop)
            if alarm is not None and alarm[0] <= due + _CLOSE:
                continue
            if loop is here:
                self._set_alarm(loop, due, now)
                continue
            try:
                loop.call_soon_threadsafe(self._look_again)
            except RuntimeError:  # closed with waiters in it
                self._lanes.leave_with(loop)

    def _set_alarm(self, loop: asyncio.AbstractEventLoop, due: int, now: int) -> None:
        self._drop_alarm(loop)
        self._alarms[loop] = (due, loop.call_later(max(0, due - now) / _SECOND, self._look_again))

    def _drop_alarm(self, loop: asyncio.AbstractEventLoop) -> None:
        before = self._alarms.pop(loop, None)
        if before is not None:
            before[1].cancel()

    def _look_again(self) -> None:
        with self._open() as (slots, now):
            self._drop_alarm(asyncio.get_running_loop())
            self._hand_out(slots, now)

    def _pause(self, slots: Slots, now: int, retry_after: float | None) -> None:
        """A 429: everybody waits for what the server asks, and a second more, since it rounds down."""
        asked = self.config.window if retry_after is None else retry_after
        pause = min(asked, _LONGEST_PAUSE * self.config.window) + self.config.safety_margin
        slots.throttled(now, nanoseconds(pause))
        self._announce(PauseStarted(seconds=pause, throttled=slots.throttled_count))

    def _tell(self, wait: float, lane: Lane) -> None:
        queued = sum(self._lanes.counts().values())
        self._announce(WaitStarted(lane=lane, seconds=wait, queued=queued))
        now = self._clock()
        if wait < _WORTH_TELLING or now < self._told_at + nanoseconds(self.config.window):
            return
        self._told_at = now
        log_event("budget.waited", seconds=wait, queued=queued)

    def _announce(self, event: BudgetEvent) -> None:
        """Tell the listeners, once the lock is free."""
        self._deferred.append(partial(self._listeners.tell, event))


def _wake(waiter: Waiter) -> None:
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
