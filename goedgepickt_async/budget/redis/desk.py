"""One event loop's desk before Redis: its queue, and the one task that goes to Redis for all who stand in it."""

from __future__ import annotations

import asyncio
import contextvars
import random
from bisect import insort
from collections.abc import AsyncGenerator

import attrs

from goedgepickt_async.budget.protocol import Grant, NeverSent
from goedgepickt_async.budget.redis.picture import Picture
from goedgepickt_async.budget.redis.standing import Standing, Wanted, running_loop
from goedgepickt_async.budget.redis.store import Operation, Store
from goedgepickt_async.budget.slots import Lane, nanoseconds
from goedgepickt_async.errors import BudgetExhaustedError, ClientClosedError, Evidence

__all__ = ["Desk", "exhausted"]

_SECOND = 1_000_000_000
_BATCH = 16
"""Slots asked for in one trip: enough for a burst, few enough that other processes come in between."""
_POLL = 0.05
"""Seconds between two looks at Redis, while an answer to somebody elsewhere is what is waited for."""
_JITTER = 0.003
_AGED = nanoseconds(300)
"""After so long a waiter moves up a lane, so that nobody starves."""


@attrs.define(eq=False)
class _Waiter:
    wanted: Wanted
    granted: asyncio.Future[Grant | BudgetExhaustedError | ClientClosedError | None]
    lane: Lane
    ages_at: int
    clock: asyncio.Timeout | None = None
    judged: bool = False

    def __lt__(self, other: _Waiter) -> bool:
        return (self.lane, self.wanted.place) < (other.lane, other.wanted.place)


