"""Numbers in cells are read exactly or refused."""

from __future__ import annotations

import contextlib
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goedgepickt_async.bulk.files.cells import CellError, Notation, amount, whole
from tests.support.tables import each_row


@each_row(
    ("text", "number"),
    [
        ("12", "12"),
        ("12.34", "12.34"),
        ("12,34", "12.34"),
        ("-0,5", "-0.5"),
        ("0.125", "0.125"),
        ("1.234,56", "1234.56"),
        ("1,234.56", "1234.56"),
        ("1.234.567", "1234567"),
        ("1 234,5", "1234.5"),
        ("1\u00a0234,5", "1234.5"),
        ("€ 12,34", "12.34"),
        ("12,34 EUR", "12.34"),
        ("12,-", "12"),
        ("1.234,-", "1234"),
        ("5.0000", "5"),
    ],
)
def test_a_number_with_one_meaning_is_read(text: str, number: str) -> None:
    assert amount(text) == Decimal(number)


@each_row("text", ["1.234", "1,234", "12.345", "999,000"])
def test_an_ambiguous_number_is_refused_unless_the_notation_is_given(text: str) -> None:
    with pytest.raises(CellError, match="is ambiguous"):
        amount(text)
    assert {amount(text, Notation(decimal=".")), amount(text, Notation(decimal=","))} == {
        Decimal(text.replace(",", ".")),
        Decimal(text.replace(",", "").replace(".", "")),
    }


@each_row("text", ["", "x", "1.23.4", "1,2,3", "1e5", "1_000", "--1", "1.", ".5", "1.234,56,7", "٣", "9" * 50])
def test_a_text_that_is_not_a_number_is_refused(text: str) -> None:
    with pytest.raises(CellError):
        amount(text)


@given(st.decimals(min_value=-(10**9), max_value=10**9, places=2), st.sampled_from([",", "."]))
def test_an_amount_is_read_with_and_without_thousands_separators(number: Decimal, point: str) -> None:
    thousands = "." if point == "," else ","
    grouped = f"{number:,.2f}".replace(",", "T").replace(".", point).replace("T", thousands)
    assert amount(grouped) == amount(f"{number:.2f}".replace(".", point)) == number


def test_a_whole_number_may_have_only_zeros_as_decimals() -> None:
    assert (whole("5.0000"), whole("-3"), whole("5,00")) == (5, -3, 5)
    with pytest.raises(CellError, match="whole"):
        whole("5.5")


@given(st.text(max_size=60), st.sampled_from([None, ",", "."]))
def test_any_text_is_a_number_or_refused(text: str, decimal: str | None) -> None:
    with contextlib.suppress(CellError):
        assert amount(text, Notation(decimal=decimal)).is_finite()
