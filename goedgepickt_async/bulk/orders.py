"""Plans for new orders: which exist already, and create the others."""

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
    """A desired row in one form: the whole order as values that JSON takes.

    Args:
        row: A `NewOrder`, or a mapping or an attrs object with its fields.
        index: Its place in the input.
        webshop: The webshop that the plan is for.
    """
    try:
        fields = fields_of(row)
        order = row if isinstance(row, NewOrder) else new_order(fields)
    except (TypeError, ValidationError) as error:
        found = row.get("order_id") if isinstance(row, Mapping) else None
        return refused(error, index, found.strip() if isinstance(found, str) else "")
    key = order.order_id.strip()
    if order.webshop_uuid is not UNSET and order.webshop_uuid != webshop:
        return Conflict(key=key, indexes=(index,), reason="it is for another webshop than this plan")
    return DesiredRow(key=key, index=index, values={**to_plain(order), "order_id": key, "webshop_uuid": webshop})


def new_order(values: Mapping[str, Any]) -> NewOrder:
    """The order that such values describe: addresses may be mappings, instants ISO 8601 text with an offset.

    Raises:
        ValidationError: They are not fit to be sent.
    """
    fields = dict(values)
    for name in _MOMENTS:
        fields[name] = _moment(name, fields[name]) if name in fields else UNSET
    for name in _ADDRESSES:
        if isinstance(fields.get(name), Mapping):
            fields[name] = _address(name, fields[name])
    return NewOrder(**fields)


def diff_order(desired: DesiredRow, present: tuple[str, ...]) -> Decision:
    """Create it, or leave it: it is there, or it is there several times.

    Args:
        desired: The order.
        present: The uuids of the orders that have its id.
    """
    if len(present) > 1:
        return Conflict(
            key=desired.key,
            indexes=(desired.index,),
            reason=f"{len(present)} orders there have this id",
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
        raise _unfit(name, "has fields that no address has") from None


def _unfit(name: str, why: str) -> ValidationError:
    return ValidationError(f"{name}: {why}", fields={name: [why]}, evidence=Evidence.NOT_SENT)


class OrderStrategy(PlanStrategy[tuple[str, ...]]):
    """New orders; some may be there already."""

    name: ClassVar[str] = "orders"

    def __init__(self, sender: Sender, *, webshop: str, since: date | str | None = None) -> None:
        self.noun = "order id"
        self.webshop = webshop
        self._since = date.fromisoformat(since) if isinstance(since, str) else since
        self.options: Mapping[str, Any] = {"since": None if self._since is None else self._since.isoformat()}
        self._sender = sender
        self._orders = Orders(sender)

    def normalize(self, row: Any, index: int) -> DesiredRow | Conflict:
        """A desired row, checked and in one form."""
        return normalize_order(row, index, webshop=self.webshop)

    async def read(self, desired_rows: Sequence[DesiredRow]) -> Mapping[str, tuple[str, ...]]:
        """The orders with these ids."""
        since = self._since or looked_from(desired_rows)
        self.looked_at: str = (
            "all orders of this webshop"
            if since is None
            else f"orders of this webshop that were created since {since}; older ones are not seen"
        )
        return await read_orders(self._sender, desired_rows, since=self._since, webshop=self.webshop)

    def diff(self, desired: DesiredRow, present: tuple[str, ...] | None) -> Decision:
        """Create or leave it."""
        return diff_order(desired, present or ())

    def is_sound(self, write: PlannedWrite) -> bool:
        """Whether a write that was saved is one that this strategy can have planned."""
        return write.action is Action.CREATE and super().is_sound(write)

    async def send(self, write: PlannedWrite) -> str | None:
        """Create it."""
        return (await self._orders.create(new_order(write.desired.values))).uuid
