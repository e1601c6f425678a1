"""What the slots do before the first response, after a 429, and with foreign traffic."""

import copy
from collections.abc import Iterable

from goedgepickt_async.budget.slots import Lane, LimiterConfig, Slots, nanoseconds
from tests.support.desk import Desk
from tests.support.tables import each_row
from tests.support.throttles import SECOND

HOLD = 61 * SECOND
SHARED, UNSURE = 3, 6
"""The margin of a limit of 100: with foreign traffic, and while it is unknown whether there is any."""


# -- cold: nothing is known --------------------------------------------------------------------------------------


def test_on_a_cold_start_the_response_to_one_request_frees_the_other_slots() -> None:
    desk = Desk(window=600)
    probe = desk.take(0)
    assert desk.try_take(1) is None
    desk.answer(probe, 2, 1)
    assert desk.how_many_go(2) == 99


def test_a_probe_that_was_never_sent_makes_room_for_another_immediately() -> None:
    desk = Desk(window=600)
    desk.slots.give_back(desk.take(0))
    assert desk.try_take(0) is not None
    assert desk.try_take(0) is None


def test_after_three_responses_without_the_counter_all_slots_are_usable() -> None:
    desk = Desk(window=600)
    for at in (0, 1, 2):
        probe = desk.take(at)
        assert desk.try_take(at) is None
        desk.answer(probe, at + 0.5, None)
    assert desk.how_many_go(3) == 97


def test_a_response_with_the_counter_resets_the_count_of_responses_without_it() -> None:
    desk = Desk(window=600)
    desk.exchange(0, 0.5, None)
    desk.exchange(1, 1.5, None)
    desk.exchange(2, 2.5, 3)
    desk.slots.throttled(3 * SECOND, SECOND)
    desk.exchange(4, 4.5, None)
    assert desk.how_many_go(5) == 1


def test_on_a_cold_start_without_responses_twenty_requests_go_in_a_window() -> None:
    desk = Desk(limit=150, window=60)
    taken = [at / 10 for at in range(600) if desk.try_take(at / 10, max_lifetime=1000) is not None]
    assert taken == [3.0 * number for number in range(20)]


def test_after_a_429_the_response_to_an_earlier_request_does_not_replace_the_probe() -> None:
    desk = Desk(window=600)
    desk.exchange(0, 1, 1)
    refused, under_way = desk.take(2), desk.take(2)
    desk.slots.give_back(refused)
    desk.slots.throttled(3 * SECOND, SECOND)
    desk.answer(under_way, 4, 5)
    assert desk.how_many_go(4) == 1
    probe = desk.take(4)
    assert desk.try_take(5) is None
    desk.answer(probe, 6, 7)
    assert desk.how_many_go(6) == 100 - 7 - SHARED


def test_the_response_to_a_request_sent_at_the_instant_of_a_429_is_used() -> None:
    desk = Desk(window=600)
    desk.exchange(0, 1, 1)
    desk.slots.throttled(2 * SECOND, 0)
    desk.exchange(2, 3, 7)
    assert desk.how_many_go(3) == 100 - 7 - SHARED


def test_a_429_discards_what_is_known_of_the_window() -> None:
    """The refusal proves the counter wrong. A counter at the limit would delay the probe by a window."""
    desk = Desk()
    desk.exchange(0, 1, 99)
    assert desk.try_take(2) is None
    desk.slots.throttled(2 * SECOND, SECOND)
    assert desk.how_many_go(3) == 1


def test_after_a_pause_no_request_waits_for_an_earlier_probe() -> None:
    desk = Desk(window=600)
    desk.take(0)
    assert desk.try_take(1) is None
    desk.slots.throttled(SECOND, SECOND)
    assert desk.how_many_go(2) == 1


# -- no foreign traffic, or not known yet -------------------------------------------------------------------------


def with_foreign_traffic(count: int = 40, **options: float) -> Desk:
    """A desk whose first request started the server's window, and that received this count at 1 s."""
    desk = Desk(**options)  # type: ignore[arg-type]
    desk.exchange(0, 0.5, 1)
    desk.exchange(0.5, 1, count)
    return desk


