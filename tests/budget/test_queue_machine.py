"""The queue before the slots, after any calls in any order: first come, first served, without needless waits (I5, I7)."""

import asyncio

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from goedgepickt_async import LocalBudget
from goedgepickt_async.budget.protocol import Answered, Grant, Lost, NeverSent, Outcome, Refused
from goedgepickt_async.budget.slots import FAR, Lane, nanoseconds
from tests.support.fuzz import examples

pytestmark = pytest.mark.slow

PERIOD, LIFE = 10.0, 1_000_000.0


class Caller:
    """A call that asked for a slot."""

    def __init__(self, number: int, lane: Lane, task: asyncio.Task[Grant]) -> None:
        self.number, self.lane, self.task = number, lane, task

    @property
    def waits(self) -> bool:
        return not self.task.done()


class QueueMachine(RuleBasedStateMachine):
    """One event loop that runs until all its tasks wait. The machine moves the time, and alarms with it."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.now = 0
        self.callers: list[Caller] = []
        self.held: list[Grant] = []
        self.granted: list[Caller] = []

    @initialize(limit=st.integers(1, 4), counter=st.booleans())
    def start(self, limit: int, counter: bool) -> None:
        self.budget = LocalBudget(limit, PERIOD, late_arrival=1.0, use_server_counter=counter, clock=lambda: self.now)

    # -- what may happen ----------------------------------------------------------------------------------------

    @rule(lane=st.sampled_from([Lane.INTERACTIVE, Lane.NORMAL]))
    def ask(self, lane: Lane) -> None:
        task = self.loop.create_task(self.budget.take(lane, max_lifetime=LIFE))
        self.callers.append(Caller(len(self.callers), lane, task))
        self.settle_down()

    @precondition(lambda self: any(caller.waits for caller in self.callers))
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        waiting = [caller for caller in self.callers if caller.waits]
        data.draw(st.sampled_from(waiting)).task.cancel()
        self.settle_down()

    @precondition(lambda self: self.held)
    @rule(data=st.data(), storm=st.booleans())
    def finish(self, data: st.DataObject, storm: bool) -> None:
        grant = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        self.budget.settle(grant, data.draw(self.outcomes()))
        waiting = [caller for caller in self.callers if caller.waits]
        if storm and waiting:  # in the same tick in which it may have been granted
            min(waiting, key=lambda caller: (caller.lane, caller.number)).task.cancel()
        self.settle_down()

    def outcomes(self) -> st.SearchStrategy[Outcome]:
        counts = st.none() | st.integers(0, self.budget.limit)
        return st.one_of(
            st.builds(Answered, counts), st.just(Lost()), st.just(NeverSent()), st.builds(Refused, st.integers(0, 30))
        )

    @rule(seconds=st.sampled_from([0.4, 1.0, 11.0, 12.0, 100.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += nanoseconds(seconds)
        self.loop.call_soon(self.budget._look_again)
        self.settle_down()

    def settle_down(self) -> None:
        """Run until nothing changes, and store the calls that got a slot, in the order of their grants."""
        waited = [caller for caller in self.callers if caller.waits]
        for _ in range(6):
            self.loop.run_until_complete(asyncio.sleep(0))
        granted = [c for c in waited if c.task.done() and not c.task.cancelled()]
        self.granted += granted
        self.held += [caller.task.result() for caller in granted]

    # -- what always holds --------------------------------------------------------------------------------------

    @invariant()
    def each_lane_is_first_come_first_served(self) -> None:
        """I5: a call that still waits came after all calls of its lane that got a slot."""
        for lane in Lane:
            waiting = [caller.number for caller in self.callers if caller.waits and caller.lane is lane]
            granted = [caller.number for caller in self.granted if caller.lane is lane]
            assert not waiting or not granted or max(granted) < min(waiting)

    @invariant()
    def no_call_waits_for_a_free_slot(self) -> None:
        waiting = [caller for caller in self.callers if caller.waits]
        counts = self.budget.snapshot().waiting
        assert sum(counts.values()) == len(waiting)
        if not waiting:
            return
        with self.budget._alone:
            slots, now = self.budget._store.peek()
            first = min(waiting, key=lambda caller: (caller.lane, caller.number))
            assert slots.take(now, first.lane, nanoseconds(LIFE)) is None
            assert slots.next_change(now) < FAR or self.held

    @invariant()
    def a_granted_call_holds_a_slot(self) -> None:
        snapshot = self.budget.snapshot()
        assert snapshot.in_flight == len(self.held)
        assert len(self.held) <= snapshot.used <= self.budget.limit

    def teardown(self) -> None:
        """I7: when all calls have ended, all slots are free again, and no alarm is set."""
        try:
            for caller in self.callers:
                caller.task.cancel()
            self.settle_down()
            for grant in self.held:
                self.budget.settle(grant, NeverSent())
            self.now += nanoseconds(1000)
            if hasattr(self, "budget"):
                snapshot = self.budget.snapshot()
                assert (snapshot.free, snapshot.used) == (self.budget.limit, 0)
                assert self.budget._alarms == {}
        finally:
            self.loop.close()


QueueMachine.TestCase.settings = settings(max_examples=examples(8), stateful_step_count=30)
TestQueue = QueueMachine.TestCase
