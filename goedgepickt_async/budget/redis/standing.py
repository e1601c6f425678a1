"""What one process knows of a budget in Redis, shared by its event loops and threads: no IO, no waiting, one lock."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import time
from functools import partial
from typing import Protocol

import attrs

from goedgepickt_async.budget.protocol import (
    BudgetEvent,
    ForeignTrafficDetected,
    Grant,
    Listeners,
    NeverSent,
    Outcome,
    PauseStarted,
    Refused,
    WaitStarted,
)
from goedgepickt_async.budget.redis.fallback import Outage, Share
from goedgepickt_async.budget.redis.lock import DeferringLock
from goedgepickt_async.budget.redis.outbox import Outbox, Post, outcome_operation, pause_operation
from goedgepickt_async.budget.redis.picture import Picture, blank_picture
from goedgepickt_async.budget.redis.rows import OwnRow, OwnRows, mark
from goedgepickt_async.budget.redis.store import Operation, microseconds
from goedgepickt_async.budget.slots import Lane, LimiterConfig, nanoseconds
from goedgepickt_async.logs import log_event

__all__ = ["Standing", "Trip", "Wanted", "running_loop"]

_SECOND = 1_000_000_000
_MICROSECONDS = 1_000_000
_WORTH_TELLING = 5 * _SECOND
"""Waiting from which on the log is told, once a window."""


@attrs.frozen
class Wanted:
    """One call for a slot; instants and durations in nanoseconds."""

    place: int
    lane: Lane
    max_lifetime: int
    asked: int
    deadline: int | None

    def left(self, now: int) -> int | None:
        """How much longer the caller will wait; None: as long as it takes."""
        return None if self.deadline is None else max(0, self.deadline - now)


@attrs.frozen
class Trip:
    """What one call of the script carries besides the slots it asks for."""

    known: str
    newborn: str
    rows: list[OwnRow]
    posted: list[Post]
    operations: list[Operation]


class _Desk(Protocol):
    """What is used of an event loop's desk here."""

    closed: bool

    def nudge(self) -> None:
        """Something changed; from any thread."""
        ...


@attrs.frozen
class _Held:
    """A grant that is not settled; `share` and `local` where it was taken from a share."""

    member: str
    share: Share | None = None
    local: Grant | None = None


