"""Signed deliveries: what the service would send, by what its own sandbox sends."""

from __future__ import annotations

import json

import pytest

from goedgepickt_async import ConfigurationError, GoedGepickt, Secret, WebhookVerificationError
from goedgepickt_async.sandbox import Sandbox
from goedgepickt_async.testing import (
    compound_product_stock_updated,
    order_status_changed,
    signed_delivery,
    stock_updated,
    webhook,
)
from goedgepickt_async.webhooks import UnknownEvent, parse, verify
from tests.support.tables import each_row


@each_row(
    "event",
    [
        order_status_changed(),
        order_status_changed(new_status="é/ü", extra={"note": "/"}),
        stock_updated(new_stock=-3),
        stock_updated(new_stock=None),
        compound_product_stock_updated(4),
        UnknownEvent(name="new", data={"event": "new", "a": 1}),
    ],
)
def test_what_is_delivered_is_verified_and_read_as_the_event_again(event: object) -> None:
    made = signed_delivery(event, "geheim")  # type: ignore[arg-type]
    verify(made.body, made.signature, "geheim")
    assert parse(made.body) == event
    assert made.headers == {"Content-Type": "application/json", "Signature": made.signature}
    assert made.body.isascii()
    assert b"/" not in made.body.replace(b"\\/", b"")


def test_a_stock_level_is_text_as_the_service_writes_it() -> None:
    assert json.loads(signed_delivery(stock_updated(new_stock=-3), "geheim").body)["newStock"] == "-3"


def test_another_secret_makes_a_forgery() -> None:
    made = signed_delivery(stock_updated(), "theirs")
    with pytest.raises(WebhookVerificationError):
        verify(made.body, made.signature, "ours")


def test_a_subscription_signs_with_its_own_secret() -> None:
    secret = webhook().secret
    assert isinstance(secret, Secret)
    made = signed_delivery(stock_updated(), secret)
    verify(made.body, made.signature, "secret-1")


def test_any_json_and_any_bytes_can_be_signed() -> None:
    assert signed_delivery({"a": "é/\x7f"}, "geheim").body == b'{"a":"\\u00e9\\/\x7f"}'
    broken = signed_delivery(b"\xff not JSON", "geheim")
    verify(broken.body, broken.signature, "geheim")
    assert broken.body == b"\xff not JSON"


def test_an_empty_secret_signs_nothing() -> None:
    with pytest.raises(ConfigurationError):
        signed_delivery(stock_updated(), "")


async def test_the_bytes_are_those_that_the_sandbox_sends_for_the_same_change(
    gg: GoedGepickt, sandbox: Sandbox
) -> None:
    hook = await gg.webhooks.create("order.statusChanged", "http://elsewhere.example.test/")
    shop = sandbox.world.webshops[0]["name"]
    row = next(row for row in sandbox.world.orders if row["webshopName"] == shop)
    sandbox.world.set_order_status(row["uuid"], "on_hold")
    sent = sandbox.deliveries[0]
    assert hook.secret is not None
    ours = signed_delivery(json.loads(sent.body), hook.secret)
    assert (ours.body, ours.signature) == (sent.body, sent.signature)
    event = signed_delivery(parse(sent.body), hook.secret)
    assert json.loads(event.body) == json.loads(sent.body)
