"""Plans, outcomes and errors leave the program and come back; notebooks and rich show values without personal data."""

from __future__ import annotations

import json
from typing import Any

import pytest

from goedgepickt_async import ConfigurationError, Evidence, GoedGepickt, GoedGepicktError, ValidationError, errors
from goedgepickt_async.bulk import Applied, Outcome, Plan, PlannedWrite
from goedgepickt_async.sandbox import Sandbox
from tests.support.tables import each_row


async def test_a_plan_and_its_outcomes_come_back_equal(gg: GoedGepickt, sandbox: Sandbox) -> None:
    known = await gg.products.list(webshop_uuid=gg.settings.webshop_uuid).first()
    assert known is not None
    rows = [{"sku": known.sku, "price": "99.95"}, {"sku": "NEW-1", "name": "Vaas <b>"}, {"sku": ""}, {"sku": "gone"}]
    plan = await gg.products.plan(rows)
    assert Plan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan
    assert Plan.from_json(plan.to_json()) == plan
    outcomes = [outcome async for outcome in plan.apply(dry_run=True)]
    assert len(outcomes) == len(plan.writes) == 2
    for outcome in outcomes:
        plain = json.loads(json.dumps(outcome.to_dict()))
        assert Outcome.from_dict(plain, item=PlannedWrite, result=Applied) == outcome
        assert Outcome.from_dict(plain).item["key"] == outcome.item.key
    assert "NEW-1" in plan._repr_html_()
    assert "<b>" not in plan._repr_html_()


ERRORS: list[GoedGepicktError] = [
    errors.ValidationError("bad", status=422, fields={"a": ["x", "y"]}, body={"secret": 1}, evidence=Evidence.FINAL),
    errors.MultipleFoundError("two", uuids=["a", "b"]),
    errors.DecodeError("bad", problems=["$.a: x"], attempts=3, method="GET", path="/orders"),
    errors.BudgetExhaustedError("wait", wait=1.5),
    errors.OutcomeUnknownError("lost", body={"secret": 1}, evidence=Evidence.UNKNOWN),
    errors.RequestTimeoutError("late"),
    errors.BulkStoppedError("stop", done=3, failed=2),
]


@each_row("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_of_an_outcome_comes_back_without_its_body(error: GoedGepicktError) -> None:
    outcome = Outcome[str, None](index=1, item="a", error=error)
    plain = outcome.to_dict()
    assert json.loads(json.dumps(plain)) == plain
    assert "secret" not in json.dumps(plain)
    again = Outcome.from_dict(plain).error
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert {**vars(again), "body": 0} == {**vars(error), "body": 0}
    if isinstance(error, ValidationError) and isinstance(again, ValidationError):
        assert again.fields == error.fields


def test_a_foreign_error_keeps_its_name() -> None:
    plain = Outcome[str, None](index=0, item="a", error=KeyError("sku")).to_dict()
    assert str(Outcome.from_dict(plain).error) == "KeyError: 'sku'"


@each_row("data", [None, [], {}, {"index": 1}, {"message": 5}, "{}", {"format": "x"}])
def test_what_was_not_saved_is_refused(data: Any) -> None:
    for read in (Plan, Outcome, PlannedWrite, Applied, GoedGepicktError):
        with pytest.raises(ConfigurationError):
            read.from_dict(data)


async def test_pages_and_the_budget_are_shown_without_personal_data(gg: GoedGepickt, sandbox: Sandbox) -> None:
    pretty = pytest.importorskip("rich.pretty")
    async for page in gg.orders.list().limit(3).pages():
        name = page.items[0].shipping.last_name
        assert name
        for shown in (page._repr_html_(), pretty.pretty_repr(page), repr(page)):
            assert page.items[2].uuid in shown
            assert name not in shown
    snapshot = gg.budget.snapshot()
    assert f"<td>{snapshot.limit}</td>" in snapshot._repr_html_()
    assert f"limit={snapshot.limit}" in pretty.pretty_repr(snapshot)
