"""When the slots change next, how long a wait lasts, and which slots stay taken after a fork."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from goedgepickt_async.budget.slots import FAR, Lane, LimiterConfig, Slots, nanoseconds
from tests.support.desk import Desk
from tests.support.tables import each_row
from tests.support.throttles import SECOND

HOLD = 61 * SECOND
LONG = 1000 * SECOND


# -- the next change ----------------------------------------------------------------------------------------------


def test_with_a_full_counter_requests_wait_for_the_end_of_the_servers_window_despite_free_slots() -> None:
    """The response came after the longest life of its attempt, as on a computer that slept. Its slot is free earlier."""
    desk = Desk(5, window=10, late_arrival=0)
    slot = desk.take(0, max_lifetime=1)
    desk.answer(slot, 5, 5)
    assert desk.slots.used(12 * SECOND) == 0
    assert desk.try_take(12) is None
    assert desk.slots.next_change(12 * SECOND) == 16 * SECOND
    assert desk.try_take(16) is not None


def test_the_next_change_is_when_the_server_can_no_longer_count_a_lost_request() -> None:
    desk = Desk(5, window=60, late_arrival=30)
    for count in range(1, 5):
        desk.exchange(count / 10, count / 10, count)
    desk.slots.lost(desk.take(2), 3 * SECOND)
    assert desk.free(4) == 0
    assert desk.slots.next_change(12 * SECOND) == 33 * SECOND


@each_row("at", [62, 64.5])
def test_each_method_uses_the_current_time_when_it_is_called_first(at: float) -> None:
    """The state does not change by itself: each call applies the time that has passed."""

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


def test_without_taken_slots_there_is_no_next_change() -> None:
    assert Desk().slots.next_change(0) == FAR


def test_the_predicted_wait_lasts_until_the_end_of_a_window_full_of_foreign_traffic() -> None:
    desk = Desk(100)
    desk.exchange(0, 1, 90)
    each = HOLD // 11  # the ten requests that the server still allows are sent at equal intervals
    waits = [desk.slots.predicted_wait(SECOND, ahead) for ahead in (3, 4, 5, 13, 15)]
    assert waits == [0, each, 2 * each, 10 * each, HOLD]


def test_the_predicted_wait_lasts_until_foreign_traffic_would_have_shown() -> None:
    desk = Desk(100, window=60)
    for _ in range(3):
        desk.exchange(0, 0, None)
    for count in range(4, 92):
        desk.exchange(1, 1, count)
    assert desk.slots.predicted_wait(2 * SECOND, 2) == 0
    assert desk.slots.predicted_wait(2 * SECOND, 3) == 9 * SECOND
    assert desk.slots.predicted_wait(2 * SECOND, 9) == 60 * SECOND


@given(pause=st.integers(1, 1000), at=st.integers(0, 1000))
def test_the_predicted_wait_lasts_until_the_end_of_a_pause(pause: int, at: int) -> None:
    desk = Desk()
    desk.slots.throttled(0, pause * SECOND)
    assert desk.slots.predicted_wait(at * SECOND, 0) == max(0, pause - at) * SECOND


@each_row(("headroom", "limit", "left"), [(3, 100, 3), (10, 100, 10), (10, 40, 8), (10, 4, 0)])
def test_the_headroom_is_the_configured_number_and_at_most_a_fifth_of_the_limit(
    headroom: int, limit: int, left: int
) -> None:
    slots = Slots(LimiterConfig(limit=limit, headroom=headroom, use_server_counter=False))
    taken = [slots.take(0, Lane.BULK, SECOND) for _ in range(limit)]
    assert taken.count(None) == left


# -- after a fork ------------------------------------------------------------------------------------------------


def test_slots_in_flight_in_a_parent_stay_taken_in_the_child_for_their_longest_life() -> None:
    desk = Desk(100, window=60, late_arrival=30)
    desk.exchange(0, 1, 1)
    slot = desk.take(2, max_lifetime=10)
    desk.slots.detach_in_flight(3 * SECOND)
    assert (desk.slots.in_flight(3 * SECOND), desk.slots.used(3 * SECOND)) == (0, 2)
    desk.answer(slot, 4, 2)  # a response to a request of the parent has no effect in the child
    longest = (2 + 10 + 30 + 61) * SECOND
    assert desk.slots.used(longest - 1) == 1
    assert desk.slots.used(longest) == 0


def test_a_forked_child_starts_cold() -> None:
    desk = Desk(100)
    desk.exchange(0, 1, 1)
    desk.slots.detach_in_flight(2 * SECOND)
    assert desk.how_many_go(3) == 1


@each_row(
    "settle",
    [
        lambda slots, slot: slots.answered(slot, LONG, 5),
        lambda slots, slot: slots.lost(slot, LONG),
        lambda slots, slot: slots.give_back(slot),
    ],
)
def test_settling_an_unknown_or_expired_slot_changes_nothing(
    settle: Callable[[Slots, int], None],
) -> None:
    desk = Desk(100)
    slot = desk.take(0, max_lifetime=1)
    assert desk.slots.used(LONG) == 0
    settle(desk.slots, slot)
    settle(desk.slots, 12345)
    assert desk.slots.used(LONG) == 0
    assert not desk.slots.foreign_traffic(LONG)


def test_when_the_counter_is_old_one_request_goes_without_room_to_refresh_it() -> None:
    desk = Desk(100, window=60)
    for count in range(1, 82):
        desk.exchange(0, 0, count)
    refreshed = 4 * SECOND
    assert desk.slots.take(refreshed - 1, Lane.NORMAL, SECOND) is None
    assert desk.slots.next_change(refreshed - 1) == refreshed
    assert desk.slots.take(refreshed, Lane.NORMAL, SECOND) is not None
    assert desk.slots.take(refreshed, Lane.NORMAL, SECOND) is None
