"""A plan is applied once, also with a damaged journal, lost responses or changes of other programs."""

import asyncio
import copy
import json
import os
import pickle
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from goedgepickt_async import (
    AppliedVia,
    AuthenticationError,
    ConfigurationError,
    ConflictError,
    GoedGepickt,
    JournalBusyError,
    JournalError,
    JournalMismatchError,
    NewOrder,
    NewOrderLine,
    OutcomeUnknownError,
    Plan,
)
from goedgepickt_async.bulk.journal import Journal
from goedgepickt_async.bulk.runs import TargetLock
from goedgepickt_async.sandbox import Sandbox, faults
from tests.support.warm import Interpreter

MUTATIONS = "/products/*/stock-mutation"


@pytest.fixture
async def sandbox() -> Any:
    async with Sandbox(orders=60, products=250, webshops=1, seed=7, limit=None, oddities=False) as running:
        yield running


async def outcomes_of(plan: Plan, **options: Any) -> list[Any]:
    async with plan.apply(**{"settle_after": 0.02, **options}) as outcomes:
        return [outcome async for outcome in outcomes]


def applied(sandbox: Sandbox, method: str = "PUT") -> list[str]:
    return [recorded.path for recorded in sandbox.requests if recorded.applied and recorded.method == method]


def free(sandbox: Sandbox, index: int) -> int:
    return sandbox.world.inventory.stock(index).free


async def stock_plan(gg: GoedGepickt, number: int = 6, **options: Any) -> Plan:
    return await gg.stock.plan({f"SB-{n:05d}": 100 + n for n in range(number)}, **options)


async def test_a_plan_reads_in_large_pages_and_writes_only_what_differs(gg: GoedGepickt, sandbox: Sandbox) -> None:
    there = await gg.products.list().collect()
    rows: list[dict[str, Any]] = [{"sku": p.sku, "name": p.name, "price": p.price} for p in there]
    rows[3]["price"], rows[9]["name"] = "0.99", "Anders"
    sandbox.requests.clear()
    plan = await gg.products.plan(rows)
    assert plan.requests_read == len(sandbox.requests) <= 5
    assert (plan.requests, len(plan.unchanged)) == (2, 248)
    sandbox.requests.clear()
    assert all(outcome.ok for outcome in await outcomes_of(plan))
    assert len(sandbox.requests) == 2
    assert (await gg.products.plan(rows)).requests == 0


async def test_few_rows_are_searched_one_at_a_time_if_that_needs_fewer_requests(
    gg: GoedGepickt, sandbox: Sandbox
) -> None:
    await gg.stock.plan({"SB-00004": 1})
    assert [request.path for request in sandbox.requests] == ["/webshops", "/products"]
    assert sandbox.requests[1].query["searchValue"] == "SB-00004"


async def test_existing_orders_are_not_created_again(gg: GoedGepickt, sandbox: Sandbox) -> None:
    known = str(sandbox.world.orders[5]["orderId"])
    line = NewOrderLine(sku="SB-00001", product_name="Mok", quantity=1)
    orders = [NewOrder(order_id=name, status="open", lines=[line]) for name in (known, "S-1", "S-2", "S-2")]
    plan = await gg.orders.plan(orders)
    assert [write.key for write in plan.creates] == ["S-1"]
    assert [row.key for row in plan.unchanged] == [known]
    assert [row.indexes for row in plan.conflicts] == [(2, 3)]
    await outcomes_of(plan)
    assert (await gg.orders.plan(orders)).requests == 0


async def test_a_saved_plan_is_loaded_as_an_equal_plan(gg: GoedGepickt, sandbox: Sandbox) -> None:
    plan = await stock_plan(gg)
    assert gg.bulk.load_plan(plan.to_json()) == plan == pickle.loads(pickle.dumps(plan))
    assert copy.deepcopy(plan) is copy.copy(plan) is plan  # with its client
    assert sandbox.api_key not in plan.to_json()
    with pytest.raises(ConfigurationError):
        Plan.from_json(plan.to_json()).apply()
    for damaged in ("", "[]", "{}", plan.to_json()[:-9], plan.to_json().replace('"version": 2', '"version": 3')):
        with pytest.raises(ConfigurationError):
            gg.bulk.load_plan(damaged)
    with pytest.raises(JournalMismatchError):
        gg.for_key("another-key").bulk.load_plan(plan.to_json())
    assert gg.with_options(webshop_uuid="another-shop").bulk.load_plan(plan.to_json()) == plan


