"""The decision about a row, whole: each field of it, for each reason."""

from decimal import Decimal
from typing import Any

import attrs
import pytest

from goedgepickt_async import UNSET, NewProduct, Product, ProductStock, ProductType, ProductUpdate, ValidationError
from goedgepickt_async.bulk import Action, Conflict, ConflictCode, DesiredRow, PlannedWrite, Skipped, Unchanged
from goedgepickt_async.bulk.orders import diff_order, new_order, normalize_order
from goedgepickt_async.bulk.products import (
    ProductStrategy,
    diff_free_stock,
    diff_location_stock,
    diff_product,
    equal,
    evidence_of,
    normalize,
    normalize_level,
    normalize_product,
    one_of_several,
    resolve_mutation,
)
from goedgepickt_async.bulk.strategy import ProductsSeen
from goedgepickt_async.bulk.values import NOT_REPORTED, Change, Resolution
from goedgepickt_async.errors import Evidence
from goedgepickt_async.models import Address, NewOrder, StockLocation
from tests.support.tables import each_row

SHOP = "shop"
PLACEHOLDER = "https://x.test/Image_Placeholder.png"


def row(uuid: str | None = None, **values: Any) -> DesiredRow:
    return DesiredRow(key="x", index=4, values={"sku": "x", **values}, uuid=uuid)


def conflict(reason: str, code: ConflictCode = ConflictCode.BAD_ROW, key: str = "x", **more: Any) -> Conflict:
    return Conflict(key=key, indexes=(4,), reason=reason, code=code, **more)


def change(field: str, before: Any, after: Any) -> Change:
    return Change(field=field, before=before, after=after)


def product(uuid: str = "u", **fields: Any) -> Product:
    return Product(**{"uuid": uuid, "sku": "x", "name": "Mok", **fields})


def unchanged(uuid: str | None = "u") -> Unchanged:
    return Unchanged(key="x", index=4, uuid=uuid)


# -- products -----------------------------------------------------------------------------------------------------


@each_row(
    ("field", "value", "normal"),
    [
        ("name", None, None),
        ("name", " ", None),
        ("name", " a ", "a"),
        ("name", 12, "12"),
        ("price", "1.50", Decimal("1.5")),
        ("price", " 1.5 ", Decimal("1.5")),
        ("price", 1.5, Decimal("1.5")),
        ("price", "cheap", "cheap"),
        ("price", "", None),
        ("stock_management", "TRUE", True),
        ("stock_management", 1, True),
        ("stock_management", True, True),
        ("stock_management", "0", False),
        ("stock_management", False, False),
        ("stock_management", " false ", False),
        ("stock_management", "ja", "ja"),
    ],
)
def test_a_value_has_one_normal_form_for_comparison(field: str, value: Any, normal: Any) -> None:
    found = normalize(field, value)
    assert (found, type(found)) == (normal, type(normal))
    assert equal(field, value, normal) is True
    assert equal(field, value, "other") is False


@each_row(
    ("given", "key", "decision"),
    [
        ({"sku": " x ", "name": "a", "uuid": "u"}, "sku", row("u", name="a")),
        ({"sku": "x", "uuid": 7}, "sku", row()),
        ({"sku": " 0012 "}, "sku", DesiredRow(key="0012", index=4, values={"sku": "0012"})),
        ({"sku": "x", "webshop_uuid": SHOP, "product_id": 12}, "sku", row(product_id="12")),
        ({"sku": 12, "product_id": " p "}, "product_id", DesiredRow(key="p", index=4, values={"product_id": "p", "sku": "12"})),
        (NewProduct(webshop_uuid=SHOP, sku="x", name="a", price=Decimal(2)), "sku", row(name="a", price="2")),
        (ProductUpdate(webshop_uuid=SHOP, sku="x", stock_management=True), "sku", row(stock_management=True)),
        (product(uuid="u", price=Decimal("2.50")), "sku", row("u", name="Mok", price="2.50", product_id=None, picture=None)),
        ({"sku": " x ", "name": True}, "sku", conflict("name: must be text, not true/false", fields={"name": "must be text, not true/false"})),
        ({"sku": True}, "sku", conflict("sku: must be text", key="", fields={"sku": "must be text"})),
        ({"sku": " "}, "sku", conflict("the sku is empty", key="", fields={"sku": "must not be empty"})),
        ({"product_id": None}, "product_id", conflict("the product_id is empty", key="", fields={"product_id": "must not be empty"})),
        ({"sku": "\ud800"}, "sku", conflict("the sku is not valid Unicode text", key="")),
        ({"sku": " x ", "webshop_uuid": "w"}, "sku", conflict("it is for another webshop than this plan")),
        (7, "sku", conflict("a row must be a mapping or an attrs object, not int", key="")),
    ],
)  # fmt: skip
def test_a_row_for_a_product_is_normalised_or_refused(given: Any, key: str, decision: Any) -> None:
    found = normalize_product(given, 4, key=key, webshop=SHOP)
    assert found == decision
    assert getattr(found, "uuid", None) == getattr(decision, "uuid", None)


