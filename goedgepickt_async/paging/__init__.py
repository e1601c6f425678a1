"""Lists: complete or an error, also when the server fails and rows move."""

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
