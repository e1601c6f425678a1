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


def ask(pipeline: Any, *queries: str) -> list[list[Any]]:
    """The rows of each query; a row of one column is its value. All share one connection: to open it costs the most."""
    with pipeline.sql_client() as client:
        results = [client.execute_sql(query) for query in queries]
    return [[row[0] if len(row) == 1 else tuple(row) for row in rows] for rows in results]


def test_a_load_continues_where_it_failed_and_later_loads_add_new_and_changed_rows(
    sandbox: Sandbox, pipeline: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    sandbox.fail("GET", "/orders", faults.Status(404), after=2)
    with pytest.raises(PipelineStepFailed):
        pipeline.run(goedgepickt_source(resources=["orders"]))
    sandbox.clear_faults()

    sandbox.requests.clear()
    sandbox.fail("GET", "/orders", faults.Status(404), after=1)
    with pytest.raises(NotFoundError):
        load(pipeline, resources=["orders"], pages_per_run=2)
    assert "RuntimeError" not in capfd.readouterr().err
    first = sandbox.requests[0].query  # the failed run of dlt did not change where this load starts
    assert (first.get("page", "1"), first.get("createdAfter")) == ("1", None)
    assert ask(pipeline, "select count(*) from orders") == [[100]]
    sandbox.clear_faults()
    sandbox.requests.clear()
    load(pipeline, resources=["orders"], pages_per_run=1)
    assert int(sandbox.requests[0].query["page"]) == 2
    assert len(sandbox.requests) <= 4, "loaded pages are not requested again"
    count, lines, newest, older = (
        number
        for (number,) in ask(
            pipeline,
            "select count(distinct uuid) from orders",
            "select count(*) from orders__lines",
            "select uuid from orders order by created_at desc limit 1",
            "select uuid from orders where created_at < '2026-10-15' order by created_at desc limit 1",
        )
    )
    assert count == 230
    assert lines >= 230

    sandbox.world.set_order_status(newest, "cancelled")
    sandbox.world.set_order_status(older, "on_hold")
    new = sandbox.world.add_order(createDate="2026-11-02 10:00:00")
    sandbox.requests.clear()
    pipeline.run(goedgepickt_source())
    asked = [recorded.query["createdAfter"] for recorded in sandbox.requests if recorded.path == "/orders"]
    assert set(asked) == {"2026-10-30"}  # the last order of the sandbox is of the 31st
    recent = "select _dlt_id from orders where created_at < '2026-11-01'"
    orders, uuids, products, shipments, keys, known, status_of_newest, status_of_older, lines_of_recent = ask(
        pipeline,
        "select count(*) from orders",
        "select count(distinct uuid) from orders",
        "select count(*) from products",
        "select count(*) from shipments",
        "select count(distinct key) from shipments",
        f"select count(*) from orders where uuid = '{new['uuid']}'",
        f"select status from orders where uuid = '{newest}'",
        f"select status from orders where uuid = '{older}'",
        f"select count(*) from orders__lines where _dlt_parent_id in ({recent})",
    )
    assert orders == uuids == [231]
    assert products == [40]
    assert shipments == keys
    assert shipments[0] > 0
    assert (known, status_of_newest) == ([1], ["cancelled"])
    assert status_of_older != ["on_hold"]
    assert lines_of_recent == [lines]

    sandbox.world.add_order(createDate="2036-01-01 10:00:00")
    pipeline.run(goedgepickt_source(resources=["orders"], overlap_days=30))
    assert ask(pipeline, f"select status from orders where uuid = '{older}'") == [["on_hold"]]
    sandbox.world.add_order()  # the order with a future date does not hide this order
    sandbox.requests.clear()
    load(pipeline, resources=["orders"])
    assert all(recorded.query["createdAfter"] for recorded in sandbox.requests)
    assert ask(pipeline, "select count(*) from orders") == [[233]]


def test_an_empty_account_has_complete_tables_and_uses_the_budget_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, pipeline: Any, tmp_path: Path
) -> None:
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    monkeypatch.setenv("GOEDGEPICKT_BUDGET", f"host:{tmp_path / 'budget'}")
    with serving(Sandbox(orders=1, products=1, limit=None, oddities=False)) as sandbox:
        monkeypatch.setenv("GOEDGEPICKT_API_KEY", sandbox.api_key)
        monkeypatch.setenv("GOEDGEPICKT_BASE_URL", sandbox.url)
        pipeline.run(goedgepickt_source(resources=["orders", "products"], created_after=date(2026, 1, 1)))
    (columns,) = ask(pipeline, "select column_name from information_schema.columns where table_name = 'products'")
    assert {"price", "stock__free_stock", "supplier__supplier_sku", "extra"} <= set(columns)
    assert [path.suffix for path in (tmp_path / "budget").iterdir()] == [".state"]


def test_a_load_respects_the_rate_limit_and_leaves_a_borrowed_client_open(
    pipeline: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    with serving(Sandbox(orders=210, products=1, limit=2, period=0.3)) as sandbox:
        client = GoedGepickt(sandbox.api_key, base_url=sandbox.url, budget=LocalBudget(2, 0.3, safety_margin=0.02))
        pipeline.run(goedgepickt_source(client, resources=["orders"]))
        assert ask(pipeline, "select count(*) from orders") == [[210]]
        assert sandbox.throttled == 0
        assert asyncio.run(_first_page(client)) == 20
        asyncio.run(client.close())


async def _first_page(client: GoedGepickt) -> int:
    async with client:
        return len(await client.orders.list().collect(limit=20))


@pytest.mark.parametrize("wrong", [{"resources": ["webshops"]}, {"resources": []}, {"overlap_days": 0}])
def test_invalid_arguments_of_the_source_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        goedgepickt_source(**wrong)


def test_without_dlt_the_error_names_the_extra_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dlt", None)
    with pytest.raises(ConfigurationError, match=r"goedgepickt-async\[dlt\]"):
        goedgepickt_source()
