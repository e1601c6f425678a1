"""How far the rows of a growing list are known, by the Dutch day on which they were created.

The API's `createdAfter` knows days only, and rows may come in a little late; so the next reading begins a day before the
newest row, and what was seen of those days is left out by its key.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import attrs

from goedgepickt_async.convert import to_plain

__all__ = ["Reach", "created_day", "row_key"]

_DUTCH = ZoneInfo("Europe/Amsterdam")
_OVERLAP = timedelta(days=1)
_UNDATED = ""
_KEYS = ("uuid", "track_trace_code", "external_id")
"""What tells rows apart; a shipment's uuid was seen once only (reference section 4.6, B)."""


@attrs.frozen
class Reach:
    """Which rows were seen.

    Attributes:
        since: From which day on the next reading reads; None: all.
        newest: The newest day that a row was created on, or the day of the reading if that was earlier.
        seen: Keys of the rows from `since` on, by the day they were created on; those without a day below "".
    """

    since: date | None = None
    newest: date | None = None
    seen: Mapping[str, frozenset[str]] = attrs.field(factory=dict)

    def __contains__(self, row: Any) -> bool:
        key = row_key(row)
        return any(key in keys for keys in self.seen.values())

    def plus(self, rows: Any, today: date) -> Reach:
        """This one and more rows, without what the next reading cannot meet again.

        Args:
            rows: Models.
            today: In the Netherlands. Rows of the future don't move the beginning of the next reading past it.
        """
        more: dict[str, set[str]] = {}
        newest = self.newest
        for row in rows:
            day = created_day(row)
            more.setdefault(_UNDATED if day is None else day.isoformat(), set()).add(row_key(row))
            if day is not None:
                newest = max(newest or date.min, min(day, today))
        since = self.since if newest is None else max(self.since or date.min, newest - _OVERLAP)
        seen = {name: self.seen.get(name, frozenset()) | keys for name, keys in more.items()}
        kept = {name: keys for name, keys in {**self.seen, **seen}.items() if _may_come_again(name, since)}
        return Reach(since, newest, kept)

    def dump(self) -> dict[str, Any]:
        """As JSON takes it."""
        return {
            "since": None if self.since is None else self.since.isoformat(),
            "newest": None if self.newest is None else self.newest.isoformat(),
            "seen": {day: sorted(keys) for day, keys in sorted(self.seen.items())},
        }

    @classmethod
    def load(cls, values: Any) -> Reach:
        """What `dump` gave.

        Raises:
            ValueError: It is something else; or KeyError, TypeError, AttributeError.
        """
        days = {str(day): frozenset(map(str, keys)) for day, keys in values["seen"].items()}
        for day in days:
            _ = day == _UNDATED or date.fromisoformat(day)
        return cls(_day(values["since"]), _day(values["newest"]), days)


def created_day(row: Any) -> date | None:
    """The Dutch day that a row was created on, if it says."""
    moment = row.created_at
    return moment.astimezone(_DUTCH).date() if isinstance(moment, datetime) else None


def row_key(row: Any) -> str:
    """A short digest of what tells a row apart from others; without anything like that, of all that stays as it is."""
    for name in _KEYS:
        value = getattr(row, name, None)
        if value:
            return _digest(f"{name}:{value}")
    plain = {name: value for name, value in to_plain(row).items() if name not in {"status", "delivered_at"}}
    return _digest(json.dumps(plain, sort_keys=True))


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).hexdigest()


def _may_come_again(name: str, since: date | None) -> bool:
    return name == _UNDATED or since is None or date.fromisoformat(name) >= since


def _day(text: Any) -> date | None:
    return None if text is None else date.fromisoformat(text)
