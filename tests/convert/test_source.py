"""The source that is generated for a small class, as a whole, so that a person can read what runs."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import attrs
import pytest

from goedgepickt_async.convert import converter as registry
from goedgepickt_async.convert import generate as fast
from goedgepickt_async.convert.generate import ModelSpec, Source, model_spec, write
from goedgepickt_async.models import LineType, Supplier
from goedgepickt_async.models.base import Identifier, Label, alias, flatten


@attrs.frozen(kw_only=True, weakref_slot=False)
class Place:
    """Lies flat in a parcel."""

    city: str | None = attrs.field(default=None, metadata=alias("City"))


@attrs.frozen(kw_only=True, weakref_slot=False)
class Parcel:
    """One field of each kind."""

    uuid: Identifier = attrs.field(metadata=alias("uuid", "parcelUuid"))
    kind: LineType | None = attrs.field(default=None, metadata=alias("type"))
    pieces: int | None = attrs.field(default=None, metadata=alias("numberOfPieces"))
    is_heavy: bool | None = attrs.field(default=None, metadata=alias("heavy"))
    weight: Decimal | None = attrs.field(default=None, metadata=alias("weight"))
    sent_at: datetime | None = attrs.field(default=None, metadata=alias("sendDate"))
    supplier: Supplier | None = attrs.field(default=None, metadata=alias("supplier"))
    labels: tuple[Label, ...] = attrs.field(default=(), metadata=alias("labels"))
    sender: Place = attrs.field(factory=Place, metadata=flatten("from"))
    extra: dict[str, Any] = attrs.field(factory=dict)


ANY_SHAPE: Final = """\
def structure(data, _=None):
    get = data.get
    made_sender = new(twin_of_Place)
    made_sender.city = value if (value := get('fromCity')).__class__ is str or value is None \
else read_sender_city(value, type_sender_city)
    made_sender.__class__ = class_Place
    made = new(twin_of_Parcel)
    made.uuid = value if (value := (found if (found := get('uuid')) is not None else data['parcelUuid'])).__class__ is str and value \
else read_uuid(value, type_uuid)
    made.kind = None if (value := get('type')) is None else members_of_kind[value]
    made.pieces = value if (value := get('numberOfPieces')).__class__ is int or value is None \
else int(value) if value.__class__ is str and value.isdecimal() and value.isascii() and len(value) < 19 \
else read_pieces(value, type_pieces)
    made.is_heavy = value if (value := get('heavy')).__class__ is bool or value is None \
else value == 1 if value.__class__ is int and 0 <= value <= 1 else read_is_heavy(value, type_is_heavy)
    made.weight = None if (value := get('weight')) is None or value == '' \
else number if value.__class__ is str and '_' not in value and (number := Decimal(value)).is_finite() \
else read_weight(value, type_weight)
    made.sent_at = None if (value := get('sendDate')) is None \
else read_sent_at(value, type_sent_at) if value < '1' \
else moment if (moment := from_iso(value)).tzinfo is not None \
else combine(moment, moment.time(), AMSTERDAM)
    made.supplier = read_object_supplier(value) if (value := get('supplier')).__class__ is dict and value \
else None if value is None else read_supplier(value, type_supplier)
    made.labels = (tuple([item if item.__class__ is str else read_item_of_labels(item, type_item_of_labels) \
for item in value if item is not None]) if value else ()) if (value := get('labels')).__class__ is list \
else read_labels(value, type_labels)
    made.sender = made_sender
    made.extra = {key: value for key, value in data.items() if key not in known_keys}
    made.__class__ = class_Parcel
    return made
"""
ONE_SHAPE: Final = """\
def structure(data, _=None):
    raw_uuid, raw_numberOfPieces, unknown_2, raw_fromCity, = data.values()
    made_sender = new(twin_of_Place)
    made_sender.city = raw_fromCity if raw_fromCity.__class__ is str or raw_fromCity is None \
else read_sender_city(raw_fromCity, type_sender_city)
    made_sender.__class__ = class_Place
    made = new(twin_of_Parcel)
    made.uuid = raw_uuid if raw_uuid.__class__ is str and raw_uuid else read_uuid(raw_uuid, type_uuid)
    made.kind = None
    made.pieces = raw_numberOfPieces if raw_numberOfPieces.__class__ is int or raw_numberOfPieces is None \
else int(raw_numberOfPieces) if raw_numberOfPieces.__class__ is str and raw_numberOfPieces.isdecimal() \
and raw_numberOfPieces.isascii() and len(raw_numberOfPieces) < 19 else read_pieces(raw_numberOfPieces, type_pieces)
    made.is_heavy = None
    made.weight = None
    made.sent_at = None
    made.supplier = None
    made.labels = ()
    made.sender = made_sender
    made.extra = {key_of_unknown_2: unknown_2}
    made.__class__ = class_Parcel
    return made
"""


def plan_of(cls: type[Any]) -> ModelSpec:
    plan = model_spec(cls)
    assert plan is not None
    return plan


def text_of(cls: type[Any], source: Source) -> str:
    return write(plan_of(cls), source, registry.converters().fast).text


def test_the_source_for_any_shape_reads_as_written_here() -> None:
    assert text_of(Parcel, fast._Lookup()) == ANY_SHAPE


def test_the_source_for_one_shape_reads_as_written_here() -> None:
    keys = ("uuid", "numberOfPieces", "an answer's own", "fromCity")
    assert text_of(Parcel, fast._Unpacked(keys, plan_of(Parcel).known)) == ONE_SHAPE


@attrs.frozen(kw_only=True, weakref_slot=False)
class value:  # noqa: N801 - named to collide with what the source uses
    """Every name here is one that the generated source has a use for."""

    made: str | None = attrs.field(default=None, metadata=alias("data"))
    new: str | None = attrs.field(default=None, metadata=alias("value"))
    sender: Place = attrs.field(factory=Place, metadata=flatten("raw_"))
    sender_city: int | None = attrs.field(default=None, metadata=alias("for"))
    item_of_codes: int | None = attrs.field(default=None, metadata=alias("not an identifier"))
    codes: tuple[str, ...] = attrs.field(default=(), metadata=alias("ﬁ"))
    key: str | None = attrs.field(default=None, metadata=alias("fi"))
    extra: dict[str, Any] = attrs.field(factory=dict)


@pytest.mark.parametrize("is_hot", [False, True])
def test_names_never_meet_whatever_a_class_and_its_fields_are_called(is_hot: bool) -> None:
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
    plan = plan_of(value)
    source: Source = fast._Unpacked((*data,), plan.known) if is_hot else fast._Lookup()
    read = write(plan, source, registry.converters().fast).compiled("value")
    assert read(data) == value(
        made="1",
        new="2",
        sender=Place(city="3"),
        sender_city=4,
        item_of_codes=5,
        codes=("6", "g"),
        key="7",
        extra={"unknown_8": 8, "made": 9},
    )
