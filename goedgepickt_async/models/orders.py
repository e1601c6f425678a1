"""Orders and their lines, as read and as sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import attrs

from goedgepickt_async.models.base import UNSET, Identifier, Label, LineType, OrderStatus, Unset, alias, flatten
from goedgepickt_async.models.serialization import Model
from goedgepickt_async.models.validators import (
    COUNTRY_CODES,
    FieldError,
    any_text,
    coerce,
    creation_status,
    house_number,
    nullable_datetime,
    nullable_text,
    optional_amount,
    optional_datetime,
    optional_digits,
    optional_flag,
    optional_house_number,
    optional_name,
    optional_text,
    quantity,
    request_model,
    text,
    type_name,
)

__all__ = [
    "Address",
    "NewOrder",
    "NewOrderLine",
    "Order",
    "OrderLine",
    "OrderShipment",
    "PickupLocation",
]


@attrs.frozen(kw_only=True, weakref_slot=False, repr=False)
class Address(Model):
    """Who and where, of an order's billing or shipping side (A/B).

    On the wire its parts are flat in the order, with the prefix `billing` or `shipping`. It accepts any text of the API; a
    `NewOrder` checks it (`billing.country: …`). Its repr shows the country and no personal data.

    Attributes:
        house_number: Text, also when it looks like a number; the API refuses JSON numbers (A).
        house_number_addition: Answers spell it `HousenumberAddition`, requests `HouseNumberAddition` (A/B).
        country: ISO 3166-1 alpha-2, upper-case (A). Sent, an empty one counts as None, `XK` (Kosovo) as a country.
    """

    first_name: str | None = attrs.field(
        default=None, repr=False, metadata=alias("FirstName", known="A/B 4.5", personal=True)
    )
    last_name: str | None = attrs.field(
        default=None, repr=False, metadata=alias("LastName", known="A/B 4.5", personal=True)
    )
    company: str | None = attrs.field(
        default=None, repr=False, metadata=alias("Company", known="A/B 4.5", personal=True)
    )
    address: str | None = attrs.field(
        default=None, repr=False, metadata=alias("Address", known="A/B 4.5", personal=True)
    )
    address2: str | None = attrs.field(
        default=None, repr=False, metadata=alias("Address2", known="A/B 4.5", personal=True)
    )
    house_number: str | None = attrs.field(
        default=None, repr=False, metadata=alias("HouseNumber", known="A/B 4.5", personal=True)
    )
    house_number_addition: str | None = attrs.field(
        default=None,
        repr=False,
        metadata=alias(
            "HousenumberAddition", "HouseNumberAddition", sent="HouseNumberAddition", known="A/B 4.5", personal=True
        ),
    )
    zipcode: str | None = attrs.field(
        default=None, repr=False, metadata=alias("Zipcode", known="A/B 4.5", personal=True)
    )
    city: str | None = attrs.field(default=None, repr=False, metadata=alias("City", known="A/B 4.5", personal=True))
    country: str | None = attrs.field(default=None, metadata=alias("Country", intern=True, known="A/B 4.5"))
    email: str | None = attrs.field(default=None, repr=False, metadata=alias("Email", known="A/B 4.5", personal=True))
    phone: str | None = attrs.field(default=None, repr=False, metadata=alias("Phone", known="A/B 4.5", personal=True))


@attrs.frozen(kw_only=True, weakref_slot=False, repr=False)
class OrderLine(Model):
    """One line of an order (A/B).

    Attributes:
        product_uuid: None when GoedGepickt does not know the product.
        price: Of one piece, as the API gives it; with or without tax is not documented.
        type: `PARENT` is the header of a bundle whose parts follow as `CHILD` lines: count those, not the header.
    """

    product_uuid: str | None = attrs.field(default=None, metadata=alias("productUuid", known="A/B 4.5"))
    product_name: str | None = attrs.field(default=None, repr=False, metadata=alias("productName", known="A/B 4.5"))
    sku: str | None = attrs.field(default=None, metadata=alias("sku", known="A/B 4.5"))
    quantity: int | None = attrs.field(default=None, metadata=alias("productQuantity", known="A/B 4.5"))
    picked_quantity: int | None = attrs.field(default=None, metadata=alias("pickedQuantity", known="A/B 4.5"))
    price: Decimal | None = attrs.field(default=None, repr=False, metadata=alias("productPrice", known="A/B 4.5"))
    type: LineType | None = attrs.field(default=None, metadata=alias("type", known="A/B 4.5"))
    extra: dict[str, Any] = attrs.field(factory=dict, repr=False, hash=False)


@attrs.frozen(kw_only=True, weakref_slot=False, repr=False)
class OrderShipment(Model):
    """A parcel of an order (A/B). Its repr hides the code and the URL: with a zip code they lead to the recipient."""

    track_trace_code: str | None = attrs.field(
        default=None, repr=False, metadata=alias("trackTraceCode", known="A/B 4.5", personal=True)
    )
    track_trace_url: str | None = attrs.field(
        default=None, repr=False, metadata=alias("trackTraceUrl", known="A/B 4.5", personal=True)
    )
    created_at: datetime | None = attrs.field(default=None, metadata=alias("createDate", known="A/B 4.5"))
    extra: dict[str, Any] = attrs.field(factory=dict, repr=False, hash=False)


@attrs.frozen(kw_only=True, weakref_slot=False, repr=False)
class Order(Model):
    """One order. Its repr shows no personal data; its fields do.

    Attributes:
        display_id: What people see (`externalDisplayId`, A); it may already start with `#`.
        order_number: May be absent (C), like `order_id`.
        created_at: Aware. The API may leave the offset out (A/B); then it is Dutch local time.
        total_paid: Decimal (A); None if the API sends null or an empty text.
        attention_needed: The order needs a check by a person (B).
        tags: Texts are expected (B); an object or a number is kept as its JSON text (`'{"name": "spoed"}'`).
        billing: Always an `Address`, of all None if the API sent nothing; so is `shipping`.
        extra: Keys of the API that this class has no field for.
    """

    uuid: Identifier = attrs.field(metadata=alias("uuid", "orderUuid", known="A 4.5"))
    display_id: str | None = attrs.field(default=None, metadata=alias("externalDisplayId", known="A 4.5"))
    order_number: str | None = attrs.field(default=None, repr=False, metadata=alias("orderNumber", known="C 4.5"))
    order_id: str | None = attrs.field(default=None, repr=False, metadata=alias("orderId", known="C 4.5"))
    status: OrderStatus | None = attrs.field(default=None, metadata=alias("status", known="A 4.5"))
    created_at: datetime | None = attrs.field(default=None, metadata=alias("createDate", known="A/B 4.5"))
    finished_at: datetime | None = attrs.field(default=None, repr=False, metadata=alias("finishDate", known="A/B 4.5"))
    shipped_at: datetime | None = attrs.field(default=None, repr=False, metadata=alias("shippedDate", known="A/B 4.5"))
    total_paid: Decimal | None = attrs.field(default=None, repr=False, metadata=alias("totalPaid", known="A 4.5"))
    payment_method: str | None = attrs.field(
        default=None, repr=False, metadata=alias("paymentMethod", intern=True, known="A/B 4.5")
    )
    shipping_method: str | None = attrs.field(
        default=None, repr=False, metadata=alias("shippingMethod", intern=True, known="A/B 4.5")
    )
    customer_note: str | None = attrs.field(
        default=None, repr=False, metadata=alias("customerNote", known="A/B 4.5", personal=True)
    )
    internal_comment: str | None = attrs.field(
        default=None, repr=False, metadata=alias("internComment", known="A/B 4.5", personal=True)
    )
    webshop_name: str | None = attrs.field(default=None, metadata=alias("webshopName", intern=True, known="A 4.5"))
    attention_needed: bool | None = attrs.field(
        default=None, repr=False, metadata=alias("attentionNeeded", known="B 4.5")
    )
    tags: tuple[Label, ...] = attrs.field(default=(), repr=False, metadata=alias("tags", intern=True, known="B 4.5"))
    billing: Address = attrs.field(
        factory=Address, repr=False, metadata=flatten("billing", known="A/B 4.5", personal=True)
    )
    shipping: Address = attrs.field(
        factory=Address, repr=False, metadata=flatten("shipping", known="A/B 4.5", personal=True)
    )
    lines: tuple[OrderLine, ...] = attrs.field(default=(), repr=False, metadata=alias("products", known="A 4.5"))
    shipments: tuple[OrderShipment, ...] = attrs.field(
        default=(), repr=False, metadata=alias("shipments", known="A/B 4.5")
    )
    extra: dict[str, Any] = attrs.field(factory=dict, repr=False, hash=False)

    @property
    def counted_lines(self) -> tuple[OrderLine, ...]:
        """The lines that are things to pick: a bundle's parts, not its header (A/B)."""
        return tuple(line for line in self.lines if line.type != LineType.PARENT)

    @property
    def items_to_count(self) -> int:
        """How many pieces the counted lines hold; a line without a quantity counts as none."""
        return sum(line.quantity or 0 for line in self.counted_lines)


