"""Lists: read whole or raised, whatever the server and the moving rows do."""

from __future__ import annotations

from goedgepickt_async.paging.paginator import (
    AsyncOnly,
    Fetch,
    ListSource,
    OnUnreadable,
    Page,
    Pages,
    Paginator,
    UnreadableRow,
)
from goedgepickt_async.paging.reader import RawPage

__all__ = ["AsyncOnly", "Fetch", "ListSource", "OnUnreadable", "Page", "Pages", "Paginator", "RawPage", "UnreadableRow"]
