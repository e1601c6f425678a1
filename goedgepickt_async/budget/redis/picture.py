"""What Redis last said about the slots, and what can be told from it without asking again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from goedgepickt_async.budget.slots import FAR, Lane, LimiterConfig

__all__ = ["Picture", "blank_picture", "read_picture"]

_MICROSECOND = 1_000
_UNSAID = -(1 << 53)


@attrs.frozen(kw_only=True)
class Picture:
    """The slots as they were at one answer of Redis; instants in nanoseconds of this process's clock.

    Attributes:
        seen_at: When the answer came.
        era: The name of the state in Redis; another one means that Redis forgot.
        granted: How many of the slots that were asked for are ours.
        free: Requests that may go.
        used: Slots in use, of everybody.
        in_flight: Requests of everybody that are taken and not settled.
        next_change: When time alone may let somebody go; FAR if only an answer can.
        paused_until: The end of a pause; not after `seen_at` if there is none.
        strangers: Whether the server counts requests that are not ours.
        throttled: 429s so far, of everybody.
        by_answer: Whether an answer, not time, is what most likely lets the next one go.
        highest: The server's counter, at most; None if it is not known.
        margin: What is kept between the counter and the limit, while strangers may be about.
        counter_ends: When the window that the counter is of is over; FAR if it is not known.
        young_until: When that window has run for long enough to show strangers; FAR if it is known whether there are.
        cooling: When each row comes free, in order; only where somebody has to wait.
    """

    seen_at: int
    era: str = ""
    granted: int = 0
    free: int
    used: int = 0
    in_flight: int = 0
    next_change: int = FAR
    paused_until: int = 0
    strangers: bool = False
    throttled: int = 0
    by_answer: bool = False
    highest: int | None = None
    margin: int = 0
    counter_ends: int = FAR
    young_until: int = FAR
    cooling: tuple[int, ...] = ()

    def predicted_wait(self, now: int, ahead: int, lane: Lane, config: LimiterConfig) -> int:
        """Nanoseconds until somebody with `ahead` others before them would get a slot; as `Slots.predicted_wait`."""
        lacking = ahead + 1 - (config.limit - self.used)
        instant = max(now, self.paused_until, self._freed(now, lacking, config))
        if lane is not Lane.INTERACTIVE and config.headroom_kept:
            left = max(1, -lacking)
            instant = max(instant, self._freed(now, lacking + 1, config))
            instant = max(instant, config.room_until(self._freed(now, lacking + left + 1, config), left))
        return max(instant, self._opens_there(now, ahead, config)) - now

    def _opens_there(self, now: int, ahead: int, config: LimiterConfig) -> int:
        highest = self.highest
        if highest is None or self.counter_ends == FAR or highest + self.margin + ahead < config.limit:
            return now
        return self.young_until if self.young_until < FAR and highest + ahead < config.limit else self.counter_ends

    def _freed(self, now: int, number: int, config: LimiterConfig) -> int:
        if number <= 0:
            return now
        rounds, nth = divmod(number - 1, config.limit)
        free_at = self.cooling[nth] if nth < len(self.cooling) else FAR
        return min(free_at, now + config.cooldown) + rounds * config.cooldown


def blank_picture(limit: int) -> Picture:
    """What is supposed before Redis has said anything."""
    return Picture(seen_at=-FAR, free=limit)


def read_picture(reply: Sequence[Any], now: int) -> Picture:
    """Read the script's answer, which speaks in microseconds from its own now."""
    era, granted, free, used, in_flight, change, paused, strangers, throttled, by_answer, *counter, cooling = reply
    highest, margin, ends, young = counter
    return Picture(
        seen_at=now,
        era=era.decode() if isinstance(era, bytes) else era,
        granted=granted,
        free=free,
        used=used,
        in_flight=in_flight,
        next_change=FAR if change < 0 else now + change * _MICROSECOND,
        paused_until=now + paused * _MICROSECOND,
        strangers=bool(strangers),
        throttled=throttled,
        by_answer=bool(by_answer),
        highest=None if highest < 0 else highest,
        margin=margin,
        counter_ends=FAR if ends < 0 else now + ends * _MICROSECOND,
        young_until=FAR if young == _UNSAID else now + young * _MICROSECOND,
        cooling=tuple(now + wait * _MICROSECOND for wait in cooling),
    )
