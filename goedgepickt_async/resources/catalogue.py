"""The resources with only a list: webshops, pick locations, shipments."""

from __future__ import annotations

from datetime import date

from goedgepickt_async.models import PickLocation, Shipment, ShipmentStatus, Webshop
from goedgepickt_async.models.base import ShipmentStatusName, warn_unknown
from goedgepickt_async.paging import OnUnreadable, Paginator
from goedgepickt_async.resources.base import Resource, day

__all__ = ["PickLocations", "Shipments", "Webshops"]


class Webshops(Resource):
    """The webshops of the account; one key is for all of them (A)."""

    def list(self, *, on_unreadable: OnUnreadable = "raise") -> Paginator[Webshop]:
        """All webshops: `GET /webshops` (A).

        Args:
            on_unreadable: `"raise"`, `"skip"` or a function: see `products.list`.
        """
        return self._list("webshops.list", Webshop, on_unreadable=on_unreadable)


class PickLocations(Resource):
    """The pick locations of the warehouse."""

    def list(self, *, on_unreadable: OnUnreadable = "raise") -> Paginator[PickLocation]:
        """All pick locations: `GET /picklocations` (A).

        Args:
            on_unreadable: `"raise"`, `"skip"` or a function: see `products.list`.
        """
        return self._list("pick_locations.list", PickLocation, on_unreadable=on_unreadable)


class Shipments(Resource):
    """The shipments of the account."""

    def list(
        self,
        *,
        created_after: date | None = None,
        status: ShipmentStatusName | ShipmentStatus | str | None = None,
        on_unreadable: OnUnreadable = "raise",
    ) -> Paginator[Shipment]:
        """All shipments, oldest first: `GET /shipments` (A/B).

        Args:
            created_after: Only shipments since this day (Dutch time). A datetime with a time zone is converted to its
                Dutch day.
            status: Only shipments with this status. The client filters, because no such filter of the API is known; so
                all rows are read.
            on_unreadable: `"raise"`, `"skip"` or a function: see `products.list`.

        Raises:
            ConfigurationError: The datetime has no time zone.
        """
        warn_unknown(ShipmentStatus, status)
        filters = {"created_after": day(created_after)}
        predicate = None if status is None else (lambda shipment: shipment.status == status)
        kept_by = () if status is None else (f"status is {status}",)
        return self._list(
            "shipments.list", Shipment, filters, predicate=predicate, kept_by=kept_by, on_unreadable=on_unreadable
        )
