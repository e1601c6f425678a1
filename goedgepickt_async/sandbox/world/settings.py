"""How large and how odd a generated world is."""

from __future__ import annotations

from datetime import date

import attrs

__all__ = ["WorldSettings"]


@attrs.frozen(kw_only=True)
class WorldSettings:
    """The sizes and the seed of a world; the same settings give the same world in every process.

    Attributes:
        orders: How many orders there are.
        products: How many products there are.
        shipments: How many shipments; None gives every completed order one.
        webshops: How many webshops share the account; at least one.
        pick_locations: How many pick locations there are; at least one.
        seed: What everything random is derived from.
        today: The day before whose noon all generated rows lie, within one year.
        oddities: Whether the world is as untidy as the real one.
    """

    orders: int = attrs.field(default=300, validator=attrs.validators.ge(0))
    products: int = attrs.field(default=100, validator=attrs.validators.ge(0))
    shipments: int | None = attrs.field(default=None, validator=attrs.validators.optional(attrs.validators.ge(0)))
    webshops: int = attrs.field(default=2, validator=attrs.validators.in_(range(1, 251)))
    pick_locations: int = attrs.field(default=20, validator=attrs.validators.ge(1))
    seed: int = 1
    today: date = date(2026, 11, 1)
    oddities: bool = True
