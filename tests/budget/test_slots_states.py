"""The slots in exact numbers: the state after each call, the bytes of it, and the order of the sharing processes."""

import struct
import zlib
from array import array
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goedgepickt_async.budget.encoding import (
    HEADER,
    StateError,
    StateVersionError,
    length_of,
    sequence_of,
    unseal,
)
from goedgepickt_async.budget.protocol import Answered, ForeignTrafficDetected
from goedgepickt_async.budget.server_counter import ExpiryIndex
from goedgepickt_async.budget.slots import (
    FAR,
    Demand,
    Lane,
    LimiterConfig,
    Slots,
)
from goedgepickt_async.budget.store import Plan, settle_operation
from tests.support.tables import each_row
from tests.support.throttles import SECOND

ROWS_ONLY = LimiterConfig(
    limit=10, window=10, safety_margin=1, late_arrival=3, headroom=2, interactive_interval=1, use_server_counter=False
)
"""Ten slots with a cooldown of 11 seconds; two of them are left for interactive calls."""
WITH_COUNTER = attrs.evolve(ROWS_ONLY, limit=60, share=60, window=60, headroom=0, use_server_counter=True)
HOLD = 11
SCALARS = [
    "at",
    "clock",
    "written_at",
    "apart_until",
    "throttled_count",
    "_paused_until",
    "_shared_until",
    "_announced_until",
    "_fixed_until",
    "_alone_until",
    "_margin",
    "_cold",
    "_cold_since",
    "_probe",
    "_probe_until",
    "_silent",
    "_gone",
    "_gone_before",
    "_gone_since",
    "_fresh_starts",
]


def ns(seconds: float) -> int:
    return int(seconds) if abs(seconds) == FAR else round(seconds * SECOND)


def used_until(config: LimiterConfig, *seconds: float) -> Slots:
    """Slots whose requests have their responses; each becomes free at one of these times."""
    slots = Slots(config)
    slots.absorb({number: ns(free_at) for number, free_at in enumerate(seconds, start=1)})
    return slots


def state_of(slots: Slots) -> dict[str, Any]:
    """All that is stored of the slots."""
    counter = slots._counter
    stored = {name: getattr(slots, name) for name in ("epoch", "sequence", "turns", "sharers", "_sent", *SCALARS)}
    return stored | {"rows": dict(slots.rows.free_at), "told": (counter.dump(), list(counter.overlapping))}


# -- the index of times -------------------------------------------------------------------------------------------

numbers, times = st.integers(-1, 6), st.integers(-3, 9)
changes = st.lists(
    st.one_of(
        st.tuples(st.just("add"), numbers, times),
        st.tuples(st.just("move_earlier"), numbers, times),
        st.tuples(st.just("remove"), numbers),
        st.tuples(st.just("drop_free"), times),
    ),
    max_size=30,
)


@given(done=changes)
def test_the_index_of_times_holds_what_a_sorted_dictionary_holds(done: list[tuple[Any, ...]]) -> None:
    index, model = ExpiryIndex(), dict[int, int]()
    for name, *values in done:
        if name == "add" and values[0] in model:
            continue
        result = getattr(index, name)(*values)
        match name:
            case "add":
                model[values[0]] = values[1]
            case "move_earlier":
                model |= {values[0]: min(model[values[0]], values[1])} if values[0] in model else {}
            case "remove":
                assert result == model.pop(values[0], None)
            case _:
                assert list(result) == sorted(at for at in model.values() if at <= values[0])
                model = {slot: at for slot, at in model.items() if at > values[0]}
        ordered = sorted(model.values())
        assert (dict(index.free_at), list(index.instants), len(index)) == (model, ordered, len(model))
        assert [index.nth_free_at(n) for n in range(8)] == [*ordered, *[FAR] * 8][:8]
        assert [index.free_by(at) for at in range(-4, 11)] == [sum(x <= at for x in ordered) for at in range(-4, 11)]
        again = ExpiryIndex()
        again.load(bytes(index.instants) + bytes(index.slots))
        assert (again.free_at, list(again.instants), again.slots) == (model, ordered, index.slots)


def test_an_index_with_one_slot_in_two_rows_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^a slot is in it twice$"):
        ExpiryIndex().load(array("q", [5, 6, 1, 1]).tobytes())


# -- a new state, and its bytes -----------------------------------------------------------------------------------


@each_row("counter", [True, False])
def test_a_new_state_knows_nothing_and_is_cold_only_with_the_servers_counter(counter: bool) -> None:
    slots = Slots(attrs.evolve(ROWS_ONLY, use_server_counter=counter))
    never = dict.fromkeys([*SCALARS[5:10], "at", "_cold_since", "_probe_until", "_gone_since"], -FAR)
    nothing = dict.fromkeys(SCALARS, 0) | never | {"_probe": -1, "_cold": int(counter), "epoch": slots.epoch}
    told: tuple[list[int], list[Any]] = ([-FAR, -1, FAR, -FAR, -FAR, -FAR, -FAR, -FAR], [])
    assert state_of(slots) == nothing | {
        "sequence": 0, "turns": [0, 0, 0], "sharers": {}, "_sent": {}, "rows": {}, "told": told,
    }  # fmt: skip
    assert (slots.sharer, slots.is_cold()) == (0, counter)
    assert all(type(value) is int for value in map(state_of(slots).get, SCALARS))


def test_new_states_have_epochs_of_62_bits_that_differ() -> None:
    epochs = {Slots(ROWS_ONLY).epoch for _ in range(64)}
    assert len(epochs) == 64
    assert 1 << 54 < max(epochs) < 1 << 62


def full_state(sharer: int = 7) -> Slots:
    """A state in which each value is another one."""
    slots = Slots(WITH_COUNTER, sharer)
    slots.epoch, slots.sequence = 0x0102030405060708, 0x1112131415161718
    for number, name in enumerate(SCALARS, start=101):
        setattr(slots, name, number)
    slots.turns = [31, 32, 33]
    slots.absorb({5: ns(70), 6: ns(70), 9: ns(75), 4 << 32 | 2: ns(80)})
    slots._sent = {5: 501, 9: 502}
    slots._counter.load([201, 202, 203, 204, 205, 206, 207, 208], [(301, 302, 303), (304, 305, 306)])
    slots.sharers = {7: Demand(41, 42, (43, 44, 45), (46, 47, 48), (49, 50, 51)), 8: Demand(61, 62)}
    return slots


def body_of(data: bytes) -> list[int]:
    return [value for (value,) in struct.iter_unpack("<q", data[HEADER:])]


