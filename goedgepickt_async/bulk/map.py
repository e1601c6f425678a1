"""`gg.bulk.map`: an operation over many items, with bounded concurrency and memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable, Mapping, Sized
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

import attrs

from goedgepickt_async._transport.context import CallContext
from goedgepickt_async.budget.protocol import Budget
from goedgepickt_async.budget.slots import Lane
from goedgepickt_async.budget.waiting import bulk_rate
from goedgepickt_async.errors import BulkStoppedError, ConfigurationError, GoedGepicktError
from goedgepickt_async.hooks import ItemFinished, call_hook
from goedgepickt_async.logs import log_event
from goedgepickt_async.paging.paginator import AsyncOnly, refuse
from goedgepickt_async.text import safe_repr

__all__ = ["BulkRunner", "Outcome", "OutcomeStream", "Progress", "StopAfter", "aiter_any", "cancel_and_wait", "eta"]

T = TypeVar("T")
R = TypeVar("R")


def _without_rows(value: object) -> str:
    """A repr that shows no row of a file: it may hold a customer's data. Models hide theirs by themselves."""
    return f"<{type(value).__name__}>" if isinstance(value, Mapping | list | tuple | set | bytes) else repr(value)


class _Held(Generic[T]):
    """An item, hidden from error trackers, which collect the local variables of all frames."""

    __slots__ = ("item",)

    def __init__(self, item: T) -> None:
        self.item = item


@attrs.frozen(kw_only=True)
class Outcome(Generic[T, R]):
    """One item and its end: a result or an error, never both.

    Attributes:
        index: The item's place in the input, from 0.
        item: The item.
        result: What the operation returned; None if it failed (or returned that).
        error: What it raised; None if it did not.
    """

    index: int
    item: T = attrs.field(repr=_without_rows)
    result: R | None = attrs.field(default=None, repr=_without_rows)
    error: Exception | None = None

    @property
    def ok(self) -> bool:
        """Whether there is no error."""
        return self.error is None

    def unwrap(self) -> R:
        """The result.

        Raises:
            Exception: The error, if there is one.
        """
        if self.error is not None:
            raise self.error
        return self.result  # type: ignore[return-value]  # an operation that returns None has R = None

    def to_dict(self) -> dict[str, Any]:
        """The outcome as values that JSON takes, where its item and result are such values or have a `to_dict`."""
        error = _plain(self.error)
        if isinstance(error, Exception):  # not one of ours
            error = {"type": type(error).__name__, "message": str(error)}
        return {"index": self.index, "item": _plain(self.item), "result": _plain(self.result), "error": error}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], *, item: Any = None, result: Any = None) -> Outcome[Any, Any]:
        """The outcome that `to_dict` wrote.

        Args:
            data: What `to_dict` gave.
            item: The class of the item, if it has a `from_dict`: `PlannedWrite` for a plan. None: leave it as it is.
            result: The class of the result in the same way: `Applied` for a plan.

        Raises:
            ConfigurationError: `to_dict` did not write this.
        """
        if not isinstance(data, Mapping) or data.keys() != {"index", "item", "result", "error"}:
            raise ConfigurationError("this is not an outcome that was saved with to_dict")
        error = data["error"]
        return cls(
            index=data["index"],
            item=data["item"] if item is None else item.from_dict(data["item"]),
            result=data["result"] if result is None or data["result"] is None else result.from_dict(data["result"]),
            error=None if error is None else GoedGepicktError.from_dict(error),
        )


def _plain(value: Any) -> Any:
    return value.to_dict() if hasattr(value, "to_dict") else value


@attrs.frozen(kw_only=True)
class Progress:
    """How far a bulk job is, at one moment.

    Attributes:
        done: Items that have an outcome, whether it has been looked at or not.
        total: Items in all; None while that is unknown.
        failed: Of those that are done, the ones with an error.
        requests: Requests that went out on the wire for it.
        eta: Seconds until the end at the pace that the budget allows; None while that is unknown.
    """

    done: int
    total: int | None
    failed: int
    requests: int
    eta: float | None


def eta(*, left: int, done: int, requests: int, elapsed: float, rate: float) -> float | None:
    """Seconds that the items that are left will take.

    Args:
        left: How many items are left.
        done: How many are done.
        requests: How many requests those took.
        elapsed: How many seconds they took.
        rate: Requests a second that the budget allows in the long run.
    """
    if left <= 0:
        return 0.0
    if not done:
        return None
    # The first requests go in a burst, so the time that they took says nothing; a job without requests has only that.
    return left * (requests / done / rate if requests else elapsed / done)


def _check(_policy: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or value <= 0):
        raise ConfigurationError(f"{attribute.name} must be a number, more than 0")


