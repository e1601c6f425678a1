"""The benchmarks still run, in a small size; no figure is looked at. Those that take longer are left to `nox -s bench`."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SMALL = {
    "bulk.py": ("--scale", "0.002", "--period", "0.2", "--period-each", "0.2"),
    "export.py": ("--orders", "400", "--period", "0.5"),
}
"""Those that need the package only."""
CONTEST = {
    "decode.py": ("--kind", "orders", "--rows", "4", "--rounds", "2"),
    "end_to_end.py": ("--rows", "150", "--rounds", "2"),
}
"""Those that need the dependency group `bench`."""

needs_contenders = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("msgspec", "openapi_python_client", "orjson", "pydantic")),
    reason="the dependency group bench is not installed",
)


def tables_of(script: str, *arguments: str) -> list[dict[str, Any]]:
    name, *options = script.split()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / name), *options, *arguments, "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        env=environment | {"PYTHONPATH": str(BENCHMARKS.parent)},
    )
    assert done.returncode in {0, 1}, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def check(tables: list[dict[str, Any]]) -> None:
    assert tables
    for table in tables:
        assert table["title"]
        assert table["rows"]
        assert all(len(row) == len(table["head"]) for row in table["rows"]), table


@pytest.mark.parametrize("script", SMALL)
def test_a_benchmark_gives_whole_tables(script: str) -> None:
    check(tables_of(script, *SMALL[script]))


@needs_contenders
@pytest.mark.parametrize("script", CONTEST)
def test_a_contest_gives_whole_tables(script: str) -> None:
    check(tables_of(script, *CONTEST[script]))


@needs_contenders
def test_a_page_of_ones_own_can_be_measured(tmp_path: Path) -> None:
    page = tmp_path / "orders.json"
    page.write_text(json.dumps({"items": [{"uuid": "a", "status": "open", "products": []}]}), encoding="utf-8")
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
