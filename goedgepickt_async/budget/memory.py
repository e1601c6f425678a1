"""What a process knows of a shared state: it repairs a state that was lost, and gives each host a part of it."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping

from goedgepickt_async.budget.config import LimiterConfig
from goedgepickt_async.budget.queue import Plan
from goedgepickt_async.budget.slots import Demand, Slots

__all__ = ["SharerMemory", "new_sharer"]


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

    def note(self, slots: Slots, now: int, here: int, plan: Plan) -> None:
        """Called after the state was written or read."""
        free_at, shift = slots.rows.free_at, now - here
        for slot in plan.taken:
            self.own[slot] = free_at[slot] - shift
            self.in_flight.add(slot)
        for slot in plan.settled:
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
        last = {slot: free_at - self._shift for slot, free_at in (self._seen or {}).items()}
        return {slot: free_at for slot, free_at in (last | self.own).items() if free_at > here}
