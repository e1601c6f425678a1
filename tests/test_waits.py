"""Tests do not sleep to wait for something: events decide, or time is virtual (`tests/support/waiting.py`, `virtual_time`).

A sleep of a moment, or a time limit below ten seconds, depends on the speed of the machine. Those that do not are named
below, with the reason.
"""

from __future__ import annotations

import ast
import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent
LEAST = 10.0
"""Seconds that a time limit has, at least: a busy machine stands still for some."""

WORDS = ("timeout", "sleep", "wait_for")
VIRTUAL_MODULE = re.compile(r"^pytestmark = .*virtual_time", re.MULTILINE)

VIRTUAL = "it runs on a clock that jumps: `VirtualClock.run`"
NEVER = "it ends a wait for what never comes; on a slow machine it only lasts longer"
LONGER = "the test holds however short or long this turns out; it gives others a chance to be wrong"
POLL = "a loop asks again until the condition holds"

ALLOWED = {
    "browser/test_page.py": (1, POLL),
    "budget/test_conformance.py": (1, LONGER),
    "budget/test_fairness.py": (4, VIRTUAL),
    "budget/test_host.py": (2, LONGER),
    "budget/test_redis_loops.py": (2, LONGER),
    "budget/test_redis_processes.py": (1, LONGER),
    "budget/test_stores_agree.py": (1, VIRTUAL),
    "client/test_session.py": (2, NEVER),
    "recipes/test_deployment.py": (1, POLL),
    "sandbox/test_deliveries.py": (1, NEVER),
    "support/fleet.py": (1, VIRTUAL),
    "testing/test_clock.py": (4, VIRTUAL),
    "transport/test_wrong_shapes.py": (1, LONGER),
    "webhooks/test_applications.py": (1, POLL),
    "webhooks/test_calling.py": (3, NEVER),
    "webhooks/test_receiver.py": (4, LONGER),
    "webhooks/test_redis_example.py": (1, LONGER),
    "webhooks/test_server.py": (3, NEVER),
}
"""How many functions of a file may, and why."""


def _is_virtual(node: ast.AST) -> bool:
    marks = getattr(node, "decorator_list", [])
    return any("virtual_time" in ast.unparse(mark) for mark in marks)


def _number(node: ast.expr | None) -> float | None:
    return float(node.value) if isinstance(node, ast.Constant) and isinstance(node.value, int | float) else None


def _is_hurried(call: ast.Call) -> bool:
    """Whether a call ends a wait by the clock, soon."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    limits = [_number(word.value) for word in call.keywords if word.arg is not None and word.arg.endswith("timeout")]
    if name in {"sleep", "timeout"} and call.args:
        if ast.unparse(call.func) == "time.sleep":
            return True
        limits.append(_number(call.args[0]))
    if name == "wait_for" and len(call.args) > 1:
        limits.append(_number(call.args[1]))
    return any(limit is not None and 0 < limit < LEAST for limit in limits)


def _polls(node: ast.AST) -> bool:
    """Whether it is a loop that a condition ends, however slow the machine is."""
    return isinstance(node, ast.While) and not isinstance(node.test, ast.Constant)


def waits_in(text: str, place: str) -> Iterator[str]:
    """The functions in the text of a module that hold such a call."""
    lines = [number for number, line in enumerate(text.splitlines(), 1) if any(word in line for word in WORDS)]
    return _waits(ast.parse(text), place, lines) if lines else iter(())


def _waits(node: ast.AST, place: str, lines: list[int]) -> Iterator[str]:
    """The functions below a node that hold such a call; a node without any of the lines is left out."""
    for child in ast.iter_child_nodes(node):
        first, last = getattr(child, "lineno", 0), getattr(child, "end_lineno", lines[-1])
        if bisect_left(lines, first) == bisect_right(lines, last) or _is_virtual(child) or _polls(child):
            continue
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from _waits(child, f"{place}::{child.name}", lines)
            continue
        if isinstance(child, ast.Call) and _is_hurried(child):
            yield place
        yield from _waits(child, place, lines)


def found() -> set[str]:
    """All places, as `file::function`."""
    places: set[str] = set()
    for path in sorted(ROOT.rglob("*.py")):
        text = path.read_text("utf-8")
        if not VIRTUAL_MODULE.search(text):
            places |= set(waits_in(text, path.relative_to(ROOT).as_posix()))
    return places


@pytest.mark.slow
def test_no_test_depends_on_the_speed_of_the_machine() -> None:
    places = found()
    counts = Counter(place.partition("::")[0] for place in places)
    hurried = {file for file, count in counts.items() if count > ALLOWED.get(file, (0, ""))[0]}
    assert sorted(place for place in places if place.partition("::")[0] in hurried) == []


def test_a_hurried_wait_is_found() -> None:
    code = """
async def a(): await asyncio.sleep(0.1)
def b(): time.sleep(60)
async def c(): await asyncio.wait_for(x, 5)
async def d(): await asyncio.sleep(0); await asyncio.sleep(3600)
@pytest.mark.virtual_time
async def e(): await asyncio.sleep(2)
def f(): subprocess.run([], timeout=3)
async def g():
    async with asyncio.timeout(2): pass
"""
    assert list(waits_in(code, "x")) == ["x::a", "x::b", "x::c", "x::f", "x::g"]
