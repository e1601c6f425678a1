"""Values are compared by their meaning, not by their spelling. An invalid row has a reason."""

from decimal import Decimal
from typing import Any

import attrs
from hypothesis import given
from hypothesis import strategies as st

from goedgepickt_async import UNSET, NewOrder, NewOrderLine, NewProduct, Product, ProductStock
from goedgepickt_async.bulk import Action, Conflict, DesiredRow, PlannedWrite, Unchanged
from goedgepickt_async.bulk.orders import new_order, normalize_order
from goedgepickt_async.bulk.products import (
    diff_free_stock,
    diff_product,
    equal,
    normalize_level,
    normalize_product,
    resolve_mutation,
)
from goedgepickt_async.bulk.strategy import ProductsSeen, split_duplicates
from tests.support.tables import each_row

SHOP = "shop"
amounts = st.decimals(min_value=0, max_value=10**6, places=2)


def diffed(row: Any, *present: Product, **options: Any) -> Any:
    desired = normalize_product(row, 0, key="sku", webshop=SHOP)
    if isinstance(desired, Conflict):
        return desired
    return diff_product(desired, ProductsSeen(products=present), webshop=SHOP, **options)


def changes(decision: Any) -> dict[str, tuple[Any, Any]]:
    assert isinstance(decision, PlannedWrite)
    return {change.field: (change.before, change.after) for change in decision.changes}


@given(amount=amounts, zeros=st.integers(0, 3))
def test_amounts_are_equal_regardless_of_trailing_zeros(amount: Decimal, zeros: int) -> None:
    text = f"{amount:f}" + "0" * zeros
    assert equal("price", text, amount)
    assert not equal("price", text, amount + Decimal("0.01"))


@given(text=st.text(max_size=12), pad=st.sampled_from(["", " ", "  ", "\t"]))
def test_texts_are_equal_regardless_of_outer_white_space_and_none_equals_empty(text: str, pad: str) -> None:
    assert equal("name", text, pad + text + pad)
    assert equal("name", None, pad)
    assert equal("product_id", "12", 12)


@given(
    name=st.text(min_size=1, max_size=9).filter(str.strip),
    price=amounts,
    product_id=st.none() | st.integers(1, 10**6).map(str),
)
def test_a_product_that_was_created_from_a_row_is_unchanged_in_the_next_plan(
    name: str, price: Decimal, product_id: str | None
) -> None:
    row = {"sku": "0012", "name": name, "price": str(price)} | ({"product_id": product_id} if product_id else {})
    created = diffed(row)
    assert created.action is Action.CREATE
    there = Product(uuid="u", sku="0012", name=name.strip(), price=price + Decimal("0.000"), product_id=product_id)
    assert isinstance(diffed(row, there), Unchanged)


@given(
    name=st.sampled_from(["a", "b", None]), price=st.none() | amounts, wanted=st.sampled_from(["a", "b"]), to=amounts
)
def test_an_update_changes_only_the_fields_that_differ_from_the_row(
    name: str | None, price: Decimal | None, wanted: str, to: Decimal
) -> None:
    there = Product(uuid="u", sku="x", name=name, price=price, product_id="7")
    row = {"sku": "x", "name": wanted, "price": to}
    decision = diffed(row, there)
    if isinstance(decision, PlannedWrite):
        assert set(changes(decision)) <= {"name", "price"}
        after = {field: new for field, (_, new) in changes(decision).items()}
        there = attrs.evolve(there, name=after.get("name", name), price=Decimal(str(after.get("price", price))))
    assert isinstance(diffed(row, there), Unchanged)


def test_unset_keeps_a_field_and_none_empties_it() -> None:
    there = Product(uuid="u", sku="x", name="n", price=Decimal(5), product_id="7")
    assert isinstance(diffed(NewProduct(sku="x", name="n"), there), Unchanged)
    assert isinstance(diffed({"sku": "x", "price": UNSET}, there), Unchanged)
    assert changes(diffed({"sku": "x", "price": None, "product_id": None}, there)) == {
        "price": ("5", None),
        "product_id": ("7", None),
    }
    empty = Product(uuid="u", sku="x", name="n")
    assert isinstance(diffed({"sku": "x", "price": None, "product_id": ""}, empty), Unchanged)


@each_row(
    ("row", "why"),
    [
        ({"sku": ""}, "the sku is empty"),
        ({"sku": "  ", "name": "a"}, "the sku is empty"),
        ({"name": "a"}, "the sku is empty"),
        ({"sku": 1.5, "name": "a"}, "sku: must be text"),
        ({"sku": "x\ud800", "name": "a"}, "valid Unicode"),
        ({"sku": "x", "price": 1.5}, "price"),
        ({"sku": "x", "price": "1,50"}, "price"),
        ({"sku": "x", "prijs": "1.50"}, "prijs"),
        ({"sku": "x", "name": ""}, "name"),
        ({"sku": "x"}, "name: is required"),
        ({"sku": "x", "name": "a", "webshop_uuid": "other"}, "another webshop"),
        ("x", "must be a mapping"),
        (None, "must be a mapping"),
    ],
)
def test_an_invalid_row_is_a_conflict_with_a_reason(row: Any, why: str) -> None:
    decision = diffed(row)
    assert isinstance(decision, Conflict)
    assert why in decision.reason
    assert decision.indexes == (0,)


