"""`gg.bulk.map`: an operation over many items, with bounded concurrency and memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable, Mapping, Sized
from concurrent.futures import Executor
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar

import attrs

from goedgepickt_async._transport.request import CallContext
from goedgepickt_async.budget.protocol import Budget
from goedgepickt_async.budget.slots import Lane
from goedgepickt_async.budget.waiting import bulk_rate
from goedgepickt_async.errors import BulkStoppedError, ConfigurationError, GoedGepicktError
from goedgepickt_async.hooks import ItemFinished, call_hook
from goedgepickt_async.logs import log_event
from goedgepickt_async.paging.paginator import AsyncOnly, refuse
from goedgepickt_async.text import safe_repr, shown

__all__ = [
    "BulkRunner",
    "Outcome",
    "OutcomeStream",
    "Progress",
    "StopAfter",
    "aiter_any",
    "cancel_and_wait",
    "compute",
    "eta",
    "in_thread",
    "wait_for_end",
]

T = TypeVar("T")
R = TypeVar("R")


def _without_rows(value: object) -> str:
    """Return a repr without the data of rows, which may be personal. Models hide personal data themselves."""
    return f"<{type(value).__name__}>" if isinstance(value, Mapping | list | tuple | set | bytes) else repr(value)


class _Held(Generic[T]):
    """A wrapper that hides an item from error trackers, which collect local variables."""

    __slots__ = ("item",)

    def __init__(self, item: T) -> None:
        self.item = item


@attrs.frozen(kw_only=True)
class Outcome(Generic[T, R]):
    """The outcome of one item: a result or an error.

    Attributes:
        index: The item's place in the input, from 0.
        item: The item.
        result: The result of the operation; None if it failed or returned None.
        error: The exception of the operation; None if it succeeded.
    """

    index: int
    item: T = attrs.field(repr=_without_rows)
    result: R | None = attrs.field(default=None, repr=_without_rows)
    error: Exception | None = None

    @property
    def ok(self) -> bool:
        """Whether the item succeeded."""
        return self.error is None

    def unwrap(self) -> R:
        """Return the result.

        Raises:
            Exception: The exception of the operation.
        """
        if self.error is not None:
            raise self.error
        return self.result  # type: ignore[return-value]  # an operation that returns None has R = None

    def to_dict(self) -> dict[str, Any]:
        """Return the outcome as values for `json.dumps`. Item and result must be such values or have a `to_dict`."""
        error = _plain(self.error)
        if isinstance(error, Exception):  # an exception of the operation
            error = {"type": type(error).__name__, "message": str(error)}
        return {"index": self.index, "item": _plain(self.item), "result": _plain(self.result), "error": error}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], *, item: Any = None, result: Any = None) -> Outcome[Any, Any]:
        """Return the outcome from a result of `to_dict`.

        Args:
            data: The result of `to_dict`.
            item: The class of the item, if it has a `from_dict`: `PlannedWrite` for a plan. None: the item is not
                converted.
            result: The class of the result, if it has a `from_dict`: `Applied` for a plan.

        Raises:
            ConfigurationError: The value was not made by `to_dict`.
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
    """The progress of a bulk job at one moment.

    Attributes:
        done: The number of items that are finished.
        total: The number of all items; None while it is unknown.
        failed: The number of finished items with an error.
        requests: The number of HTTP requests that were sent for it.
        eta: The expected seconds until the end at the pace of the budget; None while unknown.
    """

    done: int
    total: int | None
    failed: int
    requests: int
    eta: float | None


def eta(*, left: int, done: int, requests: int, elapsed: float, rate: float) -> float | None:
    """Return the expected seconds for the remaining items, at a rate of requests per second."""
    if left <= 0:
        return 0.0
    if not done:
        return None
    # The first requests are sent in a burst, so their time is no measure, except for a job without requests.
    return left * (requests / done / rate if requests else elapsed / done)