def sealed(body: Iterable[int], *, magic: bytes = b"GGB\0", version: int = 3, tail: bytes = b"") -> bytes:
    """Bytes with a right length and checksum; also with wrong values. Written without the code under test."""
    packed = b"".join(struct.pack("<q", value) for value in body) + tail
    bare = struct.pack("<4sHHQQII", magic, version, 0, 1, 2, len(packed), 0)
    checksum = zlib.crc32(bare, zlib.crc32(packed))
    return bare[:-4] + struct.pack("<I", checksum) + packed


def test_the_bytes_of_a_state_have_the_format_that_other_processes_read() -> None:
    data = full_state().encode()
    head = struct.unpack_from("<4sHHQQI", data)
    assert head == (b"GGB\0", 3, 0, 0x0102030405060708, 0x1112131415161718, len(data) - 32)
    assert HEADER == 32
    rows = [ns(70), ns(70), ns(75), ns(80), 5, 6, 9, 4 << 32 | 2]
    sharers = [7, 42, 41, *range(43, 52), 8, 62, 61, *[0] * 9]
    assert body_of(data) == [
        *(4, 2, 2, 2), *range(101, 121), 31, 32, 33, *range(201, 209), 5, 501, 9, 502, *range(301, 307), *sharers, *rows,
    ]  # fmt: skip


def test_a_state_is_the_same_after_its_bytes_and_later_bytes_do_not_count() -> None:
    slots = full_state()
    data = slots.encode()
    again = Slots.decode(data + b"later", WITH_COUNTER, 9)
    assert (state_of(again), again.sharer, again.config) == (state_of(slots), 9, WITH_COUNTER)
    assert Slots.decode(data, WITH_COUNTER).sharer == 0
    assert again.encode() == data
    assert isinstance(again.turns, list)
    assert [again.rows.nth_free_at(n) for n in range(5)] == [ns(70), ns(70), ns(75), ns(80), FAR]


def test_a_state_is_known_by_its_first_bytes() -> None:
    data = full_state().encode()
    assert (length_of(data), sequence_of(data)) == (len(data), 0x1112131415161718)
    assert (length_of(data[:32]), sequence_of(data[:32])) == (len(data), 0x1112131415161718)
    for other in (b"", data[:31], b"XXX\0" + data[4:]):
        assert (length_of(other), sequence_of(other)) == (0, 0)


@each_row(
    ("damage", "reason"),
    [
        (lambda data: b"", "it is too short"),
        (lambda data: data[:31], "it is too short"),
        (lambda data: data[:-1], "its checksum is wrong"),
        (lambda data: data[:32], "its checksum is wrong"),
        (lambda data: sealed([0] * 35, magic=b"GGX\0"), "its checksum is wrong"),
        (lambda data: sealed([0] * 34), r"it has values that are not valid (ValueError)"),
        (lambda data: sealed([0, 0, 0]), r"it has values that are not valid (error)"),
    ],
)
def test_damaged_bytes_are_refused_with_the_reason(damage: Callable[[bytes], bytes], reason: str) -> None:
    with pytest.raises(StateError) as raised:
        Slots.decode(damage(full_state().encode()), WITH_COUNTER)
    assert str(raised.value) == reason
    assert type(raised.value) is StateError


def test_each_changed_byte_of_a_state_is_noticed() -> None:
    data = full_state().encode()
    for place in range(len(data)):
        damaged = bytearray(data)
        damaged[place] ^= 0x10
        if place in {6, 7}:  # two bytes that have no use yet
            continue
        with pytest.raises(StateError):
            unseal(bytes(damaged))
    unseal(data)
    unseal(sealed([0] * 35))


@each_row("version", [2, 4])
def test_a_state_of_another_version_is_refused_with_both_numbers(version: int) -> None:
    with pytest.raises(StateVersionError) as raised:
        unseal(sealed([0] * 35, version=version))
    assert str(raised.value) == f"it has format {version}, and this version reads format 3"


@each_row(
    "counts",
    [
        (1, 0, 0, 0),
        (-1, 0, 0, 0),
        (0, 1, 0, 0),
        (0, 0, -1, 0),
        (0, 0, 0, 1),
        (-1, 1, 0, 0),
        (-6, 0, 0, 1),
        (0, 3, -2, 0),
    ],
)
def test_counts_that_do_not_fit_the_length_of_a_state_are_refused(counts: tuple[int, ...]) -> None:
    """Also negative ones that make up for others."""
    with pytest.raises(StateError, match="not valid"):
        Slots.decode(sealed([*counts, *[0] * 31]), WITH_COUNTER)
    with pytest.raises(ValueError, match=r"^its length is wrong$"):
        Slots(WITH_COUNTER)._load(sealed([*counts, *[0] * 31])[HEADER:])
    assert Slots.decode(sealed([0] * 35), WITH_COUNTER).rows.free_at == {}


def test_half_a_number_at_the_end_of_a_state_is_refused() -> None:
    with pytest.raises(StateError, match="not valid"):
        Slots.decode(sealed([0] * 35, tail=b"half"), WITH_COUNTER)


# -- when a slot becomes free -------------------------------------------------------------------------------------


def test_each_outcome_frees_its_slot_at_its_own_time() -> None:
    slots = Slots(ROWS_ONLY)
    taken = [slots.take(ns(1), Lane.INTERACTIVE, ns(5)) for _ in range(5)]
    assert taken == [1, 2, 3, 4, 5]
    assert slots.take(ns(1), Lane.INTERACTIVE, ns(5), slot=77) == 77
    assert slots.take(ns(1), Lane.INTERACTIVE, ns(5)) == 6
    slots.answered(1, ns(2))
    slots.lost(2, ns(2))
    slots.give_back(3)
    slots.lost(99, ns(2))
    slots.lower(99, ns(2))
    slots.lower(4, ns(8))
    slots.drop([5, 99])
    expected = {1: 2 + 11, 2: 2 + 3 + 11, 4: 8, 6: 1 + 5 + 3 + 11, 77: 1 + 5 + 3 + 11}
    assert slots.rows.free_at == {slot: ns(free_at) for slot, free_at in expected.items()}
    assert slots._sent == {6: ns(1), 77: ns(1)}
    assert (slots.in_flight(ns(2)), slots.used(ns(2)), slots.free(ns(2))) == (2, 5, 5)
    assert (slots.in_flight(ns(20)), slots.used(ns(20)), slots.free(ns(20))) == (0, 0, 10)


