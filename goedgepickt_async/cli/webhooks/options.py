"""What `send` and `replay` share: how stubbornly a delivery is tried."""

from __future__ import annotations

import dataclasses
import math
from typing import Annotated
from urllib.parse import urlsplit

from cyclopts import Group, Parameter

from goedgepickt_async.cli.errors import UsageError

__all__ = ["SendOptions", "checked_url"]

_SENDING = Group("Sending", sort_key=10)
_MOST_ATTEMPTS = 20
_LONGEST = 86_400


@Parameter(name="*")
@dataclasses.dataclass(frozen=True, kw_only=True)
class SendOptions:
    """How often, and how patiently."""

    attempts: Annotated[int, Parameter(group=_SENDING)] = 10
    """How often it is tried in all (10, as the service does)."""
    first_pause: Annotated[float, Parameter(group=_SENDING)] = 1.0
    """Seconds before the second attempt (1); each further pause is twice as long. The service's own are not known."""
    timeout: Annotated[float, Parameter(group=_SENDING)] = 10.0
    """Seconds that an attempt may take (10)."""
    debug: Annotated[bool, Parameter(group=_SENDING)] = False
    """Show the traceback of an error."""

    def check(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            UsageError: It says which option.
        """
        if not 1 <= self.attempts <= _MOST_ATTEMPTS:
            raise UsageError(f"--attempts is a number from 1 to {_MOST_ATTEMPTS}")
        if not 0 <= self.first_pause <= _LONGEST or math.isnan(self.first_pause):
            raise UsageError(f"--first-pause is a number of seconds, at most {_LONGEST}")
        if not 0 < self.timeout <= _LONGEST:
            raise UsageError(f"--timeout is a number of seconds, more than 0 and at most {_LONGEST}")


def checked_url(url: str) -> str:
    """A URL that can be delivered to. It is not shown when it is wrong: it may hold credentials.

    Raises:
        UsageError: It is none.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0 and url.isprintable()
    except ValueError:
        usable = False
    if not usable:
        raise UsageError("that is no URL to deliver to; one is http://127.0.0.1:8642/hooks")
    return url