def _check(_policy: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    is_left_out = value is None and attribute.default is None
    if not is_left_out and (isinstance(value, bool) or not isinstance(value, int | float) or not value > 0):
        raise ConfigurationError(f"{attribute.name} must be a number, more than 0")
    if attribute.name == "ratio" and value is not None and not value <= 1:
        raise ConfigurationError("ratio must be at most 1, such as 0.2 for 20 %")


@safe_repr
@attrs.frozen(kw_only=True)
class StopAfter:
    """The limits at which a bulk job stops. Started items are finished, and no new items are started.

    Attributes:
        errors: The number of failed items; 1 stops at the first failure.
        ratio: The part of the finished items that failed, from 0 to 1.
        at_least: The number of finished items before `ratio` is checked.
    """

    errors: int | None = attrs.field(default=None, validator=[_check])
    ratio: float | None = attrs.field(default=None, validator=[_check])
    at_least: int = attrs.field(default=20, validator=[_check])

    def __attrs_post_init__(self) -> None:
        if self.errors is None and self.ratio is None:
            raise ConfigurationError("StopAfter needs errors= or ratio=, such as StopAfter(errors=10)")

    def is_reached(self, done: int, failed: int) -> bool:
        """Whether a limit is reached."""
        if self.errors is not None and failed >= self.errors:
            return True
        return self.ratio is not None and done >= self.at_least and failed >= self.ratio * done


async def aiter_any(items: Iterable[T] | AsyncIterable[T]) -> AsyncGenerator[T]:
    """Iterate over the items. Leaving the loop early closes their iterator.

    Raises:
        ConfigurationError: The items cannot be iterated, or are a generator that has ended and so would give no items.
    """
    iterator: Any
    if getattr(items, "gi_frame", getattr(items, "ag_frame", items)) is None:
        raise ConfigurationError("items is a generator that has ended: make it again, or pass a list")
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
        raise ConfigurationError(f"items must be an iterable or async iterable, not {type(items).__name__}")


async def cancel_and_wait(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel the tasks and wait for their end, even if this wait is cancelled.

    Shared objects, such as a journal, may be closed only after the tasks.
    """
    left = [task for task in tasks if not task.done()]
    for task in left:
        task.cancel()
    await wait_for_end(left)


async def wait_for_end(futures: Iterable[asyncio.Future[Any]]) -> None:
    """Wait until the futures are done. If this wait is cancelled, it still waits, and then it is cancelled."""
    left, cancelled = set(futures), None
    while left := {future for future in left if not future.done()}:
        try:
            await asyncio.wait(left)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled


async def in_thread(function: Callable[[], R], executor: Executor | None = None) -> R:
    """Call a function in a thread, and return its result. A cancelled caller waits for its end, because it cannot stop the thread.

    Args:
        function: The function.
        executor: The executor with the thread. None: the default executor of the event loop.
    """
    ended = asyncio.get_running_loop().run_in_executor(executor, function)
    ended.add_done_callback(asyncio.Future.exception)  # a cancelled caller does not ask for it
    await wait_for_end([ended])
    return ended.result()


_MANY: Final = 200


async def compute(function: Callable[[], R], rows: Sized) -> R:
    """Call a function that takes some microseconds for each row. With many rows, it runs in a thread.

    So it does not block the event loop.
    """
    return await in_thread(function) if len(rows) > _MANY else function()


_MOST_ITEMS: Final = 10**12


class BulkRunner(Generic[T, R]):
    """A bulk job.

    One task takes the items from their source, and each item has its own task. An item occupies one of `concurrency`
    places from its start until the consumer takes its outcome. This limits the memory.

    Args:
        operation: See `Bulk.map`, also for `items`, `concurrency`, `ordered`, `total` and `stop`.
        budget: The budget, whose pace is used for the ETA.
        fatal: Errors that all further items would have, too. The job stops and raises such an error after the last
            outcome.
        lane: The lane of its calls.
        job: Its name for hooks and logs; None if its items are a part of another job and are not reported.
        on_item: A function that is called for each finished item.
        opened: The context of the whole job.
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
        opened: Callable[[], AbstractAsyncContextManager[object]] = nullcontext,
    ) -> None:
        if type(concurrency) is not int or concurrency < 1:
            raise ConfigurationError("concurrency must be a whole number, at least 1")
        if not isinstance(stop, StopAfter | None):
            raise ConfigurationError(f"stop must be a StopAfter, such as StopAfter(errors=10), not {shown(stop)}")
        if total is not None and (type(total) is not int or not 0 <= total <= _MOST_ITEMS):
            raise ConfigurationError(f"total must be a whole number, 0 to {_MOST_ITEMS:,}")
        if not callable(operation):
            kind = type(operation).__name__
            raise ConfigurationError(
                f"the operation must be a function with one argument, such as gg.orders.get, not {kind}"
            )
        self._operation = operation
        self._items = items
        self._budget = budget
        self._ordered = ordered
        self._total = len(items) if total is None and isinstance(items, Sized) else total
        self._stop = stop
        self._fatal = fatal
        self._job = job
        self._on_item = on_item
        self._opened = opened
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
        """The progress of the job."""
        requests, seconds = self._context.requests, None
        if self._total is not None:
            left, rate = self._total - self._done, 1.0
            if left and requests and self._ended is None:
                snapshot = self._budget.snapshot()
                rate = bulk_rate(snapshot.limit, snapshot.period) or 1.0
            elapsed = (self._ended or time.monotonic()) - self._began
            seconds = eta(left=left, done=self._done, requests=requests, elapsed=elapsed, rate=rate)
        return Progress(done=self._done, total=self._total, failed=self._failed, requests=requests, eta=seconds)

    async def outcomes(self) -> AsyncGenerator[Outcome[T, R]]:
        """Start the job and yield the outcomes, and then raise its error. Leaving the loop ends all work."""
        async with self._opened():
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
                raise BulkStoppedError(
                    f"stopped: too many items failed: {self._failed} of the {self._done} that were started; "
                    "no further items were started",
                    done=self._done,
                    failed=self._failed,
                ) from self._raise.__cause__
            if self._raise is not None:
                raise self._raise

    def _take(self) -> Outcome[T, R] | None:
        """Return the next outcome that is ready."""
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
            started: object = self._operation(held.item)
            if not isinstance(started, Awaitable):
                raise TypeError(  # noqa: TRY301  it is this item's outcome
                    f"the operation must be a coroutine function (async def), but it returned {type(started).__name__}"
                )
            result = await started
        except asyncio.CancelledError:
            if self._is_cancelled():
                raise
            # A task inside the operation was cancelled, not this one.
            error = GoedGepicktError("the operation cancelled itself")
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
            stopped = BulkStoppedError("", done=0, failed=0)  # the numbers are known after the last outcome
            stopped.__cause__ = outcome.error
            self._stop_reading(stopped)

    def _report(self, job: str, outcome: Outcome[T, R], seconds: float) -> None:
        error = None if outcome.error is None else type(outcome.error).__name__
        if error is not None:
            log_event("item.failed", job=job, index=outcome.index, error=error, seconds=seconds)
        if self._on_item is not None:
            call_hook(self._on_item, ItemFinished(job=job, index=outcome.index, error=error, seconds=seconds))

    def _stop_reading(self, error: BaseException) -> None:
        """Wait for the started items, and then raise the error."""
        if self._raise is None:
            self._raise = error
        assert self._reader is not None
        self._reader.cancel()

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._workers.discard(task)
        self._changed.set()
        if task.cancelled():
            if not self._is_ending:  # cancelled from outside: no item may be missing without an error
                self._stop_reading(GoedGepicktError("a task of the bulk job was cancelled from outside"))
            return
        error = task.exception()
        if error is not None:  # from the items' source, or not a subclass of Exception
            self._stop_reading(error)

    async def _end(self) -> None:
        self._is_ending = True
        if self._reader is not None:
            await cancel_and_wait([self._reader])
        await cancel_and_wait(self._workers)
        self._ended = time.monotonic()


@safe_repr
class OutcomeStream(AsyncOnly, Generic[T, R]):
    """The outcomes of a bulk job, one for each item. The job starts with the iteration.

    Leaving the loop early ends all work. With `async with` (or `aclosing`), the work has ended after the block;
    otherwise it ends a moment later.

    Raises while iterated:
        BulkStoppedError: Too many items failed; raised after the outcomes of all started items.
    """

    _usage = "outcomes are iterated asynchronously: use `async for outcome in …`, or `[outcome async for outcome in …]` for all"

    if not TYPE_CHECKING:
        __await__ = refuse

    def __init__(self, runner: BulkRunner[T, R]) -> None:
        self._runner = runner
        # asyncio closes a forgotten generator, so the tasks must not hold a reference to it.
        self._outcomes = runner.outcomes()

    def __repr__(self) -> str:
        return f"<OutcomeStream {self.progress}>"

    def __aiter__(self) -> Self:
        """Return itself. It can be iterated only once."""
        return self

    async def __anext__(self) -> Outcome[T, R]:
        """Return the next outcome."""
        return await anext(self._outcomes)

    @property
    def progress(self) -> Progress:
        """The progress of the job."""
        return self._runner.progress

    async def aclose(self) -> None:
        """End all work. Writes without a response are in the journal, if there is one."""
        await self._outcomes.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
