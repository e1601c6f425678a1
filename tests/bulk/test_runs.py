"""Only one run at a time writes to a target. The next run finds the rest of an interrupted run."""

import asyncio
import contextlib
import os
import sqlite3
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from goedgepickt_async import ConfigurationError, GoedGepickt, JournalBusyError, JournalError, Plan
from goedgepickt_async.bulk import (
    RunState,
    UnfinishedRunError,
    drop_run,
    list_runs,
    read_changes,
)
from goedgepickt_async.bulk.runs import Target, save_run
from goedgepickt_async.sandbox import Sandbox, faults
from goedgepickt_async.settings import Settings
from tests.support.tables import each_row
from tests.support.warm import Interpreter

ROWS = 30
MUTATIONS = "/products/*/stock-mutation"


@pytest.fixture
async def sandbox() -> Any:
    async with Sandbox(orders=20, products=60, webshops=1, seed=3, limit=None, oddities=False) as running:
        yield running


def free(sandbox: Sandbox, n: int) -> int:
    return int(sandbox.world.products[n]["stock"]["freeStock"])


async def levels(gg: GoedGepickt, base: int, count: int = ROWS) -> Plan:
    return await gg.stock.plan({f"SB-{n:05}": base + n for n in range(count)})


async def finish(run: Any) -> list[Any]:
    async with run.apply(settle_after=0.02) as outcomes:
        return [outcome async for outcome in outcomes]


async def interrupt(run: Any, after: int = 5) -> None:
    async with run.apply(settle_after=0.02, concurrency=2) as outcomes:
        async for _ in outcomes:
            after -= 1
            if not after:
                return


@pytest.mark.slow
async def test_an_interrupted_run_must_be_resumed_before_another_plan_is_applied(
    gg: GoedGepickt, sandbox: Sandbox
) -> None:
    sandbox.fail("PUT", MUTATIONS, faults.Slow(0.01), times=None)
    await interrupt(await gg.bulk.start_run(await levels(gg, 1000)))
    (left,) = list_runs()
    assert left.state is RunState.UNFINISHED
    other = await levels(gg, 2000)
    with pytest.raises(UnfinishedRunError, match=left.id):
        await gg.bulk.start_run(other)
    with pytest.raises(UnfinishedRunError, match=left.id):
        _ = [outcome async for outcome in other.apply()]
    run = await gg.bulk.start_run(await levels(gg, 1000))
    assert (run.is_resumed, run.record.id) == (True, left.id)
    await finish(run)
    assert [free(sandbox, n) for n in range(ROWS)] == [1000 + n for n in range(ROWS)]
    assert list_runs()[0].state is RunState.DONE


@pytest.mark.slow
async def test_a_resumed_run_does_not_overwrite_the_changes_of_a_later_run(gg: GoedGepickt, sandbox: Sandbox) -> None:
    """A run with levels X is interrupted and dropped, Y is applied, then X again: the levels are X."""
    await interrupt(await gg.bulk.start_run(await levels(gg, 1000)))
    first = list_runs()[0].id
    resumed = await gg.bulk.resume_run(first)
    drop_run(first)
    await finish(await gg.bulk.start_run(await levels(gg, 1050)))
    assert [free(sandbox, n) for n in range(ROWS)] == [1050 + n for n in range(ROWS)]
    stale = [outcome for outcome in await finish(resumed) if not outcome.ok]
    assert stale
    assert [free(sandbox, n) for n in range(ROWS)] == [1050 + n for n in range(ROWS)]
    await finish(await gg.bulk.start_run(await levels(gg, 1000)))
    assert [free(sandbox, n) for n in range(ROWS)] == [1000 + n for n in range(ROWS)]
    with pytest.raises(ConfigurationError, match="has ended"):
        await gg.bulk.resume_run(first)


async def test_a_plan_reads_the_stock_again_after_another_run_changed_it(gg: GoedGepickt, sandbox: Sandbox) -> None:
    one, two = await levels(gg, 1000), await levels(gg, 1000)
    _ = [outcome async for outcome in one.apply()]
    outcomes = [outcome async for outcome in two.apply()]
    assert all(outcome.ok for outcome in outcomes)
    assert [free(sandbox, n) for n in range(ROWS)] == [1000 + n for n in range(ROWS)]
    assert len([r for r in sandbox.requests if r.method == "PUT"]) == ROWS


@pytest.mark.slow
async def test_a_second_simultaneous_run_for_the_same_target_is_refused(
    gg: GoedGepickt, sandbox: Sandbox, make_client: Callable[..., GoedGepickt]
) -> None:
    sandbox.fail("PUT", MUTATIONS, faults.Slow(0.02), times=None)
    shop = str(sandbox.world.webshops[0]["uuid"])
    colleague = make_client(sandbox.url, sandbox.api_key, webshop_uuid=shop.upper())
    one, two = await levels(gg, 1000), await levels(gg, 1000)
    assert one.target == two.target
    async with one.apply() as outcomes:
        await anext(outcomes)
        with pytest.raises(JournalBusyError, match="in use"):
            _ = [outcome async for outcome in two.apply()]
        products = await colleague.with_options(webshop_uuid=shop).products.plan([{"sku": "SB-00000", "name": "Pan"}])
        assert [outcome.ok async for outcome in products.apply()] == [True]
        assert all([outcome.ok async for outcome in outcomes])
    assert all([outcome.ok async for outcome in two.apply()])
    assert [free(sandbox, n) for n in range(ROWS)] == [1000 + n for n in range(ROWS)]


