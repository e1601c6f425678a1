"""The functions for frequent shapes are compiled late, in a bounded number and correctly, for any response of an API."""

from __future__ import annotations

from typing import Any

import pytest

from goedgepickt_async.convert import converter as registry
from goedgepickt_async.convert import decode_rows
from goedgepickt_async.convert import generate as fast
from goedgepickt_async.errors import DecodeError
from goedgepickt_async.models import Order, Webshop


@pytest.fixture
def shapes() -> fast._Shapes:
    """The shapes of a separate converter."""
    hook: Any = registry._configured(is_fast=True).get_structure_hook(Webshop)
    found = hook.read_all.__self__
    assert isinstance(found, fast._Shapes)
    return found


def test_a_shape_gets_its_own_function_only_after_many_objects(shapes: fast._Shapes) -> None:
    row = {"uuid": "w-1", "name": "x", "later": 1}
    expected = Webshop(uuid="w-1", name="x", extra={"later": 1})
    for _ in range(fast._HOT - 1):
        assert shapes.read_all([row]) == [expected]
    assert not shapes
    assert shapes.read_all([row, row]) == [expected, expected]
    assert list(shapes) == [("uuid", "name", "later")]
    assert shapes.read_all([row, {"uuid": "w-2"}, row])[1] == Webshop(uuid="w-2")


def test_a_thousand_shapes_are_read_correctly_with_bounded_memory(shapes: fast._Shapes) -> None:
    for number in range(1000):
        for _ in range(2):
            row = {f"key{number}": number, "uuid": "w-1"}
            assert shapes.read_all([row]) == [Webshop(uuid="w-1", extra={f"key{number}": number})]
    assert len(shapes._seen) <= fast._MOST_COUNTED
    for number in range(fast._MOST_SHAPES + 5):
        rows = [{"uuid": "w-1", f"key{number}": 1}] * (fast._HOT + 1)
        assert shapes.read_all(rows)[-1].extra == {f"key{number}": 1}
    assert len(shapes) <= fast._MOST_SHAPES


def test_keys_of_an_answer_are_never_source_code(shapes: fast._Shapes) -> None:
    odd = "a': __import__('os'), '\"\"\"\n{}\\"
    row = {"uuid": "w-1", odd: 5, "": 6}
    assert shapes.read_all([row] * (fast._HOT + 2))[-1].extra == {odd: 5, "": 6}
    assert len(shapes) == 1


def test_an_object_with_very_many_keys_is_read_without_its_own_function(shapes: fast._Shapes) -> None:
    row: dict[str, Any] = {"uuid": "w-1"} | {f"k{number}": number for number in range(1000)}
    assert len(shapes.read_all([row] * (fast._HOT + 2))[-1].extra) == 1000
    assert not shapes


def test_a_frequent_shape_without_its_required_key_is_still_refused() -> None:
    rows = [{"status": "open"}] * (fast._HOT + 2)
    with pytest.raises(DecodeError) as caught:
        decode_rows(rows, Order)
    assert caught.value.problems[0] == "$.items[0].uuid: required, but missing"
    assert f"and {len(rows) - 5} more" in str(caught.value)
