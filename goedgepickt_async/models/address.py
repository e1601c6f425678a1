"""A postal address with its contact, as orders carry two of them."""

from __future__ import annotations

import attrs

from goedgepickt_async.models.wire_names import wire

__all__ = ["Address"]


@attrs.frozen(kw_only=True, weakref_slot=False)
class Address:
    """Who and where, of an order's billing or shipping side (A/B).

    On the wire its parts lie flat in the order, behind `billing` or `shipping`. It holds whatever the API answers;
    a `NewOrder` that takes it checks it (`billing.country: …`). Its repr shows the country and nothing personal.

    Attributes:
        house_number: Text, also when it looks like a number; the API refuses JSON numbers (A).
        house_number_addition: Answers spell it `HousenumberAddition`, requests `HouseNumberAddition` (A/B).
        country: ISO 3166-1 alpha-2, upper-case (A). Sent, an empty one counts as None, `XK` (Kosovo) as a country.
    """

    first_name: str | None = attrs.field(default=None, repr=False, metadata=wire("FirstName"))
    last_name: str | None = attrs.field(default=None, repr=False, metadata=wire("LastName"))
    company: str | None = attrs.field(default=None, repr=False, metadata=wire("Company"))
    address: str | None = attrs.field(default=None, repr=False, metadata=wire("Address"))
    address2: str | None = attrs.field(default=None, repr=False, metadata=wire("Address2"))
    house_number: str | None = attrs.field(default=None, repr=False, metadata=wire("HouseNumber"))
    house_number_addition: str | None = attrs.field(
        default=None,
        repr=False,
        metadata=wire("HousenumberAddition", "HouseNumberAddition", sent="HouseNumberAddition"),
    )
    zipcode: str | None = attrs.field(default=None, repr=False, metadata=wire("Zipcode"))
    city: str | None = attrs.field(default=None, repr=False, metadata=wire("City"))
    country: str | None = attrs.field(default=None, metadata=wire("Country", repeats=True))
    email: str | None = attrs.field(default=None, repr=False, metadata=wire("Email"))
    phone: str | None = attrs.field(default=None, repr=False, metadata=wire("Phone"))
