"""Single values: every spelling that the API uses is read, and nonsense is never made sense of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goedgepickt_async.convert import decode
from goedgepickt_async.errors import DecodeError
from goedgepickt_async.models import Order, OrderLine, Product
from tests.support.tables import each_row


def line(**data: Any) -> OrderLine:
    return decode(data, OrderLine)


@each_row(("raw", "read"), [("5", 5), (5, 5), ("-3", -3), ("+4", 4), (5.0, 5), ("5.0", 5), ("0", 0)])
def test_whole_numbers_are_read_in_each_spelling(raw: object, read: int) -> None:
    quantity = line(productQuantity=raw).quantity
    assert quantity == read
    assert type(quantity) is int


@each_row(
    "raw", ["abc", " 5", "5,0", "5.9", "1_000", "\u0665", "0x10", "1e3", 5.9, 1e300, True, [1], {"a": 1}, "9" * 40]
)
def test_what_is_no_whole_number_is_refused(raw: object) -> None:
    with pytest.raises(DecodeError, match=r"\$\.productQuantity: expected an integer"):
        line(productQuantity=raw)


@each_row(
    ("raw", "read"),
    [
        ("12.34", "12.34"),
        (12.34, "12.34"),
        (0.1, "0.1"),
        (12, "12"),
        ("-0.50", "-0.50"),
        ("10.0", "10.0"),
        (1e-7, "1E-7"),
    ],
)
def test_money_is_read_exactly(raw: object, read: str) -> None:
    assert str(line(productPrice=raw).price) == read


@each_row(
    "raw",
    [
        "abc",
        "1,234",
        "1.234,56",
        ",",
        "5,",
        "€ 5",
        "NaN",
        "sNaN",
        "Infinity",
        "-inf",
        float("nan"),
        float("inf"),
        "1_000",
        True,
        [1],
        {"a": 1},
    ],
)
def test_what_is_no_money_is_refused(raw: object) -> None:
    with pytest.raises(DecodeError, match=r"\$\.productPrice: expected a decimal number"):
        line(productPrice=raw)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_is_the_decimal_that_it_is_written_as(number: float) -> None:
    assert line(productPrice=number).price == Decimal(repr(number))


@each_row(
    ("raw", "read"),
    [
        *((raw, True) for raw in (True, 1, "1", "true", "True")),
        *((raw, False) for raw in (False, 0, "0", "false")),
    ],
)
def test_flags_are_read_in_each_spelling(raw: object, *, read: bool) -> None:
    assert decode({"uuid": "p-1", "allowBackorders": raw}, Product).allow_backorders is read


@each_row("raw", [" ", "yes", "ja", 2, -1, 1.0, [1], {"a": 1}])
def test_what_is_no_flag_is_refused(raw: object) -> None:
    with pytest.raises(DecodeError, match=r"\$\.allowBackorders: expected true or false"):
        decode({"uuid": "p-1", "allowBackorders": raw}, Product)


@each_row(("raw", "read"), [("0012", "0012"), (12, "12"), ("", ""), ("1e5", "1e5")])
def test_digits_are_text(raw: object, read: str) -> None:
    assert line(sku=raw).sku == read


@each_row("raw", [True, 1.5, [1], {"a": 1}])
def test_what_is_no_text_is_refused(raw: object) -> None:
    with pytest.raises(DecodeError, match=r"\$\.sku: expected text"):
        line(sku=raw)


@each_row("raw", [None, "", 5, True, []])
def test_a_uuid_is_text_that_is_not_empty(raw: object) -> None:
    with pytest.raises(DecodeError, match=r"\$\.uuid: expected an identifier"):
        decode({"uuid": raw}, Order)


def moment(raw: object) -> datetime:
    order = decode({"uuid": "o-1", "createDate": raw}, Order)
    assert order.created_at is not None
    return order.created_at


@each_row(
    ("raw", "utc"),
    [
        ("2026-11-01 09:30:00", datetime(2026, 11, 1, 8, 30, tzinfo=UTC)),
        ("2026-07-01T09:30:00", datetime(2026, 7, 1, 7, 30, tzinfo=UTC)),
        ("2026-07-01T09:30:00Z", datetime(2026, 7, 1, 9, 30, tzinfo=UTC)),
        ("2026-07-01T09:30:00.123456Z", datetime(2026, 7, 1, 9, 30, 0, 123456, tzinfo=UTC)),
        ("2026-07-01 09:30:00+02:00", datetime(2026, 7, 1, 7, 30, tzinfo=UTC)),
        ("2026-07-01T09:30:00-0500", datetime(2026, 7, 1, 14, 30, tzinfo=UTC)),
        ("2026-11-01", datetime(2026, 10, 31, 23, tzinfo=UTC)),
        # The hour that comes twice: the first one is meant.
        ("2026-10-25 01:59:59", datetime(2026, 10, 24, 23, 59, 59, tzinfo=UTC)),
        ("2026-10-25 02:30:00", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
        ("2026-10-25 03:00:00", datetime(2026, 10, 25, 2, 0, tzinfo=UTC)),
        # The hour that never was: read with the offset from before.
        ("2026-03-29 01:59:59", datetime(2026, 3, 29, 0, 59, 59, tzinfo=UTC)),
        ("2026-03-29 02:30:00", datetime(2026, 3, 29, 1, 30, tzinfo=UTC)),
        ("2026-03-29 03:00:00", datetime(2026, 3, 29, 1, 0, tzinfo=UTC)),
    ],
)
def test_date_times_are_instants_and_dutch_local_time_without_an_offset(raw: str, utc: datetime) -> None:
    read = moment(raw)
    assert read.utcoffset() is not None
    assert read.astimezone(UTC) == utc


@given(st.datetimes(min_value=datetime(1950, 1, 1), max_value=datetime(2090, 1, 1)))  # noqa: DTZ001 - wall clock
def test_every_wall_clock_time_is_read_as_itself(wall: datetime) -> None:
    read = moment(wall.isoformat(" "))
    assert read.replace(tzinfo=None) == wall
    assert read.utcoffset() in {timedelta(hours=1), timedelta(hours=2)}


@each_row("raw", ["gisteren", "01-11-2026", "2026-13-01 00:00:00", "0001-00-00 00:00:00", 5, True, [1], {"a": 1}])
def test_what_is_no_date_time_is_refused(raw: object) -> None:
    with pytest.raises(DecodeError, match=r"\$\.createDate: expected a date and time"):
        decode({"uuid": "o-1", "createDate": raw}, Order)


@each_row("raw", [5, True, [1], {"a": 1}])
def test_an_enumeration_takes_text_only(raw: object) -> None:
    with pytest.raises(DecodeError, match=r"\$\.status: expected text"):
        decode({"uuid": "o-1", "status": raw}, Order)
