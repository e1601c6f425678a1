"""The schemas, written out: they are a promise to whoever reads the files, not a picture of the models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pyarrow as pa

from goedgepickt_async.errors import ConfigurationError

__all__ = ["AMOUNT", "JSON_COLUMNS", "SCHEMAS", "SCHEMA_VERSION", "schema"]

SCHEMA_VERSION: Final = 1
"""Raised when a column is added, goes away or changes its type."""

AMOUNT: Final = pa.decimal128(18, 6)
"""Twelve digits before the point and six behind it, as in everything that this package sends."""

JSON_COLUMNS: Final = frozenset({"extra", "product_attributes"})
"""Columns of JSON text; null where there is nothing."""

_TEXT: Final = pa.string()
_WHOLE: Final = pa.int64()
_FLAG: Final = pa.bool_()
_MOMENT: Final = pa.timestamp("us", tz="UTC")

_ADDRESS: Final = pa.struct(
    [
        ("first_name", _TEXT),
        ("last_name", _TEXT),
        ("company", _TEXT),
        ("address", _TEXT),
        ("address2", _TEXT),
        ("house_number", _TEXT),
        ("house_number_addition", _TEXT),
        ("zipcode", _TEXT),
        ("city", _TEXT),
        ("country", _TEXT),
        ("email", _TEXT),
        ("phone", _TEXT),
    ]
)
_LINE: Final = pa.struct(
    [
        ("product_uuid", _TEXT),
        ("product_name", _TEXT),
        ("sku", _TEXT),
        ("quantity", _WHOLE),
        ("picked_quantity", _WHOLE),
        ("price", AMOUNT),
        ("type", _TEXT),
        ("extra", _TEXT),
    ]
)
_PARCEL: Final = pa.struct(
    [("track_trace_code", _TEXT), ("track_trace_url", _TEXT), ("created_at", _MOMENT), ("extra", _TEXT)]
)
_STOCK: Final = pa.struct(
    [
        ("free_stock", _WHOLE),
        ("total_stock", _WHOLE),
        ("reserved_stock", _WHOLE),
        ("unlimited_stock", _FLAG),
        ("minimal_stock", _WHOLE),
        ("fill_stock_to", _WHOLE),
        ("extra", _TEXT),
    ]
)
_SUPPLIER: Final = pa.struct([("uuid", _TEXT), ("supplier_sku", _TEXT), ("extra", _TEXT)])
_LINKED: Final = pa.struct([("uuid", _TEXT), ("extra", _TEXT)])


def _several(kind: pa.DataType) -> pa.DataType:
    """A list whose parts are called as Parquet calls them, so that files read back have the very same schema."""
    return pa.list_(pa.field("element", kind))


def _named(resource: str, *fields: tuple[str, pa.DataType]) -> pa.Schema:
    return pa.schema(fields, metadata={"goedgepickt_async.schema": f"{resource}/{SCHEMA_VERSION}"})


SCHEMAS: Final[Mapping[str, pa.Schema]] = {
    "orders": _named(
        "orders",
        ("uuid", _TEXT),
        ("display_id", _TEXT),
        ("order_number", _TEXT),
        ("order_id", _TEXT),
        ("status", _TEXT),
        ("created_at", _MOMENT),
        ("finished_at", _MOMENT),
        ("shipped_at", _MOMENT),
        ("total_paid", AMOUNT),
        ("payment_method", _TEXT),
        ("shipping_method", _TEXT),
        ("customer_note", _TEXT),
        ("internal_comment", _TEXT),
        ("webshop_name", _TEXT),
        ("attention_needed", _FLAG),
        ("tags", _several(_TEXT)),
        ("billing", _ADDRESS),
        ("shipping", _ADDRESS),
        ("lines", _several(_LINE)),
        ("shipments", _several(_PARCEL)),
        ("extra", _TEXT),
    ),
    "products": _named(
        "products",
        ("uuid", _TEXT),
        ("sku", _TEXT),
        ("name", _TEXT),
        ("type", _TEXT),
        ("product_id", _TEXT),
        ("ean", _TEXT),
        ("barcode", _TEXT),
        ("description", _TEXT),
        ("internal_comment", _TEXT),
        ("price", AMOUNT),
        ("cost_price", AMOUNT),
        ("tax_rate", AMOUNT),
        ("weight", AMOUNT),
        ("length", AMOUNT),
        ("height", AMOUNT),
        ("width", AMOUNT),
        ("picture", _TEXT),
        ("product_attributes", _TEXT),
        ("supplier", _SUPPLIER),
        ("allow_backorders", _FLAG),
        ("stock", _STOCK),
        ("extra", _TEXT),
    ),
    "shipments": _named(
        "shipments",
        ("uuid", _TEXT),
        ("status", _TEXT),
        ("created_at", _MOMENT),
        ("delivered_at", _MOMENT),
        ("shipping_method", _TEXT),
        ("track_trace_code", _TEXT),
        ("track_trace_url", _TEXT),
        ("external_id", _TEXT),
        ("reference_text", _TEXT),
        ("shipping_first_name", _TEXT),
        ("shipping_last_name", _TEXT),
        ("shipping_city", _TEXT),
        ("linked_order", _LINKED),
        ("extra", _TEXT),
    ),
}


def schema(resource: str) -> pa.Schema:
    """The columns of a resource, the same for every export of one `SCHEMA_VERSION`, an empty one too.

    Args:
        resource: `orders`, `products` or `shipments`.

    Raises:
        ConfigurationError: There is no schema for it.
    """
    try:
        return SCHEMAS[resource]
    except KeyError:
        raise ConfigurationError(f"there is a schema for {', '.join(SCHEMAS)}, not for {resource!r}") from None
