"""What a process knows of a shared state repairs a state that lost it, in exact numbers."""

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goedgepickt_async.budget.slots import Demand, Lane, LimiterConfig, Slots
from goedgepickt_async.budget.store import SharerMemory
from tests.support.tables import each_row
from tests.support.throttles import SECOND

ME, OTHER = 7, 6
CONFIG = LimiterConfig(limit=30, window=10, safety_margin=1, late_arrival=3)
HERE, NOW = 100 * SECOND, 1100 * SECOND
"""The clock of this process, and the clock of the state."""


def mine(number: int) -> int:
    return ME << 32 | number


def theirs(number: int) -> int:
    return OTHER << 32 | number


def at(seconds: float) -> int:
    """A time on this process's clock, so many seconds from now."""
    return HERE + round(seconds * SECOND)


def state(rows: dict[int, float], *, epoch: int = 5, sequence: int = 9, now: int = NOW) -> Slots:
    """A warm state with these slots, which become free so many seconds after `now`."""
    slots = Slots(CONFIG, ME)
    slots.epoch, slots.sequence, slots._cold = epoch, sequence, 0
    slots.absorb({slot: now + round(seconds * SECOND) for slot, seconds in rows.items()})
    return slots


def rows_of(slots: Slots, now: int = NOW) -> dict[int, float]:
    return {slot: (free_at - now) / SECOND for slot, free_at in slots.rows.free_at.items()}


def known(
    own: dict[int, float],
    others: dict[int, float] | None = None,
    *,
    in_flight: tuple[int, ...] = (),
    tolerance: int = 0,
) -> SharerMemory:
    """The memory after a transaction with the slots of this process and of others."""
    memory = SharerMemory(ME, tolerance)
    settled = [slot for slot in own if slot not in in_flight]
    memory.note(state(own | (others or {})), NOW, HERE, own, settled)
    return memory


def test_a_new_memory_knows_nothing() -> None:
    nothing: dict[str, Any] = {"own": {}, "in_flight": set(), "is_uncertain": False, "sharers": {}, "_seen": None}
    start = {"sharer": ME, "_tolerance": 0, "_epoch": 0, "_sequence": -1, "_shift": 0, "_last": []}
    assert vars(SharerMemory(ME)) == nothing | start
    assert vars(SharerMemory(ME, 4)) == nothing | start | {"_tolerance": 4}


def test_after_a_transaction_the_memory_holds_its_slots_on_the_clock_of_this_process() -> None:
    slots = state({mine(1): 20, mine(2): 21, theirs(1): 30})
    slots.sharers = {OTHER: Demand(1, 2)}
    memory = SharerMemory(ME)
    memory.note(slots, NOW, HERE, [mine(1), mine(2)], [])
    assert vars(memory) == {
        "sharer": ME,
        "own": {mine(1): at(20), mine(2): at(21)},
        "in_flight": {mine(1), mine(2)},
        "is_uncertain": False,
        "sharers": slots.sharers,
        "_tolerance": 0,
        "_epoch": 5,
        "_sequence": 9,
        "_seen": {slot: at(seconds) - HERE + NOW for slot, seconds in rows_of(slots).items()},
        "_shift": NOW - HERE,
        "_last": [(slots, NOW - HERE)],
    }
    slots.lower(mine(1), NOW + 15 * SECOND)
    slots.give_back(mine(2))
    slots.drop([mine(2)])
    memory.note(slots, NOW, HERE, [], [mine(1), mine(2), theirs(1), theirs(2)])
    assert (memory.own, memory.in_flight) == ({mine(1): at(15)}, set())
    assert memory._seen == slots.rows.free_at


@each_row(("count", "kept"), [(60, 60), (61, 51)])
def test_free_slots_are_forgotten_when_the_memory_holds_more_than_two_limits(count: int, kept: int) -> None:
    memory = known({mine(number): number - 10 for number in range(1, count + 1)})
    assert len(memory.own) == kept
    assert min(memory.own.values()) == (at(-9) if kept == count else at(1))


@each_row(("epoch", "sequence", "is_older"), [(5, 9, False), (5, 10, False), (5, 8, True), (4, 99, True)])
def test_only_a_state_from_before_the_last_one_is_repaired(epoch: int, sequence: int, is_older: bool) -> None:
    memory = known({mine(1): 20}, {theirs(1): 30})
    slots = state({mine(1): 20}, epoch=epoch, sequence=sequence)
    assert memory.restore(slots, NOW, HERE) is is_older
    assert rows_of(slots) == ({mine(1): 20, theirs(1): 30} if is_older else {mine(1): 20})
    assert (slots.is_cold(), slots._cold_since == NOW) == (is_older, is_older)


