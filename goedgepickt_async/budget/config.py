"""The numbers that a budget goes by, and its lanes. Instants and durations inside are whole nanoseconds."""

from __future__ import annotations

import enum

import attrs

from goedgepickt_async.text import safe_repr

__all__ = ["FAR", "MARGIN", "Lane", "LimiterConfig", "nanoseconds"]

FAR = 1 << 62
"""An instant that never comes."""
MARGIN = 3
"""Kept between the server's counter and the limit while there may be foreign traffic, for what crosses ours."""


def nanoseconds(seconds: float) -> int:
    """Seconds as whole nanoseconds."""
    return round(seconds * 1_000_000_000)


class Lane(enum.IntEnum):
    """Which requests go first when slots are scarce: strict order between lanes, fair between keys inside one."""

    INTERACTIVE = 0
    """A person or a web request waits for it; may use every slot."""
    NORMAL = 1
    """Lists past their first page; leaves room for the interactive calls until the next slots come free."""
    BULK = 2
    """Long jobs; leaves that room too."""


def _at_most_limit(config: LimiterConfig, _: object, value: int) -> None:
    if not 1 <= value <= config.limit:
        raise ValueError("share must be at least 1 and at most the limit")


@safe_repr
@attrs.frozen(kw_only=True)
class LimiterConfig:
    """The numbers of one budget; durations in seconds.

    Attributes:
        limit: Requests that the server allows in a window (150; reference section 2, confidence A).
        share: How many of them this budget may use; by default all.
        window: The server's window (60 s; confidence B).
        safety_margin: Added to the window, for stores that keep whole seconds and for clock drift.
        late_arrival: How long after a client gave up the server may still count its request.
        headroom: Slots that lanes other than the interactive one leave free at most, and a fifth of the share at most.
        interactive_interval: The expected time between interactive calls: until the next slots come free, one slot is
            left for each.
        use_server_counter: Obey the server's counter as well.
        others: Requests in a window that known sharers may send outside of this state; they are no foreign traffic.
    """

    limit: int = attrs.field(default=150, validator=attrs.validators.ge(1))
    share: int = attrs.field(default=attrs.Factory(lambda self: self.limit, takes_self=True), validator=_at_most_limit)
    window: float = attrs.field(default=60.0, validator=attrs.validators.gt(0))
    safety_margin: float = 1.0
    late_arrival: float = attrs.field(default=30.0, validator=attrs.validators.ge(0))
    headroom: int = attrs.field(default=30, validator=attrs.validators.ge(0))
    interactive_interval: float = attrs.field(default=1.0, validator=attrs.validators.gt(0))
    use_server_counter: bool = True
    others: int = attrs.field(default=0, validator=attrs.validators.ge(0))

    @property
    def cooldown(self) -> int:
        """Nanoseconds for which a slot cools after its answer."""
        return nanoseconds(self.window) + nanoseconds(self.safety_margin)

    @property
    def headroom_kept(self) -> int:
        """Slots that are left free at most."""
        return min(self.headroom, self.share // 5)

    @property
    def margins(self) -> tuple[int, int]:
        """Kept between the server's counter and the limit: with foreign traffic, and while that is not known."""
        return min(MARGIN, self.limit // 10), self.limit // 15

    def part(self, number: int) -> int:
        """So many parts of the window make it whole; in nanoseconds."""
        return nanoseconds(round(self.window / number, 6))

    def room_until(self, more_come: int, left: int) -> int:
        """From when on `left` slots are room enough for the interactive calls until more come free; FAR: never."""
        if left >= self.headroom_kept:
            return -FAR
        if left < 1 or more_come >= FAR:
            return FAR
        interval = nanoseconds(self.interactive_interval)
        return more_come - left * interval + interval // 2
