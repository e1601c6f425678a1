"""Users' own classes and hooks take part in both paths."""

from __future__ import annotations

import sys
from decimal import Decimal
from typing import Any, Self

import attrs
import pytest

from goedgepickt_async.convert import converter as decoding
from goedgepickt_async.convert import converter as registry
from goedgepickt_async.convert import converters, decode, decode_rows
from goedgepickt_async.errors import DecodeError
from goedgepickt_async.models import Order, OrderLine
from goedgepickt_async.models.base import alias
from tests.support.tables import each_row

WEAK_SLOTS_ARE_SHARED = sys.version_info >= (3, 12)
"""Since Python 3.12 a slot for weak references is no part of a layout, and a class with one has a clone."""


@pytest.fixture
def own_converters(monkeypatch: pytest.MonkeyPatch) -> registry.Converters:
    """Converters that a test may change."""
    own = registry.Converters(registry._configured(is_fast=True), registry._configured(is_fast=False))
    monkeypatch.setattr(decoding, "converters", lambda: own)
    return own


def test_there_is_one_pair_of_converters() -> None:
    assert converters() is converters()
    assert converters().detailed.detailed_validation
    assert not converters().fast.detailed_validation


def test_a_hook_for_a_scalar_is_used_by_both_paths_also_after_first_use(own_converters: registry.Converters) -> None:
    rows = [{"uuid": "o-1", "externalDisplayId": "a", "products": [{"sku": "b", "productQuantity": 1}]}]
    assert decode_rows(rows, Order)[0].display_id == "a"
    for converter in own_converters:
        converter.register_structure_hook(str, lambda value, _: f"<{value}>")
        assert converter.structure(rows[0], Order).lines[0].sku == "<b>"
    assert decode_rows(rows, Order)[0].display_id == "<a>"


def test_an_error_of_a_users_hook_becomes_a_decode_error_without_the_value(own_converters: registry.Converters) -> None:
    def picky(value: Any, _: Any) -> OrderLine:
        raise RuntimeError(f"cannot take {value}")

    for converter in own_converters:
        converter.register_structure_hook(OrderLine, picky)
    with pytest.raises(DecodeError) as caught:
        decode({"uuid": "o-1", "products": [{"sku": "Persoonlijk"}]}, Order)
    assert caught.value.problems == ("$.products[0]: could not be read (RuntimeError)",)


@attrs.frozen
class Picky:
    """A user's class that breaks the fast path's rules: it has a validator."""

    size: int = attrs.field(validator=attrs.validators.ge(0), metadata=alias("theSize"))
    name: str = "x"


@attrs.frozen(weakref_slot=False)
class Derived:
    """A user's class that calculates a value itself."""

    size: int | None = attrs.field(default=None, metadata=alias("size"))
    twice: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "twice", 2 * (self.size or 0))


@attrs.define
class Plain:
    """A user's class that does not use this package."""

    size: int
    name: str = "x"


@attrs.frozen(kw_only=True, weakref_slot=False)
class OwnOrder(Order):
    """A user's order with a field more, of the layout of ours."""

    colour: str | None = attrs.field(default=None, metadata=alias("colour"))


@attrs.frozen(kw_only=True, weakref_slot=False)
class OwnerOrder(OwnOrder):
    """A subclass of a subclass."""

    owner: str | None = attrs.field(default=None, metadata=alias("owner"))


class BareOrder(Order):
    """A user's order that only adds behaviour, so its objects have a dict."""

    def title(self) -> str:
        return f"{self.display_id} ({self.status})"


@attrs.frozen(kw_only=True)
class WeakOrder(Order):
    """A user's order with a slot for weak references, as attrs gives by default."""

    colour: str | None = attrs.field(default=None, metadata=alias("colour"))


class CountingOrder(Order):
    """A user's order that runs its own code at its creation."""

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        object.__setattr__(self, "count", len(self.lines))


@attrs.frozen(kw_only=True, weakref_slot=False)
class CheckedOrder(Order):
    """A user's order with a field that is checked, one with its own default, one that is not on the wire."""

    colour: str = attrs.field(default="red", validator=attrs.validators.in_(("red", "blue")), metadata=alias("colour"))
    seen: bool = False
    title: str = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "title", f"{self.display_id} {self.colour}")


class MadeOrder(Order):
    """A user's order that decides which object is created."""

    def __new__(cls, **_: Any) -> Self:
        made = super().__new__(cls)
        object.__setattr__(made, "stamp", "new")
        return made


@attrs.define(slots=False)
class Loose:
    """A user's class with wire names, but without slots."""

    size: int | None = attrs.field(default=None, metadata=alias("theSize"))


