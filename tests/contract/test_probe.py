"""The probe finds exactly what is not as the tables say, by reads alone, and its report has no personal data."""

import json
from collections.abc import Callable
from datetime import date
from typing import Any

import attrs
import pytest

from goedgepickt_async import GoedGepickt, Hooks, errors
from goedgepickt_async.contract import FACTS, Observer, Probe, Report
from goedgepickt_async.contract.probe import AT_MOST
from goedgepickt_async.sandbox import Quirks, Sandbox, faults
from goedgepickt_async.testing import unlimited_budget

pytestmark = pytest.mark.slow

PERSONAL = ("Geheimenberg", "geheimenberg", "geheim@example.test", "0612345678", "Verstopstraat")


SHORT = {"orders": 60, "products": 20, "pick_locations": 18}
"""The sizes of lists for what one page shows."""


def sandbox_of(**settings: Any) -> Sandbox:
    return Sandbox(**{"orders": 110, "products": 103, "today": date(2026, 11, 1), **settings})


async def probed(sandbox: Sandbox) -> Report:
    async with GoedGepickt(sandbox.api_key, base_url=sandbox.url, budget=unlimited_budget()) as client:
        probe = Probe(client)
        async for _ in probe.run():
            pass
        assert not probe.steps
        return probe.report()


def deviations(report: Report) -> set[str]:
    return {finding.fact for finding in report.deviations}


def in_order(value: object) -> str:
    """The id of a case, the same in each process of a run: the order of a set is not."""
    return str(sorted(value)) if isinstance(value, set | list) else str(value)


async def test_an_empty_sandbox_has_no_deviation_and_is_only_read() -> None:
    async with sandbox_of(orders=0, products=0) as sandbox:
        report = await probed(sandbox)
        assert deviations(report) == set()
        assert {request.method for request in sandbox.requests} == {"GET", "HEAD"}
        assert len(sandbox.requests) == report.requests <= AT_MOST


async def test_a_full_sandbox_has_no_deviation_and_confirms_what_can_be_probed() -> None:
    async with sandbox_of(orders=10_500) as sandbox:
        report = await probed(sandbox)
        assert {request.method for request in sandbox.requests} == {"GET", "HEAD"}
        assert len(sandbox.requests) == report.requests <= AT_MOST
    assert deviations(report) == set()
    confirmed = {finding.fact for finding in report.findings if finding.verdict == "confirmed"}
    assert {fact.id for fact in FACTS.values() if fact.probed} - confirmed == set()


# Quirks that have nothing to do with each other share a run.
QUIRKS: list[tuple[dict[str, Any], dict[str, Any], set[str]]] = [
    (
        SHORT,
        {"total_items": 7, "wrong_kind_status": 403, "date_style": "T"},
        {"list.total-items", "key.wrong-kind", "format.date-style"},
    ),
    (
        SHORT,
        {"total_items": 99_999, "last_page_for": 15, "orderstatus_leaks": False, "date_style": "Z"},
        {"list.total-items", "list.last-page", "filter.orderstatus", "format.date-style"},
    ),
    (
        {},
        {"last_page": 1, "wrong_kind_status": 404, "date_style": "mixed"},
        {"list.last-page", "key.wrong-kind", "format.date-style"},
    ),
    (SHORT, {"last_page": 99, "strict": True}, {"list.last-page", "filter.others"}),
    (SHORT, {"drop_page_info": True, "repeat_last_page": True}, {"list.page-info", "list.past-the-end"}),
    (
        {},
        {"drop_empty_items": True, "repeat_cursor": True, "hide_clamp": True},
        {"list.empty-items", "list.cursor", "list.items-per-page"},
    ),
    # Without `ignore_per_page`, these show in the answers to writes alone, which the probe does not make.
    (
        {},
        {
            "ignore_per_page": True,
            "order_answer": "empty",
            "product_answer": "bare",
            "duplicate_order": "refuse",
            "error_key": "message",
            "unknown_sku": "refuse",
        },
        {"list.per-page"},
    ),
]


