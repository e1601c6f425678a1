"""The benchmarks still run, in a small size; no figure is looked at. Those that take longer are left to `nox -s bench`."""

import contextlib
import gc
import importlib.util
import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

Tables = Callable[..., list[dict[str, Any]]]
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SMALL = {
    "bulk.py": ("--scale", "0.002", "--period", "0.2", "--period-each", "0.2"),
    "export.py": ("--orders", "400", "--period", "0.5"),
}
"""Those that need the package only."""
needs_contenders = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("msgspec", "openapi_python_client", "orjson", "pydantic")),
    reason="the dependency group bench is not installed",
)


@pytest.fixture
def tables_of(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Tables]:
    """Runs a benchmark, its contenders and the generator in this process: to start an interpreter costs more."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    start = subprocess.run

    def run(command: list[str], **options: Any) -> Any:
        if command[1:3] == ["-m", "openapi_python_client"]:
            with monkeypatch.context() as patch, contextlib.redirect_stdout(io.StringIO()):
                patch.setenv("PATH", options["env"]["PATH"])
                assert not importlib.import_module("openapi_python_client.cli").app(command[3:], standalone_mode=False)
            return None
        if Path(command[1]).parent != BENCHMARKS:
            return start(command, **options)
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            main(Path(command[1]).name, command[2:])
        return subprocess.CompletedProcess(command, 0, out.getvalue())

    def main(script: str, arguments: Sequence[str]) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", [script, *arguments])
            assert importlib.import_module(script.removesuffix(".py")).main() in {0, 1}

    def tables(script: str, *arguments: str) -> list[dict[str, Any]]:
        main(script, [*arguments, "--json"])
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    before = set(sys.modules)
    monkeypatch.setattr(subprocess, "run", run)
    yield tables
    gc.freeze()  # as conftest.py does: a benchmark lets go of it
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(BENCHMARKS)):
            del sys.modules[name]


def check(tables: list[dict[str, Any]]) -> None:
    assert tables
    for table in tables:
        assert table["title"]
        assert table["rows"]
        assert all(len(row) == len(table["head"]) for row in table["rows"]), table


@pytest.mark.parametrize("script", SMALL)
def test_a_benchmark_gives_whole_tables(tables_of: Tables, script: str) -> None:
    check(tables_of(script, *SMALL[script]))


@needs_contenders
def test_a_contest_over_lists_gives_whole_tables(tables_of: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.import_module("end_to_end"), "_REQUESTS", 3)
    check(tables_of("end_to_end.py", "--rows", "150", "--rounds", "2"))


@needs_contenders
def test_a_contest_on_a_page_of_ones_own_gives_a_whole_table(tables_of: Tables, tmp_path: Path) -> None:
    page = tmp_path / "orders.json"
    page.write_bytes(importlib.import_module("_pages").page("orders", 4, 0))
    (table,) = tables_of("decode.py", "--kind", "orders", "--page", str(page), "--rounds", "2")
    assert "orders.json" in table["title"]
    check([table])


def test_the_page_has_a_place_for_each_benchmark() -> None:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        spec = importlib.util.spec_from_file_location("benchmarks_run", BENCHMARKS / "run.py")
        assert spec is not None
        assert spec.loader is not None
        run = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = run
        spec.loader.exec_module(run)
    finally:
        sys.path.remove(str(BENCHMARKS))
    readme = (BENCHMARKS / "README.md").read_text(encoding="utf-8")
    names = [benchmark.name for benchmark in (*run._BENCHMARKS, *run._APART)]
    assert len(names) == 9
    for name in names:
        assert readme.count(f"<!-- begin: {name} -->") == readme.count(f"<!-- end: {name} -->") == 1