def warm_but_unsure() -> Desk:
    """A desk whose fourth response is the first with the counter. Others may have started that window."""
    desk = Desk(window=60)
    for at in (0.1, 0.2, 0.3):
        desk.exchange(at, at, None)
    desk.exchange(0.4, 1, 4)
    return desk


def burst(desk: Desk, at: float, counted: int = 0) -> int:
    """Send what may go at one moment. The counter in each response contains no foreign traffic."""
    sent = 0
    while (slot := desk.try_take(at)) is not None:
        sent += 1
        desk.answer(slot, at, counted + sent)
    return counted + sent


def test_before_foreign_traffic_would_show_a_burst_leaves_the_last_slots_free() -> None:
    desk = warm_but_unsure()
    assert burst(desk, 1, 4) == 100 - UNSURE
    assert desk.slots.next_change(SECOND) == 11 * SECOND
    assert desk.how_many_go(10.9) == 0
    assert desk.try_take(11) is not None
    assert desk.try_take(11) is None


def test_a_budget_that_saw_no_foreign_traffic_uses_every_slot_for_five_windows() -> None:
    desk = warm_but_unsure()
    sent = burst(desk, 1, 4)
    desk.exchange(11, 12, sent + 1)
    assert burst(desk, 12, sent + 1) == 100
    desk.exchange(79, 79.5, 1)
    assert desk.how_many_go(80) == 99
    assert desk.how_many_go(12 + 5 * 61 - 1) == 100
    slow = desk.take(400)
    desk.exchange(400, 400, 2)
    assert desk.how_many_go(400) == 100 - 2 - 1 - UNSURE
    desk.answer(slow, 401, 2)


def test_a_budget_that_started_the_servers_window_uses_every_slot() -> None:
    desk = Desk(window=60)
    assert burst(desk, 1) == 100


def test_a_counter_above_our_responses_restores_the_margin_before_it_proves_foreign_traffic() -> None:
    desk = Desk(window=60)
    desk.exchange(0, 1, 1)
    desk.take(13)
    desk.exchange(13, 14, 3)
    assert not desk.slots.foreign_traffic(14 * SECOND)
    assert desk.free(14) == 100 - 3 - 1 - SHARED


def test_foreign_traffic_in_the_response_after_a_burst_keeps_the_margin() -> None:
    desk = warm_but_unsure()
    sent = burst(desk, 1, 4)
    desk.exchange(11, 12, sent + 2)
    assert desk.how_many_go(12) == 100 - (sent + 2) - SHARED


# -- a new state ---------------------------------------------------------------------------------------------------


def test_a_new_state_keeps_the_margin_in_its_first_window_and_reports_no_foreign_traffic() -> None:
    """The counted requests may come from an earlier run, or from processes that shared a lost state."""
    desk = Desk(window=60)
    desk.exchange(0, 1, 40)
    assert desk.free(1) == desk.free(40) == 100 - 40 - UNSURE
    desk.exchange(50, 51, 41 + UNSURE)
    assert not desk.slots.foreign_traffic(51 * SECOND)
    desk.exchange(62, 63, 1)
    assert desk.free(63) == 100 - 2


def test_a_new_state_of_a_known_fixed_window_reports_no_requests_of_an_earlier_run() -> None:
    desk = Desk(window=60)
    desk.slots._fixed_until = 99 * SECOND
    desk.exchange(0, 1, 40)
    assert not desk.slots.foreign_traffic(SECOND)


def test_a_new_state_reports_a_counter_that_rises_by_more_than_its_requests() -> None:
    desk = Desk(window=60)
    desk.exchange(0, 1, 40)
    desk.exchange(2, 3, 42 + UNSURE)
    assert desk.slots.foreign_traffic(3 * SECOND)


def test_a_new_state_reports_foreign_traffic_from_the_third_window_on() -> None:
    """A limit that rolls may count the requests of an earlier run for two windows. There is a margin meanwhile."""
    desk = Desk(window=60)
    desk.exchange(0, 1, 40)
    assert desk.how_many_go(62) == 1
    desk.exchange(62, 63, 9)
    assert not desk.slots.foreign_traffic(63 * SECOND)
    assert desk.how_many_go(63) == 100 - 9 - SHARED
    assert desk.how_many_go(124) == 1
    desk.exchange(124, 125, 9)
    assert desk.slots.foreign_traffic(125 * SECOND)