async def test_a_plan_that_is_applied_again_repeats_no_write(gg: GoedGepickt, sandbox: Sandbox, tmp_path: Path) -> None:
    plan = await stock_plan(gg)
    first = await outcomes_of(plan, journal=tmp_path / "j")
    again = await outcomes_of(gg.bulk.load_plan(plan.to_json()), journal=tmp_path / "j")
    assert {o.result.via for o in first} == {AppliedVia.SENT}
    assert {o.result.via for o in again} == {AppliedVia.JOURNAL}
    assert len(applied(sandbox)) == plan.requests
    assert [path.name for path in tmp_path.iterdir()] == ["j"]
    assert (tmp_path / "j").stat().st_mode & 0o777 == 0o600
    assert sandbox.api_key.encode() not in (tmp_path / "j").read_bytes()


async def test_a_new_plan_with_the_same_levels_corrects_a_changed_stock(
    gg: GoedGepickt, sandbox: Sandbox, tmp_path: Path
) -> None:
    await outcomes_of(await stock_plan(gg), journal=tmp_path / "j")
    sandbox.world.inventory.mutate(3, -4)
    await outcomes_of(await stock_plan(gg), journal=tmp_path / "j")
    assert free(sandbox, 3) == 103


async def test_a_job_that_is_left_early_ends_cleanly_and_is_completed_later(
    gg: GoedGepickt, sandbox: Sandbox, tmp_path: Path
) -> None:
    plan = await stock_plan(gg, 30)
    async with plan.apply(journal=tmp_path / "j", settle_after=0.02) as outcomes:
        async for _ in outcomes:
            break
    assert not [task for task in asyncio.all_tasks() if "BulkRunner" in str(task.get_coro())]
    rest = await outcomes_of(plan, journal=tmp_path / "j")
    assert all(outcome.ok for outcome in rest)
    assert sorted(applied(sandbox)) == sorted(set(applied(sandbox)))
    assert [free(sandbox, n) for n in range(30)] == [100 + n for n in range(30)]


@pytest.mark.slow
@pytest.mark.parametrize("step", [(TargetLock, "take"), (Journal, "_open")])
async def test_a_job_that_is_cancelled_while_it_takes_a_lock_releases_the_lock(
    gg: GoedGepickt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: tuple[type[Any], str]
) -> None:
    plan, journal = await stock_plan(gg), tmp_path / "journal"
    take, started, released, ended = getattr(*step), threading.Event(), threading.Event(), threading.Event()

    def take_slowly(*args: Any) -> None:
        started.set()
        released.wait(60)
        take(*args)
        ended.set()

    with monkeypatch.context() as slow:
        slow.setattr(*step, take_slowly)
        job = asyncio.create_task(outcomes_of(plan, journal=journal))
        await asyncio.to_thread(started.wait, 60)
        job.cancel()
        released.set()
        with pytest.raises(asyncio.CancelledError):
            await job
        await asyncio.to_thread(ended.wait, 60)
    assert all(outcome.ok for outcome in await outcomes_of(plan, journal=journal))


async def test_a_dry_run_sends_only_reads_and_creates_no_journal(
    gg: GoedGepickt, sandbox: Sandbox, tmp_path: Path
) -> None:
    plan = await stock_plan(gg)
    sandbox.world.inventory.mutate(2, 1)
    outcomes = await outcomes_of(plan, journal=tmp_path / "j", dry_run=True, max_age=0)
    assert [o.index for o in outcomes if isinstance(o.error, ConflictError)] == [2]
    assert {o.result.via for o in outcomes if o.ok} == {AppliedVia.DRY_RUN}
    assert {recorded.method for recorded in sandbox.requests} == {"GET"}
    assert not (tmp_path / "j").exists()


# -- changes after the plan was made


@pytest.mark.slow
async def test_a_stock_that_changed_after_the_plan_is_a_conflict_and_is_not_overwritten(
    gg: GoedGepickt, sandbox: Sandbox
) -> None:
    plan = await stock_plan(gg)
    moved = free(sandbox, 2) - 1
    sandbox.world.inventory.mutate(2, -1)
    outcomes = {o.index: o for o in await outcomes_of(plan, max_age=0)}
    assert isinstance(outcomes[2].error, ConflictError)
    assert "free_stock" in str(outcomes[2].error)
    assert free(sandbox, 2) == moved
    assert [o.ok for index, o in outcomes.items() if index != 2] == [True] * 5


