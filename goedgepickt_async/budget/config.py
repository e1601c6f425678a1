"""The numbers of a budget, its lanes and the calls that wait in them. Internal times and durations are whole nanoseconds."""

from __future__ import annotations

import enum
import os
from pathlib import Path
from typing import Any, NamedTuple

import attrs

from goedgepickt_async.errors import ConfigurationError
from goedgepickt_async.text import safe_repr

__all__ = [
    "FAR",
    "MARGIN",
    "SECOND",
    "Demand",
    "Lane",
    "LimiterConfig",
    "check_numbers",
    "check_place",
    "limiter_config",
    "nanoseconds",
]

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


class Demand(NamedTuple):
    """The waiting calls of one process, in each lane.

    Attributes:
        seen: The time of its last write.
        host: The number of its host.
        calls: The number of waiting calls, by lane.
        keys: The number of keys of these calls, by lane.
        tags: The turn of the first of these calls, by lane.
    """

    seen: int
    host: int
    calls: tuple[int, int, int] = (0, 0, 0)
    keys: tuple[int, int, int] = (0, 0, 0)
    tags: tuple[int, int, int] = (0, 0, 0)

    def before(self, lane: Lane, tag: int, *, wins_ties: bool) -> int:
        """The number of these calls that are served before a call with this lane and turn."""
        count = sum(self.calls[:lane])
        if self.calls[lane]:
            rounds = tag - self.tags[lane] + wins_ties
            count += min(self.calls[lane], max(0, rounds) * max(1, self.keys[lane]))
        return count


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

    limit: int = 150
    share: int = attrs.field(default=attrs.Factory(lambda self: self.limit, takes_self=True))
    window: float = 60.0
    safety_margin: float = 1.0
    late_arrival: float = 30.0
    headroom: int = 30
    interactive_interval: float = 1.0
    use_server_counter: bool = True
    others: int = 0

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


_NUMBERS: dict[str, tuple[type, float, bool, float]] = {
    "limit": (int, 1, True, 1e9),
    "share": (int, 1, True, 1e9),
    "headroom": (int, 0, True, 1e6),
    "period": (float, 0, False, 1e6),
    "safety_margin": (float, 0, True, 1e6),
    "late_arrival": (float, 0, True, 1e6),
    "interactive_interval": (float, 0, False, 1e6),
    "fallback": (float, 0, False, 1),
    "retry_every": (float, 0, False, 1e6),
    "patience": (float, 0, False, 1e6),
}
"""What the numbers of a budget may be: the type, the smallest, whether it is included, and the largest."""


def check_numbers(**numbers: Any) -> None:
    """Check numbers that a user gives to a budget.

    Raises:
        ConfigurationError: A number is not valid.
    """
    for name, value in numbers.items():
        kind, least, included, most = _NUMBERS[name]
        is_number = isinstance(value, (int, kind)) and not isinstance(value, bool)
        if is_number and (value > least or (included and value == least)) and value <= most:
            continue
        noun = "a whole number" if kind is int else "a number"
        bound = f"of at least {least:g}" if included else f"of more than {least:g}"
        found = f"{value:g}" if is_number else type(value).__name__  # not a text: a URL may hold a password
        hint = "; every argument after limit and period needs its name" if isinstance(value, str) else ""
        raise ConfigurationError(f"{name} must be {noun} {bound} and at most {most:,.0f}, not {found}{hint}")


def limiter_config(
    *, limit: int, period: float, share: int | None, use_server_counter: bool, **numbers: Any
) -> LimiterConfig:
    """Check the numbers of a budget, which `LimiterConfig` describes; without a share, it is the limit.

    Raises:
        ConfigurationError: A number is not valid.
    """
    share = limit if share is None else share
    check_numbers(limit=limit, period=period, share=share, **numbers)
    if share > limit:
        raise ConfigurationError(f"share must be at most the limit of {limit}, not {share}")
    if not isinstance(use_server_counter, bool):
        raise ConfigurationError(f"use_server_counter must be True or False, not {type(use_server_counter).__name__}")
    return LimiterConfig(limit=limit, window=period, share=share, use_server_counter=use_server_counter, **numbers)


def check_place(name: str, directory: Path | str | None) -> None:
    """Check the name of a budget, and the directory of its file.

    Raises:
        ConfigurationError: One of them is not valid.
    """
    if not isinstance(name, str) or not name:
        raise ConfigurationError("name must be text that is not empty")
    if directory is not None and not (isinstance(directory, (str, os.PathLike)) and Path(directory).is_absolute()):
        raise ConfigurationError("directory must be an absolute path, so that all programs share the same file")
