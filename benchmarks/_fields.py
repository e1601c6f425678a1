"""The fields of orders and products, as the contenders' models have them: Python name → type.

They are the API's own names in snake case, flat as on the wire; a class of a contender is made of them by the library's
own function for that, which costs nothing when a page is read. Where a library could be strict or lenient, the choice
is the one that costs it less: statuses are plain text, though ours are open enumerations, and addresses stay flat.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Final

__all__ = ["LINE", "ORDER", "PARCEL", "PRODUCT", "STOCK", "SUPPLIER", "camel"]

Fields = dict[str, Any]

_ADDRESS: Final = (
    "first_name",
    "last_name",
    "company",
    "address",
    "address2",
    "house_number",
    "housenumber_addition",
    "zipcode",
    "city",
    "country",
    "email",
    "phone",
)

LINE: Final[Fields] = {
    "product_uuid": str,
    "product_name": str,
    "sku": str,
    "product_quantity": int,
    "picked_quantity": int,
    "product_price": Decimal,
    "type": str,
}
PARCEL: Final[Fields] = {"track_trace_code": str, "track_trace_url": str, "create_date": datetime}
ORDER: Final[Fields] = {
    "uuid": str,
    "external_display_id": str,
    "order_number": str,
    "order_id": str,
    "status": str,
    "create_date": datetime,
    "finish_date": datetime,
    "shipped_date": datetime,
    "total_paid": Decimal,
    "payment_method": str,
    "shipping_method": str,
    "customer_note": str,
    "intern_comment": str,
    "webshop_name": str,
    "attention_needed": bool,
    "tags": list[str],
    **{f"{party}_{part}": str for party in ("billing", "shipping") for part in _ADDRESS},
}
"""Without `products` and `shipments`, lists of the classes of `LINE` and `PARCEL`."""

STOCK: Final[Fields] = {
    "free_stock": int,
    "total_stock": int,
    "reserved_stock": int,
    "unlimited_stock": bool,
    "minimal_stock": int,
    "fill_stock_to": int,
}
SUPPLIER: Final[Fields] = {"uuid": str, "supplier_sku": str}
PRODUCT: Final[Fields] = {
    "uuid": str,
    "sku": str,
    "name": str,
    "product_id": str,
    "ean": str,
    "barcode": str,
    "description": str,
    "internal_comment": str,
    "price": Decimal,
    "cost_price": Decimal,
    "tax_rate": Decimal,
    "weight": Decimal,
    "length": Decimal,
    "height": Decimal,
    "width": Decimal,
    "picture": str,
    "product_attributes": list[Any],
    "allow_backorders": bool,
    "type": str,
}
"""Without `supplier` and `stock`, of the classes of those names."""


def camel(name: str) -> str:
    """The wire name."""
    first, *others = name.split("_")
    return first + "".join(part.title() for part in others)