def test_before_the_first_transaction_each_state_is_right() -> None:
    slots = state({theirs(1): 1})
    assert SharerMemory(ME).restore(slots, NOW, HERE) is False
    assert rows_of(slots) == {theirs(1): 1}


def test_a_repaired_state_has_all_that_was_seen_and_is_not_free_yet() -> None:
    memory = known({mine(1): 20, mine(2): 22, mine(3): 4}, {theirs(1): 30, theirs(2): 4}, in_flight=(mine(2), mine(3)))
    later, now = HERE + 4 * SECOND, 5000 * SECOND
    old = {mine(1): 19.0, mine(4): 9.0, theirs(1): 28.0, theirs(3): 7.0}
    slots = state(old, sequence=8, now=now)
    slots._sent = {mine(1): 55, mine(4): 66}
    assert memory.restore(slots, now, later) is True
    # A slot of this process is free as soon as the process knows, one that it gave back is gone, and others stay.
    assert rows_of(slots, now) == {mine(1): 16, mine(2): 18, theirs(1): 28, theirs(3): 7}
    assert slots._sent == {mine(2): -(1 << 62) - 1}, "only slots in flight can be settled"
    assert memory.own == {mine(1): at(20), mine(2): at(22)}
    assert slots.is_cold()


def test_a_repaired_slot_is_never_later_than_the_state_says() -> None:
    memory = known({mine(1): 20, mine(2): 20}, in_flight=(mine(1), mine(2)))
    slots = state({mine(1): 12, mine(2): 20}, sequence=8)
    slots._sent = {mine(1): 55, mine(2): 66}
    assert memory.restore(slots, NOW, HERE) is True
    assert rows_of(slots) == {mine(1): 12, mine(2): 20}
    assert slots._sent == {mine(1): 55, mine(2): 66}


@each_row(("tolerance", "seconds", "is_lost"), [(0, 0, False), (0, 1, True), (SECOND, 1, False), (SECOND, 2, True)])
def test_a_lost_slot_is_restored_unless_its_time_is_over_within_the_tolerance(
    tolerance: int, seconds: int, is_lost: bool
) -> None:
    memory = known({mine(1): 10 + seconds, mine(2): 60}, {theirs(1): 40}, tolerance=tolerance)
    later, now = HERE + 10 * SECOND, NOW + 10 * SECOND
    slots = state({mine(2): 50, theirs(9): 1}, sequence=10, now=now)
    assert memory.restore(slots, now, later) is is_lost
    assert mine(2) in memory.own
    assert (mine(1) in memory.own) is is_lost
    expected = {mine(2): 50, theirs(9): 1} | ({mine(1): seconds, theirs(1): 30} if is_lost else {})
    assert rows_of(slots, now) == expected


def test_a_state_with_exactly_the_slots_of_this_process_is_right() -> None:
    memory = known({mine(1): 20, mine(2): 5})
    later, now = HERE + 10 * SECOND, NOW + 10 * SECOND
    assert memory.restore(state({mine(1): 10, mine(2): -5}, now=now), now, later) is False
    assert set(memory.own) == {mine(1), mine(2)}
    slots = state({mine(1): 10}, now=now)
    assert memory.restore(slots, now, later) is False
    assert set(memory.own) == {mine(1)}
    assert not slots.is_cold()


def test_a_slot_of_this_process_that_no_read_state_had_is_restored() -> None:
    memory = known({mine(1): 20}, {theirs(1): 30})
    memory.own[mine(2)] = at(9)
    slots = state({}, sequence=8)
    assert memory.restore(slots, NOW, HERE) is True
    assert rows_of(slots) == {mine(1): 20, mine(2): 9, theirs(1): 30}


@each_row("sequence", [8, 10])
def test_after_a_write_without_a_response_slots_that_no_call_got_are_dropped_once(sequence: int) -> None:
    memory = known({mine(1): 20})
    memory.is_uncertain = True
    slots = state({mine(1): 20, mine(2): 21, theirs(2): 22}, sequence=sequence)
    assert memory.restore(slots, NOW, HERE) is (sequence == 8)
    assert rows_of(slots) == {mine(1): 20, theirs(2): 22}
    assert memory.is_uncertain is False
    certain = state({mine(1): 20, mine(2): 21}, sequence=10)
    assert memory.restore(certain, NOW, HERE) is False
    assert rows_of(certain) == {mine(1): 20, mine(2): 21}


