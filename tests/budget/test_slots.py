"""The slots against four servers, with the worst times of arrival."""

import heapq
import itertools
import random
import sys
from collections.abc import Callable

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goedgepickt_async.budget.encoding import StateError
from goedgepickt_async.budget.slots import FAR, Lane, LimiterConfig, Slots, nanoseconds
from tests.support.fuzz import examples
from tests.support.throttles import SECOND, CacheThrottle, DurationThrottle, Throttle

LIMIT, WINDOW, LATE = 5, 10.0, 3.0
EPOCH = 1_700_000_000 * SECOND


@attrs.frozen
class Sending:
    """One request: its time after the previous one, its duration, when the server counts it, its outcome."""

    gap: float
    latency: float
    counted_at: float
    outcome: str


sendings = st.lists(
    st.builds(
        Sending,
        gap=st.floats(0, 4),
        latency=st.floats(0.001, 6),
        counted_at=st.floats(0, 1),
        outcome=st.sampled_from(["answered", "answered", "answered", "lost", "never sent"]),
    ),
    min_size=6,
    max_size=60,
)
phases = st.floats(0, 0.999)

SERVERS: dict[str, Callable[[float], Throttle]] = {
    "redis": lambda _: CacheThrottle(LIMIT, WINDOW, "redis"),
    "file": lambda _: CacheThrottle(LIMIT, WINDOW, "file"),
    "memcached": lambda phase: CacheThrottle(LIMIT, WINDOW, "memcached", phase),
    "duration limiter": lambda _: DurationThrottle(LIMIT, WINDOW),
}


def config(**changes: object) -> LimiterConfig:
    values: dict[str, object] = {"limit": LIMIT, "window": WINDOW, "safety_margin": 1.0, "late_arrival": LATE}
    return LimiterConfig(**(values | {"use_server_counter": False} | changes))  # type: ignore[arg-type]


class World:
    """Runs requests through slots against a server, one event after the other."""

    def __init__(self, slots: Slots, server: Throttle, phase: float) -> None:
        self.slots = slots
        self.server = server
        self.offset = EPOCH + round(phase * SECOND)
        self.refusals = 0
        self.arrivals: list[int] = []
        self._events: list[tuple[int, int, Callable[[int], None]]] = []
        self._order = itertools.count()

    def at(self, instant: int, act: Callable[[int], None]) -> None:
        heapq.heappush(self._events, (instant, next(self._order), act))

    def run_until(self, instant: int) -> None:
        while self._events and self._events[0][0] <= instant:
            when, _, act = heapq.heappop(self._events)
            act(when)

    def take(self, now: int, lane: Lane = Lane.INTERACTIVE) -> tuple[int, int]:
        """Wait for a slot. Time moves forward in each step, and the wait ends."""
        while (slot := self.slots.take(now, lane, nanoseconds(6.0))) is None:
            following = min(self.slots.next_change(now), self._events[0][0] if self._events else FAR)
            assert now < following < FAR
            now = following
            self.run_until(now)
        return slot, now

    def count(self, now: int) -> None:
        self.arrivals.append(now)
        self.refusals += not self.server.arrive(self.offset + now)

    def send(self, slot: int, now: int, sending: Sending) -> None:
        ended = now + nanoseconds(sending.latency)
        span = sending.latency + (LATE if sending.outcome == "lost" else 0)
        if sending.outcome != "never sent":
            self.at(now + nanoseconds(sending.counted_at * span), self.count)
        match sending.outcome:
            case "answered":
                self.at(ended, lambda when: self.slots.answered(slot, when))
            case "lost":
                self.at(ended, lambda when: self.slots.lost(slot, when))
            case _:
                self.at(ended, lambda _: self.slots.give_back(slot))


def drive(world: World, wanted: list[Sending]) -> None:
    now = due = 0
    for sending in wanted:
        due = max(due + nanoseconds(sending.gap), now)
        world.run_until(due)
        slot, now = world.take(due)
        assert world.slots.used(now) <= LIMIT
        world.send(slot, now, sending)
    world.run_until(FAR)
    assert world.slots.free(now + nanoseconds(WINDOW + LATE + 10)) == LIMIT


@pytest.mark.parametrize("name", SERVERS)
@settings(max_examples=40)
@given(wanted=sendings, phase=phases)
def test_no_server_refuses_a_request_and_every_slot_becomes_free_again(
    name: str, wanted: list[Sending], phase: float
) -> None:
    world = World(Slots(config()), SERVERS[name](phase), phase)
    drive(world, wanted)
    assert world.refusals == 0


