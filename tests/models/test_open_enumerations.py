"""A value from the future is data, not an error."""

from __future__ import annotations

import copy
import enum
import pickle
import warnings
from typing import assert_type, get_args

import pytest

from goedgepickt_async.models import LineType, OpenEnum, OrderStatus, ProductType, ShipmentStatus, WebhookEvent
from goedgepickt_async.models import base as module
from tests.support.tables import each_row

CLASSES = (OrderStatus, LineType, ProductType, ShipmentStatus, WebhookEvent)


@each_row("cls", CLASSES)
def test_known_values_are_the_named_members(cls: type[OpenEnum]) -> None:
    for member in cls:
        assert cls(member.value) is member
        assert member.is_known
        assert member == member.value
        assert str(member) == member.value


@each_row("cls", CLASSES)
def test_an_unknown_value_is_a_member_like_value_that_equals_its_text(cls: type[OpenEnum]) -> None:
    unknown = cls("from_the_future")
    assert isinstance(unknown, cls)
    assert unknown == "from_the_future"
    assert unknown.value == "from_the_future"
    assert f"{unknown}" == "from_the_future"
    assert not unknown.is_known
    assert unknown not in list(cls)
    assert {unknown: 1}["from_the_future"] == 1  # type: ignore[index]


def test_an_unknown_value_is_one_object_while_the_table_has_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_UNKNOWN", {})
    assert OrderStatus("brand_new") is OrderStatus("brand_new")
    assert isinstance(LineType("brand_new"), LineType)


def test_the_table_of_unknown_values_is_bounded_and_takes_no_long_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    table: dict[object, object] = {}
    monkeypatch.setattr(module, "_UNKNOWN", table)
    OrderStatus("x" * 10_000)
    assert not table
    for number in range(2_000):
        OrderStatus(f"status_{number}")
    assert len(table) == 256
    late = OrderStatus("status_1999")
    assert late == OrderStatus("status_1999")
    assert not late.is_known


def test_a_value_that_spells_a_members_name_is_still_unknown() -> None:
    shouted = OrderStatus("OPEN")
    assert not shouted.is_known
    assert shouted != OrderStatus.OPEN


@each_row("value", ["open", "from_the_future", ""])
def test_members_survive_pickle_and_copies(value: str) -> None:
    status = OrderStatus(value)
    for again in (pickle.loads(pickle.dumps(status)), copy.copy(status), copy.deepcopy(status)):
        assert type(again) is OrderStatus
        assert again == status
        assert again.is_known is status.is_known


@each_row("value", [5, None, True, b"open", 1.5])
def test_what_is_no_text_is_no_member(value: object) -> None:
    with pytest.raises(ValueError, match="is not a valid OrderStatus"):
        OrderStatus(value)  # type: ignore[arg-type]


def test_the_empty_shipment_status_is_known() -> None:
    assert ShipmentStatus("") is ShipmentStatus.EMPTY


def test_type_checkers_see_the_class() -> None:
    assert_type(OrderStatus("from_the_future"), OrderStatus)
    assert isinstance(OrderStatus.OPEN, enum.Enum)


@each_row(
    ("cls", "value", "nearest"),
    [
        (OrderStatus, "opne", "open"),
        (OrderStatus, "OPEN", "open"),
        (OrderStatus, "canceled", "cancelled"),
        (ShipmentStatus, "deliverd", "delivered"),
        (ShipmentStatus, "in transit", "in_transit"),
    ],
)
def test_a_status_that_no_version_knows_warns_once_with_the_nearest(
    cls: type[OpenEnum], value: str, nearest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_warned", set())
    with pytest.warns(UserWarning, match=f"did you mean '{nearest}'"):
        module.warn_unknown(cls, value)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        module.warn_unknown(cls, value)
        module.warn_unknown(cls, nearest)
        module.warn_unknown(cls, None)
        module.warn_unknown(cls, cls("meant_as_it_is"))


def test_the_names_for_editors_are_the_known_values() -> None:
    assert get_args(module.OrderStatusName) == tuple(member.value for member in OrderStatus)
    assert get_args(module.ShipmentStatusName) == tuple(member.value for member in ShipmentStatus)
