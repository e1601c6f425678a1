"""Each field of each model says how surely the API has it, from where that is known, and whether it is personal."""

from __future__ import annotations

from typing import Any, get_args

import attrs

from goedgepickt_async import models
from goedgepickt_async.models.base import SOURCES, Confidence, field_info
from goedgepickt_async.models.serialization import Model
from goedgepickt_async.webhooks import events
from tests.support.tables import each_row

MODELS = [
    thing for name in models.__all__ if isinstance(thing := getattr(models, name), type) and issubclass(thing, Model)
]
EVENTS = [events.OrderStatusChanged, events.StockUpdated, events.CompoundProductStockUpdated]


@each_row("cls", [*MODELS, *EVENTS], ids=lambda cls: cls.__name__)
def test_each_field_has_a_wire_name_a_confidence_and_a_source(cls: type[Any]) -> None:
    of_the_api = [field for field in attrs.fields(cls) if field_info(field.metadata) is not None]
    assert of_the_api
    ours = {field.name for field in attrs.fields(cls)} - {field.name for field in of_the_api}
    assert not (issubclass(cls, Model) and ours - {"extra"})
    for field in of_the_api:
        info = field_info(field.metadata)
        assert info is not None
        assert info.name
        assert info.confidence in get_args(Confidence), field.name
        assert info.source in SOURCES.values(), field.name
        assert info.section in SOURCES, field.name


@each_row("cls", MODELS, ids=lambda cls: cls.__name__)
def test_no_personal_field_is_in_a_repr(cls: type[Any]) -> None:
    for field in attrs.fields(cls):
        info = field_info(field.metadata)
        assert info is None or not (info.personal and field.repr), field.name


def test_names_addresses_and_notes_are_marked_personal() -> None:
    marked = {
        f"{cls.__name__}.{field.name}"
        for cls in MODELS
        for field in attrs.fields(cls)  # type: ignore[arg-type]
        if (info := field_info(field.metadata)) is not None and info.personal
    }
    assert marked >= {f"Address.{name}" for name in attrs.fields_dict(models.Address)} - {"Address.country"}
    assert marked >= {"Order.customer_note", "NewOrder.shipping", "Shipment.shipping_last_name"}
    assert "Order.uuid" not in marked
