"""What the server says about its limit, out of an answer's headers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import attrs

__all__ = ["RateHeaders", "parse_retry_after", "read_rate_headers"]


@attrs.frozen
class RateHeaders:
    """The server's counter, if the answer carries it (reference section 2: confidence A on a 429, B elsewhere)."""

    limit: int | None = None
    remaining: int | None = None

    def counter(self, limit: int) -> int | None:
        """How many requests the server has counted; None if it says nothing, or speaks of another limit than ours."""
        if self.limit != limit or self.remaining is None:
            return None
        # Laravel before 12.40 may say a negative number; a remaining above the limit would be nonsense.
        return limit - min(limit, max(0, self.remaining))


def read_rate_headers(headers: Mapping[str, str]) -> RateHeaders:
    """Read `X-RateLimit-Limit` and `-Remaining` from case-insensitive headers; rubbish counts as absent."""
    return RateHeaders(_whole(headers.get("X-RateLimit-Limit")), _whole(headers.get("X-RateLimit-Remaining")))


def parse_retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that `Retry-After` asks to wait, never negative; None if absent or rubbish.

    A date is taken relative to the server's own `Date`, so that our clock does not matter.
    """
    text = headers.get("Retry-After")
    if text is None:
        return None
    seconds = _whole(text)
    if seconds is not None:
        return float(max(0, seconds))
    until = _date(text)
    if until is None:
        return None
    now = _date(headers.get("Date")) or datetime.now(UTC)
    return max(0.0, (until - now).total_seconds())


def _whole(text: str | None) -> int | None:
    try:
        return int(text) if text is not None and len(text) < 20 else None
    except ValueError:
        return None


def _date(text: str | None) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text or "")
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
