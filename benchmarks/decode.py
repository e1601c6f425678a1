"""What it costs to turn an answer's bytes into models, in floors: the time that `orjson.loads` alone takes.

Run it as `python benchmarks/decode.py` with the `speed` extra installed. The goals are 3.0 floors for orders, 4.0 for
products. Several different pages take turns, so that no cache is warmer than it would be in a real export.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable

import orjson
from _harness import ratios
from _payload import page

from goedgepickt_async.convert import decode_rows, parse
from goedgepickt_async.models import Order, Product

_ROWS = 100
_PAGES = 8
_GOALS = {"orders": (Order, 3.0), "products": (Product, 4.0)}


def main() -> int:
    """Prints a line a kind; 1 if a goal is missed, so that a person sees it. No test depends on it."""
    missed = 0
    for kind, (cls, goal) in _GOALS.items():
        bodies = [page(kind, _ROWS, seed) for seed in range(_PAGES)]
        ratio = ratios(_turns(bodies, orjson.loads), {kind: _turns(bodies, _decoder(cls))})[kind]
        missed += ratio.median > goal
        print(f"{kind:9} {ratio}  goal {goal}  {len(bodies[0])} bytes a page")
    return 1 if missed else 0


def _decoder(cls: type[Order | Product]) -> Callable[[bytes], object]:
    return lambda body: decode_rows(parse(body)["items"], cls)


def _turns(bodies: list[bytes], work: Callable[[bytes], object]) -> Callable[[], object]:
    turn = itertools.cycle(bodies)
    return lambda: work(next(turn))


if __name__ == "__main__":
    sys.exit(main())
