"""The decision table: what is known of an attempt, and what is done next. Pure.

| evidence | reads, and writes that set | writes that must happen once |
|---|---|---|
| NOT_SENT, REJECTED | send again | send again |
| UNKNOWN, APPLIED | send again | never: the caller is told, or looks it up |
| FINAL | raise | raise |
"""

from __future__ import annotations

import attrs

from goedgepickt_async.errors import Evidence
from goedgepickt_async.wire.request import Safety

__all__ = ["RetryPolicy", "RetryQuota", "backoff", "may_send_again"]


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """How often and when a call is sent again; durations in seconds.

    Attributes:
        max_attempts: Attempts in all, refusals by the throttle aside; 1 switches retries off.
        base: The first pause's upper bound; it doubles with each attempt.
        cap: No pause is longer.
        max_refusals: 429s that one call endures; each was waited out by everybody.
        max_retry_after: A Retry-After above this is not waited out but raised.
        quota: Retries that an outage may cost a client at once; each success earns a tenth back.
    """

    max_attempts: int = attrs.field(default=4, validator=attrs.validators.ge(1))
    base: float = attrs.field(default=0.5, validator=attrs.validators.ge(0))
    cap: float = attrs.field(default=20.0, validator=attrs.validators.ge(0))
    max_refusals: int = attrs.field(default=10, validator=attrs.validators.ge(0))
    max_retry_after: float = attrs.field(default=120.0, validator=attrs.validators.ge(0))
    quota: int = attrs.field(default=50, validator=attrs.validators.ge(0))


def may_send_again(evidence: Evidence, safety: Safety) -> bool:
    """Whether the table above says to send again."""
    match evidence:
        case Evidence.NOT_SENT | Evidence.REJECTED:
            return True
        case Evidence.UNKNOWN | Evidence.APPLIED:
            return safety is not Safety.ONCE
        case Evidence.FINAL:
            return False


def backoff(policy: RetryPolicy, failures: int, chance: float) -> float:
    """Seconds to pause after the n-th failure (from 1): full jitter, `chance` is drawn from [0, 1)."""
    ceiling = policy.base * 2 ** min(failures - 1, 30)
    return float(chance * min(policy.cap, ceiling))


class RetryQuota:
    """A store of retries that all calls of a client share, so that an outage is not multiplied."""

    _EARNED = 0.1

    def __init__(self, size: int) -> None:
        self._size = size
        self._left = float(size)

    def spend(self) -> bool:
        """Take one; False if none is left."""
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def earn(self) -> None:
        """A call succeeded."""
        self._left = min(self._size, self._left + self._EARNED)
