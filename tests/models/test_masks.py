"""No personal data and no secret is in any repr, text or error; what helps to find the thing is."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime

import pytest

from goedgepickt_async.errors import ValidationError
from goedgepickt_async.models import (
    Address,
    NewOrder,
    NewOrderLine,
    NewWebhook,
    Order,
    OrderLine,
    OrderShipment,
    OrderStatus,
    PickupLocation,
    Secret,
    Shipment,
    Webhook,
    WebhookEvent,
)
from tests.support.tables import each_row

MARK = "Persoonlijk"
PERSON = Address(
    first_name=MARK,
    last_name=MARK,
    company=MARK,
    address=MARK,
    address2=MARK,
    house_number=MARK,
    house_number_addition=MARK,
    zipcode=MARK,
    city=MARK,
    country="NL",
    email=MARK,
    phone=MARK,
)
LINE = NewOrderLine(sku="0012", product_name=MARK, quantity=1, tax_rate=21)


@each_row(
    ("model", "shown"),
    [
        (PERSON, ["NL"]),
        (
            Order(
                uuid="o-1",
                display_id="#1001",
                status=OrderStatus.OPEN,
                customer_note=MARK,
                internal_comment=MARK,
                billing=PERSON,
                shipping=PERSON,
                lines=(OrderLine(sku="A", product_name=MARK),),
                shipments=(OrderShipment(track_trace_code=MARK, track_trace_url=MARK),),
                tags=(MARK,),
                extra={"customerName": MARK},
            ),
            ["o-1", "#1001", "open"],
        ),
        (OrderShipment(track_trace_code=MARK, track_trace_url=MARK, extra={"name": MARK}), []),
        (
            Shipment(
                uuid="s-1",
                track_trace_code=MARK,
                track_trace_url=MARK,
                reference_text=MARK,
                shipping_first_name=MARK,
                shipping_last_name=MARK,
                shipping_city=MARK,
                extra={"name": MARK},
            ),
            ["s-1"],
        ),
        (Webhook(uuid="h-1", secret=Secret(MARK), target_url=f"https://u:{MARK}@example.test/"), ["h-1", "***"]),
        (
            NewOrder(
                order_id="1001",
                status="open",
                billing=PERSON,
                shipping=PERSON,
                customer_note=MARK,
                created_at=datetime(2026, 11, 1, 9, tzinfo=UTC),
                lines=[LINE],
                pickup_location=PickupLocation(street=MARK, city=MARK, house_number=MARK, location=MARK),
            ),
            ["1001", "open", "0012"],
        ),
        (NewWebhook(event=WebhookEvent.ORDER_STATUS_CHANGED, target_url=f"https://{MARK}.test"), ["statusChanged"]),
        (Secret(MARK), ["***"]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_repr_shows_which_thing_it_is_and_nothing_personal(model: object, shown: list[str]) -> None:
    for text in (repr(model), str(model), f"{model}", f"{[model]}"):
        assert MARK not in text
    assert all(part in repr(model) for part in shown)


def test_a_refusal_names_the_field_and_not_the_value() -> None:
    person = Address(first_name=MARK, country=MARK, house_number=1.5)  # type: ignore[arg-type]
    with pytest.raises(ValidationError) as caught:
        NewOrder(order_id="1", status=MARK, customer_note=[MARK], billing=person, lines=[LINE])  # type: ignore[arg-type]
    error = caught.value
    for text in (str(error), repr(error), repr(error.fields), repr(error.args)):
        assert MARK not in text
    assert set(error.fields) == {"status", "customer_note", "billing.country", "billing.house_number"}
    assert error.__context__ is None


def test_a_secret_is_given_only_when_asked() -> None:
    secret = Secret("geheim")
    assert secret.reveal() == "geheim"
    assert secret == Secret("geheim")
    assert secret != Secret("anders")
    assert secret != "geheim"
    assert len({secret, Secret("geheim")}) == 1
    assert pickle.loads(pickle.dumps(secret)) == secret