@pytest.mark.slow
async def test_the_run_of_a_killed_process_is_resumed_and_applied_once(
    gg: GoedGepickt, sandbox: Sandbox, tmp_path: Path, warm: Interpreter
) -> None:
    sandbox.fail("PUT", MUTATIONS, faults.Slow(0.05), times=None)
    shop = str(sandbox.world.webshops[0]["uuid"])
    script = f"""
        import asyncio, os
        from goedgepickt_async import GoedGepickt, LocalBudget
        async def main():
            async with GoedGepickt({sandbox.api_key!r}, base_url={sandbox.url!r}, webshop_uuid={shop!r},
                                   budget=LocalBudget(100_000, 1.0)) as gg:
                plan = await gg.stock.plan({{f"SB-{{n:05}}": 1000 + n for n in range({ROWS})}})
                run, left = await gg.bulk.start_run(plan), 6
                async for outcome in run.apply(concurrency=3):
                    left -= 1
                    if not left:
                        os._exit(9)
        asyncio.run(main())"""
    process = warm.start("-c", textwrap.dedent(script), cwd=tmp_path, env=os.environ)
    _, errors = await asyncio.to_thread(process.communicate)
    assert process.returncode == 9, errors
    run = await gg.bulk.start_run(await levels(gg, 1000))
    assert run.is_resumed
    assert all(outcome.ok for outcome in await finish(run))
    assert [free(sandbox, n) for n in range(ROWS)] == [1000 + n for n in range(ROWS)]
    assert run.record.state is RunState.DONE


async def test_a_run_that_was_killed_during_a_commit_shows_its_completed_writes(
    gg: GoedGepickt, sandbox: Sandbox
) -> None:
    sandbox.fail("PUT", MUTATIONS, faults.Slow(0.01), times=None)
    await interrupt(await gg.bulk.start_run(await levels(gg, 1000)))
    (before,) = list_runs()
    assert before.done
    save_run(attrs.evolve(before, counts={}))  # a process that was killed records no counts
    make_hot(before.journal_path)
    (after,) = list_runs()
    assert after.counts == before.counts


def make_hot(path: Path) -> None:
    """Leave a database in the state after its process was killed during a commit."""
    journal = path.with_name(path.name + "-journal")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode = DELETE")
        writer.execute("PRAGMA cache_size = 1")  # its pages are written to the disk before the commit
        writer.execute("BEGIN IMMEDIATE")
        plan = writer.execute("SELECT max(id) FROM plans").fetchone()[0]
        writer.executemany(
            "INSERT INTO writes SELECT plan, kind, key || ?, action, state, at, seen, uuid, error FROM writes WHERE plan = ?",
            [(f"-{number}", plan) for number in range(8)],
        )
        left = path.read_bytes(), journal.read_bytes()
    path.write_bytes(left[0])
    journal.write_bytes(left[1])


async def test_the_record_of_a_run_has_the_old_and_new_value_of_each_change(gg: GoedGepickt, sandbox: Sandbox) -> None:
    before = [free(sandbox, n) for n in range(3)]
    await finish(await gg.bulk.start_run(await levels(gg, 1000, 3)))
    (run,) = list_runs()
    changes = list(read_changes(run))
    assert [(row["key"], row["state"]) for row in changes] == [(f"SB-{n:05}", "done") for n in range(3)]
    assert [row["changes"][0]["before"] for row in changes] == before
    assert [row["changes"][0]["after"] for row in changes] == [1000, 1001, 1002]
    assert all(path.stat().st_mode & 0o077 == 0 for path in run.folder.rglob("*"))
    assert "3 of 3 writes done" in str(run)


@pytest.mark.parametrize("text", ["", "[]", '{"writes": 5}', '{"writes": [{"key": "A"}, 5]}', '{"writes": [{}]}'])
async def test_a_damaged_plan_of_a_run_raises_a_journal_error(gg: GoedGepickt, sandbox: Sandbox, text: str) -> None:
    run = await gg.bulk.start_run(await levels(gg, 100, 2))
    run.record.plan_path.write_text(text)
    with pytest.raises(JournalError, match="cannot be read"):
        read_changes(run.record)


async def test_the_record_of_a_completed_run_of_orders_has_no_address(gg: GoedGepickt, sandbox: Sandbox) -> None:
    order = {
        "order_id": "N-1",
        "status": "open",
        "shipping": {"last_name": "Sien van Zijl", "city": "Utrecht", "country": "NL"},
        "lines": [{"sku": "SB-00000", "product_name": "Mok", "quantity": 1, "tax_rate": 21}],
    }
    run = await gg.bulk.start_run(await gg.orders.plan([order]))
    await finish(run)
    assert len(list(read_changes(run.record))) == 1
    assert not any(b"Sien" in path.read_bytes() for path in run.record.folder.rglob("*") if path.is_file())


@each_row("path", ["", "/v1"])
def test_a_run_has_the_same_target_in_every_spelling_of_its_server(path: str) -> None:
    def targets(*urls: str) -> set[str]:
        return {Target.of(Settings(api_key="k", base_url=url + path), "W", "stock").name for url in urls}

    assert len(targets("https://api.example.test", "https://API.example.test:443", "https://api.example.test.")) == 1
    assert len(targets("http://127.0.0.1:9", "http://localhost:9", "http://[::1]:9", "http://127.0.0.1:8")) == 2
    assert len(targets("http://127.0.0.1", "http://localhost:80")) == 1
