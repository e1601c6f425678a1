"""Tests do not sleep to wait for something: events decide, or time is virtual (`tests/support/waiting.py`, `virtual_time`).

A sleep of a moment, or a time limit below ten seconds, depends on the speed of the machine. Those that do not are named
below, with the reason.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent
LEAST = 10.0
"""Seconds that a time limit has, at least: a busy machine stands still for some."""

VIRTUAL = "it runs on a clock that jumps: `VirtualClock.run`"
NEVER = "it ends a wait for what never comes; on a slow machine it only lasts longer"
LONGER = "the test holds however short or long this turns out; it gives others a chance to be wrong"
POLL = "a loop asks again until the condition holds"

ALLOWED = {
    "browser/test_page.py::until": POLL,
    "budget/test_conformance.py::test_loops_that_wait_come_to_rest::is_at_rest": LONGER,
    "budget/test_fairness.py::call": VIRTUAL,
    "budget/test_fairness.py::test_a_single_call_of_a_tenant_waits_less_than_a_window_behind_three_hundred_of_another::main": VIRTUAL,
    "budget/test_fairness.py::test_calls_that_gave_up_do_not_push_their_tenant_back::main": VIRTUAL,
    "budget/test_fairness.py::test_processes_that_share_a_file_take_turns_and_lanes_hold_across_them::main": VIRTUAL,
    "budget/test_host.py::test_a_process_that_stays_in_the_file_holds_nobody_up_for_long::heart": LONGER,
    "budget/test_host.py::test_whoever_waits_hears_soon_of_what_another_process_gave_back": LONGER,
    "budget/test_redis_loops.py::test_a_loop_that_ends_carries_what_its_cancelled_callers_settled::leave_it_running": LONGER,
    "budget/test_redis_loops.py::test_what_one_thread_settles_wakes_whoever_waits_in_another::hold": LONGER,
    "budget/test_redis_processes.py::test_redis_killed_and_restarted_in_the_middle_costs_no_429": LONGER,
    "client/test_session.py::test_a_client_that_is_forgotten_says_where_it_was_made": LONGER,
    "client/test_session.py::test_closing_while_the_loop_was_busy_raises_nothing_and_closes": NEVER,
    "recipes/test_deployment.py::status": POLL,
    "sandbox/test_deliveries.py::test_a_receiver_that_is_always_too_slow_is_given_up": NEVER,
    "testing/test_clock.py::test_a_byte_of_its_own_goes_over_the_loopback_and_leaves_nothing_behind": VIRTUAL,
    "testing/test_clock.py::test_a_thread_at_work_is_waited_for_and_time_stands_still_until_it_is_done::work": LONGER,
    "testing/test_clock.py::test_a_thread_that_never_ends_does_not_hold_up_a_time_limit::main": NEVER,
    "testing/test_clock.py::test_it_can_be_closed_twice_and_used_again": VIRTUAL,
    "webhooks/test_applications.py::delivered": POLL,
    "webhooks/test_calling.py::test_a_handler_can_have_a_time_of_its_own": NEVER,
    "webhooks/test_calling.py::test_handlers_that_hang_time_out_and_do_not_stop_the_others": NEVER,
    "webhooks/test_calling.py::test_plain_handlers_that_hang_are_bounded": NEVER,
    "webhooks/test_receiver.py::test_a_body_that_never_ends_is_a_408": NEVER,
    "webhooks/test_receiver.py::test_at_most_so_many_handlers_run_at_once::handle": LONGER,
    "webhooks/test_receiver.py::test_one_product_is_in_one_hand_at_a_time_and_others_do_not_wait::handle": LONGER,
    "webhooks/test_receiver.py::test_stopping_finishes_what_lies_in_memory::handle": LONGER,
    "webhooks/test_redis_example.py::test_what_is_not_finished_in_its_lease_is_anybodys": LONGER,
    "webhooks/test_server.py::test_a_body_that_takes_too_long_is_a_408": NEVER,
    "webhooks/test_server.py::test_a_connection_without_complete_headers_is_closed_after_a_while": NEVER,
    "webhooks/test_server.py::test_evicted_connections_are_reported_once": LONGER,
}
"""Functions that may, and why."""


def _is_virtual(node: ast.AST) -> bool:
    marks = getattr(node, "decorator_list", [])
    return any("virtual_time" in ast.unparse(mark) for mark in marks)


def _number(node: ast.expr | None) -> float | None:
    return float(node.value) if isinstance(node, ast.Constant) and isinstance(node.value, int | float) else None


def _is_hurried(call: ast.Call) -> bool:
    """Whether a call ends a wait by the clock, soon."""
    name = ast.unparse(call.func).rpartition(".")[2]
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


def _waits(node: ast.AST, place: str) -> Iterator[str]:
    """The functions below a node that hold such a call."""
    for child in ast.iter_child_nodes(node):
        if _is_virtual(child) or _polls(child):
            continue
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from _waits(child, f"{place}::{child.name}")
            continue
        if isinstance(child, ast.Call) and _is_hurried(child):
            yield place
        yield from _waits(child, place)


def found() -> set[str]:
    """All places, as `file::function`."""
    places: set[str] = set()
    for path in sorted(ROOT.rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        if not any(
            isinstance(node, ast.Assign) and "pytestmark" in ast.unparse(node) and "virtual_time" in ast.unparse(node)
            for node in tree.body
        ):
            places |= set(_waits(tree, path.relative_to(ROOT).as_posix()))
    return places


def test_no_test_depends_on_the_speed_of_the_machine() -> None:
    places = found()
    assert sorted(places - ALLOWED.keys()) == []
    assert sorted(ALLOWED.keys() - places) == [], "these are mended: take them off the list"


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
    assert list(_waits(ast.parse(code), "x")) == ["x::a", "x::b", "x::c", "x::f", "x::g"]