def test_a_slot_in_flight_becomes_free_at_the_earliest_a_cooldown_after_it_was_sent() -> None:
    slots = Slots(attrs.evolve(ROWS_ONLY, share=5, headroom=0))
    for _ in range(3):
        slots.take(0, Lane.INTERACTIVE, ns(30))
    slots.answered(2, ns(1))
    slots.lost(3, ns(2))

    def table(now: float, each: float) -> list[float]:
        """For the two free slots, the three used ones, and a call after all of them."""
        return [slots.nth_change(ns(now), ahead, ns(each)) / SECOND for ahead in (0, 1, 2, 3, 4, 9)]

    assert table(2, each=0) == [12, 12, 11, 12, 16, 16]
    assert table(2, each=1) == [12, 12, 11, 12, 16, 16]
    assert table(2, each=4) == [12, 12, 14, 18, 22, 22]
    assert table(2, each=20) == [12, 22, 62, 82, 102, 102]
    slots.reopen([3])  # it is not known when it was sent
    assert table(12, each=0) == [16, 16, 16, 12, 16, 16]
    assert slots.nth_change(ns(12), 3) == ns(12)
    assert table(12, each=3) == [16, 16, 18, 24, 27, 27]
    assert table(16, each=0) == [44, 44, 44, 44, 16, 16]
    assert [slots.nth_change(ns(44), ahead) for ahead in (0, 4, 5)] == [FAR] * 3
    slots.throttled(ns(44), ns(5))
    assert [slots.nth_change(ns(at), 0) for at in (44, 48.9)] == [ns(49), ns(49)]
    assert slots.nth_change(ns(49), 0) == FAR


def test_while_a_probe_is_out_all_others_wait_for_its_response_or_its_time() -> None:
    slots = Slots(WITH_COUNTER)
    assert slots.nth_change(0, 0) == FAR
    assert slots.take(0, Lane.INTERACTIVE, ns(30)) == 1
    assert [slots.nth_change(ns(1), ahead) for ahead in (0, 100)] == [ns(3), ns(3)]
    assert slots.can_take(ns(2.9), Lane.INTERACTIVE) is False
    assert slots.can_take(ns(3), Lane.INTERACTIVE) is True
    slots.answered(1, ns(1), 1)
    assert slots.can_take(ns(1), Lane.INTERACTIVE) is True
    assert slots.nth_change(ns(1), 0) == ns(11), "the window of 60 s is old enough to show foreign traffic"


@each_row(
    ("ahead", "interactive", "normal"),
    [
        (0, 0, 2.5),
        (1, 0, 3.5),
        (2, 3, 4.5),
        (3, 4, 5.5),
        (8, 9, 10.5),
        (9, 10, 11),
        (10, 11, 13.5),
        (11, 11, 14.5),
        (12, 14, 15.5),
    ],
)
def test_the_predicted_wait_follows_the_rows_and_then_whole_cooldowns(
    ahead: int, interactive: float, normal: float
) -> None:
    slots = used_until(ROWS_ONLY, *range(11, 19))
    assert slots.predicted_wait(ns(8), ahead) == ns(interactive)
    assert slots.predicted_wait(ns(8), ahead, Lane.NORMAL) == ns(normal)
    assert slots.predicted_wait(ns(8), ahead, Lane.BULK) == ns(normal)


def test_the_predicted_wait_of_other_lanes_is_zero_while_more_than_the_headroom_is_free() -> None:
    slots = used_until(ROWS_ONLY, *range(11, 16))
    assert [slots.predicted_wait(ns(8), ahead, Lane.NORMAL) / SECOND for ahead in range(6)] == [0, 0, 0, 2.5, 3.5, 4.5]
    slots.throttled(ns(8), ns(20))
    assert [slots.predicted_wait(ns(8), 0, lane) for lane in Lane] == [ns(20)] * 3


@each_row(
    ("config", "rows", "from_"),
    [
        (ROWS_ONLY, range(11, 19), 10.5),
        (ROWS_ONLY, range(11, 20), FAR),
        (ROWS_ONLY, range(11, 18), -FAR),
        (attrs.evolve(ROWS_ONLY, headroom=0), range(11, 21), 8),
        (attrs.evolve(ROWS_ONLY, limit=20, share=20, headroom=4), [11, 30, *[40] * 15], 30 - 2.5),
        (attrs.evolve(ROWS_ONLY, limit=20, share=20, headroom=4), [29, 30, *[40] * 15], 30 - 2.5),
        (attrs.evolve(ROWS_ONLY, limit=20, share=20, headroom=4), [30, 30, *[40] * 15], 30 - 1.5),
    ],
)
def test_other_lanes_have_room_when_what_is_left_lasts_until_more_becomes_free(
    config: LimiterConfig, rows: Iterable[float], from_: float
) -> None:
    slots = used_until(config, *rows)
    assert slots.room_from(ns(8)) == ns(from_)
    now = max(ns(from_), ns(8))
    assert slots.can_take(ns(8), Lane.NORMAL) == (from_ <= 8 and slots.free(ns(8)) > 0)
    assert now == FAR or slots.can_take(now, Lane.NORMAL) == (slots.free(now) > 0)


def test_nothing_may_be_taken_without_a_free_slot_or_in_a_pause() -> None:
    slots = used_until(ROWS_ONLY, *[20] * 10)
    assert [slots.can_take(ns(at), Lane.INTERACTIVE) for at in (19, 20)] == [False, True]
    slots.throttled(ns(20), ns(2))
    assert slots.throttled_count == 1
    assert slots._announced_until == slots._shared_until == ns(20 + 5 * HOLD)
    assert [slots.can_take(ns(at), Lane.INTERACTIVE) for at in (21, 22)] == [False, True]
    assert [slots.take(ns(at), Lane.INTERACTIVE, ns(1)) for at in (21.9, 22)] == [None, 1]


# -- rows of other states -----------------------------------------------------------------------------------------


def test_rows_of_another_state_are_added_if_they_are_missing_and_never_changed() -> None:
    slots = used_until(ROWS_ONLY, 20, 21)
    assert slots.absorb({2: ns(99), 3: ns(22), 4: ns(23)}) == 2
    assert slots.absorb({}) == 0
    assert slots.rows.free_at == {1: ns(20), 2: ns(21), 3: ns(22), 4: ns(23)}


def test_slots_of_a_lost_state_can_be_settled_again_after_they_are_reopened() -> None:
    slots = used_until(ROWS_ONLY, 20, 21)
    slots._sent[1] = ns(1)
    slots.reopen([1, 2, 3])
    assert slots._sent == {1: ns(1), 2: -FAR - 1}
    slots.lower(1, ns(12))
    slots.answered(2, ns(2))
    assert slots.rows.free_at == {1: ns(12), 2: ns(13)}
    assert slots._sent == {}


def test_a_response_from_before_the_start_of_a_state_says_nothing_of_the_servers_counter() -> None:
    slots = used_until(WITH_COUNTER, 90)
    slots._silent = slots._probe = 2
    slots.begin_cold(ns(1))
    assert (slots._silent, slots._probe, slots._cold_since) == (0, -1, ns(1))
    slots.reopen([1])
    slots.answered(1, ns(2), 44)
    assert slots.is_cold()
    assert slots._counter.highest is None


