"""The throttle of a sandbox as an option: `150/60`, or `off`."""

from __future__ import annotations

import math
import re

import attrs

from goedgepickt_async.cli.errors import UsageError

__all__ = ["Rate", "parse_rate"]

_RATE = re.compile(r"(\d+)/(\d+(?:\.\d+)?)")


@attrs.frozen
class Rate:
    """So many requests in so many seconds; a limit of None is no limit."""

    limit: int | None = 150
    period: float = 60.0


def parse_rate(text: str) -> Rate:
    """Read `150/60`, or `off`.

    Raises:
        UsageError: It is neither.
    """
    if text == "off":
        return Rate(None)
    match = _RATE.fullmatch(text)
    rate = Rate(int(match[1]), float(match[2])) if match else Rate(0)
    if not rate.limit or not 0 < rate.period < math.inf:
        raise UsageError(f"a rate is requests/seconds, such as 150/60, or off; not {text!r}")
    return rate
