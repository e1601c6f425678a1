"""Writes that must happen once: sent once, and looked up when nobody knows what became of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from goedgepickt_async.errors import DecodeError, Evidence, GoedGepicktError, OutcomeUnknownError
from goedgepickt_async.logs import tell
from goedgepickt_async.resources.reading import read
from goedgepickt_async.wire.pipeline import Sender, outcome_unknown
from goedgepickt_async.wire.request import Request

__all__ = ["create_once"]

T = TypeVar("T")


async def create_once(
    sender: Sender,
    request: Request,
    reader: Callable[[Any], T | None],
    find: Callable[[], Awaitable[T | None]],
) -> T:
    """Send a write once.

    Args:
        sender: What sends it.
        request: The write.
        reader: From the answer's JSON to what was made; None if the answer does not tell.
        find: Looks for what was made, when the answer was lost or does not tell.

    Raises:
        OutcomeUnknownError: It may or may not have been carried out, and looking it up did not settle it.
    """
    try:
        made = read(await sender.send(request), reader)
    except OutcomeUnknownError as unknown:
        return await _look_up(request, find, unknown)
    except DecodeError as error:
        lost = outcome_unknown(error.message, Evidence.APPLIED, request, error.attempts)
        return await _look_up(request, find, lost)
    if made is not None:
        return made
    silent = "the server said success, but not what it made"
    return await _look_up(request, find, outcome_unknown(silent, Evidence.APPLIED, request, 1))


async def _look_up(request: Request, find: Callable[[], Awaitable[T | None]], unknown: OutcomeUnknownError) -> T:
    """What is found. Nothing found proves nothing: the server may still be at it."""
    try:
        found = await find()
    except GoedGepicktError as error:
        unknown.message += f"; and looking it up failed: {error.message}"
        raise unknown from error
    if found is None:
        unknown.message += "; it was looked up and is not there, so far"
        raise unknown
    tell("request.found", method=request.method, route=request.route)
    return found