def test_a_fork_forgets_the_holders_but_keeps_their_slots_used() -> None:
    slots = Slots(WITH_COUNTER)
    slots.take(0, Lane.INTERACTIVE, ns(1))
    slots.answered(1, ns(1), 1)
    slots.take(ns(2), Lane.INTERACTIVE, ns(1))
    slots.detach_in_flight(ns(3))
    assert (slots.in_flight(ns(3)), slots.used(ns(3)), slots.is_cold(), slots._cold_since) == (0, 2, True, ns(3))
    assert slots._counter.highest is None


def test_slots_of_a_dead_holder_are_not_in_flight_when_their_time_is_over() -> None:
    slots = Slots(ROWS_ONLY)
    slots.take(0, Lane.INTERACTIVE, ns(1))
    slots.take(0, Lane.INTERACTIVE, ns(20))
    slots.absorb({50: ns(90), 51: ns(90)})
    assert [slots.in_flight(ns(at)) for at in (14.9, 15, 33.9, 34)] == [2, 1, 1, 0]
    assert slots._sent == {}


def test_freed_slots_are_counted_for_this_cooldown_and_the_one_before() -> None:
    slots = used_until(ROWS_ONLY, 1, 2, 3, 15, 16, 40)
    seen = []
    for at in (0, 1, 2.5, 11.9, 12, 13, 23, 24, 39, 40, 61, 62, 62.1):
        slots.used(ns(at))
        seen.append((at, slots._gone_before, slots._gone, slots._gone_since))
    never = -FAR
    assert seen == [
        (0, 0, 0, never),
        (1, 0, 1, ns(1)),
        (2.5, 0, 2, ns(1)),
        (11.9, 0, 3, ns(1)),
        (12, 3, 0, ns(12)),
        (13, 3, 0, ns(12)),
        (23, 0, 2, ns(23)),
        (24, 0, 2, ns(23)),
        (39, 2, 0, ns(39)),
        (40, 2, 1, ns(39)),
        (61, 0, 0, ns(61)),
        (62, 0, 0, ns(61)),
        (62.1, 0, 0, ns(61)),
    ]


# -- the server's counter -----------------------------------------------------------------------------------------


def told(config: LimiterConfig = WITH_COUNTER, *rows: float, at: float = 100, **values: int) -> Slots:
    """A warm state with this counter of the server at 100 s; `values` are of the state, or of the counter."""
    slots = used_until(config, *rows)
    slots._cold = 0
    slots._counter.told_at = ns(at)
    for name, value in values.items():
        setattr(slots if hasattr(slots, name) else slots._counter, name, value)
    return slots


def test_the_margin_and_the_doubt_end_exactly_at_their_time() -> None:
    slots = told(_margin=3, _shared_until=ns(150), ends=ns(150), highest=5, since=ns(90))
    assert (slots.used(ns(150) - 1), slots._margin, slots._counter.highest) == (0, 3, 5)
    assert slots._is_unsure(ns(150) - 1) is False
    assert (slots.used(ns(150)), slots._margin, slots._counter.highest, slots.is_cold()) == (0, 0, None, False)
    assert slots._is_unsure(ns(150)) is True
    alone = told(_alone_until=ns(150))
    assert [alone._is_unsure(ns(150) - 1), alone._is_unsure(ns(150))] == [False, True]


@each_row(("highest", "before", "after"), [(0, 59, 59), (1, 58, 59), (9, 50, 51), (10, 47, 50)])
def test_a_rolling_counter_may_have_fallen_by_one_a_fifteenth_of_a_window_later(
    highest: int, before: int, after: int
) -> None:
    slots = told(rolling_until=FAR, highest=highest, _gone=9, _gone_since=ns(90))
    assert [slots.free(ns(at)) for at in (100, 103.9, 104, 130)] == [before, before, after, after]


@each_row(
    ("gone", "count", "starts"),
    [((10, 20), 4, 3), ((20, 10), 4, 3), ((10, 19), 4, 0), ((30, 0), 5, 0), ((31, 0), 1, 3)],
)
@each_row("limit", [60, 61])
def test_a_low_counter_after_half_a_limit_of_requests_is_the_start_of_a_window(
    limit: int, gone: tuple[int, int], count: int, starts: int
) -> None:
    config = attrs.evolve(WITH_COUNTER, limit=limit)
    slots = told(config, _gone=gone[0], _gone_before=gone[1], _fresh_starts=2)
    slots._look_for_a_fixed_window(ns(200), ns(200), count, 0, first=False)
    assert slots._fresh_starts == 2
    slots._look_for_a_fixed_window(ns(200), ns(200), count, 0, first=True)
    assert slots._fresh_starts == starts
    assert slots._fixed_until == -FAR


@each_row(("count", "in_bucket", "is_fixed"), [(14, 18, True), (14, 17, False), (15, 90, False)])
def test_a_counter_below_what_any_rolling_limit_would_count_proves_a_fixed_window(
    count: int, in_bucket: int, is_fixed: bool
) -> None:
    """Responses at 48, 73 and 95 s are 5, 30 and 52 s from the end of their window; 3 s are for lateness."""
    answered = [*[40] * 20, 48, *[73] * 36, 95, *[99] * 9]
    config = attrs.evolve(WITH_COUNTER, limit=100, share=100)
    slots = told(config, *(at + 61 for at in answered), rolling_until=ns(500))
    slots._look_for_a_fixed_window(ns(98), ns(100), count, in_bucket, first=False)
    fixed = (ns(100 + 20 * 61), -FAR) if is_fixed else (-FAR, ns(500))
    assert (slots._fixed_until, slots._counter.rolling_until) == fixed


NOTHING, HIDDEN, PROVEN, ALONE, ROLLING = "nothing", "suspected", "announced", "alone", "rolling"


def concluded(slots: Slots, sent: int, count: int, *, first: bool = False) -> str:
    """What the slots conclude from a counter at 200 s."""
    now, rolling = ns(200), slots._counter.rolling_until
    slots._look_for_foreign_traffic(sent, now, count, first=first)
    later = now + 5 * 61 * SECOND
    if slots._counter.rolling_until != rolling:
        assert slots._counter.rolling_until == now + 20 * 61 * SECOND
        assert slots._shared_until == slots._announced_until == slots._alone_until == -FAR
        return ROLLING
    state = (slots._shared_until, slots._margin, slots._announced_until, slots._alone_until)
    return {
        (-FAR, 0, -FAR, -FAR): NOTHING,
        (later, 3, -FAR, -FAR): HIDDEN,
        (later, 3, later, -FAR): PROVEN,
        (-FAR, 0, -FAR, later): ALONE,
    }[state]


