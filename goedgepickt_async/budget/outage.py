"""An outage of Redis: the processes of a host share a file meanwhile, and each host uses its part of the limit."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import uuid
from collections.abc import Awaitable, Callable, Hashable
from functools import partial

import attrs

from goedgepickt_async.budget.config import SECOND, Lane, nanoseconds
from goedgepickt_async.budget.host import HostFile, HostStore
from goedgepickt_async.budget.protocol import Grant
from goedgepickt_async.budget.queue import MovedError, QueuedBudget
from goedgepickt_async.budget.redis_client import RedisStore
from goedgepickt_async.budget.slots import Slots
from goedgepickt_async.budget.store import Operation, Plan
from goedgepickt_async.logs import log_event

__all__ = ["Outage", "number_of_host"]

_REMIND = 600 * SECOND


class Outage(QueuedBudget):
    """The budget of this process during an outage; times in nanoseconds of this process's clock.

    Args:
        redis: The state in Redis as last seen, with the numbers of the whole budget.
        host: The number of this host.
        file_name: The name of the file that the processes of this host share.
        directory: Its directory; None for the default.
        fallback: The part of the limit if the number of sharing hosts is unknown; `each` of `HostStore`.

    Attributes:
        until: The time when it ends for all sharing processes. Until then they report the requests that they sent
            during the outage.
    """

    _first_answer = 1.0  # opening the file

    def __init__(self, redis: RedisStore, host: int, file_name: str, directory: str | None, fallback: float) -> None:
        self.until: int | None = None
        self._redis, self._host_number = redis, host
        config, clock = redis.config, redis.clock
        self._began = clock()
        self._logged_at: int | None = None
        self._has_sent = False
        self._is_closing = False  # in its last moment no request is sent, because it could not be reported to Redis
        self._has_ended = False
        hosts = {demand.host for demand in redis.memory.sharers.values()}
        share = max(1, config.share // max(1, len(hosts)))
        self._told_share = share if hosts else max(1, round(config.limit * fallback))
        # Without knowledge of the others, they may have sent all requests of the window.
        part = attrs.evolve(config, share=share, others=config.limit - (share if hosts else 0))
        each = None if hosts else fallback
        known = redis.memory.part(host, hosts, self._began, config)
        file = HostFile(file_name, directory)
        self.store: HostStore = HostStore(part, file, fallback, clock, each, memory=known)
        super().__init__(self.store, part, clock)

    def begin(self, before: QueuedBudget, operations: list[Operation], reason: str) -> None:
        """Continue the numbering and the listeners of a budget, and the changes that did not reach Redis.

        Args:
            before: The budget.
            operations: The changes.
            reason: The reason of the outage; empty if other processes report one.
        """
        self._listeners, self._numbers = before._listeners, before._numbers  # noqa: SLF001  the same budget, elsewhere
        # The other processes of this host see by the file that this one is there.
        for operation in (_join, *operations):
            self._change(operation)
        if reason:
            self._tell(reason, self._told_share)

    def _tell(self, reason: str, share: int) -> None:
        self._logged_at = self._clock()
        limit, period = self.config.limit, self.config.window
        log_event("budget.degraded", why=f"Redis is away ({reason})", share=share, limit=limit, period=period)

    async def take_until_ended(
        self, lane: Lane, max_lifetime: float, max_wait: float | None, place: int | None, key: Hashable
    ) -> Grant | None:
        """Take a slot during the outage; None if Redis is reachable again."""
        while self._is_closing or self._lacks_neighbours():  # other processes decide
            if self._has_ended:
                return None
            await asyncio.sleep(min(0.02, self._redis.patience / 20))
        try:
            return await self._take(lane, max_lifetime, max_wait, place, key)
        except MovedError:
            return None

    def _transact(self) -> None:
        if self._is_closing:
            self._move_waiting()
        super()._transact()

    def _finish(self, slots: Slots, now: int, plan: Plan) -> None:
        self._has_sent = self._has_sent or bool(plan.grants)
        super()._finish(slots, now, plan)

    def _lacks_neighbours(self) -> bool:
        """Whether processes on this host do not use the file yet, so that it lacks their last requests."""
        if self._has_sent or self._clock() - self._began > nanoseconds(self._redis.patience):
            return False
        there = self.store.peek()[0].sharers
        last_seen = self._redis.memory.neighbours(self._host_number, self.config.cooldown)
        return any(sharer not in there or there[sharer].seen < seen for sharer, seen in last_seen.items())

    async def until_reached(self, report: Callable[[], Awaitable[None]]) -> None:
        """Poll Redis until it responds. Then report until all processes share the budget again.

        Args:
            report: A function that writes `report_operation` into the state in Redis.
        """
        pause = self._redis.retry_every / 32
        while True:
            if self.until is None:
                await asyncio.sleep(pause)
                pause = min(2 * pause, self._redis.retry_every)
                if self._logged_at is not None and self._clock() - self._logged_at > _REMIND:
                    self._tell(self._redis.problem, self.snapshot().share or 0)
            else:
                left = self.until - self._redis.handover - self._clock()
                await asyncio.sleep(max(0.0, min(left / SECOND, 0.25, self._redis.retry_every / 4)))
            try:
                if self.until is None:
                    await report()
                if self._is_over():
                    with self._alone:
                        # A grant of the host after the last report would be unknown to all others.
                        self._is_closing = True
                        self._move_waiting()
                await report()
            except Exception as error:  # noqa: BLE001  still away
                self._redis.problem = f"{type(error).__name__}: {error}"
                self._redis.slots, self.until = None, None
            else:
                if self._is_closing and self._is_over():
                    return
            self._is_closing = False

    def end(self) -> None:
        """The budget in Redis is shared again."""
        self._redis.problem, self._has_ended = "", True
        if self._logged_at is not None:
            log_event("budget.restored", what="Redis is reachable again: the budget is shared again")

    def _is_over(self) -> bool:
        return self.until is None or self.until - self._clock() <= self._redis.handover

    def report_operation(self) -> Operation:
        """The operation that writes this process's requests into Redis's state, and the time until which all are apart.

        This process remembers them also for a state in Redis that is lost.
        """
        here, memory = self._clock(), self.store.memory
        self._redis.memory.learn(memory, here)
        if self.until is None and (self._has_sent or len(self.store.peek()[0].sharers) > 1):
            self.until = here + nanoseconds(self._redis.retry_every + self._redis.patience)
        apart = 0 if self.until is None else self.until - here
        return partial(_report, dict(memory.own), set(memory.in_flight), here, apart)


def _join(slots: Slots, now: int, plan: Plan) -> None:
    """The operation that adds a process to the state."""


def _report(  # noqa: PLR0917
    own: dict[int, int], in_flight: set[int], here: int, apart: int, slots: Slots, now: int, plan: Plan
) -> None:
    """The operation that adds a process's requests of another state; `own` has times of its clock, at `here`."""
    shift = now - here
    slots.absorb({slot: free_at + shift for slot, free_at in own.items() if free_at > here})
    for slot in own.keys() - in_flight:
        slots.lower(slot, own[slot] + shift)
    slots.reopen(in_flight)
    plan.settled += own.keys() - in_flight
    slots.apart_until = max(slots.apart_until, now + apart) if apart else slots.apart_until


def number_of_host() -> int:
    """The number of this host, which is the same in all its processes."""
    name = f"{socket.gethostname()} {uuid.getnode()}"
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6])
