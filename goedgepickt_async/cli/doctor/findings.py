"""What the doctor found out."""

from __future__ import annotations

import attrs

__all__ = ["Budget", "Clock", "Findings", "Probe", "Shop"]


@attrs.frozen(kw_only=True)
class Shop:
    """A webshop that the key covers."""

    uuid: str
    name: str | None


@attrs.frozen(kw_only=True)
class Clock:
    """The server's clock against ours.

    Attributes:
        ahead: Seconds that the server's is ahead of ours; negative if behind.
        uncertainty: Seconds by which that may be wrong: the header has whole seconds.
    """

    ahead: float
    uncertainty: float


@attrs.frozen(kw_only=True)
class Budget:
    """Requests that may be made.

    Attributes:
        limit: In a period, by our own count.
        period: In seconds.
        used: On the wire, or not long ago, by any process that shares the budget.
        free: That may go now.
        next_free_in: Seconds until the next one may go; None if only an answer can tell.
        foreign_traffic: Whether the server counts requests of other clients on this IP.
        server_limit: What the server says; None if it says nothing.
        server_remaining: Likewise.
    """

    limit: int
    period: float
    used: int
    free: int
    next_free_in: float | None
    foreign_traffic: bool
    server_limit: int | None = None
    server_remaining: int | None = None


@attrs.frozen(kw_only=True)
class Probe:
    """One API, asked once.

    Attributes:
        api: `account`, `fulfilment`, or None for an address that is neither's.
        base_url: Its address.
        accepted: Whether it takes the key.
        error: Why not, in one line.
        refused: Whether it was the key that it did not take.
        webshops: Those that the key covers, the first hundred.
        webshops_in_all: How many the server says there are.
        round_trip: Seconds from question to answer, the connection's set-up included.
        clock: None if the answer had no date.
        budget: Requests that may be made there.
    """

    api: str | None
    base_url: str
    accepted: bool
    error: str | None = None
    refused: bool = False
    webshops: tuple[Shop, ...] = ()
    webshops_in_all: int | None = None
    round_trip: float | None = None
    clock: Clock | None = None
    budget: Budget | None = None


@attrs.frozen(kw_only=True)
class Findings:
    """All of it.

    Attributes:
        versions: By what.
        key: `present` or `missing`.
        configured: The API that is set; None without a key.
        other: The other one, if the key was refused.
    """

    versions: dict[str, str]
    key: str
    configured: Probe | None = None
    other: Probe | None = None
