"""Which fault is played on which request."""

from __future__ import annotations

from fnmatch import fnmatchcase

import attrs

from goedgepickt_async.sandbox.faults import ChangeWorld, Fault

__all__ = ["Script"]


@attrs.define
class _Entry:
    method: str
    pattern: str
    fault: Fault
    times: int | None
    after: int
    matched: int = 0
    played: int = 0

    def wants(self, method: str, path: str) -> bool:
        return self.method in {"*", method} and fnmatchcase(path, self.pattern)

    @property
    def due(self) -> bool:
        """Whether it is to be played on the request that was matched last."""
        return self.matched > self.after and (self.times is None or self.played < self.times)


class Script:
    """The faults to come, in the order in which they were asked for."""

    def __init__(self) -> None:
        self._entries: list[_Entry] = []

    def add(self, method: str, pattern: str, fault: Fault, times: int | None, after: int) -> None:
        """Write down a fault; see `Sandbox.fail`."""
        self._entries.append(_Entry(method.upper(), pattern, fault, times, after))

    def clear(self) -> None:
        """Forget all faults."""
        self._entries.clear()

    def take(self, method: str, path: str) -> tuple[list[ChangeWorld], Fault | None]:
        """Return the changes to make before this request, and the fault to play on it, if any.

        A request counts for every entry that matches it; of several faults that are due the first is played, changes
        of the world are all made.
        """
        changes: list[ChangeWorld] = []
        chosen: Fault | None = None
        for entry in self._entries:
            if not entry.wants(method, path):
                continue
            entry.matched += 1
            if not entry.due or (chosen is not None and not isinstance(entry.fault, ChangeWorld)):
                continue
            entry.played += 1
            if isinstance(entry.fault, ChangeWorld):
                changes.append(entry.fault)
            else:
                chosen = entry.fault
        return changes, chosen
