"""What error trackers and recorders keep: no key, and nothing personal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from goedgepickt_async import GoedGepickt, NewOrder, NewOrderLine, OutcomeUnknownError, RetryPolicy, ValidationError
from goedgepickt_async.sandbox import Sandbox, faults
from goedgepickt_async.testing import address, unlimited_budget
from tests.recipes.pages import block, module

PERSON = address(3, last_name="Geheimenberg", email="geheim@example.test", phone="+31611111111")


def order_of(shop: str) -> NewOrder:
    line = NewOrderLine(sku="a", product_name="b", quantity=1, tax_rate="21")
    return NewOrder(
        webshop_uuid=shop, order_id="S-1", status="open", shipping=PERSON, customer_note="Geheimenberg", lines=[line]
    )


def check(kept: str, sandbox: Sandbox) -> None:
    assert sandbox.api_key not in kept
    for text in ("Geheimenberg", "geheim@example.test", "+31611111111"):
        assert text not in kept


@pytest.mark.slow
async def test_a_recording_of_vcrpy_is_replayed_and_holds_neither_key_nor_person(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    pytest.importorskip("vcr", reason="the dependency group contrib is not installed")
    recorder: Any = module(tmp_path, "recordings", block("testing.md", "recordings")).recorder
    cassette = tmp_path / "orders.yaml"

    async def work(key: str) -> list[str]:
        async with GoedGepickt(key, base_url=sandbox.url, budget=unlimited_budget()) as gg:
            shop = await gg.webshops.list().first()
            assert shop is not None
            made = await gg.orders.create(order_of(shop.uuid))
            return [made.uuid, *[order.uuid async for order in gg.orders.list()]]

    with recorder.use_cassette(str(cassette)):
        found = await work(sandbox.api_key)
    assert len(found) > 200
    kept = cassette.read_text("utf-8")
    check(kept, sandbox)
    for row in sandbox.world.orders:
        assert not row["billingLastName"] or f'\\"{row["billingLastName"]}\\"' not in kept
    sandbox.requests.clear()
    with recorder.use_cassette(str(cassette), record_mode="none"):
        assert await work("another-key") == found
    assert not sandbox.requests


@pytest.mark.slow
async def test_sentry_with_its_defaults_gets_neither_key_nor_person(sandbox: Sandbox) -> None:
    sentry_sdk = pytest.importorskip("sentry_sdk", reason="the dependency group contrib is not installed")
    events: list[Any] = []

    class Local(sentry_sdk.transport.Transport):  # type: ignore[misc, name-defined]
        def capture_envelope(self, envelope: Any) -> None:
            events.extend(item.payload.json for item in envelope.items)

    sentry_sdk.init(dsn="http://key@127.0.0.1:9/1", transport=Local)
    try:
        retry = RetryPolicy(max_attempts=1)
        async with GoedGepickt(sandbox.api_key, base_url=sandbox.url, budget=unlimited_budget(), retry=retry) as gg:
            shop = await gg.webshops.list().first()
            assert shop is not None
            for fault, error in (
                (faults.Drop(applied=False), OutcomeUnknownError),
                (faults.Status(422, json={"errors": {"shippingEmail": ["geheim@example.test"]}}), ValidationError),
                (faults.Status(200, json={"success": False, "message": "Geheimenberg"}), OutcomeUnknownError),
            ):
                sandbox.fail("POST", "/orders", fault)
                sandbox.fail("GET", "/orders", faults.Status(500), times=9)
                try:
                    await gg.orders.create(order_of(shop.uuid))
                except error as caught:
                    sentry_sdk.capture_exception(caught)
    finally:
        sentry_sdk.get_client().close()
        sentry_sdk.init()
    assert len(events) == 3
    for event in events:
        frames = [frame for value in event["exception"]["values"] for frame in value["stacktrace"]["frames"]]
        ours = [frame for frame in frames if frame["module"].startswith("goedgepickt_async")]
        assert any(frame["vars"] for frame in ours)
        check(json.dumps(ours) + json.dumps([value["value"] for value in event["exception"]["values"]]), sandbox)