@pytest.mark.parametrize(("settings", "quirks", "expected"), QUIRKS, ids=in_order)
async def test_each_quirk_is_reported_and_nothing_else(
    settings: dict[str, Any], quirks: dict[str, Any], expected: set[str]
) -> None:
    async with sandbox_of(**settings) as sandbox:
        for name, value in quirks.items():
            setattr(sandbox.quirks, name, value)
        assert deviations(await probed(sandbox)) == expected


def test_every_quirk_has_a_case() -> None:
    cases = {name for _, quirks, _ in QUIRKS for name in quirks} | {"freeze_page_info"}
    assert cases == {field.name for field in attrs.fields(Quirks)}


async def test_totals_of_a_cache_are_reported() -> None:
    async with sandbox_of(**SHORT) as sandbox:
        sandbox.quirks.freeze_page_info = True
        async with GoedGepickt(sandbox.api_key, base_url=sandbox.url, budget=unlimited_budget()) as client:
            shop = await client.webshops.list().first()
            assert shop is not None
            await client.products.list().first()  # the totals are now fixed
            for number in range(3):
                await client.products.create({"webshop_uuid": shop.uuid, "sku": f"N-{number}", "name": "n"})
        assert deviations(await probed(sandbox)) == {"list.total-items"}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            {"per_page_max": 50, "limit": 120, "per_page_default": 20},
            {"list.largest-size", "limit.number", "list.default-size"},
        ),
        ({"per_page_max": 250, "limit": None}, {"list.largest-size", "limit.headers"}),
        (SHORT | {"orders": 300, "page_reach": 200}, {"list.reach"}),
        (SHORT | {"orders": 10_500, "page_reach": 20_000}, {"list.reach"}),
    ],
    ids=in_order,
)
async def test_other_deviations_than_quirks_are_reported(settings: dict[str, Any], expected: set[str]) -> None:
    async with sandbox_of(**settings) as sandbox:
        assert deviations(await probed(sandbox)) == expected


def every_order(sandbox: Sandbox, change: Callable[[dict[str, Any]], None]) -> None:
    """Change each order as it is served."""
    serve = sandbox.world.orders.row

    def row(index: int) -> dict[str, Any]:
        served = dict(serve(index))
        change(served)
        return served

    sandbox.world.orders.row = row  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"createDate": "01-11-2026 10:00"}, {"format.date-time", "format.date-style", "format.rows"}),
        ({"totalPaid": 12.5, "products": "none"}, {"format.amount", "format.rows"}),
        ({"attentionNeeded": "ja"}, {"format.flag", "format.rows"}),
    ],
    ids=in_order,
)
async def test_another_format_of_a_field_is_reported(changes: dict[str, Any], expected: set[str]) -> None:
    async with sandbox_of(**SHORT) as sandbox:
        every_order(sandbox, lambda row: row.update(changes))
        found = deviations(await probed(sandbox))
        assert expected <= found <= expected | {"list.order", "list.order-by", "list.created-after"}


async def test_unknown_fields_and_values_are_named_and_no_deviation() -> None:
    async with sandbox_of(**SHORT, oddities=False) as sandbox:
        every_order(sandbox, lambda row: row.update({"loyaltyPoints": 3, "status": "on_the_moon"}))
        report = await probed(sandbox)
    assert deviations(report) == set()
    assert "loyaltyPoints" in report.unknown["Order"]
    assert "on_the_moon" in report.unknown["OrderStatus"]


