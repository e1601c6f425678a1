"""The queue for the slots of a store, for the tasks, event loops and threads of one process.

All changes are transactions: read the state, decide, write the state. The pending changes (settlements, pauses) and the
waiting calls stay in this process until the transaction is written. If the store refuses (another process uses the
file) or loses a race (compare-and-set), the transaction is repeated.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any

from goedgepickt_async.budget.config import FAR, SECOND, Lane, LimiterConfig, nanoseconds
from goedgepickt_async.budget.protocol import (
    BudgetEvent,
    BudgetSnapshot,
    Grant,
    Listeners,
    NeverSent,
    Outcome,
    WaitStarted,
)
from goedgepickt_async.budget.slots import Demand, Slots
from goedgepickt_async.budget.store import Operation, Plan, SlotStore, pause_operation, settle_operation
from goedgepickt_async.budget.waiting import Pacer, Waiter, WaitQueue
from goedgepickt_async.errors import BudgetExhaustedError, Evidence
from goedgepickt_async.logs import log_event
from goedgepickt_async.text import safe_repr

__all__ = ["MovedError", "QueuedBudget", "exhausted", "running_loop"]

_CLOSE = nanoseconds(0.001)
"""Alarms within this time count as one. Otherwise two loops would wake each other again and again."""
_AGED = nanoseconds(300)
"""The waiting time after which a call moves to the next higher lane."""
_WORTH_TELLING = 5.0
"""Waits from this number of seconds on are logged, once per window."""
_GRACE = 150
"""The part of a window for which a free slot is left to the process whose turn it is."""
_REFRESH = 5
"""The part of a window after which a waiting process reports its waiting calls again."""


class MovedError(Exception):
    """The waiting call continues with another budget, because an outage begins or ends."""


class _Alone:
    """A lock that knows its thread. Deferred functions are called after its release.

    It has no reference to its budget, so that a budget is freed without garbage collection.
    """

    __slots__ = ("deferred", "holder", "is_forking", "lock")

    def __init__(self) -> None:
        # The garbage collector may settle an abandoned call in this thread just before or after `holder` is set.
        self.lock = threading.RLock()
        self.is_forking = False
        self.holder = 0
        self.deferred: deque[Callable[[], object]] = deque()

    def __enter__(self) -> None:
        self.lock.acquire()
        self.holder = threading.get_ident()

    def __exit__(self, *_: object) -> None:
        self.holder = 0
        self.lock.release()
        while self.deferred:
            self.deferred.popleft()()


_living: weakref.WeakSet[QueuedBudget] = weakref.WeakSet()


@safe_repr
class QueuedBudget:
    """A budget for the tasks, event loops and threads of this process, with slots in a store.

    Args:
        store: The store of the slots.
        config: The numbers of the budget.
        clock: The clock of this process in nanoseconds, which never goes back.
    """

    _host_number: int = 0
    _first_answer = 0.0
    """The seconds that a store may take to decide about a call, in addition to the caller's `max_wait`."""

    def __init__(self, store: SlotStore, config: LimiterConfig, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self.config = config
        self._store = store
        self._clock = clock
        self._places = itertools.count(1)
        self._numbers = itertools.count(1)
        self._told_at = -FAR
        self._listeners = Listeners()
        self._grace = config.part(_GRACE)
        self._refresh = config.part(_REFRESH)
        self._start_afresh()
        _living.add(self)

    def __repr__(self) -> str:
        share = "" if self.config.share == self.config.limit else f", share={self.config.share}"
        return f"{type(self).__name__}(limit={self.config.limit}, period={self.config.window:g}{share})"

    @property
    def limit(self) -> int:
        """The number of requests that the server allows in a period."""
        return self.config.limit

    async def take(
        self,
        lane: Lane,
        *,
        max_lifetime: float,
        max_wait: float | None = None,
        place: int | None = None,
        key: Hashable = None,
    ) -> Grant:
        """Wait for a slot to send one request; see `Budget.take`."""
        if lane is not Lane.BULK or place is not None:  # a call that got a 429 has had its turn
            grant = self._take_at_once(lane, max_lifetime, place)
            return grant or await self._take(lane, max_lifetime, max_wait, place, key)
        if max_wait is not None and self._pacer.wait(key) > max_wait:
            raise exhausted(self._pacer.wait(key))
        try:
            async with asyncio.timeout(max_wait):
                return await self._pacer.run_paced(lambda: self._take_paced(lane, max_lifetime, key), key)
        except TimeoutError:
            raise exhausted(self.predicted_wait(lane, key=key)) from None

    def settle(self, grant: Grant, outcome: Outcome) -> None:
        """Report the outcome of a request; see `Budget.settle`."""
        self._change(partial(settle_operation, grant.slot, outcome))

    def pause(self, retry_after: float | None) -> None:
        """Pause all lanes after a 429; see `Budget.pause`."""
        self._change(partial(pause_operation, retry_after))

    def listen(self, method: Callable[[BudgetEvent], Any]) -> None:
        """Call a bound method with each event; see `Budget.listen`."""
        self._listeners.add(method)

    def predicted_wait(self, lane: Lane, *, ahead: int = 0, key: Hashable = None) -> float:
        """Return the expected wait in seconds for a new call in this lane; see `Budget.predicted_wait`."""
        with self._alone:
            slots, now = self._store.peek()
            ahead += self._queue.ahead_of(lane, key) + slots.ahead(now, lane, self._queue.turns[lane].next(key))
            return slots.predicted_wait(now, ahead, lane) / SECOND

    def snapshot(self) -> BudgetSnapshot:
        """Return the present state."""
        with self._alone:
            slots, now = self._store.peek()
            free, change, paused = slots.free(now), slots.next_change(now), slots.paused_until(now)
            waiting = self._queue.counts()
            waiting[Lane.BULK] = max(waiting[Lane.BULK], self._pacer.waiting())
            about: dict[str, Any] = {"share": slots.config.share, "kind": self._store.kind} | self._store.describe()
            return BudgetSnapshot(
                limit=self.config.limit,
                period=self.config.window,
                used=slots.used(now),
                free=0 if paused else max(0, free),
                in_flight=slots.in_flight(now),
                next_free_in=0.0 if free > 0 and not paused else None if change == FAR else (change - now) / SECOND,
                waiting=waiting,
                foreign_traffic=slots.foreign_traffic(now),
                paused_for=(paused - now) / SECOND if paused else 0.0,
                throttled=slots.throttled_count,
                sharers=max(1, len(slots.sharers)),
                **about,
            )

    # -- one at a time ------------------------------------------------------------------------------------------

    def _start_afresh(self) -> None:
        self._alone = _Alone()
        self._queue = WaitQueue()
        self._operations: list[Operation] = []
        self._alarms: dict[asyncio.AbstractEventLoop, tuple[int, asyncio.TimerHandle]] = {}
        self._yielding_since: int | None = None
        self._pacer = Pacer(self.config.share, self.config.window)

    def _before_fork(self) -> None:
        """Called before a fork: wait until no other thread is in a transaction."""
        if self._alone.holder != threading.get_ident():
            self._alone.lock.acquire()
            self._alone.is_forking = True

    def _after_fork_in_parent(self) -> None:
        if self._alone.is_forking:
            self._alone.is_forking = False
            self._alone.lock.release()

    def _after_fork_in_child(self) -> None:
        """Called in a forked child: nothing waits here, and the slots in flight belong to the parent."""
        self._start_afresh()
        self._store.after_fork()

    def _change(self, operation: Operation) -> None:
        if self._alone.holder == threading.get_ident():  # the garbage collector ran while this thread was in here
            self._alone.deferred.append(partial(self._change, operation))
            return
        with self._alone:
            opened = None if self._queue.loops or self._operations else self._store.begin(settles=True)
            if opened is not None:  # and it concerns no other call
                plan = Plan()
                operation(*opened, plan)
                if self._write_at_once(*opened, (), plan.settled):
                    for event in plan.events:
                        self._alone.deferred.append(partial(self._listeners.tell, event))
                    return
            self._operations.append(operation)
            self._transact()

    def _write_at_once(self, slots: Slots, now: int, taken: Iterable[int], settled: Iterable[int]) -> bool:
        """End a transaction that concerns no waiting call; False if it was not written. Called within `_alone`."""
        if self._store.sharer:  # otherwise the slots are in memory
            slots.announce(Demand(now, self._host_number))
            if not self._store.end(slots, now, changed=True):
                return False
            self._store.noted(slots, now, taken, settled)
        return True

    # -- taking -------------------------------------------------------------------------------------------------

    async def _take(
        self, lane: Lane, max_lifetime: float, max_wait: float | None, place: int | None, key: Hashable
    ) -> Grant:
        while True:
            asked = self._clock()
            grant = await self._wait_for_grant(lane, max_lifetime, max_wait, place, key)
            if self._clock() - asked - nanoseconds(grant.waited) <= self._stale_after(max_lifetime):
                return grant
            # The loop was blocked for long after the grant (a suspended machine, a debugger): take another slot.
            self.settle(grant, NeverSent())
            place = grant.place

    async def _take_paced(self, lane: Lane, max_lifetime: float, key: Hashable) -> Grant:
        grant = self._take_at_once(lane, max_lifetime, None)
        return grant or await self._take(lane, max_lifetime, None, None, key)

    def _stale_after(self, max_lifetime: float) -> int:
        return nanoseconds(max_lifetime)

    async def _wait_for_grant(
        self, lane: Lane, max_lifetime: float, max_wait: float | None, place: int | None, key: Hashable
    ) -> Grant:
        loop, now = asyncio.get_running_loop(), self._clock()
        waiter = Waiter(
            next(self._places) if place is None else place,
            lane,
            key,
            nanoseconds(max_lifetime),
            now,
            None if max_wait is None else now + nanoseconds(max_wait),
            loop,
            loop.create_future(),
            again=place is not None,
        )
        try:
            with self._alone:
                self._queue.join(waiter)
                self._transact()
            if waiter.error is not None:
                waiter.granted.cancel()  # it is raised here immediately
                raise waiter.error  # noqa: TRY301
            if waiter.grant is not None:
                return waiter.grant
            return await self._until_granted(waiter, max_wait)
        except BudgetExhaustedError:
            raise
        except TimeoutError:
            raise exhausted(self._abandon(waiter)) from None
        except GeneratorExit:  # closed with its loop, perhaps by the garbage collector: no lock may be taken now
            self._alone.deferred.append(partial(self._abandon, waiter))
            raise
        except BaseException:  # cancelled, or a hook ends the program
            self._abandon(waiter)
            raise

    async def _until_granted(self, waiter: Waiter, max_wait: float | None) -> Grant:
        try:
            async with asyncio.timeout(max_wait):
                return await asyncio.shield(waiter.granted)
        except TimeoutError:
            if waiter.judged or not self._first_answer:
                raise
            async with asyncio.timeout(self._first_answer):  # the store has not decided yet about an immediate grant
                return await asyncio.shield(waiter.granted)

    def _take_at_once(self, lane: Lane, max_lifetime: float, place: int | None) -> Grant | None:
        """Take a slot without the queue if nothing waits. None if that is not possible now."""
        with self._alone:
            opened = None if self._queue.loops or self._operations else self._store.begin()
            if opened is None:
                return None
            slots, now = opened
            turn = max(slots.turns[lane], self._queue.turns[lane].turn) + 1
            slot = None
            if not slots.sharers or not (ahead := slots.ahead(now, lane, turn)) or slots.may_pass(now, lane, ahead):
                slot = slots.take(
                    now, lane, round(max_lifetime * SECOND), self._store.sharer << 32 | next(self._numbers)
                )
            if slot is None:
                self._store.end(slots, now, changed=False)
                return None
            slots.turns[lane] = turn
            if self._store.sharer and not self._write_at_once(slots, now, (slot,), ()):
                return None
            return Grant(slot, next(self._places) if place is None else place, 0.0)

    def _abandon(self, waiter: Waiter) -> float:
        """The caller gave up: leave the queue, or give back a slot that was just granted.

        Return the wait that was left.
        """
        with self._alone:
            slots, now = self._store.peek()
            wait = slots.predicted_wait(now, self._queue.before(waiter), waiter.lane)
            wait = wait or min(slots.next_change(now) - now, slots.config.cooldown)  # a probe is in flight
            self._queue.leave(waiter)
            if waiter.grant is not None:
                self._operations.append(partial(settle_operation, waiter.grant.slot, NeverSent()))
            if waiter.error is None:
                self._transact()
            return wait / SECOND

    # -- transactions -------------------------------------------------------------------------------------------

    def _transact(self) -> None:
        """Carry out pending settlements and grant free slots, later if the store requires it.

        Called within `_alone`.
        """
        while True:
            opened = self._store.begin()
            if opened is None:
                self._store.retry(self._look_again)
                return
            slots, now = opened
            plan = self._plan(slots, now)
            if self._store.end(slots, now, changed=plan.changed):
                self._finish(slots, now, plan)
                return

    def _plan(self, slots: Slots, now: int, settled_at: int | None = None) -> Plan:
        """Decide on this state. Only the state is changed."""
        plan = Plan(tuple(self._operations))
        for operation in plan.operations:
            operation(slots, now if settled_at is None else settled_at, plan)
            plan.changed = True
        here = self._clock()
        self._queue.age(here - _AGED)
        for lane in Lane:
            turns = self._queue.turns[lane]
            turns.turn = max(turns.turn, slots.turns[lane])
        yielding = 0 if self._yielding_since is None else here - self._yielding_since
        for waiter in self._queue:
            ahead = slots.ahead(now, waiter.lane, waiter.turn) if slots.sharers else 0
            if ahead and yielding < self._grace * ahead and not slots.may_pass(now, waiter.lane, ahead):
                plan.blocked, plan.yielded = (waiter, ahead), slots.can_take(now, waiter.lane)
                break
            slot = slots.take(now, waiter.lane, waiter.max_lifetime, self._store.sharer << 32 | next(self._numbers))
            if slot is None:
                plan.blocked = (waiter, ahead)
                break
            plan.grants.append((waiter, slot))
            slots.turns[waiter.lane] = max(slots.turns[waiter.lane], waiter.turn)
        self._judge(slots, now, here, plan)
        if plan.grants:
            plan.changed = True
        self._announce_demand(slots, now, plan)
        return plan

    def _judge(self, slots: Slots, now: int, here: int, plan: Plan) -> None:
        """Predict the wait of new calls that got no slot."""
        served = len(plan.grants)
        for index, waiter in enumerate(self._queue):
            if waiter.judged or index < served:
                continue
            ahead = index - served + (slots.ahead(now, waiter.lane, waiter.turn) if slots.sharers else 0)
            wait = slots.predicted_wait(now, ahead, waiter.lane) / SECOND
            if waiter.deadline is not None and here + wait * SECOND > waiter.deadline:
                plan.rejected.append((waiter, wait))
            else:
                plan.waits.append((waiter, wait))

    def _announce_demand(self, slots: Slots, now: int, plan: Plan) -> None:
        """Report the waiting calls to the other processes, if they have changed or something is written anyway."""
        if not self._store.sharer:
            return
        if not self._queue.loops:
            if plan.changed:
                slots.announce(Demand(now, self._host_number))
            return
        leaving = {id(waiter) for waiter, _ in (*plan.grants, *plan.rejected)}
        calls, keys, tags = [], [], []
        for lane in Lane:
            waiting = [waiter for waiter in self._queue.in_lane(lane) if id(waiter) not in leaving]
            calls.append(len(waiting))
            keys.append(min(len(waiting), self._queue.turns[lane].keys))
            tags.append(waiting[0].turn if waiting else 0)
        demand = Demand(now, self._host_number, tuple(calls), tuple(keys), tuple(tags))  # type: ignore[arg-type]
        known = slots.sharers.get(self._store.sharer)
        is_news = (
            known is None
            or now - known.seen > self._refresh
            or any(
                now_calls and (not calls_before or tag < tag_before)
                for now_calls, calls_before, tag, tag_before in zip(calls, known.calls, tags, known.tags, strict=True)
            )
        )
        if plan.changed or (any(calls) and is_news):
            slots.announce(demand)
            plan.changed = True

    def _finish(self, slots: Slots, now: int, plan: Plan) -> None:
        """The transaction is written: wake the calls that it concerns. Called within `_alone`."""
        done = {id(operation) for operation in plan.operations}
        self._operations = [operation for operation in self._operations if id(operation) not in done]
        self._store.noted(slots, now, [slot for _, slot in plan.grants], plan.settled)
        here = self._clock()
        if not plan.yielded:
            self._yielding_since = None
        elif self._yielding_since is None:
            self._yielding_since = here
        for waiter, slot in plan.grants:
            if not self._queue.leave(waiter):  # the call gave up meanwhile
                self._operations.append(partial(settle_operation, slot, NeverSent()))
                continue
            waiter.grant = Grant(slot, waiter.place, (here - waiter.asked) / SECOND)
            try:
                waiter.wake()
            except RuntimeError:  # the loop is closed, so the slot will not be used
                self._operations.append(partial(settle_operation, slot, NeverSent()))
        for waiter, wait in plan.rejected:
            self._reject(waiter, exhausted(wait))
        for waiter, wait in plan.waits:
            waiter.judged = True
            self._announce_wait(wait, waiter.lane)
        for event in plan.events:
            self._alone.deferred.append(partial(self._listeners.tell, event))
        if self._operations:
            self._alone.deferred.append(self._settle_rest)
        self._set_alarms(slots, now, plan)

    def _settle_rest(self) -> None:
        with self._alone:
            if self._operations:
                self._transact()

    def _move_waiting(self) -> None:
        """Send the waiting calls to another budget."""
        for waiter in list(self._queue):
            self._reject(waiter, MovedError())

    def _reject(self, waiter: Waiter, error: BaseException) -> None:
        if self._queue.leave(waiter):
            waiter.error = error
            with suppress(RuntimeError):  # the loop is closed
                waiter.wake()

    def _set_alarms(self, slots: Slots, now: int, plan: Plan) -> None:
        """Wake each loop with waiting calls when a slot may have become free."""
        here = running_loop()
        for loop in [loop for loop in self._alarms if loop not in self._queue.loops]:
            _, alarm = self._alarms.pop(loop)
            if loop is here:  # other loops cancel their own alarms; a late alarm does nothing
                alarm.cancel()
        if not self._queue.loops:
            return
        first, ahead = plan.blocked or (next(iter(self._queue)), 0)
        wait = self._grace * ahead if plan.yielded else self._store.look_again_in(slots, now, first.lane, ahead)
        due = self._clock() + max(0, min(wait, _AGED))
        for loop in list(self._queue.loops):
            alarm_set = self._alarms.get(loop)
            if alarm_set is not None and alarm_set[0] <= due + _CLOSE:
                continue
            if loop is here:
                self._set_alarm(loop, due)
                continue
            try:
                loop.call_soon_threadsafe(self._look_again)
            except RuntimeError:  # closed with waiting calls
                self._queue.leave_with(loop)

    def _set_alarm(self, loop: asyncio.AbstractEventLoop, due: int) -> None:
        self._drop_alarm(loop)
        seconds = max(0, due - self._clock()) / SECOND
        self._alarms[loop] = (due, loop.call_later(seconds, self._look_again))

    def _drop_alarm(self, loop: asyncio.AbstractEventLoop) -> None:
        before = self._alarms.pop(loop, None)
        if before is not None:
            before[1].cancel()

    def _look_again(self) -> None:
        with self._alone:
            loop = running_loop()
            if loop is not None:
                self._drop_alarm(loop)
            self._transact()

    def _announce_wait(self, wait: float, lane: Lane) -> None:
        queued = len(self._queue)
        self._alone.deferred.append(partial(self._listeners.tell, WaitStarted(lane=lane, seconds=wait, queued=queued)))
        now = self._clock()
        if wait < _WORTH_TELLING or now < self._told_at + nanoseconds(self.config.window):
            return
        self._told_at = now
        log_event("budget.waited", seconds=wait, queued=queued)


def exhausted(wait: float) -> BudgetExhaustedError:
    """The error of a call that would wait too long."""
    return BudgetExhaustedError(
        f"the wait for the rate limit would be {wait:.1f} s, which is longer than max_wait or the deadline allows",
        wait=wait,
        evidence=Evidence.NOT_SENT,
    )


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The event loop of this thread, if one runs."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


_forking: list[QueuedBudget] = []


def _before_fork() -> None:
    _forking[:] = list(_living)
    for budget in _forking:
        budget._before_fork()  # noqa: SLF001  same module


def _after_fork_in_parent() -> None:
    for budget in _forking:
        budget._after_fork_in_parent()  # noqa: SLF001  same module
    _forking.clear()


def _after_fork_in_child() -> None:
    _forking.clear()
    for budget in list(_living):
        budget._after_fork_in_child()  # noqa: SLF001  same module


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