@each_row(
    ("values", "sent", "count", "conclusion"),
    [
        # The window is known to be fixed: four requests since its start, and two of known programs.
        ({"_fixed_until": ns(200) + 1}, 0, 6, NOTHING),
        ({"_fixed_until": ns(200) + 1}, 0, 7, PROVEN),
        ({"_fixed_until": ns(200) + 1}, -1, 12, NOTHING),
        ({"_fixed_until": ns(200) + 1}, -1, 13, PROVEN),
        # It is not known: 22 requests of late, and two of known programs.
        ({"_fixed_until": ns(200)}, 0, 7, HIDDEN),
        ({}, 0, 24, HIDDEN),
        ({}, 0, 25, PROVEN),
        ({}, -1, 12, NOTHING),
        ({}, -1, 13, HIDDEN),
        # A rolling limit counts the ten used slots at most.
        ({"rolling_until": FAR}, 0, 10, ALONE),
        ({"rolling_until": FAR}, 0, 11, NOTHING),
        ({"rolling_until": FAR}, 0, 25, PROVEN),
        # With no more than our own responses, no other program has sent a request so far.
        ({"highest": 4, "ends": ns(251)}, 0, 6, ALONE),
        ({"highest": 4, "ends": ns(251) + 1}, 0, 6, NOTHING),
        ({"highest": 4, "ends": ns(251) + 1}, 0, 1, ALONE),
        ({"highest": 5, "ends": ns(251)}, 0, 6, NOTHING),
        ({"highest": None, "ends": ns(251)}, 0, 6, ALONE),
        ({"highest": 5, "ends": ns(251) + 1}, 0, 1, NOTHING),
    ],
)
def test_a_counter_above_our_own_requests_is_foreign_traffic(
    values: dict[str, int], sent: int, count: int, conclusion: str
) -> None:
    rows = [*[150 + 61] * 6, *[160 + 61] * 4]
    config = attrs.evolve(WITH_COUNTER, others=2, late_arrival=0)
    slots = told(config, *rows, began=ns(150), since=ns(190), _gone=5, _gone_before=7, **values)
    assert concluded(slots, ns(190) + sent, count) == conclusion


@each_row(("used", "count", "conclusion"), [(4, 20, HIDDEN), (4, 21, ROLLING), (25, 30, HIDDEN), (25, 31, ROLLING)])
def test_a_window_that_starts_far_above_our_requests_is_a_rolling_one(used: int, count: int, conclusion: str) -> None:
    config = attrs.evolve(WITH_COUNTER, others=2)
    slots = told(config, *[160 + 61] * used, began=ns(150), since=ns(190), _gone=20, _gone_before=7)
    assert concluded(slots, ns(190), count, first=True) == conclusion
    again = told(config, *[160 + 61] * used, began=ns(150), since=ns(190), _gone=20, _gone_before=7)
    assert concluded(again, ns(190), count, first=False) == HIDDEN


@each_row(
    ("values", "seconds", "highest", "margin"),
    [
        ({"_shared_until": ns(180), "_margin": 3}, 100, 0, 3),
        ({"_shared_until": ns(180), "_margin": 3}, 110, 0, 3 + 10),
        ({"_shared_until": ns(180), "_margin": 3}, 179, 0, 3 + 24),
        ({"_shared_until": ns(180), "_alone_until": FAR}, 180, 0, 0),
        ({"_alone_until": FAR}, 110, 4 + 2, 0),
        ({"_alone_until": FAR}, 110, 4 + 2 + 1, 3),
        ({"rolling_until": FAR}, 110, 10 + 5 + 7 + 2, 1),
        ({"rolling_until": FAR}, 110, 10 + 5 + 7 + 2 + 1, 3),
        ({"ends": ns(161)}, 109.9, 0, 4),
        ({"ends": ns(161)}, 110, 0, 3),
        ({"ends": ns(161), "late": 1}, 110, 0, 4),
    ],
)
def test_the_margin_below_the_limit_is_as_wide_as_the_doubt(
    values: dict[str, int], seconds: float, highest: int, margin: int
) -> None:
    """Ten used slots, four of them in the server's window; 12 became free of late; known programs sent two."""
    config = attrs.evolve(WITH_COUNTER, limit=62, share=62, others=2)
    rows = [*[50 + 61] * 6, *[60 + 61] * 4, *[999] * values.pop("late", 0)]
    slots = told(config, *rows, began=ns(50), _gone=5, _gone_before=7, **values)
    assert slots._margin_at(ns(seconds), highest) == margin


@each_row(
    ("values", "ahead", "opens"),
    [
        ({"_alone_until": FAR}, 19, 150),
        ({"_alone_until": FAR}, 20, 251),
        ({"_alone_until": FAR, "highest": None}, 99, 150),
        ({"_alone_until": FAR, "ends": FAR}, 99, 150),
        ({"_alone_until": FAR, "rolling_until": FAR}, 99, 150),
        ({}, 15, 150),
        ({}, 16, 200),
        ({}, 19, 200),
        ({}, 20, 251),
        ({"_shared_until": FAR, "_margin": 3, "told_at": ns(150)}, 16, 150),
        ({"_shared_until": FAR, "_margin": 3, "told_at": ns(150)}, 17, 251),
    ],
)
def test_the_servers_counter_lets_a_call_wait_for_its_window_or_for_foreign_traffic_to_show(
    values: dict[str, Any], ahead: int, opens: float
) -> None:
    slots = told(attrs.evolve(WITH_COUNTER, others=40), **{"highest": 40, "ends": ns(251), **values})
    assert slots._opens_there(ns(150), ahead) == ns(opens)
    assert slots.predicted_wait(ns(150), ahead) == max(ns(opens - 150), 61 * SECOND if ahead >= 60 else 0)


@each_row(
    ("rows", "values", "change"),
    [
        ([120, 170], {"highest": 5}, 170 - 61),
        ([120, 161], {"highest": 5}, 120),
        ([120], {"highest": 5}, 120),
        ([120, 170], {"highest": None}, 120),
        ([120, 170], {"highest": 5, "rolling_until": FAR}, 104),
        ([120, 170], {"highest": 5, "_probe": 1, "_probe_until": ns(103)}, 103),
        ([100, 200], {"highest": None}, 139),
        ([], {"highest": 5}, 139),
        ([], {"highest": 5, "ends": ns(140)}, 140),
        ([], {"highest": None, "ends": FAR}, FAR),
        ([], {"highest": 5, "ends": FAR}, FAR),
        ([120], {"highest": None, "_paused_until": ns(180)}, 180),
        ([120], {"highest": None, "_paused_until": ns(100)}, 120),
        ([120], {"highest": 49, "since": -FAR}, 107.5),
        ([120], {"highest": 6, "since": -FAR}, 104),
        ([120], {"highest": 5, "since": -FAR}, 120),
        ([120], {"highest": 60, "since": -FAR}, 120),
    ],
)
def test_the_next_change_is_the_first_of_all_that_can_free_a_slot(
    rows: list[float], values: dict[str, Any], change: float
) -> None:
    slots = told(WITH_COUNTER, *rows, **{"ends": ns(190), "since": 0, **values})
    assert slots.next_change(ns(100)) == ns(change)


