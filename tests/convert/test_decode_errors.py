"""A shape that cannot be read is one error that says where, in wire names, and never what the value was."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goedgepickt_async.convert import converters, decode, decode_rows
from goedgepickt_async.convert.converter import decode_readable
from goedgepickt_async.errors import DecodeError, ValidationError
from goedgepickt_async.models import Order, Product, Shipment
from goedgepickt_async.models.base import alias
from goedgepickt_async.text import MOST_LEVELS
from tests.support.tables import each_row

MARK = "Persoonlijk"


@attrs.frozen
class Size:
    """What only a hook of the user's can read."""

    number: int


def test_every_problem_is_named_with_its_place(order_data: dict[str, Any]) -> None:
    bad = copy.deepcopy(order_data)
    bad["products"][1]["productQuantity"] = "abc"
    bad["products"].append(5)
    bad["billingCity"] = [MARK]
    bad["shippingHousenumberAddition"] = {MARK: 1}
    bad["totalPaid"] = MARK
    bad["tags"] = "a"
    bad["shipments"] = {"x": {}}
    missing = {key: value for key, value in order_data.items() if key != "uuid"}
    with pytest.raises(DecodeError) as caught:
        decode_rows([order_data, bad, missing, None, [], MARK], Order)
    assert sorted(caught.value.problems) == [
        "$.items[1].billingCity: expected text, got a list",
        "$.items[1].products[1].productQuantity: expected an integer, got text",
        "$.items[1].products[2]: expected an object, got a number",
        "$.items[1].shipments: expected a list, got an object",
        "$.items[1].shippingHousenumberAddition: expected text, got an object",
        "$.items[1].tags: expected a list, got text",
        "$.items[1].totalPaid: expected a decimal number, got other text",
        "$.items[2].uuid: required, but missing",
        "$.items[3]: expected an object, got null",
        "$.items[4]: expected an object, got a list",
        "$.items[5]: expected an object, got text",
    ]
    assert "and 6 more" in str(caught.value)
    assert len(str(caught.value)) < 500


def nested(levels: int) -> Any:
    value: Any = 1
    for level in range(levels):
        value = [value] if level % 2 else {MARK: value}
    return value


@each_row("key", ["extra", "productAttributes"])
def test_values_of_a_hundred_levels_leave_as_they_came_and_deeper_ones_are_unreadable(key: str) -> None:
    most = MOST_LEVELS - (key == "extra")  # the unknown fields are an object themselves
    wire = "newThing" if key == "extra" else key
    deep: list[dict[str, Any]] = [{"uuid": str(index), wire: nested(most)} for index in range(200)]
    read, bad_rows = decode_readable(deep, Product)
    assert (len(read), bad_rows) == (200, [])
    for product, row in ((read[0], deep[0]), (read[-1], deep[-1])):  # the last ones have a frequent shape
        assert product.to_dict(wire=True)[wire] == row[wire] == json.loads(product.to_json(wire=True))[wire]
        assert copy.deepcopy(product) == pickle.loads(pickle.dumps(product)) == product
        assert Product.from_dict(product.to_dict()) == product
    deep[150][wire] = nested(most + 1)
    read, (bad,) = decode_readable(deep, Product)
    assert (len(read), bad.index) == (199, 150)
    assert bad.lines == (f"$.items[150].{key}: expected at most 100 levels of lists and objects, got more",)
    with pytest.raises(ValidationError, match="at most 100 levels"):
        Product.from_dict({**read[0].to_dict(), "extra": {}, "product_attributes": nested(101)})


def test_no_value_is_in_the_error_and_no_other_error_behind_it(order_data: dict[str, Any]) -> None:
    errors = []
    for key in order_data:
        for value in (MARK, [MARK], {MARK: MARK}, 3.25):
            try:
                decode({**order_data, key: value}, Order)
            except DecodeError as error:
                errors.append(error)
    assert len(errors) > 40
    for caught in errors:
        assert MARK not in str(caught) + repr(caught) + repr(caught.problems)
        assert "3.25" not in str(caught)
        assert caught.__context__ is None
        assert caught.__cause__ is None


