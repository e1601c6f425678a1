"""The parts of the command line that do no IO, and the resume file."""

from __future__ import annotations

import contextlib
import json
import math
import sys
import tempfile
from datetime import date
from email.utils import formatdate
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goedgepickt_async import DecodeError
from goedgepickt_async.cli.checkpoint import (
    Checkpoint,
    Mark,
    State,
    Watermark,
    load_checkpoint,
    refuse_difference,
    save_checkpoint,
)
from goedgepickt_async.cli.common import UsageError, describe, name_values, sentences
from goedgepickt_async.cli.connect import add_faults
from goedgepickt_async.cli.doctor import clock_of, other_api
from goedgepickt_async.cli.export import add_unreadable, command_again
from goedgepickt_async.cli.options import FAULT_NAMES, PlannedFault, Rate, parse_faults, parse_rate
from goedgepickt_async.cli.progress import clock, count, duration, requests_left, seconds_left
from goedgepickt_async.paging import UnreadableRow
from goedgepickt_async.sandbox import Sandbox
from tests.support.tables import each_row

# -- the grammar of faults ----------------------------------------------------------------------------------------


def test_a_fault_is_parsed_from_its_text() -> None:
    assert parse_faults(["GET:/orders:500x3,*:*:drop%2", "put:/products/*:slow=0.5x2+7"]) == [
        PlannedFault(method="GET", path="/orders", what="500", times=3),
        PlannedFault(method="*", path="*", what="drop", times=None, every=2),
        PlannedFault(method="PUT", path="/products/*", what="slow", seconds=0.5, times=2, after=7),
    ]


@each_row("what", ["429", "503", *(f"{name}=1" if name == "slow" else name for name in FAULT_NAMES)])
def test_every_fault_of_the_grammar_can_be_added_to_the_sandbox(what: str) -> None:
    add_faults(Sandbox(orders=1, products=1), parse_faults([f"GET:/orders:{what}", f"GET:/orders:{what}%3"]))


@each_row(
    "text",
    ["", "GET", "GET:/orders", "GET:/orders:boom", "GET:orders:500", "GET:/o:500x0", "GET:/o:200", "GET:/o:500x"],
)
def test_an_invalid_fault_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_faults([text or "x"])


@each_row("text", ["GET:/o:slow", "GET:/o:drop=3"])
def test_only_the_fault_slow_accepts_seconds(text: str) -> None:
    with pytest.raises(UsageError, match="only the fault slow has seconds"):
        parse_faults([text])


# -- rates, queries, words ----------------------------------------------------------------------------------------


def test_a_rate_is_requests_in_seconds_or_off() -> None:
    assert parse_rate("150/60") == Rate(150, 60.0)
    assert parse_rate("6/0.5") == Rate(6, 0.5)
    assert parse_rate("off") == Rate(None)


@each_row("text", ["", "150", "0/60", "150/0", "-1/2", "1/x", "1/" + "9" * 400])
def test_an_invalid_rate_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="requests/seconds"):
        parse_rate(text)


def test_a_query_has_names_and_values() -> None:
    assert name_values("--query", ["a=1", "b=x=y", "c="]) == {"a": "1", "b": "x=y", "c": ""}
    for wrong in (["a"], ["=1"], ["a=1", "a=2"]):
        with pytest.raises(UsageError):
            name_values("--query", wrong)


def test_durations_and_counts_have_a_readable_notation() -> None:
    assert [duration(seconds) for seconds in (0.04, 9.94, 12.4, 59.6, 62, 3599.6, 7384)] == [
        "0.0 s",
        "9.9 s",
        "12 s",
        "1 min 00 s",
        "1 min 02 s",
        "1 h 00 min",
        "2 h 03 min",
    ]
    assert [clock(seconds) for seconds in (0, 62, 725, 7384)] == ["0:00", "1:02", "12:05", "2:03:04"]
    assert [count(1, "orders"), count(25_000, "orders"), count(1, "refusals")] == [
        "1 order",
        "25,000 orders",
        "1 refusal",
    ]


def test_parts_become_sentences() -> None:
    assert (
        sentences("no connection", "", "Is there a network?", "Try again")
        == "no connection. Is there a network? Try again"
    )


@each_row("shown", [0, 1, 3, 5])
def test_each_problem_of_a_response_is_reported_once(shown: int) -> None:
    problems = [f"$.items[{number}].name: expected text" for number in range(5)]
    line, _ = describe(DecodeError("cannot be read: " + "; ".join(problems[:shown]), problems=problems))
    assert [line.count(problem) for problem in problems] == [1] * max(3, shown) + [0] * (5 - max(3, shown))


def test_the_error_for_an_unreadable_response_names_the_command_doctor() -> None:
    assert "`goedgepickt doctor`" in describe(DecodeError("it is not JSON"))[0]


# -- the time left ------------------------------------------------------------------------------------------------


def test_a_list_within_the_budget_takes_only_the_time_of_its_requests() -> None:
    assert seconds_left(requests_left(900, [100, 100]), pace=0.2, hold=61, free=150, cooling=[]) == pytest.approx(2.0)


def test_a_list_over_the_budget_waits_for_slots() -> None:
    seconds = seconds_left(300, pace=0.0, hold=61, free=150, cooling=[])
    assert seconds == pytest.approx(61)
    assert seconds_left(100, pace=0.0, hold=61, free=0, cooling=[30.0] * 150) == pytest.approx(30)