def test_a_new_state_spreads_what_the_server_allows_until_it_sees_the_end_of_the_window() -> None:
    """The requests of a lost state are in the counter. When their window began is not known."""
    desk = Desk(window=60)
    desk.exchange(0, 1, 95)
    sent, at = [], 1.0
    while (at := desk.slots.next_change(nanoseconds(at)) / SECOND) < 50:
        if (slot := desk.try_take(at)) is not None:
            sent.append(round(at))
            assert desk.try_take(at + 9) is None
            desk.answer(slot, at, 95 + len(sent))
    assert sent == [11, 21, 31, 42]
    desk.exchange(52, 52, 1)
    assert desk.how_many_go(53) == 100 - 6


def test_a_new_state_that_began_the_window_reports_foreign_traffic_in_it() -> None:
    assert with_foreign_traffic().slots.foreign_traffic(SECOND)


# -- foreign traffic ---------------------------------------------------------------------------------------------


def test_a_counter_up_to_our_own_slots_is_no_foreign_traffic() -> None:
    desk = Desk()
    desk.exchange(0, 1, 1)
    under_way = desk.take(2)
    desk.exchange(2, 3, 3)
    assert not desk.slots.foreign_traffic(3 * SECOND)
    desk.answer(under_way, 4, 4)
    assert desk.slots.foreign_traffic(4 * SECOND)


def test_with_foreign_traffic_each_window_starts_with_one_request_alone() -> None:
    desk = with_foreign_traffic()
    assert desk.how_many_go(1) == 100 - 40 - SHARED
    assert desk.how_many_go(62) == 1
    probe = desk.take(62)
    assert desk.try_take(62.5) is None
    desk.answer(probe, 63, 9)
    assert desk.how_many_go(63) == 100 - 9 - SHARED


def test_with_foreign_traffic_a_response_to_the_last_window_does_not_open_the_next_one() -> None:
    desk = with_foreign_traffic()
    desk.exchange(50, 62, 45)
    assert desk.how_many_go(62) == 1


def test_a_counter_above_our_requests_in_the_servers_window_proves_foreign_traffic() -> None:
    """In steady work all slots cool down all the time, and the counter is at most their number."""
    desk = Desk(window=60)
    for second in range(50):
        desk.exchange(second, second + 0.1, second + 1)
    for second in range(60, 70):
        desk.exchange(second, second + 0.1, second - 59)
    assert not desk.slots.foreign_traffic(70 * SECOND)
    desk.exchange(70, 70.1, 11 + 3)
    assert desk.slots.used(71 * SECOND) > 14
    assert desk.slots.foreign_traffic(71 * SECOND)


def test_a_late_response_from_the_window_before_proves_no_foreign_traffic() -> None:
    desk = Desk(window=60)
    for second in range(58):
        desk.exchange(second, second + 0.1, second + 1)
    late = desk.take(59.8)
    desk.exchange(59.9, 60.4, 1)
    desk.exchange(60.5, 60.6, 2)
    desk.answer(late, 60.7, 59)
    assert not desk.slots.foreign_traffic(61 * SECOND)


def test_with_foreign_traffic_the_free_slots_decrease_with_the_age_of_the_counter() -> None:
    """The other programs are expected to send as much as the server allows, up to two fifths of the limit."""
    desk = with_foreign_traffic()
    assert desk.free(1) == 60 - SHARED
    assert desk.free(1 + 6.1) == 60 - SHARED - 10
    assert desk.free(1 + 55) == 60 - SHARED - 40
    desk.exchange(56, 57, 42)
    assert desk.free(57) == 58 - SHARED


def test_windows_start_with_one_request_alone_until_four_in_a_row_have_restarted() -> None:
    desk = Desk(window=60)
    for start in (0, 62, 124, 186, 248):
        assert desk.how_many_go(start) == 1
        assert burst(desk, start) == 100
    assert desk.how_many_go(310) == 100


def test_a_new_window_with_a_high_counter_from_our_own_requests_is_no_foreign_traffic() -> None:
    desk = Desk(window=60)
    burst(desk, 0)
    desk.exchange(62, 62.1, 98)
    assert not desk.slots.foreign_traffic(63 * SECOND)
    assert desk.how_many_go(63) == 1