def test_a_row_that_is_not_valid_is_shown_with_its_trimmed_key() -> None:
    for given, key in (({"sku": " x ", "nope": 1}, "x"), ({"sku": 5.5, "nope": 1}, ""), ({"nope": 1}, "")):
        found = normalize_product(given, 4, key="sku", webshop=SHOP)
        assert isinstance(found, Conflict)
        assert (found.key, found.indexes) == (key, (4,))
        assert "nope" in found.reason


def test_only_fields_that_can_be_written_are_taken_from_a_product_that_was_read() -> None:
    read = product(price=Decimal(2), product_id="7", picture="https://x.test/a.png", type=ProductType.PARENT)
    wanted = {"name": "Mok", "product_id": "7", "price": "2", "picture": "https://x.test/a.png"}
    assert normalize_product(read, 4, key="sku", webshop=SHOP) == row(**wanted)


def decided(desired: DesiredRow, *present: Product, **options: Any) -> Any:
    seen = options.pop("seen", ProductsSeen(products=present))
    return diff_product(desired, seen, webshop=SHOP, **options)


def update(desired: DesiredRow, *changes: Change, name: str = "Mok") -> PlannedWrite:
    return PlannedWrite(action=Action.UPDATE, desired=desired, uuid="u", name=name, changes=changes)


def test_a_product_is_changed_only_where_it_differs() -> None:
    desired = row(name="Kop", price="2.50", product_id="7", url="https://x.test/p", stock_management=True)
    told = product(price=Decimal("2.5"), product_id=None, extra={"stockManagement": 0})
    assert decided(desired, told) == update(
        desired,
        change("name", "Mok", "Kop"),
        change("product_id", None, "7"),
        change("stock_management", 0, True),
        change("url", NOT_REPORTED, "https://x.test/p"),
    )
    same = product(name="Kop", price=Decimal("2.50"), product_id="7")
    assert decided(desired, same) == unchanged()
    assert decided(row(name="Kop"), product(name=None)) == update(row(name="Kop"), change("name", None, "Kop"), name="")
    assert decided(row(price="3"), product(price=Decimal("2.50"))) == update(
        row(price="3"), change("price", "2.50", "3")
    )


@each_row(
    ("wanted", "there", "update_pictures", "is_sent"),
    [
        ("https://x.test/a.png", None, False, True),
        ("https://x.test/a.png", PLACEHOLDER, False, True),
        ("https://x.test/a.png", "https://x.test/b.png", False, False),
        ("https://x.test/a.png", "https://x.test/b.png", True, True),
        ("https://x.test/a.png", "https://x.test/a.png", True, False),
        (PLACEHOLDER, "https://x.test/b.png", True, False),
        (None, "https://x.test/b.png", True, True),
        (None, "https://x.test/b.png", False, False),
        (None, PLACEHOLDER, False, False),
        ("", PLACEHOLDER, False, False),
    ],
)
def test_a_picture_is_sent_where_the_product_has_no_picture_or_where_it_is_asked(
    wanted: Any, there: Any, update_pictures: bool, is_sent: bool
) -> None:
    desired = row(picture=wanted, name="Mok", product_id="7")
    present = product(picture=there, product_id="7")
    changed = update(desired, change("picture", there, wanted)) if is_sent else unchanged()
    assert decided(desired, present, update_pictures=update_pictures) == changed
    twins = decided(attrs.evolve(desired, uuid="u"), present, product("v"), update_pictures=update_pictures)
    assert isinstance(twins, Conflict) is is_sent
    other = decided(row(picture=wanted, name="Kop"), present)
    assert change("name", "Mok", "Kop") in other.changes, "fields after the picture are compared too"


