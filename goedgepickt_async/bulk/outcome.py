"""What became of one item of a bulk job."""

from __future__ import annotations

from typing import Generic, TypeVar

import attrs

__all__ = ["Outcome"]

T = TypeVar("T")
R = TypeVar("R")


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
    item: T
    result: R | None = None
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
