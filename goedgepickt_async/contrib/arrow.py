"""Apache Arrow: schemas and record batches of the models."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Context, Decimal, Inexact, InvalidOperation
from types import NoneType, UnionType
from typing import Any, Final, get_args, get_origin

import attrs

from goedgepickt_async import models
from goedgepickt_async.endpoints import ENDPOINTS
from goedgepickt_async.errors import ConfigurationError
from goedgepickt_async.models import OpenEnum, Secret
from goedgepickt_async.models.base import Identifier, Label
from goedgepickt_async.models.serialization import plain_scalar

try:
    import pyarrow as pa
except ImportError:
    raise ConfigurationError("Arrow and Parquet need pyarrow: install the extra, goedgepickt-async[arrow]") from None

__all__ = ["SCHEMA_VERSION", "schema", "to_batch", "to_rows"]

SCHEMA_VERSION: Final = 1
"""It increases if a column is added, is removed or changes its type."""

AMOUNT: Final = pa.decimal128(18, 6)
"""Twelve digits before the point and six after it, as in all amounts that this package sends."""

_MOMENT: Final = pa.timestamp("us", tz="UTC")
_JSON_COLUMNS: Final = frozenset({"extra", "product_attributes"})
"""Columns with JSON text; null without a value."""
_SCALARS: Final[Mapping[Any, pa.DataType]] = {
    str: pa.string(),
    Identifier: pa.string(),
    Label: pa.string(),
    Secret: pa.string(),
    int: pa.int64(),
    bool: pa.bool_(),
    Decimal: AMOUNT,
    datetime: _MOMENT,
}
MODELS: Final[Mapping[str, type[Any]]] = {
    endpoint.resource: getattr(models, str(endpoint.model))
    for endpoint in ENDPOINTS.values()
    if endpoint.is_list or endpoint.operation == "stock.get"
}


def _columns(cls: type[Any]) -> list[pa.Field]:
    attrs.resolve_types(cls)
    return [pa.field(field.name, _type_of(field.type)) for field in attrs.fields(cls)]


def _type_of(annotation: Any) -> pa.DataType:
    args = [arg for arg in get_args(annotation) if arg is not NoneType]
    if get_origin(annotation) is UnionType:
        return _type_of(args[0])
    if get_origin(annotation) is tuple:
        # Parquet's names for the parts, so that files have the same schema after reading.
        return pa.list_(pa.field("element", _type_of(args[0])))
    if isinstance(annotation, type) and attrs.has(annotation):
        return pa.struct(_columns(annotation))
    if isinstance(annotation, type) and issubclass(annotation, OpenEnum):
        return pa.string()
    return _SCALARS.get(annotation, pa.string())  # a column of JSON


def schema(resource: str) -> pa.Schema:
    """Return the schema of a resource, which is constant for one `SCHEMA_VERSION`, also for empty exports.

    Args:
        resource: `orders`, `products`, `stock`, `shipments`, `webshops`, `pick_locations` or `webhooks`.

    Raises:
        ConfigurationError: The resource does not exist.
    """
    return pa.schema(_columns(_model(resource)), metadata={"goedgepickt_async.schema": f"{resource}/{SCHEMA_VERSION}"})


def _model(resource: str) -> type[Any]:
    try:
        return MODELS[resource]
    except (KeyError, TypeError):
        raise ConfigurationError(f"there is a schema for {', '.join(MODELS)}, not for {resource!r}") from None


_STEP: Final = Decimal(1).scaleb(-AMOUNT.scale)
_EXACT: Final = Context(prec=AMOUNT.precision, traps=[Inexact, InvalidOperation])
_LEAST, _MOST = -(2**63), 2**63 - 1


class _DoesNotFitError(Exception):
    """The column cannot hold the value exactly."""


def to_batch(resource: str, items: Iterable[Any]) -> pa.RecordBatch:
    """Return models as an Arrow record batch.

    A number that its column cannot hold exactly is null there. Its text is in `extra` under the column's name. Unknown
    keys are in `extra`, too.

    Args:
        resource: The name of the resource, as for `schema`.
        items: Models of that resource, such as `Order`; for `stock` they are `StockLocation`.

    Raises:
        ConfigurationError: The resource does not exist, or an item is not its model.
    """
    columns = schema(resource)
    rows = to_rows(resource, items)
    try:
        return pa.RecordBatch.from_pylist(rows, schema=columns)
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can only contain as an escape
        return pa.RecordBatch.from_pylist([_utf8(row) for row in rows], schema=columns)


def to_rows(resource: str, items: Iterable[Any]) -> list[dict[str, Any]]:
    """Return models as mappings with the columns and values of `to_batch`, for tools without Arrow.

    Args:
        resource: The name of the resource, as for `schema`.
        items: Models of that resource, such as `Order`; for `stock` they are `StockLocation`.

    Raises:
        ConfigurationError: The resource does not exist, or an item is not its model.
    """
    columns, model = schema(resource), _model(resource)
    return [_row(columns, item, model) for item in items]


def _row(fields: Iterable[pa.Field], item: Any, model: type[Any] | None = None) -> dict[str, Any]:
    """Return a model as a row or as the value of a struct."""
    if model is not None and not isinstance(item, model):
        raise ConfigurationError(f"each item must be {model.__name__}, not {type(item).__name__}")
    row: dict[str, Any] = {}
    misfits: dict[str, str] = {}
    for field in fields:
        value = getattr(item, field.name)
        try:
            row[field.name] = _json(value) if field.name in _JSON_COLUMNS else _cell(field.type, value)
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
    return plain_scalar(value) if isinstance(value, OpenEnum | Secret) else value


def _json(value: Any) -> str | None:
    return None if value is None or value == {} else json.dumps(value, ensure_ascii=False, default=str)


def _amount(value: Decimal) -> Decimal:
    try:
        return value.quantize(_STEP, context=_EXACT)
    except ArithmeticError:
        raise _DoesNotFitError from None


def _moment(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:  # in the first or last hours of Python's datetime range
        raise _DoesNotFitError from None


def _utf8(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, Mapping):
        return {name: _utf8(part) for name, part in value.items()}
    return [_utf8(part) for part in value] if isinstance(value, list) else value