@given(
    st.integers(0, 400),
    st.floats(0, 2),
    st.floats(0.1, 60),
    st.integers(0, 20),
    st.lists(st.floats(-5, 60), max_size=20),
)
def test_more_requests_never_take_less_time(
    requests: int, pace: float, hold: float, free: int, cooling: list[float]
) -> None:
    fewer = seconds_left(requests, pace=pace, hold=hold, free=free, cooling=cooling)
    more = seconds_left(requests + 1, pace=pace, hold=hold, free=free, cooling=cooling)
    assert fewer <= more or math.isclose(fewer, more, rel_tol=1e-12)  # sums of floats in another order
    assert (fewer == math.inf) == (not free and not cooling)


# -- the resume file ----------------------------------------------------------------------------------------------

STATE = State(
    resource="orders",
    source="https://api.example.test/v1",
    filters={"--status": "open"},
    format="csv",
    output="orders.csv",
    offset=7,
    tail="ab",
    token="a-token",
    rows=3,
    read=4,
)


def test_a_resume_file_is_loaded_as_it_was_saved(tmp_path: Path) -> None:
    seen = Watermark(date(2026, 3, 1), date(2026, 3, 2), {"": frozenset("ab"), "2026-03-02": frozenset("c")})
    checkpoint = Checkpoint(account="k", done=Mark(STATE, seen), running=Mark(STATE, Watermark()), renaming="x.part")
    assert load_checkpoint(tmp_path / "state") is None
    save_checkpoint(Checkpoint(account="k"), tmp_path / "state")
    save_checkpoint(checkpoint, tmp_path / "state")
    assert load_checkpoint(tmp_path / "state") == checkpoint
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def saved_with(folder: Path, **changes: Any) -> bytes:
    """A resume file whose state has other values."""
    save_checkpoint(Checkpoint(account="k", running=Mark(STATE, Watermark())), folder / "good")
    values = json.loads((folder / "good").read_bytes())
    values["running"]["state"] |= changes
    return json.dumps(values).encode()


@each_row(
    "spoiled",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"version": 1}',
        b'{"version": 2}',
        b'{"version": 1, "account": 7, "done": null, "running": null, "renaming": null}',
        {"offset": "7"},
        {"offset": -1},
        {"rows": True},
        {"more": 7},
        {"filters": []},
        {"token": 7},
    ],
)
def test_a_damaged_resume_file_is_refused(tmp_path: Path, spoiled: Any) -> None:
    (tmp_path / "state").write_bytes(spoiled if isinstance(spoiled, bytes) else saved_with(tmp_path, **spoiled))
    with pytest.raises(UsageError):
        load_checkpoint(tmp_path / "state")


@given(st.data())
def test_a_resume_file_with_any_bytes_changed_is_read_or_refused(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        text = bytearray(saved_with(Path(folder)))
        for _ in range(data.draw(st.integers(1, 4))):
            text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
        path = Path(folder) / "state"
        path.write_bytes(text)
        with contextlib.suppress(UsageError):
            load_checkpoint(path)


@each_row(
    ("change", "message"),
    [
        ({"resource": "products"}, "the resource was orders and is now products"),
        ({"source": "elsewhere"}, "the server was https"),
        ({"format": "jsonl"}, "--format was csv and is now jsonl"),
        ({"output": "-"}, "--output was orders.csv and is now -"),
        ({"filters": {}}, "--status was open and is now not given"),
        ({"filters": {"--status": "open", "--limit": "5"}}, "--limit was not given and is now 5"),
    ],
)
def test_the_error_names_the_option_that_differs(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        refuse_difference(STATE, attrs.evolve(STATE, **change))


def test_progress_does_not_count_as_a_difference() -> None:
    refuse_difference(STATE, attrs.evolve(STATE, offset=0, tail=None, token=None, rows=0, read=0))


def test_the_command_to_continue_is_the_same_command_with_the_resume_file(tmp_path: Path) -> None:
    state = tmp_path / "my orders.csv.resume"
    bare = ["/usr/bin/goedgepickt", "export", "orders", "-o", "my orders.csv"]
    assert command_again(bare, state) == f"goedgepickt export orders -o 'my orders.csv' --resume '{state}'"
    assert command_again([*bare, "--resume=x"], state) == "goedgepickt export orders -o 'my orders.csv' --resume=x"
    module = ["/somewhere/goedgepickt_async/__main__.py", "export"]
    assert command_again(module, state).startswith(f"{sys.executable} -m goedgepickt_async export --resume")


# -- the doctor ---------------------------------------------------------------------------------------------------


def test_an_unreadable_row_that_is_nested_too_deep_for_json_is_listed_without_its_values(tmp_path: Path) -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    row = UnreadableRow(page=1, place="$.items[0]", id="u-1", problems=("$.items[0].extra: …",), row=deep)
    add_unreadable(tmp_path / "rows", [row])
    assert json.loads((tmp_path / "rows").read_bytes())["row"] is None
    assert json.loads((tmp_path / "rows").read_bytes())["id"] == "u-1"


def test_the_url_of_each_api_gives_the_url_of_the_other() -> None:
    assert other_api("https://h.example.test/api/v1") == "https://h.example.test/api/fulfilment/v1"
    assert other_api("https://h.example.test/api/fulfilment/v1") == "https://h.example.test/api/v1"
    assert other_api("https://h.example.test/") is None


@given(st.floats(-1e6, 1e6), st.floats(0, 5), st.floats(0, 1))
def test_the_measured_clock_difference_is_correct_within_its_uncertainty(
    ahead: float, trip: float, share: float
) -> None:
    asked = 1_800_000_000.25
    server = int(asked + trip * share + ahead)
    found = clock_of(formatdate(server, usegmt=True), asked, asked + trip)
    assert found is not None
    assert abs(found.ahead - ahead) <= found.uncertainty + 1e-3


def test_a_response_without_a_valid_date_gives_no_clock() -> None:
    assert clock_of(None, 0, 1) is None
    assert clock_of("soon", 0, 1) is None
