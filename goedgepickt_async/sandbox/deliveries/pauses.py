"""When a delivery is tried again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

__all__ = ["ATTEMPTS", "FIRST_PAUSE", "pauses"]

ATTEMPTS: Final = 10
"""How often a delivery is tried in all (reference section 6, A)."""

FIRST_PAUSE: Final = 1.0
"""Seconds before the second attempt. The service's pauses grow (A); how long they are is not known."""


def pauses(attempts: int = ATTEMPTS, first: float = FIRST_PAUSE) -> Iterator[float]:
    """The seconds to wait before each attempt: none before the first one, then twice as long each time.

    Args:
        attempts: How many there are in all.
        first: Seconds before the second one.
    """
    for number in range(attempts):
        yield first * 2.0 ** (number - 1) if number else 0.0
