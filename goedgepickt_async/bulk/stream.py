"""OutcomeStream: a bulk job as an async iterator of its outcomes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractContextManager, aclosing, nullcontext
from types import TracebackType
from typing import Generic, Self, TypeVar

from goedgepickt_async.bulk.engine import Engine
from goedgepickt_async.bulk.outcome import Outcome
from goedgepickt_async.bulk.progress import Progress

__all__ = ["OutcomeStream"]

T = TypeVar("T")
R = TypeVar("R")


class OutcomeStream(Generic[T, R]):
    """The outcomes of a bulk job, one for each item, as they come. Nothing is done before it is iterated.

    Leaving the loop early ends all work. `async with` (or `aclosing`) makes sure that it has ended when the block is
    left; without it, that happens a moment later.

    Raises while iterated:
        BulkStoppedError: Too many items failed; after the outcomes of all that had begun.
    """

    def __init__(
        self, engine: Engine[T, R], opened: Callable[[], AbstractContextManager[object]] = nullcontext
    ) -> None:
        self._engine = engine
        # The generator, not this, is what asyncio ends when it is forgotten; the tasks know neither.
        self._outcomes = _outcomes(engine, opened)

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
        return self._engine.progress

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
    engine: Engine[T, R], opened: Callable[[], AbstractContextManager[object]]
) -> AsyncGenerator[Outcome[T, R]]:
    with opened():
        async with aclosing(engine.outcomes()) as outcomes:
            async for outcome in outcomes:
                yield outcome