def country(value: str) -> str:
    """An ISO 3166-1 alpha-2 code, made upper-case as the API requires (A)."""
    code = any_text(value).upper()
    if code not in COUNTRY_CODES:
        raise FieldError("must be a country code of ISO 3166-1 alpha-2, such as 'NL'")
    return code


def optional_country(value: str | Unset) -> str | Unset:
    """`country`, or UNSET. An empty text, as forms have it, says as much as UNSET."""
    return UNSET if value is UNSET or value == "" else country(value)


def optional_address(value: Address | Mapping[str, Any] | Unset) -> Address | Unset:
    """A copy of an address that is fit to be sent, or UNSET. What is None in it is not sent, nor is an empty country."""
    if value is UNSET:
        return UNSET
    if isinstance(value, Address):
        parts: Mapping[str, Any] = attrs.asdict(value, recurse=False)
    elif isinstance(value, Mapping):
        parts = value
    else:
        raise FieldError(f"must be an Address, not {type_name(value)}")
    kept: dict[str, str] = {}
    known = {field.name for field in attrs.fields(Address)}
    problems = {str(name): "Address has no such field" for name in parts if name not in known}
    for name, part in parts.items():
        if name not in known:
            continue
        try:
            checked = UNSET if part is None else _CHECKS.get(name, any_text)(part)
            if checked is not UNSET:
                kept[name] = checked
        except FieldError as error:
            problems.update(error.prefixed(name))
    if problems:
        raise FieldError(problems)
    return Address(**kept)