def test_a_new_product_has_the_fields_that_are_not_empty() -> None:
    desired = row(
        name=" Mok ", price="", product_id=None, picture=PLACEHOLDER, url="https://x.test/p", stock_management=False
    )
    assert decided(desired) == PlannedWrite(
        action=Action.CREATE,
        desired=desired,
        name=" Mok ",
        changes=(
            change("sku", None, "x"),
            change("name", None, " Mok "),
            change("url", None, "https://x.test/p"),
            change("stock_management", None, False),
        ),
    )
    with_picture = row(name="Mok", picture="https://x.test/a.png")
    assert decided(with_picture).changes[-1] == change("picture", None, "https://x.test/a.png")
    assert decided(row()) == conflict(
        "it does not exist and cannot be created: name: is required",
        ConflictCode.NOT_FOUND,
        fields={"name": "is required"},
    )


ELSEWHERE = ProductsSeen(elsewhere="webshop 'Noord'")
SIMILAR = ProductsSeen(similar=("X", "x1", "x2", "x3"))


@each_row(
    ("seen", "options", "expected"),
    [
        (ELSEWHERE, {}, conflict("it exists in webshop 'Noord', not in this one", ConflictCode.OTHER_WEBSHOP)),
        (ELSEWHERE, {"allow_similar": True}, conflict("it exists in webshop 'Noord', not in this one", ConflictCode.OTHER_WEBSHOP)),
        (ELSEWHERE, {"create_elsewhere": True}, Action.CREATE),
        (SIMILAR, {}, conflict("it does not exist, but 'X' and 'x1' and 'x2' is: another case?", ConflictCode.NEAR_MISS)),
        (SIMILAR, {"create_elsewhere": True}, conflict("it does not exist, but 'X' and 'x1' and 'x2' is: another case?", ConflictCode.NEAR_MISS)),
        (SIMILAR, {"allow_similar": True}, Action.CREATE),
        (ProductsSeen(), {}, Action.CREATE),
        (ProductsSeen(), {"existing_only": True}, conflict("it does not exist, and existing_only is set", ConflictCode.NOT_FOUND)),
        (SIMILAR, {"existing_only": True, "allow_similar": True}, conflict("it does not exist, and existing_only is set", ConflictCode.NOT_FOUND)),
        (SIMILAR, {"existing_only": True}, conflict("it does not exist, but 'X' and 'x1' and 'x2' is: another case?", ConflictCode.NEAR_MISS)),
    ],
)  # fmt: skip
def test_a_missing_product_is_created_unless_the_key_may_be_wrong(
    seen: ProductsSeen, options: dict[str, bool], expected: Any
) -> None:
    found = decided(row(name="Mok"), seen=seen, **options)
    assert (found if isinstance(expected, Conflict) else found.action) == expected


def test_two_products_with_a_key_are_a_conflict_unless_the_named_one_is_right_already() -> None:
    both = (product(), product("v", name="Kop"))
    ambiguous = conflict("2 products have it", ConflictCode.AMBIGUOUS, uuids=("u", "v"))
    assert decided(row("u", name="Mok"), *both) == unchanged()
    assert decided(row("v", name="Kop"), *both) == unchanged("v")
    for uuid in (None, "v", "w"):
        assert decided(row(uuid, name="Mok"), *both) == ambiguous
    skipped = Skipped(key="x", index=4, uuid="u", reason="r")
    assert one_of_several(row("u"), both, lambda found: attrs.evolve(skipped, uuid=found.uuid)) == skipped
    assert one_of_several(row("u"), both, lambda _: conflict("another")) == ambiguous


def test_a_saved_write_is_checked_with_the_options_of_its_plan() -> None:
    options: dict[str, Any] = {"existing_only": True, "create_elsewhere": True, "allow_similar": True}
    for chosen in ({}, options):
        strategy = ProductStrategy(None, webshop=SHOP, key="product_id", update_pictures=True, **chosen)  # type: ignore[arg-type]
        everything = {"key": "product_id", "update_pictures": True, **dict.fromkeys(options, False), **chosen}
        assert (strategy.options, strategy.noun, strategy.webshop) == (everything, "product_id", SHOP)


# -- stock --------------------------------------------------------------------------------------------------------


