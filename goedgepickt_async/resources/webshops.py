"""Webshops (reference section 4.1)."""

from __future__ import annotations

from goedgepickt_async.models import Webshop
from goedgepickt_async.paging import Paginator
from goedgepickt_async.resources.base import Resource

__all__ = ["Webshops"]


class Webshops(Resource):
    """The webshops of the account; one key covers them all (A)."""

    def list(self) -> Paginator[Webshop]:
        """All webshops: `GET /webshops` (A)."""
        return self._list("/webshops", Webshop)