def remembered_window(foreign: int = 0) -> SharerMemory:
    """The memory of a process that sent 20 of 30 requests in one window of the server, which began at HERE."""
    slots, memory = Slots(CONFIG, ME), SharerMemory(ME)
    sent = [mine(number) for number in range(1, 21)]
    for number, slot in enumerate(sent, 1):
        assert slots.take(NOW, Lane.INTERACTIVE, SECOND, slot) is not None
        slots.answered(slot, NOW, number + foreign * (number > 1))
    memory.note(slots, NOW, HERE, sent, sent)
    return memory


@each_row("is_part", [False, True])
@each_row("shift", [0, 5000 * SECOND])
def test_a_lost_state_does_not_prolong_the_servers_window(is_part: bool, shift: int) -> None:
    memory = remembered_window()
    if is_part:
        memory = memory.part(1, [1], HERE, CONFIG)
    lost, now = Slots(CONFIG, ME), NOW + 8 * SECOND + shift
    assert memory.restore(lost, now, HERE + 8 * SECOND) is True
    assert lost.is_cold()
    assert lost.take(now, Lane.INTERACTIVE, SECOND, mine(21)) is not None
    assert not lost.can_take(now, Lane.INTERACTIVE)  # until the single request has its response
    lost.answered(mine(21), now, 21)
    assert lost.free(now) < CONFIG.limit - 21 + 1
    assert lost.next_change(now) <= now + 3 * SECOND
    assert lost.free(now + 3 * SECOND) == CONFIG.limit - 1


def test_after_a_lost_state_a_lower_counter_begins_another_window_of_the_server() -> None:
    lost, now = Slots(CONFIG, ME), NOW + 8 * SECOND
    remembered_window().restore(lost, now, HERE + 8 * SECOND)
    lost.take(now, Lane.INTERACTIVE, SECOND, mine(21))
    lost.answered(mine(21), now, 19)
    assert lost.free(now + 3 * SECOND) < CONFIG.limit - 19


def test_foreign_traffic_a_rolling_limit_and_a_pause_outlast_a_lost_state() -> None:
    memory = remembered_window(foreign=4)
    before, _ = memory._last[0]
    before._paused_until, before._counter.rolling_until = NOW + 9 * SECOND, NOW + 99 * SECOND
    lost, now = Slots(CONFIG, ME), NOW + 8 * SECOND
    memory.restore(lost, now, HERE + 8 * SECOND)
    assert lost.foreign_traffic(now)
    assert lost.paused_until(now) == NOW + 9 * SECOND
    assert lost._counter.rolling_until == NOW + 99 * SECOND
    assert lost._margin == before._margin > 0


def test_after_the_window_that_a_second_process_knows_a_single_request_asks_for_the_counter() -> None:
    state_found, now = Slots(CONFIG, ME), NOW + 10 * SECOND
    state_found.take(now, Lane.INTERACTIVE, SECOND, theirs(1))
    state_found.answered(theirs(1), now, 25)  # another window began at the latest now
    assert remembered_window().restore(state_found, now, HERE + 10 * SECOND) is True
    state_found.take(now, Lane.INTERACTIVE, SECOND, mine(21))
    state_found.answered(mine(21), now, 26)
    assert not state_found.is_cold()
    later = NOW + 12 * SECOND
    assert state_found.take(later, Lane.INTERACTIVE, SECOND, mine(22)) is not None
    assert not state_found.can_take(later, Lane.INTERACTIVE)
    state_found.answered(mine(22), later, 27)
    assert state_found.free(later) <= CONFIG.limit - 27


def test_a_second_process_waits_for_the_single_request_of_the_first_one() -> None:
    lost, now = Slots(CONFIG, ME), NOW + 8 * SECOND
    lost.take(now, Lane.INTERACTIVE, SECOND, theirs(1))
    remembered_window().restore(lost, now + 1, HERE + 8 * SECOND + 1)
    assert not lost.can_take(now + 2, Lane.INTERACTIVE)
    lost.answered(theirs(1), now + 3, 30)
    assert not lost.is_cold()
    assert not lost.can_take(now + 4, Lane.INTERACTIVE)


