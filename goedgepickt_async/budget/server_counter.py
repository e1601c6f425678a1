"""What the server's own counter (`X-RateLimit-Remaining`) proves. Pure; instants are integer nanoseconds."""

from __future__ import annotations

from collections import deque
from typing import Any

import attrs

__all__ = ["FAR", "ServerCounter"]

FAR = 1 << 62
"""An instant that never comes."""


@attrs.frozen
class _Told:
    """One answer that bore the counter."""

    answered: int
    counter: int
    sent: int


class ServerCounter:
    """A sound upper bound of the server's counter, out of the answers that it put its counter on.

    Let R be the answered request that was sent last. Whatever was answered after R was sent overlaps it; the highest
    counter among those is one that no answered request has raised since. So the counter now is at most that, plus
    what is in flight, plus what strangers sent since.

    Attributes:
        highest: The highest counter among the answers that overlap the newest; None: nothing is known.
        ends: The window that `highest` speaks of is over by then.
        began: That window did not begin before; so what was answered before is not counted in it.
        since: What is sent from then on is counted in that window or a later one.
        told_at: When the newest answer that bore the counter came.
    """

    def __init__(self, hold: int) -> None:
        self._hold = hold
        self._overlapping: deque[_Told] = deque()
        self._newest_sent = -FAR
        self.highest: int | None = None
        self.ends: int = FAR
        self.began: int = -FAR
        self.since: int = -FAR
        self.told_at: int = -FAR

    def observe(self, sent: int, now: int, count: int) -> None:
        """An answer bore the counter."""
        self.told_at = now
        self._newest_sent = max(self._newest_sent, sent)
        self._overlapping.append(_Told(now, count, sent))
        dropped = []
        while self._overlapping[0].answered < self._newest_sent:
            dropped.append(self._overlapping.popleft())
        highest = max(told.counter for told in self._overlapping)
        # In one window the counter never falls: a higher one that no longer overlaps was an older window's.
        older = [told.sent for told in dropped if told.counter > highest]
        if older or not count:  # a counter of zero says that no window is running
            self._began_after(max([sent] if not count else older), now)
        if not self.highest or highest < self.highest:
            # A new window, begun not later than now.
            self.ends = now + self._hold if highest else FAR
        self.highest = highest

    def unseen(self, now: int) -> None:
        """An answer without the counter: it may have been counted all the same."""
        if self.highest is not None:
            if not self.highest:
                self.ends = now + self._hold  # no window was running; this one may have begun one
            self.highest += 1
            self._overlapping.append(_Told(now, self.highest, -FAR))

    def pass_time(self, now: int) -> bool:
        """Whether the window is over by now; then nothing is known of the next."""
        if now < self.ends:
            return False
        self._began_after(self._newest_sent, now)
        self.forget()
        return True

    def forget(self) -> None:
        """Nothing is known any more, but that the window began when it did."""
        self._overlapping.clear()
        self.highest, self.ends = None, FAR

    def _began_after(self, sent: int, now: int) -> None:
        if sent > self.began:
            self.began, self.since = sent, now

    def dump(self) -> dict[str, Any]:
        """All of it, as JSON-ready values."""
        return {
            "overlapping": [attrs.astuple(told) for told in self._overlapping],
            "newest_sent": self._newest_sent,
            "highest": self.highest,
            "ends": self.ends,
            "began": self.began,
            "since": self.since,
            "told_at": self.told_at,
        }

    def load(self, values: dict[str, Any]) -> None:
        """Become what `dump` gave.

        Raises:
            LookupError, TypeError, ValueError: It is something else.
        """
        self._overlapping = deque(_Told(int(at), int(count), int(sent)) for at, count, sent in values["overlapping"])
        self._newest_sent, self.ends = int(values["newest_sent"]), int(values["ends"])
        self.began, self.since, self.told_at = (int(values[name]) for name in ("began", "since", "told_at"))
        self.highest = None if values["highest"] is None else int(values["highest"])
