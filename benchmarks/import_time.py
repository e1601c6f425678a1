"""What importing costs, in imports of aiohttp; and `goedgepickt --help`.

Run it as `python benchmarks/import_time.py`. Each import has a new process; its CPU time (user and system) less that of a
bare interpreter is what is compared. The processes come in a new order each round. All byte code is compiled before, as
pip does it on installing; it is kept in a directory of the benchmark's own.
"""

from __future__ import annotations

import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile

from _report import Table, parser, tell

_NOTHING = "a bare interpreter"
_AIOHTTP = "`import aiohttp`"
_PACKAGE = "`import goedgepickt_async`"
_CLIENT = "`from goedgepickt_async import GoedGepickt`"
_COMMANDS = {
    _NOTHING: ["-c", "pass"],
    _AIOHTTP: ["-c", "import aiohttp"],
    _PACKAGE: ["-c", "import goedgepickt_async"],
    _CLIENT: ["-c", "from goedgepickt_async import GoedGepickt"],
    "and a client made: `GoedGepickt(key)`": ["-c", "from goedgepickt_async import GoedGepickt; GoedGepickt('key')"],
    "a model alone: `from goedgepickt_async import Order`": ["-c", "from goedgepickt_async import Order"],
    "`goedgepickt --help`": ["-m", "goedgepickt_async", "--help"],
    "`goedgepickt --version`": ["-m", "goedgepickt_async", "--version"],
}
_GOALS = {_CLIENT: 1.35, _PACKAGE: 0.05}


def main() -> int:
    made = parser(__doc__)
    made.add_argument("--rounds", type=int, default=15)
    rounds = made.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        return tell([_table(_all_seconds(rounds.rounds, directory))], as_json=rounds.json)


def _all_seconds(rounds: int, directory: str) -> dict[str, list[float]]:
    environment = os.environ | {"PYTHONPYCACHEPREFIX": directory}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    spent: dict[str, list[float]] = {name: [] for name in _COMMANDS}
    names = list(_COMMANDS)
    for number in range(rounds + 1):
        random.shuffle(names)
        for name in names:
            found = _seconds(_COMMANDS[name], environment)
            if number:  # the first round compiles
                spent[name].append(found)
    return spent


def _table(spent: dict[str, list[float]]) -> Table:
    table = Table(
        "Import time and start of the command",
        ["what", "ms of CPU above a bare interpreter", "in imports of aiohttp"],
        f"A bare interpreter takes {_milliseconds(spent[_NOTHING]):.0f} ms. Medians of {len(spent[_NOTHING])} processes each.",
    )
    nothing = _milliseconds(spent[_NOTHING])
    aiohttp = _milliseconds(spent[_AIOHTTP]) - nothing
    for name, samples in spent.items():
        if name == _NOTHING:
            continue
        above = _milliseconds(samples) - nothing
        table.add(name, f"{above:.1f}", f"{above / aiohttp:.2f}")
        if name in _GOALS:
            table.at_most(name, above / aiohttp, _GOALS[name])
    return table


def _milliseconds(samples: list[float]) -> float:
    return statistics.median(samples) * 1_000


def _seconds(command: list[str], environment: dict[str, str]) -> float:
    """CPU time of a process and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


if __name__ == "__main__":
    sys.exit(main())
