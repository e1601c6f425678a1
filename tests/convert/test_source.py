"""The generated functions read correctly with any name of a class, its fields and the keys of a response."""

from __future__ import annotations

from typing import Any

import attrs

from goedgepickt_async.convert import converter as registry
from goedgepickt_async.convert import generate as fast
from goedgepickt_async.models.base import alias, flatten
from tests.support.tables import each_row


@attrs.frozen(kw_only=True, weakref_slot=False)
class Place:
    """Its keys are directly in a parcel."""

    city: str | None = attrs.field(default=None, metadata=alias("City"))


@attrs.frozen(kw_only=True, weakref_slot=False)
class value:  # noqa: N801 - named to collide with what the source uses
    """The generated source uses each of these names itself."""

    made: str | None = attrs.field(default=None, metadata=alias("data"))
    new: str | None = attrs.field(default=None, metadata=alias("value"))
    sender: Place = attrs.field(factory=Place, metadata=flatten("raw_"))
    sender_city: int | None = attrs.field(default=None, metadata=alias("for"))
    item_of_codes: int | None = attrs.field(default=None, metadata=alias("not an identifier"))
    codes: tuple[str, ...] = attrs.field(default=(), metadata=alias("ﬁ"))
    key: str | None = attrs.field(default=None, metadata=alias("fi"))
    extra: dict[str, Any] = attrs.field(factory=dict)


@each_row("is_hot", [False, True])
def test_generated_names_differ_from_any_name_of_a_class_and_its_fields(is_hot: bool) -> None:
    data = {
        "data": 1,
        "value": 2,
        "raw_City": 3,
        "for": "4",
        "not an identifier": "5",
        "ﬁ": [6, "g"],
        "fi": 7,
        "unknown_8": 8,
        "made": 9,
    }
    hook: Any = registry._configured(is_fast=True).get_structure_hook(value)
    for _ in range(fast._HOT + 1 if is_hot else 0):
        hook(data, value)
    assert bool(hook.read_all.__self__) is is_hot
    assert registry._configured(is_fast=False).structure(data, value) == hook(data, value)
    assert hook(data, value) == value(
        made="1",
        new="2",
        sender=Place(city="3"),
        sender_city=4,
        item_of_codes=5,
        codes=("6", "g"),
        key="7",
        extra={"unknown_8": 8, "made": 9},
    )


@attrs.frozen(kw_only=True, weakref_slot=False)
class Twice:
    """Two fields of one key, and one of three."""

    text: str | None = attrs.field(default=None, metadata=alias("a", "b"))
    number: int | None = attrs.field(default=None, metadata=alias("b", "a", "c"))
    third: str | None = attrs.field(default=None, metadata=alias("c"))


@each_row(
    ("data", "expected"),
    [
        ({"a": "1", "b": "2"}, Twice(text="1", number=2)),
        ({"b": "2", "c": "3"}, Twice(text="2", number=2, third="3")),
        ({"a": None, "b": None, "c": "3"}, Twice(number=3, third="3")),
        ({"z": 1}, Twice()),
    ],
)
def test_fields_may_share_keys(data: dict[str, Any], expected: Twice) -> None:
    hook = registry._configured(is_fast=True).get_structure_hook(Twice)
    assert [hook(data, Twice) for _ in range(fast._HOT + 1)] == [expected] * (fast._HOT + 1)
    assert registry._configured(is_fast=False).structure(data, Twice) == expected