@each_row(
    ("given", "expected"),
    [
        ((" x ", " 4.0 "), ("x", 4, None)),
        (["x", "-4", "u"], ("x", -4, "u")),
        (("x", "+4", 7), ("x", 4, None)),
        ((12, Decimal("5.00")), ("12", 5, None)),
        (("x", Decimal("1E+3")), ("x", 1000, None)),
        (("x", 10**12 - 1), ("x", 10**12 - 1, None)),
        (("x", -(10**12) + 1), ("x", -(10**12) + 1, None)),
        (("x", "9" * 12), ("x", 10**12 - 1, None)),
        (("x", Decimal(10**12 - 1)), ("x", 10**12 - 1, None)),
        (("x", 0), ("x", 0, None)),
    ],
)
def test_a_row_for_stock_is_a_sku_with_a_whole_number(given: Any, expected: tuple[str, int, str | None]) -> None:
    sku, level, uuid = expected
    found = normalize_level(given, 4)
    assert isinstance(found, DesiredRow)
    assert found == DesiredRow(key=sku, index=4, values={"sku": sku, "level": level})
    assert (found.uuid, type(found.values["level"])) == (uuid, int)


PAIR = conflict("a row must be a pair of SKU and quantity", key="")
NO_SKU = conflict("the sku is empty", key="", fields={"sku": "must be text, not empty"})
NO_LEVEL = conflict("the level must be a whole number", fields={"level": "must be a whole number"})


@each_row(
    ("given", "expected"),
    [
        ("xy", PAIR),
        (b"xy", PAIR),
        (7, PAIR),
        (("x",), PAIR),
        (("x", 1, "u", "more"), PAIR),
        ((None, 1), NO_SKU),
        ((" ", 1), NO_SKU),
        ((True, 1), NO_SKU),
        (("\ud800", 1), conflict("the sku is not valid Unicode text", key="")),
        ((" x ", "many"), NO_LEVEL),
        (("x", True), NO_LEVEL),
        (("x", 10**12), NO_LEVEL),
        (("x", -(10**12)), NO_LEVEL),
        (("x", "9" * 13), NO_LEVEL),
        (("x", Decimal(10**12)), NO_LEVEL),
        (("x", Decimal("NaN")), NO_LEVEL),
        (("x", Decimal("Infinity")), NO_LEVEL),
        (("x", Decimal("0.5")), NO_LEVEL),
        (("x", 4.0), NO_LEVEL),
        (("x", None), NO_LEVEL),
        (("x", ""), NO_LEVEL),
        (("x", "1,5"), NO_LEVEL),
        (("x", "1e3"), NO_LEVEL),
        (("x", Decimal("1e99")), NO_LEVEL),
    ],
)
def test_a_row_for_stock_that_is_not_valid_says_why(given: Any, expected: Conflict) -> None:
    assert normalize_level(given, 4) == expected


def stocked(free: int | None = 5, total: int | None = 7, **fields: Any) -> Product:
    return product(stock=ProductStock(free_stock=free, total_stock=total, reserved_stock=2, **fields))


def seen(*present: Product, at: tuple[tuple[str, int], ...] | None = None) -> ProductsSeen:
    locations = None if at is None else tuple(StockLocation(pick_location_uuid=uuid, quantity=n) for uuid, n in at)
    return ProductsSeen(products=present, locations=locations)


def written(action: Action, field: str, before: int, after: int, **more: Any) -> PlannedWrite:
    fields = {"uuid": "u", "name": "Mok", "seen": {"total": 7, "reserved": 2}, **more}
    return PlannedWrite(action=action, desired=row(level=after), changes=(change(field, before, after),), **fields)


NEGATIVE = conflict("the level must not be negative", fields={"level": "must not be negative"})
UNTOLD = conflict("the API reports no stock for it", uuids=("u",))
UNLINKED = conflict("it is not linked to this location", ConflictCode.UNWRITABLE, uuids=("u",))
MISSING = conflict("no product of this account has this SKU", ConflictCode.NOT_FOUND)
PARENT = Skipped(key="x", index=4, uuid="u", reason="a compound product: only its parts have stock")
UNLIMITED = Skipped(key="x", index=4, uuid="u", reason="its stock is unlimited")
TWO = conflict("2 products have it", ConflictCode.AMBIGUOUS, uuids=("u", "v"))
IN_NORTH = conflict("it exists in webshop 'Noord', not in this one", ConflictCode.OTHER_WEBSHOP)


