"""`goedgepickt export --format parquet`: a whole file or none, with one schema, in memory that does not grow."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from goedgepickt_async import Order
from goedgepickt_async.cli import checkpoint as checkpoints
from goedgepickt_async.cli import formats as encoding
from goedgepickt_async.cli.output import AtomicFile
from goedgepickt_async.cli.resources import RESOURCES, Selection
from goedgepickt_async.contrib.arrow import schema
from goedgepickt_async.sandbox import Sandbox, faults
from goedgepickt_async.testing import serving
from tests.support.waiting import until_in_thread as until

from .conftest import Finished, Goedgepickt

Inside = Callable[..., Finished]
FAST = ("--sandbox", "--sandbox-rate", "off")


@pytest.fixture
def sandbox(inside: Inside, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Sandbox]:
    with serving(Sandbox(orders=66, products=5, limit=None, per_page_max=20)) as running:
        monkeypatch.setenv("GOEDGEPICKT_API_KEY", running.api_key)
        monkeypatch.setenv("GOEDGEPICKT_BASE_URL", running.url)
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
        yield running


def uuids(path: Path) -> list[str]:
    values: list[str] = parquet.read_table(path).column("uuid").to_pylist()
    return values


@pytest.mark.slow
@pytest.mark.parametrize("resource", ["orders", "products", "shipments"])
def test_an_export_has_its_rows_and_its_schema_and_an_empty_one_the_same(
    inside: Inside, tmp_path: Path, resource: str
) -> None:
    some = ("--sandbox-orders", "120", "--sandbox-products", "40")
    none = ("--sandbox-orders", "0", "--sandbox-products", "0")
    for name, size in (("some.parquet", some), ("none.parquet", none)):
        done = inside("export", resource, *FAST, *size, "-o", name)
        assert done.code == 0, done.err
        assert parquet.read_schema(tmp_path / name).equals(schema(resource), check_metadata=True)
    assert len(uuids(tmp_path / "none.parquet")) == 0
    plain = inside("export", resource, *FAST, *some).rows
    assert uuids(tmp_path / "some.parquet") == [row["uuid"] for row in plain]
    assert not list(tmp_path.glob("*.part"))


def test_every_resource_can_be_a_parquet_file(inside: Inside, sandbox: Sandbox, tmp_path: Path) -> None:
    assert sandbox.world.pick_locations
    for name, spec in RESOURCES.items():
        done = inside("export", name, "-o", f"{name}.parquet", "--limit", "3")
        assert done.code == 0, done.err
        columns = schema(spec.endpoint.resource)
        assert parquet.read_schema(tmp_path / f"{name}.parquet").equals(columns, check_metadata=True)


@pytest.mark.slow
def test_rows_are_written_in_groups_as_they_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "_ROWS_IN_A_GROUP", 250)
    encoder = encoding.ParquetEncoder(Selection(spec=RESOURCES["orders"]))
    written = [encoder.encode([Order(uuid=f"{page}-{row}") for row in range(100)]) for page in range(10)]
    assert [bool(data) for data in written[1:]] == [False, True, False, False, True, False, False, True, False]
    file = parquet.ParquetFile(pa.BufferReader(b"".join([*written, *encoder.foot()])))
    assert [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)] == [300, 300, 300, 100]


def test_large_rows_make_small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "_BYTES_IN_A_GROUP", 10_000)
    encoder = encoding.ParquetEncoder(Selection(spec=RESOURCES["orders"]))
    encoder.encode([Order(uuid="a", customer_note="x" * 20_000)])
    encoder.encode([Order(uuid="b", customer_note="x" * 20_000)])
    assert not encoder._waiting
    encoder.foot()


@pytest.mark.slow
def test_a_failed_export_leaves_the_old_file_and_nothing_else(inside: Inside, sandbox: Sandbox, tmp_path: Path) -> None:
    assert inside("export", "orders", "-o", "orders.parquet").code == 0
    before = (tmp_path / "orders.parquet").read_bytes()
    sandbox.fail("GET", "/orders", faults.Status(404), after=2)
    done = inside("export", "orders", "-o", "orders.parquet")
    assert done.code == 1
    assert "Nothing was written" in done.err
    assert (tmp_path / "orders.parquet").read_bytes() == before
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.slow
def test_a_killed_export_leaves_the_old_file_and_the_next_one_is_whole(goedgepickt: Goedgepickt) -> None:
    (goedgepickt.folder / "orders.parquet").write_bytes(b"old")
    options = ("export", "orders", "--sandbox", "--sandbox-orders", "310", "-o", "orders.parquet")
    process = goedgepickt.start(*options, "--sandbox-rate", "2/30")
    until((goedgepickt.folder / "orders.parquet.part").exists)
    process.send_signal(signal.SIGKILL)
    goedgepickt.finish(process)
    assert goedgepickt.read("orders.parquet") == b"old"
    assert goedgepickt(*options, "--sandbox-rate", "off").code == 0
    assert len(set(uuids(goedgepickt.folder / "orders.parquet"))) == 310
    assert not (goedgepickt.folder / "orders.parquet.part").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("orders", "--format", "parquet"), "cannot be a stream"),
        (("orders", "-o", "o.parquet", "--resume", "r"), "--resume cannot continue it"),
        (("orders", "-o", "o.parquet", "--lines"), "--lines writes a row for each line"),
    ],
)
def test_options_that_cannot_be_combined_are_refused(inside: Inside, options: tuple[str, ...], said: str) -> None:
    done = inside("export", *options, *FAST)
    assert (done.code, said in done.err) == (2, True), done.err


@pytest.mark.slow
def test_a_parquet_file_for_each_night_has_each_row_once(inside: Inside, sandbox: Sandbox, tmp_path: Path) -> None:
    rows: list[Any] = []
    for night in (1, 2):
        sandbox.world.add_order(createDate=f"2026-11-0{night} 09:00:00")
        done = inside("export", "orders", "-o", f"{night}.parquet", "--since-last")
        assert done.code == 0, done.err
        rows += uuids(tmp_path / f"{night}.parquet")
    assert len(rows) == len(set(rows)) == 68
    done = inside("export", "orders", "-o", "2.parquet", "--since-last")
    assert (done.code, "cannot be appended" in done.err) == (2, True)


@pytest.mark.slow
@pytest.mark.parametrize("finish", [True, False])
def test_on_windows_the_file_is_closed_before_it_is_renamed_or_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finish: bool
) -> None:
    output = AtomicFile(tmp_path / "orders.parquet")
    output.begin(None, None)
    output.append(b"rows")
    for name in ("replace", "unlink"):
        real = getattr(Path, name)

        def strict(path: Path, *target: Path, real: Callable[..., object] = real) -> object:
            assert output._file is None, "Windows refuses it for an open file"
            return real(path, *target)

        monkeypatch.setattr(Path, name, strict)
    monkeypatch.setattr("sys.platform", "win32")
    if finish:
        output.finish()
    output.close()
    assert [path.name for path in tmp_path.iterdir()] == ["orders.parquet"] * finish


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_crash_around_the_renaming_loses_and_doubles_nothing(
    inside: Inside, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    finish = AtomicFile.finish

    class Killed(BaseException):
        """As good as kill -9, but for what `finally` does."""

    def crash(output: AtomicFile) -> None:
        if moment == "after":
            finish(output)
        output._file = None  # a killed process removes nothing
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(AtomicFile, "finish", crash)
        with pytest.raises(Killed):
            inside("export", "orders", "-o", "1.parquet", "--since-last")
    sandbox.world.add_order(createDate="2026-11-02 09:00:00")
    done = inside("export", "orders", "-o", "2.parquet", "--since-last")
    assert done.code == 0, done.err
    assert len(uuids(tmp_path / "1.parquet")) == 66
    assert len(uuids(tmp_path / "2.parquet")) == 1
    (path,) = (tmp_path / "state" / "goedgepickt").glob("*.json")
    kept = checkpoints.load_checkpoint(path)
    assert kept is not None
    assert (kept.running, kept.renaming) == (None, None)
