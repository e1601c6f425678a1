"""Lists, which are complete or raise an error, even if the server fails or rows move."""

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
