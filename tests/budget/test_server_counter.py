"""How the slots use the server's counter: an example for each rule."""

from goedgepickt_async.budget.config import FAR
from goedgepickt_async.budget.server_counter import ServerCounter
from tests.support.desk import Desk
from tests.support.tables import each_row
from tests.support.throttles import SECOND


def test_the_counter_is_the_number_of_counted_requests() -> None:
    desk = Desk(use_server_counter=True)
    desk.exchange(0, 1, 1)
    assert desk.counted(1) == 1
    desk.exchange(2, 3, 60)
    assert desk.counted(3) == 60


def test_requests_in_flight_or_recently_lost_may_still_be_counted() -> None:
    desk = Desk(late_arrival=30)
    desk.exchange(0, 1, 60)
    lost, under_way = desk.take(2), desk.take(2)
    assert desk.counted(2) == 62
    desk.slots.lost(lost, 3 * SECOND)
    assert desk.counted(32.9) == 62
    assert desk.counted(33) == 61
    desk.answer(under_way, 34, 61)
    assert desk.counted(34) == 61


def test_a_counter_that_is_switched_off_is_ignored() -> None:
    desk = Desk(use_server_counter=False)
    assert desk.how_many_go(0) == 100
    desk.exchange(0, 1, 99)
    assert desk.free(1) == 99
    assert not desk.slots.foreign_traffic(SECOND)


def test_a_response_that_overlaps_the_newest_request_still_counts() -> None:
    """Its counter may be newer, although its request was sent earlier."""
    desk = Desk()
    desk.exchange(0, 1, 10)
    early, late = desk.take(2), desk.take(3)
    desk.answer(early, 4, 30)
    desk.answer(late, 5, 20)
    assert desk.counted(5) == 30


def test_a_response_at_the_instant_of_the_newest_request_overlaps_it() -> None:
    desk = Desk()
    desk.exchange(0, 1, 10)
    early = desk.take(2)
    desk.answer(early, 4, 30)
    desk.exchange(4, 5, 20)
    assert desk.counted(5) == 30


def test_a_response_to_an_older_request_does_not_replace_the_newest_counter() -> None:
    """A counter that a newer request replaced stays replaced, in any order of the responses."""
    desk = Desk()
    desk.exchange(0, 1, 10)
    slow = desk.take(2)
    desk.exchange(3, 4, 12)
    desk.exchange(5, 6, 14)
    desk.answer(slow, 7, 13)
    assert desk.counted(7) == 14


def test_a_request_sent_after_a_response_supersedes_it() -> None:
    desk = Desk()
    desk.exchange(0, 1, 40)
    desk.exchange(60, 60.5, 3)
    assert desk.counted(60.5) == 3


def test_a_counter_that_falls_starts_a_new_window() -> None:
    """The end of the old window would discard the new window's counter too early."""
    desk = Desk()
    desk.exchange(0, 1, 40)
    desk.exchange(60, 60.5, 30)
    assert desk.counted(62) == 30
    assert desk.counted(60.5 + 60.9) == 30
    assert desk.counted(60.5 + 61) is None


def test_a_counter_that_rises_does_not_move_the_end_of_its_window() -> None:
    desk = Desk()
    desk.exchange(0, 1, 40)
    desk.exchange(50, 51, 45)
    assert desk.counted(61.9) == 45
    assert desk.counted(62) is None


def test_a_counter_of_zero_starts_no_window() -> None:
    """The window ended while the server handled the request. The next one has not started: it needs no probe."""
    desk = Desk()
    desk.exchange(0, 0.5, 1)
    desk.exchange(0.5, 1, 40)
    desk.exchange(60, 61.4, 0)
    assert desk.counted(61.4) == 0
    assert desk.slots.foreign_traffic(200 * SECOND)
    assert desk.how_many_go(200) > 1


def test_after_a_counter_of_zero_a_window_starts_with_the_first_higher_counter() -> None:
    desk = Desk()
    desk.exchange(0, 1, 40)
    desk.exchange(60, 61.5, 0)
    desk.exchange(100, 101, 30)
    assert desk.counted(161.9) == 30
    assert desk.counted(162) is None


def test_the_end_of_a_window_discards_what_is_known_of_it() -> None:
    desk = Desk()
    desk.exchange(0, 0.1, 1)
    slow = desk.take(0.5)
    desk.exchange(0.5, 1, 3)
    assert desk.counted(61.1) is None
    desk.answer(slow, 70, 1)  # it may have been counted in either window
    assert desk.counted(70) is None
    desk.exchange(71, 72, 2)
    assert desk.counted(72) == 2


