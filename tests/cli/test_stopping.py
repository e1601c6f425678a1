"""An interrupted export leaves only complete rows, and a continued export writes each row once."""

from __future__ import annotations

import asyncio
import fcntl
import json
import shlex
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from goedgepickt_async.sandbox import Sandbox, faults
from tests.support.waiting import SAFETY
from tests.support.waiting import until_in_thread as until

from .conftest import Finished, Goedgepickt, jsonl, uuids
from .test_export import rows_of_csv

pytestmark = pytest.mark.slow

# Two pages, then a wait of 30 seconds for the rate limit: the export does not end before the signal.
SLOW = ("--sandbox", "--sandbox-orders", "310", "--sandbox-rate", "2/30")
WITHOUT_LIMIT = ("--sandbox", "--sandbox-rate", "off")
FAST = (*WITHOUT_LIMIT, "--sandbox-orders", "310")


Inside = Callable[..., Finished]


def has_rows(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


@pytest.fixture
def default_sighup() -> Iterator[None]:
    """SIGHUP with its default action. A test run under nohup would pass "ignore" to its child processes."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def ignored_sighup() -> Iterator[None]:
    """SIGHUP is ignored, as under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("default_sighup")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stopped_export_leaves_complete_rows_and_can_continue(
    goedgepickt: Goedgepickt, number: signal.Signals
) -> None:
    process = goedgepickt.start("export", "orders", *SLOW, "-o", "orders.csv")
    until(lambda: has_rows(goedgepickt.folder / "orders.csv"))
    process.send_signal(number)
    stopped = goedgepickt.finish(process)
    assert stopped.code == 4, stopped.err
    assert "Traceback" not in stopped.err
    so_far = rows_of_csv(goedgepickt.read("orders.csv"))
    assert 0 < len(so_far) < 310
    assert all(None not in row.values() for row in so_far)
    assert f"{len(so_far):,} orders are written completely" in stopped.err

    command = stopped.err.splitlines()[-1].replace("2/30", "off")
    assert shlex.split(command)[-2:] == ["--resume", "orders.csv.resume"]
    program, _, _, *arguments = shlex.split(command)
    assert program == sys.executable
    done = goedgepickt(*arguments)
    assert done.code == 0, done.err
    rows = rows_of_csv(goedgepickt.read("orders.csv"))
    assert rows[: len(so_far)] == so_far
    assert len(rows) == len({row["uuid"] for row in rows}) == 310
    assert not (goedgepickt.folder / "orders.csv.resume").exists()


@pytest.mark.usefixtures("ignored_sighup")
def test_under_nohup_a_closed_terminal_does_not_stop_the_export(goedgepickt: Goedgepickt) -> None:
    slow = ("--sandbox", "--sandbox-orders", "310", "--sandbox-rate", "5/0.5")
    process = goedgepickt.start("export", "orders", *slow, "-o", "orders.jsonl")
    until(lambda: has_rows(goedgepickt.folder / "orders.jsonl"))
    process.send_signal(signal.SIGHUP)
    done = goedgepickt.finish(process)
    assert done.code == 0, done.err
    assert len(jsonl(goedgepickt.read("orders.jsonl"))) == 310


@pytest.mark.parametrize("resume", [(), ("--resume", "state.json")])
def test_a_second_export_to_the_same_file_is_refused_and_changes_nothing(
    goedgepickt: Goedgepickt, resume: tuple[str, ...]
) -> None:
    first = goedgepickt.start("export", "orders", *SLOW, "-o", "orders.jsonl", "--resume", "orders.jsonl.resume")
    until((goedgepickt.folder / "orders.jsonl.resume").exists)
    second = goedgepickt("export", "orders", *FAST, "--sandbox-seed", "2", "-o", "orders.jsonl", *resume)
    assert second.code == 2
    assert "another export is writing to" in second.err
    assert second.err.count("\n") == 1
    assert (goedgepickt.folder / "orders.jsonl.resume").exists()
    first.send_signal(signal.SIGTERM)
    assert goedgepickt.finish(first).code == 4
    done = goedgepickt("export", "orders", *FAST, "-o", "orders.jsonl", "--resume", "orders.jsonl.resume")
    assert done.code == 0, done.err
    rows = jsonl(goedgepickt.read("orders.jsonl"))
    assert len(rows) == len(set(uuids(rows))) == 310


def test_a_killed_export_continues_with_each_row_once(goedgepickt: Goedgepickt) -> None:
    options = ("-o", "orders.jsonl", "--resume", "state.json")
    process = goedgepickt.start("export", "orders", *SLOW, *options)
    until((goedgepickt.folder / "state.json").exists)
    process.send_signal(signal.SIGKILL)
    goedgepickt.finish(process)
    with (goedgepickt.folder / "orders.jsonl").open("ab") as file:
        file.write(b'{"uuid":"a row that was being writ')
    done = goedgepickt("export", "orders", *FAST, *options)
    assert done.code == 0, done.err
    assert "(310 in all)" in done.err  # it continued, and did not start again
    rows = jsonl(goedgepickt.read("orders.jsonl"))
    assert len(rows) == len(set(uuids(rows))) == 310
    assert not (goedgepickt.folder / "state.json").exists()


def stop_part_way(inside: Inside, tmp_path: Path) -> bytes:
    """The content of orders.csv after an export that failed after its first page."""
    failing = ("--sandbox-faults", "GET:/orders:403+1")
    done = inside("export", "orders", *FAST, *failing, "-o", "orders.csv", "--resume", "state.json")
    assert done.code == 3
    assert "100 orders are written completely" in done.err
    return (tmp_path / "orders.csv").read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("orders", *FAST, "-o", "orders.csv", "--status", "open"), "--status was not given and is now open"),
        (("orders", *FAST, "-o", "orders.csv", "--limit", "9"), "--limit was not given"),
        (("orders", *FAST, "-o", "orders.csv", "--lines"), "--lines was not given"),
        (("orders", *FAST, "-o", "orders.csv", "--excel-csv"), "--format was csv and is now excel-csv"),
        (("orders", *FAST, "-o", "other.csv"), "--output was"),
        (("shipments", *FAST, "-o", "orders.csv"), "the resource was orders"),
        (("orders", *FAST, "-o", "orders.csv", "--sandbox-seed", "2"), "the server was"),
    ],
)
def test_a_resume_file_of_another_export_is_refused(
    inside: Inside, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    before = stop_part_way(inside, tmp_path)
    done = inside("export", *options, "--resume", "state.json")
    assert done.code == 2
    assert message in done.err
    assert (tmp_path / "orders.csv").read_bytes() == before
    assert (tmp_path / "state.json").exists()


def test_resuming_with_a_changed_output_file_is_refused(inside: Inside, tmp_path: Path) -> None:
    before = stop_part_way(inside, tmp_path)
    changed = before[:-20] + b"x" * 20
    (tmp_path / "orders.csv").write_bytes(changed)
    done = inside("export", "orders", *FAST, "-o", "orders.csv", "--resume", "state.json")
    assert done.code == 2
    assert "was changed after" in done.err
    assert (tmp_path / "orders.csv").read_bytes() == changed


def test_a_file_that_is_not_a_resume_file_is_refused_and_kept(inside: Inside, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    done = inside("export", "orders", *FAST, "-o", "orders.csv", "--resume", "notes.txt")
    assert done.code == 2
    assert "no resume file" in done.err
    assert (tmp_path / "notes.txt").read_bytes() == b"mine"


def test_a_new_export_removes_the_resume_file_of_a_stopped_export(inside: Inside, tmp_path: Path) -> None:
    failing = ("--sandbox-faults", "GET:/orders:404+1")
    assert inside("export", "orders", *FAST, *failing, "-o", "orders.jsonl").code == 4
    assert (tmp_path / "orders.jsonl.resume").exists()
    done = inside("export", "orders", *FAST, "-o", "orders.jsonl")
    assert done.code == 0
    assert "the resume file orders.jsonl.resume of a stopped export was removed" in done.err
    assert not (tmp_path / "orders.jsonl.resume").exists()
    assert len(jsonl((tmp_path / "orders.jsonl").read_bytes())) == 310


def test_a_limit_applies_to_all_runs_together(inside: Inside, tmp_path: Path) -> None:
    options = ("-o", "orders.jsonl", "--limit", "150", "--resume", "state.json")
    assert inside("export", "orders", *FAST, "--sandbox-faults", "GET:/orders:404+1", *options).code == 4
    assert inside("export", "orders", *FAST, *options).code == 0
    rows = jsonl((tmp_path / "orders.jsonl").read_bytes())
    assert len(rows) == len(set(uuids(rows))) == 150


def test_rows_are_counted_over_all_pages_of_all_runs(inside: Inside, tmp_path: Path) -> None:
    options = ("-o", "orders.jsonl", "--limit", "450", "--resume", "state.json", "--sandbox-orders", "510")
    before = 0
    for pages in (2, 2):
        stopped = inside("export", "orders", *WITHOUT_LIMIT, "--sandbox-faults", f"GET:/orders:404+{pages}", *options)
        assert stopped.code == 4
        written = len(jsonl((tmp_path / "orders.jsonl").read_bytes()))
        assert written > before + 100  # more than a page
        assert f"{written} orders are written completely" in stopped.err
        assert json.loads((tmp_path / "state.json").read_bytes())["running"]["state"]["rows"] == written
        before = written
    done = inside("export", "orders", *WITHOUT_LIMIT, *options)
    assert done.err.startswith(f"{450 - before} orders (450 in all) in ")
    rows = jsonl((tmp_path / "orders.jsonl").read_bytes())
    assert len(rows) == len(set(uuids(rows))) == 450


def test_a_resumed_export_to_stdout_prints_only_the_remaining_rows(goedgepickt: Goedgepickt) -> None:
    options = ("--limit", "250", "--resume", "state.json")
    first = goedgepickt("export", "orders", *FAST, "--sandbox-faults", "GET:/orders:404+1", *options)
    second = goedgepickt("export", "orders", *FAST, *options)
    assert (first.code, second.code) == (4, 0)
    assert first.rows
    assert uuids(first.rows + second.rows) == uuids(goedgepickt("export", "orders", *FAST, "--limit", "250").rows)


def test_a_stopped_export_to_stdout_without_a_resume_file_names_the_option(goedgepickt: Goedgepickt) -> None:
    done = goedgepickt("export", "orders", *FAST, "--sandbox-faults", "GET:/orders:404+1")
    assert done.code == 1
    assert "only be continued with --resume FILE" in done.err
    assert len(done.rows) == 100


def test_an_export_ends_without_a_message_when_its_reader_closes_the_pipe(goedgepickt: Goedgepickt) -> None:
    process = goedgepickt.start("export", "orders", *FAST)
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["uuid"]
    process.stdout.close()
    assert process.wait(SAFETY) == 141
    assert process.stderr is not None
    assert process.stderr.read() == b""


def test_a_second_signal_ends_the_export_immediately(goedgepickt: Goedgepickt) -> None:
    process = goedgepickt.start("export", "orders", *FAST)
    assert process.stdout is not None
    pipe = process.stdout.fileno()
    # The pipe has no reader: the export waits in a write and cannot handle the first signal.
    until(lambda: struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0\0\0\0"))[0] >= 60_000)
    end = time.monotonic() + SAFETY
    while process.poll() is None and time.monotonic() < end:
        process.send_signal(signal.SIGINT)
        time.sleep(0.1)
    assert process.returncode == -signal.SIGINT


def test_a_full_device_is_reported_in_one_line(goedgepickt: Goedgepickt) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    done = goedgepickt("export", "orders", *FAST, "-o", "/dev/full")
    assert done.code == 1
    assert "No space left" in done.err
    assert done.err.count("\n") == 1


def test_a_full_disk_leaves_complete_rows_and_the_export_can_continue(goedgepickt: Goedgepickt) -> None:
    code = """
import resource, sys
sys.dont_write_bytecode = True  # the limit would cut a .pyc file too
resource.setrlimit(resource.RLIMIT_FSIZE, (250_000, 250_000))
from goedgepickt_async.cli import main
sys.exit(main())
"""
    full = goedgepickt.python(code, "export", "orders", *FAST, "-o", "orders.jsonl")
    assert full.code == 4, full.err
    assert "cannot write to orders.jsonl" in full.err
    so_far = jsonl(goedgepickt.read("orders.jsonl"))
    assert 0 < len(so_far) < 310
    done = goedgepickt("export", "orders", *FAST, "-o", "orders.jsonl", "--resume", "orders.jsonl.resume")
    assert done.code == 0, done.err
    rows = jsonl(goedgepickt.read("orders.jsonl"))
    assert len(rows) == len(set(uuids(rows))) == 310


async def test_a_signal_before_the_first_page_does_not_change_an_old_file(
    goedgepickt: Goedgepickt, sandbox: Sandbox
) -> None:
    (goedgepickt.folder / "orders.jsonl").write_text("old")
    sandbox.fail("GET", "/orders", faults.NeverAnswer())
    server = {"GOEDGEPICKT_API_KEY": sandbox.api_key, "GOEDGEPICKT_BASE_URL": sandbox.url}
    process = goedgepickt.start("export", "orders", "-o", "orders.jsonl", **server)
    await asyncio.to_thread(until, lambda: sandbox.requests)
    process.send_signal(signal.SIGINT)
    stopped = await asyncio.to_thread(goedgepickt.finish, process)
    assert (stopped.code, stopped.err) == (1, "goedgepickt: stopped. Nothing was written\n")
    assert goedgepickt.read("orders.jsonl") == b"old"


@pytest.mark.parametrize(("columns", "shown"), [("40", False), ("100", True)])
def test_a_narrow_terminal_shows_the_time_left_without_speed_and_budget(
    goedgepickt: Goedgepickt, columns: str, shown: bool
) -> None:
    slow = ("--sandbox", "--sandbox-orders", "310", "--sandbox-rate", "5/0.5")
    process, printed = goedgepickt.on_terminal(
        "export", "orders", *slow, "-o", "orders.jsonl", COLUMNS=columns, TERM="xterm"
    )
    assert process.wait() == 0, printed
    assert b"ETA" in printed
    assert (b"rows/s" in printed, b"budget" in printed) == (shown, shown)
