"""What the slots make of the server's own counter; each rule of it by the example that needs it."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goedgepickt_async.budget.slots import FAR, Lane, Rules, Slots, nanoseconds
from tests.support.throttles import SECOND

HOLD = 61 * SECOND
LONG = 1000 * SECOND


class Desk:
    """Slots with the time in seconds, and requests that take a second unless a test says otherwise."""

    def __init__(self, limit: int = 100, **rules: float) -> None:
        self.slots = Slots(Rules(limit=limit, **rules))  # type: ignore[arg-type]

    def try_take(self, at: float, life: float = 30.0) -> int | None:
        return self.slots.take(nanoseconds(at), Lane.INTERACTIVE, nanoseconds(life))

    def take(self, at: float, life: float = 30.0) -> int:
        slot = self.try_take(at, life)
        assert slot is not None
        return slot

    def answer(self, slot: int, at: float, count: int | None) -> None:
        self.slots.answered(slot, nanoseconds(at), count)

    def exchange(self, sent: float, answered: float, count: int | None) -> None:
        self.answer(self.take(sent), answered, count)

    def free(self, at: float) -> int:
        return self.slots.free(nanoseconds(at))

    def how_many_go(self, at: float) -> int:
        """How many requests may leave at one moment; they are given back."""
        taken = []
        while (slot := self.try_take(at)) is not None:
            taken.append(slot)
        for slot in taken:
            self.slots.give_back(slot)
        return len(taken)


def test_the_counter_bounds_what_may_go() -> None:
    desk = Desk(use_server_counter=True)
    desk.exchange(0, 1, 1)
    assert desk.free(1) == 99
    desk.exchange(2, 3, 60)
    assert desk.free(3) == 100 - 60 - 2


def test_what_is_under_way_or_lost_of_late_may_still_be_counted() -> None:
    desk = Desk(late=30)
    desk.exchange(0, 1, 60)
    lost, under_way = desk.take(2), desk.take(2)
    assert desk.free(2) == 38 - 2
    desk.slots.lost(lost, 3 * SECOND)
    assert desk.free(32.9) == 38 - 2
    assert desk.free(33) == 38 - 1
    desk.answer(under_way, 34, 61)
    assert desk.free(34) == 37


def test_without_the_counter_switched_on_it_is_not_obeyed() -> None:
    desk = Desk(use_server_counter=False)
    assert desk.how_many_go(0) == 100
    desk.exchange(0, 1, 99)
    assert desk.free(1) == 99
    assert not desk.slots.strangers_seen(SECOND)


def test_an_answer_that_overlaps_the_newest_request_still_counts() -> None:
    """Its counter may be the later one, though it was sent earlier."""
    desk = Desk()
    desk.exchange(0, 1, 10)
    early, late = desk.take(2), desk.take(3)
    desk.answer(early, 4, 30)
    desk.answer(late, 5, 20)
    assert desk.free(5) == 100 - 30 - 2


def test_an_answer_at_the_very_instant_of_the_newest_sending_overlaps_it() -> None:
    desk = Desk()
    desk.exchange(0, 1, 10)
    early = desk.take(2)
    desk.answer(early, 4, 30)
    desk.exchange(4, 5, 20)
    assert desk.free(5) == 100 - 30 - 2


def test_an_answer_to_a_request_sent_before_the_newest_one_does_not_undo_it() -> None:
    """What the newest sending superseded stays superseded, in whatever order the answers come."""
    desk = Desk()
    desk.exchange(0, 1, 10)
    slow = desk.take(2)
    desk.exchange(3, 4, 12)
    desk.exchange(5, 6, 14)
    desk.answer(slow, 7, 13)
    assert desk.free(7) == 100 - 14 - 2


def test_a_request_sent_after_an_answer_supersedes_it() -> None:
    desk = Desk()
    desk.exchange(0, 1, 40)
    desk.exchange(60, 60.5, 3)
    assert desk.free(60.5) == 100 - 3 - 2


def test_a_counter_that_falls_begins_a_new_window() -> None:
    """The end of the old window would let the new one's counter be forgotten too early."""
    desk = Desk()
    desk.exchange(0, 1, 40)
    desk.exchange(60, 60.5, 30)
    assert desk.free(62) == 100 - 30 - 2
    assert desk.free(60.5 + 60.9) == 100 - 30 - 2
    assert desk.free(60.5 + 61) == 100


def test_a_counter_that_rises_leaves_the_end_of_its_window_where_it_was() -> None:
    desk = Desk()
    desk.exchange(0, 1, 40)
    desk.exchange(50, 51, 45)
    assert desk.free(61.9) == 100 - 45 - 2
    assert desk.free(62) == 100 - 1


