"""The options of `send` and `replay` for attempts."""

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
    """The options for attempts."""

    attempts: Annotated[int, Parameter(group=_SENDING)] = 10
    """The number of attempts (10, like the service)."""
    first_pause: Annotated[float, Parameter(group=_SENDING)] = 1.0
    """Seconds before the second attempt (1); each further pause is twice as long.

    The pauses of the service are unknown.
    """
    timeout: Annotated[float, Parameter(group=_SENDING)] = 10.0
    """The longest time of an attempt in seconds (10)."""
    debug: Annotated[bool, Parameter(group=_SENDING)] = False
    """Show the traceback of an error."""

    def check(self) -> None:
        """Refuse values that are not valid.

        Raises:
            UsageError: An option is refused; the message names it.
        """
        if not 1 <= self.attempts <= _MOST_ATTEMPTS:
            raise UsageError(f"--attempts must be a number from 1 to {_MOST_ATTEMPTS}")
        if not 0 <= self.first_pause <= _LONGEST or math.isnan(self.first_pause):
            raise UsageError(f"--first-pause must be a number of seconds, at most {_LONGEST}")
        if not 0 < self.timeout <= _LONGEST:
            raise UsageError(f"--timeout must be a number of seconds, more than 0 and at most {_LONGEST}")


def checked_url(url: str) -> str:
    """Check the URL of a receiver. A wrong URL is not shown, because it may contain credentials.

    Raises:
        UsageError: The text is not an http or https URL.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0 and url.isprintable()
    except ValueError:
        usable = False
    if not usable:
        raise UsageError("the URL must be an http or https URL, such as http://127.0.0.1:8642/hooks")
    return url
