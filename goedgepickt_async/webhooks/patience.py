"""How often a handler that fails is tried, and how long after. Pure."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import attrs

from goedgepickt_async.errors import BudgetExhaustedError, ConfigurationError

__all__ = ["HandlerRetry"]


def _at_least(least: float) -> Callable[[object, attrs.Attribute[Any], Any], None]:
    def check(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value < math.inf:
            raise ConfigurationError(f"{attribute.name} must be a number, at least {least:g}, not {value!r}")

    return check


@attrs.frozen(kw_only=True)
class HandlerRetry:
    """When a handler that failed is tried again: after a pause that doubles, a random half of it taken off.

    Attributes:
        attempts: How often it is tried in all. With ten, and the pauses below, the last one is some ten minutes later.
        base: Seconds of the first pause.
        cap: Seconds of the longest.
    """

    attempts: int = attrs.field(default=10, validator=_at_least(1))
    base: float = attrs.field(default=1.0, validator=_at_least(0))
    cap: float = attrs.field(default=300.0, validator=_at_least(0))

    def pause(self, attempt: int, draw: Callable[[], float] = random.random) -> float:
        """Seconds to wait after the attempt of this number failed."""
        longest = min(self.cap, self.base * 2.0 ** min(attempt - 1, 64))
        return longest * (0.5 + draw() / 2)

    def wait_asked_for(self, error: Exception) -> float | None:
        """Seconds that an error says itself to wait: the rate limit is used up, which is nobody's failure."""
        return max(error.wait, 0.1) if isinstance(error, BudgetExhaustedError) else None
