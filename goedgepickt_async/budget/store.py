"""What the stores have in common: their interface, the operations on a state, and what a process knows of a shared one."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import attrs

from goedgepickt_async.budget.config import Lane, LimiterConfig, nanoseconds
from goedgepickt_async.budget.protocol import (
    Answered,
    BudgetEvent,
    ForeignTrafficDetected,
    Lost,
    NeverSent,
    Outcome,
    PauseStarted,
    Refused,
)
from goedgepickt_async.budget.slots import Demand, Slots
from goedgepickt_async.budget.waiting import Waiter

__all__ = ["Operation", "Plan", "SharerMemory", "SlotStore", "new_sharer", "pause_operation", "settle_operation"]

_LONGEST_PAUSE = 5
"""In windows: a longer Retry-After is not from the rate limiter. After this pause a single request asks again."""

Operation = Callable[[Slots, int, "Plan"], None]


class SlotStore:
    """A store of slots; without other methods, one that only this process uses and that is always ready.

    Attributes:
        kind: The kind, as in `BudgetSnapshot`.
        sharer: The number of this process, unique among all that use the state; 0 if it is the only one.
    """

    kind: str
    sharer: int = 0

    def begin(self, *, settles: bool = False) -> tuple[Slots, int] | None:
        """Return the slots and their clock's time in nanoseconds; None if not possible now (see `retry`).

        With `settles`, no slot is taken, so it may be noticed later that the state was removed.
        """
        raise NotImplementedError

    def end(self, slots: Slots, now: int, *, changed: bool) -> bool:  # noqa: ARG002
        """Write changed slots. False if they were not written, so that the transaction must be repeated."""
        return True

    def noted(self, slots: Slots, now: int, taken: Iterable[int], settled: Iterable[int]) -> None:
        """The transaction is written: remember the slots of this process."""

    def retry(self, attempt: Callable[[], object]) -> None:
        """Call `attempt` in the running loop as soon as `begin` may succeed."""

    def peek(self) -> tuple[Slots, int]:
        """Return the slots as last seen and the time of their clock, only for reading."""
        raise NotImplementedError

    def look_again_in(self, slots: Slots, now: int, lane: Lane, ahead: int) -> int:  # noqa: ARG002
        """Return the nanoseconds until the first waiting call may be sent; FAR if that needs a response here.

        Args:
            slots: The slots.
            now: The time of their clock.
            lane: The lane of the call.
            ahead: The number of calls of other processes before it.
        """
        return slots.next_change(now) - now

    def after_fork(self) -> None:
        """Called in a forked child: drop the state of the parent."""

    def describe(self) -> dict[str, Any]:
        """Return the values of the store for `BudgetSnapshot`."""
        return {}


@attrs.define
class Plan:
    """The decisions of one transaction, which are carried out after it is written."""

    operations: tuple[Operation, ...] = ()
    settled: list[int] = attrs.field(init=False, factory=list)
    grants: list[tuple[Waiter, int]] = attrs.field(init=False, factory=list)
    rejected: list[tuple[Waiter, float]] = attrs.field(init=False, factory=list)
    waits: list[tuple[Waiter, float]] = attrs.field(init=False, factory=list)
    events: list[BudgetEvent] = attrs.field(init=False, factory=list)
    blocked: tuple[Waiter, int] | None = None
    yielded: bool = False
    changed: bool = False


def settle_operation(slot: int, outcome: Outcome, slots: Slots, now: int, plan: Plan) -> None:
    """The operation that settles a slot."""
    plan.settled.append(slot)
    match outcome:
        case Answered(count):
            knew = slots.foreign_traffic(now)
            slots.answered(slot, now, count)
            if slots.foreign_traffic(now) and not knew:
                plan.events.append(ForeignTrafficDetected(counted=count or 0, ours=slots.most_ours))
        case Lost():
            slots.lost(slot, now)
        case NeverSent():
            slots.give_back(slot)
        case Refused(retry_after):
            slots.give_back(slot)
            pause_operation(retry_after, slots, now, plan)


def pause_operation(retry_after: float | None, slots: Slots, now: int, plan: Plan) -> None:
    """The operation after a 429: all calls wait for `Retry-After` and one second, as the server rounds down."""
    config = slots.config
    asked = config.window if retry_after is None else retry_after
    pause = min(asked, _LONGEST_PAUSE * config.window) + config.safety_margin
    slots.throttled(now, nanoseconds(pause))
    plan.events.append(PauseStarted(seconds=pause, throttled=slots.throttled_count))


def new_sharer() -> int:
    """A number for a process that shares a state; never 0."""
    return random.SystemRandom().randrange(1, 1 << 31)


class SharerMemory:
    """The slots that this process knows, in case the shared state is lost. Times are of this process's clock.

    Args:
        sharer: The number of this process.
        tolerance: The largest difference in nanoseconds between this clock and the clock of the state.

    Attributes:
        own: The slots that this process took, and the times when they become free.
        in_flight: The slots among them that are not settled.
        is_uncertain: Whether a transaction may have been written whose decisions were not carried out.
        sharers: The sharing processes, as last seen.
    """

    def __init__(self, sharer: int, tolerance: int = 0) -> None:
        self.sharer = sharer
        self.own: dict[int, int] = {}
        self.in_flight: set[int] = set()
        self.is_uncertain: bool = False
        self._tolerance = tolerance
        self._epoch = 0
        self._sequence = -1
        self._seen: Mapping[int, int] | None = None
        self._last: list[tuple[Slots, int]] = []  # the state as last seen, with the shift of its times
        self._shift = 0
        self.sharers: Mapping[int, Demand] = {}

    def restore(self, slots: Slots, now: int, here: int) -> bool:
        """Restore slots that the state has lost. Return whether it had lost any.

        Args:
            slots: The state that was found; a new one if the store had no state.
            now: The time of the state's clock.
            here: The time of this process's clock.
        """
        rows = slots.rows.free_at
        if self.is_uncertain:  # after a transaction without a response: its slots were granted to no call
            slots.drop([slot for slot in rows if slot >> 32 == self.sharer and slot not in self.own])
            self.is_uncertain = False
        is_older = self._seen is not None and (slots.epoch != self._epoch or slots.sequence < self._sequence)
        if not is_older and self.own.keys() <= rows.keys():
            return False
        self.own = {slot: free_at for slot, free_at in self.own.items() if free_at > here + self._tolerance}
        if not is_older and self.own.keys() <= rows.keys():
            return False
        shift = now - here
        if self._seen is not None:
            seen = {slot: free_at - self._shift + shift for slot, free_at in self._seen.items()}
            slots.absorb({slot: free_at for slot, free_at in seen.items() if free_at > now})
        if self._sequence >= 0:  # else it is a part, and a process of the same host may keep more of these slots
            slots.drop([slot for slot in rows if slot >> 32 == self.sharer and slot not in self.own])
        slots.absorb({slot: free_at + shift for slot, free_at in self.own.items()})
        for slot, free_at in self.own.items():
            if rows[slot] > free_at + shift:  # it was settled, and an older state does not contain that
                slots.lower(slot, free_at + shift)
        known = [last.server_facts(here + then, shift - then) for last, then in self._last]
        for sharer, demand in self.sharers.items():
            slots.sharers.setdefault(sharer, Demand(demand.seen + shift - self._shift, demand.host))
        slots.begin_restored(now, *known, shared=len(self.sharers) > 1)
        slots.reopen(self.in_flight)
        return True

    def note(self, slots: Slots, now: int, here: int, taken: Iterable[int], settled: Iterable[int]) -> None:
        """Called after the state was written or read."""
        free_at, shift = slots.rows.free_at, now - here
        for slot in taken:
            self.own[slot] = free_at[slot] - shift
            self.in_flight.add(slot)
        for slot in settled:
            self.in_flight.discard(slot)
            if slot not in free_at:
                self.own.pop(slot, None)
            elif slot in self.own:
                self.own[slot] = free_at[slot] - shift
        if len(self.own) > 2 * slots.config.limit:
            self.own = self.recent(here)
        self._epoch, self._sequence, self._shift = slots.epoch, slots.sequence, shift
        # No copy: a later transaction that fails adds at most slots of this process, which `restore` drops.
        self._seen, self.sharers, self._last = free_at, slots.sharers, [(slots, shift)]

    def learn(self, other: SharerMemory, here: int) -> None:
        """Add what this process knows of a separate state: its slots, and what the state knew of the server."""
        self.own |= other.recent(here)
        self.in_flight |= other.in_flight
        self._last = [*self._last[:1], *other._last]

    def part(self, me: int, all_of: Collection[int], here: int, config: LimiterConfig) -> SharerMemory:
        """The part of one host or process, for a separate state: each slot is kept by one of all.

        Its own slots in flight are always kept. If few slots seem free, others may have taken them meanwhile.
        """
        rank, parts = sorted({*all_of, me}).index(me), len({*all_of, me})
        memory, seen = SharerMemory(self.sharer), self.seen(here)
        free = config.share - len(seen)
        if parts > 1 and free <= config.margins[1]:
            seen |= dict.fromkeys(range(free), here + config.cooldown)  # no process has the number 0
        mine = {slot for slot in seen if (slot & 0xFFFFFFFF) % parts == rank or slot in self.in_flight}
        lacking = -(-len(seen) // parts) - len(mine)
        if lacking > 0:  # the others keep more than their part, so less is left
            mine |= set(sorted(seen.keys() - mine)[:lacking])
        memory._seen, memory._last = {slot: seen[slot] for slot in mine}, self._last
        memory.own = {slot: free_at for slot, free_at in memory._seen.items() if slot in self.own}
        memory.in_flight = self.in_flight & memory.own.keys()
        return memory

    def neighbours(self, host: int, ago: int) -> dict[int, int]:
        """Those that shared the state on this host not longer ago than that before this process, and when they did."""
        latest = self.sharers[self.sharer].seen - ago if self.sharer in self.sharers else 0
        known = {sharer: demand.seen for sharer, demand in self.sharers.items() if demand.host == host}
        return {sharer: seen - self._shift for sharer, seen in known.items() if seen > latest and sharer != self.sharer}

    def recent(self, here: int) -> dict[int, int]:
        """Return the slots of this process that are not free yet, and the times when they become free."""
        return {slot: free_at for slot, free_at in self.own.items() if free_at > here}

    def seen(self, here: int) -> dict[int, int]:
        """Return the slots of all processes as last seen, and the times when they become free."""
        last = {
            slot: free_at - self._shift for slot, free_at in (self._seen or {}).items() if slot >> 32 != self.sharer
        }
        return {slot: free_at for slot, free_at in (last | self.own).items() if free_at > here}
