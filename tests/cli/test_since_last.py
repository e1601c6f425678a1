"""`goedgepickt export --since-last`: repeated exports write each row once, also after a failure."""

from __future__ import annotations

import json
import os
import signal
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from goedgepickt_async.cli import checkpoint as checkpoints
from goedgepickt_async.paths import FileLock
from goedgepickt_async.sandbox import Sandbox, faults
from goedgepickt_async.testing import serving
from tests.support.tables import each_row
from tests.support.waiting import until_in_thread as until

from .conftest import Finished, Goedgepickt, jsonl, uuids
from .test_export import rows_of_csv

Inside = Callable[..., Finished]
NIGHTLY = ("orders", "-o", "orders.jsonl", "--since-last")


@pytest.fixture
def sandbox(inside: Inside, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Sandbox]:
    """A sandbox that receives the requests of `inside`."""
    with serving(Sandbox(orders=66, products=5, limit=None, per_page_max=20)) as running:
        monkeypatch.setenv("GOEDGEPICKT_API_KEY", running.api_key)
        monkeypatch.setenv("GOEDGEPICKT_BASE_URL", running.url)
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
        yield running


def grow(sandbox: Sandbox, *days: str) -> None:
    for day in days:
        sandbox.world.add_order(createDate=f"{day} 10:00:00")


def the_checkpoint(tmp_path: Path) -> Path:
    return next((tmp_path / "state" / "goedgepickt").glob("export-orders-*.json"))


def rows_in(path: Path) -> list[str]:
    return uuids(jsonl(path.read_bytes()))


@pytest.mark.slow
def test_a_second_export_reads_only_new_rows_and_appends_them_to_the_file(
    inside: Inside, sandbox: Sandbox, tmp_path: Path
) -> None:
    first = inside("export", *NIGHTLY)
    assert first.code == 0, first.err
    assert first.err.startswith("66 orders in ")
    before = (tmp_path / "orders.jsonl").read_bytes()
    grow(sandbox, "2026-11-01", "2026-11-02", "2026-11-02")
    sandbox.requests.clear()
    second = inside("export", *NIGHTLY)
    assert second.code == 0, second.err
    assert second.err.startswith("3 orders in ")
    assert len(sandbox.requests) <= 2
    after = (tmp_path / "orders.jsonl").read_bytes()
    assert after.startswith(before)
    assert len(set(uuids(jsonl(after)))) == len(jsonl(after)) == 69


@pytest.mark.slow
def test_an_export_without_new_rows_does_not_change_the_file(inside: Inside, sandbox: Sandbox, tmp_path: Path) -> None:
    assert inside("export", *NIGHTLY).code == 0
    before = (tmp_path / "orders.jsonl").read_bytes()
    done = inside("export", *NIGHTLY)
    assert (done.code, done.err.startswith("0 orders in ")) == (0, True)
    assert (tmp_path / "orders.jsonl").read_bytes() == before


@pytest.mark.slow
def test_a_row_that_appears_a_day_late_is_exported(inside: Inside, sandbox: Sandbox, tmp_path: Path) -> None:
    grow(sandbox, "2026-11-10")
    assert inside("export", *NIGHTLY).code == 0
    grow(sandbox, "2026-11-09", "2026-11-10")
    assert inside("export", *NIGHTLY).code == 0
    rows = rows_in(tmp_path / "orders.jsonl")
    assert len(rows) == len(set(rows)) == 69


@pytest.mark.slow
def test_separate_files_for_each_night_have_each_row_once(inside: Inside, sandbox: Sandbox, tmp_path: Path) -> None:
    rows = []
    for night in (1, 2, 3):
        grow(sandbox, f"2026-11-0{night}")
        done = inside("export", "orders", "-o", f"night-{night}.csv", "--since-last")
        assert done.code == 0, done.err
        rows += [row["uuid"] for row in rows_of_csv((tmp_path / f"night-{night}.csv").read_bytes())]
    assert len(rows) == len(set(rows)) == 69
    assert len(rows_of_csv((tmp_path / "night-3.csv").read_bytes())) == 1


@pytest.mark.slow
def test_a_csv_file_that_grows_has_one_header(inside: Inside, sandbox: Sandbox, tmp_path: Path) -> None:
    for night in (1, 2):
        grow(sandbox, f"2026-11-0{night}")
        assert inside("export", "orders", "-o", "orders.csv", "--lines", "--since-last").code == 0
    data = (tmp_path / "orders.csv").read_bytes()
    assert data.count(b"uuid,display_id,") == 1
    assert len({row["uuid"] for row in rows_of_csv(data)}) == 68


@pytest.mark.slow
def test_each_filter_and_resource_has_a_separate_checkpoint(inside: Inside, sandbox: Sandbox, tmp_path: Path) -> None:
    assert inside("export", *NIGHTLY).code == 0
    done = inside("export", "orders", "-o", "late.jsonl", "--since-last", "--created-after", "2026-10-01")
    assert done.code == 0, done.err
    assert 0 < len(rows_in(tmp_path / "late.jsonl")) < 66
    done = inside("export", "shipments", "-o", "shipments.jsonl", "--since-last")
    assert done.code == 0, done.err
    assert len(list((tmp_path / "state" / "goedgepickt").glob("*.json"))) == 3


