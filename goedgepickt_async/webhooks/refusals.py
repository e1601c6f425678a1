"""Says what is refused: loudly, and once a minute at most."""

from __future__ import annotations

import time
from collections.abc import Callable

from goedgepickt_async.logs import tell

__all__ = ["Refusals"]

_PAUSE = 60.0


class Refusals:
    """The log of refused deliveries: each status once a minute, with how many there were; never a body or a secret.

    Args:
        clock: Seconds, never going back; for tests.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next: dict[int, float] = {}
        self._unsaid: dict[int, int] = {}

    def note(self, status: int, why: str) -> None:
        """One was refused.

        Args:
            status: What it was answered.
            why: What to say; nothing of the delivery.
        """
        self._unsaid[status] = self._unsaid.get(status, 0) + 1
        now = self._clock()
        if now < self._next.get(status, now):
            return
        self._next[status] = now + _PAUSE
        count = self._unsaid.pop(status)
        since = f"{count} deliveries" if count > 1 else "a delivery"
        tell("webhook.refused", since=since, count=count, status=status, why=why)
