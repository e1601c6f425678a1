"""Plans for new orders: find existing orders, and create the others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from datetime import date, datetime, timedelta
from typing import Any, ClassVar, Final

from goedgepickt_async._transport.pipeline import Sender
from goedgepickt_async.bulk.strategy import PlanStrategy, conflict, fields_of, refused
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
from goedgepickt_async.models.base import AMSTERDAM
from goedgepickt_async.resources import Orders
from goedgepickt_async.resources.orders import (
    created_on_or_after,
    identified,
    identities_of_new,
    is_of_webshop,
    webshop_name,
)

__all__ = ["OrderStrategy", "diff_order", "new_order", "normalize_order"]

_MOMENTS: Final = ("created_at", "finished_at")
_ADDRESSES: Final = ("billing", "shipping")
_SHOWN: Final = ("display_id", "status", "created_at")
"""Fields of a new order that hold no personal data."""
_LOOK_BACK: Final = timedelta(days=60)
"""The shortest time for which orders are read back, independent of the dates in the input."""


def normalize_order(row: Any, index: int, *, webshop: str, webshop_name: str = "") -> DesiredRow | Conflict:
    """Return a desired row: the whole order as values for `json.dumps`.

    The row is a `NewOrder`, or a mapping or an attrs object with its fields. A mapping can have `webshop_name` too, as
    in an export: orders of other webshops are conflicts.
    """
    try:
        fields = fields_of(row)
        named = str(fields.pop("webshop_name", None) or "").strip()
        order = row if isinstance(row, NewOrder) else new_order(fields)
    except (TypeError, ValidationError) as error:
        found = row.get("order_id") if isinstance(row, Mapping) else None
        return refused(error, index, found.strip() if isinstance(found, str) else "")
    key = order.order_id.strip()
    if order.webshop_uuid is not UNSET and order.webshop_uuid != webshop:
        return Conflict(key=key, indexes=(index,), reason="it belongs to another webshop than this plan")
    if named and named.casefold() != webshop_name.strip().casefold():
        reason = "its webshop_name is not the name of the webshop of this plan"
        return Conflict(key=key, indexes=(index,), reason=reason)
    return DesiredRow(key=key, index=index, values={**to_plain(order), "order_id": key, "webshop_uuid": webshop})


def new_order(values: Mapping[str, Any]) -> NewOrder:
    """Return the order from these values. Addresses can be mappings, and times can be ISO 8601 text with an offset."""
    fields = dict(values)
    for name in _MOMENTS:
        fields[name] = _moment(name, fields[name]) if name in fields else UNSET
    for name in _ADDRESSES:
        if isinstance(fields.get(name), Mapping):
            fields[name] = _address(name, fields[name])
    return NewOrder(**fields)


def diff_order(desired: DesiredRow, present: tuple[str, ...]) -> Decision:
    """Decide about an order: create it, skip it because it exists, or report a conflict."""
    if len(present) > 1:
        reason = f"{len(present)} existing orders have this id"
        return conflict(desired, reason, ConflictCode.AMBIGUOUS, uuids=present)
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


def _looked_from(desired_rows: Sequence[DesiredRow]) -> date | None:
    """Return the first day to read: the oldest date in the input, and at least 60 days ago.

    A date in a file can be the date of an export, a payment or a correction, so a newer date is not used. None for all
    orders, if an order has no date.
    """
    moments = [desired.values.get("created_at") for desired in desired_rows]
    if any(moment is None for moment in moments):
        return None
    oldest = min((created_on_or_after(datetime.fromisoformat(str(moment))) for moment in moments), default=None)
    back = datetime.now(AMSTERDAM).date() - _LOOK_BACK
    return back if oldest is None else min(oldest, back)


class OrderStrategy(PlanStrategy[tuple[str, ...]]):
    """The strategy for new orders. The present state is the uuids of the existing orders with an id."""

    name: ClassVar[str] = "orders"

    def __init__(self, sender: Sender, *, webshop: str, since: date | str | None = None) -> None:
        self._since = date.fromisoformat(since) if isinstance(since, str) else since
        options = {"since": None if self._since is None else self._since.isoformat()}
        super().__init__(sender, webshop, noun="order id", options=options)
        self._orders = Orders(sender)

    def normalize(self, row: Any, index: int) -> DesiredRow | Conflict:
        return normalize_order(row, index, webshop=self.webshop, webshop_name=self.webshop_name)

    async def read(self, desired_rows: Sequence[DesiredRow]) -> Mapping[str, tuple[str, ...]]:
        since = self._since or _looked_from(desired_rows)
        self.looked_at: str = (
            "all orders of this webshop"
            if since is None
            else f"orders of this webshop that were created since {since}; older orders are not compared"
        )
        if not desired_rows:
            return {}
        keys_by_identity: dict[tuple[str, str], list[str]] = defaultdict(list)
        for desired in desired_rows:
            for expected in identities_of_new(desired.key, desired.values.get("display_id")):
                keys_by_identity[expected].append(desired.key)
        shop = await webshop_name(self._sender, self.webshop)
        found: dict[str, tuple[str, ...]] = defaultdict(tuple)
        present = self._orders.list(created_after=since, webshop_uuid=self.webshop)
        async with aclosing(identified(present)) as orders:
            async for identity, order in orders:
                if is_of_webshop(order, shop):
                    for key in keys_by_identity.get(identity, ()):
                        found[key] += (order.uuid,)
        return dict(found)

    def diff(self, desired: DesiredRow, present: tuple[str, ...] | None) -> Decision:
        return diff_order(desired, present or ())

    def is_sound(self, write: PlannedWrite) -> bool:
        return write.action is Action.CREATE and super().is_sound(write)

    async def send(self, write: PlannedWrite) -> str | None:
        return (await self._orders.create(new_order(write.desired.values))).uuid