class Standing:
    """The state of one process.

    Args:
        config: The numbers of the budget.
        fraction: Of the limit, that this process keeps to while Redis is away.
        retry_every: Seconds between two tries to reach a Redis that is away.
        patience: Seconds to wait for an answer of Redis.
    """

    def __init__(self, config: LimiterConfig, fraction: float, retry_every: float, patience: float) -> None:
        self.config = config
        self.picture: Picture = blank_picture(config.limit)
        self.outage: Outage | None = None
        self.listeners: Listeners = Listeners()
        self._told_at = -nanoseconds(config.window)
        self._fraction = fraction
        self._retry_every = nanoseconds(retry_every)
        # By then all the others have tried again, too, and told Redis what they sent in the meantime.
        self._grace = nanoseconds(retry_every + 2 * patience)
        self._places = itertools.count(1)
        self._slots = itertools.count(1)
        self.start_afresh()

    def start_afresh(self) -> None:
        """A new process (a fork): what is held, posted and open is the parent's."""
        self.lock: DeferringLock = DeferringLock()
        self.desks: dict[asyncio.AbstractEventLoop, _Desk] = {}
        self._outbox = Outbox(self.config)
        self._rows = OwnRows(self.config)
        self._held: dict[int, _Held] = {}
        self._era = ""
        self._nonce = secrets.token_hex(6)
        if self.outage is not None:
            self.outage.waiting.clear()

    def now(self) -> int:
        """This process's clock; it measures durations and is compared with nobody else's."""
        return time.monotonic_ns()

    def next_place(self) -> int:
        """A place behind everybody else's."""
        return next(self._places)

    def new_member(self) -> str:
        """A name for a row that nobody else uses."""
        return f"{self._nonce}:{next(self._slots)}"

    # -- grants -------------------------------------------------------------------------------------------------

    def grant(self, wanted: Wanted, member: str) -> Grant:
        """Redis granted a slot."""
        with self.lock.locked():
            return self._hold(wanted, _Held(member))

    def grant_from(self, outage: Outage, wanted: Wanted, local: Grant) -> Grant | None:
        """The share granted a slot; None if Redis came back in between, which has to be asked instead."""
        with self.lock.locked():
            if self.outage is not outage:
                outage.share.settle(local, NeverSent())
                return None
            return self._hold(wanted, _Held(self.new_member(), outage.share, local))

    def _hold(self, wanted: Wanted, held: _Held) -> Grant:
        now, slot = self.now(), next(self._slots)
        self._held[slot] = held
        self._rows.add(held.member, now, wanted.max_lifetime, in_redis=held.share is None)
        return Grant(slot, wanted.place, (now - wanted.asked) / _SECOND)

    def settle(self, grant: Grant, outcome: Outcome) -> None:
        """Say what came of a grant, where it was taken and where else it counts."""
        if self.lock.is_mine():  # the garbage collector came by while this thread was in here
            self.lock.defer(partial(self.settle, grant, outcome))
            return
        with self.lock.locked():
            held = self._held.pop(grant.slot, None)
            if held is None:
                return
            known = self._rows.settle(held.member, self.now(), outcome)
            if held.share is not None and held.local is not None:
                held.share.settle(held.local, outcome)
            if isinstance(outcome, Refused):
                self._pause_here(outcome.retry_after, held.share)
            operation = outcome_operation(
                self.config,
                held.member,
                outcome,
                in_redis=known,
                perhaps=held.share is None,
                away=self.outage is not None,
            )
            if operation is not None:
                self._outbox.put(operation)
        self._nudge_one()

    def pause(self, retry_after: float | None) -> None:
        """The throttle spoke."""
        with self.lock.locked():
            self._pause_here(retry_after, None)
            if self.outage is None:
                self._outbox.put(pause_operation(self.config, retry_after))
        self._nudge_one()

    def _pause_here(self, retry_after: float | None, told: Share | None) -> None:
        """Pause the share, if there is one that was not told; or tell the listeners, which a share does by itself."""
        if self.outage is not None and self.outage.share is not told:
            self.outage.share.pause(retry_after)
        elif told is None:
            seconds = pause_operation(self.config, retry_after).a / _MICROSECONDS
            self._announce(PauseStarted(seconds=seconds, throttled=self.picture.throttled + 1))

    def _announce(self, event: BudgetEvent) -> None:
        """Tell the listeners, once the lock is free."""
        self.lock.defer(partial(self.listeners.tell, event))

    def give_back(self, member: str) -> None:
        """Redis granted it, or may have, and nobody wants it any more."""
        with self.lock.locked():
            self._outbox.put(Operation("back", member))

    # -- trips to Redis -----------------------------------------------------------------------------------------

    def has_post(self) -> bool:
        """Whether Redis is to be told something."""
        with self.lock.locked():
            return self._outbox.any_left() or bool(self._rows.not_in_redis(self.now()))

    def pack(self) -> Trip:
        """Take along whatever Redis is to be told."""
        with self.lock.locked():
            now = self.now()
            rows = self._rows.not_in_redis(now)
            # Only whoever has rows in an era minds its end.
            known = self._era if self._rows.any_in_redis(now) else ""
            posted = self._outbox.take_out()
            operations = [*(row.carried(now) for row in rows), *(post.operation for post in posted)]
            mark(rows, in_redis=True)
            return Trip(known, self.new_member(), rows, posted, operations)

    def came_home(self, trip: Trip, picture: Picture) -> bool:
        """Redis answered; whether what it granted holds, or it has to be told again what it forgot."""
        with self.lock.locked():
            forgot = trip.known not in {"", picture.era}
            if picture.strangers and not self.picture.strangers:
                self._announce(ForeignTrafficDetected(counted=picture.highest or 0, ours=picture.used))
            self._era, self.picture = picture.era, picture
            if forgot:
                self._rows.all_forgotten()
                why = (
                    "Redis forgot the slots in use (flushed, evicted, or restarted without them); "
                    f"telling it again of the {len(self._rows)} that this process knows of"
                )
                log_event("budget.reset", why=why)
            if self.outage is not None:
                self._found(self.outage, picture)
            return not forgot

    def came_to_nothing(self, trip: Trip, asked: list[str], error: Exception | None) -> None:
        """Nobody knows whether the trip arrived; `error` is None if it was only called off."""
        with self.lock.locked():
            mark(trip.rows, in_redis=False)
            self._outbox.put_back(trip.posted)
            for member in asked:
                self._outbox.put(Operation("back", member))
            if error is not None:
                self._fall_back(error)

    def tell(self, lane: Lane, wait: int, waiting: int) -> None:
        """Somebody waits; whoever listens is told, and the log if it is worth it."""
        with self.lock.locked():
            self._announce(WaitStarted(lane=lane, seconds=wait / _SECOND, queued=waiting))
        now = self.now()
        if wait < _WORTH_TELLING or now < self._told_at + nanoseconds(self.config.window):
            return
        self._told_at = now
        log_event("budget.waited", seconds=wait / _SECOND, queued=waiting)

    # -- outages ------------------------------------------------------------------------------------------------

    def is_untended(self, outage: Outage) -> bool:
        """Whether nobody has been trying for long: then Redis is asked first, for the share knows too little."""
        return self.now() > outage.due + self._grace

    def must_ask(self, outage: Outage) -> bool:
        """Whether it is time to try again, or to tell a Redis that is found what was sent since."""
        return self.now() >= outage.due or (outage.ends is not None and self.has_post())

    def _fall_back(self, error: Exception) -> None:
        now = self.now()
        self._rows.all_forgotten()
        if self.outage is not None:
            self.outage.ends, self.outage.next_try = None, now + self._retry_every
            return
        share = Share(self.config, self._fraction, self.picture, self.listeners)
        self.outage = Outage(now, share, now + self._retry_every)
        log_event(
            "budget.degraded",
            why=f"Redis is away ({type(error).__name__}: {error})",
            share=share.limit,
            limit=self.config.limit,
            period=self.config.window,
        )

    def _found(self, outage: Outage, picture: Picture) -> None:
        if outage.ends is None:
            outage.ends = self.now() + (0 if self.is_untended(outage) else self._grace)
        if self.now() < outage.ends or self._rows.not_in_redis(self.now()):
            return
        paused = outage.share.snapshot().paused_for
        if paused and picture.paused_until <= picture.seen_at:
            self._outbox.put(Operation("throttled", a=microseconds(nanoseconds(paused))))
            return
        self.outage = None
        lasted = (self.now() - outage.began) / _SECOND
        log_event("budget.restored", what=f"Redis is back after {lasted:.1f} s and knows what was sent meanwhile")
        for clock, loop in list(outage.waiting.items()):
            try:
                loop.call_soon_threadsafe(_call_back, outage, clock)
            except RuntimeError:  # its loop is closed
                outage.waiting.pop(clock, None)
        self.nudge_others(None)

    def _nudge_one(self) -> None:
        """Somebody has to carry the post: the running loop's desk, or any."""
        desks = list(self.desks.items())
        here = [desk for loop, desk in desks if loop is running_loop()]
        for desk in (here or [desk for loop, desk in desks if loop.is_running() and not desk.closed])[:1]:
            desk.nudge()

    def nudge_others(self, desk: _Desk | None) -> None:
        """Something changed that whoever waits in another event loop may want to know."""
        for other in list(self.desks.values()):
            if other is not desk:
                other.nudge()

    def others_in_flight(self, picture: Picture) -> bool:
        """Whether somebody elsewhere has requests on the wire, whose answers nobody tells us of."""
        with self.lock.locked():
            return picture.in_flight > self._rows.in_flight()


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The event loop that runs in this thread, if any."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _call_back(outage: Outage, clock: asyncio.Timeout) -> None:
    if clock in outage.waiting:
        clock.reschedule(0)
