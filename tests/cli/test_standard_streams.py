"""Closed standard descriptors, and a stdout that cannot show every character."""

from __future__ import annotations

import io
import json
import shlex
import sys
from pathlib import Path

import pytest

from goedgepickt_async.cli import main

from .conftest import Goedgepickt, jsonl

pytestmark = pytest.mark.slow

FAST = ("--sandbox", "--sandbox-rate", "off", "--sandbox-orders", "120")


def test_in_a_new_interpreter_all_streams_may_be_closed(goedgepickt: Goedgepickt) -> None:
    export = shlex.join([sys.executable, "-m", "goedgepickt_async", "export", "orders", *FAST, "-o", "orders.jsonl"])
    done = goedgepickt.cold("sh", "-c", f"exec {export} <&- >&- 2>&-")
    assert (done.code, done.out, done.err) == (0, b"", "")
    assert len(jsonl(goedgepickt.read("orders.jsonl"))) == 120


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_a_file_is_whole_and_contains_rows_alone_with_a_closed_stream(goedgepickt: Goedgepickt, closed: str) -> None:
    done = goedgepickt.with_closed([closed], "export", "orders", *FAST, "-o", "orders.jsonl")
    assert done.code == 0, done.err
    assert len(jsonl(goedgepickt.read("orders.jsonl"))) == 120
    assert done.out == b""


def test_rows_for_a_closed_stdout_are_not_reported_as_written(goedgepickt: Goedgepickt) -> None:
    done = goedgepickt.with_closed(["stdout"], "export", "orders", *FAST)
    assert done.code == 1
    assert done.err.startswith("goedgepickt: cannot write to stdout: ")
    assert done.err.count("\n") == 1


def test_a_closed_stderr_does_not_change_the_exit_code_nor_the_data(goedgepickt: Goedgepickt) -> None:
    done = goedgepickt.with_closed(["stderr"], "export", "orders", *FAST)
    assert (done.code, done.err) == (0, "")
    assert len(done.rows) == 120
    assert goedgepickt.with_closed(["stderr"], "export", "orders", *FAST, "--limit", "0").code == 2


def test_doctor_needs_no_stdout_for_its_exit_code(goedgepickt: Goedgepickt) -> None:
    assert goedgepickt.with_closed(["stdout"], "doctor", "--sandbox").code == 0


def test_a_table_on_a_stdout_that_is_not_utf_8_has_question_marks_and_no_error(goedgepickt: Goedgepickt) -> None:
    table = ("export", "products", *FAST, "--format", "table", "--limit", "40")
    for encoding, seen in (
        ("utf-8", "Geëmailleerde"),
        ("ascii", "Ge?mailleerde"),
        ("latin-1", "Geëmailleerde"),
        ("cp1252", "Geëmailleerde"),
    ):
        done = goedgepickt.process(*table, PYTHONIOENCODING=encoding)
        assert done.code == 0, done.err
        assert seen in done.out.decode(encoding)


def test_a_stream_that_is_missing_is_replaced(goedgepickt: Goedgepickt) -> None:
    code = """
import sys
from goedgepickt_async.cli import main
sys.stdin = sys.stdout = sys.stderr = None
sys.exit(main(["doctor", "--sandbox"]))
"""
    assert goedgepickt.python(code).code == 0


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_json_on_stdout_is_utf_8_in_every_locale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("sku,name\nNEW,Kopje café 漢 €\n", encoding="utf-8")
    stdout = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stdout)
    few = ("--sandbox", "--sandbox-orders", "1", "--sandbox-products", "3", "--webshop", "Bloemwinkel 1")
    assert main(["plan", "products", str(rows), "--json", *few]) == 0
    assert isinstance(stdout.buffer, io.BytesIO)
    (create,) = json.loads(stdout.buffer.getvalue().decode())["writes"]
    assert create["desired"]["name"] == "Kopje café 漢 €"
