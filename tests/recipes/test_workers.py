"""The tasks of docs/howto/workers.md run again where that is safe, and nowhere else."""

import importlib.util
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from goedgepickt_async import (
    BudgetExhaustedError,
    Evidence,
    GoedGepickt,
    NotFoundError,
    OutcomeUnknownError,
    PagingError,
    RetryPolicy,
    ServerError,
)
from goedgepickt_async.sandbox import Sandbox, faults
from tests.recipes.pages import block, blocks, module
from tests.support.tables import each_row

PAGE = "workers.md"
ONCE = RetryPolicy(max_attempts=1, max_refusals=0)
"""The client gives up immediately, so that the queue has something to do."""

needs_taskiq = pytest.mark.skipif(importlib.util.find_spec("taskiq") is None, reason="taskiq is not installed")
needs_celery = pytest.mark.skipif(importlib.util.find_spec("celery") is None, reason="Celery is not installed")


@asynccontextmanager
async def at_work(folder: Path, sandbox: Sandbox, client: GoedGepickt, monkeypatch: Any) -> AsyncIterator[ModuleType]:
    """The page's worker, started, with a client that is quick to give up."""
    monkeypatch.setenv("GOEDGEPICKT_API_KEY", sandbox.api_key)
    monkeypatch.chdir(folder)
    tasks = module(folder, "tasks", blocks(PAGE, "may-run-again", "taskiq"))
    await tasks.broker.startup()
    await tasks.broker.state.gg.close()
    tasks.broker.state.gg = client
    try:
        yield tasks
    finally:
        await tasks.broker.shutdown()


def mutations(sandbox: Sandbox) -> list[tuple[int, bool]]:
    """The stock mutations that arrived: their quantity, and whether they were carried out."""
    arrivals = [recorded for recorded in sandbox.requests if recorded.path.endswith("/stock-mutation")]
    return [(recorded.body["mutation"], recorded.applied) for recorded in arrivals]


def a_product(sandbox: Sandbox) -> str:
    return str(next(row["uuid"] for row in sandbox.world.products if row["sku"] == "SB-00000"))


@needs_taskiq
async def test_a_write_that_was_refused_runs_again(
    tmp_path: Path, sandbox: Sandbox, make_client: Callable[..., GoedGepickt], monkeypatch: Any
) -> None:
    client = make_client(sandbox.url, sandbox.api_key, retry=ONCE)
    async with at_work(tmp_path, sandbox, client, monkeypatch) as tasks:
        sandbox.fail("PUT", "*/stock-mutation", faults.TooManyRequests(retry_after="0", headers=False), times=2)
        task = await tasks.write_off.kiq(a_product(sandbox), 3)
        result = await task.wait_result(check_interval=0.01, timeout=240)
    assert not result.is_err
    assert mutations(sandbox) == [(-3, False), (-3, False), (-3, True)]


@needs_taskiq
@pytest.mark.parametrize("applied", [True, False])
async def test_a_write_that_may_have_been_carried_out_never_runs_again(
    tmp_path: Path, sandbox: Sandbox, make_client: Callable[..., GoedGepickt], monkeypatch: Any, *, applied: bool
) -> None:
    client = make_client(sandbox.url, sandbox.api_key, retry=ONCE)
    async with at_work(tmp_path, sandbox, client, monkeypatch) as tasks:
        sandbox.fail("PUT", "*/stock-mutation", faults.Drop(applied=applied))
        task = await tasks.write_off.kiq(a_product(sandbox), 3)
        result = await task.wait_result(check_interval=0.01, timeout=240)
    assert isinstance(result.error, OutcomeUnknownError)
    assert mutations(sandbox) == [(-3, applied)]


@needs_taskiq
async def test_levels_are_pushed_again_until_they_are_there_and_no_write_is_doubled(
    tmp_path: Path, sandbox: Sandbox, make_client: Callable[..., GoedGepickt], monkeypatch: Any
) -> None:
    webshop = sandbox.world.webshops[0]["uuid"]
    client = make_client(sandbox.url, sandbox.api_key, retry=ONCE, webshop_uuid=webshop)
    levels = {"SB-00000": 70, "SB-00002": 71}
    async with at_work(tmp_path, sandbox, client, monkeypatch) as tasks:
        sandbox.fail("GET", "/products*", faults.Status(500), times=2)
        sandbox.fail("PUT", "*/stock-mutation", faults.TooManyRequests(retry_after="0", headers=False))
        task = await tasks.push_levels.kiq(levels)
        result = await task.wait_result(check_interval=0.01, timeout=240)
        assert not result.is_err
        found = [await client.products.find_by_sku(sku) for sku in levels]
    assert [product.stock.free_stock for product in found if product and product.stock] == [70, 71]
    assert sum(applied for _, applied in mutations(sandbox)) == len(levels)
    assert list((tmp_path / "journals").iterdir()) == []


@needs_taskiq
async def test_what_would_meet_the_same_answer_does_not_run_again(
    tmp_path: Path, sandbox: Sandbox, make_client: Callable[..., GoedGepickt], monkeypatch: Any
) -> None:
    client = make_client(sandbox.url, sandbox.api_key)
    async with at_work(tmp_path, sandbox, client, monkeypatch) as tasks:
        result = await (await tasks.write_off.kiq("none-such", 3)).wait_result(check_interval=0.01, timeout=240)
    assert isinstance(result.error, NotFoundError)
    assert len(sandbox.requests) == 1


@each_row(
    ("error", "once", "repeatable"),
    [
        (BudgetExhaustedError("busy", wait=5.0, evidence=Evidence.NOT_SENT), True, True),
        (ServerError("broken", status=500, evidence=Evidence.UNKNOWN), False, True),
        (OutcomeUnknownError("who knows", evidence=Evidence.APPLIED), False, True),
        (NotFoundError("no", status=404, evidence=Evidence.FINAL), False, False),
        (PagingError("no"), False, False),
        (ZeroDivisionError(), False, False),
    ],
)
def test_the_evidence_decides(error: Exception, once: bool, repeatable: bool, tmp_path: Path) -> None:
    may_run_again = module(tmp_path, "deciding", block(PAGE, "may-run-again")).may_run_again
    assert may_run_again(error, repeatable=False) is once
    assert may_run_again(error, repeatable=True) is repeatable


@needs_celery
@pytest.mark.parametrize(("error", "runs"), [(Evidence.REJECTED, 6), (Evidence.UNKNOWN, 1)])
def test_in_celery_too(error: Evidence, runs: int, tmp_path: Path) -> None:
    tasks = module(tmp_path, "celery_tasks", blocks(PAGE, "may-run-again", "celery"))
    seen = []

    async def fail(*asked: object) -> None:
        seen.append(asked)
        raise OutcomeUnknownError("it failed", evidence=error)

    tasks.__dict__["write_off_now"] = fail
    result = tasks.write_off.apply(("p-1", 2))
    assert isinstance(result.result, OutcomeUnknownError)
    assert seen == [("p-1", 2)] * runs
