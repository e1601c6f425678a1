"""What became of a delivery, to assert on."""

from __future__ import annotations

import enum
import json
from typing import Any

import attrs

__all__ = ["Attempt", "Delivery", "DeliveryState"]


class DeliveryState(enum.StrEnum):
    """Where a delivery stands."""

    HELD = "held"
    """Kept back by `Deliveries.hold`."""
    UNDER_WAY = "under_way"
    """It waits for its first attempt or its next one."""
    DELIVERED = "delivered"
    """It was answered with exactly 200."""
    FAILED = "failed"
    """All its attempts failed; its subscription is disabled."""
    DROPPED = "dropped"
    """Its subscription was disabled, or the sandbox closed, before it got there."""
    REFUSED = "refused"
    """Never tried: it was for another machine, and a sandbox calls nobody but this one."""


@attrs.frozen(kw_only=True)
class Attempt:
    """One attempt to deliver.

    Attributes:
        at: When it began, in Unix seconds.
        seconds: How long it took.
        status: The HTTP status that was answered; None if there was no whole answer.
        problem: Why there was none, in a word; None if there was.
    """

    at: float
    seconds: float
    status: int | None = None
    problem: str | None = None

    @property
    def succeeded(self) -> bool:
        """Whether it was answered with exactly 200; any other status is a failure (reference section 6, A)."""
        return self.status == 200


@attrs.define(kw_only=True, eq=False)
class Delivery:
    """One event on its way to one subscription.

    Attributes:
        webhook_uuid: Which subscription it is of.
        target_url: Where it goes.
        event: The payload's `event`.
        body: The bytes that are sent, each time the same ones.
        signature: The header `Signature`.
        state: Where it stands.
        attempts: What was tried, in order.
    """

    webhook_uuid: str
    target_url: str
    event: str
    body: bytes
    signature: str
    state: DeliveryState = DeliveryState.UNDER_WAY
    attempts: list[Attempt] = attrs.field(factory=list)

    @property
    def payload(self) -> dict[str, Any]:
        """What the body says."""
        said: dict[str, Any] = json.loads(self.body)
        return said