def test_a_class_that_checks_or_calculates_a_value_is_read_by_its_init_and_wire_names() -> None:
    assert decode({"size": "5"}, Plain) == Plain(5)
    assert decode({"theSize": "5", "name": "y"}, Picky) == Picky(5, "y")
    assert decode({"size": "5"}, Derived).twice == 10
    with pytest.raises(DecodeError):
        decode({"theSize": -1}, Picky)
    with pytest.raises(DecodeError, match=r"\$\.size: required"):
        decode({}, Plain)


@each_row("cls", [OwnOrder, OwnerOrder, BareOrder, Loose])
def test_subclasses_and_classes_without_slots_are_read_by_a_compiled_function(cls: type[Any]) -> None:
    hook: Any = converters().fast.get_structure_hook(cls)
    assert hasattr(hook, "read_all")
    data = {"uuid": "o-1", "theSize": 5, "colour": "red", "owner": "x"}
    read = hook(data, cls)
    assert type(read) is cls
    assert read == converters().detailed.structure(data, cls)


def test_a_subclass_of_a_read_model_is_as_frozen_as_it_and_has_its_fields() -> None:
    read = decode({"uuid": "o-1", "colour": "red", "owner": "x", "new": 1, "billingCity": "Utrecht"}, OwnerOrder)
    assert (read.colour, read.owner, read.billing.city, read.extra) == ("red", "x", "Utrecht", {"new": 1})
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        read.colour = "blue"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    assert decode({"uuid": "o-1", "externalDisplayId": "#1", "status": "open"}, BareOrder).title() == "#1 (open)"


@each_row("cls", [WeakOrder, CheckedOrder, CountingOrder, MadeOrder])
def test_a_subclass_that_cannot_be_filled_directly_is_read_in_another_way(cls: type[Any]) -> None:
    hook = converters().fast.get_structure_hook(cls)
    assert hasattr(hook, "read_all") is (cls is WeakOrder and WEAK_SLOTS_ARE_SHARED)
    read = hook({"uuid": "o-1", "externalDisplayId": 1, "products": [{}], "billingCity": "Utrecht", "new": 1}, cls)
    assert (read.display_id, len(read.lines), read.billing.city, read.extra) == ("1", 1, "Utrecht", {"new": 1})


def test_the_creation_code_of_a_subclass_runs() -> None:
    for converter in converters():
        assert vars(converter.structure({"uuid": "o-1", "products": [{}, {}]}, CountingOrder))["count"] == 2
        assert vars(converter.structure({"uuid": "o-1"}, MadeOrder))["stamp"] == "new"
        assert converter.structure({"uuid": "o-1", "externalDisplayId": "#1"}, CheckedOrder).title == "#1 red"
    with pytest.raises(DecodeError, match=r"\$: could not be read \(ValueError\)"):
        decode({"uuid": "o-1", "colour": "green"}, CheckedOrder)


def test_a_class_without_slots_is_read_by_its_wire_names() -> None:
    assert decode({"theSize": "5"}, Loose) == Loose(5)


def test_lists_of_models_can_be_decoded_too() -> None:
    assert decode([{"uuid": "o-1"}], list[Order]) == [Order(uuid="o-1")]
    with pytest.raises(DecodeError, match=r"\$\[1\]\.uuid"):
        decode([{"uuid": "o-1"}, {}], list[Order])


@attrs.frozen
class Weak:
    """A user's class with wire names whose slot for weak references keeps it off the compiled path, before 3.12."""

    size: int | None = attrs.field(default=None, metadata=alias("theSize"))
    sizes: tuple[int, ...] = attrs.field(default=(), metadata=alias("theSizes"))
    extra: dict[str, Any] = attrs.field(factory=dict)


def test_a_class_whose_layout_allows_no_compiled_function_has_the_same_result() -> None:
    assert hasattr(converters().fast.get_structure_hook(Weak), "read_all") is WEAK_SLOTS_ARE_SHARED
    assert decode({"theSize": "5", "theSizes": ["1", 2], "new": 1}, Weak) == Weak(5, (1, 2), {"new": 1})
    with pytest.raises(DecodeError, match=r"\$\.theSizes\[1\]: expected an integer, got text"):
        decode({"theSizes": [1, "x"]}, Weak)


def test_a_value_that_only_the_detailed_converter_can_read_is_read(own_converters: registry.Converters) -> None:
    own_converters.detailed.register_structure_hook(int, lambda value, _: len(str(value)))
    assert decode({"productQuantity": "three"}, OrderLine).quantity == 5
    assert decode_rows([{"productQuantity": "three"}], OrderLine)[0].quantity == 5


def test_an_empty_text_is_none_even_with_a_hook_for_money_or_dates(
    own_converters: registry.Converters,
) -> None:
    for converter in own_converters:
        converter.register_structure_hook(Decimal, lambda value, _: Decimal(str(value).replace(",", ".")))
        assert converter.structure({"productPrice": "1,50"}, OrderLine).price == Decimal("1.50")
        assert converter.structure({"productPrice": ""}, OrderLine).price is None
