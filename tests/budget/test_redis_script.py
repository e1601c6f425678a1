"""The Lua text against the pure slots, on the same histories; and what only the Lua text has."""

import itertools
import random
from collections.abc import Iterator
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goedgepickt_async.budget.redis.picture import Picture, read_picture
from goedgepickt_async.budget.redis.script import BODY, SCRIPT, SHA, key_names
from goedgepickt_async.budget.redis.store import Operation, microseconds, script_header
from goedgepickt_async.budget.slots import FAR, Lane, LimiterConfig, Slots, nanoseconds
from tests.support.redis_server import RedisServer, needs_redis, redis_server

pytestmark = needs_redis

redis = pytest.importorskip("redis", reason="the extra `redis` is not installed")

TEST_CLOCK = "local function clock() return tonumber(table.remove(ARGV)) end\n"
START = 1_700_000_000_000_000
MICRO = 1_000
SECOND = 1_000_000
names = itertools.count()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: RedisServer) -> Iterator[Any]:
    with redis.Redis.from_url(server.url) as connected:
        yield connected


class Script:
    """A budget of its own in Redis, whose clock a test moves (in microseconds)."""

    def __init__(self, client: Any, config: LimiterConfig) -> None:
        self.keys = key_names(f"test-{next(names)}")
        self._client = client
        self._header = script_header(config)
        self.now = START

    def run(self, *operations: Operation, known: str = "", newborn: str = "era:1") -> Picture:
        steps = [argument for operation in operations for argument in operation.arguments]
        arguments = (*self.keys, known, newborn, *self._header, *steps, self.now)
        reply = self._client.execute_command("EVAL", TEST_CLOCK + BODY, len(self.keys), *arguments)
        return read_picture(reply, self.now * MICRO)

    def take(self, member: str, lane: Lane = Lane.INTERACTIVE, max_lifetime: float = 5) -> bool:
        return bool(self.run(Operation.take(member, lane, nanoseconds(max_lifetime))).granted)


def config(**changes: Any) -> LimiterConfig:
    values: dict[str, Any] = {"limit": 5, "window": 10.0, "safety_margin": 1.0, "late_arrival": 3.0, "headroom": 0}
    return LimiterConfig(**(values | changes))


# -- the same as the pure slots -------------------------------------------------------------------------------------


@attrs.frozen
class Step:
    gap: int
    act: str
    which: int
    lane: Lane
    count: int | None


steps = st.lists(
    st.builds(
        Step,
        gap=st.one_of(st.integers(0, 10), st.integers(0, 4 * SECOND), st.integers(0, 30 * SECOND)),
        act=st.sampled_from(["take"] * 5 + ["answered"] * 4 + ["lost", "back", "refused", "throttled"]),
        which=st.integers(0, 9),
        lane=st.sampled_from(Lane),
        count=st.one_of(st.none(), st.integers(0, 30)),
    ),
    min_size=5,
    max_size=70,
)
budgets = st.sampled_from(
    [
        config(),
        config(use_server_counter=False),
        config(limit=20, headroom=2, interactive_interval=1.0),
        config(limit=20, headroom=10, interactive_interval=5.0, safety_margin=0.0, late_arrival=0.0),
    ]
)


