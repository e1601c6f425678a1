"""Users' own classes and hooks take part in both paths."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import attrs
import pytest

from goedgepickt_async.convert import converters, decode, decode_rows, decoding, registry
from goedgepickt_async.errors import DecodeError
from goedgepickt_async.models import Order, OrderLine
from goedgepickt_async.models.wire_names import wire


@pytest.fixture
def own_converters(monkeypatch: pytest.MonkeyPatch) -> registry.Converters:
    """Converters that a test may change."""
    own = registry.Converters(registry._configured(is_fast=True), registry._configured(is_fast=False))
    monkeypatch.setattr(decoding, "converters", lambda: own)
    return own


def test_there_is_one_pair_of_converters() -> None:
    assert converters() is converters()
    assert converters().explain.detailed_validation
    assert not converters().fast.detailed_validation


def test_a_hook_for_a_scalar_is_used_by_both_paths_also_after_first_use(own_converters: registry.Converters) -> None:
    rows = [{"uuid": "o-1", "externalDisplayId": "a", "products": [{"sku": "b", "productQuantity": 1}]}]
    assert decode_rows(rows, Order)[0].display_id == "a"
    for converter in own_converters:
        converter.register_structure_hook(str, lambda value, _: f"<{value}>")
        assert converter.structure(rows[0], Order).lines[0].sku == "<b>"
    assert decode_rows(rows, Order)[0].display_id == "<a>"


def test_an_error_of_a_users_hook_is_ours_and_does_not_quote_the_value(own_converters: registry.Converters) -> None:
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

    size: int = attrs.field(validator=attrs.validators.ge(0), metadata=wire("theSize"))
    name: str = "x"


@attrs.frozen(weakref_slot=False)
class Derived:
    """A user's class that works something out for itself."""

    size: int | None = attrs.field(default=None, metadata=wire("size"))
    twice: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "twice", 2 * (self.size or 0))


@attrs.define
class Plain:
    """A user's class that knows nothing of us."""

    size: int
    name: str = "x"


@attrs.define(slots=False)
class Loose:
    """A user's class with wire names, but without slots."""

    size: int | None = attrs.field(default=None, metadata=wire("theSize"))


def test_classes_that_break_the_rules_are_read_by_cattrs_own_functions() -> None:
    assert decode({"size": "5"}, Plain) == Plain(5)
    assert decode({"size": 5, "name": "y"}, Picky) == Picky(5, "y")
    assert decode({"size": "5"}, Derived).twice == 10
    with pytest.raises(DecodeError):
        decode({"size": -1}, Picky)
    with pytest.raises(DecodeError, match=r"\$\.size: required"):
        decode({}, Plain)


def test_a_class_without_slots_is_read_by_its_wire_names() -> None:
    assert decode({"theSize": "5"}, Loose) == Loose(5)


def test_lists_of_models_can_be_decoded_too() -> None:
    assert decode([{"uuid": "o-1"}], list[Order]) == [Order(uuid="o-1")]
    with pytest.raises(DecodeError, match=r"\$\[1\]\.uuid"):
        decode([{"uuid": "o-1"}, {}], list[Order])


@attrs.frozen
class Weak:
    """A user's class with wire names whose slot for weak references keeps it off the compiled path."""

    size: int | None = attrs.field(default=None, metadata=wire("theSize"))
    sizes: tuple[int, ...] = attrs.field(default=(), metadata=wire("theSizes"))
    extra: dict[str, Any] = attrs.field(factory=dict)


def test_a_class_whose_layout_allows_no_compiled_function_is_read_alike() -> None:
    assert not hasattr(converters().fast.get_structure_hook(Weak), "read_all")
    assert decode({"theSize": "5", "theSizes": ["1", 2], "new": 1}, Weak) == Weak(5, (1, 2), {"new": 1})
    with pytest.raises(DecodeError, match=r"\$\.theSizes\[1\]: expected an integer, got text"):
        decode({"theSizes": [1, "x"]}, Weak)


def test_what_only_the_detailed_converter_can_read_is_read(own_converters: registry.Converters) -> None:
    own_converters.explain.register_structure_hook(int, lambda value, _: len(str(value)))
    assert decode({"productQuantity": "three"}, OrderLine).quantity == 5
    assert decode_rows([{"productQuantity": "three"}], OrderLine)[0].quantity == 5


def test_a_hook_for_money_or_dates_still_leaves_the_empty_text_to_mean_none(
    own_converters: registry.Converters,
) -> None:
    for converter in own_converters:
        converter.register_structure_hook(Decimal, lambda value, _: Decimal(str(value).replace(",", ".")))
        assert converter.structure({"productPrice": "1,50"}, OrderLine).price == Decimal("1.50")
        assert converter.structure({"productPrice": ""}, OrderLine).price is None
