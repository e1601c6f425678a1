"""What Redis is still to be told: outcomes and pauses, in their order, until a trip has carried them."""

from __future__ import annotations

import time

import attrs

from goedgepickt_async.budget.protocol import Answered, Lost, Outcome, Refused
from goedgepickt_async.budget.redis.store import Operation, microseconds
from goedgepickt_async.budget.slots import LimiterConfig, nanoseconds

__all__ = ["Outbox", "Post", "outcome_operation", "pause_operation"]

_LONGEST_PAUSE = 5
"""In windows: a longer Retry-After is not the throttle's; after this pause one request alone asks again."""
_POINTLESS_AFTER = 3
"""In times that a slot cools at most: what Redis was not told by then is about a row that is free anyhow."""


@attrs.frozen
class Post:
    """One operation, and when it has become pointless."""

    operation: Operation
    until: int


class Outbox:
    """Not thread-safe.

    Args:
        config: The numbers of the budget.
    """

    def __init__(self, config: LimiterConfig) -> None:
        self._keep_for = _POINTLESS_AFTER * (config.cooldown + nanoseconds(config.late_arrival))
        self._posts: list[Post] = []

    def put(self, operation: Operation) -> None:
        """Have it told."""
        self._posts.append(Post(operation, time.monotonic_ns() + self._keep_for))

    def any_left(self) -> bool:
        """Whether there is anything to tell that is not pointless."""
        now = time.monotonic_ns()
        self._posts = [post for post in self._posts if post.until > now]
        return bool(self._posts)

    def take_out(self) -> list[Post]:
        """All of it, to be carried."""
        posts, self._posts = self._posts, []
        return posts

    def put_back(self, posts: list[Post]) -> None:
        """What perhaps did not arrive, before whatever came since."""
        self._posts = [*posts, *self._posts]


def outcome_operation(
    config: LimiterConfig, member: str, outcome: Outcome, *, in_redis: bool, perhaps: bool, away: bool
) -> Operation | None:
    """What to tell of an outcome; None if Redis will be told of the row as it stands, or never heard of it.

    Args:
        config: The numbers of the budget.
        member: The row.
        outcome: What came of it.
        in_redis: Whether Redis has the row.
        perhaps: Whether a Redis that lost sight of us may have it.
        away: Whether Redis is away: a pause is then the share's, and told when Redis is back.
    """
    match outcome:
        case Answered(count):
            return Operation("answered", member, -1 if count is None else count) if in_redis else None
        case Lost():
            return Operation("lost", member) if in_redis else None
        case Refused(retry_after) if not away:
            return attrs.evolve(pause_operation(config, retry_after), name="refused", member=member)
        case _:
            return Operation("back", member) if in_redis or perhaps else None


def pause_operation(config: LimiterConfig, retry_after: float | None) -> Operation:
    """The pause after a 429: what the server asks and a second more, since it rounds down."""
    asked = config.window if retry_after is None else retry_after
    seconds = min(asked, _LONGEST_PAUSE * config.window) + config.safety_margin
    return Operation("throttled", a=microseconds(nanoseconds(seconds)))
