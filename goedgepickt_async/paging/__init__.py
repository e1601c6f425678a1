"""Lists: read whole or raised, whatever the server and the moving rows do."""

from __future__ import annotations

from goedgepickt_async.paging.paginator import Fetch, ListSource, OnUnreadable, Page, Paginator, UnreadableRow
from goedgepickt_async.paging.reader import RawPage

__all__ = ["Fetch", "ListSource", "OnUnreadable", "Page", "Paginator", "RawPage", "UnreadableRow"]
