"""A damaged or crafted plan is refused with an error of this package, or it can be shown and applied."""

import json
import random
from typing import Any

import pytest

from goedgepickt_async import ConfigurationError, GoedGepickt, GoedGepicktError, Plan
from goedgepickt_async.bulk import RowSource
from goedgepickt_async.sandbox import Sandbox
from tests.support.tables import each_row

CONFLICT = {"key": "C", "indexes": [1], "reason": "why", "code": "bad_row", "uuids": []}
ODD: tuple[Any, ...] = (None, 0, -1, 1.5, True, "", "é", "x" * 50, [], {}, [None], {"a": 1}, "\ud800", 10**30)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    if isinstance(value, dict):
        for name, part in value.items():
            found += places(part, (*path, name))
    elif isinstance(value, list):
        for index, part in enumerate(value):
            found += places(part, (*path, index))
    return found


def damaged(data: Any, rng: random.Random) -> str:
    copy = json.loads(json.dumps(data))
    *above, last = rng.choice(places(copy))
    target = copy
    for step in above:
        target = target[step]
    if rng.random() < 0.3:
        del target[last]
    else:
        target[last] = rng.choice(ODD)
    return json.dumps(copy)


@pytest.fixture
async def plans(gg: GoedGepickt, sandbox: Sandbox) -> list[Plan]:
    shop = str(sandbox.world.webshops[0]["uuid"])
    client = gg.with_options(webshop_uuid=shop)
    skus = [p.sku async for p in client.products.list(webshop_uuid=shop) if p.sku][:3]
    line = {"sku": skus[0], "product_name": "Mok", "quantity": 1, "tax_rate": 21}
    return [
        await client.stock.plan(dict.fromkeys(skus, 777)),
        await client.products.plan([{"sku": sku, "price": "1.23"} for sku in skus] + [{"sku": "new", "name": "x"}]),
        await client.orders.plan([{"order_id": "N1", "status": "open", "lines": [line]}]),
    ]


@pytest.mark.slow
async def test_a_damaged_plan_raises_only_errors_of_this_package(gg: GoedGepickt, plans: list[Plan]) -> None:
    rng = random.Random(7)
    refused = 0
    for round_number in range(150):
        text = damaged(plans[round_number % 3].to_dict(), rng)
        try:
            plan = gg.bulk.load_plan(text)
            str(plan)
            plan.to_json()
            if round_number % 5:
                continue
            async for outcome in plan.apply(dry_run=True, max_age=0):
                assert outcome.error is None or isinstance(outcome.error, GoedGepicktError), (text, outcome.error)
        except GoedGepicktError:
            refused += 1
    assert refused > 30


@each_row(
    ("path", "value"),
    [
        (("rate",), 10**400),
        (("requests_read",), float("inf")),
        (("writes", 0, "index"), float("inf")),
        (("scope", "webshop"), None),
        (("scope", "salt"), "\ud800"),
        (("scope", "key_hash"), "\ud800"),
    ],
)
async def test_a_plan_with_a_value_out_of_range_is_refused(
    gg: GoedGepickt, plans: list[Plan], path: Any, value: Any
) -> None:
    data: Any = json.loads(plans[0].to_json())
    target = data
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = value
    with pytest.raises(ConfigurationError, match="the plan"):
        gg.bulk.load_plan(json.dumps(data))


@pytest.mark.slow
async def test_a_crafted_plan_cannot_control_the_terminal_that_shows_it(gg: GoedGepickt, plans: list[Plan]) -> None:
    shown = 0
    for plan in plans:
        whole = plan.with_source(
            RowSource(name="rows.csv", lines=(2, 3, 4, 5), problems=("rows.csv:6: odd",))
        ).to_dict()
        whole["skipped"] = [{"key": "S", "index": 0, "uuid": None, "reason": "why"}]
        whole["conflicts"] = [{**CONFLICT, "fields": {}}]
        for path in places(whole):
            data = json.loads(json.dumps(whole))
            *above, last = path
            target = data
            for step in above:
                target = target[step]
            if not isinstance(target[last], str):
                continue
            target[last] += "\x1b[2J"
            try:
                text = str(Plan.from_dict(data))
            except ConfigurationError:
                continue
            shown += 1
            assert "\x1b" not in text, path
    assert shown > 30


@each_row("text", ["", "null", "[]", "{}", '{"format": "goedgepickt-async plan"}', "[" * 100_000])
def test_a_text_that_is_not_a_plan_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError):
        Plan.from_json(text)
