"""All benchmarks in one run: what `nox -s bench` does.

Run it as `python benchmarks/run.py [name ...]`. It prints the tables as Markdown; `--write` puts them into `README.md`
in the same directory, between the markers of each benchmark. So all figures there come from a run. It exits with 1 if a
goal was missed or a benchmark failed.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import re
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import attrs
from _harness import Table

_HERE = Path(__file__).parent
_README = _HERE / "README.md"


@attrs.frozen
class Benchmark:
    """A script and how it is run here; `packages` are those whose versions its figures depend on."""

    name: str
    arguments: tuple[str, ...] = ()
    packages: tuple[str, ...] = ("aiohttp",)

    @property
    def command(self) -> list[str]:
        """What to type."""
        return ["python", f"benchmarks/{self.name.partition('-')[0]}.py", *self.arguments]


_MODELS = ("attrs", "cattrs", "msgspec", "orjson", "pydantic")
_BENCHMARKS = (
    Benchmark("decode", packages=_MODELS),
    Benchmark("decode-shapes", ("--shapes", "--rounds", "11"), ("attrs", "cattrs", "orjson", "pydantic")),
    Benchmark("end_to_end", packages=("aiohttp", "attrs", "cattrs", "httpx", "openapi-python-client", "orjson")),
    Benchmark("memory", packages=("aiohttp", "cyclopts", *_MODELS)),
    Benchmark("export"),
    Benchmark("budget", packages=("aiohttp", "aiolimiter")),
    Benchmark("bulk"),
    Benchmark("webhooks"),
)
_APART = (Benchmark("soak"),)
"""Run only when they are asked for."""


def main() -> int:
    known = {benchmark.name: benchmark for benchmark in (*_BENCHMARKS, *_APART)}
    made = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    made.add_argument("names", nargs="*", metavar="name", help=f"only these: {', '.join(known)}")
    made.add_argument("--write", action="store_true", help="into README.md, too")
    chosen = made.parse_args()
    if unknown := set(chosen.names) - known.keys():
        made.error(f"there is no {', '.join(sorted(unknown))}")
    failed = 0
    for benchmark in [known[name] for name in chosen.names] or _BENCHMARKS:
        code, text = _run(benchmark)
        failed += code != 0
        print(f"{text}\n", flush=True)
        if chosen.write and text:
            _write(benchmark, text)
    return 1 if failed else 0


def _run(benchmark: Benchmark) -> tuple[int, str]:
    """The exit code, and the tables with what they were measured on; empty if the script printed no tables."""
    began = time.monotonic()
    command = [sys.executable, str(_HERE / Path(benchmark.command[1]).name), *benchmark.arguments, "--json"]
    print(f"{' '.join(benchmark.command)} ...", file=sys.stderr, flush=True)
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    tables = [Table.of(json.loads(line)) for line in done.stdout.splitlines()]
    if not tables:
        return done.returncode or 1, ""
    took = time.monotonic() - began
    return done.returncode, "\n\n".join([*map(str, tables), _measured_on(benchmark, took)])


def _measured_on(benchmark: Benchmark, took: float) -> str:
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in benchmark.packages)
    python = f"{platform.python_implementation()} {platform.python_version()}"
    machine = f"{platform.system()} on {platform.machine()}, {os.cpu_count()} cores"
    day = datetime.now(UTC).date()
    return f"*`{' '.join(benchmark.command)}`: {took:.0f} s on {day}; {python}, {versions}; {machine}.*"


def _write(benchmark: Benchmark, text: str) -> None:
    begin, end = (f"<!-- {which}: {benchmark.name} -->" for which in ("begin", "end"))
    readme = _README.read_text(encoding="utf-8")
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    written, number = pattern.subn(lambda _: f"{begin}\n{text}\n{end}", readme)
    if number != 1:
        raise SystemExit(f"{_README.name} has {number} places for {benchmark.name}")
    _README.write_text(written, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
