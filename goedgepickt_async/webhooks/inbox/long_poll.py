"""Claiming with patience: look, and look again when there may be something."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from goedgepickt_async.webhooks.inbox.bell import Bell
from goedgepickt_async.webhooks.inbox.protocol import Claim

__all__ = ["Look", "long_poll"]

Look = Callable[[], Awaitable[tuple[list[Claim], float]]]
"""Claims what is due; and says in how many seconds the next thing will be, as far as it knows."""

_SOON = 0.001


async def long_poll(look: Look, bell: Bell, wait: float) -> list[Claim]:
    """Look until there is something, for `wait` seconds at most."""
    until = time.monotonic() + wait
    while True:
        since = bell.rung
        claims, again_in = await look()
        left = until - time.monotonic()
        if claims or left <= 0:
            return claims
        await bell.wait(since, min(left, max(again_in, _SOON)))
