"""The invariants of the slots after any calls in any order (I1 to I4, I6, I7)."""

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from goedgepickt_async.budget.slots import FAR, Lane, LimiterConfig, Slots, nanoseconds
from tests.support.fuzz import examples

pytestmark = pytest.mark.slow

durations = st.one_of(
    st.integers(0, nanoseconds(30)),
    st.sampled_from([1, nanoseconds(0.5), nanoseconds(1), nanoseconds(5), nanoseconds(11)]),
)


class SlotsMachine(RuleBasedStateMachine):
    """Holds a separate model: which slots are in use, and until when at most."""

    taken: Bundle[int] = Bundle("taken")
    settled: Bundle[int] = Bundle("settled")

    @initialize(
        limit=st.integers(1, 12),
        late=st.sampled_from([0.0, 3.0]),
        headroom=st.integers(0, 3),
        counter=st.booleans(),
    )
    def start(self, limit: int, late: float, headroom: int, counter: bool) -> None:
        config = LimiterConfig(
            limit=limit,
            window=10,
            safety_margin=1,
            late_arrival=late,
            headroom=headroom,
            use_server_counter=counter,
        )
        self.slots = Slots(config)
        self.limit, self.hold, self.late = limit, config.cooldown, nanoseconds(late)
        self.now = 0
        self.frees: dict[int, int] = {}  # slot -> when it becomes free; the model
        self.in_flight: set[int] = set()
        self.pause_ends = -1

    # -- what may happen ----------------------------------------------------------------------------------------

    @rule(target=taken, lane=st.sampled_from(Lane), max_lifetime=st.sampled_from([1.0, 6.0]))
    def take(self, lane: Lane, max_lifetime: float) -> Any:
        free = self.slots.free(self.now)
        slot = self.slots.take(self.now, lane, nanoseconds(max_lifetime))
        if slot is None:
            return 0  # no slot has this number
        assert free >= 1
        assert self.now >= self.pause_ends, "I6: granted during a pause"
        assert slot not in self.frees
        self.frees[slot] = self.now + nanoseconds(max_lifetime) + self.late + self.hold
        self.in_flight.add(slot)
        return slot

    @rule(target=settled, slot=consumes(taken), count=st.none() | st.integers(0, 12))
    def answered(self, slot: int, count: int | None) -> int:
        self.slots.answered(slot, self.now, None if count is None else min(count, self.limit))
        self._settle(slot, self.now + self.hold)
        return slot

    @rule(target=settled, slot=consumes(taken))
    def lost(self, slot: int) -> int:
        self.slots.lost(slot, self.now)
        self._settle(slot, self.now + self.late + self.hold)
        return slot

    @rule(target=settled, slot=consumes(taken))
    def give_back(self, slot: int) -> int:
        self.slots.give_back(slot)
        self._settle(slot, self.now)
        return slot

    @rule(target=settled, slot=consumes(taken), pause=durations)
    def refused(self, slot: int, pause: int) -> int:
        self.slots.give_back(slot)
        self.slots.throttled(self.now, pause)
        self._settle(slot, self.now)
        self.pause_ends = max(self.pause_ends, self.now + pause)
        return slot

    @rule(slot=settled, kind=st.sampled_from(["answered", "lost", "never sent"]))
    def settle_again(self, slot: int, kind: str) -> None:
        """I2: only the first settlement counts; the model does not receive this one."""
        match kind:
            case "answered":
                self.slots.answered(slot, self.now, self.limit)
            case "lost":
                self.slots.lost(slot, self.now)
            case _:
                self.slots.give_back(slot)

    @rule(pause=durations)
    def throttled(self, pause: int) -> None:
        self.slots.throttled(self.now, pause)
        self.pause_ends = max(self.pause_ends, self.now + pause)

    @rule()
    def fork(self) -> None:
        self.slots.detach_in_flight(self.now)
        self.in_flight.clear()

    @rule(by=durations)
    def time_passes(self, by: int) -> None:
        self._advance(self.now + by)

    @rule()
    def time_passes_until_something_may_change(self) -> None:
        change = self.slots.next_change(self.now)
        if change < FAR:
            self._advance(change)

    def _settle(self, slot: int, free_at: int) -> None:
        if slot in self.in_flight:
            self.in_flight.discard(slot)
            self.frees[slot] = min(self.frees[slot], free_at)  # I3: it moves only to an earlier time
        self._advance(self.now)

    def _advance(self, instant: int) -> None:
        self.now = instant
        for slot in [slot for slot, free_at in self.frees.items() if free_at <= instant]:
            del self.frees[slot]
            self.in_flight.discard(slot)

    # -- what always holds --------------------------------------------------------------------------------------

    @invariant()
    def never_more_slots_than_the_limit(self) -> None:
        """I1, I2, I3: exactly the slots of the model are in use, for exactly as long."""
        assert self.slots.used(self.now) == len(self.frees) <= self.limit
        assert self.slots.in_flight(self.now) == len(self.in_flight)
        assert self.slots.free(self.now) <= self.limit - len(self.frees)

    @invariant()
    def time_moves_forward(self) -> None:
        """I4: the next change is in the future; during a pause it is the end of the pause."""
        change = self.slots.next_change(self.now)
        assert change > self.now
        if self.now < self.pause_ends:
            assert change == self.pause_ends == self.slots.paused_until(self.now)
        else:
            assert self.slots.paused_until(self.now) is None
            assert change <= min(self.frees.values(), default=FAR)

    @invariant()
    def reading_changes_nothing(self) -> None:
        def read() -> list[Any]:
            slots, now = self.slots, self.now
            waits = [slots.predicted_wait(now, ahead, lane) for ahead in (0, 3, 30) for lane in Lane]
            return [slots.free(now), slots.used(now), slots.next_change(now), slots.foreign_traffic(now), *waits]

        first = read()
        assert first == read()
        assert min(first[4:]) >= 0

    def teardown(self) -> None:
        """I7: at the end, all slots are free again."""
        if not hasattr(self, "slots"):
            return
        end = max([self.now, self.pause_ends, *self.frees.values()]) + (Slots.SHARED_FOR + 1) * self.hold
        assert (self.slots.free(end), self.slots.used(end), self.slots.in_flight(end)) == (self.limit, 0, 0)
        assert self.slots.take(end, Lane.BULK, nanoseconds(1)) is not None


SlotsMachine.TestCase.settings = settings(max_examples=examples(12), stateful_step_count=40)
TestSlots = SlotsMachine.TestCase