def test_a_response_with_the_counter_or_three_without_it_end_the_cold_start() -> None:
    slots = Slots(WITH_COUNTER)
    seen = []
    for is_told in (False, False, False, False, True, False, False, False):
        slots._probe = 5
        slots._warm(told=is_told)
        seen.append((slots._cold, slots._silent, slots._probe))
    assert seen == [(1, 1, -1), (1, 2, -1), (0, 0, -1), (0, 1, -1), (0, 0, -1), (0, 1, -1), (0, 2, -1), (0, 0, -1)]
    slots.begin_cold(0)
    slots._warm(told=True)
    assert (slots._cold, slots._silent) == (0, 0)


@each_row(
    ("values", "may"),
    [
        ({"_gone": 1}, True),
        ({"_gone_before": 1}, True),
        ({}, False),
        ({"_gone": 1, "_fixed_until": ns(100)}, True),
        ({"_gone": 1, "_fixed_until": ns(100) + 1}, False),
        ({"_gone": 1, "_fresh_starts": 3}, True),
        ({"_gone": 1, "_fresh_starts": 4}, False),
    ],
)
def test_requests_of_the_last_window_may_be_counted_unless_the_window_is_fixed(
    values: dict[str, int], may: bool
) -> None:
    assert told(WITH_COUNTER, **values)._may_linger(ns(100)) is may


@each_row(("probe", "starts"), [(1, 3), (2, 2)])
def test_only_the_response_to_the_probe_counts_as_the_first_of_a_window(probe: int, starts: int) -> None:
    values = {"_gone": 30, "_gone_since": ns(100), "_fresh_starts": 2, "_cold": 1, "_probe": probe}
    slots = told(WITH_COUNTER, 300, **values)
    slots._sent[1] = ns(101)
    slots.answered(1, ns(102), 1)
    assert (slots._fresh_starts, slots._cold, slots._probe) == (starts, 0, -1)


def test_a_fall_of_the_counter_that_proves_a_rolling_limit_ends_a_suspicion() -> None:
    slots = told(WITH_COUNTER, *[300] * 10, _shared_until=ns(500), _announced_until=ns(300))
    slots._counter.load([ns(90), 50, FAR, -FAR, -FAR, ns(91), ns(95), -FAR], [(ns(91), 50, ns(90))])
    slots._sent[1] = ns(101)
    slots.answered(1, ns(102), 5)
    assert ns(102) < slots._counter.rolling_until
    assert slots._shared_until == ns(300)


def test_an_event_of_foreign_traffic_has_the_largest_number_of_requests_that_can_be_ours() -> None:
    slots = told(WITH_COUNTER, *[140] * 6, *[400] * 3, _fixed_until=FAR, began=ns(90), since=ns(95))
    slots._sent[99] = ns(101)
    slots.rows.add(99, ns(400))
    plan = Plan()
    settle_operation(99, Answered(9), slots, ns(102), plan)
    assert plan.events == [ForeignTrafficDetected(counted=9, ours=4)]
    assert slots.used(ns(102)) == 10


@each_row(
    ("rows", "others", "fixed_until", "before", "count", "is_rolling"),
    [
        (16, 0, 0, 40, 21, True),
        (16, 0, 0, 40, 20, False),  # a third of the limit may be foreign traffic
        (20, 0, 0, 40, 25, True),
        (20, 0, 0, 40, 24, False),
        (20, 5, 0, 40, 29, False),
        (16, 0, 102, 40, 21, True),
        (16, 0, 103, 40, 21, False),
        (16, 0, 0, 41, 21, True),
        (16, 0, 0, 42, 21, False),  # foreign traffic may have followed the start of a fixed window
    ],
)
def test_a_small_fall_to_more_than_a_new_window_can_count_proves_a_rolling_limit(  # noqa: PLR0917
    rows: int, others: int, fixed_until: float, before: int, count: int, is_rolling: bool
) -> None:
    config = attrs.evolve(WITH_COUNTER, others=others)
    slots = told(config, *[400] * rows, *[140] * 30, _fixed_until=ns(fixed_until), _alone_until=FAR)
    slots._counter.load([ns(90), before, ns(150), -FAR, -FAR, ns(91), -FAR, -FAR], [(ns(91), before, ns(90))])
    slots._sent[99] = ns(101)
    slots.rows.add(99, ns(400))
    slots.answered(99, ns(102), count)
    assert slots._counter.fell_at == ns(102)
    assert slots._counter.rolling_until == (ns(102 + 20 * 61) if is_rolling else -FAR)


@each_row(
    ("rows", "values", "from_"),
    [
        ([170], {"highest": 17, "ends": ns(150)}, 149.5),
        ([170], {"highest": 16, "ends": ns(150)}, 148.5),
        ([170], {"highest": 14, "ends": ns(150)}, -FAR),
        ([170], {"highest": 14, "ends": ns(150), "rolling_until": FAR}, 167.5),
        ([161], {"highest": 17, "ends": ns(150)}, 104),
        ([161], {"highest": 17, "ends": ns(102)}, 100.5),
    ],
)
def test_other_lanes_leave_room_also_by_the_servers_counter(
    rows: list[float], values: dict[str, int], from_: float
) -> None:
    """The last counter is out of date after a fifteenth of the window if no request is on its way."""
    config = attrs.evolve(WITH_COUNTER, limit=20, share=20, headroom=4, others=20)
    assert told(config, *rows, _alone_until=FAR, **values).room_from(ns(100)) == ns(from_)


def test_the_last_free_slot_may_go_to_another_lane_to_refresh_the_counter() -> None:
    config = attrs.evolve(WITH_COUNTER, headroom=12, others=60)
    slots = told(config, *[130] * 59, _alone_until=FAR, highest=5)
    assert (slots.free(ns(100)), slots.next_change(ns(100))) == (1, ns(104))


def test_a_suspicion_lasts_while_a_rolling_limit_stays_rolling() -> None:
    slots = told(WITH_COUNTER, 300, rolling_until=FAR, _shared_until=ns(500), highest=1)
    slots._sent[1] = ns(101)
    slots.answered(1, ns(102), 1)
    assert slots._shared_until == ns(500)


# -- the sharing processes ----------------------------------------------------------------------------------------


