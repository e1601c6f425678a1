"""Products and webhooks that are to be written refuse unfit input, and tell "leave it" from "empty it"."""

from __future__ import annotations

import pickle
from decimal import Decimal

import pytest

from goedgepickt_async.errors import ValidationError
from goedgepickt_async.models import UNSET, NewProduct, NewWebhook, ProductUpdate, WebhookEvent
from goedgepickt_async.models.validators import COUNTRY_CODES


def test_a_new_product_needs_a_name_and_a_sku() -> None:
    with pytest.raises(ValidationError) as caught:
        NewProduct(price=1.5)  # type: ignore[call-arg,arg-type]  # pyright: ignore[reportCallIssue,reportArgumentType]
    assert set(caught.value.fields) == {"name", "sku", "price"}


def test_an_update_leaves_alone_what_it_is_not_given() -> None:
    update = ProductUpdate(price="12.34", url=None)
    assert update.price == Decimal("12.34")
    assert update.url is None
    assert update.name is UNSET
    assert not update.name


@pytest.mark.parametrize("field", ["name", "sku", "stock_management", "webshop_uuid"])
def test_what_a_product_must_have_cannot_be_emptied(field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ProductUpdate(**{field: None})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert set(caught.value.fields) == {field}


def test_unset_is_one_object_also_after_pickling() -> None:
    assert pickle.loads(pickle.dumps(UNSET)) is UNSET
    assert repr(UNSET) == "UNSET"
    assert pickle.loads(pickle.dumps(ProductUpdate())).price is UNSET


def test_a_webhook_takes_known_events_and_ones_that_only_its_user_knows() -> None:
    assert NewWebhook(event="order.statusChanged", target_url="https://shop.example.test/").event.is_known
    assert NewWebhook(event=WebhookEvent("shipment.created"), target_url="https://x.test").event == "shipment.created"


@pytest.mark.parametrize(("field", "value"), [("event", ""), ("event", 5), ("target_url", ""), ("target_url", None)])
def test_an_unfit_webhook_is_refused(field: str, value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        NewWebhook(**{"event": "order.statusChanged", "target_url": "https://x.test", field: value})  # type: ignore[arg-type]
    assert set(caught.value.fields) == {field}


def test_the_country_codes_are_those_of_iso_3166_1_and_kosovo() -> None:
    assert len(COUNTRY_CODES) == 250
    assert all(len(code) == 2 and code.isascii() and code.isalpha() and code.isupper() for code in COUNTRY_CODES)
    assert {"NL", "BE", "DE", "FR", "GB", "GR", "IE", "CW", "AW", "BQ", "SX", "US", "XK"} <= COUNTRY_CODES
    assert not {"UK", "EL", "EU", "AN", "XX"} & COUNTRY_CODES
