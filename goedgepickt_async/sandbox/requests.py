"""The record of what arrived at the sandbox."""

from __future__ import annotations

from typing import Any

import attrs
from multidict import MultiDict

__all__ = ["RecordedRequest"]


@attrs.define(kw_only=True)
class RecordedRequest:
    """One request that arrived, whatever became of it.

    Attributes:
        at: When its head had been read, by the sandbox's clock (Unix seconds).
        method: The HTTP method.
        path: The path below the base path, without the query: `/orders`. The whole path if it is below neither base.
        base: Which API it was for: `fulfilment`, `account`, or an empty text for neither.
        query: The query parameters.
        headers: The headers; the key in `Authorization` is masked.
        raw: The body's bytes.
        body: The parsed body (JSON or form), None where there was none.
        connection: Which TCP connection it came over, counted from 1.
        status: The status that was answered; None while it is under way and if no status was ever sent.
        throttled: Whether the throttle itself refused it (not a scripted 429).
        applied: Whether its controller ran and succeeded, even if the client never heard of it.
        fault: The name of the scripted fault that was played on it, if any.
    """

    at: float
    method: str
    path: str
    base: str
    query: MultiDict[str]
    headers: MultiDict[str]
    raw: bytes = b""
    body: Any = None
    connection: int
    status: int | None = None
    throttled: bool = False
    applied: bool = False
    fault: str | None = None
