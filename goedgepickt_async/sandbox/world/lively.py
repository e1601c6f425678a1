"""A warehouse at work: orders arrive, are picked, packed, shipped and delivered, by themselves and by a seed."""

from __future__ import annotations

import random
from collections import deque
from typing import Final

from goedgepickt_async.sandbox.world.lifecycle import ActionError
from goedgepickt_async.sandbox.world.world import World

__all__ = ["Lively"]

_HAPPENS: Final = {"arrive": 36, "advance": 38, "deliver": 12, "restock": 6, "cancel": 4, "return": 2, "correct": 2}
"""How often which thing happens, in a hundred."""
_LOOKED_AT: Final = 40
_ON_THE_WAY: Final = 1000
_NEXT: Final = {"new": "reserve", "on_hold": "reserve", "ready": "pick", "picking": "pick", "picked": "pack"}


class Lively:
    """Makes one thing happen at a time; the same seed and world make the same things happen.

    Args:
        seed: What the drawing begins with.
    """

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed)  # noqa: S311 - play data
        self._on_the_way: deque[str] = deque(maxlen=_ON_THE_WAY)

    def step(self, world: World) -> str:
        """Let something happen, and return what: `arrive`, `advance`, `deliver` or another.

        What cannot happen now (there is nothing to deliver, for one) becomes an arrival, or the next step of an order.
        """
        (what,) = self._draw.choices(list(_HAPPENS), list(_HAPPENS.values()))
        try:
            if getattr(self, f"_{what}")(world):
                return what
        except (ActionError, KeyError):  # an order that was changed or deleted meanwhile
            pass
        if self._advance(world):
            return "advance"
        self._arrive(world)
        return "arrive"

    def _arrive(self, world: World) -> bool:
        if not world.settings.products:
            return False
        world.place_order(webshop=self._draw.randrange(world.settings.webshops))
        return True

    def _advance(self, world: World) -> bool:
        """Take one of the oldest orders that can move one step further."""
        moving = [uuid for uuid in self._oldest(world) if world.stage(uuid) in {*_NEXT, "packed"}]
        if not moving:
            return False
        uuid = self._draw.choice(moving[:10])
        action = _NEXT.get(world.stage(uuid), "ship")
        world.act(uuid, action)
        if action == "ship":
            self._on_the_way.append(uuid)
        return True

    def _deliver(self, world: World) -> bool:
        if not self._on_the_way:
            return False
        world.deliver(self._on_the_way.popleft())
        return True

    def _restock(self, world: World) -> bool:
        return self._one(world, "waiting", "restock")

    def _cancel(self, world: World) -> bool:
        return self._one(world, self._draw.choice(["new", "ready", "waiting"]), "cancel")

    def _correct(self, world: World) -> bool:
        return self._one(world, "ready", "backorder")

    def _return(self, world: World) -> bool:
        if not self._on_the_way:
            return False
        world.act(self._on_the_way.popleft(), "return")
        return True

    def _one(self, world: World, stage: str, action: str) -> bool:
        fitting = [uuid for uuid in self._oldest(world) if world.stage(uuid) == stage]
        if fitting:
            world.act(self._draw.choice(fitting), action)
        return bool(fitting)

    def _oldest(self, world: World) -> list[str]:
        orders = sorted(index for index in world.allocator.orders() if world.orders.lives(index))
        completed = (index for index in orders if world.order_status(index) != "completed")
        return [world.orders.uuid(index) for index, _ in zip(completed, range(_LOOKED_AT), strict=False)]
