"""The TCP connections that requests come over: their numbers, and which are to be dropped at their next request."""

from __future__ import annotations

from asyncio import BaseTransport
from itertools import count
from typing import Any
from weakref import WeakKeyDictionary

__all__ = ["Connections"]


class Connections:
    """Numbers connections from 1, in the order of their first requests."""

    def __init__(self) -> None:
        self._numbers: WeakKeyDictionary[BaseTransport, int] = WeakKeyDictionary()
        self._next = count(1)
        self._doomed: dict[int, Any] = {}

    def number(self, transport: BaseTransport | None) -> int:
        """Return the number of a connection; 0 for one that is already gone."""
        if transport is None:
            return 0
        if transport not in self._numbers:
            self._numbers[transport] = next(self._next)
        return self._numbers[transport]

    def doom(self, number: int, fault: Any) -> None:
        """Have this fault played on the next request that comes over the connection."""
        self._doomed[number] = fault

    def take_doom(self, number: int) -> Any:
        """Return the fault that awaits this connection's request, once; None if none does."""
        return self._doomed.pop(number, None)
