"""When the slots are to be looked at again, how long a wait will be, and what a fork and a death leave behind."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goedgepickt_async.budget.slots import FAR, Lane, LimiterConfig, Slots, nanoseconds
from tests.support.desk import Desk
from tests.support.throttles import SECOND

HOLD = 61 * SECOND
LONG = 1000 * SECOND


# -- when to look again ------------------------------------------------------------------------------------------


def test_when_the_servers_count_is_full_the_end_of_its_window_is_waited_for_even_if_our_own_slots_are_free() -> None:
    """The answer came later than the attempt was to live, as on a machine that slept: its slot is free sooner."""
    desk = Desk(5, window=10, late_arrival=0)
    slot = desk.take(0, max_lifetime=1)
    desk.answer(slot, 5, 5)
    assert desk.slots.used(12 * SECOND) == 0
    assert desk.try_take(12) is None
    assert desk.slots.next_change(12 * SECOND) == 16 * SECOND
    assert desk.try_take(16) is not None


def test_the_moment_from_which_a_lost_request_cannot_be_counted_any_more_is_waited_for() -> None:
    desk = Desk(5, window=60, late_arrival=30)
    for count in range(1, 5):
        desk.exchange(count / 10, count / 10, count)
    desk.slots.lost(desk.take(2), 3 * SECOND)
    assert desk.free(4) == 0
    assert desk.slots.next_change(12 * SECOND) == 33 * SECOND


@pytest.mark.parametrize("at", [62, 64.5])
def test_whatever_is_asked_first_after_a_while_knows_the_time(at: float) -> None:
    """Nothing moves by itself: each question makes the time pass."""

    def desk() -> Desk:
        made = Desk(2, window=60, late_arrival=0, use_server_counter=False)
        made.exchange(0, 1, None)
        made.answer(made.take(2, max_lifetime=1), 4, None)
        return made

    now = nanoseconds(at)
    assert desk().slots.next_change(now) == (FAR if at > 64 else 64 * SECOND)
    assert desk().slots.used(now) == desk().slots.in_flight(now) + (0 if at > 64 else 1)
    assert desk().slots.predicted_wait(now, 0) == 0
    assert desk().free(at) == (2 if at > 64 else 1)
    holder_died = Desk(2, window=60, late_arrival=0, use_server_counter=False)
    holder_died.take(0, max_lifetime=1)
    assert holder_died.slots.in_flight(now) == 0


def test_where_nothing_is_held_nothing_is_waited_for() -> None:
    assert Desk().slots.next_change(0) == FAR


def test_the_predicted_wait_reaches_to_the_end_of_a_window_that_strangers_filled() -> None:
    desk = Desk(100)
    desk.exchange(0, 1, 90)
    assert desk.slots.predicted_wait(SECOND, 6) == 0
    assert desk.slots.predicted_wait(SECOND, 7) == HOLD


def test_the_predicted_wait_reaches_to_the_moment_at_which_strangers_would_have_shown() -> None:
    desk = Desk(100, window=60)
    for _ in range(3):
        desk.exchange(0, 0, None)
    for count in range(4, 92):
        desk.exchange(1, 1, count)
    assert desk.slots.predicted_wait(2 * SECOND, 2) == 0
    assert desk.slots.predicted_wait(2 * SECOND, 3) == 9 * SECOND
    assert desk.slots.predicted_wait(2 * SECOND, 9) == 60 * SECOND


@given(pause=st.integers(1, 1000), at=st.integers(0, 1000))
def test_the_predicted_wait_reaches_to_the_end_of_a_pause(pause: int, at: int) -> None:
    desk = Desk()
    desk.slots.throttled(0, pause * SECOND)
    assert desk.slots.predicted_wait(at * SECOND, 0) == max(0, pause - at) * SECOND


@pytest.mark.parametrize(("headroom", "limit", "left"), [(3, 100, 3), (10, 100, 10), (10, 40, 8), (10, 4, 0)])
def test_the_headroom_is_what_was_asked_for_and_a_fifth_of_the_limit_at_most(
    headroom: int, limit: int, left: int
) -> None:
    slots = Slots(LimiterConfig(limit=limit, headroom=headroom, use_server_counter=False))
    taken = [slots.take(0, Lane.BULK, SECOND) for _ in range(limit)]
    assert taken.count(None) == left


# -- after a fork ------------------------------------------------------------------------------------------------


def test_what_a_parent_has_in_flight_stays_taken_in_the_child_for_its_longest_life() -> None:
    desk = Desk(100, window=60, late_arrival=30)
    desk.exchange(0, 1, 1)
    slot = desk.take(2, max_lifetime=10)
    desk.slots.detach_in_flight(3 * SECOND)
    assert (desk.slots.in_flight(3 * SECOND), desk.slots.used(3 * SECOND)) == (0, 2)
    desk.answer(slot, 4, 2)  # the parent's answer, should it come here: it is none of ours
    longest = (2 + 10 + 30 + 61) * SECOND
    assert desk.slots.used(longest - 1) == 1
    assert desk.slots.used(longest) == 0


def test_a_child_begins_cold() -> None:
    desk = Desk(100)
    desk.exchange(0, 1, 1)
    desk.slots.detach_in_flight(2 * SECOND)
    assert desk.how_many_go(3) == 1


@pytest.mark.parametrize(
    "settle",
    [
        lambda slots, slot: slots.answered(slot, LONG, 5),
        lambda slots, slot: slots.lost(slot, LONG),
        lambda slots, slot: slots.give_back(slot),
    ],
)
def test_settling_what_was_never_taken_or_is_long_gone_changes_nothing(
    settle: Callable[[Slots, int], None],
) -> None:
    desk = Desk(100)
    slot = desk.take(0, max_lifetime=1)
    assert desk.slots.used(LONG) == 0
    settle(desk.slots, slot)
    settle(desk.slots, 12345)
    assert desk.slots.used(LONG) == 0
    assert not desk.slots.foreign_traffic(LONG)


def test_while_the_server_says_nothing_for_a_while_one_request_goes_to_hear_though_it_leaves_no_room() -> None:
    desk = Desk(100, window=60)
    for count in range(1, 82):
        desk.exchange(0, 0, count)
    heard = 4 * SECOND
    assert desk.slots.take(heard - 1, Lane.NORMAL, SECOND) is None
    assert desk.slots.next_change(heard - 1) == heard
    assert desk.slots.take(heard, Lane.NORMAL, SECOND) is not None
    assert desk.slots.take(heard, Lane.NORMAL, SECOND) is None
