"""What an export shows while it runs: a bar on a terminal, nothing elsewhere; and the line at its end."""

from __future__ import annotations

import math
import sys
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.table import Column
from rich.text import Text

from goedgepickt_async import Budget, BudgetSnapshot, Page
from goedgepickt_async.cli.export.durations import clock, count, duration
from goedgepickt_async.cli.export.eta import requests_left, seconds_left
from goedgepickt_async.cli.export.traffic import Traffic

__all__ = ["ExportProgress"]

_UNLIMITED = 1_000_000
_RECENT = 20
_NARROW = 40


class ExportProgress:
    """Watches one export.

    Args:
        noun: What is exported, in the plural.
        budget: Of the client.
        traffic: Of the client.
        rows: Rows that an earlier run brought.
        read: Rows that it read for them.
        limit: Rows that are wanted at most.
        visible: Whether there may be a bar; it would run through data that goes to the same terminal.
    """

    def __init__(
        self,
        noun: str,
        budget: Budget,
        traffic: Traffic,
        *,
        rows: int = 0,
        read: int = 0,
        limit: int | None = None,
        visible: bool = True,
    ) -> None:
        self.noun: str = noun
        self._budget, self._traffic = budget, traffic
        self._began = time.monotonic()
        self._rows_before, self._read_before = rows, read
        self.rows: int = rows
        self._read, self._pages = read, 0
        self._limit = limit
        self._total: int | None = None
        self._recent: deque[int] = deque(maxlen=_RECENT)
        self._waited = self._pace = 0.0
        self._bar = _Bar(self, visible=visible and sys.stderr.isatty())

    def __enter__(self) -> Self:
        """Show it."""
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take it away."""
        self._bar.stop()

    def saw(self, page: Page[Any]) -> None:
        """A page was written."""
        self._pages += 1
        self._recent.append(len(page.items) + page.left_out)
        self.rows += len(page.items)
        self._read += len(page.items) + page.left_out
        self._waited += self._traffic.waited
        self._pace = max(0.0, self.elapsed - self._waited) / self._pages
        if self._pages == 1:
            self._total = self._expected(page)
        if self._total is not None and self._read > self._total:
            self._total = None  # the server's total was a lie
        self._bar.update(self.rows, self._read, self._total)

    def summary(self) -> str:
        """The line at the end."""
        new = self.rows - self._rows_before
        more = f" ({self.rows:,} in all)" if self._rows_before else ""
        return (
            f"{count(new, self.noun)}{more} in {duration(self.elapsed)}, "
            f"{count(self._traffic.requests, 'requests')}, {count(self._traffic.refusals, 'refusals')}"
        )

    @property
    def elapsed(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self._began

    def speed(self) -> str:
        """Rows a second, over the whole run."""
        return f"{(self.rows - self._rows_before) / max(self.elapsed, 0.001):,.0f} rows/s"

    def remaining(self) -> str:
        """The time left, as far as it can be told."""
        if self._total is None or not self._pages:
            return "ETA -:--"
        snapshot = self._budget.snapshot()
        seconds = seconds_left(
            requests_left(self._total - self._read, self._recent),
            pace=self._pace,
            hold=_hold(snapshot),
            # Who waits while slots are free leaves them to others.
            free=0 if _waits(snapshot) else snapshot.free,
            cooling=self._cooling(snapshot),
        )
        return f"ETA {clock(seconds)}" if seconds < math.inf else "ETA -:--"

    def allowance(self) -> str:
        """The rate limit: used of all, and the wait, if there is one."""
        snapshot = self._budget.snapshot()
        if snapshot.limit >= _UNLIMITED:
            return "no rate limit"
        others = ", others on this IP" if snapshot.foreign_traffic else ""
        used = f"budget {snapshot.used}/{snapshot.limit}{others}"
        if snapshot.paused_for:
            return f"{used}, paused by the server for {clock(snapshot.paused_for)}"
        if _waits(snapshot):
            next_in = snapshot.next_free_in or min(self._cooling(snapshot), default=0.0)
            return f"{used}, next in {clock(max(0.0, next_in))}"
        return used

    def _cooling(self, snapshot: BudgetSnapshot) -> list[float]:
        """Seconds until each used slot is free again; of those that others used, the latest that it can be."""
        now, hold = time.monotonic(), _hold(snapshot)
        if snapshot.limit >= _UNLIMITED:
            return []
        seen = tuple(self._traffic.answered)  # the bar is drawn by another thread
        ours = [answered + hold - now for answered in seen if answered + hold > now]
        return [hold] * (snapshot.used - len(ours)) + ours

    def _expected(self, page: Page[Any]) -> int | None:
        total = page.info.total_items
        if self._limit is None or total is None:
            return total
        return None if page.left_out else min(total, self._limit)


def _hold(snapshot: BudgetSnapshot) -> float:
    return snapshot.period + min(1.0, snapshot.period / 60)


def _waits(snapshot: BudgetSnapshot) -> bool:
    return any(snapshot.waiting.values())


class _Bar:
    """rich's progress bar on stderr."""

    def __init__(self, progress: ExportProgress, *, visible: bool) -> None:
        console = Console(stderr=True)
        self._rich = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            _Live(lambda task: f"{task.fields['rows']:,}" + (f"/{task.total:,.0f}" if task.total else "")),
            *_told(progress, narrow=console.width <= _NARROW),
            console=console,
            refresh_per_second=4,
            transient=True,
            expand=True,
            disable=not visible,
        )
        self._task = self._rich.add_task(progress.noun, total=None, rows=progress.rows)

    def start(self) -> None:
        if not self._rich.disable:
            self._rich.start()

    def stop(self) -> None:
        if not self._rich.disable:  # older versions of rich end even an invisible bar with an empty line
            self._rich.stop()

    def update(self, rows: int, read: int, total: int | None) -> None:
        self._rich.update(self._task, completed=read, total=total, rows=rows)


def _told(progress: ExportProgress, *, narrow: bool) -> list[_Live]:
    """What stands behind the bar; a narrow terminal has room for the time left alone."""
    remaining = _Live(lambda _: progress.remaining(), "cyan")
    if narrow:
        return [remaining]
    return [_Live(lambda _: progress.speed()), remaining, _Live(lambda _: progress.allowance(), "dim")]


class _Live(ProgressColumn):
    """A text that is made anew at each refresh."""

    def __init__(self, text: Callable[[Task], str], style: str = "") -> None:
        super().__init__(table_column=Column(no_wrap=True))
        self._text, self._style = text, style

    def render(self, task: Task) -> Text:
        return Text(self._text(task), self._style)
