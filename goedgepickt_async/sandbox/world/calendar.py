"""When generated things happened: instants computed from a row's number, and the forms GoedGepickt writes them in."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

__all__ = ["AMSTERDAM", "SPAN_DAYS", "Calendar", "day_start", "parse_moment", "write_moment"]

AMSTERDAM: Final = ZoneInfo("Europe/Amsterdam")
SPAN_DAYS: Final = 365
"""Generated rows are spread over this many days before today."""


def day_start(day: date) -> int:
    """Return the Unix second at which the day begins in the Netherlands."""
    return int(datetime.combine(day, time(), AMSTERDAM).timestamp())


def parse_moment(text: str) -> int:
    """Return the Unix second of a date-time text; without an offset it is Dutch local time.

    Raises:
        ValueError: It is no ISO date or date-time.
    """
    moment = datetime.fromisoformat(text)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=AMSTERDAM)).timestamp())


def write_moment(second: int, style: int = 0) -> str:
    """Write an instant as GoedGepickt may: 0 with a space, 1 with a T, both Dutch and naive; 2 in UTC with a Z."""
    if style == 2:
        return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S.000000Z")
    local = datetime.fromtimestamp(second, AMSTERDAM).replace(tzinfo=None)
    return local.isoformat(sep=" T"[style])


class Calendar:
    """Spreads `count` rows evenly over the days before noon of `today`, in order."""

    def __init__(self, today: date, count: int) -> None:
        """Take the world's present day and the number of rows."""
        end = day_start(today) + 12 * 3600
        self._start = int((datetime.fromtimestamp(end, UTC) - timedelta(days=SPAN_DAYS)).timestamp())
        self._step = (end - self._start) / max(1, count)

    def moment(self, index: int) -> int:
        """Return the Unix second of row `index`; it grows strictly with the index up to millions of rows."""
        # A third of a step of wobble, so that the rows look natural and still never change places.
        wobble = (index * 7919 % 97) / 97 / 3
        return self._start + int((index + wobble) * self._step)
