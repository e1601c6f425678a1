"""How much of one product lies where."""

from __future__ import annotations

from typing import Any

import attrs

from goedgepickt_async.models.wire_names import Identifier, wire

__all__ = ["StockLocation"]


@attrs.frozen(kw_only=True, weakref_slot=False)
class StockLocation:
    """One row of `GET /products/{uuid}/stock` (A); mind the wire's lower-case l in `picklocationUuid`."""

    pick_location_uuid: Identifier = attrs.field(metadata=wire("picklocationUuid", "pickLocationUuid"))
    pick_location_name: str | None = attrs.field(default=None, metadata=wire("picklocationName", "pickLocationName"))
    quantity: int | None = attrs.field(default=None, metadata=wire("stockQuantity"))
    priority: int | None = attrs.field(default=None, metadata=wire("stockPriority"))
    extra: dict[str, Any] = attrs.field(factory=dict, repr=False, hash=False)