def test_a_counter_of_zero_begins_no_window_so_none_ends() -> None:
    """The window ended while the controller ran: the next one has not begun, and calls for no probe at its end."""
    desk = Desk()
    desk.exchange(0, 1, 40)
    desk.exchange(60, 61.5, 0)
    assert desk.free(61.5) == 100 - 2
    assert desk.slots.strangers_seen(200 * SECOND)
    assert desk.how_many_go(200) == 98


def test_the_window_after_a_counter_of_zero_ends_a_window_after_its_first_answer() -> None:
    desk = Desk()
    desk.exchange(0, 1, 40)
    desk.exchange(60, 61.5, 0)
    desk.exchange(100, 101, 30)
    assert desk.free(161.9) == 100 - 30 - 2
    assert desk.free(162) == 100


def test_with_a_window_all_is_forgotten_that_was_known_of_it() -> None:
    desk = Desk()
    desk.exchange(0, 0.1, 1)
    slow = desk.take(0.5)
    desk.exchange(0.5, 1, 3)
    assert desk.free(61.1) == 100 - 2
    desk.answer(slow, 70, 1)
    assert desk.free(70) == 100 - 1


def test_an_answer_without_the_counter_may_have_been_counted() -> None:
    desk = Desk()
    desk.exchange(0, 1, 40)
    desk.exchange(2, 3, None)
    assert desk.free(3) == 100 - 41 - 2


def test_an_answer_without_the_counter_counts_until_a_newer_request_is_answered() -> None:
    desk = Desk()
    desk.exchange(0, 1, 40)
    overlapping = desk.take(2)
    desk.exchange(2, 4, None)
    desk.answer(overlapping, 5, 40)
    assert desk.free(5) == 100 - 41 - 2
    desk.exchange(6, 7, 40)
    assert desk.free(7) == 100 - 40 - 2


def test_an_answer_without_the_counter_may_have_begun_a_window() -> None:
    desk = Desk()
    desk.exchange(0, 1, 0)
    desk.exchange(10, 11, None)
    assert desk.free(71.9) == 99
    assert desk.free(72) == 100


def test_an_answer_without_the_counter_tells_nothing_while_nothing_is_known() -> None:
    desk = Desk(use_server_counter=False)
    desk.exchange(0, 1, None)
    assert desk.free(1) == 99
    assert desk.free(62) == 100


# -- cold: nothing is known --------------------------------------------------------------------------------------


def test_on_a_cold_start_one_request_goes_alone_and_its_answer_opens_the_rest() -> None:
    desk = Desk(window=600)
    probe = desk.take(0)
    assert desk.try_take(1) is None
    desk.answer(probe, 2, 1)
    assert desk.how_many_go(2) == 99


def test_a_probe_that_never_left_makes_room_for_another_at_once() -> None:
    desk = Desk(window=600)
    desk.slots.give_back(desk.take(0))
    assert desk.try_take(0) is not None
    assert desk.try_take(0) is None


def test_a_server_that_never_tells_its_counter_is_believed_after_three_answers() -> None:
    desk = Desk(window=600)
    for at in (0, 1, 2):
        probe = desk.take(at)
        assert desk.try_take(at) is None
        desk.answer(probe, at + 0.5, None)
    assert desk.how_many_go(3) == 97


def test_an_answer_with_the_counter_ends_the_count_of_those_without() -> None:
    desk = Desk(window=600)
    desk.exchange(0, 0.5, None)
    desk.exchange(1, 1.5, None)
    desk.exchange(2, 2.5, 3)
    desk.slots.throttled(3 * SECOND, SECOND)
    desk.exchange(4, 4.5, None)
    assert desk.how_many_go(5) == 1


def test_while_nothing_is_known_requests_that_are_not_answered_go_twenty_to_a_window() -> None:
    desk = Desk(limit=150, window=60)
    taken = [at / 10 for at in range(600) if desk.try_take(at / 10, life=1000) is not None]
    assert taken == [3.0 * number for number in range(20)]


def test_after_a_429_an_answer_to_what_was_sent_before_it_opens_nothing() -> None:
    desk = Desk(window=600)
    desk.exchange(0, 1, 1)
    refused, under_way = desk.take(2), desk.take(2)
    desk.slots.refused(refused, 3 * SECOND, SECOND)
    desk.answer(under_way, 4, 5)
    assert desk.how_many_go(4) == 1
    probe = desk.take(4)
    assert desk.try_take(5) is None
    desk.answer(probe, 6, 7)
    assert desk.how_many_go(6) == 100 - 7 - 2