@pytest.mark.slow
@settings(max_examples=examples(15))
@given(wanted=sendings)
def test_a_window_that_starts_at_any_time_holds_at_most_the_limit(wanted: list[Sending]) -> None:
    world = World(Slots(config(safety_margin=0.0)), CacheThrottle(LIMIT, WINDOW), 0.0)
    drive(world, wanted)
    arrived = sorted(world.arrivals)
    window = nanoseconds(WINDOW)
    assert all(later - first >= window for first, later in zip(arrived, arrived[LIMIT:], strict=False))


def refusals_of(make: Callable[[], Slots], store: str, seeds: int) -> int:
    """The number of random jobs with a refused request."""
    bad = 0
    for seed in range(seeds):
        draw = random.Random(seed)
        wanted = [
            Sending(draw.uniform(0, 1), draw.uniform(0.001, 6), draw.random(), draw.choice(["answered"] * 3 + ["lost"]))
            for _ in range(40)
        ]
        phase = draw.random()
        world = World(make(), CacheThrottle(LIMIT, WINDOW, store, draw.random()), phase)
        drive(world, wanted)
        bad += world.refusals > 0
    return bad


class FreedAfterSending(Slots):
    """The wrong way: a slot becomes free a window after it was taken, not after the response."""

    def take(self, now: int, lane: Lane, max_lifetime: int, slot: int | None = None) -> int | None:
        slot = super().take(now, lane, max_lifetime, slot)
        if slot is not None:
            self.rows.move_earlier(slot, now + self._cooldown)
        return slot


def test_negative_control_a_safety_margin_below_zero_causes_refusals() -> None:
    assert refusals_of(lambda: Slots(config(safety_margin=-0.5)), "redis", 60) > 4


def test_negative_control_slots_that_are_freed_after_sending_cause_refusals() -> None:
    assert refusals_of(lambda: FreedAfterSending(config(safety_margin=0.0)), "redis", 60) > 4


@pytest.mark.slow
def test_positive_control_a_safety_margin_of_zero_or_more_causes_no_refusal() -> None:
    assert refusals_of(lambda: Slots(config(safety_margin=0.0)), "redis", 60) == 0
    assert refusals_of(lambda: Slots(config(safety_margin=1.0)), "memcached", 60) == 0


@attrs.frozen
class Restart:
    gap: float
    latency: float
    counted_at: float
    read_at: float
    restart: bool


restarts = st.lists(
    st.builds(
        Restart,
        gap=st.floats(0, 20),
        latency=st.floats(0.001, 3),
        counted_at=st.floats(0, 1),
        read_at=st.floats(0, 1),
        restart=st.booleans(),
    ),
    min_size=6,
    max_size=60,
)


@pytest.mark.slow
@settings(max_examples=examples(20))
@given(wanted=restarts, phase=phases)
def test_after_a_start_without_a_stored_state_only_the_probe_can_be_refused(
    wanted: list[Restart], phase: float
) -> None:
    """Only the server's counter protects such a process. It is unknown before the first response."""

    def fresh() -> Slots:
        return Slots(config(late_arrival=0.0, use_server_counter=True, safety_margin=0.001))

    world = World(fresh(), CacheThrottle(LIMIT, WINDOW), phase)
    in_flight = 0
    now = due = 0
    for one in wanted:
        due = max(due + nanoseconds(one.gap), now)
        world.run_until(due)
        if one.restart and not in_flight:
            world.slots = fresh()
        slot, now = world.take(due)
        slots, is_probe = world.slots, world.slots._probe == slot
        counted = now + nanoseconds(one.counted_at * one.latency)
        ended = now + nanoseconds(one.latency)
        left = counted + round(one.read_at * (ended - counted))
        seen: dict[str, int | bool] = {}
        in_flight += 1  # noqa: SIM113  it also goes down

        def count(when: int, seen: dict[str, int | bool] = seen, *, is_probe: bool = is_probe) -> None:
            seen["admitted"] = world.server.arrive(world.offset + when)
            assert seen["admitted"] or is_probe

        def leave(when: int, seen: dict[str, int | bool] = seen) -> None:
            seen["count"] = world.server.counter(world.offset + when)

        def end(when: int, seen: dict[str, int | bool] = seen, slot: int = slot, slots: Slots = slots) -> None:
            nonlocal in_flight
            in_flight -= 1
            if seen["admitted"]:
                slots.answered(slot, when, int(seen["count"]))
            else:
                slots.give_back(slot)
                slots.throttled(when, nanoseconds(WINDOW))

        world.at(counted, count)
        world.at(left, leave)
        world.at(ended, end)
    world.run_until(FAR)