class Both:
    """One history, told to the pure slots and to Redis."""

    def __init__(self, client: Any, config: LimiterConfig) -> None:
        self.slots = Slots(config)
        self.script = Script(client, config)
        self.held: list[tuple[int, str]] = []
        self._rules = config
        self._taken = 0

    @property
    def now(self) -> int:
        return self.script.now * MICRO

    def do(self, step: Step) -> None:
        self.script.now += step.gap
        if step.act == "take":
            self._take(step.lane)
        elif step.act == "throttled":
            self.slots.throttled(self.now, 7 * SECOND * MICRO)
            self.script.run(Operation("throttled", a=7 * SECOND))
        elif self.held:
            self._settle(step, *self.held.pop(step.which % len(self.held)))
        self.compare()

    def _take(self, lane: Lane) -> None:
        self._taken += 1
        member = f"n:{self._taken}"
        slot = self.slots.take(self.now, lane, nanoseconds(5))
        assert self.script.take(member, lane) == (slot is not None)
        if slot is not None:
            self.held.append((slot, member))

    def _settle(self, step: Step, slot: int, member: str) -> None:
        match step.act:
            case "answered":
                self.slots.answered(slot, self.now, step.count)
                self.script.run(Operation("answered", member, -1 if step.count is None else step.count))
            case "lost":
                self.slots.lost(slot, self.now)
                self.script.run(Operation("lost", member))
            case "back":
                self.slots.give_back(slot)
                self.script.run(Operation("back", member))
            case _:
                self.slots.refused(slot, self.now, 2 * SECOND * MICRO)
                self.script.run(Operation("refused", member, 2 * SECOND))

    def compare(self) -> None:
        now, slots = self.now, self.slots
        # An unknown era grants nothing, and then Redis tells when each row comes free.
        seen = self.script.run(known="another era")
        assert (seen.free, seen.used, seen.in_flight) == (slots.free(now), slots.used(now), slots.in_flight(now))
        assert seen.next_change == slots.next_change(now)
        assert (seen.paused_until if seen.paused_until > now else None) == slots.paused_until(now)
        assert seen.strangers == slots.foreign_traffic(now)
        assert seen.throttled == slots.throttled_count
        for ahead in (0, 3, 12, 47):
            for lane in Lane:
                assert seen.predicted_wait(now, ahead, lane, self._rules) == slots.predicted_wait(now, ahead, lane)


@settings(max_examples=60)
@given(history=steps, config=budgets)
def test_the_script_and_the_pure_slots_agree_on_every_history(
    client: Any, history: list[Step], config: LimiterConfig
) -> None:
    both = Both(client, config)
    for step in history:
        both.do(step)


def test_they_agree_on_long_and_busy_histories_too(client: Any) -> None:
    draw = random.Random(7)
    for changes in ({"limit": 30, "headroom": 3}, {"limit": 30, "safety_margin": 0.0, "interactive_interval": 3.0}):
        both = Both(client, config(**changes))
        for _ in range(500):
            act = draw.choice(["take"] * 8 + ["answered"] * 7 + ["lost", "back"] + ["refused"] * (draw.random() < 0.1))
            count = draw.choice([None, len(both.held), draw.randint(0, 30)])
            both.do(Step(draw.randint(0, SECOND), act, draw.randint(0, 9), draw.choice(list(Lane)), count))


# -- what only Redis has --------------------------------------------------------------------------------------------


def test_several_operations_in_one_call_are_done_in_their_order_and_takes_stop_at_the_first_that_must_wait(
    client: Any,
) -> None:
    script = Script(client, config(limit=2, use_server_counter=False))
    asked = [Operation.take(f"n:{number}", Lane.NORMAL, SECOND * MICRO) for number in range(4)]
    assert script.run(*asked).granted == 2
    assert script.run(Operation("back", "n:0"), *asked[2:]).granted == 1


def test_a_take_that_is_asked_twice_is_one_row(client: Any) -> None:
    script = Script(client, config(limit=1, use_server_counter=False))
    assert script.take("n:1")
    assert script.take("n:1")
    assert not script.take("n:2")
    assert script.run().used == 1


def test_settling_twice_changes_nothing(client: Any) -> None:
    script = Script(client, config(use_server_counter=False))
    script.take("n:1")
    script.run(Operation("lost", "n:1"))
    before = client.zscore(script.keys[0], "n:1")
    script.run(Operation("answered", "n:1", -1), Operation("back", "n:1"))
    assert client.zscore(script.keys[0], "n:1") == before == START + 14 * SECOND