@each_row(
    ("before", "at", "count", "is_fixed"),
    [
        (range(1, 60), 61.9, 1, True),  # in the next window, without a pause
        (range(1, 60), 62.2, 1, True),  # the time of the window is over
        (range(1, 60), 61.9, 57, False),
        (
            [1 + number / 100 for number in range(60)],
            21,
            28,
            False,
        ),  # a bucket loses 33 in 20 seconds, and a sliding window nothing
        ([1 + number / 100 for number in range(60)], 21, 18, True),
    ],
)
def test_a_counter_that_falls_faster_than_a_bucket_proves_a_fixed_window(
    before: Iterable[float], at: float, count: int, is_fixed: bool
) -> None:
    desk = Desk(100, window=60)
    for number, second in enumerate(before, 1):
        desk.exchange(second, second + 0.001, number)
    rolling = copy.deepcopy(desk)
    desk.exchange(at, at + 0.1, count)
    assert (desk.slots._fixed_until > nanoseconds(at)) is is_fixed
    rolling.slots._counter.forget()  # with a limit that rolls, a counter that is not known proves nothing
    rolling.slots._counter.rolling_until = nanoseconds(99)
    rolling.exchange(at, at + 0.1, count)
    assert rolling.slots._fixed_until < 0


def test_foreign_traffic_is_expected_for_five_windows() -> None:
    desk = with_foreign_traffic()
    assert desk.slots.foreign_traffic(SECOND + 5 * HOLD - 1)
    assert not desk.slots.foreign_traffic(SECOND + 5 * HOLD)
    desk.exchange(1 + 5 * 61, 1 + 5 * 61 + 1, 1)
    assert desk.free(1 + 5 * 61 + 1) == 99


@each_row(("limit", "margin"), [(100, 3), (29, 2), (19, 1), (9, 0)])
def test_the_margin_for_foreign_traffic_is_at_most_three_and_a_tenth_of_the_limit(limit: int, margin: int) -> None:
    desk = with_foreign_traffic(6, limit=limit)
    assert desk.free(1) == limit - 6 - margin


@each_row(("limit", "margins"), [(100, [2, 4, 8, 16, 16]), (20, [2, 4, 8, 10, 10]), (5, [2, 2, 2, 2, 2])])
def test_each_429_doubles_the_margin_up_to_sixteen_or_half_the_limit(limit: int, margins: list[int]) -> None:
    desk = Desk(limit, window=6)
    seen = []
    for turn in range(5):
        desk.slots.give_back(desk.take(turn * 10))
        desk.slots.throttled(turn * 10 * SECOND, SECOND)
        desk.exchange(turn * 10 + 1, turn * 10 + 2, 1)
        seen.append(limit - 1 - desk.free(turn * 10 + 2))
    assert seen == margins
    assert desk.slots.throttled_count == 5


def test_the_margin_of_a_429_ends_after_five_windows() -> None:
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
    desk.slots.give_back(desk.take(2))
    desk.slots.throttled(3 * SECOND, SECOND)
    assert desk.slots.used(3 * SECOND) == 1


@each_row(("others", "answered", "free"), [((), 122.4, 3), ((122.35,), 122.4, 2), ((121.5,), 121.9, 1)])
def test_a_late_response_with_the_count_of_the_window_before_does_not_block_the_new_one(
    others: tuple[float, ...], answered: float, free: int
) -> None:
    slots = Slots(LimiterConfig())

    def take(at: float) -> int:
        slot = slots.take(nanoseconds(at), Lane.INTERACTIVE, 30 * SECOND)
        assert slot is not None
        return slot

    def send(at: float, count: int) -> None:
        slots.answered(take(at), nanoseconds(at + 0.03), count)

    for window in (0, 61.2):
        send(window, 1)
        for number in range(146):
            send(window + 40.5 + number / 20, number + 2)
    late = take(121.1)  # the window of the server ends at 121.2
    for at in others:
        send(at, 1)
    now = nanoseconds(answered)
    slots.answered(late, now, 148)
    assert slots.free(now) == free
    assert not slots.foreign_traffic(now)
