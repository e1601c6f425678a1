"""The dlt source with real dlt and DuckDB: loads are incremental, merge rows and respect the rate limit."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from goedgepickt_async import ConfigurationError, GoedGepickt, LocalBudget, NotFoundError
from goedgepickt_async.sandbox import Sandbox, faults
from goedgepickt_async.testing import serving

dlt: Any = pytest.importorskip("dlt", reason="the dependency group contrib is not installed")
pytest.importorskip("duckdb", reason="the dependency group contrib is not installed")

from dlt.pipeline.exceptions import PipelineStepFailed  # noqa: E402

from goedgepickt_async.contrib.dlt import goedgepickt_source, load  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]  # dlt's own


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    with serving(Sandbox(orders=230, products=40, limit=None)) as running:
        monkeypatch.setenv("GOEDGEPICKT_API_KEY", running.api_key)
        monkeypatch.setenv("GOEDGEPICKT_BASE_URL", running.url)
        yield running


@pytest.fixture
def pipeline(tmp_path: Path) -> Any:
    return dlt.pipeline(
        "mirror",
        destination=dlt.destinations.duckdb(str(tmp_path / "mirror.duckdb")),
        dataset_name="goedgepickt",
        pipelines_dir=str(tmp_path / "pipelines"),
    )


def ask(pipeline: Any, query: str) -> list[Any]:
    with pipeline.sql_client() as client:
        return [row[0] if len(row) == 1 else tuple(row) for row in client.execute_sql(query)]


def count(pipeline: Any, table: str) -> int:
    (number,) = ask(pipeline, f"select count(*) from {table}")
    return int(number)


def test_a_first_load_has_all_rows_and_later_loads_add_new_and_changed_rows(sandbox: Sandbox, pipeline: Any) -> None:
    sandbox.fail("GET", "/orders", faults.Status(404), after=2)
    with pytest.raises(PipelineStepFailed):
        pipeline.run(goedgepickt_source(resources=["orders"]))
    sandbox.clear_faults()

    pipeline.run(goedgepickt_source())  # the failed load did not change where this load starts
    shipments = len(ask(pipeline, "select distinct key from shipments"))
    assert (count(pipeline, "orders"), count(pipeline, "products")) == (230, 40)
    assert count(pipeline, "shipments") == shipments > 0
    lines = count(pipeline, "orders__lines")
    assert lines >= 230

    (newest,) = ask(pipeline, "select uuid from orders order by created_at desc limit 1")
    (older,) = ask(pipeline, "select uuid from orders where created_at < '2026-10-15' order by created_at desc limit 1")
    sandbox.world.set_order_status(newest, "cancelled")
    sandbox.world.set_order_status(older, "on_hold")
    new = sandbox.world.add_order(createDate="2026-11-02 10:00:00")
    sandbox.requests.clear()
    pipeline.run(goedgepickt_source(resources=["orders"]))
    asked = [recorded.query["createdAfter"] for recorded in sandbox.requests if recorded.path == "/orders"]
    assert set(asked) == {"2026-10-30"}  # the last order of the sandbox is of the 31st
    assert count(pipeline, "orders") == len(ask(pipeline, "select distinct uuid from orders")) == 231
    assert ask(pipeline, f"select count(*) from orders where uuid = '{new['uuid']}'") == [1]
    assert ask(pipeline, f"select status from orders where uuid = '{newest}'") == ["cancelled"]
    assert ask(pipeline, f"select status from orders where uuid = '{older}'") != ["on_hold"]
    theirs = "select count(*) from orders__lines where _dlt_parent_id in (select _dlt_id from orders where created_at < '2026-11-01')"
    assert ask(pipeline, theirs) == [lines]

    sandbox.world.add_order(createDate="2036-01-01 10:00:00")
    pipeline.run(goedgepickt_source(resources=["orders"], overlap_days=30))
    assert ask(pipeline, f"select status from orders where uuid = '{older}'") == ["on_hold"]
    sandbox.world.add_order()  # the order with a future date does not hide this order
    pipeline.run(goedgepickt_source(resources=["orders"]))
    assert count(pipeline, "orders") == 233


def test_an_empty_account_has_complete_tables_and_uses_the_budget_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, pipeline: Any, tmp_path: Path
) -> None:
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    monkeypatch.setenv("GOEDGEPICKT_BUDGET", f"host:{tmp_path / 'budget'}")
    with serving(Sandbox(orders=1, products=1, limit=None, oddities=False)) as sandbox:
        monkeypatch.setenv("GOEDGEPICKT_API_KEY", sandbox.api_key)
        monkeypatch.setenv("GOEDGEPICKT_BASE_URL", sandbox.url)
        pipeline.run(goedgepickt_source(resources=["orders", "products"], created_after=date(2026, 1, 1)))
    columns = ask(pipeline, "select column_name from information_schema.columns where table_name = 'products'")
    assert {"price", "stock__free_stock", "supplier__supplier_sku", "extra"} <= set(columns)
    assert [path.suffix for path in (tmp_path / "budget").iterdir()] == [".state"]


def test_a_load_respects_the_rate_limit_and_leaves_a_borrowed_client_open(
    pipeline: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    with serving(Sandbox(orders=210, products=1, limit=2, period=0.3)) as sandbox:
        client = GoedGepickt(sandbox.api_key, base_url=sandbox.url, budget=LocalBudget(2, 0.3, safety_margin=0.02))
        pipeline.run(goedgepickt_source(client, resources=["orders"]))
        assert count(pipeline, "orders") == 210
        assert sandbox.throttled == 0
        assert asyncio.run(_first_page(client)) == 20
        asyncio.run(client.close())


async def _first_page(client: GoedGepickt) -> int:
    async with client:
        return len(await client.orders.list().collect(limit=20))


def test_a_load_that_fails_half_way_continues_where_it_stopped(
    pipeline: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    with serving(Sandbox(orders=400, products=1, limit=None)) as sandbox:
        monkeypatch.setenv("GOEDGEPICKT_API_KEY", sandbox.api_key)
        monkeypatch.setenv("GOEDGEPICKT_BASE_URL", sandbox.url)
        sandbox.fail("GET", "/orders", faults.Status(404), after=3)
        with pytest.raises(NotFoundError):
            load(pipeline, resources=["orders"], pages_per_run=2)
        assert "RuntimeError" not in capfd.readouterr().err
        kept = count(pipeline, "orders")
        assert 200 <= kept < 400
        sandbox.clear_faults()
        sandbox.requests.clear()
        load(pipeline, resources=["orders"], pages_per_run=2)
        assert (count(pipeline, "orders"), len(ask(pipeline, "select distinct uuid from orders"))) == (400, 400)
        assert len(sandbox.requests) <= 6, "what was loaded was not asked for again"
        assert int(sandbox.requests[0].query["page"]) > 2
        sandbox.requests.clear()
        load(pipeline, resources=["orders"])
        assert all(recorded.query["createdAfter"] for recorded in sandbox.requests)


@pytest.mark.parametrize("wrong", [{"resources": ["webshops"]}, {"resources": []}, {"overlap_days": 0}])
def test_invalid_arguments_of_the_source_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        goedgepickt_source(**wrong)


def test_without_dlt_the_error_names_the_extra_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dlt", None)
    with pytest.raises(ConfigurationError, match=r"goedgepickt-async\[dlt\]"):
        goedgepickt_source()