_CHECKS: dict[str, Any] = {
    "country": optional_country,
    "house_number": house_number,
    "house_number_addition": house_number,
}


@request_model
@attrs.frozen(kw_only=True, weakref_slot=False, repr=False)
class NewOrderLine(Model):
    """One line of an order to be created. `sku`, `product_name`, `quantity`, `tax_rate` suffice (A); the others are B.

    Amounts take a Decimal, an int or text such as `"12.34"`, with at most 12 digits before the point and 6 after it.
    Floats are refused.

    Attributes:
        quantity: Pieces, at least 1.
        tax_rate: In percent, as `21`.
        line_item_id: The shop's own id of the line; `product_id` is its id of the product.
        product_image: A URL.
        unit_price_incl: Of one piece, with tax; `…_excl` without, `…_tax` the tax. `total_…` are the amounts of the line.

    Raises:
        ValidationError: A value is missing or wrong; `fields` has every bad field.
    """

    sku: str = attrs.field(converter=text, metadata=alias("sku", known="A 4.5n"))
    product_name: str = attrs.field(converter=text, repr=False, metadata=alias("productName", known="A 4.5n"))
    quantity: int = attrs.field(converter=quantity, metadata=alias("productQuantity", known="A 4.5n"))
    tax_rate: Decimal | Unset = attrs.field(
        default=UNSET, converter=optional_amount, metadata=alias("taxRate", known="A 4.5n")
    )
    line_item_id: str | Unset = attrs.field(
        default=UNSET, converter=optional_name, repr=False, metadata=alias("lineItemId", known="B 4.5a")
    )
    product_id: str | Unset = attrs.field(
        default=UNSET, converter=optional_name, repr=False, metadata=alias("productId", known="B 4.5a")
    )
    ean: str | Unset = attrs.field(
        default=UNSET, converter=optional_text, repr=False, metadata=alias("ean", known="B 4.5a")
    )
    product_image: str | Unset = attrs.field(
        default=UNSET, converter=optional_text, repr=False, metadata=alias("productImage", known="B 4.5a")
    )
    total_price_incl: Decimal | Unset = attrs.field(
        default=UNSET, converter=optional_amount, repr=False, metadata=alias("totalPriceIncl", known="B 4.5a")
    )
    total_price_excl: Decimal | Unset = attrs.field(
        default=UNSET, converter=optional_amount, repr=False, metadata=alias("totalPriceExcl", known="B 4.5a")
    )
    total_price_tax: Decimal | Unset = attrs.field(
        default=UNSET, converter=optional_amount, repr=False, metadata=alias("totalPriceTax", known="B 4.5a")
    )
    unit_price_incl: Decimal | Unset = attrs.field(
        default=UNSET, converter=optional_amount, repr=False, metadata=alias("unitPriceIncl", known="B 4.5a")
    )
    unit_price_excl: Decimal | Unset = attrs.field(
        default=UNSET, converter=optional_amount, repr=False, metadata=alias("unitPriceExcl", known="B 4.5a")
    )
    unit_price_tax: Decimal | Unset = attrs.field(
        default=UNSET, converter=optional_amount, repr=False, metadata=alias("unitPriceTax", known="B 4.5a")
    )