@pytest.mark.slow
async def test_a_level_that_another_program_already_set_is_found(gg: GoedGepickt, sandbox: Sandbox) -> None:
    plan = await stock_plan(gg)
    sandbox.world.inventory.mutate(2, 102 - free(sandbox, 2))
    outcomes = {o.index: o for o in await outcomes_of(plan, max_age=0)}
    assert outcomes[2].result.via is AppliedVia.FOUND
    assert len(applied(sandbox)) == 5


@pytest.mark.slow
async def test_a_new_plan_is_applied_without_reads_and_an_old_plan_is_read_again_in_pages(
    gg: GoedGepickt, sandbox: Sandbox
) -> None:
    plan = await stock_plan(gg, 40)
    sandbox.requests.clear()
    await outcomes_of(plan)
    assert {recorded.method for recorded in sandbox.requests} == {"PUT"}
    plan = await gg.stock.plan({f"SB-{n:05d}": 7 for n in range(40)})
    sandbox.requests.clear()
    await outcomes_of(attrs.evolve(plan, read_at=plan.read_at.replace(year=2020)))
    assert sum(recorded.method == "GET" for recorded in sandbox.requests) <= 5


async def test_a_quantity_is_set_only_if_it_differs_and_at_the_location_of_the_product(
    gg: GoedGepickt, sandbox: Sandbox
) -> None:
    place = (await gg.stock.get(str(sandbox.world.products[0]["uuid"])))[0].pick_location_uuid
    plan = await gg.stock.plan({"SB-00000": 77, "nobody": 1}, mode="set", location=place)
    await outcomes_of(plan)
    assert (await gg.stock.get(str(sandbox.world.products[0]["uuid"])))[0].quantity == 77
    assert (await gg.stock.plan({"SB-00000": 77}, mode="set", location=place)).requests == 0
    with pytest.raises(ConfigurationError):
        await gg.stock.plan({}, mode="set")
    with pytest.raises(ConfigurationError):
        await gg.stock.plan({}, mode="add")  # type: ignore[arg-type]


# -- lost responses


@pytest.mark.parametrize("is_applied", [True, False])
async def test_a_mutation_with_a_lost_response_is_resolved_from_the_stock_levels(
    gg: GoedGepickt, sandbox: Sandbox, is_applied: bool
) -> None:
    sandbox.fail("PUT", MUTATIONS, faults.Drop(applied=is_applied), times=2)
    outcomes = await outcomes_of(await stock_plan(gg), concurrency=1)
    assert all(outcome.ok for outcome in outcomes)
    assert sorted(applied(sandbox)) == sorted(set(applied(sandbox)))
    assert [free(sandbox, n) for n in range(6)] == [100 + n for n in range(6)]
    assert sum(o.result.via is AppliedVia.FOUND for o in outcomes) == (2 if is_applied else 0)


async def test_a_mutation_is_not_sent_again_if_the_stock_also_changed_otherwise(
    gg: GoedGepickt, sandbox: Sandbox, tmp_path: Path
) -> None:
    plan = await stock_plan(gg, 1)
    sandbox.fail("PUT", MUTATIONS, faults.Drop(applied=True))
    sandbox.fail("PUT", MUTATIONS, faults.ChangeWorld(lambda world: world.inventory.mutate(0, -1)))
    for path in (f"/products/{plan.writes[0].uuid}/stock-mutation", None):  # the second error is from the journal
        (outcome,) = await outcomes_of(plan, journal=tmp_path / "j")
        assert isinstance(outcome.error, OutcomeUnknownError)
        assert (outcome.error.path, outcome.error.attempts) == (path, 1 if path else 0)
    assert len(applied(sandbox)) == 1


async def test_a_mutation_that_is_never_applied_is_reported_as_unknown_after_three_attempts(
    gg: GoedGepickt, sandbox: Sandbox
) -> None:
    sandbox.fail("PUT", MUTATIONS, faults.Drop(), times=None)
    (outcome,) = await outcomes_of(await stock_plan(gg, 1))
    assert isinstance(outcome.error, OutcomeUnknownError)
    assert len([recorded for recorded in sandbox.requests if recorded.method == "PUT"]) == 3


