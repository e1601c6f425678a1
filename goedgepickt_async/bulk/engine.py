"""The engine of every bulk job: takes items as room comes free, begins them, and hands out what became of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable, Sized
from contextlib import aclosing
from typing import Generic, TypeVar

from goedgepickt_async.budget.protocol import Budget
from goedgepickt_async.budget.queue import bulk_rate
from goedgepickt_async.budget.slots import Lane
from goedgepickt_async.bulk.ending import end_all
from goedgepickt_async.bulk.outcome import Outcome
from goedgepickt_async.bulk.progress import Progress, eta
from goedgepickt_async.bulk.source import each
from goedgepickt_async.bulk.stopping import StopAfter
from goedgepickt_async.errors import BulkStoppedError, ConfigurationError, GoedGepicktError
from goedgepickt_async.hooks import ItemSeen, call_hook
from goedgepickt_async.logs import tell
from goedgepickt_async.wire.errand import Errand

__all__ = ["Engine"]

T = TypeVar("T")
R = TypeVar("R")


class Engine(Generic[T, R]):
    """One bulk job.

    One task takes the items from their source; each item is worked on by a task of its own. Between being begun and
    its outcome being taken by the consumer, an item occupies one of `concurrency` places: that bounds the memory.

    Args:
        operation: What is done with an item.
        items: The items, of any number.
        budget: Whose pace the ETA is reckoned by.
        concurrency: Places.
        ordered: Whether outcomes come in the order of the items.
        total: How many items there are, if somebody knows.
        stop: When to give up.
        fatal: Errors that no further item could escape: the job stops, and raises it after the last outcome.
        lane: The lane of the calls that it makes.
        job: What whoever watches calls it; None: its items are a part of something else, and nobody hears of them.
        told: Hears of each item that is done with.
    """

    def __init__(
        self,
        operation: Callable[[T], Awaitable[R]],
        items: Iterable[T] | AsyncIterable[T],
        budget: Budget,
        *,
        concurrency: int,
        ordered: bool = False,
        total: int | None = None,
        stop: StopAfter | None = None,
        fatal: tuple[type[Exception], ...] = (),
        lane: Lane = Lane.BULK,
        job: str | None = None,
        told: Callable[[ItemSeen], object] | None = None,
    ) -> None:
        if type(concurrency) is not int or concurrency < 1:
            raise ConfigurationError("concurrency must be a whole number, at least 1")
        self._operation = operation
        self._items = items
        self._budget = budget
        self._ordered = ordered
        self._total = len(items) if total is None and isinstance(items, Sized) else total
        self._stop = stop
        self._fatal = fatal
        self._job = job
        self._told = told
        self._errand = Errand(lane=lane)
        self._places = asyncio.Semaphore(concurrency)
        self._ready: dict[int, Outcome[T, R]] = {}
        self._workers: set[asyncio.Task[None]] = set()
        self._feeder: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._given = 0
        self._done = 0
        self._failed = 0
        self._raise: BaseException | None = None  # after the last outcome
        self._is_ending = False
        self._began = 0.0
        self._ended: float | None = None

    @property
    def progress(self) -> Progress:
        """How far it is."""
        ends_at = time.monotonic() if self._ended is None else self._ended
        left, requests = None if self._total is None else self._total - self._done, self._errand.requests
        rate = 0.0
        if left and requests and self._ended is None:
            snapshot = self._budget.snapshot()
            rate = bulk_rate(snapshot.limit, snapshot.period)
        return Progress(
            done=self._done,
            total=self._total,
            failed=self._failed,
            requests=requests,
            eta=None
            if left is None
            else eta(left=left, done=self._done, requests=requests, elapsed=ends_at - self._began, rate=rate or 1.0),
        )

    async def outcomes(self) -> AsyncGenerator[Outcome[T, R]]:
        """Begin, and hand out the outcomes; leaving it ends all work.

        Raises:
            BulkStoppedError: Too many failed.
            Exception: What the source of the items raised, or a fatal error; after the last outcome.
        """
        self._began = time.monotonic()
        self._feeder = asyncio.create_task(self._feed(), name="items of a bulk job")
        self._feeder.add_done_callback(self._at_the_end_of_a_task)
        try:
            while True:
                while (outcome := self._take()) is not None:
                    yield outcome
                if self._feeder.done() and not self._workers:
                    break
                self._news.clear()
                await self._news.wait()
        finally:
            await self._end()
        if isinstance(self._raise, BulkStoppedError):
            raise self._counted(self._raise) from self._raise.__cause__
        if self._raise is not None:
            raise self._raise

    def _counted(self, stopped: BulkStoppedError) -> BulkStoppedError:
        """With the numbers as they are after the last outcome."""
        return BulkStoppedError(
            f"{stopped.message}: {self._failed} of the {self._done} that had begun; no further ones were begun",
            done=self._done,
            failed=self._failed,
        )

    def _take(self) -> Outcome[T, R] | None:
        """The next outcome that can be handed out now."""
        if not self._ready:
            return None
        index = self._given if self._ordered else next(iter(self._ready))
        outcome = self._ready.pop(index, None)
        if outcome is not None:
            self._given += 1
            self._places.release()
        return outcome

    async def _feed(self) -> None:
        with self._errand.under_way():
            async with aclosing(each(self._items)) as items:
                index = 0
                while not self._is_ending:
                    await self._places.acquire()
                    try:
                        item = await anext(items)
                    except StopAsyncIteration:
                        return
                    if self._is_ending:
                        return
                    worker = asyncio.create_task(self._work(index, item))
                    self._workers.add(worker)
                    worker.add_done_callback(self._at_the_end_of_a_task)
                    index += 1

    async def _work(self, index: int, item: T) -> None:
        began = time.monotonic()
        try:
            result = await self._operation(item)
        except asyncio.CancelledError:
            if self._is_cancelled():
                raise
            # Something inside the operation was cancelled, not we.
            error = GoedGepicktError("the operation was cancelled from within")
            self._finish(Outcome(index=index, item=item, error=error), began)
        except Exception as error:  # noqa: BLE001  whatever it is, it is this item's outcome
            self._finish(Outcome(index=index, item=item, error=error), began)
        else:
            self._finish(Outcome(index=index, item=item, result=result), began)

    def _is_cancelled(self) -> bool:
        task = asyncio.current_task()
        return task is not None and task.cancelling() > 0

    def _finish(self, outcome: Outcome[T, R], began: float) -> None:
        self._ready[outcome.index] = outcome
        self._done += 1
        self._news.set()
        if self._job is not None:
            self._tell(self._job, outcome, time.monotonic() - began)
        if outcome.error is None:
            return
        self._failed += 1
        if isinstance(outcome.error, self._fatal):
            self._begin_no_more(outcome.error)
        elif self._stop is not None and self._stop.is_reached(self._done, self._failed):
            stopped = BulkStoppedError("stopped: too many items failed", done=0, failed=0)
            stopped.__cause__ = outcome.error
            self._begin_no_more(stopped)

    def _tell(self, job: str, outcome: Outcome[T, R], seconds: float) -> None:
        error = None if outcome.error is None else type(outcome.error).__name__
        if error is not None:
            tell("item.failed", job=job, index=outcome.index, error=error, seconds=seconds)
        if self._told is not None:
            call_hook(self._told, ItemSeen(job=job, index=outcome.index, error=error, seconds=seconds))

    def _begin_no_more(self, error: BaseException) -> None:
        """Let those finish that have begun; then raise the error."""
        if self._raise is None:
            self._raise = error
        assert self._feeder is not None
        self._feeder.cancel()

    def _at_the_end_of_a_task(self, task: asyncio.Task[None]) -> None:
        self._workers.discard(task)
        self._news.set()
        if task.cancelled():
            if not self._is_ending:  # by a stranger, unless there is an error already: no item may be lost in silence
                self._begin_no_more(GoedGepicktError("a task of the bulk job was cancelled from outside"))
            return
        error = task.exception()
        if error is not None:  # of the items' source, or one that is no Exception and so no outcome
            self._begin_no_more(error)

    async def _end(self) -> None:
        self._is_ending = True
        if self._feeder is not None:
            await end_all([self._feeder])
        await end_all(self._workers)
        self._ended = time.monotonic()
