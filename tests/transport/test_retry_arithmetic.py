"""When a call is repeated, and how often: the pause after a failure and the quota, without a server."""

from hypothesis import given
from hypothesis import strategies as st

from goedgepickt_async import RetryPolicy
from goedgepickt_async._transport.pipeline import RetryQuota, backoff
from tests.support.tables import each_row


@each_row(("failures", "longest"), [(1, 0.5), (2, 1.0), (3, 2.0), (6, 16.0), (7, 20.0), (5000, 20.0)])
def test_the_longest_pause_doubles_up_to_the_cap(failures: int, longest: float) -> None:
    policy = RetryPolicy(base=0.5, cap=20.0)
    assert backoff(policy, failures, 1.0) == longest
    assert backoff(policy, failures, 0.25) == longest / 4
    assert backoff(policy, failures, 0.0) == 0.0


def test_a_pause_stops_doubling_after_thirty_failures() -> None:
    policy = RetryPolicy(base=0.001, cap=86_400.0 * 365)
    assert backoff(policy, 31, 1.0) == backoff(policy, 32, 1.0) == backoff(policy, 10**6, 1.0) == 0.001 * 2**30


@given(failures=st.integers(1, 10**6), chance=st.floats(0, 1, exclude_max=True), base=st.integers(0, 10))
def test_a_pause_is_a_float_within_the_cap(failures: int, chance: float, base: int) -> None:
    pause = backoff(RetryPolicy(base=base, cap=30), failures, chance)
    assert isinstance(pause, float)
    assert 0.0 <= pause <= 30.0


def test_a_quota_is_spent_by_retries_and_earned_by_ten_successes_each() -> None:
    quota = RetryQuota(2)
    assert [quota.spend() for _ in range(4)] == [True, True, False, False]
    for _ in range(9):
        quota.earn()
    assert not quota.spend()
    quota.earn()
    quota.earn()
    assert [quota.spend(), quota.spend()] == [True, False]


def test_successes_earn_no_more_than_the_size_of_the_quota() -> None:
    quota = RetryQuota(3)
    for _ in range(100):
        quota.earn()
    assert [quota.spend() for _ in range(4)] == [True, True, True, False]


def test_a_quota_of_none_allows_no_retry() -> None:
    assert not RetryQuota(0).spend()