@pytest.mark.slow
def test_the_same_command_continues_a_stopped_export(inside: Inside, sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.fail("GET", "/orders", faults.Status(404), after=2)
    stopped = inside("export", *NIGHTLY)
    assert stopped.code == 4
    assert "Run the same command again" in stopped.err
    written = len(rows_in(tmp_path / "orders.jsonl"))
    assert 0 < written < 66
    with (tmp_path / "orders.jsonl").open("ab") as file:
        file.write(b'{"uuid":"torn')
    done = inside("export", *NIGHTLY)
    assert done.code == 0, done.err
    rows = rows_in(tmp_path / "orders.jsonl")
    assert len(rows) == len(set(rows)) == 66


@pytest.mark.slow
def test_a_stopped_export_continues_in_the_file_of_the_next_night(
    inside: Inside, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.fail("GET", "/orders", faults.Status(404), after=2)
    assert inside("export", "orders", "-o", "monday.jsonl", "--since-last").code == 4
    with (tmp_path / "monday.jsonl").open("ab") as file:
        file.write(b'{"uuid":"torn')
    done = inside("export", "orders", "-o", "tuesday.jsonl", "--since-last")
    assert done.code == 0, done.err
    assert "monday.jsonl" in done.err
    rows = rows_in(tmp_path / "monday.jsonl") + rows_in(tmp_path / "tuesday.jsonl")
    assert len(rows) == len(set(rows)) == 66


@pytest.mark.slow
@pytest.mark.parametrize("moment", range(6))
def test_a_crash_at_any_write_of_the_checkpoint_loses_and_repeats_no_row(
    inside: Inside, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    calls = iter(range(1_000))
    save = checkpoints.save_checkpoint

    def crash(checkpoint: checkpoints.Checkpoint, path: Path) -> None:
        if next(calls) == moment:
            raise OSError(28, "No space left on device")
        save(checkpoint, path)

    monkeypatch.setattr(checkpoints, "save_checkpoint", crash)
    assert inside("export", *NIGHTLY).code in {0, 4}
    grow(sandbox, "2026-11-02")
    assert inside("export", *NIGHTLY).code in {0, 4}
    done = inside("export", *NIGHTLY)
    assert done.code == 0, done.err
    rows = rows_in(tmp_path / "orders.jsonl")
    assert len(rows) == len(set(rows)) == 67


@pytest.mark.slow
def test_a_killed_export_continues_with_each_row_once(goedgepickt: Goedgepickt) -> None:
    options = (*NIGHTLY, "--checkpoint", "kept.json", "--sandbox", "--sandbox-orders", "310")
    process = goedgepickt.start("export", *options, "--sandbox-rate", "2/30")
    kept = goedgepickt.folder / "kept.json"
    until(lambda: kept.exists() and '"running":{' in kept.read_text())
    process.send_signal(signal.SIGKILL)
    goedgepickt.finish(process)
    done = goedgepickt("export", *options, "--sandbox-rate", "off")
    assert done.code == 0, done.err
    assert "(310 in all)" in done.err
    rows = rows_in(goedgepickt.folder / "orders.jsonl")
    assert len(rows) == len(set(rows)) == 310


@pytest.mark.slow
def test_only_the_owner_can_read_the_checkpoint_and_it_has_no_api_key(
    inside: Inside, sandbox: Sandbox, tmp_path: Path
) -> None:
    assert inside("export", *NIGHTLY).code == 0
    path = the_checkpoint(tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert sandbox.api_key not in path.read_text()
    assert sorted(name.name for name in path.parent.iterdir()) == [path.name, f"{path.name}.lock"]


@pytest.mark.slow
def test_an_export_is_refused_while_another_export_uses_its_checkpoint(
    inside: Inside, sandbox: Sandbox, tmp_path: Path
) -> None:
    assert inside("export", *NIGHTLY).code == 0
    lock = FileLock(the_checkpoint(tmp_path).with_suffix(".json.lock"))
    assert lock.take()
    try:
        done = inside("export", "orders", "-o", "other.jsonl", "--since-last")
    finally:
        lock.release()
    assert done.code == 2
    assert "another export is using the checkpoint" in done.err
    assert not (tmp_path / "other.jsonl").exists()


@each_row(
    ("options", "message"),
    [
        (("products", "-o", "p.jsonl", "--since-last"), "the API has no creation date"),
        (("orders", "--since-last"), "--since-last needs --output FILE"),
        (("orders", "--since-last", "-o", "/dev/null"), "--since-last needs --output FILE"),
        (("orders", "--since-last", "-o", "a.jsonl", "--resume", "b"), "leave out --resume"),
        (("orders", "--since-last", "-o", "a.jsonl", "--limit", "5"), "leave out --limit"),
        (("orders", "-o", "a.jsonl", "--checkpoint", "c.json"), "--checkpoint needs --since-last"),
    ],
)
@pytest.mark.usefixtures("sandbox")
def test_options_that_since_last_does_not_allow_are_refused(
    inside: Inside, options: tuple[str, ...], message: str
) -> None:
    done = inside("export", *options)
    assert done.code == 2
    assert message in done.err
    assert done.err.count("\n") == 1


@pytest.mark.slow
def test_a_file_that_the_export_did_not_write_is_refused_and_kept(
    inside: Inside, sandbox: Sandbox, tmp_path: Path
) -> None:
    assert inside("export", *NIGHTLY).code == 0
    (tmp_path / "mine.jsonl").write_text("mine")
    done = inside("export", "orders", "-o", "mine.jsonl", "--since-last")
    assert done.code == 2
    assert "exists already" in done.err
    assert (tmp_path / "mine.jsonl").read_text() == "mine"


@pytest.mark.slow
def test_a_file_that_was_changed_after_the_last_export_is_refused(
    inside: Inside, sandbox: Sandbox, tmp_path: Path
) -> None:
    assert inside("export", *NIGHTLY).code == 0
    (tmp_path / "orders.jsonl").write_text("edited")
    done = inside("export", *NIGHTLY)
    assert done.code == 2
    assert "was changed after" in done.err


@pytest.mark.slow
def test_a_deleted_file_is_reported_and_created_again(inside: Inside, sandbox: Sandbox, tmp_path: Path) -> None:
    assert inside("export", *NIGHTLY).code == 0
    (tmp_path / "orders.jsonl").unlink()
    grow(sandbox, "2026-11-02")
    done = inside("export", *NIGHTLY)
    assert done.code == 0
    assert "did not exist" in done.err
    assert len(rows_in(tmp_path / "orders.jsonl")) == 1


@pytest.mark.slow
def test_another_format_for_the_same_file_is_refused(inside: Inside, sandbox: Sandbox) -> None:
    nightly = ("orders", "-o", "orders.csv", "--since-last")
    assert inside("export", *nightly).code == 0
    done = inside("export", *nightly, "--excel-csv")
    assert done.code == 2
    assert "--format was csv and is now excel-csv" in done.err


@pytest.mark.slow
def test_a_checkpoint_of_another_key_server_or_filter_is_refused(
    inside: Inside, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = (*NIGHTLY, "--checkpoint", "kept.json")
    assert inside("export", *options).code == 0
    done = inside("export", *options, "--created-after", "2026-10-01")
    assert (done.code, "its --created-after was not given" in done.err) == (2, True)
    done = inside("export", "shipments", *options[1:])
    assert (done.code, "its resource was orders" in done.err) == (2, True)
    monkeypatch.setenv("GOEDGEPICKT_API_KEY", "another-key")
    done = inside("export", *options)
    assert (done.code, "its API key was another one" in done.err) == (2, True)
    assert "another-key" not in done.err


@each_row(
    "content",
    [
        b"",
        b"mine",
        b"[1]",
        b"{}",
        b'{"version":1}',
        b"\xff\xfe",
        b'{"version":1,"account":"a","done":3,"running":null,"renaming":null}',
    ],
)
@pytest.mark.usefixtures("sandbox")
def test_a_file_that_is_not_a_checkpoint_is_refused_and_kept(inside: Inside, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "kept.json").write_bytes(content)
    done = inside("export", *NIGHTLY, "--checkpoint", "kept.json")
    assert done.code == 2
    assert "is no checkpoint" in done.err
    assert (tmp_path / "kept.json").read_bytes() == content


@pytest.mark.usefixtures("sandbox")
def test_a_checkpoint_of_another_version_is_refused(inside: Inside, tmp_path: Path) -> None:
    (tmp_path / "kept.json").write_text('{"version": 99}')
    done = inside("export", *NIGHTLY, "--checkpoint", "kept.json")
    assert (done.code, "another version" in done.err) == (2, True)


@pytest.mark.slow
def test_the_checkpoint_is_saved_only_after_the_file(
    inside: Inside, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    fsync, save = os.fsync, checkpoints.save_checkpoint

    def noted_fsync(file: int) -> None:
        order.append("fsync")
        fsync(file)

    monkeypatch.setattr(os, "fsync", noted_fsync)

    def noted(checkpoint: checkpoints.Checkpoint, path: Path) -> None:
        order.append("save")
        save(checkpoint, path)
        mark = checkpoint.running or checkpoint.done
        assert mark is not None
        assert (tmp_path / "orders.jsonl").stat().st_size >= mark.state.offset
        assert json.loads(path.read_text())["version"] == 1

    monkeypatch.setattr(checkpoints, "save_checkpoint", noted)
    assert inside("export", *NIGHTLY).code == 0
    assert all(order[index - 1] == "fsync" for index, what in enumerate(order) if what == "save")
