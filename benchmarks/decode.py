"""What it costs to turn an answer's bytes into rows, in floors: the time that `orjson.loads` alone takes.

Run it as `python benchmarks/decode.py`. Each contender has its own process. There, its samples are taken between
samples of the floor. Several different pages take turns, so that no cache is warmer than in a real export. `--shapes`
measures ours (and pydantic) on pages of other shapes instead. `--rows`, `--lines`, `--unknown` and `--non-ascii` change
the usual page. `--page orders.json` reads your own page, as the API returned it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from _decoders import CHECKS, DECODERS, KEEPS, OURS, Decode
from _harness import Ratio, Table, parser, ratios, tell
from _pages import SHAPES, Row, as_page, non_ascii, page, row, spoilt, without_unknown

_PAGES = 8
_GOALS = {"orders": 3.0, "products": 4.0}
_ALLOW = 'pydantic v2, `extra="allow"`'
_AGAINST_PYDANTIC = 0.9


def main() -> int:
    chosen = _arguments()
    if chosen.contender:
        return _measure(chosen)
    kinds = [chosen.kind] if chosen.kind else list(_GOALS)
    with tempfile.TemporaryDirectory() as directory:
        if chosen.shapes:
            return tell([_shapes(kind, chosen, directory) for kind in kinds], as_json=chosen.json)
        return tell([_contest(kind, chosen, directory) for kind in kinds], as_json=chosen.json)


def _arguments() -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--kind", choices=list(_GOALS))
    made.add_argument("--shapes", action="store_true", help="ours and pydantic on pages of other shapes")
    made.add_argument("--rows", type=int, default=100, help="of a page")
    made.add_argument("--lines", type=int, help="of each order, instead of two to six")
    made.add_argument("--unknown", type=int, help="unknown keys in each row, instead of five")
    made.add_argument("--non-ascii", action="store_true", help="free text in another script")
    made.add_argument("--page", type=Path, help="a page of your own instead")
    made.add_argument("--rounds", type=int, default=31, help="samples of each contender")
    made.add_argument("--contender", choices=list(DECODERS), help=argparse.SUPPRESS)
    made.add_argument("--bodies", type=Path, nargs="*", help=argparse.SUPPRESS)
    made.add_argument("--bad", action="store_true", help=argparse.SUPPRESS)
    chosen = made.parse_args()
    if chosen.page is not None and chosen.kind is None:
        made.error("--page needs --kind: orders or products")
    return chosen


# -- the contest


def _contest(kind: str, chosen: argparse.Namespace, directory: str) -> Table:
    bodies = _bodies(kind, chosen)
    table = Table(
        f"A page of {kind} from bytes to rows ({chosen.page or f'{chosen.rows} rows'}, {len(bodies[0]) // 1024} KiB)",
        ["way", "floors", "quartiles", "keeps unknown keys", "checks types"],
        "One floor is `orjson.loads` of the same bytes.",
    )
    table.add("floor: `orjson.loads`, dicts", "1.00", "", "yes", "no")
    files = _write(bodies, directory)
    found = {name: _ask(name, kind, files, chosen.rounds) for name in DECODERS}
    for name, ratio in found.items():
        keeps, checks = ("yes" if name in those else "no" for those in (KEEPS, CHECKS))
        table.add(name, *_cells(ratio), keeps, checks)
    ours, theirs = found[OURS], found[_ALLOW]
    assert ours is not None
    table.at_most(f"{kind}, in floors", ours.median, _GOALS[kind])
    if theirs is not None:
        share = ours.median / theirs.median
        table.note += f' Ours takes {share:.2f} of the time of pydantic with `extra="allow"`.'
        table.at_most(f"{kind}, against pydantic", share, _AGAINST_PYDANTIC)
    return table


def _shapes(kind: str, chosen: argparse.Namespace, directory: str) -> Table:
    table = Table(
        f"A page of {kind} of another shape, from bytes to rows",
        ["page", "ours, floors", f"{_ALLOW}, floors", "ours in pydantics"],
        "One floor is `orjson.loads` of the same bytes, which differ from line to line: only the last column can be "
        "compared between lines. A dash: it refuses the page.",
    )
    for name, reshape in {"the usual one": lambda usual, _: usual, **SHAPES}.items():
        files = _write([page(kind, chosen.rows, seed, reshape) for seed in range(_PAGES)], directory)
        ours, theirs = (_ask(way, kind, files, chosen.rounds) for way in (OURS, _ALLOW))
        assert ours is not None
        table.add(name, *_compared(ours, theirs))
    files = _write([_with_a_bad_row(kind, chosen.rows, seed) for seed in range(_PAGES)], directory)
    ours, theirs = (_ask(way, kind, files, chosen.rounds, "--bad") for way in (OURS, _ALLOW))
    assert ours is not None
    table.add("a bad row: refused, each bad value named", *_compared(ours, theirs))
    return table


def _compared(ours: Ratio, theirs: Ratio | None) -> tuple[str, str, str]:
    ratio = "-" if theirs is None else f"{ours.median / theirs.median:.2f}"
    return _cells(ours)[0], _cells(theirs)[0], ratio


def _cells(ratio: Ratio | None) -> tuple[str, str]:
    return (
        ("-", "refuses the page") if ratio is None else (f"{ratio.median:.2f}", f"{ratio.low:.2f} to {ratio.high:.2f}")
    )


# -- the pages


def _bodies(kind: str, chosen: argparse.Namespace) -> list[bytes]:
    if chosen.page is not None:
        return [chosen.page.read_bytes()]
    return [as_page([_changed(row(kind, rng), rng, chosen) for _ in range(chosen.rows)]) for rng in _draws()]


def _draws() -> Iterable[random.Random]:
    return (random.Random(seed) for seed in range(_PAGES))


def _changed(usual: Row, rng: random.Random, chosen: argparse.Namespace) -> Row:
    """A row of the usual page, as the command line describes it."""
    made = dict(usual)
    if chosen.lines is not None and "products" in made:
        made["products"] = [dict(rng.choice(usual["products"])) for _ in range(chosen.lines)]
    if chosen.unknown is not None:
        made = without_unknown(made, rng)
        made |= {f"customField{number}": "x" * rng.randint(0, 20) for number in range(chosen.unknown)}
    return non_ascii(made, rng) if chosen.non_ascii else made


def _with_a_bad_row(kind: str, number: int, seed: int) -> bytes:
    rng = random.Random(seed)
    rows = [row(kind, rng) for _ in range(number)]
    rows[number // 2] = spoilt(rows[number // 2])
    return as_page(rows)


def _write(bodies: list[bytes], directory: str) -> list[Path]:
    files = [Path(directory) / f"{number}.json" for number in range(len(bodies))]
    for file, body in zip(files, bodies, strict=True):
        file.write_bytes(body)
    return files


# -- a contender in its own process


def _ask(name: str, kind: str, files: list[Path], rounds: int, *options: str) -> Ratio | None:
    """What a contender costs; None if it refuses the page."""
    command = [sys.executable, __file__, "--contender", name, "--kind", kind, "--rounds", str(rounds), *options]
    done = subprocess.run([*command, "--bodies", *map(str, files)], stdout=subprocess.PIPE, text=True, check=True)
    samples = json.loads(done.stdout)
    return None if samples is None else Ratio(samples)


def _measure(chosen: argparse.Namespace) -> int:
    import orjson  # noqa: PLC0415  the floor's process is the contender's

    bodies, name = [file.read_bytes() for file in chosen.bodies], chosen.contender
    decode = DECODERS[name](chosen.kind)
    refusals = [refusal for body in bodies if (refusal := _refusal(decode, body))]
    if refusals and not chosen.bad:
        print(f"{name} refuses the page: {refusals[0][:300]}", file=sys.stderr)
        print("null")
        return 0
    assert len(refusals) == (len(bodies) if chosen.bad else 0), "a bad page was read"
    work: Callable[[bytes], object] = (lambda body: _refusal(decode, body)) if chosen.bad else decode
    ratio = ratios(_turns(bodies, orjson.loads), {name: _turns(bodies, work)}, rounds=chosen.rounds)[name]
    print(json.dumps(ratio.samples))
    return 0


def _refusal(decode: Decode, body: bytes) -> str | None:
    """Why a page is not read; the text names the problem in it."""
    try:
        decode(body)
    except Exception as error:  # noqa: BLE001  each library has errors of its own
        return str(error)
    return None


def _turns(bodies: list[bytes], work: Callable[[bytes], Any]) -> Callable[[], object]:
    turn = itertools.cycle(bodies)
    return lambda: work(next(turn))


if __name__ == "__main__":
    sys.exit(main())
