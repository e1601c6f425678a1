"""Filters of lists, checked and in the API's words."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

from goedgepickt_async.errors import ConfigurationError

__all__ = ["DUTCH", "day"]

DUTCH = ZoneInfo("Europe/Amsterdam")


def day(moment: date | None) -> date | None:
    """The day that `createdAfter` takes; the API knows no time of day there (reference section 3, A).

    Raises:
        ConfigurationError: A datetime without a time zone, or no date at all.
    """
    if isinstance(moment, datetime):
        if moment.tzinfo is None:
            raise ConfigurationError("created_after must be a date, or a datetime with a time zone")
        return moment.astimezone(DUTCH).date()
    if moment is not None and not isinstance(moment, date):
        raise ConfigurationError(f"created_after must be a date, not {type(moment).__name__}")
    return moment
