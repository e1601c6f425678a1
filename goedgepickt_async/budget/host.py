"""HostBudget: the slots live in a file of the user's own, for all processes on this host, and for the next start.

The file is a SQLite database of one row: the same pure core as everywhere, read, changed and written back in one
transaction, a few tenths of a millisecond. The time is the system's monotonic clock, which all processes of a host
share and no clock step moves; after a reboot it starts anew, and so do the slots, with one request alone.

Containers that do not share the file do not share the budget: that is what `RedisBudget` is for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

from goedgepickt_async.budget.host_file import HostFile, UnusableFileError
from goedgepickt_async.budget.local import LocalStore
from goedgepickt_async.budget.queue import QueuedBudget
from goedgepickt_async.budget.slots import LimiterConfig, Slots
from goedgepickt_async.errors import ConfigurationError
from goedgepickt_async.logs import log_event

__all__ = ["HostBudget"]

_SECOND = 1_000_000_000
_TRY_AGAIN = 5 * _SECOND
"""After so long a file that could not be used is tried again."""
_POLL_ANSWERS = _SECOND // 20
"""While requests are in flight, in whichever process: one of them may be answered at any moment."""
_POLL = _SECOND
_FALLBACK_IDS = 1 << 48
"""Slots of the fallback are numbered from here, so that nobody takes them for the file's."""


class HostStore:
    """Slots in a file; in this process's memory, and fewer, while the file cannot be used."""

    def __init__(self, config: LimiterConfig, file: HostFile, fallback: float, clock: Callable[[], int]) -> None:
        self._rules = config
        self._file = file
        self._clock = clock
        self._reduced = attrs.evolve(config, limit=max(1, int(config.limit * fallback)))
        self._fallback: LocalStore | None = None
        self._last: Slots | None = None  # as the file had them when it could last be used
        self._try_again_at = 0

    @contextmanager
    def open(self) -> Iterator[tuple[Slots, int]]:
        """The slots and the time, alone among all processes; what was changed is kept on leaving."""
        slots = self._begin()
        if slots is None:
            with self._reduced_store().open() as opened:
                yield opened
            return
        try:
            yield slots, self._clock()
        finally:
            self._keep(slots)

    def look_again_in(self, slots: Slots, now: int) -> int:
        """When time alone may free a slot, or another process may have done something."""
        poll = _POLL_ANSWERS if slots.in_flight(now) else _POLL
        return min(poll, max(0, slots.next_change(now) - now))

    def after_fork(self) -> None:
        """The child opens the file itself; what is in flight there is settled by whoever took it."""
        self._file.after_fork()
        if self._fallback is not None:
            self._fallback.after_fork()

    def _begin(self) -> Slots | None:
        if self._fallback is not None and self._clock() < self._try_again_at:
            return None
        try:
            slots = self._file.begin(self._rules, self._clock, patient=self._fallback is None)
        except UnusableFileError as error:
            self._fall_back(error)
            return None
        if self._fallback is not None:
            with self._fallback.open() as (others, _):
                slots.adopt(others)
            self._fallback = None
            log_event("budget.restored", what=f"the budget's file can be used again: {self._file.path}")
        return slots

    def _keep(self, slots: Slots) -> None:
        self._last = slots
        try:
            self._file.commit(slots, self._clock())
        except UnusableFileError as error:
            self._fall_back(error)

    def _fall_back(self, error: UnusableFileError) -> None:
        if self._fallback is None:
            log_event(
                "budget.degraded",
                why=f"the budget's file cannot be used ({error})",
                share=self._reduced.limit,
                limit=self._rules.limit,
                period=self._rules.window,
            )
        self._try_again_at = self._clock() + _TRY_AGAIN
        self._reduced_store()

    def _reduced_store(self) -> LocalStore:
        if self._fallback is None:
            self._fallback = LocalStore(self._reduced, self._clock, first_id=_FALLBACK_IDS)
            if self._last is not None:
                with self._fallback.open() as (reduced, _):
                    reduced.adopt(self._last)  # what is known to have been sent stays sent
                self._last = None
        return self._fallback


class HostBudget(QueuedBudget):
    """A budget for all processes of this user on this host: web workers, cron jobs, restarts.

    Args:
        limit: Requests that the server allows in a period (150; confidence A).
        period: The server's window in seconds (60; confidence B).
        name: What the file is named after: the server that the budget is for.
        directory: Where the file lies; by default a directory of the user's own below the one for temporary files, the
            same for a login shell, a cron job and a service of that user.
        fallback: Which part of the limit this process keeps to by itself while the file cannot be used (a full or
            read-only disk, a file of somebody else).
        safety_margin: As in `LocalBudget`, like the following.
        late_arrival: Likewise.
        headroom: Likewise.
        interactive_interval: Likewise.
        use_server_counter: Likewise.
        clock: The time in nanoseconds, the same in all processes and never going back; for tests.
    """

    def __init__(
        self,
        limit: int = 150,
        period: float = 60.0,
        *,
        name: str = "account.goedgepickt.nl",
        directory: Path | str | None = None,
        fallback: float = 0.25,
        safety_margin: float = 1.0,
        late_arrival: float = 30.0,
        headroom: int = 30,
        interactive_interval: float = 1.0,
        use_server_counter: bool = True,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        if not 0 < fallback <= 1:
            raise ConfigurationError("fallback must be a part of the limit: more than 0, at most 1")
        config = LimiterConfig(
            limit=limit,
            window=period,
            safety_margin=safety_margin,
            late_arrival=late_arrival,
            headroom=headroom,
            interactive_interval=interactive_interval,
            use_server_counter=use_server_counter,
        )
        file = HostFile(name, None if directory is None else Path(directory))
        super().__init__(HostStore(config, file, fallback, clock), config, clock)
        self._file = file

    @property
    def path(self) -> Path:
        """The file; whoever shares it shares the budget."""
        return self._file.path
