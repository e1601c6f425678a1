"""What the kinds of plans have in common: reading what is there, judging one wish, sending one write."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from goedgepickt_async.bulk.judging_stock import Settled
from goedgepickt_async.bulk.planned import Conflict, PlannedWrite, Unchanged, Verdict, Wish

__all__ = ["Kind"]

P = TypeVar("P")


class Kind(ABC, Generic[P]):
    """One kind of plan, for one client; `P` is what is there of one key.

    Attributes:
        name: Of the kind.
        noun: What its keys are, for people.
        webshop: The webshop that it is for; None: all.
        options: What it was asked for besides, as values that JSON takes.
        reads_in_pages: Whether many keys are read with hardly more requests than one.
    """

    name: ClassVar[str]
    noun: str
    webshop: str | None
    options: Mapping[str, Any]
    reads_in_pages: bool = True

    @abstractmethod
    def wish(self, row: Any, index: int) -> Wish | Conflict:
        """A desired row, checked and in one form."""

    @abstractmethod
    async def read(self, wishes: Sequence[Wish]) -> Mapping[str, P]:
        """What is there, by key, with as few requests as will do; a key that is not in it has nothing there."""

    @abstractmethod
    def judge(self, wish: Wish, present: P | None) -> Verdict:
        """What is to be done."""

    @abstractmethod
    async def send(self, write: PlannedWrite) -> str | None:
        """Make the write; the uuid of what was made or changed, where the answer tells it."""

    def settle(self, write: PlannedWrite, present: P | None) -> tuple[Settled, str | None]:
        """Whether a write whose answer was lost was carried out, by what is there now; and the uuid."""
        verdict = self.judge(write.wish, present)
        if isinstance(verdict, Unchanged):
            return Settled(is_done=True), verdict.uuid
        if isinstance(verdict, PlannedWrite) and verdict.action is write.action and verdict.uuid == write.uuid:
            return Settled(is_done=False), None
        return Settled(None, getattr(verdict, "reason", "what is there is something else")), None
