"""Progress of an export: bar, log lines and ETA."""

from __future__ import annotations

import heapq
import math
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.table import Column
from rich.text import Text

from goedgepickt_async import Budget, BudgetSnapshot, Evidence, Hooks, Page, ResponseReceived, RetryScheduled
from goedgepickt_async.cli.errors import info

__all__ = [
    "LINE_EVERY",
    "ExportProgress",
    "RequestCounter",
    "clock",
    "count",
    "duration",
    "requests_left",
    "seconds_left",
]

_PAGE = 100
_MOST_PLAYED = 5_000


def requests_left(rows_left: int, recent: Sequence[int]) -> int:
    """Requests for the rest of a list; one more sees the end.

    Args:
        rows_left: Rows to come.
        recent: How many rows the last pages had; what is to come is taken to be like them.
    """
    per_page = sum(recent) / len(recent) if sum(recent) else _PAGE
    return math.ceil(max(0, rows_left) / per_page) + 1


def seconds_left(requests: int, *, pace: float, hold: float, free: int, cooling: Iterable[float]) -> float:
    """Seconds that so many requests will take, one after the other: they are played through.

    Args:
        requests: How many.
        pace: Seconds that one takes when it need not wait.
        hold: Seconds after which a slot that was used can be used again.
        free: Slots that can be used at once.
        cooling: Seconds until each of the used slots can be used again.
    """
    played = min(requests, _MOST_PLAYED)
    slots = [0.0] * min(free, max(1, played)) + [max(0.0, seconds) for seconds in cooling]
    heapq.heapify(slots)
    if not slots:
        return math.inf
    now = 0.0
    for _ in range(played):
        now = max(now, slots[0]) + pace
        heapq.heapreplace(slots, now + hold)
    return now if played == requests else now * requests / played


_REMEMBERED = 1_000


class RequestCounter:
    """What went over the wire.

    Attributes:
        requests: Requests sent, as far as the hooks tell.
        refusals: Those among them that the server's throttle refused.
        waited: Seconds that the last answered request waited for the rate limit.
        answered: When the last answers came, by `time.monotonic`; the newest last.
    """

    def __init__(self) -> None:
        self.requests: int = 0
        self.refusals: int = 0
        self.waited: float = 0.0
        self.answered: deque[float] = deque(maxlen=_REMEMBERED)
        self._counted: tuple[str, int] | None = None

    @property
    def hooks(self) -> Hooks:
        """Hang these into the client."""
        return Hooks(response=self._answer, retry=self._retry, throttled=self._throttled)

    def _answer(self, seen: ResponseReceived) -> None:
        self.requests += 1
        self.waited = seen.waited
        self.answered.append(time.monotonic())
        self._counted = (seen.path, seen.attempts)

    def _retry(self, seen: RetryScheduled) -> None:
        """Sent and never answered: no answer counted it."""
        if seen.evidence is Evidence.UNKNOWN and self._counted != (seen.path, seen.attempts):
            self.requests += 1

    def _throttled(self, _seen: ResponseReceived) -> None:
        self.refusals += 1


