"""Models as rows of a schema; what a column cannot hold is kept in `extra`, never rounded and never an error."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Any, Final

import pyarrow as pa

from goedgepickt_async.contrib.arrow.schemas import AMOUNT, JSON_COLUMNS, schema
from goedgepickt_async.models import OpenEnum

__all__ = ["to_batch", "to_rows"]

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