async def test_a_rejected_api_key_stops_the_job(gg: GoedGepickt, sandbox: Sandbox) -> None:
    plan = await stock_plan(gg, 90)
    sandbox.fail("PUT", "*", faults.Status(401), times=None)
    sandbox.requests.clear()
    with pytest.raises(AuthenticationError):
        await outcomes_of(plan)
    assert len(sandbox.requests) < 40


# -- the journal


async def test_a_journal_in_use_is_refused_in_this_and_in_another_process(gg: GoedGepickt, tmp_path: Path) -> None:
    plan = await stock_plan(gg)
    async with plan.apply(journal=tmp_path / "j") as outcomes:
        await anext(outcomes)
        with pytest.raises(JournalBusyError):
            await outcomes_of(plan, journal=tmp_path / "j")
        code = f"import sqlite3; sqlite3.connect({str(tmp_path / 'j')!r}, timeout=0).execute('BEGIN EXCLUSIVE')"
        process = await asyncio.create_subprocess_exec(sys.executable, "-IS", "-c", code, stderr=subprocess.PIPE)
        _, errors = await process.communicate()
        assert b"locked" in errors
    await outcomes_of(plan, journal=tmp_path / "j")


@pytest.mark.slow
async def test_a_journal_of_another_account_is_refused(
    gg: GoedGepickt, sandbox: Sandbox, tmp_path: Path, make_client: Callable[..., GoedGepickt]
) -> None:
    await outcomes_of(await stock_plan(gg), journal=tmp_path / "j")
    content = (tmp_path / "j").read_bytes()
    shop = str(sandbox.world.webshops[0]["uuid"])
    account = make_client(sandbox.account_url, sandbox.account_key, webshop_uuid=shop)
    with pytest.raises(JournalMismatchError, match="server"):
        await outcomes_of(await stock_plan(account), journal=tmp_path / "j")
    other = Sandbox(orders=60, products=250, webshops=1, seed=8, limit=None, oddities=False)
    async with other:
        elsewhere = make_client(other.url, other.api_key, webshop_uuid=str(other.world.webshops[0]["uuid"]))
        with pytest.raises(JournalMismatchError, match="webshop"):
            await outcomes_of(await stock_plan(elsewhere), journal=tmp_path / "j")
    assert (tmp_path / "j").read_bytes() == content


