"""Rows of one kind: generated ones that are made when they are read, changed and new ones that are kept."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from goedgepickt_async.sandbox.world.identity import Identity

__all__ = ["Row", "Table"]

Row = dict[str, Any]
"""One thing as the API serves it."""


class Table(Sequence[Row]):
    """A sequence of the rows that live, oldest first, behind numbers that never change.

    Every row has a number (its *index*): generated rows come first, new ones count on. Deleting leaves a hole.
    As a sequence, `table[0]` is the oldest living row whatever its number is.
    """

    def __init__(
        self,
        kind: str,
        generated: int,
        make: Callable[[int], Row],
        identity: Identity,
        dress: Callable[[int, Row], Row] | None = None,
    ) -> None:
        """Take the kind's name, how many rows are generated, the function that makes one, and one that completes it.

        `dress` adds, at each reading, what is kept elsewhere (a product's stock, an order's shipments).
        """
        self.kind = kind
        self.generated = generated
        self.size: int = generated
        self.version: int = 0
        """Grows with every change, so that what was computed from the rows can be kept until then."""
        self._make = make
        self._dress = dress
        self._identity = identity
        self._kept: dict[int, Row] = {}
        self._deleted: set[int] = set()
        self._living: tuple[int, Sequence[int]] = (0, range(generated))

    def uuid(self, index: int) -> str:
        """Return the uuid of row `index`."""
        return self._identity.uuid(self.kind, index)

    def find(self, uuid: str) -> int | None:
        """Return the index of the living row with this uuid, or None."""
        index = self._identity.index(self.kind, uuid)
        return index if index is not None and self.lives(index) else None

    def lives(self, index: int) -> bool:
        """Whether row `index` exists and is not deleted."""
        return 0 <= index < self.size and index not in self._deleted

    def row(self, index: int) -> Row:
        """Return row `index` as the API serves it, as an object of its own; to change the row use `put`."""
        bare = self.bare(index)
        return bare if self._dress is None else self._dress(index, bare)

    def bare(self, index: int) -> Row:
        """Return a copy of row `index` without what `dress` adds."""
        kept = self._kept.get(index)
        return self._make(index) if kept is None else dict(kept)

    def put(self, index: int, row: Row) -> None:
        """Keep this row from now on in the place of what was there."""
        self._kept[index] = row
        self.version += 1

    def add(self, row: Row) -> int:
        """Append a row and return its index."""
        index = self.size
        self.size += 1
        self.put(index, row)
        return index

    def delete(self, index: int) -> None:
        """Take a row away; its number is not given again."""
        self._deleted.add(index)
        self.version += 1

    def restore(self, index: int) -> None:
        """Bring a deleted row back to where it was."""
        self._deleted.discard(index)
        self.version += 1

    def keeps(self, index: int) -> bool:
        """Whether row `index` was changed or added, so that it no longer follows from the seed."""
        return index in self._kept

    def kept(self) -> list[int]:
        """Return the indices of changed and new rows that live, in order."""
        return sorted(index for index in self._kept if index not in self._deleted)

    def living(self) -> Sequence[int]:
        """Return the indices of all living rows, in order."""
        if self._living[0] != self.version:
            self._living = (self.version, self._gather())
        return self._living[1]

    def _gather(self) -> Sequence[int]:
        if not self._deleted:
            return range(self.size)
        return array("I", (index for index in range(self.size) if index not in self._deleted))

    def __len__(self) -> int:
        """How many rows live."""
        return self.size - len(self._deleted)

    def __getitem__(self, position: Any) -> Any:
        """Return the living row at a position, or a list of rows for a slice."""
        if isinstance(position, slice):
            return [self.row(index) for index in self.living()[position]]
        return self.row(self.living()[position])

    def __iter__(self) -> Iterator[Row]:
        """Yield the living rows, oldest first."""
        return (self.row(index) for index in self.living())
