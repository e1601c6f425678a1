"""An order to be created: the body of `POST /orders`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

import attrs

from goedgepickt_async.models.address import Address
from goedgepickt_async.models.address_checks import optional_address, optional_country
from goedgepickt_async.models.checks import (
    creation_status,
    nullable_moment,
    nullable_text,
    optional_amount,
    optional_digits,
    optional_flag,
    optional_house_number,
    optional_moment,
    optional_name,
    optional_text,
    quantity,
    text,
)
from goedgepickt_async.models.enumerations import OrderStatus
from goedgepickt_async.models.outgoing import build, outgoing
from goedgepickt_async.models.refusal import Refused, describe
from goedgepickt_async.models.unset import UNSET, Unset
from goedgepickt_async.models.wire_names import flat, wire

__all__ = ["NewOrder", "NewOrderLine", "PickupLocation"]


@outgoing
@attrs.frozen(kw_only=True, weakref_slot=False)
class NewOrderLine:
    """One line of an order to be created. `sku`, `product_name`, `quantity`, `tax_rate` suffice (A); the others are B.

    Amounts take a Decimal, an int or text such as `"12.34"`, of at most 12 digits before the point and 6 behind it;
    floats are refused.

    Attributes:
        quantity: Pieces, at least 1.
        tax_rate: In percent, as `21`.
        line_item_id: The shop's own id of the line; `product_id` is its id of the product.
        product_image: A URL.
        unit_price_incl: Of one piece, with tax; `…_excl` without, `…_tax` the tax. `total_…` are those of the line.

    Raises:
        ValidationError: Something is missing or unfit; `fields` names every bad field.
    """

    sku: str = attrs.field(converter=text, metadata=wire("sku"))
    product_name: str = attrs.field(converter=text, repr=False, metadata=wire("productName"))
    quantity: int = attrs.field(converter=quantity, metadata=wire("productQuantity"))
    tax_rate: Decimal | Unset = attrs.field(default=UNSET, converter=optional_amount, metadata=wire("taxRate"))
    line_item_id: str | Unset = attrs.field(
        default=UNSET, converter=optional_name, repr=False, metadata=wire("lineItemId")
    )
    product_id: str | Unset = attrs.field(
        default=UNSET, converter=optional_name, repr=False, metadata=wire("productId")
    )
    ean: str | Unset = attrs.field(default=UNSET, converter=optional_text, repr=False, metadata=wire("ean"))
    product_image: str | Unset = attrs.field(
        default=UNSET, converter=optional_text, repr=False, metadata=wire("productImage")
    )
    total_price_incl: Decimal | Unset = attrs.field(
        default=UNSET, converter=optional_amount, repr=False, metadata=wire("totalPriceIncl")
    )
    total_price_excl: Decimal | Unset = attrs.field(
        default=UNSET, converter=optional_amount, repr=False, metadata=wire("totalPriceExcl")
    )
    total_price_tax: Decimal | Unset = attrs.field(
        default=UNSET, converter=optional_amount, repr=False, metadata=wire("totalPriceTax")
    )
    unit_price_incl: Decimal | Unset = attrs.field(
        default=UNSET, converter=optional_amount, repr=False, metadata=wire("unitPriceIncl")
    )
    unit_price_excl: Decimal | Unset = attrs.field(
        default=UNSET, converter=optional_amount, repr=False, metadata=wire("unitPriceExcl")
    )
    unit_price_tax: Decimal | Unset = attrs.field(
        default=UNSET, converter=optional_amount, repr=False, metadata=wire("unitPriceTax")
    )


@outgoing
@attrs.frozen(kw_only=True, weakref_slot=False)
class PickupLocation:
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
        default=UNSET, converter=optional_house_number, metadata=wire("locationNumber")
    )
    carrier: str | Unset = attrs.field(default=UNSET, converter=optional_digits, metadata=wire("carrier"))
    location: str | Unset = attrs.field(default=UNSET, converter=optional_text, repr=False, metadata=wire("location"))
    street: str | Unset = attrs.field(default=UNSET, converter=optional_text, repr=False, metadata=wire("street"))
    house_number: str | Unset = attrs.field(
        default=UNSET, converter=optional_house_number, repr=False, metadata=wire("houseNumber")
    )
    zipcode: str | Unset = attrs.field(default=UNSET, converter=optional_text, repr=False, metadata=wire("zipcode"))
    city: str | Unset = attrs.field(default=UNSET, converter=optional_text, repr=False, metadata=wire("city"))
    country: str | Unset = attrs.field(default=UNSET, converter=optional_country, metadata=wire("country"))


def _lines(value: Sequence[NewOrderLine | Mapping[str, object]]) -> tuple[NewOrderLine, ...]:
    """At least one line, each checked, each problem with its index."""
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Sequence):
        raise Refused(f"must be a list of NewOrderLine, not {describe(value)}")
    if not value:
        raise Refused("must have at least one line")
    kept: list[NewOrderLine] = []
    problems: dict[str, str] = {}
    for index, line in enumerate(value):
        try:
            kept.append(build(NewOrderLine, line))
        except Refused as refused:
            problems.update(refused.below(f"[{index}]"))
    if problems:
        raise Refused(problems)
    return tuple(kept)


def _pickup_location(value: PickupLocation | Mapping[str, object] | Unset) -> PickupLocation | Unset:
    return UNSET if value is UNSET else build(PickupLocation, value)


@outgoing
@attrs.frozen(kw_only=True, weakref_slot=False)
class NewOrder:
    """An order to be created (A; `completed`, `cancelled`, `paid_total` and `paid_tax` B).

    Amounts take a Decimal, an int or text such as `"12.34"`, of at most 12 digits before the point and 6 behind it;
    floats are refused. Instants must have a time zone and are written as Dutch local time, to the second and without an
    offset (A); so in the hour that comes twice in autumn, two instants an hour apart are written alike. Lines (and the
    pick-up location) may be mappings of their fields' Python names.

    Attributes:
        webshop_uuid: Left UNSET, the client fills in its own.
        order_id: The shop's own id, which webhooks and look-ups name later.
        display_id: What people see, such as `#1001`.
        status: `open`, `on_hold` (A), `completed`, `cancelled` (B).
        currency: Such as `EUR`.
        ignore_unknown_products: Unknown SKUs then do not block the order (`ignoreUnknownProductWarnings`).

    Raises:
        ValidationError: Something is missing or unfit, and nothing was sent; `fields` names every bad field by its
            Python path: `lines[2].quantity`, `billing.country`.
    """

    webshop_uuid: str | Unset = attrs.field(default=UNSET, converter=optional_name, metadata=wire("webshopUuid"))
    order_id: str = attrs.field(converter=text, metadata=wire("orderId"))
    display_id: str | Unset = attrs.field(default=UNSET, converter=optional_text, metadata=wire("orderDisplayId"))
    created_at: datetime | Unset = attrs.field(default=UNSET, converter=optional_moment, metadata=wire("createDate"))
    finished_at: datetime | Unset | None = attrs.field(
        default=UNSET, converter=nullable_moment, repr=False, metadata=wire("finishDate")
    )
    status: OrderStatus = attrs.field(converter=creation_status, metadata=wire("orderStatus"))
    currency: str | Unset = attrs.field(default=UNSET, converter=optional_name, repr=False, metadata=wire("currency"))
    billing: Address | Unset = attrs.field(
        default=UNSET, converter=optional_address, repr=False, metadata=flat("billing")
    )
    shipping: Address | Unset = attrs.field(
        default=UNSET, converter=optional_address, repr=False, metadata=flat("shipping")
    )
    shipping_method: str | Unset | None = attrs.field(
        default=UNSET, converter=nullable_text, repr=False, metadata=wire("shippingMethod")
    )
    payment_method: str | Unset | None = attrs.field(
        default=UNSET, converter=nullable_text, repr=False, metadata=wire("paymentMethod")
    )
    invoice_number: str | Unset | None = attrs.field(
        default=UNSET, converter=nullable_text, repr=False, metadata=wire("invoiceNumber")
    )
    customer_note: str | Unset | None = attrs.field(
        default=UNSET, converter=nullable_text, repr=False, metadata=wire("customerNote")
    )
    discount_total: Decimal | Unset = attrs.field(
        default=UNSET, converter=optional_amount, repr=False, metadata=wire("discountTotal")
    )
    discount_tax: Decimal | Unset = attrs.field(
        default=UNSET, converter=optional_amount, repr=False, metadata=wire("discountTax")
    )
    shipping_total: Decimal | Unset = attrs.field(
        default=UNSET, converter=optional_amount, repr=False, metadata=wire("shippingTotal")
    )
    shipping_tax: Decimal | Unset = attrs.field(
        default=UNSET, converter=optional_amount, repr=False, metadata=wire("shippingTax")
    )
    paid_total: Decimal | Unset = attrs.field(
        default=UNSET, converter=optional_amount, repr=False, metadata=wire("paidTotal")
    )
    paid_tax: Decimal | Unset = attrs.field(
        default=UNSET, converter=optional_amount, repr=False, metadata=wire("paidTax")
    )
    ignore_unknown_products: bool | Unset = attrs.field(
        default=UNSET, converter=optional_flag, repr=False, metadata=wire("ignoreUnknownProductWarnings")
    )
    lines: tuple[NewOrderLine, ...] = attrs.field(converter=_lines, metadata=wire("orderItems"))
    pickup_location: PickupLocation | Unset = attrs.field(
        default=UNSET, converter=_pickup_location, repr=False, metadata=wire("pickupLocationData")
    )