def duration(seconds: float) -> str:
    """`0.4 s`, `12 s`, `1 min 02 s`, `2 h 03 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def clock(seconds: float) -> str:
    """`0:42`, `12:05`, `2:03:00`."""
    whole = round(seconds)
    minutes = f"{whole % 3600 // 60}:{whole % 60:02}"
    return f"{whole // 3600}:{minutes:0>5}" if whole >= 3600 else minutes


def count(number: int, noun: str) -> str:
    """`1 order`, `25,000 orders`; the noun in the plural."""
    return f"{number:,} {noun.removesuffix('s') if number == 1 else noun}"


LINE_EVERY = 30.0
"""Seconds between lines where there is no terminal."""
_UNLIMITED = 1_000_000
_RECENT = 20
_NARROW, _MEDIUM = 40, 70


class ExportProgress:
    """Watches one export.

    Args:
        noun: What is exported, in the plural.
        budget: Of the client.
        counter: Of the client.
        rows: Rows that an earlier run brought.
        read: Rows that it read for them.
        limit: Rows that are wanted at most.
        visible: Whether there may be a bar; it would run through data that goes to the same terminal.
    """

    def __init__(
        self,
        noun: str,
        budget: Budget,
        counter: RequestCounter,
        *,
        rows: int = 0,
        read: int = 0,
        limit: int | None = None,
        visible: bool = True,
    ) -> None:
        self.noun: str = noun
        self._budget, self._counter = budget, counter
        self._began = time.monotonic()
        self._rows_before, self._read_before = rows, read
        self.rows: int = rows
        self._read, self._pages = read, 0
        self._limit = limit
        self._total: int | None = None
        self._recent: deque[int] = deque(maxlen=_RECENT)
        self._waited = self._pace = 0.0
        on_terminal = sys.stderr.isatty()
        self._bar = _Bar(self, visible=visible and on_terminal)
        self._line_at = math.inf if on_terminal else time.monotonic() + LINE_EVERY

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
        seen = len(page.items) + page.filtered + len(page.unreadable)
        self._recent.append(seen)
        self.rows += len(page.items)
        self._read += seen
        self._waited += self._counter.waited
        self._pace = max(0.0, self.elapsed - self._waited) / self._pages
        if self._pages == 1:
            self._total = self._expected(page)
        if self._total is not None and self._read > self._total:
            self._total = None  # the server's total was a lie
        self._bar.update(self.rows, self._read, self._total)
        if time.monotonic() >= self._line_at:
            self._line_at = time.monotonic() + LINE_EVERY
            info(self.line())

    def line(self) -> str:
        """How far it is, for where there is no bar: a log, cron, a container."""
        total = f" of {self._total:,}" if self._total is not None and self._limit is None else ""
        return f"{self._read:,}{total} {self.noun}, {self.speed()}, {self.remaining()}, {self.allowance()}"

    def summary(self) -> str:
        """The line at the end."""
        new = self.rows - self._rows_before
        more = f" ({self.rows:,} in all)" if self._rows_before else ""
        return (
            f"{count(new, self.noun)}{more} in {duration(self.elapsed)}, "
            f"{count(self._counter.requests, 'requests')}, {count(self._counter.refusals, 'refusals')}"
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
        seen = tuple(self._counter.answered)  # the bar is drawn by another thread
        ours = [answered + hold - now for answered in seen if answered + hold > now]
        return [hold] * (snapshot.used - len(ours)) + ours

    def _expected(self, page: Page[Any]) -> int | None:
        total = page.info.total_items
        if self._limit is None or total is None:
            return total
        return None if page.filtered else min(total, self._limit)


def _hold(snapshot: BudgetSnapshot) -> float:
    return snapshot.period + min(1.0, snapshot.period / 60)


def _waits(snapshot: BudgetSnapshot) -> bool:
    return any(snapshot.waiting.values())


class _Bar:
    """rich's progress bar on stderr."""

    def __init__(self, progress: ExportProgress, *, visible: bool) -> None:
        console = Console(stderr=True)

        def from_width(least: int, text: Callable[[], str]) -> Callable[[Task], str]:
            # Asked at each refresh: a terminal can be made narrower while the bar is there.
            return lambda _: text() if console.width > least else ""

        self._rich = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            _Live(lambda task: f"{task.fields['rows']:,}" + (f"/{task.total:,.0f}" if task.total else "")),
            _Live(from_width(_NARROW, progress.speed)),
            _Live(lambda _: progress.remaining(), "cyan"),
            _Live(from_width(_MEDIUM, progress.allowance), "dim"),
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


class _Live(ProgressColumn):
    """A text that is made anew at each refresh."""

    def __init__(self, text: Callable[[Task], str], style: str = "") -> None:
        super().__init__(table_column=Column(no_wrap=True))
        self._text, self._style = text, style

    def render(self, task: Task) -> Text:
        return Text(self._text(task), self._style)
