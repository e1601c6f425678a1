"""What was read of a list lately: enough to tell old rows from new ones, in the same memory for any length."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import chain, islice
from typing import Any

__all__ = ["MEMORY", "SEAM", "Trail", "key_of"]

MEMORY = 1_000
"""Rows that a reader remembers."""

SEAM = 120
"""Rows that a resume token remembers: more than the largest page has."""

_CHANGING = {"status", "deliveredDate", "finishDate", "shippedDate"}
"""Fields of a row without any identifier that may change while it stays the same row."""


class Trail:
    """The keys of the rows read last, in order."""

    def __init__(self, seam: Iterable[str], *, whole: bool) -> None:
        self._keys = deque(seam, maxlen=MEMORY)
        self._known = set(self._keys)
        self.whole: bool = whole  # whether all rows read so far are in it

    def __contains__(self, key: str) -> bool:
        return key in self._known

    def __len__(self) -> int:
        return len(self._keys)

    def extend(self, keys: Iterable[str]) -> None:
        """Remember more, and forget the oldest."""
        more = list(keys)
        too_many = len(self._keys) + len(more) - MEMORY
        if too_many > 0:
            self._known.difference_update(islice(chain(self._keys, more), too_many))
            self.whole = False
        self._keys.extend(more)
        self._known.update(more[-MEMORY:])

    def unknown(self, keys: Sequence[str]) -> list[int]:
        """The indexes of the keys that were not read before; one that comes twice counts once."""
        seen: set[str] = set()
        fresh = []
        for index, key in enumerate(keys):
            if key not in self._known and key not in seen:
                seen.add(key)
                fresh.append(index)
        return fresh

    def after_joint(self, keys: Sequence[str]) -> list[int]:
        """The same, but only behind the last known key: for pages that begin before this trail does."""
        joint = next((index for index in reversed(range(len(keys))) if keys[index] in self._known), -1)
        return [index for index in self.unknown(keys) if index > joint]

    @property
    def seam(self) -> tuple[str, ...]:
        """The last of them, for a resume token."""
        return tuple(self._keys)[-SEAM:]


def key_of(row: Any, names: Sequence[str]) -> str:
    """What tells a row apart: a short digest of its identifier, or else of what does not change in it."""
    if isinstance(row, dict):
        for name in names:
            if isinstance(row.get(name), str) and row[name]:
                return _digest(f"{name}:{row[name]}")
        row = {name: value for name, value in row.items() if name not in _CHANGING}
    return _digest(json.dumps(row, sort_keys=True))


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=6).hexdigest()
