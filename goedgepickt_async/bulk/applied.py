"""What became of one planned write."""

from __future__ import annotations

import enum

import attrs

__all__ = ["Applied", "How"]


class How(enum.StrEnum):
    """How a planned write came to be done."""

    SENT = "sent"
    """It was sent, and the server said success."""
    FOUND = "found"
    """It had been sent before, or somebody else did it: looking it up found it done."""
    JOURNAL = "journal"
    """The journal says that it was done; nothing was sent."""
    DRY_RUN = "dry_run"
    """Nothing was sent, as was asked for."""


@attrs.frozen(kw_only=True)
class Applied:
    """A planned write that is done.

    Attributes:
        how: How that came to be.
        uuid: Of what was made or changed, where the API told it.
    """

    how: How
    uuid: str | None = None
