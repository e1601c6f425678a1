"""What a receiver has seen and done."""

from __future__ import annotations

from collections import Counter

import attrs

__all__ = ["ReceiverSnapshot", "Tally"]


@attrs.frozen(kw_only=True)
class ReceiverSnapshot:
    """What a receiver of this process has seen and done since it was made.

    Attributes:
        accepted: Deliveries answered with 200.
        unheard: Of those, the ones that no handler is for.
        duplicates: Of those, the ones that added nothing, because their equals wait already.
        refused: Deliveries answered with something else, by status.
        handled: Entries whose handler succeeded; one for each handler that a delivery is for.
        retried: Attempts that failed and are to be repeated.
        given_up: Entries whose handler failed for the last time.
        running: Handlers at work now.
    """

    accepted: int
    unheard: int
    duplicates: int
    refused: dict[int, int]
    handled: int
    retried: int
    given_up: int
    running: int


@attrs.define
class Tally:
    """The counters behind it."""

    accepted: int = 0
    unheard: int = 0
    duplicates: int = 0
    refused: Counter[int] = attrs.field(factory=Counter)
    handled: int = 0
    retried: int = 0
    given_up: int = 0
    running: int = 0

    def snapshot(self) -> ReceiverSnapshot:
        """As they are now."""
        values = attrs.asdict(self, recurse=False)
        return ReceiverSnapshot(**{**values, "refused": dict(self.refused)})