class Desk:
    """The queue of one event loop; used from that loop only, but for `nudge`.

    Args:
        standing: What the process knows.
        store: The way to Redis.
    """

    def __init__(self, standing: Standing, store: Store) -> None:
        self.closed: bool = False
        self.lifetime: AsyncGenerator[None, None] = _lifetime(self)
        self._loop = asyncio.get_running_loop()
        self._standing = standing
        self._store = store
        self._queue: list[_Waiter] = []
        self._denied = False  # whether the head was told to wait, so that the picture says how long
        self._bell = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None

    def waiting(self, lane: Lane) -> int:
        """How many stand in a lane of the queue."""
        return sum(1 for waiter in list(self._queue) if waiter.lane is lane)

    async def take(self, wanted: Wanted) -> Grant | None:
        """Stand in the queue until Redis grants a slot.

        Returns:
            The grant; None if Redis went away and the caller has to look elsewhere.

        Raises:
            BudgetExhaustedError: The wait would be too long.
        """
        waiter = _Waiter(wanted, self._loop.create_future(), wanted.lane, self._standing.now() + _AGED)
        insort(self._queue, waiter)
        try:
            # No clock runs before Redis has been asked once: who will not wait at all may still get what is free.
            async with asyncio.timeout(None) as waiter.clock:
                self._seat(waiter)
                outcome = await waiter.granted
        except TimeoutError:
            wait = self._predicted(waiter) or self._until_change()
            self._give_up(waiter)
            raise exhausted(wait / _SECOND) from None
        except BaseException:  # cancelled, or thrown away with its loop
            self._give_up(waiter)
            raise
        if outcome is None or isinstance(outcome, Grant):
            return outcome
        raise outcome

    def nudge(self) -> None:
        """Something changed; from any thread."""
        if running_loop() is self._loop:
            self.wake()
            return
        try:
            self._loop.call_soon_threadsafe(self.wake)
        except RuntimeError:  # closed; whatever is posted goes with another desk, or not at all: rows are pessimistic
            self.closed = True

    def wake(self) -> None:
        """See to it that somebody looks after the queue and the post."""
        self._bell.set()
        self._see_to_a_worker()

    def _see_to_a_worker(self) -> None:
        if self._worker is None and not self.closed and self._has_work():
            # Not in the caller's context: the worker outlives the call and serves all.
            self._worker = self._loop.create_task(self._work(), context=contextvars.Context())
            self._worker.add_done_callback(self._worker_ended)

    async def close(self) -> None:
        """End it, from its own loop."""
        await self.lifetime.aclose()

    async def finish(self) -> None:
        """The end of its life: post what is left, and close the way to Redis."""
        if self.closed:
            return
        self.closed = True
        closed = ClientClosedError("the budget was closed while the call waited for it", evidence=Evidence.NOT_SENT)
        for waiter in self._queue:
            _tell(waiter, closed)
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.wait({self._worker})
        if self._standing.outage is None and self._standing.has_post():
            await self._ask([])
        await self._store.close()

    # -- the worker ---------------------------------------------------------------------------------------------

    def _has_work(self) -> bool:
        outage = self._standing.outage
        if self._queue or self._standing.has_post():
            return True
        return outage is not None and (bool(outage.waiting) or outage.ends is not None)

    def _worker_ended(self, worker: asyncio.Task[None]) -> None:
        self._worker = None
        if not worker.cancelled():
            worker.result()
        self.wake()  # for what came while it was ending, or if somebody cancelled every task of the loop

    async def _work(self) -> None:
        while self._has_work():
            self._bell.clear()
            await self._rest(await self._turn())

    async def _turn(self) -> float:
        """Go to Redis if it is time to; for how many seconds to rest then, if nobody rings."""
        outage = self._standing.outage
        if outage is not None and not self._standing.must_ask(outage):
            self._send_away()
            return (outage.due - self._standing.now()) / _SECOND
        self._move_up()
        asking = [] if outage is not None else self._queue[:_BATCH]
        picture = await self._ask(asking)
        if self._standing.outage is not None:
            self._send_away()
        if picture is None or outage is not None:
            return 0
        self._denied = picture.granted < len(asking)
        if not self._denied:
            return 0
        self._judge()
        return self._until_next(picture)

    async def _ask(self, asking: list[_Waiter]) -> Picture | None:
        """One trip to Redis; None if what came of it does not hold."""
        trip = self._standing.pack()
        members = [self._standing.new_member() for _ in asking]
        takes = [
            Operation.take(member, waiter.lane, waiter.wanted.max_lifetime)
            for member, waiter in zip(members, asking, strict=True)
        ]
        try:
            picture = await self._store.call(trip.known, trip.newborn, [*trip.operations, *takes])
        except Exception as exc:  # noqa: BLE001  whatever redis-py throws, those who wait are to be served
            self._standing.came_to_nothing(trip, members, exc)
            return None
        except BaseException:
            self._standing.came_to_nothing(trip, members, None)
            raise
        holds = self._standing.came_home(trip, picture)
        for member, waiter in zip(members[: picture.granted], asking, strict=False):
            self._hand_over(waiter, member)
        if trip.operations:
            self._standing.nudge_others(self)
        return picture if holds else None

    def _hand_over(self, waiter: _Waiter, member: str) -> None:
        if waiter.granted.done():  # it gave up while Redis was asked
            self._standing.give_back(member)
            return
        self._remove(waiter)
        waiter.granted.set_result(self._standing.grant(waiter.wanted, member))

    def _send_away(self) -> None:
        for waiter in self._queue:
            _tell(waiter, None)
        self._queue.clear()

    async def _rest(self, seconds: float) -> None:
        if seconds <= 0:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._bell.wait()
        except TimeoutError:
            pass

    def _until_next(self, picture: Picture) -> float:
        config, seconds = self._standing.config, self._until_change() / _SECOND
        if self._standing.others_in_flight(picture):
            # Nobody tells us of their answers. Mostly those move a slot's time, and a glance now and then will do.
            seconds = min(seconds, _POLL if picture.by_answer else config.window / 60)
        return seconds + random.uniform(0, _JITTER)  # noqa: S311  to keep processes out of step

    # -- the queue ----------------------------------------------------------------------------------------------

    def _seat(self, waiter: _Waiter) -> None:
        if self._queue[0] is waiter:
            self.wake()
            return
        if self._denied:  # then Redis has said how long the head waits, and it need not be asked again
            self._judge()
        self._see_to_a_worker()

    def _give_up(self, waiter: _Waiter) -> None:
        """The call is over: out of the queue, and what was granted a moment ago goes back."""
        if self._loop.is_closed():
            return
        if not waiter.granted.cancel() and not waiter.granted.cancelled():
            granted = waiter.granted.result()
            if isinstance(granted, Grant):
                self._standing.settle(granted, NeverSent())
        self._remove(waiter)
        self.wake()

    def _remove(self, waiter: _Waiter) -> None:
        if waiter in self._queue:
            self._queue.remove(waiter)
        self._denied = self._denied and bool(self._queue)

    def _move_up(self) -> None:
        now = self._standing.now()
        aged = [waiter for waiter in self._queue if waiter.ages_at <= now and waiter.lane > 0]
        for waiter in aged:
            waiter.lane, waiter.ages_at = Lane(waiter.lane - 1), now + _AGED
        if aged:
            self._queue.sort()

    def _judge(self) -> None:
        """Send away at once whoever would have to wait too long; once for each, as the prediction is no promise."""
        for waiter in [waiter for waiter in self._queue if not waiter.judged]:
            waiter.judged = True
            left = waiter.wanted.left(self._standing.now())
            wait = self._predicted(waiter)
            if left is not None and wait > left:
                self._remove(waiter)
                _tell(waiter, exhausted(wait / _SECOND))
                continue
            self._standing.tell(waiter.lane, wait, len(self._queue))
            if left is not None and waiter.clock is not None:
                waiter.clock.reschedule(self._loop.time() + left / _SECOND)

    def _predicted(self, waiter: _Waiter) -> int:
        ahead = sum(1 for other in self._queue if other < waiter)
        return self._standing.picture.predicted_wait(self._standing.now(), ahead, waiter.lane, self._standing.config)

    def _until_change(self) -> int:
        """While a probe is out, nobody can say how long it takes: until time alone changes something."""
        now, hold = self._standing.now(), self._standing.config.cooldown
        return max(0, min(self._standing.picture.next_change - now, hold))


def exhausted(seconds: float) -> BudgetExhaustedError:
    """The wait would be too long."""
    return BudgetExhaustedError(
        f"the rate limit lets this request go in {seconds:.1f} s, which is longer than the caller will wait",
        wait=seconds,
        evidence=Evidence.NOT_SENT,
    )


def _tell(waiter: _Waiter, outcome: BudgetExhaustedError | ClientClosedError | None) -> None:
    if not waiter.granted.done():
        waiter.granted.set_result(outcome)


async def _lifetime(desk: Desk) -> AsyncGenerator[None]:
    """The desk lives as long as this generator; a loop that shuts down closes its generators."""
    try:
        yield
    finally:
        await desk.finish()