@request_model
@attrs.frozen(kw_only=True, weakref_slot=False, repr=False)
class PickupLocation(Model):
    """Where the customer fetches the parcel (B).

    Attributes:
        location_number: The carrier's number of the place.
        carrier: GoedGepickt's number of the carrier, sent as text.
        location: The name of the place.
        country: ISO 3166-1 alpha-2.

    Raises:
        ValidationError: Something is unfit; `fields` names every bad field.
    """

    location_number: str | Unset = attrs.field(
        default=UNSET, converter=optional_house_number, metadata=alias("locationNumber", known="B 4.5v")
    )
    carrier: str | Unset = attrs.field(
        default=UNSET, converter=optional_digits, metadata=alias("carrier", known="B 4.5v")
    )
    location: str | Unset = attrs.field(
        default=UNSET, converter=optional_text, repr=False, metadata=alias("location", known="B 4.5v")
    )
    street: str | Unset = attrs.field(
        default=UNSET, converter=optional_text, repr=False, metadata=alias("street", known="B 4.5v")
    )
    house_number: str | Unset = attrs.field(
        default=UNSET, converter=optional_house_number, repr=False, metadata=alias("houseNumber", known="B 4.5v")
    )
    zipcode: str | Unset = attrs.field(
        default=UNSET, converter=optional_text, repr=False, metadata=alias("zipcode", known="B 4.5v")
    )
    city: str | Unset = attrs.field(
        default=UNSET, converter=optional_text, repr=False, metadata=alias("city", known="B 4.5v")
    )
    country: str | Unset = attrs.field(
        default=UNSET, converter=optional_country, metadata=alias("country", known="B 4.5v")
    )


def _lines(value: Sequence[NewOrderLine | Mapping[str, object]]) -> tuple[NewOrderLine, ...]:
    """At least one line, each checked, each problem with its index."""
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Sequence):
        raise FieldError(f"must be a list of NewOrderLine, not {type_name(value)}")
    if not value:
        raise FieldError("must have at least one line")
    kept: list[NewOrderLine] = []
    problems: dict[str, str] = {}
    for index, line in enumerate(value):
        try:
            kept.append(coerce(NewOrderLine, line))
        except FieldError as error:
            problems.update(error.prefixed(f"[{index}]"))
    if problems:
        raise FieldError(problems)
    return tuple(kept)


def _pickup_location(value: PickupLocation | Mapping[str, object] | Unset) -> PickupLocation | Unset:
    return UNSET if value is UNSET else coerce(PickupLocation, value)


