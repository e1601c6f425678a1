"""A request as the application sees it: no socket, no aiohttp."""

from __future__ import annotations

from typing import Any

import attrs
from multidict import MultiDict

__all__ = ["Incoming"]


@attrs.frozen(kw_only=True)
class Incoming:
    """One request.

    Attributes:
        method: The HTTP method, after Laravel's own overriding of it by forms.
        base: Which API it is for: `fulfilment`, `account`, or an empty text.
        path: The path below the base path.
        query: The query parameters.
        data: The body's fields after parsing; empty where there is none.
        token: The bearer token, or None.
        wants_json: Whether the `Accept` header asks for JSON before anything else.
        referer: Where a browser would be sent back to.
        client: The client's IP address.
    """

    method: str
    base: str
    path: str
    query: MultiDict[str]
    data: dict[str, Any]
    token: str | None
    wants_json: bool
    referer: str
    client: str
