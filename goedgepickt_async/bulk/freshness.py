"""Whether what a plan has read is still young enough to be written to; else it is read again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

from goedgepickt_async.bulk.kinds import Kind
from goedgepickt_async.bulk.planned import PlannedWrite, Unchanged
from goedgepickt_async.errors import ConflictError

__all__ = ["Freshness"]

P = TypeVar("P")


class Freshness(Generic[P]):
    """Keeps what is known of the present state of a plan's writes young.

    Args:
        kind: What reads.
        read_at: When the plan read, in Unix seconds.
        max_age: Seconds that a reading may be old; None: any age.
        clock: The time in Unix seconds.
        left: The writes that are still to be made, all of which are read again at once where that is cheap.
    """

    def __init__(
        self,
        kind: Kind[P],
        read_at: float,
        max_age: float | None,
        clock: Callable[[], float],
        left: Callable[[], Sequence[PlannedWrite]],
    ) -> None:
        self._kind = kind
        self._read_at = read_at
        self._max_age = max_age
        self._clock = clock
        self._left = left
        self._present: Mapping[str, P] | None = None
        self._covered: frozenset[str] = frozenset()
        self._alone = asyncio.Lock()

    async def checked(self, write: PlannedWrite, *, not_before: float = 0.0) -> PlannedWrite | Unchanged:
        """The write, with what is known of the present by now; or that its wish is fulfilled already.

        Args:
            write: As it was planned.
            not_before: A reading from before this moment is too old in any case, in Unix seconds.

        Raises:
            ConflictError: What is there is not what the plan was made from.
        """
        if self._kind.reads_in_pages:
            async with self._alone:  # one reading serves all that wait for it
                if self._is_old(self._read_at, not_before):
                    await self._read_again(write)
                elif self._present is None or write.key not in self._covered:
                    return write
                present = self._present.get(write.key) if self._present is not None else None
        elif self._is_old(self._read_at, not_before):
            present = (await self._kind.read([write.wish])).get(write.key)
        else:
            return write
        return self._compared(write, present)

    async def present(self, write: PlannedWrite) -> P | None:
        """What is there now."""
        return (await self._kind.read([write.wish])).get(write.key)

    async def _read_again(self, write: PlannedWrite) -> None:
        began = self._clock()
        wishes = {left.key: left.wish for left in (*self._left(), write)}
        self._present = await self._kind.read(list(wishes.values()))
        self._covered = frozenset(wishes)
        self._read_at = began

    def _is_old(self, read_at: float, not_before: float) -> bool:
        if read_at <= not_before:
            return True
        if self._max_age is None:
            return False
        age = self._clock() - read_at
        return age > self._max_age or age < 0  # a clock that was set back says nothing

    def _compared(self, write: PlannedWrite, present: P | None) -> PlannedWrite | Unchanged:
        verdict = self._kind.judge(write.wish, present)
        if isinstance(verdict, Unchanged):
            return verdict
        if not isinstance(verdict, PlannedWrite):
            raise ConflictError(f"{write.key}: changed since the plan was made: {verdict.reason}; nothing was sent")
        if (verdict.action, verdict.uuid, verdict.changes) != (write.action, write.uuid, write.changes):
            raise ConflictError(
                f"{write.key}: {_what_changed(write, verdict)} since the plan was made; nothing was sent"
            )
        return verdict


def _what_changed(planned: PlannedWrite, now: PlannedWrite) -> str:
    """Names fields, no values: those may be personal."""
    if planned.action is not now.action:
        return "it was created or removed"
    if planned.uuid != now.uuid:
        return "another one has taken its place"
    before = {change.field: change.before for change in planned.changes}
    differing = [change.field for change in now.changes if before.get(change.field, object()) != change.before]
    gone = [name for name in before if name not in {change.field for change in now.changes}]
    return ", ".join(differing + gone) + " changed"
