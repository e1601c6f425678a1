"""When a bulk job gives up."""

from __future__ import annotations

from typing import Any

import attrs

from goedgepickt_async.errors import ConfigurationError

__all__ = ["StopAfter"]


def _check(_policy: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or value <= 0):
        raise ConfigurationError(f"{attribute.name} must be a number, more than 0")


@attrs.frozen(kw_only=True)
class StopAfter:
    """A bulk job stops when one of these is reached: what has begun is finished, nothing new is begun.

    Attributes:
        errors: So many items failed; 1 stops at the first.
        ratio: This part of the items failed, of those that are done; from 0 to 1.
        at_least: For `ratio`: not before so many items are done.
    """

    errors: int | None = attrs.field(default=None, validator=[_check])
    ratio: float | None = attrs.field(default=None, validator=[_check])
    at_least: int = attrs.field(default=20, validator=[_check])

    def is_reached(self, done: int, failed: int) -> bool:
        """Whether to give up."""
        if self.errors is not None and failed >= self.errors:
            return True
        return self.ratio is not None and done >= self.at_least and failed >= self.ratio * done
