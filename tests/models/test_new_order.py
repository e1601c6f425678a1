"""A new order refuses invalid input at construction, and the error names every invalid field."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, assert_type

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goedgepickt_async.errors import Evidence, ValidationError
from goedgepickt_async.models import UNSET, Address, NewOrder, NewOrderLine, OrderStatus, PickupLocation, Unset
from tests.support.tables import each_row

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def line(**changes: Any) -> NewOrderLine:
    return NewOrderLine(**{"sku": "0012", "product_name": "Mok", "quantity": 2, "tax_rate": "21", **changes})


def order(**changes: Any) -> NewOrder:
    return NewOrder(**{"order_id": "1001", "status": "open", "lines": [line()], **changes})


def refused(make: Callable[[], object]) -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        make()
    error = caught.value
    assert error.status is None
    assert error.evidence is Evidence.NOT_SENT
    assert error.attempts == 0
    for path in error.fields:
        assert path in str(error) or "more" in str(error)
    return error


def test_an_order_with_only_the_required_fields_is_accepted() -> None:
    least = order()
    assert least.status is OrderStatus.OPEN
    assert least.lines == (line(),)
    assert least.webshop_uuid is UNSET
    assert least.customer_note is UNSET


def test_a_missing_keyword_is_a_validation_error_and_type_checkers_still_require_it() -> None:
    with pytest.raises(ValidationError) as caught:
        NewOrder()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    assert set(caught.value.fields) == {"order_id", "status", "lines"}
    error = refused(lambda: NewOrderLine(sku="A"))  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    assert set(error.fields) == {"product_name", "quantity"}


def test_an_unknown_keyword_is_reported_with_the_other_problems() -> None:
    error = refused(lambda: order(oder_id="1001", order_id=""))
    assert set(error.fields) == {"oder_id", "order_id"}


@each_row(
    ("field", "value"),
    [
        ("order_id", ""),
        ("order_id", "  "),
        ("order_id", None),
        ("order_id", 1001),
        ("order_id", UNSET),
        ("order_id", "\ud800"),
        ("webshop_uuid", ""),
        ("webshop_uuid", None),
        ("display_id", 5),
        ("status", "backorder"),
        ("status", "shiny_new"),
        ("status", ""),
        ("status", None),
        ("status", 3),
        ("currency", ""),
        ("created_at", datetime(2026, 11, 1)),  # noqa: DTZ001 - a datetime without a time zone is refused
        ("created_at", date(2026, 11, 1)),
        ("created_at", "2026-11-01 12:00:00"),
        ("created_at", None),
        ("created_at", datetime(1, 1, 1, tzinfo=UTC)),
        ("created_at", datetime(9999, 12, 31, 23, tzinfo=UTC)),
        ("finished_at", datetime(2026, 11, 1)),  # noqa: DTZ001
        ("discount_total", 0.1),
        ("shipping_total", float("nan")),
        ("shipping_tax", Decimal("NaN")),
        ("shipping_tax", Decimal("sNaN")),
        ("paid_total", Decimal("-Infinity")),
        ("paid_total", "Infinity"),
        ("paid_total", "12,34"),
        ("paid_total", ""),
        ("paid_total", "1_000"),
        ("paid_total", " 1"),
        ("paid_total", "1\n"),
        ("paid_total", "1e3"),
        ("paid_total", ".5"),
        ("paid_total", "5."),
        ("paid_total", "\u0665"),
        ("paid_total", "1000000000000"),
        ("paid_total", "1" * 5000),
        ("paid_total", 10**12),
        ("paid_total", -(10**4000)),
        ("paid_total", Decimal("1E+70")),
        ("paid_total", Decimal("0E+70")),
        ("paid_total", Decimal("1E+999999")),
        ("paid_total", Decimal("0E-100")),
        ("paid_total", Decimal("1E-999999")),
        ("paid_total", "0.0000001"),
        ("paid_total", True),
        ("paid_total", None),
        ("paid_tax", [1]),
        ("ignore_unknown_products", 1),
        ("ignore_unknown_products", "true"),
        ("customer_note", 5),
        ("billing", "Utrecht"),
        ("billing", None),
        ("shipping", "Dorpsstraat 1"),
        ("lines", []),
        ("lines", ()),
        ("lines", None),
        ("lines", "0012"),
        ("lines", {"sku": "0012"}),
        ("pickup_location", "DHL"),
    ],
)
def test_an_invalid_value_is_refused_under_its_name(field: str, value: object) -> None:
    assert set(refused(lambda: order(**{field: value})).fields) == {field}


@each_row(
    ("field", "value"),
    [
        ("sku", ""),
        ("sku", 12),
        ("sku", None),
        ("product_name", "\t"),
        ("quantity", 0),
        ("quantity", -1),
        ("quantity", True),
        ("quantity", 1.0),
        ("quantity", "2"),
        ("quantity", Decimal(2)),
        ("tax_rate", 21.0),
        ("tax_rate", "hoog"),
        ("unit_price_incl", 9.99),
        ("total_price_tax", None),
        ("product_id", ""),
        ("ean", 8712345),
    ],
)
def test_an_invalid_value_in_a_line_is_refused_with_the_index_of_the_line(field: str, value: object) -> None:
    assert set(refused(lambda: line(**{field: value})).fields) == {field}
    good = {"sku": "0012", "product_name": "Mok", "quantity": 2, "tax_rate": 21}
    error = refused(lambda: order(lines=[line(), good, {**good, field: value}]))
    assert set(error.fields) == {f"lines[2].{field}"}


def test_all_problems_of_an_order_are_reported_together() -> None:
    error = refused(
        lambda: order(
            order_id=None,
            created_at=NOON.replace(tzinfo=None),
            billing=Address(country="UK", house_number=True),  # type: ignore[arg-type]
            shipping=Address(country="Nederland", city=5),  # type: ignore[arg-type]
            lines=[{"sku": "A"}, 5, line(), {"sku": "", "product_name": "x", "quantity": 1, "colour": "red"}],
            pickup_location={"carrier": "PostNL", "country": "XX"},
        )
    )
    assert set(error.fields) == {
        "order_id",
        "created_at",
        "billing.country",
        "billing.house_number",
        "shipping.country",
        "shipping.city",
        "lines[0].product_name",
        "lines[0].quantity",
        "lines[1]",
        "lines[3].sku",
        "lines[3].colour",
        "pickup_location.carrier",
        "pickup_location.country",
    }
    assert "and 7 more" in str(error)


def test_amounts_are_accepted_as_decimals_text_and_whole_numbers() -> None:
    made = order(paid_total=Decimal("12.34"), paid_tax="2.14", discount_total=5)
    assert (made.paid_total, made.paid_tax, made.discount_total) == (Decimal("12.34"), Decimal("2.14"), Decimal(5))


@given(st.decimals(-(10**11), 10**11, places=6) | st.decimals(-(10**11), 10**11, places=2))
def test_every_decimal_of_a_normal_size_is_kept_exactly_from_decimal_or_text(amount: Decimal) -> None:
    assert line(unit_price_incl=amount).unit_price_incl == amount
    assert line(unit_price_incl=f"{amount:f}").unit_price_incl == amount


@given(st.decimals())
def test_any_decimal_is_kept_exactly_or_refused_with_a_validation_error(amount: Decimal) -> None:
    try:
        kept = line(unit_price_incl=amount).unit_price_incl
    except ValidationError as error:
        assert set(error.fields) == {"unit_price_incl"}
    else:
        assert kept == amount
        assert len(f"{kept:f}") <= 20


def test_an_amount_with_too_many_digits_is_refused_with_the_allowed_sizes() -> None:
    error = refused(lambda: order(paid_total="1.2345678"))
    assert error.fields["paid_total"] == ("must have at most 12 digits before the point and 6 after it",)


@given(st.floats())
def test_every_float_is_refused_as_an_amount(amount: float) -> None:
    assert set(refused(lambda: line(unit_price_incl=amount)).fields) == {"unit_price_incl"}


@each_row("status", ["open", "on_hold", "completed", "cancelled", OrderStatus.ON_HOLD])
def test_an_order_can_be_created_in_the_four_documented_states(status: str) -> None:
    assert order(status=status).status is OrderStatus(status)


def test_countries_become_upper_case_and_house_numbers_become_text() -> None:
    made = order(billing=Address(country="nl", house_number=12, house_number_addition=3))  # type: ignore[arg-type]
    assert made.billing == Address(country="NL", house_number="12", house_number_addition="3")
    place = PickupLocation(location_number=805, carrier=1, house_number=7, country="be")
    assert (place.location_number, place.carrier, place.house_number, place.country) == ("805", "1", "7", "BE")


def test_none_empties_an_optional_field() -> None:
    made = order(customer_note=None, finished_at=None, payment_method=None)
    assert made.customer_note is None
    assert made.finished_at is None


def test_lines_and_the_pickup_location_may_be_mappings() -> None:
    given_as_data = order(
        lines=[{"sku": "0012", "product_name": "Mok", "quantity": 2, "tax_rate": "21"}],
        pickup_location={"carrier": "1"},
    )
    assert given_as_data == order(pickup_location=PickupLocation(carrier="1"))


def test_an_order_is_an_immutable_value() -> None:
    made = order(billing=Address(city="Utrecht"), created_at=NOON)
    assert pickle.loads(pickle.dumps(made)) == made
    assert copy.deepcopy(made) == made
    assert hash(copy.copy(made)) == hash(made)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        made.order_id = "2"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def test_a_changed_copy_is_checked_again() -> None:
    made = order()
    assert attrs.evolve(made, webshop_uuid="w-1").webshop_uuid == "w-1"
    assert set(refused(lambda: attrs.evolve(made, lines=[])).fields) == {"lines"}


def test_the_signature_and_the_types_have_the_fields() -> None:
    assert "order_id" in inspect.signature(NewOrder).parameters
    made = NewOrder(order_id="1", status="open", lines=[line()], paid_total="1.00")
    assert_type(made.paid_total, Decimal | Unset)
    assert_type(made.lines, tuple[NewOrderLine, ...])
    if made.webshop_uuid is not UNSET:
        assert_type(made.webshop_uuid, str)


def test_an_address_may_be_a_mapping_with_only_the_fields_of_an_address() -> None:
    assert order(billing={"city": "Utrecht", "country": "nl"}).billing == Address(city="Utrecht", country="NL")
    assert set(refused(lambda: order(billing={"town": "Utrecht"})).fields) == {"billing.town"}