@each_row(
    ("level", "there", "expected"),
    [
        (3, seen(stocked()), written(Action.MUTATE, "free_stock", 5, 3)),
        (0, seen(stocked()), written(Action.MUTATE, "free_stock", 5, 0)),
        (3, seen(attrs.evolve(stocked(), name=None)), written(Action.MUTATE, "free_stock", 5, 3, name="")),
        (5, seen(stocked()), unchanged()),
        (-1, seen(stocked()), NEGATIVE),
        (-1, seen(stocked(-1)), unchanged()),
        (3, seen(stocked(None)), UNTOLD),
        (3, seen(product(stock=None)), UNTOLD),
        (3, seen(), MISSING),
        (3, ELSEWHERE, IN_NORTH),
        (3, seen(attrs.evolve(stocked(), type=ProductType.PARENT)), PARENT),
        (3, seen(stocked(unlimited_stock=True)), UNLIMITED),
        (3, seen(stocked(), product("v")), TWO),
    ],
)
def test_the_free_stock_is_changed_by_a_mutation(level: int, there: ProductsSeen, expected: Any) -> None:
    assert diff_free_stock(row(level=level), there) == expected


@each_row(
    ("level", "there", "expected"),
    [
        (3, seen(stocked()), written(Action.SET, "quantity", 7, 3)),
        (7, seen(stocked()), unchanged()),
        (3, seen(stocked(), at=(("k", 1), ("l", 4))), written(Action.SET, "quantity", 4, 3)),
        (4, seen(stocked(), at=(("k", 1), ("l", 4))), unchanged()),
        (3, seen(stocked(), at=(("k", 1),)), UNLINKED),
        (3, seen(stocked(), at=()), UNLINKED),
        (-1, seen(stocked(), at=(("l", 4),)), NEGATIVE),
        (3, seen(stocked(5, None)), UNTOLD),
        (3, seen(product(stock=None)), UNTOLD),
        (3, seen(), MISSING),
        (3, seen(attrs.evolve(stocked(), type=ProductType.PARENT)), PARENT),
        (3, seen(stocked(unlimited_stock=True)), UNLIMITED),
        (3, seen(stocked(), product("v")), TWO),
    ],
)
def test_the_stock_at_a_location_is_set(level: int, there: ProductsSeen, expected: Any) -> None:
    assert diff_location_stock(row(level=level), there, location="l") == expected


def test_of_two_products_with_a_sku_the_named_one_may_be_right_already() -> None:
    both = (stocked(), attrs.evolve(stocked(9), uuid="v"))
    assert diff_free_stock(row("v", level=9), seen(*both)) == unchanged("v")
    assert diff_free_stock(row("u", level=9), seen(*both)) == TWO
    unlimited = (stocked(unlimited_stock=True), product("v"))
    assert diff_free_stock(row("u", level=9), seen(*unlimited)) == UNLIMITED


def test_the_evidence_for_a_mutation_is_the_total_and_the_reserved_stock() -> None:
    assert evidence_of(stocked()) == {"total": 7, "reserved": 2}
    assert evidence_of(product(stock=None)) == {"total": None, "reserved": None}


UNREPORTED = Resolution(None, "the API does not report the total stock")
OTHERS = Resolution(None, "the stock was changed by others meanwhile")


@each_row(
    ("delta", "before", "now", "expected"),
    [
        (2, (5, 1), (7, 1), Resolution(is_done=True)),
        (-2, (5, 1), (3, 1), Resolution(is_done=True)),
        (2, (5, None), (7, None), Resolution(is_done=True)),
        (2, (5, 1), (5, 1), Resolution(is_done=False)),
        (2, (5, 1), (6, 1), OTHERS),
        (2, (5, 1), (3, 1), OTHERS),
        (2, (5, 1), (7, 2), OTHERS),
        (2, (5, 1), (5, 2), OTHERS),
        (2, (None, 1), (7, 1), UNREPORTED),
        (2, (5, 1), (None, 1), UNREPORTED),
        (2, (None, 1), (None, 2), UNREPORTED),
        (2, (0, 0), (2, 0), Resolution(is_done=True)),
    ],
)
def test_a_lost_mutation_is_judged_by_the_total_while_the_reserved_stock_is_the_same(
    delta: int, before: tuple[Any, Any], now: tuple[Any, Any], expected: Resolution
) -> None:
    numbers = [dict(zip(("total", "reserved"), pair, strict=True)) for pair in (before, now)]
    assert resolve_mutation(delta, *numbers) == expected


def test_a_lost_mutation_without_any_evidence_is_not_judged() -> None:
    assert resolve_mutation(2, {}, {"total": 7}) == resolve_mutation(2, {"total": 5}, {}) == UNREPORTED


# -- orders -------------------------------------------------------------------------------------------------------

