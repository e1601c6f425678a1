"""A place in the warehouse."""

from __future__ import annotations

from typing import Any

import attrs

from goedgepickt_async.models.wire_names import Identifier, wire

__all__ = ["PickLocation"]


@attrs.frozen(kw_only=True, weakref_slot=False)
class PickLocation:
    """One pick location (A). Its other fields are not documented; they are in `extra`."""

    uuid: Identifier = attrs.field(metadata=wire("uuid"))
    name: str | None = attrs.field(default=None, metadata=wire("name"))
    extra: dict[str, Any] = attrs.field(factory=dict, repr=False, hash=False)
