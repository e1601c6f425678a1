"""UNSET differs from None and from values, in what is sent."""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from decimal import Decimal
from typing import assert_type

from goedgepickt_async import UNSET, NewProduct, ProductUpdate, Unset


def narrowed(price: Decimal | Unset | None) -> str:
    if price is UNSET:
        assert_type(price, Unset)
        return "left as it is"
    assert_type(price, Decimal | None)
    return "emptied" if price is None else f"{price:f}"


def falsy(name: str | Unset) -> str:
    return name or "no name"


def given() -> None:
    ProductUpdate(price=None)
    ProductUpdate(price=UNSET)
    ProductUpdate(price="12.50")
    ProductUpdate(price=12)
    assert_type(ProductUpdate(price=Decimal("12.50")).price, Decimal | None | Unset)
    assert_type(NewProduct(name="Mok", sku="SB-1").webshop_uuid, str | Unset)


def mistakes() -> None:
    NewProduct(name="Mok")  # type: ignore[call-arg]  # no sku
    NewProduct("Mok", "SB-1")  # type: ignore[call-arg]  # by keyword only
    ProductUpdate(prise="12.50")  # type: ignore[call-arg]  # misspelt
    ProductUpdate(price=Decimal(1)).price = None  # type: ignore[misc]  # frozen