@each_row("field", ["sku", "product_id", "name", "url", "picture", "webshop_uuid"])
def test_a_number_with_thousands_of_digits_is_a_conflict(field: str) -> None:
    conflict = normalize_product({"sku": "A", field: 10**5_000}, 0, key="sku", webshop=SHOP)
    assert isinstance(conflict, Conflict)
    assert set(conflict.fields) == {field}
    assert isinstance(normalize_level((10**5_000, 1), 0), Conflict)
    order = {"order_id": "1", "lines": [{"sku": "A", "quantity": 1}], "billing": {"house_number": 10**5_000}}
    conflict = normalize_order(order, 0, webshop=SHOP)
    assert isinstance(conflict, Conflict)
    assert conflict.fields["billing.house_number"] == "must have fewer digits"


@given(keys=st.lists(st.sampled_from("abc"), max_size=8))
def test_all_rows_with_the_same_key_are_one_conflict(keys: list[str]) -> None:
    desired_rows = [DesiredRow(key=key, index=index, values={}) for index, key in enumerate(keys)]
    single, doubled = split_duplicates(desired_rows, "sku")
    assert {desired.key for desired in single} == {key for key in keys if keys.count(key) == 1}
    assert sorted(index for conflict in doubled for index in conflict.indexes) == [
        index for index, key in enumerate(keys) if keys.count(key) > 1
    ]


def stocked(free: int | None = 5, *, total: int | None = 7, **fields: Any) -> ProductsSeen:
    stock = ProductStock(free_stock=free, total_stock=total, unlimited_stock=fields.pop("unlimited", None))
    return ProductsSeen(products=(Product(uuid="u", sku="x", stock=stock, **fields),), locations=fields.pop("at", None))


def level(value: Any) -> Any:
    return normalize_level(("x", value), 0)


@given(free=st.integers(-50, 50), wanted=st.integers(0, 50))
def test_a_mutation_is_the_difference_to_the_free_stock_even_if_that_is_negative(free: int, wanted: int) -> None:
    decision = diff_free_stock(level(wanted), stocked(free))
    if free == wanted:
        assert isinstance(decision, Unchanged)
    else:
        assert changes(decision) == {"free_stock": (free, wanted)}


@given(delta=st.integers(-9, 9).filter(bool), moved=st.integers(-9, 9), reserved=st.integers(0, 1))
def test_a_mutation_is_resolved_from_the_stock_levels_only_if_they_are_unambiguous(
    delta: int, moved: int, reserved: int
) -> None:
    resolution = resolve_mutation(delta, {"total": 5, "reserved": 0}, {"total": 5 + moved, "reserved": reserved})
    expected = None if reserved else {delta: True, 0: False}.get(moved)
    assert resolution.is_done is expected
    assert resolution.is_done is not None or resolution.why


def test_an_order_is_equal_after_it_was_normalized_and_rebuilt() -> None:
    order = {
        "order_id": "S-1",
        "status": "open",
        "created_at": "2026-11-01T09:30:00+01:00",
        "billing": {"first_name": "Sien", "house_number": "12", "country": "NL"},
        "lines": [{"sku": "0012", "product_name": "Mok", "quantity": 2, "tax_rate": "21"}],
        "paid_total": "12.50",
    }
    desired = normalize_order(order, 0, webshop=SHOP)
    assert isinstance(desired, DesiredRow)
    again = new_order(desired.values)
    assert again == attrs.evolve(new_order(order), webshop_uuid=SHOP)
    assert isinstance(again, NewOrder)
    assert isinstance(again.lines[0], NewOrderLine)
    assert "Sien" not in repr(desired)


@each_row(
    ("change", "why"),
    [
        ({"created_at": "yesterday"}, "created_at"),
        ({"created_at": "2026-11-01T09:30:00"}, "created_at"),
        ({"billing": {"street": "x"}}, "billing"),
        ({"lines": []}, "lines"),
        ({"order_id": ""}, "order_id"),
        ({"webshop_uuid": "other"}, "another webshop"),
    ],
)
def test_an_invalid_order_is_a_conflict_with_a_reason(change: dict[str, Any], why: str) -> None:
    order = {"order_id": "S-1", "status": "open", "lines": [{"sku": "a", "product_name": "b", "quantity": 1}]}
    conflict = normalize_order(order | change, 3, webshop=SHOP)
    assert isinstance(conflict, Conflict)
    assert why in conflict.reason
