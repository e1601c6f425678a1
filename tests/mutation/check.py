"""Mutation tests of the pure cores: each small change of their code must make a test fail.

Run it as `python -m tests.mutation.check [CORE ...] [--share 0.2] [--seed 1]`. One interpreter imports what a core's tests
need. Each mutant is a fork of it, with the changed source in place of the module. A mutant that uses up its processor time
counts as killed. Survivors are printed with their line: write a better test, or explain them in `SURVIVORS`.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib
import importlib.util
import os
import random
import resource
import sys
from collections.abc import Callable, Iterator
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import aiohttp  # noqa: F401  for all forks, once; so are the others
import attrs
import cattrs  # noqa: F401
import hypothesis  # noqa: F401
import pytest
import pytest_asyncio  # noqa: F401

ROOT = Path(__file__).parents[2]
GOAL: Final = 0.95
"""What share of the mutants is killed, at least."""

CPU_SECONDS: Final = 120
"""Of one mutant; the tests of a core take some seconds."""


@attrs.frozen(kw_only=True)
class Core:
    """What is mutated, and the tests that are to notice."""

    module: str
    tests: tuple[str, ...]

    @property
    def path(self) -> Path:
        return ROOT / (self.module.replace(".", "/") + ".py")


CORES: Final = {
    "counter": Core(
        module="goedgepickt_async.budget.server_counter",
        tests=("tests/budget/test_server_counter.py", "tests/budget/test_foreign_traffic.py"),
    ),
    "slots": Core(
        module="goedgepickt_async.budget.slots", tests=("tests/budget/test_slots.py", "tests/budget/test_headers.py")
    ),
    "verdict": Core(
        module="goedgepickt_async._transport.verdict",
        tests=("tests/transport/test_refusal.py", "tests/transport/test_evidence.py"),
    ),
    "paging": Core(module="goedgepickt_async.paging.reader", tests=("tests/paging",)),
    "signature": Core(module="goedgepickt_async.webhooks.signature", tests=("tests/webhooks/test_signature.py",)),
    "products": Core(
        module="goedgepickt_async.bulk.products", tests=("tests/bulk/test_judging.py", "tests/bulk/test_plan_checks.py")
    ),
    "stock": Core(
        module="goedgepickt_async.bulk.stock", tests=("tests/bulk/test_judging.py", "tests/bulk/test_plan_checks.py")
    ),
}

SURVIVORS: Final = {
    "highest = -1 if self.highest is None else self.highest | 1 -> 2": "`load` reads every number below 0 as None",
}
"""Mutants that no test can kill, by their line and change, and why."""


# -- mutants ----------------------------------------------------------------------------------------------------------

_COMPARISONS: Final[dict[type[ast.AST], type[ast.cmpop]]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_OPERATORS: Final[dict[type[ast.AST], type[ast.operator]]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult, ast.Div: ast.Mult, ast.Mod: ast.Mult,
    ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr,
}  # fmt: skip
Change = Callable[[Any], object]
"""Changes a node in place."""

_CALLS: Final = {"min": "max", "max": "min", "any": "all", "all": "any"}


@attrs.frozen
class Mutant:
    """One change of one line."""

    line: int
    change: str
    source: str


def mutants(path: Path) -> Iterator[Mutant]:
    """All changes of a file, in the order of its lines."""
    source = path.read_text("utf-8")
    tree = ast.parse(source)
    lines = source.splitlines()
    places = [node for node in ast.walk(tree) if isinstance(node, ast.expr | ast.stmt)]
    annotations = {id(inner) for node in ast.walk(tree) for inner in _unread(node)}
    for number, node in enumerate(places):
        if id(node) in annotations:
            continue
        for change in _changes(node):
            changed = copy.deepcopy(tree)
            other = [each for each in ast.walk(changed) if isinstance(each, ast.expr | ast.stmt)][number]
            before = ast.unparse(other)
            change(other)
            yield Mutant(
                node.lineno,
                f"{lines[node.lineno - 1].strip()} | {before} -> {ast.unparse(other)}",
                ast.unparse(changed),
            )


def _unread(node: ast.AST) -> Iterator[ast.AST]:
    """Return what does not run, or is text only: annotations, docstrings, messages of errors, `__all__`."""
    match node:
        case ast.arg(annotation=ast.AST() as inner) | ast.AnnAssign(annotation=inner):
            yield from ast.walk(inner)
        case ast.Expr(value=ast.Constant() as inner):
            yield inner
        case ast.Raise() | ast.JoinedStr():
            yield from ast.walk(node)
        case ast.Assign(targets=[ast.Name(id="__all__")]):
            yield from ast.walk(node)
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.returns is not None:
        yield from ast.walk(node.returns)
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
        yield from ast.walk(node)


def _changes(node: ast.AST) -> Iterator[Change]:
    match node:
        case ast.Compare(ops=[one]) if type(one) in _COMPARISONS:
            yield lambda other: other.ops.__setitem__(0, _COMPARISONS[type(one)]())
        case ast.BinOp(op=one) | ast.AugAssign(op=one) if type(one) in _OPERATORS:
            yield lambda other: setattr(other, "op", _OPERATORS[type(one)]())
        case ast.BoolOp(op=one):
            yield lambda other: setattr(other, "op", ast.Or() if isinstance(one, ast.And) else ast.And())
        case ast.UnaryOp(op=ast.Not()):
            yield lambda other: setattr(other, "operand", ast.UnaryOp(ast.Not(), other.operand))
        case ast.Constant(value=int() | float() as value):
            yield lambda other: setattr(other, "value", not value if isinstance(value, bool) else value + 1)
        case ast.If() | ast.IfExp() | ast.While():
            yield lambda other: setattr(other, "test", ast.UnaryOp(ast.Not(), other.test))
        case ast.Call(func=ast.Name(id=name)) if name in _CALLS:
            yield lambda other: setattr(other.func, "id", _CALLS[name])


# -- running them ------------------------------------------------------------------------------------------------------


class _Swap(Loader):
    """Loads a module from changed source, wherever it is imported from."""

    def __init__(self, module: str, path: Path, source: str) -> None:
        self.module, self.path, self.source = module, path, source

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> ModuleSpec | None:
        return importlib.util.spec_from_loader(name, self, origin=str(self.path)) if name == self.module else None

    def exec_module(self, module: ModuleType) -> None:
        module.__file__ = str(self.path)
        exec(compile(self.source, str(self.path), "exec"), module.__dict__)


def _is_killed(core: Core, mutant: Mutant) -> bool:
    pid = os.fork()
    if pid == 0:
        quiet = os.open(os.devnull, os.O_RDWR)
        for number in range(3):
            os.dup2(quiet, number)
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
        sys.meta_path.insert(0, _Swap(core.module, core.path, mutant.source))
        try:
            importlib.import_module(core.module)  # before pytest imports it with its own loader
            failed = _tests_fail(core)
        except BaseException:  # such as an endless recursion
            failed = True
        os._exit(int(failed))
    return os.waitpid(pid, 0)[1] != 0


def _tests_fail(core: Core) -> bool:
    options = [
        "-q",
        "-x",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:randomly",
        "-p",
        "no:schemathesis",
        "-p",
        "no:xdist",
        "--no-header",
        "-m",
        "not slow",
        "-W",
        "ignore::pytest.PytestAssertRewriteWarning",
    ]
    try:
        return pytest.main([*options, *core.tests]) != 0
    except BaseException:
        return True


def _survivors(core: Core, sample: list[Mutant]) -> Iterator[Mutant]:
    return (mutant for mutant in sample if not _is_killed(core, mutant) and mutant.change not in SURVIVORS)


def main() -> int:
    """Print what survives; 1 if fewer than 95 of 100 mutants of a core are killed."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("cores", nargs="*", default=list(CORES), help=f"of {', '.join(CORES)}; by default all")
    made.add_argument("--share", type=float, default=1.0, help="of the mutants, drawn at random")
    made.add_argument("--seed", type=int, default=1, help="of that draw")
    chosen = made.parse_args()
    failed = False
    for name in chosen.cores:
        core = CORES[name]
        every = list(mutants(core.path))
        sample = random.Random(chosen.seed).sample(every, max(1, round(len(every) * chosen.share)))
        if _is_killed(core, Mutant(0, "", core.path.read_text("utf-8"))):
            print(f"{name}: its tests fail without any change", flush=True)
            failed = True
            continue
        lived = 0
        for mutant in _survivors(core, sample):
            lived += 1
            print(f"  lives: {core.path.name}:{mutant.line}: {mutant.change}", flush=True)
        print(f"{name}: {len(sample) - lived} of {len(sample)} killed or explained", flush=True)
        failed = failed or lived > len(sample) * (1 - GOAL)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