def test_the_normal_and_bulk_lanes_leave_a_headroom() -> None:
    slots = Slots(LimiterConfig(limit=100, use_server_counter=False))
    max_lifetime = nanoseconds(30)
    taken = [slots.take(0, Lane.BULK, max_lifetime) for _ in range(100)]
    assert sum(slot is not None for slot in taken) == 80
    assert slots.take(0, Lane.NORMAL, max_lifetime) is None
    assert all(slots.take(0, Lane.INTERACTIVE, max_lifetime) is not None for _ in range(20))
    assert slots.take(0, Lane.INTERACTIVE, max_lifetime) is None


def test_the_headroom_shrinks_to_one_slot_as_the_next_free_slots_come_nearer() -> None:
    slots = Slots(LimiterConfig(limit=100, window=60, safety_margin=0, headroom=10, use_server_counter=False))
    for _ in range(90):
        slot = slots.take(0, Lane.BULK, nanoseconds(30))
        assert slot is not None
        slots.answered(slot, 0)
    went = []
    now = 0
    while (now := slots.next_change(now)) < 60 * SECOND:
        if slots.take(now, Lane.BULK, nanoseconds(30)) is not None:
            went.append(now / SECOND)
    assert went == [51.5 + number for number in range(9)]
    assert slots.free(now - 1) == 1


@settings(max_examples=60)
@given(
    ages=st.lists(st.floats(0, 60), max_size=60),
    at=st.floats(0, 30),
    headroom=st.integers(0, 12),
    soon=st.floats(0.1, 5),
)
def test_after_a_normal_request_interactive_requests_have_room_until_the_headroom_is_complete(
    ages: list[float], at: float, headroom: int, soon: float
) -> None:
    config = LimiterConfig(
        limit=60,
        window=60,
        safety_margin=0,
        headroom=headroom,
        interactive_interval=soon,
        use_server_counter=False,
    )
    slots = Slots(config)
    for age in sorted(ages):
        slot = slots.take(nanoseconds(age), Lane.INTERACTIVE, nanoseconds(1))
        assert slot is not None
        slots.answered(slot, nanoseconds(age))
    now = nanoseconds(60 + at)
    before = slots.free(now)
    if slots.take(now, Lane.NORMAL, nanoseconds(1)) is None:
        assert before < 1 or headroom
        assert before < 1 or slots.next_change(now) > now
        return
    if not headroom:
        return
    instants = list(slots.rows.instants)
    for more, instant in enumerate(instants):
        left = before - 1 + more
        if left >= config.headroom_kept:
            break
        assert left >= 1
        assert left >= 0.5 + (instant - now) / nanoseconds(soon) - 1e-6


def test_no_slot_is_granted_during_a_pause_and_then_one_request_goes_alone() -> None:
    slots = Slots(LimiterConfig(limit=10))
    slot = slots.take(0, Lane.INTERACTIVE, SECOND)
    assert slot is not None
    slots.give_back(slot)
    slots.throttled(SECOND, 5 * SECOND)
    assert slots.take(2 * SECOND, Lane.INTERACTIVE, SECOND) is None
    assert slots.next_change(2 * SECOND) == 6 * SECOND
    probe = slots.take(6 * SECOND, Lane.INTERACTIVE, SECOND)
    assert probe is not None
    assert slots.take(6 * SECOND, Lane.INTERACTIVE, SECOND) is None
    slots.answered(probe, 7 * SECOND, 1)
    assert slots.take(7 * SECOND, Lane.INTERACTIVE, SECOND) is not None


def test_a_probe_without_a_response_does_not_block_other_requests() -> None:
    slots = Slots(LimiterConfig(limit=10))
    assert slots.take(0, Lane.INTERACTIVE, 30 * SECOND) is not None
    assert slots.take(2 * SECOND, Lane.INTERACTIVE, SECOND) is None
    assert slots.next_change(2 * SECOND) == 3 * SECOND
    assert slots.take(3 * SECOND, Lane.INTERACTIVE, SECOND) is not None
    assert slots.take(4 * SECOND, Lane.INTERACTIVE, SECOND) is None


