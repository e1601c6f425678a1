"""The progress of an export: bar, log lines and ETA."""

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
from goedgepickt_async.cli.common import info

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
    """Return the number of requests for the rest of a list. One more request detects the end.

    Args:
        rows_left: The number of remaining rows.
        recent: The numbers of rows of the last pages, which are expected to continue.
    """
    per_page = sum(recent) / len(recent) if sum(recent) else _PAGE
    return math.ceil(max(0, rows_left) / per_page) + 1


def seconds_left(requests: int, *, pace: float, hold: float, free: int, cooling: Iterable[float]) -> float:
    """Simulate requests one after the other, and return the seconds.

    Args:
        requests: The number of requests.
        pace: The seconds of a request without a wait.
        hold: The seconds until a used slot is free again.
        free: The number of slots that are free now.
        cooling: The seconds until each used slot is free again.
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
    """The traffic of the client.

    Attributes:
        requests: The number of requests sent.
        refusals: The number of 429 responses.
        waited: The seconds that the latest request with a response waited for the rate limit.
        answered: The times of the latest responses, by `time.monotonic`, with the newest at the end.
    """

    def __init__(self) -> None:
        self.requests: int = 0
        self.refusals: int = 0
        self.waited: float = 0.0
        self.answered: deque[float] = deque(maxlen=_REMEMBERED)
        self._counted: tuple[str, int] | None = None

    @property
    def hooks(self) -> Hooks:
        """Return the hooks for the client."""
        return Hooks(response=self._answer, retry=self._retry, throttled=self._throttled)

    def _answer(self, seen: ResponseReceived) -> None:
        self.requests += 1
        self.waited = seen.waited
        self.answered.append(time.monotonic())
        self._counted = (seen.path, seen.attempts)

    def _retry(self, seen: RetryScheduled) -> None:
        """The request was sent without a response, so no response counted it."""
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
"""The seconds between two lines without a terminal."""
_UNLIMITED = 1_000_000
_RECENT = 20
_NARROW, _MEDIUM = 40, 70


class ExportProgress:
    """Shows the progress of one export.

    Args:
        noun: The name of the items, in the plural.
        budget: Of the client.
        counter: Of the client.
        rows: The number of rows of an earlier run.
        read: The number of rows that the earlier run read.
        limit: The largest number of rows.
        visible: Whether a bar is allowed; it would mix with data on the same terminal.
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
        """Start the bar."""
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the bar."""
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
            self._total = None  # the server's total was wrong
        self._bar.update(self.rows, self._read, self._total)
        if time.monotonic() >= self._line_at:
            self._line_at = time.monotonic() + LINE_EVERY
            info(self.line())

    def line(self) -> str:
        """Print a line, for logs, cron and containers."""
        total = f" of {self._total:,}" if self._total is not None and self._limit is None else ""
        return f"{self._read:,}{total} {self.noun}, {self.speed()}, {self.remaining()}, {self.allowance()}"

    def summary(self) -> str:
        """Return the last line."""
        new = self.rows - self._rows_before
        more = f" ({self.rows:,} in all)" if self._rows_before else ""
        return (
            f"{count(new, self.noun)}{more} in {duration(self.elapsed)}, "
            f"{count(self._counter.requests, 'requests')}, {count(self._counter.refusals, 'refusals')}"
        )

    @property
    def elapsed(self) -> float:
        """The seconds since the start."""
        return time.monotonic() - self._began

    def speed(self) -> str:
        """The rows per second, over the whole run."""
        return f"{(self.rows - self._rows_before) / max(self.elapsed, 0.001):,.0f} rows/s"

    def remaining(self) -> str:
        """The remaining time, if it can be estimated."""
        if self._total is None or not self._pages:
            return "ETA -:--"
        snapshot = self._budget.snapshot()
        seconds = seconds_left(
            requests_left(self._total - self._read, self._recent),
            pace=self._pace,
            hold=_hold(snapshot),
            # Other requests have priority for the free slots.
            free=0 if _waits(snapshot) else snapshot.free,
            cooling=self._cooling(snapshot),
        )
        return f"ETA {clock(seconds)}" if seconds < math.inf else "ETA -:--"

    def allowance(self) -> str:
        """The state of the rate limit: used slots, and the wait if there is one."""
        snapshot = self._budget.snapshot()
        if snapshot.limit >= _UNLIMITED:
            return "no rate limit"
        others = ", other programs on this IP address" if snapshot.foreign_traffic else ""
        used = f"budget {snapshot.used}/{snapshot.limit}{others}"
        if snapshot.paused_for:
            return f"{used}, paused after a 429 for {clock(snapshot.paused_for)}"
        if _waits(snapshot):
            next_in = snapshot.next_free_in or min(self._cooling(snapshot), default=0.0)
            return f"{used}, next in {clock(max(0.0, next_in))}"
        return used

    def _cooling(self, snapshot: BudgetSnapshot) -> list[float]:
        """The seconds until each used slot is free again; for slots of others, the latest possible time."""
        now, hold = time.monotonic(), _hold(snapshot)
        if snapshot.limit >= _UNLIMITED:
            return []
        seen = tuple(self._counter.answered)  # another thread draws the bar
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
            # Read at each refresh, because the width of the terminal can change.
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
    """A text that is made again at each refresh."""

    def __init__(self, text: Callable[[Task], str], style: str = "") -> None:
        super().__init__(table_column=Column(no_wrap=True))
        self._text, self._style = text, style

    def render(self, task: Task) -> Text:
        return Text(self._text(task), self._style)
