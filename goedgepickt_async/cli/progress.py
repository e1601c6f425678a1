"""The progress of exports and writes: a bar on a terminal, otherwise a line each half minute; with an ETA."""

from __future__ import annotations

import math
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.table import Column
from rich.text import Text

from goedgepickt_async import Budget, BudgetSnapshot, Evidence, Hooks, Page, ResponseReceived, RetryScheduled
from goedgepickt_async.cli.common import info

__all__ = [
    "ExportProgress",
    "RequestCounter",
    "clock",
    "count",
    "duration",
    "requests_left",
    "seconds_left",
    "showing_writes",
]

# -- times and numbers ------------------------------------------------------------------------------------------------

_PAGE = 100


def requests_left(rows_left: int, recent: Sequence[int]) -> int:
    """Return the number of requests for the rest of a list. One more request detects the end.

    Args:
        rows_left: The number of remaining rows.
        recent: The numbers of rows of the last pages, which are expected to continue.
    """
    per_page = sum(recent) / len(recent) if sum(recent) else _PAGE
    return math.ceil(max(0, rows_left) / per_page) + 1


def seconds_left(requests: int, *, pace: float, hold: float, free: int, cooling: Iterable[float]) -> float:
    """Return the seconds for requests one after the other: they wait for their slots, or for the server.

    Args:
        requests: The number of requests, at least 1.
        pace: The seconds of a request without a wait.
        hold: The seconds until a used slot is free again.
        free: The number of slots that are free now.
        cooling: The seconds until each used slot is free again.
    """
    waits = sorted(min(hold, max(0.0, seconds)) for seconds in cooling)
    if not free and not waits:
        return math.inf
    rounds, slot = divmod(max(0, requests - 1), free + len(waits))
    first = waits[slot - free] if slot >= free else 0.0
    return max(first + rounds * hold, requests * pace)


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


def _eta(seconds: float | None) -> str:
    return "ETA -:--" if seconds is None or math.isinf(seconds) else f"ETA {clock(seconds)}"


def count(number: int, noun: str) -> str:
    """`1 order`, `25,000 orders`; the noun in the plural."""
    return f"{number:,} {noun.removesuffix('s') if number == 1 else noun}"


# -- bars and lines ---------------------------------------------------------------------------------------------------

_LINE_EVERY = 30.0
"""The seconds between two lines without a terminal."""


class _Lines:
    """Prints a line each half minute, unless there is a terminal, which has a bar."""

    def __init__(self) -> None:
        self._due = math.inf if sys.stderr.isatty() else time.monotonic() + _LINE_EVERY

    def tell(self, line: Callable[[], str]) -> None:
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + _LINE_EVERY
            info(line())


@contextmanager
def _shown(bar: Progress) -> Iterator[None]:
    if bar.disable:  # older versions of rich end even an invisible bar with an empty line
        yield
        return
    with bar:
        yield


@contextmanager
def showing_writes(total: int) -> Iterator[Callable[[Any], None]]:
    """Show the progress of a bulk job; the function takes its `Progress`."""
    columns = (TextColumn("writes"), BarColumn(bar_width=None), MofNCompleteColumn(), TextColumn("{task.fields[left]}"))
    visible = sys.stderr.isatty()
    bar = Progress(*columns, console=Console(stderr=True), transient=True, expand=True, disable=not visible)
    task = bar.add_task("writes", total=total, left="")
    lines = _Lines()

    def show(seen: Any) -> None:
        bar.update(task, completed=seen.done, left=_eta(seen.eta))
        lines.tell(lambda: f"{seen.done:,} of {total:,} writes, {_eta(seen.eta)}")

    with _shown(bar):
        yield show


class _Live(ProgressColumn):
    """A text that is made again at each refresh."""

    def __init__(self, text: Callable[[Task], str], style: str = "") -> None:
        super().__init__(table_column=Column(no_wrap=True))
        self._text, self._style = text, style

    def render(self, task: Task) -> Text:
        return Text(self._text(task), self._style)


# -- exports ----------------------------------------------------------------------------------------------------------

_REMEMBERED = 1_000
_UNLIMITED = 1_000_000
_RECENT = 20
_NARROW, _MEDIUM = 40, 70


