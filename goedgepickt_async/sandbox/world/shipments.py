"""Generated shipments, each of a completed order."""

from __future__ import annotations

from bisect import bisect_left

from goedgepickt_async.sandbox.world import sample_data
from goedgepickt_async.sandbox.world.orders import OrderMaker
from goedgepickt_async.sandbox.world.table import Calendar, Row, SeededIds, WorldSettings, write_moment

__all__ = ["ShipmentMaker"]

_STATUSES = (
    "delivered", "delivered", "delivered_at_recipient", "shipped", "in_transit", "out_for_delivery", "registered",
    "pending", "pending_registered", "returned", "problem", "no_update_supported",
)  # fmt: skip
_TRAVEL = 90_000
"""Seconds from a shipment's creation to its delivery."""


class ShipmentMaker:
    """Makes shipment `index` from the seed; shipments follow their orders in time."""

    def __init__(self, settings: WorldSettings, identity: SeededIds, orders: OrderMaker) -> None:
        """Take the world's settings, its source of randomness and the maker of the orders that were shipped."""
        self._identity = identity
        self._orders = orders
        self._odd = settings.oddities
        completed = orders.status_counts()["completed"]
        self.count: int = completed if settings.shipments is None else settings.shipments
        self._completed = completed
        self._end = settings.end
        self._calendar = Calendar(settings.end, self.count)

    def order(self, index: int) -> int | None:
        """Return the index of the order that it belongs to, or None if no order was ever completed."""
        if not self._completed:
            return None
        return self._orders.completed[index * self._completed // self.count]

    def of_order(self, order: int) -> range:
        """Return the indices of an order's shipments."""
        if not self._completed or not self.count:
            return range(0)
        rank = bisect_left(self._orders.completed, order)
        if rank == self._completed or self._orders.completed[rank] != order:
            return range(0)
        return range(-(-rank * self.count // self._completed), -(-(rank + 1) * self.count // self._completed))

    def created(self, index: int) -> int:
        """Return the Unix second of its creation; it never falls with the index."""
        order = self.order(index)
        if order is None:
            return self._calendar.moment(index)
        # A second for each parcel before it of the same order: shipments never change places.
        return max(self._orders.created(order), self._orders.finished(order) - 400) + index - self.of_order(order).start

    def status(self, index: int) -> str:
        """Return its status; in an odd world sometimes empty or one that is on no list."""
        if self._odd and index % 29 == 5:
            return ""
        if self._odd and index % 31 == 9:
            return "held_by_customs"
        status = _STATUSES[self._identity.draw("shipment", index)[0] % len(_STATUSES)]
        if status.startswith("delivered") and self.created(index) + _TRAVEL > self._end:
            return "in_transit"  # it cannot have arrived yet
        return status

    def parcel(self, index: int) -> Row:
        """Return the short form that an order shows of it."""
        code = f"3SZB{index:09d}"
        return {
            "trackTraceCode": code,
            "trackTraceUrl": f"https://track.example.test/{code}",
            "createDate": write_moment(self.created(index)),
        }

    def row(self, index: int) -> Row:
        """Return the shipment as the API serves it."""
        status = self.status(index)
        draw = self._identity.draw("shipment", index)
        order = self.order(index)
        linked = self._orders.row(order) if order is not None else None
        delivered = self.created(index) + _TRAVEL if status.startswith("delivered") else None
        parcel = self.parcel(index)
        row: Row = {
            "uuid": self._identity.uuid("shipment", index),
            "status": status,
            "createDate": parcel["createDate"],
            "deliveredDate": None if delivered is None else write_moment(delivered),
            "shippingMethod": sample_data.CARRIERS[draw[1] % len(sample_data.CARRIERS)],
            "trackTraceCode": parcel["trackTraceCode"],
            "trackTraceUrl": parcel["trackTraceUrl"],
            "externalId": f"EXT-{index}" if draw[2] % 3 else None,
            "referenceText": linked["externalDisplayId"] if linked else None,
            "shippingFirstName": linked["shippingFirstName"] if linked else None,
            "shippingLastName": linked["shippingLastName"] if linked else None,
            "shippingCity": linked["shippingCity"] if linked else None,
            "linkedOrder": {"uuid": linked["uuid"]} if linked else None,
        }
        if self._odd and index % 12 == 4:
            row["linkedOrder"] = None
            row["carrierService"] = "Brievenbus/24u"
        return row