def test_a_second_process_does_not_wait_for_a_single_request_that_is_overdue() -> None:
    lost, now = Slots(CONFIG, ME), NOW + 8 * SECOND
    lost.take(now, Lane.INTERACTIVE, SECOND, theirs(1))
    remembered_window().restore(lost, now + SECOND, HERE + 9 * SECOND)
    assert lost.can_take(now + SECOND, Lane.INTERACTIVE)


@each_row(("free", "sharers", "waits"), [(2, 2, True), (3, 2, False), (2, 1, False)])
def test_if_few_slots_seem_free_other_processes_first_get_time_to_restore_theirs(
    free: int, sharers: int, waits: bool
) -> None:
    memory = known({mine(1): 9}, {theirs(number): 9 for number in range(29 - free)})
    memory.sharers = {sharer: Demand(NOW, 0) for sharer in range(1, sharers + 1)}
    lost = Slots(CONFIG, ME)
    memory.restore(lost, NOW, HERE)
    assert lost.can_take(NOW, Lane.INTERACTIVE) is not waits
    if waits:
        other = known({5 << 32 | 1: 9, 5 << 32 | 2: 9})
        other.sharer, other.sharers = 5, memory.sharers
        other.restore(lost, NOW + SECOND, HERE + SECOND)
        assert lost.next_change(NOW + SECOND) == NOW + SECOND * 3 // 2
        assert lost.free(NOW + SECOND * 3 // 2) == 0  # the two slots that seemed free were taken
    else:
        assert lost.take(NOW, Lane.INTERACTIVE, SECOND, mine(2)) is not None
        assert not lost.can_take(NOW, Lane.INTERACTIVE)


@each_row("excess", [0, 2, 3])
def test_after_a_lost_state_requests_of_others_in_this_window_are_no_foreign_traffic(excess: int) -> None:
    memory, end = known({mine(1): 9}, {theirs(1): 9}), NOW + 11 * SECOND
    lost = Slots(CONFIG, ME)
    memory.restore(lost, NOW, HERE)
    lost.take(NOW, Lane.INTERACTIVE, SECOND, mine(2))
    lost.answered(mine(2), NOW, 3 + excess)
    assert not lost.foreign_traffic(NOW)
    assert lost.free(NOW) == CONFIG.limit - 3 - excess - 2
    lost.take(NOW, Lane.INTERACTIVE, SECOND, mine(4))
    lost.answered(mine(4), NOW, 5 + excess)  # one more of them was in flight
    assert not lost.foreign_traffic(NOW)
    lost.take(end, Lane.INTERACTIVE, SECOND, mine(3))
    lost.answered(mine(3), end, 7 + excess)  # in the next window, at most five more than those are of sharing processes
    assert lost.foreign_traffic(end)


# -- the parts of several hosts -----------------------------------------------------------------------------------


def part(memory: SharerMemory, me: int, hosts: list[int], config: LimiterConfig = CONFIG) -> SharerMemory:
    return memory.part(me, hosts, HERE, config)


@each_row(
    ("me", "hosts", "kept"),
    [
        (20, [30, 10, 20], {1, 4}),
        (20, [30, 10], {1, 4}),
        (10, [30, 10, 20], {3, 6}),
        (30, [30, 10, 20, 20], {2, 5}),
        (20, [20], {1, 2, 3, 4, 5, 6}),
        (20, [], {1, 2, 3, 4, 5, 6}),
        (1, [2], {2, 4, 6}),
    ],
)
def test_each_host_keeps_the_slots_whose_number_has_its_rank(me: int, hosts: list[int], kept: set[int]) -> None:
    own = part(known({}, {theirs(number): 10.0 + number for number in range(1, 7)}), me, hosts)
    assert own._seen == {theirs(number): at(10 + number) for number in kept}
    assert (own.sharer, own.own, own.in_flight, own._shift) == (ME, {}, set(), 0)


def test_slots_in_flight_are_kept_by_their_process_and_its_others_are_known_as_its_own() -> None:
    memory = known(
        {mine(1): 20, mine(2): 21, mine(3): 22, mine(4): -1}, {theirs(4): 9}, in_flight=(mine(2), mine(3), mine(4))
    )
    own = part(memory, 1, [1, 2, 3])  # it keeps the numbers 0, 3, 6 ...
    assert own._seen == {mine(2): at(21), mine(3): at(22)}
    assert own.own == own._seen
    assert own.in_flight == {mine(2), mine(3)}
    last = part(memory, 2, [1, 2, 3])
    assert last._seen == {mine(1): at(20), mine(2): at(21), mine(3): at(22), theirs(4): at(9)}
    assert last.own == {mine(1): at(20), mine(2): at(21), mine(3): at(22)}


def test_a_slot_of_this_process_that_only_another_process_of_the_host_keeps_stays_used() -> None:
    """The processes of a host see slightly different states, so they keep different slots."""
    own = part(known({mine(1): 9, mine(2): 9, mine(3): 9}), 1, [1, 2, 3])
    file = state({mine(1): 9, theirs(1): 9}, now=HERE)
    assert own.restore(file, HERE, HERE)
    assert rows_of(file, HERE) == {mine(1): 9, theirs(1): 9, mine(3): 9}


@each_row(("numbers", "kept"), [((3, 6, 9), {3}), ((3, 6, 9, 12), {3, 6}), ((12, 9, 4, 3), {3, 4})])
def test_a_host_whose_rank_few_slots_have_keeps_its_share_of_all(numbers: tuple[int, ...], kept: set[int]) -> None:
    own = part(known({}, {theirs(number): 10 for number in numbers}), 2, [1, 2, 3])
    assert own._seen == {theirs(number): at(10) for number in kept}


@each_row(("used", "hosts", "more"), [(27, [1, 2], 0), (28, [1, 2], 2), (30, [1, 2], 0), (28, [1], 0)])
def test_slots_that_seem_free_count_as_used_when_only_a_few_do(used: int, hosts: list[int], more: int) -> None:
    memory = known({}, {theirs(number): 10 for number in range(used)})
    parts = [part(memory, host, hosts)._seen or {} for host in hosts]
    together = {slot: free_at for kept in parts for slot, free_at in kept.items()}
    assert together == {theirs(number): at(10) for number in range(used)} | {number: at(11) for number in range(more)}


@pytest.mark.slow
@given(
    others=st.dictionaries(st.integers(0, 99), st.integers(1, 30), max_size=30),
    flying=st.sets(st.integers(100, 104), max_size=5),
    hosts=st.sets(st.integers(1, 9), min_size=1, max_size=4),
)
def test_the_parts_together_have_each_slot_and_each_has_its_share(
    others: dict[int, int], flying: set[int], hosts: set[int]
) -> None:
    seen = {theirs(number): float(seconds) for number, seconds in others.items()}
    memory = known({mine(number): 5.0 for number in flying}, seen, in_flight=tuple(map(mine, flying)))
    parts = [part(memory, host, list(hosts), attrs.evolve(CONFIG, limit=60, share=60)) for host in hosts]
    everything = memory.seen(HERE)
    assert set().union(*(kept.seen(HERE) for kept in parts)) == set(everything)
    for kept in parts:
        assert set(map(mine, flying)) <= kept.in_flight
        assert len(kept.seen(HERE)) >= len(everything) / len(hosts)


def test_what_was_seen_is_on_the_clock_of_this_process_without_free_slots() -> None:
    memory = known({mine(1): 20, mine(2): 2}, {theirs(1): 3, theirs(2): 2})
    memory.own[mine(3)] = at(9)
    memory.own[mine(1)] = at(19)
    later = at(2)
    assert memory.seen(later) == {mine(1): at(19), mine(3): at(9), theirs(1): at(3)}
    assert memory.recent(later) == {mine(1): at(19), mine(3): at(9)}
    assert SharerMemory(ME).seen(0) == {}


def test_neighbours_are_processes_of_this_host_that_wrote_not_long_before_this_one() -> None:
    memory = known({})
    seen = {ME: (50, 1), 1: (41, 1), 2: (40, 1), 3: (60, 2), 4: (70, 1)}
    memory.sharers = {sharer: Demand(NOW + seconds * SECOND, host) for sharer, (seconds, host) in seen.items()}
    assert memory.neighbours(1, 10 * SECOND) == {1: at(41), 4: at(70)}
    assert memory.neighbours(2, 10 * SECOND) == {3: at(60)}
    memory.sharers = {1: Demand(1, 1), 2: Demand(0, 1)}
    assert memory.neighbours(1, 10 * SECOND) == {1: 1 - NOW + HERE}
