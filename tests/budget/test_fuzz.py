"""Random jobs against the four servers: never refused, never stuck. `GOEDGEPICKT_FUZZ=20` plays twenty times as many."""

import attrs
import pytest

from goedgepickt_async.budget.slots import Lane, LimiterConfig, Slots
from tests.support.fuzz import FLAVOURS, Job, Tally, depth, play

pytestmark = pytest.mark.slow

ALONE = {
    "by our own slots only": Job(counter=False, lost=0.1, never_sent=0.05),
    "with the counter": Job(lost=0.05, never_sent=0.05, headerless=0.05),
    "half of the answers without the counter": Job(lost=0.1, headerless=0.5),
    "no answer with the counter": Job(lost=0.05, headerless=1.0),
    "one at a time": Job(limit=1, requests=12, concurrency=3, lost=0.05, never_sent=0.1),
    "the real numbers": Job(
        limit=150,
        window=60,
        late_arrival=30,
        requests=400,
        concurrency=50,
        latency=(0.05, 1.5),
        lost=0.01,
        never_sent=0.01,
    ),
}
"""Jobs without foreign traffic."""

REAL = Job(limit=150, window=60, late_arrival=30, requests=1000, concurrency=10, latency=(0.05, 0.5))
RESTARTS = Job(limit=20, late_arrival=0, requests=120, concurrency=10, latency=(0.001, 0.45), restarts=0.1)


def played(job: Job, flavour: str, seeds: int) -> list[Tally]:
    return [play(job, flavour, seed) for seed in depth(seeds)]


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("name", ALONE)
def test_without_foreign_traffic_no_request_is_refused_and_every_job_ends(name: str, flavour: str) -> None:
    job = ALONE[name]
    tallies = played(job, flavour, 1 if job.limit == 150 else 4)
    assert sum(tally.refusals for tally in tallies) == 0


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_job_of_a_thousand_requests_takes_little_more_than_the_shortest_possible_time(flavour: str) -> None:
    bound = (REAL.requests - 1) // REAL.limit * REAL.window
    for tally in played(REAL, flavour, 1):
        assert bound <= tally.ended <= bound * 61.5 / 60 + 3


@pytest.mark.parametrize("headerless", [0.0, 0.1])
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_start_without_a_stored_state_causes_at_most_one_refusal(flavour: str, headerless: float) -> None:
    tallies = played(attrs.evolve(RESTARTS, headerless=headerless), flavour, 4)
    assert sum(tally.cold_starts for tally in tallies) > len(tallies)
    assert all(tally.refusals <= tally.cold_starts for tally in tallies)


@pytest.mark.parametrize("lane", [Lane.INTERACTIVE, Lane.NORMAL])
@pytest.mark.parametrize("concurrency", [1, 10, 50])
def test_foreign_traffic_of_thirty_requests_a_minute_causes_no_refusal(concurrency: int, lane: Lane) -> None:
    job = attrs.evolve(REAL, foreign=30, before=20, requests=300, concurrency=concurrency, lane=lane)
    assert sum(tally.refusals for tally in played(job, "redis", 2)) == 0


@pytest.mark.parametrize("concurrency", [1, 10, 50])
def test_with_sixty_foreign_requests_a_minute_fewer_than_one_job_in_ten_is_refused(concurrency: int) -> None:
    """Foreign requests that arrive during our own round trip are unknown. A margin is left for them."""
    tallies = played(attrs.evolve(REAL, foreign=60, before=20, requests=300, concurrency=concurrency), "redis", 11)
    assert sum(tally.refusals > 0 for tally in tallies) < len(tallies) / 10


@pytest.mark.parametrize("foreign", [30, 60])
def test_foreign_traffic_that_starts_with_our_job_causes_fewer_than_one_refusal_in_ten_jobs(foreign: int) -> None:
    """No response has shown it when a burst takes the last slots. The next job takes it into account."""
    tallies = played(attrs.evolve(REAL, foreign=foreign, requests=300), "redis", 12)
    assert max(tally.refusals for tally in tallies) <= 1
    assert sum(tally.refusals for tally in tallies) < len(tallies) / 10


@pytest.mark.parametrize("flavour", ["redis", "memcached"])
def test_foreign_traffic_in_bursts_of_thirty_causes_at_most_two_refusals_a_job_on_average(flavour: str) -> None:
    tallies = played(attrs.evolve(REAL, foreign=36, clump=30), flavour, 3)
    assert sum(tally.refusals for tally in tallies) <= 2 * len(tallies)


def test_control_without_the_counter_foreign_traffic_causes_many_refusals() -> None:
    tallies = played(attrs.evolve(REAL, foreign=30, counter=False), "redis", 2)
    assert sum(tally.refusals for tally in tallies) > 5 * len(tallies)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_every_job_ends_with_all_faults_and_foreign_traffic_together(flavour: str) -> None:
    everything = Job(
        limit=20,
        late_arrival=1,
        requests=150,
        concurrency=8,
        latency=(0.01, 3),
        restarts=0.1,
        foreign=8,
        lost=0.05,
        never_sent=0.05,
        headerless=0.1,
    )
    crowded = Job(limit=5, late_arrival=1, requests=15, concurrency=8, latency=(0.01, 3), foreign=30)
    for job in (everything, crowded):
        for tally in played(job, flavour, 3):
            assert tally.ended > 0


class FreedAfterSending(Slots):
    """The wrong way: a slot becomes free a window after it was taken, not after the response."""

    def take(self, now: int, lane: Lane, max_lifetime: int, slot: int | None = None) -> int | None:
        slot = super().take(now, lane, max_lifetime, slot)
        if slot is not None:
            self.rows.move_earlier(slot, now + self._cooldown)
        return slot


def without_guard(config: LimiterConfig) -> Slots:
    return Slots(attrs.evolve(config, safety_margin=-0.5))


def with_half_a_guard(config: LimiterConfig) -> Slots:
    return Slots(attrs.evolve(config, safety_margin=0.5))


@pytest.mark.parametrize(
    ("job", "flavour"),
    [
        (Job(counter=False, make=FreedAfterSending), "redis"),
        (Job(counter=False, make=without_guard), "redis"),
        (Job(counter=False, make=with_half_a_guard, latency=(0.001, 0.1)), "memcached"),
    ],
)
def test_negative_control_the_fuzz_finds_a_wrong_implementation(job: Job, flavour: str) -> None:
    assert sum(play(job, flavour, seed).refusals > 0 for seed in range(40)) > 3