def test_what_is_sent_at_the_very_instant_of_forgetting_tells() -> None:
    desk = Desk(window=600)
    desk.exchange(0, 1, 1)
    desk.slots.throttled(2 * SECOND, 0)
    desk.exchange(2, 3, 7)
    assert desk.how_many_go(3) == 100 - 7 - 2


def test_a_429_makes_all_forgotten_that_was_known_of_the_window() -> None:
    """The server's refusal proved it wrong; a counter at the limit would hold the probe up for a window."""
    desk = Desk()
    desk.exchange(0, 1, 99)
    assert desk.try_take(2) is None
    desk.slots.throttled(2 * SECOND, SECOND)
    assert desk.how_many_go(3) == 1


def test_after_a_pause_nobody_waits_for_a_probe_from_before_it() -> None:
    desk = Desk(window=600)
    desk.take(0)
    assert desk.try_take(1) is None
    desk.slots.throttled(SECOND, SECOND)
    assert desk.how_many_go(2) == 1


# -- strangers ---------------------------------------------------------------------------------------------------


def test_a_counter_within_our_own_slots_is_no_stranger() -> None:
    desk = Desk()
    desk.exchange(0, 1, 1)
    under_way = desk.take(2)
    desk.exchange(2, 3, 3)
    assert not desk.slots.strangers_seen(3 * SECOND)
    desk.answer(under_way, 4, 4)
    assert desk.slots.strangers_seen(4 * SECOND)


def test_while_strangers_are_about_each_window_begins_with_one_request_alone() -> None:
    desk = Desk(window=60)
    desk.exchange(0, 1, 40)
    assert desk.how_many_go(61.9) == 58
    assert desk.how_many_go(62) == 1
    probe = desk.take(62)
    assert desk.try_take(62.5) is None
    desk.answer(probe, 63, 9)
    assert desk.how_many_go(63) == 100 - 9 - 2


def test_an_answer_that_crosses_the_end_of_a_window_tells_nothing_of_the_next_while_strangers_are_about() -> None:
    desk = Desk(window=60)
    desk.exchange(0, 1, 40)
    desk.exchange(50, 62, 45)
    assert desk.how_many_go(62) == 1


def test_while_no_strangers_are_about_a_new_window_begins_without_a_probe() -> None:
    desk = Desk(window=60)
    desk.exchange(0, 1, 1)
    assert desk.how_many_go(62) == 100


def test_strangers_are_reckoned_with_for_five_windows() -> None:
    desk = Desk()
    desk.exchange(0, 1, 40)
    assert desk.slots.strangers_seen(SECOND + 5 * HOLD - 1)
    assert not desk.slots.strangers_seen(SECOND + 5 * HOLD)
    desk.exchange(1 + 5 * 61, 1 + 5 * 61 + 1, 1)
    assert desk.free(1 + 5 * 61 + 1) == 99


@pytest.mark.parametrize(("limit", "margin"), [(100, 2), (19, 1), (9, 0)])
def test_the_margin_for_strangers_is_two_and_a_tenth_of_the_limit_at_most(limit: int, margin: int) -> None:
    desk = Desk(limit)
    desk.exchange(0, 1, 4)
    assert desk.free(1) == limit - 4 - margin


@pytest.mark.parametrize(
    ("limit", "margins"), [(100, [2, 4, 8, 16, 16]), (20, [2, 4, 8, 10, 10]), (5, [2, 2, 2, 2, 2])]
)
def test_each_429_doubles_the_margin_up_to_sixteen_or_half_the_limit(limit: int, margins: list[int]) -> None:
    desk = Desk(limit, window=6)
    seen = []
    for turn in range(5):
        desk.slots.refused(desk.take(turn * 10), turn * 10 * SECOND, SECOND)
        desk.exchange(turn * 10 + 1, turn * 10 + 2, 1)
        seen.append(limit - 1 - desk.free(turn * 10 + 2))
    assert seen == margins
    assert desk.slots.throttled_count == 5


def test_the_margin_of_a_429_ends_with_the_strangers() -> None:
    desk = Desk()
    desk.slots.throttled(0, SECOND)
    desk.exchange(5 * 61 - 1, 5 * 61, 1)
    assert desk.free(5 * 61) == 99


def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    desk = Desk()
    desk.slots.throttled(0, 10 * SECOND)
    desk.slots.throttled(SECOND, SECOND)
    assert desk.slots.paused_until(9 * SECOND) == 10 * SECOND
    assert desk.slots.paused_until(10 * SECOND) is None
    assert desk.try_take(9.9) is None
    assert desk.try_take(10) is not None


def test_a_refused_request_is_not_counted() -> None:
    desk = Desk()
    desk.exchange(0, 1, 1)
    desk.slots.refused(desk.take(2), 3 * SECOND, SECOND)
    assert desk.slots.used(3 * SECOND) == 1