def test_instants_are_exact_to_the_microsecond(client: Any) -> None:
    script = Script(client, config(limit=1, use_server_counter=False))
    script.now += 123_457
    script.take("n:1")
    script.run(Operation("answered", "n:1", -1))
    script.now += 11 * SECOND - 1
    assert not script.take("n:2")
    script.now += 1
    assert script.take("n:2")


def test_a_clock_that_is_set_back_costs_nobody_a_longer_wait_and_frees_nothing_early(client: Any) -> None:
    script = Script(client, config(limit=1, use_server_counter=False))
    script.take("n:1")
    script.run(Operation("answered", "n:1", -1))
    script.now += 4 * SECOND
    assert not script.take("n:2")
    script.now -= 3600 * SECOND
    assert not script.take("n:2")
    script.now += 7 * SECOND - 1
    assert not script.take("n:2")
    script.now += 1
    assert script.take("n:2")


def test_who_remembers_another_era_is_granted_nothing(client: Any) -> None:
    script = Script(client, config(use_server_counter=False))
    assert script.run(newborn="era:1").era == "era:1"
    take = Operation.take("n:1", Lane.NORMAL, SECOND)
    assert script.run(take, known="era:0").granted == 0
    assert script.run(take, known="era:1", newborn="era:2").granted == 1


def test_a_row_that_is_carried_over_cools_as_long_as_it_would_have(client: Any) -> None:
    script = Script(client, config(limit=2, use_server_counter=False))
    seen = script.run(Operation("carry", "o:1", 3 * SECOND, -1), Operation("carry", "o:2", 9 * SECOND, SECOND))
    assert (seen.free, seen.in_flight) == (0, 1)
    script.now += 3 * SECOND
    assert script.take("n:1")
    script.run(Operation("answered", "o:2", -1))
    assert client.zscore(script.keys[0], "o:2") == START + 9 * SECOND


def test_a_row_that_redis_still_has_is_never_moved_later_by_being_carried_over(client: Any) -> None:
    script = Script(client, config(use_server_counter=False))
    script.take("n:1")
    script.run(Operation("answered", "n:1", -1))
    script.run(Operation("carry", "n:1", 60 * SECOND, -1))
    assert client.zscore(script.keys[0], "n:1") == START + 11 * SECOND
    script.run(Operation("carry", "n:1", 2 * SECOND, -1))
    assert client.zscore(script.keys[0], "n:1") == START + 2 * SECOND


def test_after_rows_were_carried_over_one_request_goes_alone(client: Any) -> None:
    script = Script(client, config())
    script.take("n:1")
    script.run(Operation("answered", "n:1", 1))
    script.now += SECOND
    script.run(Operation("carry", "o:1", 5 * SECOND, -1))
    assert script.take("n:2")
    assert not script.take("n:3")


def test_every_key_expires_after_its_last_row_is_free(client: Any) -> None:
    script = Script(client, config())
    script.take("n:1")
    script.run(Operation("answered", "n:1", 1))
    script.take("n:2", max_lifetime=30)
    left = {key: client.pttl(key) for key in script.keys}
    assert all(44_000 < milliseconds < 70_000 for milliseconds in left.values()), left


def test_all_keys_are_in_one_slot_of_a_cluster() -> None:
    assert {name[: name.index("}")] for name in key_names("warehouse")} == {"{warehouse"}


def test_redis_runs_the_script_on_its_own_clock_by_the_name_it_gives_it(client: Any) -> None:
    loaded = client.script_load(SCRIPT)
    assert (loaded if isinstance(loaded, str) else loaded.decode()) == SHA
    script = Script(client, config())
    seconds, micros = client.time()
    client.evalsha(SHA, len(script.keys), *script.keys, "", "era", *script_header(config()))
    noted = int(client.hget(script.keys[3], "now"))
    assert 0 <= noted - (seconds * SECOND + micros) < 10 * SECOND


def test_durations_are_rounded_up() -> None:
    assert (microseconds(1), microseconds(1_000), microseconds(1_001), FAR > 1 << 53) == (1, 1, 2, True)