class RequestCounter:
    """The traffic of the client.

    Attributes:
        requests: The number of requests sent.
        refusals: The number of 429 responses.
        waited: The seconds that the latest request with a response waited for the rate limit.
        answered: The times of the latest responses, by `time.monotonic`.
    """

    def __init__(self) -> None:
        self.requests: int = 0
        self.refusals: int = 0
        self.waited: float = 0.0
        self.answered: deque[float] = deque(maxlen=_REMEMBERED)
        self.hooks: Hooks = Hooks(response=self._answer, retry=self._retry, throttled=self._throttled)
        self._counted: tuple[str, int] | None = None

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


class ExportProgress:
    """Shows the progress of one export.

    Args:
        noun: The name of the items, in the plural.
        budget: The budget of the client.
        counter: The traffic of the client.
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
        self._rows_before = self._rows = rows
        self._read, self._pages = read, 0
        self._limit = limit
        self._total: int | None = None
        self._recent: deque[int] = deque(maxlen=_RECENT)
        self._waited = self._pace = 0.0
        self._lines = _Lines()
        self._bar = self._make_bar(visible=visible and sys.stderr.isatty())
        self._task = self._bar.add_task(noun, total=None, rows=rows)

    def _make_bar(self, *, visible: bool) -> Progress:
        console = Console(stderr=True)

        def from_width(least: int, text: Callable[[], str]) -> Callable[[Task], str]:
            # Read at each refresh, because the width of the terminal can change.
            return lambda _: text() if console.width > least else ""

        return Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            _Live(lambda task: f"{task.fields['rows']:,}" + (f"/{task.total:,.0f}" if task.total else "")),
            _Live(from_width(_NARROW, self._speed)),
            _Live(lambda _: self._remaining(), "cyan"),
            _Live(from_width(_MEDIUM, self._allowance), "dim"),
            console=console,
            refresh_per_second=4,
            transient=True,
            expand=True,
            disable=not visible,
        )

    def showing(self) -> Any:
        """A context in which the bar is visible."""
        return _shown(self._bar)

    def saw(self, page: Page[Any]) -> None:
        """A page was written."""
        self._pages += 1
        seen = len(page.items) + page.filtered + len(page.unreadable)
        self._recent.append(seen)
        self._rows += len(page.items)
        self._read += seen
        self._waited += self._counter.waited
        self._pace = max(0.0, self._elapsed - self._waited) / self._pages
        if self._pages == 1:
            self._total = self._expected(page)
        if self._total is not None and self._read > self._total:
            self._total = None  # the server's total was wrong
        self._bar.update(self._task, completed=self._read, total=self._total, rows=self._rows)
        self._lines.tell(self._line)

    def _expected(self, page: Page[Any]) -> int | None:
        total = page.info.total_items
        if self._limit is None or total is None:
            return total
        return None if page.filtered else min(total, self._limit)

    def summary(self) -> str:
        """Return the last line."""
        new = self._rows - self._rows_before
        more = f" ({self._rows:,} in all)" if self._rows_before else ""
        return (
            f"{count(new, self.noun)}{more} in {duration(self._elapsed)}, "
            f"{count(self._counter.requests, 'requests')}, {count(self._counter.refusals, 'refusals')}"
        )

    def _line(self) -> str:
        total = f" of {self._total:,}" if self._total is not None and self._limit is None else ""
        return f"{self._read:,}{total} {self.noun}, {self._speed()}, {self._remaining()}, {self._allowance()}"

    @property
    def _elapsed(self) -> float:
        return time.monotonic() - self._began

    def _speed(self) -> str:
        return f"{(self._rows - self._rows_before) / max(self._elapsed, 0.001):,.0f} rows/s"

    def _remaining(self) -> str:
        if self._total is None or not self._pages:
            return _eta(None)
        snapshot = self._budget.snapshot()
        return _eta(
            seconds_left(
                requests_left(self._total - self._read, self._recent),
                pace=self._pace,
                hold=_hold(snapshot),
                # Other requests have priority for the free slots.
                free=0 if _waits(snapshot) else snapshot.free,
                cooling=self._cooling(snapshot),
            )
        )

    def _allowance(self) -> str:
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
        if snapshot.limit >= _UNLIMITED:
            return []
        now, hold = time.monotonic(), _hold(snapshot)
        seen = tuple(self._counter.answered)  # another thread draws the bar
        ours = [answered + hold - now for answered in seen if answered + hold > now]
        return [hold] * (snapshot.used - len(ours)) + ours


def _hold(snapshot: BudgetSnapshot) -> float:
    return snapshot.period + min(1.0, snapshot.period / 60)


def _waits(snapshot: BudgetSnapshot) -> bool:
    return any(snapshot.waiting.values())
