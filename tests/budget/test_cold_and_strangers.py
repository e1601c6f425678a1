"""What the slots do while nothing is known of the server, after a 429, and while strangers are on the same IP."""

import pytest

from tests.support.desk import Desk
from tests.support.throttles import SECOND

HOLD = 61 * SECOND


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
