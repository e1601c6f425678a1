"""Counts the requests of one client through its hooks."""

from __future__ import annotations

import time
from collections import deque

from goedgepickt_async import AnswerSeen, Evidence, Hooks, RetrySeen

__all__ = ["Traffic"]


_REMEMBERED = 1_000


class Traffic:
    """What went over the wire.

    Attributes:
        requests: Requests sent, as far as the hooks tell.
        refusals: Those among them that the server's throttle refused.
        waited: Seconds that the last answered request waited for the rate limit.
        answered: When the last answers came, by `time.monotonic`; the newest last.
    """

    def __init__(self) -> None:
        self.requests: int = 0
        self.refusals: int = 0
        self.waited: float = 0.0
        self.answered: deque[float] = deque(maxlen=_REMEMBERED)
        self._counted: tuple[str, int] | None = None

    @property
    def hooks(self) -> Hooks:
        """Hang these into the client."""
        return Hooks(answer=self._answer, retry=self._retry, throttled=self._throttled)

    def _answer(self, seen: AnswerSeen) -> None:
        self.requests += 1
        self.waited = seen.waited
        self.answered.append(time.monotonic())
        self._counted = (seen.path, seen.attempts)

    def _retry(self, seen: RetrySeen) -> None:
        """Sent and never answered: no answer counted it."""
        if seen.evidence is Evidence.UNKNOWN and self._counted != (seen.path, seen.attempts):
            self.requests += 1

    def _throttled(self, _seen: AnswerSeen) -> None:
        self.refusals += 1