def _damage_version(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 9")
    connection.close()


def _other_database(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE mine (x)")
    connection.close()


def _damage_bytes(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (_damage_version, "version 9"),
        (_other_database, "another database"),
        (_damage_bytes, "damaged"),
        (lambda path: path.write_bytes(b"no database at all" * 99), "damaged"),
        (lambda path: (path.unlink(), path.mkdir()), "must be a file"),
        (lambda path: path.write_bytes(path.read_bytes().replace(b"mutate", b"m\xfftate")), "damaged"),
        (lambda path: path.write_bytes(path.read_bytes().replace(b'"salt": "', b'"salt":5, "')), "damaged"),
    ],
)
async def test_an_unusable_journal_raises_an_error_before_a_request_is_sent(
    gg: GoedGepickt, sandbox: Sandbox, tmp_path: Path, damage: Callable[[Path], object], why: str
) -> None:
    path = tmp_path / "j"
    await outcomes_of(await stock_plan(gg, 2), journal=path)
    plan = await stock_plan(gg, 4)
    damage(path)
    content = path.read_bytes() if path.is_file() else None
    sandbox.requests.clear()
    with pytest.raises(JournalError, match=why):
        await outcomes_of(plan, journal=path)
    assert not sandbox.requests
    assert (path.read_bytes() if path.is_file() else None) == content


async def test_a_missing_directory_of_a_journal_raises_a_journal_error(gg: GoedGepickt, tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="No such file"):
        await outcomes_of(await stock_plan(gg), journal=tmp_path / "no" / "j")


@pytest.mark.slow
async def test_a_full_disk_stops_the_job_before_an_unrecorded_write_is_sent(
    gg: GoedGepickt, sandbox: Sandbox, tmp_path: Path, warm: Interpreter
) -> None:
    plan = await stock_plan(gg, 90)
    (tmp_path / "plan").write_text(plan.to_json())
    shop = str(sandbox.world.webshops[0]["uuid"])
    script = f"""
        import asyncio, resource, sys
        from goedgepickt_async import GoedGepickt, JournalError, LocalBudget
        sys.dont_write_bytecode = True  # the limit would cut a .pyc file too
        resource.setrlimit(resource.RLIMIT_FSIZE, (28_000, 28_000))
        async def main():
            async with GoedGepickt({sandbox.api_key!r}, base_url={sandbox.url!r}, webshop_uuid={shop!r},
                                   budget=LocalBudget(100_000, 1.0, safety_margin=0.0)) as gg:
                plan = gg.bulk.load_plan(open({str(tmp_path / "plan")!r}).read())
                try:
                    async for outcome in plan.apply(journal={str(tmp_path / "j")!r}):
                        pass
                except JournalError as error:
                    print("JournalError", error)
        asyncio.run(main())
    """
    process = warm.start("-c", textwrap.dedent(script), cwd=tmp_path, env=os.environ)
    out, errors = await asyncio.to_thread(process.communicate)
    assert b"JournalError" in out, errors
    assert 0 < len(applied(sandbox)) < 90
    outcomes = await outcomes_of(plan, journal=tmp_path / "j")
    assert all(outcome.ok for outcome in outcomes)
    assert sorted(applied(sandbox)) == sorted(set(applied(sandbox)))
    assert [free(sandbox, n) for n in range(90)] == [100 + n for n in range(90)]


async def test_an_order_that_another_plan_created_with_the_same_journal_is_not_created_again(
    gg: GoedGepickt, sandbox: Sandbox, tmp_path: Path
) -> None:
    orders = [NewOrder(order_id="S-1", status="open", lines=[NewOrderLine(sku="a", product_name="b", quantity=1)])]
    first, second = await gg.orders.plan(orders), await gg.orders.plan(orders)
    await outcomes_of(first, journal=tmp_path / "j")
    (outcome,) = await outcomes_of(second, journal=tmp_path / "j")
    assert outcome.result.via is AppliedVia.JOURNAL
    assert len(applied(sandbox, "POST")) == 1


@pytest.mark.slow
async def test_two_plans_that_read_the_same_stock_do_not_mutate_it_twice(
    gg: GoedGepickt, sandbox: Sandbox, tmp_path: Path
) -> None:
    first, second = await stock_plan(gg), await stock_plan(gg)
    await outcomes_of(first, journal=tmp_path / "j")
    outcomes = await outcomes_of(second, journal=tmp_path / "j")
    assert {o.result.via for o in outcomes} == {AppliedVia.FOUND}
    assert [free(sandbox, n) for n in range(6)] == [100 + n for n in range(6)]


async def test_a_plan_is_shown_as_a_diff_without_control_characters(gg: GoedGepickt) -> None:
    plan = await gg.products.plan(
        [
            {"sku": "SB-00001", "price": "1.00"},
            {"sku": "N\x1b[31m", "name": "Nieuwe mok", "price": "2.50"},
            {"sku": ""},
        ]
    )
    text = str(plan)
    assert "1 to create, 1 to change, 0 unchanged, 1 in conflict" in text
    assert "~ SB-00001" in text
    assert "→ 1.00" in text
    assert "! (empty)  row 3: the sku is empty" in text
    assert "\x1b" not in text
    assert "line 7" in plan.render(where=lambda index: f"line {index + 5}")
    assert json.loads(plan.to_json())["writes"]


async def test_a_long_plan_is_shown_up_to_its_limit(gg: GoedGepickt) -> None:
    plan = await stock_plan(gg, 20)
    text, everything = plan.render(limit=3), plan.render(limit=100).count("~ ")
    assert f"… and {everything - 3} more" in text
    assert text.count("~ ") == 3
    assert everything > 10


@pytest.mark.slow
async def test_a_plan_a_run_and_a_journal_never_block_the_event_loop(gg: GoedGepickt, tmp_path: Path) -> None:
    blockbuster = pytest.importorskip("blockbuster")
    with blockbuster.blockbuster_ctx():
        plan = await gg.products.plan([{"sku": f"new-{number}", "name": "x"} for number in range(12)])
        assert all([outcome.ok async for outcome in plan.apply(journal=tmp_path / "journal")])
        run = await gg.bulk.start_run(await gg.products.plan([{"sku": "new-1", "price": "1.00"}]))
        assert [outcome.ok async for outcome in run.apply()] == [True]
