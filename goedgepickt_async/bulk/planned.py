"""What a plan is made of: plain values, that can be looked at, saved and loaded again."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

import attrs

__all__ = ["UNTOLD", "Action", "Change", "Conflict", "LeftAlone", "PlannedWrite", "Unchanged", "Verdict", "Wish"]

UNTOLD = "(not told)"
"""Stands for the present value of a field that the API takes and does not answer."""


class Action(enum.StrEnum):
    """What a planned write does."""

    CREATE = "create"
    """Makes something that is not there."""
    UPDATE = "update"
    """Sets fields of something that is there."""
    SET = "set"
    """Sets the quantity at a location."""
    MUTATE = "mutate"
    """Adds to the stock, or takes from it."""


@attrs.frozen(kw_only=True)
class Wish:
    """One desired row, checked and in one form.

    Attributes:
        key: What tells it apart: the SKU, the shop's id of the product or of the order.
        index: The row's place in the input, from 0.
        values: What is wanted, under Python names, as values that JSON takes. It may hold personal data.
    """

    key: str
    index: int
    values: Mapping[str, Any] = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class Change:
    """One field that will change; values as JSON takes them.

    Attributes:
        field: Its Python name.
        before: What is there; None for nothing, `UNTOLD` where the API does not say.
        after: What will be there.
    """

    field: str
    before: Any
    after: Any


@attrs.frozen(kw_only=True)
class PlannedWrite:
    """One write that a plan will make.

    Attributes:
        action: What it does.
        wish: What was wanted.
        uuid: Of the product that it changes; None for what is made new.
        name: What people call it; empty for orders, whose names are personal.
        changes: Field by field.
        seen: What else was read of it and is evidence later, such as the total stock.
    """

    action: Action
    wish: Wish
    uuid: str | None = None
    name: str = ""
    changes: tuple[Change, ...] = attrs.field(default=(), repr=False)
    seen: Mapping[str, Any] = attrs.field(factory=dict, repr=False)

    @property
    def key(self) -> str:
        """The SKU, or the shop's id."""
        return self.wish.key

    @property
    def index(self) -> int:
        """The row's place in the input, from 0."""
        return self.wish.index


@attrs.frozen(kw_only=True)
class Unchanged:
    """A row whose wish is fulfilled already."""

    key: str
    index: int
    uuid: str | None


@attrs.frozen(kw_only=True)
class LeftAlone:
    """A row that is deliberately not touched, and why."""

    key: str
    index: int
    uuid: str | None
    reason: str


@attrs.frozen(kw_only=True)
class Conflict:
    """Rows for which nothing can safely be done.

    Attributes:
        key: The SKU or the shop's id; empty where there is none.
        indexes: The places of the rows in the input, from 0.
        reason: Why; no personal data is in it.
        uuids: Of what is in the way at the server.
        fields: For a row that was refused: what is wrong with which field.
    """

    key: str
    indexes: tuple[int, ...]
    reason: str
    uuids: tuple[str, ...] = ()
    fields: Mapping[str, str] = attrs.field(factory=dict)


Verdict = PlannedWrite | Unchanged | LeftAlone | Conflict
"""What comparing one wish with what is there amounts to."""