ORDER: dict[str, Any] = {
    "order_id": " S-1 ",
    "status": "open",
    "created_at": " 2026-11-01T09:30:00+01:00 ",
    "display_id": "1",
    "lines": [{"sku": "a", "product_name": "b", "quantity": 1}, {"sku": "c", "product_name": "d", "quantity": 2}],
}


def test_a_new_order_is_planned_with_what_is_not_personal() -> None:
    desired = normalize_order(ORDER | {"billing": {"first_name": "Sien"}}, 4, webshop=SHOP)
    assert isinstance(desired, DesiredRow)
    assert (desired.key, desired.index, desired.uuid) == ("S-1", 4, None)
    assert (desired.values["order_id"], desired.values["webshop_uuid"]) == ("S-1", SHOP)
    shown = {"display_id": "1", "status": "open", "created_at": desired.values["created_at"], "lines": 2}
    changes = tuple(change(name, None, value) for name, value in shown.items())
    assert diff_order(desired, ()) == PlannedWrite(action=Action.CREATE, desired=desired, changes=changes)
    again = new_order(desired.values)
    assert (again.created_at, again.billing.first_name) == (new_order(ORDER).created_at, "Sien")  # type: ignore[union-attr]
    assert again.finished_at is UNSET
    bare = attrs.evolve(desired, values={"status": "open", "lines": [1]})
    assert diff_order(bare, ()).changes == (change("status", None, "open"), change("lines", None, 1))  # type: ignore[union-attr]


def test_an_order_that_exists_is_unchanged_and_one_that_exists_twice_is_a_conflict() -> None:
    assert diff_order(row(), ("u",)) == unchanged()
    assert diff_order(row(), ("u", "v")) == conflict(
        "2 existing orders have this id", ConflictCode.AMBIGUOUS, uuids=("u", "v")
    )


def test_an_order_of_another_webshop_is_refused_and_one_of_this_is_not() -> None:
    other = conflict("it belongs to another webshop than this plan", key="S-1")
    assert normalize_order(ORDER | {"webshop_uuid": "w"}, 4, webshop=SHOP) == other
    same = normalize_order(ORDER | {"webshop_uuid": SHOP}, 4, webshop=SHOP)
    assert same == normalize_order(ORDER, 4, webshop=SHOP)
    assert normalize_order(new_order(ORDER), 4, webshop=SHOP) == same
    named = conflict("its webshop_name is not the name of the webshop of this plan", key="S-1")
    for name, expected in (("Tassen 2", named), (" bloemen 1", same), ("", same), (None, same), (7, named)):
        row = ORDER | {"webshop_name": name}
        assert normalize_order(row, 4, webshop=SHOP, webshop_name="Bloemen 1 ") == expected
    assert normalize_order(ORDER | {"webshop_name": "Bloemen 1"}, 4, webshop=SHOP) == named


@each_row(
    ("change_of", "field", "why"),
    [
        ({"created_at": "yesterday"}, "created_at", "must be ISO 8601 text with an offset, such as 2026-11-01T09:30:00+01:00"),
        ({"finished_at": "soon"}, "finished_at", "must be ISO 8601 text with an offset, such as 2026-11-01T09:30:00+01:00"),
        ({"billing": {"street": "x"}}, "billing", "has fields that are not fields of an address"),
        ({"shipping": {"street": "x"}}, "shipping", "has fields that are not fields of an address"),
    ],
)  # fmt: skip
def test_a_value_of_an_order_that_is_not_valid_names_its_field(change_of: Any, field: str, why: str) -> None:
    with pytest.raises(ValidationError) as raised:
        new_order(ORDER | change_of)
    assert (raised.value.fields, raised.value.evidence) == ({field: (why,)}, Evidence.NOT_SENT)
    assert raised.value.message == f"{field}: {why}"
    assert normalize_order(ORDER | change_of, 4, webshop=SHOP) == conflict(
        f"{field}: {why}", key="S-1", fields={field: why}
    )


def test_an_order_without_a_readable_id_is_refused_without_a_key() -> None:
    for given in (7, {"order_id": 7.5, "nope": 1}, {"nope": 1}):
        found = normalize_order(given, 4, webshop=SHOP)
        assert isinstance(found, Conflict)
        assert (found.key, found.indexes) == ("", (4,))


def test_an_address_can_be_given_as_an_object() -> None:
    address = Address(first_name="Sien")
    order = new_order({**{name: value for name, value in ORDER.items() if name != "created_at"}, "shipping": address})
    assert isinstance(order, NewOrder)
    assert (order.shipping, order.created_at) == (address, UNSET)