async def test_what_is_personal_is_in_no_report_and_no_state() -> None:
    def plant(row: dict[str, Any]) -> None:
        row.update(
            billingLastName="Geheimenberg", billingEmail="geheim@example.test", customerNote="0612345678",
            shippingAddress="Verstopstraat", tags=["Geheimenberg"], status="Geheimenberg", totalPaid="Geheimenberg",
            createDate="Verstopstraat",
        )  # fmt: skip
        row["Geheimenberg@example.test"] = "Geheimenberg"
        row["Geheimenberg"] = {"0612345678": "Verstopstraat"}

    async with sandbox_of(**SHORT) as sandbox:
        every_order(sandbox, plant)
        uuids = [sandbox.world.orders.uuid(0), sandbox.world.products.uuid(0), sandbox.world.webshops.uuid(0)]
        shop = sandbox.world.webshops.row(0)["name"]
        async with GoedGepickt(sandbox.api_key, base_url=sandbox.url, budget=unlimited_budget()) as client:
            probe = Probe(client)
            async for _ in probe.run():
                pass
        report = probe.report()
        texts = [report.to_markdown(), json.dumps(report.to_dict()), report.diff(), json.dumps(probe.state())]
    for text in texts:
        for secret in (*PERSONAL, *uuids, shop, sandbox.api_key):
            assert secret not in text


async def test_a_stopped_probe_continues_where_it_was() -> None:
    async with sandbox_of(products=20, pick_locations=18) as sandbox:
        whole = await probed(sandbox)
        sandbox.requests.clear()
        async with GoedGepickt(sandbox.api_key, base_url=sandbox.url, budget=unlimited_budget()) as client:
            state: dict[str, Any] | None = None
            runs = 0
            while True:
                probe = Probe(client, state)
                if not probe.steps:
                    break
                run = probe.run()
                await anext(run)  # one step, then it is stopped
                await run.aclose()  # type: ignore[attr-defined]
                state = json.loads(json.dumps(probe.state()))
                runs += 1
            report = Probe(client, state).report()
        assert runs == 11
        assert deviations(report) == set()
        assert {f.fact: f.verdict for f in report.findings} == {f.fact: f.verdict for f in whole.findings}
        assert len(sandbox.requests) == whole.requests


@pytest.mark.virtual_time
async def test_a_server_that_fails_costs_at_most_the_allowed_requests() -> None:
    async with sandbox_of() as sandbox:
        sandbox.fail("GET", "/orders*", faults.Status(500), times=None)
        async with GoedGepickt(sandbox.api_key, base_url=sandbox.url, budget=unlimited_budget()) as client:
            probe = Probe(client)
            async for _ in probe.run():
                pass
        assert len(sandbox.requests) <= AT_MOST
        assert "list.shape" in deviations(probe.report())


async def test_a_key_that_is_refused_ends_the_probe() -> None:
    async with (
        sandbox_of() as sandbox,
        GoedGepickt("no-key", base_url=sandbox.url, budget=unlimited_budget()) as client,
    ):
        with pytest.raises(errors.AuthenticationError):
            async for _ in Probe(client).run():
                pass
        assert len(sandbox.requests) == 1


@pytest.mark.parametrize("state", [{"done": []}, {"done": [], "collector": {}}, {"collector": []}])
async def test_a_state_that_is_none_is_refused(state: Any) -> None:
    async with GoedGepickt("key", base_url="http://127.0.0.1:1/api/v1", budget=unlimited_budget()) as client:
        with pytest.raises((ValueError, KeyError)):
            Probe(client, state)


async def test_an_observer_reports_ordinary_traffic_at_no_request() -> None:
    async with sandbox_of(orders=250) as sandbox:
        observer = Observer()
        hooks = Hooks.combined(observer.hooks)
        async with GoedGepickt(sandbox.api_key, base_url=sandbox.url, budget=unlimited_budget(), hooks=hooks) as client:
            orders = await client.orders.list().collect()
            await client.orders.get(orders[0].uuid)
        report = observer.report()
        assert report.requests == len(sandbox.requests)
        assert deviations(report) == set()
        verdicts = {finding.fact: finding.verdict for finding in report.findings}
        assert verdicts["list.largest-size"] == verdicts["format.success"] == "confirmed"
        assert orders[0].uuid not in report.to_markdown()
        assert "GET /orders/{id}" in report.to_markdown()
        assert "of ordinary traffic; a probe tells more" in report.to_markdown()
        untold = {f.fact: f.details for f in report.findings if f.verdict == "could not tell"}
        assert untold["format.date-style"] == untold["field.Order.tags"] == ("hooks do not show it; a probe does",)
        assert untold["order.twice"] == ("only writes show it",)
