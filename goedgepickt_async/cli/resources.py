"""The resources that can be exported: their filters, columns and rows.

A resource is a list in the table of endpoints. `--help` imports this module, so the models are imported when one is
used.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from difflib import get_close_matches
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias, get_args, get_origin, get_type_hints
from zoneinfo import ZoneInfo

import attrs

import goedgepickt_async
from goedgepickt_async.cli.common import UsageError
from goedgepickt_async.endpoints import ENDPOINTS, Endpoint
from goedgepickt_async.text import printable

if TYPE_CHECKING:
    from goedgepickt_async import GoedGepickt, Paginator

__all__ = ["DUTCH", "RESOURCES", "FlatRow", "ResourceSpec", "Selection", "in_dutch_time", "parse_fields"]

DUTCH = ZoneInfo("Europe/Amsterdam")


def in_dutch_time(moment: datetime) -> datetime:
    """Return the time in the Dutch zone. On the first and the last day of Python's range, it keeps its zone."""
    try:
        return moment.astimezone(DUTCH)
    except OverflowError:
        return moment


# -- resources ------------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class _Details:
    """Properties of a resource that are not in the table of endpoints.

    Attributes:
        table: The columns of `--format table`; empty for the first few.
        lines: The field whose items are rows with `--lines`.
        filters: The filters that `list` has but the API does not.
        statuses: The name of the enumeration of its statuses.
        is_personal: Whether its rows contain personal data, so that its files are private.
    """

    table: tuple[str, ...] = ()
    lines: str | None = None
    filters: frozenset[str] = frozenset()
    statuses: str | None = None
    is_personal: bool = False


_DETAILS: Mapping[str, _Details] = {
    "orders": _Details(
        table=("display_id", "status", "created_at", "total_paid", "shipping.city", "shipping.country", "webshop_name"),
        lines="lines",
        statuses="OrderStatus",
        is_personal=True,
    ),
    "products": _Details(table=("sku", "name", "type", "price", "stock.free_stock", "stock.total_stock")),
    "shipments": _Details(
        table=("status", "created_at", "delivered_at", "shipping_method", "track_trace_code", "shipping_city"),
        filters=frozenset({"status"}),
        statuses="ShipmentStatus",
        is_personal=True,
    ),
    "webshops": _Details(table=("uuid", "name", "url", "platform")),
    "webhooks": _Details(table=("uuid", "event", "target_url", "webshop_name", "secret")),
}
_COLUMNS_OF_A_TABLE = 6


@attrs.define(kw_only=True, slots=False)
class ResourceSpec:
    """A resource for exports: the endpoint of its list, and further properties."""

    endpoint: Endpoint
    details: _Details

    @property
    def name(self) -> str:
        """The name on the command line."""
        return self.endpoint.resource.replace("_", "-")

    @property
    def title(self) -> str:
        """The name in messages."""
        return self.name.replace("-", " ")

    @property
    def filters(self) -> frozenset[str]:
        """The filters of `list`."""
        return self.details.filters | {filter_.name for filter_ in self.endpoint.filters}

    @cached_property
    def model(self) -> Any:
        """The class of its rows."""
        return getattr(goedgepickt_async, self.endpoint.model or "")

    @cached_property
    def _parts(self) -> dict[str, tuple[type[Any], bool]]:
        """The fields with models, and whether they hold several."""
        found: dict[str, tuple[type[Any], bool]] = {}
        for name, hint in get_type_hints(self.model).items():
            parts = (part for part in (hint, *get_args(hint)) if isinstance(part, type) and attrs.has(part))
            inner = next(parts, None)
            if inner is not None:
                found[name] = (inner, get_origin(hint) is tuple)
        return found

    @cached_property
    def _fields(self) -> list[str]:
        return [name for name in _field_names(self.model) if name != self.details.lines]

    @cached_property
    def _line_model(self) -> type[Any]:
        return self._parts[self.details.lines or ""][0]

    @property
    def table(self) -> tuple[str, ...]:
        """The columns of `--format table`."""
        return self.details.table or tuple(self.columns()[:_COLUMNS_OF_A_TABLE])

    @property
    def statuses(self) -> list[str]:
        """The known statuses; empty if it has no status."""
        name = self.details.statuses
        return [str(each) for each in getattr(goedgepickt_async, name)] if name else []

    def paginator(self, client: GoedGepickt, **filters: Any) -> Paginator[Any]:
        """Return the list of a client."""
        paginator: Paginator[Any] = getattr(client, self.endpoint.resource).list(**filters)
        return paginator

    def columns(self, *, lines: bool = False) -> list[str]:
        """Return the columns in order, with the columns of a line if each line is a row."""
        names = [column for field in self._fields for column in self._columns_of(field)]
        if lines and self.details.lines is not None:
            names += ["line.number", *(f"line.{part}" for part in _field_names(self._line_model))]
        return names

    def rows(self, item: Any, *, lines: bool = False) -> Iterator[FlatRow]:
        """Return the rows of one item: one row, or one row for each line."""
        row: FlatRow = {}
        for field in self._fields:
            row |= self._cells_of(field, getattr(item, field))
        if not lines or self.details.lines is None:
            yield row
            return
        parts = getattr(item, self.details.lines)
        for number, line in enumerate(parts, start=1):
            yield row | {"line.number": number} | _nested("line", self._line_model, line)
        if not parts:
            yield row | {"line.number": None} | _nested("line", self._line_model, None)

    def _columns_of(self, field: str) -> list[str]:
        if field not in self._parts:
            return [field]
        part, _ = self._parts[field]
        return [f"{field}.{name}" for name in _field_names(part)]

    def _cells_of(self, field: str, value: Any) -> FlatRow:
        """A field is one column, or a column for each part of its model. Values of several models are joined by "; "."""
        if field not in self._parts:
            return {field: _scalar(value)}
        part, is_several = self._parts[field]
        if not is_several:
            return _nested(field, part, value)
        return {f"{field}.{name}": _join(getattr(each, name) for each in value) for name in _field_names(part)}


