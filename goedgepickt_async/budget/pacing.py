"""The pace of the bulk lane: a burst, then an even flow, so that slots come free evenly instead of all at once.

aiolimiter's token bucket sets the pace. It belongs to one event loop, lets newcomers overtake and takes no token back;
none of that shows: each loop has one of its own, whoever is first draws for themselves, and a token that was drawn and
not used stays with the turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import attrs
from aiolimiter import AsyncLimiter

__all__ = ["Pacer", "bulk_rate"]

T = TypeVar("T")

_SHARE = 0.92
"""Of the allowed rate: 2.3 of 2.5 requests a second."""
_BURST = 15
"""A fifteenth of the limit goes at once: 10 of 150."""


def bulk_rate(limit: int, window: float) -> float:
    """Requests a second that the bulk lane lets through in the long run.

    Args:
        limit: Requests that the server allows in a window.
        window: In seconds.
    """
    return _SHARE * limit / window


@attrs.define(eq=False)
class _Turns:
    """Who is first among the bulk requests of one event loop."""

    limiter: AsyncLimiter
    turn: asyncio.Lock = attrs.field(factory=asyncio.Lock)
    has_token: bool = False
    waiting: int = 0


class Pacer:
    """Lets bulk requests through one by one, at an even pace.

    Args:
        limit: Requests that the server allows in a window.
        window: In seconds.
    """

    def __init__(self, limit: int, window: float) -> None:
        self._burst = max(1, limit // _BURST)
        self._each = 1 / bulk_rate(limit, window)
        self._by_loop: dict[asyncio.AbstractEventLoop, _Turns] = {}

    async def in_turn(self, take: Callable[[], Awaitable[T]]) -> T:
        """Wait for the turn and for the pace, then for `take`."""
        turns = self._turns()
        turns.waiting += 1
        try:
            async with turns.turn:  # fair: asyncio's locks are handed over in the order of asking
                if not turns.has_token:
                    await turns.limiter.acquire()
                    turns.has_token = True
                taken = await take()
                turns.has_token = False
                return taken
        finally:
            turns.waiting -= 1

    def wait(self) -> float:
        """Seconds that a newcomer would wait for the pace, about."""
        turns = self._by_loop.get(asyncio.get_running_loop())
        return turns.waiting * self._each if turns is not None else 0.0

    def waiting(self) -> int:
        """How many wait for their turn, in all event loops."""
        return sum(turns.waiting for turns in list(self._by_loop.values()))

    def _turns(self) -> _Turns:
        loop = asyncio.get_running_loop()
        turns = self._by_loop.get(loop)
        if turns is None:
            for ended in [known for known in list(self._by_loop) if known.is_closed()]:
                self._by_loop.pop(ended, None)
            turns = self._by_loop[loop] = _Turns(AsyncLimiter(self._burst, self._burst * self._each))
        return turns
