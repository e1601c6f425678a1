"""Orders and their lines: the classes that you receive and the classes that you send."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import attrs

from goedgepickt_async.models.base import (
    UNSET,
    Identifier,
    Label,
    LineType,
    OrderStatus,
    Unset,
    alias,
    flatten,
    optional_received,
    optional_sent,
)
from goedgepickt_async.models.serialization import Model
from goedgepickt_async.models.validators import (
    COUNTRY_CODES,
    FieldError,
    any_text,
    check_each,
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
from goedgepickt_async.text import as_name

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
    """The billing or shipping address of an order, with the person or company (A/B).

    In the JSON, its parts are fields of the order with the prefix `billing` or `shipping`. Any text of the API is
    accepted. `NewOrder` checks an address before it is sent (`billing.country: …`). The repr shows only the country.

    Attributes:
        house_number: The house number as text; the API refuses JSON numbers (A).
        house_number_addition: The addition to the house number. The key is `HousenumberAddition` in responses and
            `HouseNumberAddition` in requests (A/B).
        country: The ISO 3166-1 alpha-2 code in upper case (A). In an order that you send, an empty text means None, and
            `XK` (Kosovo) is accepted.
    """

    first_name: str | None = optional_received("FirstName", known="A/B 4.5", personal=True)
    last_name: str | None = optional_received("LastName", known="A/B 4.5", personal=True)
    company: str | None = optional_received("Company", known="A/B 4.5", personal=True)
    address: str | None = optional_received("Address", known="A/B 4.5", personal=True)
    address2: str | None = optional_received("Address2", known="A/B 4.5", personal=True)
    house_number: str | None = optional_received("HouseNumber", known="A/B 4.5", personal=True)
    house_number_addition: str | None = optional_received(
        "HousenumberAddition", "HouseNumberAddition", sent="HouseNumberAddition", known="A/B 4.5", personal=True
    )
    zipcode: str | None = optional_received("Zipcode", known="A/B 4.5", personal=True)
    city: str | None = optional_received("City", known="A/B 4.5", personal=True)
    country: str | None = optional_received("Country", intern=True, known="A/B 4.5")
    email: str | None = optional_received("Email", known="A/B 4.5", personal=True)
    phone: str | None = optional_received("Phone", known="A/B 4.5", personal=True)


@attrs.frozen(kw_only=True, weakref_slot=False, repr=False)
class OrderLine(Model):
    """A line of an order (A/B).

    Attributes:
        product_uuid: The product's uuid; None if GoedGepickt does not know the product.
        price: The price of one piece, as the API sends it. Whether it includes tax is not documented.
        type: The kind of the line. `PARENT` is the header of a bundle, and its parts follow as `CHILD` lines. Count the
            parts, not the header.
    """

    product_uuid: str | None = optional_received("productUuid", known="A/B 4.5")
    product_name: str | None = optional_received("productName", known="A/B 4.5", repr=False)
    sku: str | None = optional_received("sku", known="A/B 4.5")
    quantity: int | None = optional_received("productQuantity", known="A/B 4.5")
    picked_quantity: int | None = optional_received("pickedQuantity", known="A/B 4.5")
    price: Decimal | None = optional_received("productPrice", known="A/B 4.5", repr=False)
    type: LineType | None = optional_received("type", known="A/B 4.5")
    extra: dict[str, Any] = attrs.field(factory=dict, repr=False, hash=False)


@attrs.frozen(kw_only=True, weakref_slot=False, repr=False)
class OrderShipment(Model):
    """A parcel of an order (A/B).

    Its repr hides the tracking code and the URL, because with a zip code they lead to the recipient.
    """

    track_trace_code: str | None = optional_received("trackTraceCode", known="A/B 4.5", personal=True)
    track_trace_url: str | None = optional_received("trackTraceUrl", known="A/B 4.5", personal=True)
    created_at: datetime | None = optional_received("createDate", known="A/B 4.5")
    extra: dict[str, Any] = attrs.field(factory=dict, repr=False, hash=False)


@attrs.frozen(kw_only=True, weakref_slot=False, repr=False)
class Order(Model):
    """An order. Its repr does not show personal data, but its fields contain it.

    Attributes:
        display_id: The number that people see (`externalDisplayId`, A); it may already start with `#`.
        order_number: The number that people see, or None; `order_id` may be absent too (C).
        created_at: The time of creation, with a time zone. If the API sends no offset (A/B), it is read as Dutch local
            time.
        total_paid: The amount (A); None if the API sends null or an empty text.
        attention_needed: Whether a person must check the order (B).
        tags: The tags, as texts (B). An object or a number is kept as its JSON text (`'{"name": "spoed"}'`).
        billing: The billing address. If the API sends none, it is an `Address` with only None values, like `shipping`.
        extra: Keys of the API for which this class has no field.
    """

    uuid: Identifier = attrs.field(metadata=alias("uuid", "orderUuid", known="A 4.5"))
    display_id: str | None = optional_received("externalDisplayId", known="A 4.5")
    order_number: str | None = optional_received("orderNumber", known="C 4.5", repr=False)
    order_id: str | None = optional_received("orderId", known="C 4.5", repr=False)
    status: OrderStatus | None = optional_received("status", known="A 4.5")
    created_at: datetime | None = optional_received("createDate", known="A/B 4.5")
    finished_at: datetime | None = optional_received("finishDate", known="A/B 4.5", repr=False)
    shipped_at: datetime | None = optional_received("shippedDate", known="A/B 4.5", repr=False)
    total_paid: Decimal | None = optional_received("totalPaid", known="A 4.5", repr=False)
    payment_method: str | None = optional_received("paymentMethod", intern=True, known="A/B 4.5", repr=False)
    shipping_method: str | None = optional_received("shippingMethod", intern=True, known="A/B 4.5", repr=False)
    customer_note: str | None = optional_received("customerNote", known="A/B 4.5", personal=True)
    internal_comment: str | None = optional_received("internComment", known="A/B 4.5", personal=True)
    webshop_name: str | None = optional_received("webshopName", intern=True, known="A 4.5")
    attention_needed: bool | None = optional_received("attentionNeeded", known="B 4.5", repr=False)
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
        """The lines to pick: the parts of a bundle, but not its header (A/B)."""
        return tuple(line for line in self.lines if line.type != LineType.PARENT)

    @property
    def items_to_count(self) -> int:
        """The number of pieces in the counted lines; a line without a quantity counts as 0."""
        return sum(line.quantity or 0 for line in self.counted_lines)


def country(value: str) -> str:
    """Return the ISO 3166-1 alpha-2 code in upper case, as the API requires (A)."""
    code = any_text(value).upper()
    if code not in COUNTRY_CODES:
        raise FieldError("must be a country code of ISO 3166-1 alpha-2, such as 'NL'")
    return code


def optional_country(value: str | Unset) -> str | Unset:
    """Return the country code, or UNSET for UNSET and for an empty text, as web forms send it."""
    return UNSET if value is UNSET or (isinstance(value, str) and not value) else country(value)


def optional_address(value: Address | Mapping[str, Any] | Unset) -> Address | Unset:
    """Return a checked copy of the address, or UNSET. Fields that are None and an empty country are not sent."""
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
    problems = {as_name(name): "Address has no such field" for name in parts if name not in known}
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
    """A line of a new order. `sku`, `product_name`, `quantity` and `tax_rate` are enough (A); the other fields are B.

    An amount is a Decimal, an int or a text such as `"12.34"`, with at most 12 digits before the point and 6 after it.
    Floats are refused.

    Attributes:
        quantity: The number of pieces, at least 1.
        tax_rate: The tax rate in percent, such as `21`.
        line_item_id: The shop's own id for the line; `product_id` is the shop's id for the product.
        product_image: The URL of a picture.
        unit_price_incl: The price of one piece with tax. `…_excl` is the price without tax, and `…_tax` is the tax.
            `total_…` are the amounts of the whole line.

    Raises:
        ValidationError: A value is missing or not valid; `fields` has the problem of each field.
    """

    sku: str = attrs.field(converter=text, metadata=alias("sku", known="A 4.5n"))
    product_name: str = attrs.field(converter=text, repr=False, metadata=alias("productName", known="A 4.5n"))
    quantity: int = attrs.field(converter=quantity, metadata=alias("productQuantity", known="A 4.5n"))
    tax_rate: Decimal | Unset = attrs.field(
        default=UNSET, converter=optional_amount, metadata=alias("taxRate", known="A 4.5n")
    )
    line_item_id: str | Unset = optional_sent("lineItemId", optional_name, known="B 4.5a", repr=False)
    product_id: str | Unset = optional_sent("productId", optional_name, known="B 4.5a", repr=False)
    ean: str | Unset = optional_sent("ean", optional_text, known="B 4.5a", repr=False)
    product_image: str | Unset = optional_sent("productImage", optional_text, known="B 4.5a", repr=False)
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
    """The place where the customer collects the parcel (B).

    Attributes:
        location_number: The carrier's number for the place.
        carrier: GoedGepickt's number for the carrier, sent as text.
        location: The name of the place.
        country: The ISO 3166-1 alpha-2 code.

    Raises:
        ValidationError: A value is not valid; `fields` has the problem of each field.
    """

    location_number: str | Unset = attrs.field(
        default=UNSET, converter=optional_house_number, metadata=alias("locationNumber", known="B 4.5v")
    )
    carrier: str | Unset = attrs.field(
        default=UNSET, converter=optional_digits, metadata=alias("carrier", known="B 4.5v")
    )
    location: str | Unset = optional_sent("location", optional_text, known="B 4.5v", repr=False)
    street: str | Unset = optional_sent("street", optional_text, known="B 4.5v", repr=False)
    house_number: str | Unset = attrs.field(
        default=UNSET, converter=optional_house_number, repr=False, metadata=alias("houseNumber", known="B 4.5v")
    )
    zipcode: str | Unset = optional_sent("zipcode", optional_text, known="B 4.5v", repr=False)
    city: str | Unset = optional_sent("city", optional_text, known="B 4.5v", repr=False)
    country: str | Unset = optional_sent("country", optional_country, known="B 4.5v")


def _lines(value: Sequence[NewOrderLine | Mapping[str, object]]) -> tuple[NewOrderLine, ...]:
    """Check that there is at least one line, and check each line. Each problem has the index of its line."""
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Sequence):
        raise FieldError(f"must be a list of NewOrderLine, not {type_name(value)}")
    if not value:
        raise FieldError("must have at least one line")
    return check_each(value, lambda line: coerce(NewOrderLine, line))


def _pickup_location(value: PickupLocation | Mapping[str, object] | Unset) -> PickupLocation | Unset:
    return UNSET if value is UNSET else coerce(PickupLocation, value)


@request_model
@attrs.frozen(kw_only=True, weakref_slot=False, repr=False)
class NewOrder(Model):
    """A new order (A; `completed`, `cancelled`, `paid_total` and `paid_tax` are B).

    An amount is a Decimal, an int or a text such as `"12.34"`, with at most 12 digits before the point and 6 after it.
    Floats are refused. Times must have a time zone. They are sent as Dutch local time in whole seconds, without an
    offset (A). In the hour that is repeated in autumn, two times an hour apart are sent as the same text. Lines and the
    pick-up location can be mappings with the Python names of their fields.

    Attributes:
        webshop_uuid: Left UNSET, the client fills in its own.
        order_id: The shop's own id for the order, which webhooks and lookups use.
        display_id: The number that people see, such as `#1001`.
        status: `open`, `on_hold` (A), `completed`, `cancelled` (B).
        currency: The currency, such as `EUR`.
        ignore_unknown_products: Whether an order with unknown SKUs is accepted (`ignoreUnknownProductWarnings`).

    Raises:
        ValidationError: A value is missing or not valid. `fields` has the problem of each field by its Python path:
            `lines[2].quantity`, `billing.country`.
    """

    webshop_uuid: str | Unset = optional_sent("webshopUuid", optional_name, known="A 4.5n")
    order_id: str = attrs.field(converter=text, metadata=alias("orderId", known="A 4.5n"))
    display_id: str | Unset = optional_sent("orderDisplayId", optional_text, known="A 4.5n")
    created_at: datetime | Unset = optional_sent("createDate", optional_datetime, known="A 4.5n")
    finished_at: datetime | Unset | None = optional_sent("finishDate", nullable_datetime, known="A 4.5n", repr=False)
    status: OrderStatus = attrs.field(converter=creation_status, metadata=alias("orderStatus", known="A 4.5n"))
    currency: str | Unset = optional_sent("currency", optional_name, known="A 4.5n", repr=False)
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
    shipping_method: str | Unset | None = optional_sent("shippingMethod", nullable_text, known="A 4.5n", repr=False)
    payment_method: str | Unset | None = optional_sent("paymentMethod", nullable_text, known="A 4.5n", repr=False)
    invoice_number: str | Unset | None = optional_sent("invoiceNumber", nullable_text, known="A 4.5n", repr=False)
    customer_note: str | Unset | None = optional_sent("customerNote", nullable_text, known="A 4.5n", personal=True)
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
    ignore_unknown_products: bool | Unset = optional_sent(
        "ignoreUnknownProductWarnings", optional_flag, known="A 4.5n", repr=False
    )
    lines: tuple[NewOrderLine, ...] = attrs.field(converter=_lines, metadata=alias("orderItems", known="A 4.5n"))
    pickup_location: PickupLocation | Unset = attrs.field(
        default=UNSET, converter=_pickup_location, repr=False, metadata=alias("pickupLocationData", known="B 4.5v")
    )
