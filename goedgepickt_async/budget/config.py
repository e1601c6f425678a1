"""The numbers of a budget, and its lanes. Internal times and durations are whole nanoseconds."""

from __future__ import annotations

import enum
from typing import Any

import attrs

from goedgepickt_async.errors import ConfigurationError
from goedgepickt_async.text import safe_repr

__all__ = ["FAR", "MARGIN", "SECOND", "Lane", "LimiterConfig", "limiter_config", "nanoseconds"]

SECOND = 1_000_000_000
"""A second in nanoseconds."""
FAR = 1 << 62
"""A time that is never reached."""
MARGIN = 3
"""The margin below the limit while there may be foreign traffic, for foreign requests that arrive at the same time."""


def nanoseconds(seconds: float) -> int:
    """Convert seconds to whole nanoseconds."""
    return round(seconds * SECOND)


class Lane(enum.IntEnum):
    """The priority of a request. Lanes are served in strict order, and the keys within a lane take turns."""

    INTERACTIVE = 0
    """A person or a web request waits for the call. It may use every slot."""
    NORMAL = 1
    """Lists after their first page. This lane leaves slots free for interactive calls."""
    BULK = 2
    """Long jobs. This lane leaves slots free for interactive calls."""


def _at_most_limit(config: LimiterConfig, _: object, value: int) -> None:
    if not 1 <= value <= config.limit:
        raise ValueError("share must be at least 1 and at most the limit")


@safe_repr
@attrs.frozen(kw_only=True)
class LimiterConfig:
    """The numbers of a budget; durations in seconds.

    Attributes:
        limit: The number of requests that the server allows in a window (150; reference section 2, confidence A).
        share: The number of them that this budget may use; by default all.
        window: The length of the server's window (60 s; confidence B).
        safety_margin: A time that is added to the window, for server clocks with whole seconds and for clock drift.
        late_arrival: The time after a client gave up in which the server may still count its request.
        headroom: The largest number of slots that the other lanes leave free for interactive calls; at most a fifth of
            the share.
        interactive_interval: The expected time between interactive calls. One slot is left free for each, until the
            next slots become free.
        use_server_counter: Whether to respect the server's counter as well.
        others: The number of requests in a window that known programs may send without this state; they are not foreign
            traffic.
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
        """The nanoseconds from a response until its slot is free again."""
        return nanoseconds(self.window) + nanoseconds(self.safety_margin)

    @property
    def headroom_kept(self) -> int:
        """The largest number of slots that are left free."""
        return min(self.headroom, self.share // 5)

    @property
    def margins(self) -> tuple[int, int]:
        """The margin below the limit, with foreign traffic or while it is unknown."""
        return min(MARGIN, self.limit // 10), self.limit // 15

    def part(self, number: int) -> int:
        """Return a part of the window in nanoseconds."""
        return nanoseconds(round(self.window / number, 6))

    def room_until(self, more_come: int, left: int) -> int:
        """The time from which `left` slots are enough for interactive calls until more become free, or FAR."""
        if left >= self.headroom_kept:
            return -FAR
        if left < 1 or more_come >= FAR:
            return FAR
        interval = nanoseconds(self.interactive_interval)
        return more_come - left * interval + interval // 2


def limiter_config(**numbers: Any) -> LimiterConfig:
    """Check the numbers of a budget; `share` may be None.

    Raises:
        ConfigurationError: A number is not valid.
    """
    if numbers["share"] is None:
        del numbers["share"]
    try:
        return LimiterConfig(**numbers)
    except (ValueError, TypeError) as error:
        reason = str(error.args[0] if error.args else error)
        raise ConfigurationError(f"the numbers of the budget are not valid: {reason}") from None