@each_row(
    ("lane", "tag", "wins_ties", "count"),
    [
        (Lane.INTERACTIVE, 4, True, 0),
        (Lane.INTERACTIVE, 5, False, 0),
        (Lane.INTERACTIVE, 5, True, 2),
        (Lane.INTERACTIVE, 6, False, 2),
        (Lane.INTERACTIVE, 6, True, 4),
        (Lane.INTERACTIVE, 7, False, 4),
        (Lane.INTERACTIVE, 7, True, 5),
        (Lane.INTERACTIVE, 99, False, 5),
        (Lane.NORMAL, 99, True, 5),
        (Lane.BULK, 0, True, 5 + 1),
        (Lane.BULK, 1, True, 5 + 2),
        (Lane.BULK, 9, True, 5 + 3),
        (Lane.BULK, 0, False, 5),
    ],
)
def test_calls_of_another_process_go_first_by_lane_and_turn(lane: Lane, tag: int, wins_ties: bool, count: int) -> None:
    """Two keys take turns in the first lane. The number of keys in the last one is not known."""
    demand = Demand(0, 0, calls=(5, 0, 3), keys=(2, 0, 0), tags=(5, 0, 0))
    assert demand.before(lane, tag, wins_ties=wins_ties) == count


def shared(demands: Mapping[int, Demand], free: int = 10, sharer: int = 5) -> Slots:
    slots = Slots(attrs.evolve(ROWS_ONLY, headroom=0), sharer)
    slots.absorb({number: ns(50) for number in range(10 - free)})
    slots.sharers = dict(demands)
    return slots


LINE = {
    3: Demand(ns(20), 0, (0, 2, 1), (0, 1, 1), (0, 7, 1)),
    5: Demand(ns(20), 0, (4, 4, 4), (1, 1, 1), (0, 0, 0)),  # this process
    9: Demand(ns(20), 0, (1, 0, 0), (1, 0, 0), (4, 0, 0)),
    4: Demand(ns(14.6), 0, (1, 0, 0), (1, 0, 0), (9, 0, 0)),
    8: Demand(ns(14.5), 0, (9, 9, 9), (1, 1, 1), (0, 0, 0)),  # half a cooldown without a write
    7: Demand(ns(20), 0, (1, 0, 0), (1, 0, 0), (9, 0, 0)),
    6: Demand(ns(20), 0, (0, 0, 0), (0, 0, 0), (0, 0, 0)),
}


@each_row(("free", "line"), [(0, []), (1, [9]), (2, [9, 4]), (3, [9, 4, 7]), (4, [9, 4, 7, 3]), (10, [9, 4, 7, 3])])
def test_the_processes_in_line_are_sorted_by_lane_turn_and_number(free: int, line: list[int]) -> None:
    assert shared(LINE, free).next_in_line(ns(20)) == line


def test_a_process_that_wants_many_takes_the_free_slots_of_those_after_it() -> None:
    line = {1: Demand(ns(20), 0, (3, 0, 0)), 2: Demand(ns(20), 0, (1, 0, 0), (0, 0, 0), (1, 0, 0))}
    assert [shared(line, free).next_in_line(ns(20)) for free in (3, 4)] == [[1], [1, 2]]


def test_a_process_in_line_only_for_a_lane_without_room_is_left_out() -> None:
    slots = used_until(ROWS_ONLY, *[50] * 9)
    slots.sharers = {1: Demand(ns(20), 0, (0, 1, 0))}
    assert slots.next_in_line(ns(20)) == []
    slots.sharers = {1: Demand(ns(20), 0, (1, 0, 0))}
    assert slots.next_in_line(ns(20)) == [1]


@each_row(("sharer", "ahead"), [(5, 1 + 1), (3, 4 + 1), (10, 4 + 1 + 1 + 1)])
def test_calls_of_other_processes_that_wrote_of_late_go_first(sharer: int, ahead: int) -> None:
    """Calls with the same turn are sorted by the number of their process."""
    assert shared(LINE, sharer=sharer).ahead(ns(20), Lane.INTERACTIVE, 9) == ahead


def test_calls_of_the_only_other_process_go_first_before_this_one_has_written() -> None:
    assert shared({7: LINE[7]}, sharer=5).ahead(ns(20), Lane.NORMAL, 9) == 1
    assert shared({5: LINE[7]}, sharer=5).ahead(ns(20), Lane.NORMAL, 9) == 0


def test_enough_is_free_for_a_call_and_for_those_before_it() -> None:
    slots = used_until(ROWS_ONLY, *[50] * 5)
    assert [slots.may_pass(ns(20), Lane.INTERACTIVE, ahead) for ahead in (4, 5)] == [True, False]
    assert [slots.may_pass(ns(20), Lane.NORMAL, ahead) for ahead in (2, 3)] == [True, False]
    assert [slots.may_pass(ns(20), Lane.BULK, ahead) for ahead in (2, 3)] == [True, False]


def test_a_process_announces_its_calls_under_its_own_number() -> None:
    slots = shared(LINE)
    demand = Demand(ns(20), 2)
    slots.announce(demand)
    assert slots.sharers == LINE | {5: demand}


def test_a_process_without_a_write_for_five_windows_is_forgotten() -> None:
    slots = shared({1: Demand(ns(20), 0), 2: Demand(ns(20) - 1, 0), 3: Demand(ns(60), 0)})
    mine = Demand(ns(20 + 5 * HOLD), 0)
    slots.announce(mine)
    assert slots.sharers == {1: Demand(ns(20), 0), 3: Demand(ns(60), 0), 5: mine}
    alone = shared({})
    alone.announce(mine)
    assert alone.sharers == {5: mine}


@each_row(("count", "kept"), [(512, range(512)), (513, range(1, 513)), (600, range(88, 600))])
def test_of_more_than_512_processes_the_latest_are_remembered(count: int, kept: range) -> None:
    slots = shared({number: Demand(ns(60) + (number * 7919) % 1000, number) for number in range(count)})
    slots.sharer = 0
    mine = Demand(ns(60) + 5000, 0)
    latest = [*sorted(range(1, count), key=lambda number: slots.sharers[number].seen)[-511:], 0]
    slots.announce(mine)
    assert len(slots.sharers) == len(kept) == 512
    assert set(slots.sharers) == set(latest)


# -- what a restored state keeps of the server ----------------------------------------------------------------------


@each_row(
    ("since", "fixed", "shared_until", "others", "counts"),
    [
        (50, 200, 0, 0, [False, False, True]),  # two requests may be in the present window
        (50, 200, 0, 1, [False, False, False, True]),
        (50, 100, 0, 0, [False] * 4),  # the window is not proven to be fixed
        (50, 200, 101, 0, [False] * 4),  # another program may have sent requests
        (50, 200, 100, 0, [False, False, True]),
        (40, 200, 0, 0, [False] * 4),  # it was sent after the present window began
    ],
)
def test_a_late_count_above_the_requests_of_the_present_window_is_of_an_earlier_one(
    since: float, fixed: float, shared_until: float, others: int, counts: list[bool]
) -> None:
    slots = Slots(attrs.evolve(WITH_COUNTER, others=others))
    slots.absorb({1: ns(150), 2: ns(155), 3: ns(100.5)})
    slots._counter.since, slots._counter.began = ns(since), ns(45)
    slots._fixed_until, slots._shared_until = ns(fixed), ns(shared_until)
    assert [slots._is_of_an_earlier_window(ns(40), ns(100), count) for count in range(1, len(counts) + 1)] == counts