RESOURCES: Mapping[str, ResourceSpec] = {
    spec.name: spec
    for spec in (
        ResourceSpec(endpoint=endpoint, details=_DETAILS.get(endpoint.resource, _Details()))
        for endpoint in sorted(ENDPOINTS.values(), key=lambda endpoint: endpoint.resource)
        if endpoint.operation.endswith(".list") and endpoint.is_list
    )
}
"""The resources by their name on the command line."""


# -- rows -----------------------------------------------------------------------------------------------------------

FlatRow: TypeAlias = dict[str, Any]
"""The values by column: None, a bool, a number, a datetime, or text."""

_SEPARATOR = "; "


def _field_names(model: type[Any]) -> list[str]:
    from goedgepickt_async.convert import field_names  # noqa: PLC0415  `--help` must not wait for cattrs

    return list(field_names(model))


def _nested(prefix: str, model: type[Any], value: Any) -> FlatRow:
    names = _field_names(model)
    return {f"{prefix}.{name}": None if value is None else _scalar(getattr(value, name)) for name in names}


def _scalar(value: Any) -> Any:
    match value:
        case dict():
            return json.dumps(value, ensure_ascii=False, default=str) if value else None
        case list() | tuple() if all(isinstance(part, str) for part in value):
            return _join(iter(value))
        case list() | tuple():
            return json.dumps(value, ensure_ascii=False, default=str)
    return value


def _join(parts: Iterator[Any]) -> str | None:
    texts = (_text(part) for part in parts if part is not None and part != {})
    return _SEPARATOR.join(text for text in texts if text) or None


def _text(value: Any) -> str:
    scalar = _scalar(value)
    return scalar.isoformat() if hasattr(scalar, "isoformat") else str(scalar)


def parse_fields(text: str | None) -> tuple[str, ...]:
    """Return the names in `--fields`, which are separated by commas."""
    if text is None:
        return ()
    names = tuple(name.strip() for name in text.split(","))
    if not all(names) or len(set(names)) < len(names):
        raise UsageError(f"--fields must be different names separated by commas, such as uuid,status, not {text!r}")
    return names


@attrs.frozen(kw_only=True)
class Selection:
    """The part of a resource that is written: some or all of its columns, and a row for each item or for each line."""

    spec: ResourceSpec
    lines: bool = False
    fields: tuple[str, ...] = ()

    def check(self) -> None:
        """Refuse columns that the resource does not have; the message has the existing columns."""
        known = self.spec.columns(lines=self.lines)
        for name in self.fields:
            if name not in known:
                raise UsageError(f"--fields: {self.spec.name} have no field {printable(name)!r}{_advice(name, known)}")

    @property
    def columns(self) -> list[str]:
        """Return the columns in order."""
        return list(self.fields) or self.spec.columns(lines=self.lines)

    def rows(self, items: Sequence[Any]) -> Iterator[FlatRow]:
        """Return the rows of items."""
        for item in items:
            for row in self.spec.rows(item, lines=self.lines):
                yield {name: row[name] for name in self.fields} if self.fields else row


def _advice(name: str, known: Sequence[str]) -> str:
    """Return what to write for a column that does not exist."""
    parts = [each for each in known if each.startswith(f"{name}.")]
    if parts:
        return f"; it has the parts {', '.join(parts)}"
    if any(mark in name for mark in "; |\t"):
        return "; separate the names by commas"
    if name == "lines":
        return "; --lines writes a row for each line"
    snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    close = get_close_matches(snake, known, n=3)
    guess = f"; did you mean {' or '.join(close)}?" if close else "."
    return f"{guess} There are {', '.join(known)}"