def test_a_response_without_the_counter_may_have_been_counted() -> None:
    desk = Desk()
    desk.exchange(0, 1, 40)
    desk.exchange(2, 3, None)
    assert desk.counted(3) == 41


def test_a_response_without_the_counter_counts_until_a_newer_request_is_answered() -> None:
    desk = Desk()
    desk.exchange(0, 1, 40)
    overlapping = desk.take(2)
    desk.exchange(2, 4, None)
    desk.answer(overlapping, 5, 40)
    assert desk.counted(5) == 41
    desk.exchange(6, 7, 40)
    assert desk.counted(7) == 40


def test_a_response_without_the_counter_may_have_started_a_window() -> None:
    desk = Desk()
    desk.exchange(0, 1, 0)
    desk.exchange(10, 11, None)
    assert desk.counted(71.9) == 1
    assert desk.counted(72) is None


def test_without_any_counter_a_response_takes_only_its_own_slot() -> None:
    desk = Desk(use_server_counter=False)
    desk.exchange(0, 1, None)
    assert desk.free(1) == 99
    assert desk.free(62) == 100


def counter_after(*answers: tuple[float, float, int]) -> ServerCounter:
    """A counter with a cooldown of 60 s that observed responses: the times of request and response, and the number."""
    counter = ServerCounter(60 * SECOND)
    for sent, answered, number in answers:
        counter.observe(round(sent * SECOND), round(answered * SECOND), number)
    return counter


def test_two_falls_within_half_a_cooldown_prove_a_rolling_limit_for_twenty_cooldowns() -> None:
    counter = counter_after((0, 1, 10), (2, 3, 9), (4, 32.999, 8))
    assert counter.rolling_until > (33 * SECOND)
    assert (round((32.999 + 1200) * SECOND) - 1) < counter.rolling_until
    assert not (round((32.999 + 1200) * SECOND)) < counter.rolling_until


def test_falls_half_a_cooldown_apart_prove_nothing() -> None:
    assert counter_after((0, 1, 10), (2, 3, 9), (4, 33, 8)).rolling_until == -FAR


def test_with_a_rolling_limit_each_response_moves_the_end_of_what_is_known() -> None:
    falling = ((0, 1, 10), (2, 3, 9), (4, 5, 8))
    assert counter_after(*falling, (6, 7, 9)).ends == 67 * SECOND
    assert counter_after((0, 1, 8), (6, 7, 9)).ends == 61 * SECOND


def test_an_equal_counter_is_no_fall() -> None:
    counter = counter_after((0, 1, 10), (2, 3, 10))
    assert counter.began == counter.fell_at == -FAR
    assert counter.ends == counter_after((0, 1, 10)).ends


def test_all_instants_of_a_new_counter_are_long_ago() -> None:
    counter = ServerCounter(60 * SECOND)
    assert {counter.since, counter.began, counter.told_at, counter.fell_at, counter.rolling_until} == {-FAR}


def test_a_response_without_the_counter_does_not_show_when_a_window_started() -> None:
    counter = counter_after((0, 1, 10))
    counter.unseen(3 * SECOND)
    counter.observe(4 * SECOND, 5 * SECOND, 3)
    assert (counter.began, counter.since) == (0, 5 * SECOND)


def test_a_second_response_to_requests_of_the_same_instant_does_not_move_the_window() -> None:
    counter = counter_after((5, 6, 0), (5, 8, 0))
    assert (counter.began, counter.since) == (5 * SECOND, 6 * SECOND)


def test_a_fall_proves_that_the_window_started_after_the_last_request_of_the_old_one() -> None:
    counter = counter_after((0, 2, 40), (1, 3, 41), (50, 51, 30))
    assert (counter.began, counter.since, counter.fell_at) == (SECOND, 51 * SECOND, 51 * SECOND)


@each_row("answers", [(), ((0, 1, 0),), ((0, 1, 1),), ((0, 1, 10), (2, 3, 9), (4, 5, 8))])
def test_a_loaded_counter_equals_the_dumped_one(answers: tuple[tuple[float, float, int], ...]) -> None:
    counter, other = counter_after(*answers), ServerCounter(60 * SECOND)
    other.load(counter.dump(), counter.overlapping)
    assert vars(other) == vars(counter)