KNOWN = ("_paused_until", "_shared_until", "_announced_until", "_fixed_until", "_alone_until")


def knowing(highest: int | None, ends: float, rolling_until: float = -FAR) -> Slots:
    slots = Slots(WITH_COUNTER)
    slots._counter.highest, slots._counter.ends = highest, ns(ends)
    slots._counter.rolling_until, slots._margin, slots._counter.told_at = ns(rolling_until), 4, ns(98)
    for seconds, name in enumerate(KNOWN, start=111):
        setattr(slots, name, ns(seconds))
    return slots


@each_row(
    ("highest", "ends", "rolling_until", "window", "rolling"),
    [
        (7, 101, -FAR, [7, 111, 108], -FAR),
        (7, 161, 130, [7, 171, 108], 140),
        (7, 100, 100, [0, -FAR, -FAR], -FAR),  # the window is over, and the limit no longer counts as a rolling one
        (7, 161.5, -FAR, [0, -FAR, -FAR], -FAR),  # no window ends so late
        (0, 120, -FAR, [0, -FAR, -FAR], -FAR),
        (None, FAR, -FAR, [0, -FAR, -FAR], -FAR),
    ],
)
def test_what_is_known_of_the_server_moves_to_the_clock_of_another_state(
    highest: int | None, ends: float, rolling_until: float, window: list[float], rolling: float
) -> None:
    moved = knowing(highest, ends, rolling_until).server_facts(ns(100), ns(10))
    assert moved == [window[0], *map(ns, window[1:]), ns(rolling), 4, *(ns(at) for at in (121, 122, 123, 124, 125))]
    assert knowing(7, 120).server_facts(ns(100))[:3] == [7, ns(120), ns(98)]


def test_a_restored_state_knows_the_most_of_what_the_states_before_it_knew() -> None:
    slots = Slots(WITH_COUNTER)
    slots._shared_until = ns(500)
    slots.begin_restored(ns(100), knowing(7, 120).server_facts(ns(100)), knowing(9, 110, 130).server_facts(ns(100)))
    assert (slots._counter.highest, slots._counter.ends, slots._counter.rolling_until) == (9, ns(110), ns(130))
    assert slots._counter.told_at == ns(98)
    assert [getattr(slots, name) for name in KNOWN] == [ns(111), ns(500), ns(113), ns(114), ns(115)]
    assert (slots._margin, slots._probe, slots.is_cold(), slots._cold_since) == (4, -1, True, ns(100))


@each_row(
    ("before", "meanwhile"),
    [
        ((58, 103), (59, 160)),  # a process without this knowledge saw the same window later
        ((58, 103), (3, 160)),  # the next window has begun
        ((58, 160), (59, 103)),
    ],
)
def test_a_restored_state_waits_for_the_earliest_end_of_a_window_that_is_known(
    before: tuple[int, float], meanwhile: tuple[int, float]
) -> None:
    slots = knowing(*meanwhile)
    slots.begin_restored(ns(100), knowing(*before).server_facts(ns(100)))
    assert slots.free(ns(103) - 1) < 1
    assert slots.free(ns(103)) == 60
    assert slots.is_cold()  # a single request finds out the rest


@each_row(
    ("probe", "until", "stays"),
    [(5, 100, False), (5, 100.5, True), (5, 103, True), (5, 103.5, False), (-1, 101, False)],
)
def test_a_restored_state_waits_for_the_probe_of_another_process(probe: int, until: float, stays: bool) -> None:
    slots = Slots(WITH_COUNTER)
    slots._probe, slots._probe_until, slots._cold_since = probe, ns(until), ns(90)
    slots.begin_restored(ns(100))
    assert (slots._probe, slots._cold_since) == ((probe, ns(90)) if stays else (-1, ns(100)))
    warm = Slots(WITH_COUNTER)
    warm._cold, warm._probe, warm._probe_until = 0, 5, ns(101)
    warm.begin_restored(ns(100))
    assert warm._probe == -1


@each_row(
    ("shared", "cold_since", "used", "highest", "is_awaited"),
    [
        (True, 0, 56, 0, True),
        (True, 0, 55, 0, False),  # five of sixty slots are free
        (True, 0, 0, 56, True),
        (True, 0, 0, 55, False),
        (False, 0, 56, 0, False),
        (True, 39, 56, 0, False),  # they had this time a cooldown ago at the latest
        (True, 120, 56, 0, False),
    ],
)
def test_while_few_slots_seem_free_the_others_get_time_to_restore_theirs(
    shared: bool, cold_since: float, used: int, highest: int, is_awaited: bool
) -> None:
    slots = used_until(WITH_COUNTER, *[150] * used)
    slots._cold_since = ns(cold_since)
    slots.begin_restored(ns(100), knowing(highest, 120).server_facts(ns(100)), shared=shared)
    assert (slots._probe, slots._probe_until) == ((0, ns(101.5)) if is_awaited else (-1, -FAR))


@each_row(("since", "cold_since", "saw_none"), [(None, 5, True), (7, 8, True), (8, 8, False), (9, 8, False)])
def test_whether_a_window_has_begun_since_the_state_began_or_was_restored(
    since: int | None, cold_since: int, saw_none: bool
) -> None:
    slots = told(_cold_since=ns(cold_since), since=-FAR if since is None else ns(since))
    assert slots._saw_no_start() is saw_none


@each_row("is_shared", [False, True])
def test_a_first_count_above_our_requests_in_the_window_shows_a_rolling_limit_without_foreign_traffic(
    is_shared: bool,
) -> None:
    slots = told(_gone=50, since=ns(90), _shared_until=ns(200) if is_shared else -FAR)
    slots._look_for_foreign_traffic(ns(100), ns(100), 45, first=True)
    assert (slots._counter.rolling_until > ns(100)) is not is_shared


def test_two_falls_prove_that_a_rolling_limit_explains_the_counter_also_while_that_is_believed() -> None:
    slots = told(
        _gone=50, _gone_since=ns(90), since=ns(90), rolling_until=ns(500), fell_at=ns(99), _shared_until=ns(300)
    )
    for at, count in ((100, 40), (101, 30)):
        slots.take(ns(at), Lane.INTERACTIVE, ns(1), at)
        slots.answered(at, ns(at), count)
    assert slots._shared_until < ns(101) < slots._counter.rolling_until - ns(500)
