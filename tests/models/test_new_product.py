"""Products and webhooks for a write refuse invalid input, and distinguish "unchanged" from "empty"."""

from __future__ import annotations

import pickle
from decimal import Decimal

import pytest

from goedgepickt_async.errors import ValidationError
from goedgepickt_async.models import UNSET, NewProduct, NewWebhook, ProductUpdate, WebhookEvent
from goedgepickt_async.models.validators import COUNTRY_CODES
from tests.support.tables import each_row


def test_a_new_product_needs_a_name_and_a_sku() -> None:
    with pytest.raises(ValidationError) as caught:
        NewProduct(price=1.5)  # type: ignore[call-arg,arg-type]  # pyright: ignore[reportCallIssue,reportArgumentType]
    assert set(caught.value.fields) == {"name", "sku", "price"}


def test_an_update_does_not_change_fields_that_are_not_given() -> None:
    update = ProductUpdate(price="12.34", url=None)
    assert update.price == Decimal("12.34")
    assert update.url is None
    assert update.name is UNSET
    assert not update.name


@each_row("field", ["name", "sku", "stock_management", "webshop_uuid"])
def test_a_required_field_of_a_product_cannot_be_emptied(field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ProductUpdate(**{field: None})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert set(caught.value.fields) == {field}


def test_unset_is_the_same_object_after_pickling() -> None:
    assert pickle.loads(pickle.dumps(UNSET)) is UNSET
    assert repr(UNSET) == "UNSET"
    assert pickle.loads(pickle.dumps(ProductUpdate())).price is UNSET


def test_a_webhook_accepts_known_and_unknown_events() -> None:
    assert NewWebhook(event="order.statusChanged", target_url="https://shop.example.test/").event.is_known
    assert NewWebhook(event=WebhookEvent("shipment.created"), target_url="https://x.test").event == "shipment.created"


@each_row(("field", "value"), [("event", ""), ("event", 5), ("target_url", ""), ("target_url", None)])
def test_an_invalid_webhook_is_refused(field: str, value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        NewWebhook(**{"event": "order.statusChanged", "target_url": "https://x.test", field: value})  # type: ignore[arg-type]
    assert set(caught.value.fields) == {field}


def test_the_country_codes_are_iso_3166_1_and_kosovo() -> None:
    assert len(COUNTRY_CODES) == 250
    assert all(len(code) == 2 and code.isascii() and code.isalpha() and code.isupper() for code in COUNTRY_CODES)
    assert {"NL", "BE", "DE", "FR", "GB", "GR", "IE", "CW", "AW", "BQ", "SX", "US", "XK"} <= COUNTRY_CODES
    assert not {"UK", "EL", "EU", "AN", "XX"} & COUNTRY_CODES
