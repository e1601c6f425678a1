"""Apache Arrow: schemas and record batches of the models."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Any, Final

from goedgepickt_async.errors import ConfigurationError
from goedgepickt_async.models import OpenEnum

try:
    import pyarrow as pa
except ImportError:
    raise ConfigurationError("Arrow and Parquet need pyarrow: install the extra, goedgepickt-async[arrow]") from None

__all__ = ["SCHEMA_VERSION", "schema", "to_batch", "to_rows"]

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


_STEP: Final = Decimal(1).scaleb(-AMOUNT.scale)
_EXACT: Final = Context(prec=AMOUNT.precision, traps=[Inexact, InvalidOperation])
_LEAST, _MOST = -(2**63), 2**63 - 1


class _DoesNotFitError(Exception):
    """The column cannot hold the value as it is."""


def to_batch(resource: str, items: Iterable[Any]) -> pa.RecordBatch:
    """Models as an Arrow record batch.

    A number that its column cannot hold exactly is null there, and its text is in `extra` under the column's name; so
    is what has no column of its own.

    Args:
        resource: `orders`, `products` or `shipments`.
        items: `Order`, `Product` or `Shipment`, according to the resource.

    Raises:
        ConfigurationError: There is no schema for it.
    """
    columns = schema(resource)
    rows = to_rows(resource, items)
    try:
        return pa.RecordBatch.from_pylist(rows, schema=columns)
    except UnicodeEncodeError:  # half a surrogate pair, which only an escape can carry
        return pa.RecordBatch.from_pylist([_utf8(row) for row in rows], schema=columns)


def to_rows(resource: str, items: Iterable[Any]) -> list[dict[str, Any]]:
    """Models as mappings that have the schema's columns and hold what `to_batch` holds: for tools that take no Arrow.

    Args:
        resource: `orders`, `products` or `shipments`.
        items: `Order`, `Product` or `Shipment`, according to the resource.

    Raises:
        ConfigurationError: There is no schema for it.
    """
    columns = schema(resource)
    return [_row(columns, item) for item in items]


def _row(fields: Iterable[pa.Field], item: Any) -> dict[str, Any]:
    """One model as a row, or as the value of a struct."""
    row: dict[str, Any] = {}
    misfits: dict[str, str] = {}
    for field in fields:
        value = getattr(item, field.name)
        try:
            row[field.name] = _json(value) if field.name in JSON_COLUMNS else _cell(field.type, value)
        except _DoesNotFitError:
            row[field.name] = None
            misfits[field.name] = str(value)
    if misfits:
        row["extra"] = _json({**item.extra, **misfits})
    return row


def _cell(kind: pa.DataType, value: Any) -> Any:
    if value is None:
        return None
    if pa.types.is_struct(kind):
        return _row(kind, value)
    if pa.types.is_list(kind):
        return [_cell(kind.value_type, part) for part in value]
    if pa.types.is_decimal(kind):
        return _amount(value)
    if pa.types.is_timestamp(kind):
        return _moment(value)
    if pa.types.is_int64(kind) and not _LEAST <= value <= _MOST:
        raise _DoesNotFitError
    return value.value if isinstance(value, OpenEnum) else value


def _amount(value: Decimal) -> Decimal:
    try:
        return value.quantize(_STEP, context=_EXACT)
    except ArithmeticError:
        raise _DoesNotFitError from None


def _moment(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:  # in the first or the last hours that Python knows
        raise _DoesNotFitError from None


def _json(value: Any) -> str | None:
    return None if value is None or value == {} else json.dumps(value, ensure_ascii=False, default=str)


def _utf8(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, Mapping):
        return {name: _utf8(part) for name, part in value.items()}
    return [_utf8(part) for part in value] if isinstance(value, list) else value


try:
    import pyarrow as pa
except ImportError:
    raise ConfigurationError("Arrow and Parquet need pyarrow: install the extra, goedgepickt-async[arrow]") from None