@safe_repr
@attrs.frozen(kw_only=True)
class StopAfter:
    """A bulk job stops when one of these is reached: what has begun is finished, nothing new is started.

    Attributes:
        errors: So many items failed; 1 stops at the first.
        ratio: This part of the items failed, of those that are done; from 0 to 1.
        at_least: For `ratio`: not before so many items are done.
    """

    errors: int | None = attrs.field(default=None, validator=[_check])
    ratio: float | None = attrs.field(default=None, validator=[_check])
    at_least: int = attrs.field(default=20, validator=[_check])

    def is_reached(self, done: int, failed: int) -> bool:
        """Whether to give up."""
        if self.errors is not None and failed >= self.errors:
            return True
        return self.ratio is not None and done >= self.at_least and failed >= self.ratio * done


async def aiter_any(items: Iterable[T] | AsyncIterable[T]) -> AsyncGenerator[T]:
    """Each item in turn; leaving it early closes the iterator that it took them from.

    Raises:
        ConfigurationError: They cannot be iterated.
    """
    iterator: Any
    if isinstance(items, AsyncIterable):
        iterator = aiter(items)
        try:
            async for item in iterator:
                yield item
        finally:
            if hasattr(iterator, "aclose"):
                await iterator.aclose()
    elif isinstance(items, Iterable) and not isinstance(items, str | bytes):
        iterator = iter(items)
        try:
            for item in iterator:
                yield item
        finally:
            if hasattr(iterator, "close"):
                iterator.close()
    else:
        raise ConfigurationError(f"these are no items: {type(items).__name__}")


