"""How long a list will still take, under a rate limit. Pure; an estimate for people, not a promise."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Sequence

__all__ = ["requests_left", "seconds_left"]

_PAGE = 100
_MOST_PLAYED = 5_000


def requests_left(rows_left: int, recent: Sequence[int]) -> int:
    """Requests for the rest of a list; one more sees the end.

    Args:
        rows_left: Rows to come.
        recent: How many rows the last pages had; what is to come is taken to be like them.
    """
    per_page = sum(recent) / len(recent) if sum(recent) else _PAGE
    return math.ceil(max(0, rows_left) / per_page) + 1


def seconds_left(requests: int, *, pace: float, hold: float, free: int, cooling: Iterable[float]) -> float:
    """Seconds that so many requests will take, one after the other: they are played through.

    Args:
        requests: How many.
        pace: Seconds that one takes when it need not wait.
        hold: Seconds after which a slot that was used can be used again.
        free: Slots that can be used at once.
        cooling: Seconds until each of the used slots can be used again.
    """
    played = min(requests, _MOST_PLAYED)
    slots = [0.0] * min(free, max(1, played)) + [max(0.0, seconds) for seconds in cooling]
    heapq.heapify(slots)
    if not slots:
        return math.inf
    now = 0.0
    for _ in range(played):
        now = max(now, slots[0]) + pace
        heapq.heapreplace(slots, now + hold)
    return now if played == requests else now * requests / played
