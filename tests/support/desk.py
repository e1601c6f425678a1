"""Slots to play with by hand: the time in seconds, an exchange in one line."""

from __future__ import annotations

from goedgepickt_async.budget.slots import Lane, LimiterConfig, Slots, nanoseconds

__all__ = ["Desk"]


class Desk:
    """A limit of 100 in 60 seconds, unless a test says otherwise."""

    def __init__(self, limit: int = 100, **config: float) -> None:
        self.slots = Slots(LimiterConfig(limit=limit, **config))  # type: ignore[arg-type]

    def try_take(self, at: float, max_lifetime: float = 30.0) -> int | None:
        return self.slots.take(nanoseconds(at), Lane.INTERACTIVE, nanoseconds(max_lifetime))

    def take(self, at: float, max_lifetime: float = 30.0) -> int:
        slot = self.try_take(at, max_lifetime)
        assert slot is not None
        return slot

    def answer(self, slot: int, at: float, count: int | None) -> None:
        self.slots.answered(slot, nanoseconds(at), count)

    def exchange(self, sent: float, answered: float, count: int | None) -> None:
        self.answer(self.take(sent), answered, count)

    def free(self, at: float) -> int:
        return self.slots.free(nanoseconds(at))

    def counted(self, at: float) -> int | None:
        """How far the server's counter may have come, by what its answers told; None: nothing is known."""
        self.slots.free(nanoseconds(at))
        highest = self.slots._counter.highest
        return None if highest is None else highest + self.slots._may_still_arrive(nanoseconds(at))

    def how_many_go(self, at: float) -> int:
        """How many requests may leave at one moment; they are given back."""
        taken = []
        while (slot := self.try_take(at)) is not None:
            taken.append(slot)
        for slot in taken:
            self.slots.give_back(slot)
        return len(taken)
