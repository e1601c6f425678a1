"""What a budget tells those who listen: that somebody waits, that everybody pauses, that strangers are about."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import attrs

from goedgepickt_async.budget.slots import Lane
from goedgepickt_async.logs import tell

__all__ = ["BudgetEvent", "Listeners", "PauseSeen", "StrangersSeen", "WaitSeen"]


@attrs.frozen(kw_only=True)
class WaitSeen:
    """A call queues for the rate limit.

    Attributes:
        lane: The lane it queues in.
        seconds: How long that will probably take.
        queued: How many queue with it.
    """

    lane: Lane
    seconds: float
    queued: int


@attrs.frozen(kw_only=True)
class PauseSeen:
    """The server's throttle refused a request in spite of the budget: everybody pauses.

    Attributes:
        seconds: For how long.
        throttled: How many such refusals there were so far.
    """

    seconds: float
    throttled: int


@attrs.frozen(kw_only=True)
class StrangersSeen:
    """The server counts requests from this IP that are not this budget's.

    Attributes:
        counted: How many requests the server has counted in its window.
        ours: How many of them can be this budget's, at most.
    """

    counted: int
    ours: int


BudgetEvent = WaitSeen | PauseSeen | StrangersSeen


class Listeners:
    """Bound methods that hear of events, for as long as their objects live."""

    def __init__(self) -> None:
        self._methods: list[weakref.WeakMethod[Callable[[BudgetEvent], Any]]] = []

    def add(self, method: Callable[[BudgetEvent], Any]) -> None:
        """Tell this bound method of events from now on, once each; it must be quick and raise nothing."""
        alive = [(known, heard) for known in self._methods if (heard := known()) is not None]
        self._methods = [known for known, _ in alive]
        if any(getattr(heard, "__self__", None) is getattr(method, "__self__", self) for _, heard in alive):
            return  # clients that share hooks and a budget
        self._methods.append(weakref.WeakMethod(method))

    def tell(self, event: BudgetEvent) -> None:
        """Tell them all, and the log."""
        match event:
            case PauseSeen(seconds=seconds, throttled=throttled):
                tell("budget.paused", seconds=seconds, throttled=throttled)
            case StrangersSeen(counted=counted, ours=ours):
                tell("budget.strangers", counted=counted, ours=ours)
            case WaitSeen():
                pass  # far too many: the budget tells the log of the long ones
        for known in list(self._methods):
            method = known()
            if method is not None:
                method(event)