def test_a_slot_that_is_never_settled_becomes_free_after_its_time() -> None:
    slots = Slots(config(limit=1))
    assert slots.take(0, Lane.INTERACTIVE, nanoseconds(6)) is not None
    dead = nanoseconds(6 + LATE + WINDOW + 1)
    assert slots.take(dead - 1, Lane.INTERACTIVE, nanoseconds(6)) is None
    assert slots.take(dead, Lane.INTERACTIVE, nanoseconds(6)) is not None
    assert slots.in_flight(dead) == 1


def test_a_second_settlement_changes_nothing() -> None:
    slots = Slots(config())
    slot = slots.take(0, Lane.INTERACTIVE, SECOND)
    assert slot is not None
    slots.lost(slot, SECOND)
    slots.answered(slot, SECOND)
    slots.give_back(slot)
    assert slots.used(nanoseconds(1 + LATE + WINDOW + 1) - 1) == 1


def test_foreign_traffic_is_detected_and_leaves_a_margin() -> None:
    slots = Slots(LimiterConfig(limit=100))
    for count in (1, 40):
        slot = slots.take(0, Lane.INTERACTIVE, SECOND)
        assert slot is not None
        slots.answered(slot, SECOND, count)
    assert slots.foreign_traffic(SECOND)
    assert slots.free(SECOND) == 100 - 40 - 3


@given(ahead=st.integers(0, 400), answered=st.integers(0, 100))
def test_the_predicted_wait_is_zero_only_if_a_slot_is_free(ahead: int, answered: int) -> None:
    slots = Slots(LimiterConfig(limit=100, use_server_counter=False))
    for _ in range(answered):
        slot = slots.take(0, Lane.INTERACTIVE, SECOND)
        assert slot is not None
        slots.answered(slot, 0)
    wait = slots.predicted_wait(0, ahead)
    assert (wait == 0) == (ahead < 100 - answered)
    assert wait % nanoseconds(61) == 0


def test_responses_without_a_counter_after_a_counter_of_zero_do_not_block_requests() -> None:
    slots = Slots(LimiterConfig(limit=5, window=10))
    now = 0
    for index in range(50):
        while (slot := slots.take(now, Lane.INTERACTIVE, SECOND)) is None:
            following = slots.next_change(now)
            assert now < following < FAR
            now = following
        slots.answered(slot, now, 0 if index == 0 else None)


def test_the_predicted_wait_includes_the_headroom_and_the_end_of_the_servers_window() -> None:
    slots = Slots(LimiterConfig(limit=100, window=60, safety_margin=1, use_server_counter=False))
    for _ in range(90):
        slot = slots.take(0, Lane.INTERACTIVE, SECOND)
        assert slot is not None
        slots.answered(slot, 0)
    assert slots.predicted_wait(0, 0, Lane.INTERACTIVE) == 0
    assert slots.predicted_wait(0, 0, Lane.NORMAL) == (61 - 9) * SECOND + SECOND // 2
    shared = Slots(LimiterConfig(limit=100, window=60, safety_margin=1))
    slot = shared.take(0, Lane.INTERACTIVE, SECOND)
    assert slot is not None
    shared.answered(slot, SECOND, 100)
    assert shared.predicted_wait(50 * SECOND, 0) == 12 * SECOND


def test_lost_probes_are_not_followed_by_a_burst() -> None:
    slots = Slots(LimiterConfig(limit=100, window=60))
    taken = 0
    for now in range(0, 6 * SECOND, SECOND // 10):
        slot = slots.take(now, Lane.INTERACTIVE, SECOND)
        if slot is not None:
            taken += 1
            slots.lost(slot, now)
    assert taken == 2


def test_a_state_has_one_byte_order_on_every_system(monkeypatch: pytest.MonkeyPatch) -> None:
    slots = Slots(LimiterConfig())
    taken = slots.take(EPOCH, Lane.INTERACTIVE, 60 * SECOND)
    assert taken is not None
    native = slots.encode()
    monkeypatch.setattr("sys.byteorder", "big" if sys.byteorder == "little" else "little")
    swapped = slots.encode()
    assert swapped[-8:] == native[-8:][::-1]
    assert swapped[-8:] != native[-8:]
    assert Slots.decode(swapped, slots.config).rows.free_at == slots.rows.free_at
    with pytest.raises(StateError):
        Slots.decode(native, slots.config)
