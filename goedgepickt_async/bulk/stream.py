"""OutcomeStream: a bulk job as an async iterator of its outcomes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Generic, Self, TypeVar

from goedgepickt_async.bulk.outcome import Outcome
from goedgepickt_async.bulk.progress import Progress

__all__ = ["OutcomeStream"]

T = TypeVar("T")
R = TypeVar("R")


class OutcomeStream(Generic[T, R]):
    """The outcomes of a bulk job, one for each item, as they come. Nothing is done before it is iterated.

    Leaving the loop early ends all work. `async with` (or `aclosing`) makes sure that it has ended when the block is
    left; without it, that happens a moment later.

    Raises, while iterated:
        BulkStoppedError: Too many items failed; after the outcomes of all that had begun.
    """

    def __aiter__(self) -> AsyncIterator[Outcome[T, R]]:
        """Itself: it can be gone through once."""
        raise NotImplementedError

    async def __anext__(self) -> Outcome[T, R]:
        """The next outcome."""
        raise NotImplementedError

    @property
    def progress(self) -> Progress:
        """How far it is."""
        raise NotImplementedError

    async def aclose(self) -> None:
        """End all work. What was sent without an answer is in the journal, if there is one."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
