"""Which order is which: by the id that the shop gave it, as far as the answer tells it."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from goedgepickt_async.models import UNSET, NewOrder, Order, Unset
from goedgepickt_async.resources.filters import DUTCH

__all__ = ["Identity", "created_on_or_after", "identities_of_new", "identity_of", "is_same_order"]

Identity = tuple[str, str]
"""Of which kind the id is, and the id."""


def identity_of(order: Order) -> Identity | None:
    """What tells an order apart: the shop's id, or what people see where the answer leaves that out (C)."""
    for shops_id in (order.order_id, order.order_number):
        if shops_id is not None:
            return "id", shops_id
    return None if order.display_id is None else ("display", order.display_id.removeprefix("#"))


def identities_of_new(order_id: str, display_id: str | Unset | None) -> frozenset[Identity]:
    """All that `identity_of` may say of an order, once it has been created."""
    shown = order_id if display_id is UNSET or display_id is None else display_id
    return frozenset({("id", order_id), ("display", shown.removeprefix("#"))})


def is_same_order(order: Order, new: NewOrder) -> bool:
    """Whether an order of the same webshop is the one that was to be created."""
    return identity_of(order) in identities_of_new(new.order_id, new.display_id)


def created_on_or_after(created_at: datetime | Unset) -> date:
    """The day to list orders from, to find one: the day before its own date, or before today.

    The API's filter knows days only.
    """
    today = datetime.now(DUTCH).date()
    created = today if created_at is UNSET else min(today, created_at.astimezone(DUTCH).date())
    return created - timedelta(days=1)
