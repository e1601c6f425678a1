"""Plans for new orders: find existing orders, and create the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, ClassVar, Final

from goedgepickt_async._transport.pipeline import Sender
from goedgepickt_async.bulk.strategy import PlanStrategy, fields_of, looked_from, read_orders, refused
from goedgepickt_async.bulk.values import (
    Action,
    Change,
    Conflict,
    ConflictCode,
    Decision,
    DesiredRow,
    PlannedWrite,
    Unchanged,
)
from goedgepickt_async.convert import to_plain
from goedgepickt_async.errors import Evidence, ValidationError
from goedgepickt_async.models import UNSET, Address, NewOrder
from goedgepickt_async.resources import Orders

__all__ = ["OrderStrategy", "diff_order", "new_order", "normalize_order"]

_MOMENTS: Final = ("created_at", "finished_at")
_ADDRESSES: Final = ("billing", "shipping")
_SHOWN: Final = ("display_id", "status", "created_at")
"""Fields of a new order that hold no personal data."""


def normalize_order(row: Any, index: int, *, webshop: str) -> DesiredRow | Conflict:
    """Return a desired row: the whole order as values for `json.dumps`.

    Args:
        row: A `NewOrder`, or a mapping or an attrs object with its fields.
        index: Its index in the input.
        webshop: The webshop of the plan.
    """
    try:
        fields = fields_of(row)
        order = row if isinstance(row, NewOrder) else new_order(fields)
    except (TypeError, ValidationError) as error:
        found = row.get("order_id") if isinstance(row, Mapping) else None
        return refused(error, index, found.strip() if isinstance(found, str) else "")
    key = order.order_id.strip()
    if order.webshop_uuid is not UNSET and order.webshop_uuid != webshop:
        return Conflict(key=key, indexes=(index,), reason="it belongs to another webshop than this plan")
    return DesiredRow(key=key, index=index, values={**to_plain(order), "order_id": key, "webshop_uuid": webshop})


def new_order(values: Mapping[str, Any]) -> NewOrder:
    """Return the order from these values. Addresses can be mappings, and times can be ISO 8601 text with an offset.

    Raises:
        ValidationError: The values are not valid.
    """
    fields = dict(values)
    for name in _MOMENTS:
        fields[name] = _moment(name, fields[name]) if name in fields else UNSET
    for name in _ADDRESSES:
        if isinstance(fields.get(name), Mapping):
            fields[name] = _address(name, fields[name])
    return NewOrder(**fields)


def diff_order(desired: DesiredRow, present: tuple[str, ...]) -> Decision:
    """Decide about an order: create it, skip it because it exists, or report a conflict.

    Args:
        desired: The desired order.
        present: The uuids of existing orders with its id.
    """
    if len(present) > 1:
        return Conflict(
            key=desired.key,
            indexes=(desired.index,),
            reason=f"{len(present)} existing orders have this id",
            code=ConflictCode.AMBIGUOUS,
            uuids=present,
        )
    if present:
        return Unchanged(key=desired.key, index=desired.index, uuid=present[0])
    changes = [Change(field=name, before=None, after=desired.values[name]) for name in _SHOWN if name in desired.values]
    changes.append(Change(field="lines", before=None, after=len(desired.values["lines"])))
    return PlannedWrite(action=Action.CREATE, desired=desired, changes=tuple(changes))


def _moment(name: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return datetime.fromisoformat(value.strip())
    except ValueError:
        raise _unfit(name, "must be ISO 8601 text with an offset, such as 2026-11-01T09:30:00+01:00") from None


def _address(name: str, value: Mapping[str, Any]) -> Address:
    try:
        return Address(**value)
    except TypeError:
        raise _unfit(name, "has fields that are not fields of an address") from None


def _unfit(name: str, why: str) -> ValidationError:
    return ValidationError(f"{name}: {why}", fields={name: [why]}, evidence=Evidence.NOT_SENT)


class OrderStrategy(PlanStrategy[tuple[str, ...]]):
    """The strategy for new orders."""

    name: ClassVar[str] = "orders"

    def __init__(self, sender: Sender, *, webshop: str, since: date | str | None = None) -> None:
        self.noun = "order id"
        self.webshop = webshop
        self._since = date.fromisoformat(since) if isinstance(since, str) else since
        self.options: Mapping[str, Any] = {"since": None if self._since is None else self._since.isoformat()}
        self._sender = sender
        self._orders = Orders(sender)

    def normalize(self, row: Any, index: int) -> DesiredRow | Conflict:
        """Return a checked desired row."""
        return normalize_order(row, index, webshop=self.webshop)

    async def read(self, desired_rows: Sequence[DesiredRow]) -> Mapping[str, tuple[str, ...]]:
        """Return the orders with these ids."""
        since = self._since or looked_from(desired_rows)
        self.looked_at: str = (
            "all orders of this webshop"
            if since is None
            else f"orders of this webshop that were created since {since}; older orders are not compared"
        )
        return await read_orders(self._sender, desired_rows, since=self._since, webshop=self.webshop)

    def diff(self, desired: DesiredRow, present: tuple[str, ...] | None) -> Decision:
        """Decide about an order."""
        return diff_order(desired, present or ())

    def is_sound(self, write: PlannedWrite) -> bool:
        """Whether this strategy can have planned a saved write."""
        return write.action is Action.CREATE and super().is_sound(write)

    async def send(self, write: PlannedWrite) -> str | None:
        """Create the order."""
        return (await self._orders.create(new_order(write.desired.values))).uuid