def test_the_place_of_the_rows_is_the_callers_to_say() -> None:
    with pytest.raises(DecodeError, match=r"\$\.stockLocations\[0\]\.uuid: required"):
        decode_rows([{}], Order, path="$.stockLocations")
    with pytest.raises(DecodeError, match=r"^the response cannot be read as Order: \$\.uuid: required, but missing$"):
        decode({}, Order)


@each_row("data", [None, [], "", 5, True, [{"uuid": "x"}]])
def test_what_is_no_object_is_refused(data: object) -> None:
    with pytest.raises(DecodeError, match=r"\$: expected an object"):
        decode(data, Order)


def test_objects_inside_are_objects_or_null() -> None:
    assert decode({"uuid": "p", "supplier": None, "stock": None}, Product).stock is None
    with pytest.raises(DecodeError, match=r"\$\.supplier: expected an object, got text"):
        decode({"uuid": "p", "supplier": "x"}, Product)
    with pytest.raises(DecodeError, match=r"\$\.stock: expected an object, got a list"):
        decode({"uuid": "p", "stock": [5]}, Product)
    with pytest.raises(DecodeError, match=r"\$\.linkedOrder\.uuid: required"):
        decode({"linkedOrder": {"number": 5}}, Shipment)


def test_a_page_that_is_bad_all_over_gives_a_short_message() -> None:
    with pytest.raises(DecodeError) as caught:
        decode_rows([{"uuid": 5}] * 1000, Order)
    assert caught.value.problems[-1] == "and 900 more"
    assert len(str(caught.value)) < 500


def note_explained_sizes() -> list[Any]:
    """Register how a `Size` is read; returns the list of values that the detailed converter reads from now on."""
    explained = list[Any]()

    def read(value: Any, _: Any) -> Size:
        return Size(int(value))

    def read_and_note(value: Any, tp: Any) -> Size:
        explained.append(value)
        return read(value, tp)

    fast, detailed = converters()
    fast.register_structure_hook(Size, read)
    detailed.register_structure_hook(Size, read_and_note)
    return explained


def test_the_detailed_path_is_asked_about_rows_that_are_refused_and_no_others() -> None:
    @attrs.frozen(kw_only=True, weakref_slot=False)
    class Box:
        size: Size | None = attrs.field(default=None, metadata=alias("size"))

    explained = note_explained_sizes()
    with pytest.raises(DecodeError) as caught:
        decode_rows([{"size": "1"}, {"size": "wide"}, {"size": "3"}], Box)
    assert caught.value.problems == ("$.items[1].size: could not be read (ValueError)",)
    assert explained == ["wide"]


@pytest.mark.slow
@given(rows=st.integers(1, 12), lines=st.integers(1, 150))
@settings(max_examples=10)
def test_problems_are_counted_and_a_hundred_are_kept(rows: int, lines: int) -> None:
    bad = [{"uuid": f"o-{n}", "products": [{"productQuantity": "x"}] * lines} for n in range(rows)]
    with pytest.raises(DecodeError) as caught:
        decode_rows(bad, Order)
    count, problems = rows * lines, caught.value.problems
    assert len(problems) == min(count, 101)
    assert problems[99:] == () if count < 100 else problems[99].startswith("$.items[")
    if count > 100:
        assert problems[100] == f"and {count - 100:,} more"
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("good", [0, pytest.param(20_000, marks=pytest.mark.slow)])
def test_of_many_wrong_entries_a_hundred_are_explained(good: int) -> None:
    @attrs.frozen(kw_only=True, weakref_slot=False)
    class Shelf:
        sizes: tuple[Size, ...] = attrs.field(default=(), metadata=alias("sizes"))

    explained = note_explained_sizes()
    with pytest.raises(DecodeError) as caught:
        decode_rows([{"sizes": ["1"] * good + ["wide"] * 20_000}], Shelf)
    assert explained == ["wide"] * 100
    assert caught.value.problems[-1] == "and at least 10,000 more"
