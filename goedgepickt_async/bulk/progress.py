"""How far a bulk job is."""

from __future__ import annotations

import attrs

__all__ = ["Progress", "eta"]


@attrs.frozen(kw_only=True)
class Progress:
    """How far a bulk job is, at one moment.

    Attributes:
        done: Items that have an outcome, whether it has been looked at or not.
        total: Items in all; None while nobody can tell.
        failed: Of those that are done, the ones with an error.
        requests: Requests that went out on the wire for it.
        eta: Seconds until the end at the pace that the budget allows; None while nobody can tell.
    """

    done: int
    total: int | None
    failed: int
    requests: int
    eta: float | None


def eta(*, left: int, done: int, requests: int, elapsed: float, rate: float) -> float | None:
    """Seconds that the items that are left will take.

    Args:
        left: How many items are left.
        done: How many are done.
        requests: How many requests those took.
        elapsed: How many seconds they took.
        rate: Requests a second that the budget allows in the long run.
    """
    if left <= 0:
        return 0.0
    if not done:
        return None
    # The first requests go in a burst, so the time that they took says nothing; a job without requests has only that.
    return left * (requests / done / rate if requests else elapsed / done)
