"""Pick locations (reference section 4.4)."""

from __future__ import annotations

from goedgepickt_async.models import PickLocation
from goedgepickt_async.paging import Paginator
from goedgepickt_async.resources.base import Resource

__all__ = ["PickLocations"]


class PickLocations(Resource):
    """The places in the warehouse that goods lie at."""

    def list(self) -> Paginator[PickLocation]:
        """All pick locations: `GET /picklocations` (A)."""
        return self._list("/picklocations", PickLocation)