async def cancel_and_wait(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel them and wait until the last one has ended, also when the waiting itself is cancelled.

    They usually end soon; what they share, such as a journal, may be closed only after them.

    Raises:
        CancelledError: It was cancelled meanwhile; all of them have ended.
    """
    left = {task for task in tasks if not task.done()}
    for task in left:
        task.cancel()
    cancelled: asyncio.CancelledError | None = None
    while left:
        try:
            await asyncio.wait(left)
        except asyncio.CancelledError as error:
            cancelled = error
        left = {task for task in left if not task.done()}
    if cancelled is not None:
        raise cancelled


class BulkRunner(Generic[T, R]):
    """One bulk job.

    One task takes the items from their source; each item has a separate task. Between being begun and
    its outcome being taken by the consumer, an item occupies one of `concurrency` places: that bounds the memory.

    Args:
        operation: What is done with an item.
        items: The items, of any number.
        budget: The budget whose pace gives the ETA.
        concurrency: Places.
        ordered: Whether outcomes come in the order of the items.
        total: How many items there are, if that is known.
        stop: When to give up.
        fatal: Errors that no further item could escape: the job stops, and raises it after the last outcome.
        lane: The lane of the calls that it makes.
        job: Its name for hooks and logs; None: its items are a part of something else and are not reported.
        told: Called with each item that has ended.
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
        on_item: Callable[[ItemFinished], object] | None = None,
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
        self._on_item = on_item
        self._context = CallContext(lane=lane)
        self._permits = asyncio.Semaphore(concurrency)
        self._ready: dict[int, Outcome[T, R]] = {}
        self._workers: set[asyncio.Task[None]] = set()
        self._reader: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._yielded = 0
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
        left, requests = None if self._total is None else self._total - self._done, self._context.requests
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
        self._reader = asyncio.create_task(self._read_items(), name="items of a bulk job")
        self._reader.add_done_callback(self._on_task_done)
        try:
            while True:
                while (outcome := self._take()) is not None:
                    yield outcome
                if self._reader.done() and not self._workers:
                    break
                self._changed.clear()
                await self._changed.wait()
        finally:
            await self._end()
        if isinstance(self._raise, BulkStoppedError):
            raise self._counted(self._raise) from self._raise.__cause__
        if self._raise is not None:
            raise self._raise

    def _counted(self, stopped: BulkStoppedError) -> BulkStoppedError:
        """With the numbers as they are after the last outcome."""
        return BulkStoppedError(
            f"{stopped.message}: {self._failed} of the {self._done} that had begun; no further ones were started",
            done=self._done,
            failed=self._failed,
        )

    def _take(self) -> Outcome[T, R] | None:
        """The next outcome that can be handed out now."""
        if not self._ready:
            return None
        index = self._yielded if self._ordered else next(iter(self._ready))
        outcome = self._ready.pop(index, None)
        if outcome is not None:
            self._yielded += 1
            self._permits.release()
        return outcome

    async def _read_items(self) -> None:
        with self._context.active():
            async with aclosing(aiter_any(self._items)) as items:
                index = 0
                while not self._is_ending:
                    await self._permits.acquire()
                    try:
                        held = _Held(await anext(items))
                    except StopAsyncIteration:
                        return
                    if self._is_ending:
                        return
                    worker = asyncio.create_task(self._work(index, held))
                    self._workers.add(worker)
                    worker.add_done_callback(self._on_task_done)
                    index += 1

    async def _work(self, index: int, held: _Held[T]) -> None:
        began = time.monotonic()
        try:
            result = await self._operation(held.item)
        except asyncio.CancelledError:
            if self._is_cancelled():
                raise
            # Something inside the operation was cancelled, not we.
            error = GoedGepicktError("the operation was cancelled from within")
            self._finish(Outcome(index=index, item=held.item, error=error), began)
        except Exception as error:  # noqa: BLE001  whatever it is, it is this item's outcome
            self._finish(Outcome(index=index, item=held.item, error=error), began)
        else:
            self._finish(Outcome(index=index, item=held.item, result=result), began)

    def _is_cancelled(self) -> bool:
        task = asyncio.current_task()
        return task is not None and task.cancelling() > 0

    def _finish(self, outcome: Outcome[T, R], began: float) -> None:
        self._ready[outcome.index] = outcome
        self._done += 1
        self._changed.set()
        if self._job is not None:
            self._report(self._job, outcome, time.monotonic() - began)
        if outcome.error is None:
            return
        self._failed += 1
        if isinstance(outcome.error, self._fatal):
            self._stop_reading(outcome.error)
        elif self._stop is not None and self._stop.is_reached(self._done, self._failed):
            stopped = BulkStoppedError("stopped: too many items failed", done=0, failed=0)
            stopped.__cause__ = outcome.error
            self._stop_reading(stopped)

    def _report(self, job: str, outcome: Outcome[T, R], seconds: float) -> None:
        error = None if outcome.error is None else type(outcome.error).__name__
        if error is not None:
            log_event("item.failed", job=job, index=outcome.index, error=error, seconds=seconds)
        if self._on_item is not None:
            call_hook(self._on_item, ItemFinished(job=job, index=outcome.index, error=error, seconds=seconds))

    def _stop_reading(self, error: BaseException) -> None:
        """Let those finish that have begun; then raise the error."""
        if self._raise is None:
            self._raise = error
        assert self._reader is not None
        self._reader.cancel()

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._workers.discard(task)
        self._changed.set()
        if task.cancelled():
            if (
                not self._is_ending
            ):  # from outside, unless there is an error already: no item may be lost without an error
                self._stop_reading(GoedGepicktError("a task of the bulk job was cancelled from outside"))
            return
        error = task.exception()
        if error is not None:  # of the items' source, or one that is no Exception and so no outcome
            self._stop_reading(error)

    async def _end(self) -> None:
        self._is_ending = True
        if self._reader is not None:
            await cancel_and_wait([self._reader])
        await cancel_and_wait(self._workers)
        self._ended = time.monotonic()


@safe_repr
class OutcomeStream(AsyncOnly, Generic[T, R]):
    """The outcomes of a bulk job, one for each item, as they come. Nothing is done before it is iterated.

    Leaving the loop early ends all work. `async with` (or `aclosing`) makes sure that it has ended when the block is
    left; without it, that happens a moment later.

    Raises while iterated:
        BulkStoppedError: Too many items failed; after the outcomes of all that had begun.
    """

    _usage = "outcomes come asynchronously: use `async for outcome in …`, or `[outcome async for outcome in …]` for all"

    if not TYPE_CHECKING:
        __await__ = refuse

    def __init__(
        self, runner: BulkRunner[T, R], opened: Callable[[], AbstractAsyncContextManager[object]] = nullcontext
    ) -> None:
        self._runner = runner
        # The generator, not this, is what asyncio ends when it is forgotten; the tasks know neither.
        self._outcomes = _outcomes(runner, opened)

    def __repr__(self) -> str:
        return f"<OutcomeStream {self.progress}>"

    def __aiter__(self) -> Self:
        """Itself: it can be gone through once."""
        return self

    async def __anext__(self) -> Outcome[T, R]:
        """The next outcome."""
        return await anext(self._outcomes)

    @property
    def progress(self) -> Progress:
        """How far it is."""
        return self._runner.progress

    async def aclose(self) -> None:
        """End all work. What was sent without an answer is in the journal, if there is one."""
        await self._outcomes.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


async def _outcomes(
    runner: BulkRunner[T, R], opened: Callable[[], AbstractAsyncContextManager[object]]
) -> AsyncGenerator[Outcome[T, R]]:
    async with opened(), aclosing(runner.outcomes()) as outcomes:
        async for outcome in outcomes:
            yield outcome