# -- when to look again ------------------------------------------------------------------------------------------


def test_when_the_servers_count_is_full_the_end_of_its_window_is_waited_for_even_if_our_own_slots_are_free() -> None:
    """The answer came later than the attempt was to live, as on a machine that slept: its slot is free sooner."""
    desk = Desk(5, window=10, late=0)
    slot = desk.take(0, life=1)
    desk.answer(slot, 5, 5)
    assert desk.slots.used(12 * SECOND) == 0
    assert desk.try_take(12) is None
    assert desk.slots.next_change(12 * SECOND) == 16 * SECOND
    assert desk.try_take(16) is not None


def test_the_moment_from_which_a_lost_request_cannot_be_counted_any_more_is_waited_for() -> None:
    desk = Desk(5, window=60, late=30)
    desk.exchange(0, 1, 4)
    desk.slots.lost(desk.take(2), 3 * SECOND)
    assert desk.try_take(4) is None
    assert desk.slots.next_change(4 * SECOND) == 33 * SECOND
    assert desk.try_take(33) is not None


@pytest.mark.parametrize("at", [62, 64.5])
def test_whatever_is_asked_first_after_a_while_knows_the_time(at: float) -> None:
    """Nothing moves by itself: each question makes the time pass."""

    def desk() -> Desk:
        made = Desk(2, window=60, late=0, use_server_counter=False)
        made.exchange(0, 1, None)
        made.answer(made.take(2, life=1), 4, None)
        return made

    now = nanoseconds(at)
    assert desk().slots.next_change(now) == (FAR if at > 64 else 64 * SECOND)
    assert desk().slots.used(now) == desk().slots.in_flight(now) + (0 if at > 64 else 1)
    assert desk().slots.predicted_wait(now, 0) == 0
    assert desk().free(at) == (2 if at > 64 else 1)
    holder_died = Desk(2, window=60, late=0, use_server_counter=False)
    holder_died.take(0, life=1)
    assert holder_died.slots.in_flight(now) == 0


def test_where_nothing_is_held_nothing_is_waited_for() -> None:
    assert Desk().slots.next_change(0) == FAR


def test_the_predicted_wait_reaches_to_the_end_of_a_window_that_strangers_filled() -> None:
    desk = Desk(100)
    desk.exchange(0, 1, 90)
    assert desk.slots.predicted_wait(2 * SECOND, 7) == 0
    assert desk.slots.predicted_wait(2 * SECOND, 8) == HOLD - SECOND


@given(pause=st.integers(1, 1000), at=st.integers(0, 1000))
def test_the_predicted_wait_reaches_to_the_end_of_a_pause(pause: int, at: int) -> None:
    desk = Desk()
    desk.slots.throttled(0, pause * SECOND)
    assert desk.slots.predicted_wait(at * SECOND, 0) == max(0, pause - at) * SECOND


@pytest.mark.parametrize(("headroom", "limit", "left"), [(3, 100, 3), (10, 100, 10), (10, 50, 5), (10, 9, 0)])
def test_the_headroom_is_what_was_asked_for_and_a_tenth_of_the_limit_at_most(
    headroom: int, limit: int, left: int
) -> None:
    slots = Slots(Rules(limit=limit, headroom=headroom, use_server_counter=False))
    taken = [slots.take(0, Lane.BULK, SECOND) for _ in range(limit)]
    assert taken.count(None) == left


# -- after a fork ------------------------------------------------------------------------------------------------


def test_what_a_parent_has_in_flight_stays_taken_in_the_child_for_its_longest_life() -> None:
    desk = Desk(100, window=60, late=30)
    desk.exchange(0, 1, 1)
    slot = desk.take(2, life=10)
    desk.slots.orphan_all(3 * SECOND)
    assert (desk.slots.in_flight(3 * SECOND), desk.slots.used(3 * SECOND)) == (0, 2)
    desk.answer(slot, 4, 2)  # the parent's answer, should it come here: it is none of ours
    longest = (2 + 10 + 30 + 61) * SECOND
    assert desk.slots.used(longest - 1) == 1
    assert desk.slots.used(longest) == 0


def test_a_child_begins_cold() -> None:
    desk = Desk(100)
    desk.exchange(0, 1, 1)
    desk.slots.orphan_all(2 * SECOND)
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
    slot = desk.take(0, life=1)
    assert desk.slots.used(LONG) == 0
    settle(desk.slots, slot)
    settle(desk.slots, 12345)
    assert desk.slots.used(LONG) == 0
    assert not desk.slots.strangers_seen(LONG)