@request_model
@attrs.frozen(kw_only=True, weakref_slot=False, repr=False)
class NewOrder(Model):
    """An order to be created (A; `completed`, `cancelled`, `paid_total` and `paid_tax` B).

    Amounts take a Decimal, an int or text such as `"12.34"`, with at most 12 digits before the point and 6 after it.
    Floats are refused. Times must have a time zone. They are sent as Dutch local time, in seconds, without an offset (A). So
    in the repeated hour in autumn, two times an hour apart are sent as the same text. Lines (and the
    pick-up location) may be mappings of their fields' Python names.

    Attributes:
        webshop_uuid: Left UNSET, the client fills in its own.
        order_id: The shop's own id, which webhooks and lookups use.
        display_id: The number that people see, such as `#1001`.
        status: `open`, `on_hold` (A), `completed`, `cancelled` (B).
        currency: Such as `EUR`.
        ignore_unknown_products: Unknown SKUs then do not block the order (`ignoreUnknownProductWarnings`).

    Raises:
        ValidationError: Something is missing or unfit, and nothing was sent; `fields` names every bad field by its
            Python path: `lines[2].quantity`, `billing.country`.
    """

    webshop_uuid: str | Unset = attrs.field(
        default=UNSET, converter=optional_name, metadata=alias("webshopUuid", known="A 4.5n")
    )
    order_id: str = attrs.field(converter=text, metadata=alias("orderId", known="A 4.5n"))
    display_id: str | Unset = attrs.field(
        default=UNSET, converter=optional_text, metadata=alias("orderDisplayId", known="A 4.5n")
    )
    created_at: datetime | Unset = attrs.field(
        default=UNSET, converter=optional_datetime, metadata=alias("createDate", known="A 4.5n")
    )
    finished_at: datetime | Unset | None = attrs.field(
        default=UNSET, converter=nullable_datetime, repr=False, metadata=alias("finishDate", known="A 4.5n")
    )
    status: OrderStatus = attrs.field(converter=creation_status, metadata=alias("orderStatus", known="A 4.5n"))
    currency: str | Unset = attrs.field(
        default=UNSET, converter=optional_name, repr=False, metadata=alias("currency", known="A 4.5n")
    )
    billing: Address | Unset = attrs.field(
        default=UNSET,
        converter=optional_address,
        repr=False,
        metadata=flatten("billing", known="A 4.5n", personal=True),
    )
    shipping: Address | Unset = attrs.field(
        default=UNSET,
        converter=optional_address,
        repr=False,
        metadata=flatten("shipping", known="A 4.5n", personal=True),
    )
    shipping_method: str | Unset | None = attrs.field(
        default=UNSET, converter=nullable_text, repr=False, metadata=alias("shippingMethod", known="A 4.5n")
    )
    payment_method: str | Unset | None = attrs.field(
        default=UNSET, converter=nullable_text, repr=False, metadata=alias("paymentMethod", known="A 4.5n")
    )
    invoice_number: str | Unset | None = attrs.field(
        default=UNSET, converter=nullable_text, repr=False, metadata=alias("invoiceNumber", known="A 4.5n")
    )
    customer_note: str | Unset | None = attrs.field(
        default=UNSET,
        converter=nullable_text,
        repr=False,
        metadata=alias("customerNote", known="A 4.5n", personal=True),
    )
    discount_total: Decimal | Unset = attrs.field(
        default=UNSET, converter=optional_amount, repr=False, metadata=alias("discountTotal", known="A 4.5n")
    )
    discount_tax: Decimal | Unset = attrs.field(
        default=UNSET, converter=optional_amount, repr=False, metadata=alias("discountTax", known="A 4.5n")
    )
    shipping_total: Decimal | Unset = attrs.field(
        default=UNSET, converter=optional_amount, repr=False, metadata=alias("shippingTotal", known="A 4.5n")
    )
    shipping_tax: Decimal | Unset = attrs.field(
        default=UNSET, converter=optional_amount, repr=False, metadata=alias("shippingTax", known="A 4.5n")
    )
    paid_total: Decimal | Unset = attrs.field(
        default=UNSET, converter=optional_amount, repr=False, metadata=alias("paidTotal", known="B 4.5a")
    )
    paid_tax: Decimal | Unset = attrs.field(
        default=UNSET, converter=optional_amount, repr=False, metadata=alias("paidTax", known="B 4.5a")
    )
    ignore_unknown_products: bool | Unset = attrs.field(
        default=UNSET,
        converter=optional_flag,
        repr=False,
        metadata=alias("ignoreUnknownProductWarnings", known="A 4.5n"),
    )
    lines: tuple[NewOrderLine, ...] = attrs.field(converter=_lines, metadata=alias("orderItems", known="A 4.5n"))
    pickup_location: PickupLocation | Unset = attrs.field(
        default=UNSET, converter=_pickup_location, repr=False, metadata=alias("pickupLocationData", known="B 4.5v")
    )
