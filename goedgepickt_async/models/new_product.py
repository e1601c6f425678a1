"""A product to be created or changed: the bodies of `POST /products` and `PUT /products/{uuid}`."""

from __future__ import annotations

from decimal import Decimal

import attrs

from goedgepickt_async.models.checks import (
    nullable_amount,
    nullable_text,
    optional_amount,
    optional_flag,
    optional_name,
    optional_text,
    text,
)
from goedgepickt_async.models.outgoing import outgoing
from goedgepickt_async.models.unset import UNSET, Unset
from goedgepickt_async.models.wire_names import wire

__all__ = ["NewProduct", "ProductUpdate"]


@outgoing
@attrs.frozen(kw_only=True, weakref_slot=False)
class NewProduct:
    """A product to be created (A). Creating one that exists fails with `AlreadyExistsError` (A).

    Attributes:
        webshop_uuid: Left UNSET, the client fills in its own.
        product_id: The shop's own id.
        stock_management: Whether GoedGepickt keeps the stock of it.
        picture: A URL.
        price: A Decimal, an int or text such as `"12.34"`, 12 digits before the point and 6 behind at most;
            floats are refused.

    Raises:
        ValidationError: Something is missing or unfit; `fields` names every bad field.
    """

    webshop_uuid: str | Unset = attrs.field(default=UNSET, converter=optional_name, metadata=wire("webshopUuid"))
    name: str = attrs.field(converter=text, metadata=wire("name"))
    sku: str = attrs.field(converter=text, metadata=wire("sku"))
    product_id: str | Unset = attrs.field(default=UNSET, converter=optional_name, metadata=wire("productId"))
    stock_management: bool | Unset = attrs.field(
        default=UNSET, converter=optional_flag, repr=False, metadata=wire("stockManagement")
    )
    url: str | Unset = attrs.field(default=UNSET, converter=optional_text, repr=False, metadata=wire("url"))
    picture: str | Unset = attrs.field(default=UNSET, converter=optional_text, repr=False, metadata=wire("picture"))
    price: Decimal | Unset = attrs.field(default=UNSET, converter=optional_amount, metadata=wire("price"))


@outgoing
@attrs.frozen(kw_only=True, weakref_slot=False)
class ProductUpdate:
    """What is to change in a product (A): a field left UNSET stays as it is, None empties it.

    Attributes:
        webshop_uuid: Left UNSET, the client fills in its own.
        picture: A URL. Leave it UNSET unless it is new: GoedGepickt complained of clients that send it each time (A).
        price: A Decimal, an int or text such as `"12.34"`, 12 digits before the point and 6 behind at most;
            floats are refused.

    Raises:
        ValidationError: Something is unfit; `fields` names every bad field.
    """

    webshop_uuid: str | Unset = attrs.field(default=UNSET, converter=optional_name, metadata=wire("webshopUuid"))
    name: str | Unset = attrs.field(default=UNSET, converter=optional_name, metadata=wire("name"))
    sku: str | Unset = attrs.field(default=UNSET, converter=optional_name, metadata=wire("sku"))
    product_id: str | Unset | None = attrs.field(default=UNSET, converter=nullable_text, metadata=wire("productId"))
    stock_management: bool | Unset = attrs.field(
        default=UNSET, converter=optional_flag, metadata=wire("stockManagement")
    )
    url: str | Unset | None = attrs.field(default=UNSET, converter=nullable_text, metadata=wire("url"))
    picture: str | Unset | None = attrs.field(default=UNSET, converter=nullable_text, metadata=wire("picture"))
    price: Decimal | Unset | None = attrs.field(default=UNSET, converter=nullable_amount, metadata=wire("price"))
