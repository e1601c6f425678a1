"""Lists: read whole or raised, whatever the server and the moving rows do."""

from __future__ import annotations

from goedgepickt_async.paging.paginator import Fetch, ListSource, Page, Paginator
from goedgepickt_async.paging.reader import RawPage

__all__ = ["Fetch", "ListSource", "Page", "Paginator", "RawPage"]
