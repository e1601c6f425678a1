"""RedisBudget: the slots live in Redis, for all processes of all hosts behind one IP.

The state is in `script.py`: completion-keyed slots as in `slots.py`, on the clock of Redis, so that no host's
clock matters. Each event loop has a desk (`desk.py`): one queue, one task that goes to Redis for all in it, one
client. What a process knows is in `standing.py`. Inside one event loop lanes are in strict order and each is
first come first served; between event loops, processes and hosts, whoever asks first when a slot comes free has it.

What Redis must be like:

- Version 6.2 or newer, or something that speaks as it does.
- `maxmemory-policy noeviction`: an evicted key is a forgotten request. A budget takes some 20 kB.
- Nobody flushes it. A process whose rows are missing writes them again before it goes on, as long as it lives; those of
  processes that ended meanwhile are lost. Then only the server's own counter stands between this and a 429.
- A failover may lose the writes of the last moments, as Redis replicates behind its answers; the same holds of a
  restart without persistence. The same remedy applies.
- Its clock may go slowly wrong and may be set back (time then stands still for the budget). A step forward frees
  slots early: a small one eats the guard of a second.

While Redis is away, nobody is stopped and nobody is unlimited: each process keeps to a budget of its own of a stated
fraction of the limit (`fallback`), which is enough for 1 / `fallback` processes. It says so once, as a warning of the
logger `goedgepickt_async.budget`, tries again every few seconds, tells the returned Redis what it sent meanwhile, and
takes up the whole again when all the others have had the time to do so too.
"""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections.abc import Callable
from typing import Any

from goedgepickt_async.budget.protocol import BudgetEvent, BudgetSnapshot, Grant, NeverSent, Outcome
from goedgepickt_async.budget.queue import Pacer
from goedgepickt_async.budget.redis.desk import Desk, exhausted
from goedgepickt_async.budget.redis.fallback import Outage
from goedgepickt_async.budget.redis.standing import Standing, Wanted
from goedgepickt_async.budget.redis.store import RedisClient, Store, client_for_url
from goedgepickt_async.budget.slots import FAR, Lane, LimiterConfig, nanoseconds
from goedgepickt_async.errors import ConfigurationError

__all__ = ["RedisBudget"]

_SECOND = 1_000_000_000

_living: weakref.WeakSet[RedisBudget] = weakref.WeakSet()


class RedisBudget:
    """A budget for everything behind one IP.

    One object serves any number of clients, event loops and threads. All that share a name must be given the same
    numbers. It ends with its event loops, or with `close`.

    Args:
        limit: Requests that the server allows in a period (150; confidence A).
        period: The server's window in seconds (60; confidence B).
        url: Of Redis, as `redis://host:6379/0`; each event loop gets a client of its own. Or else:
        client: What makes a `redis.asyncio` client, called once in each event loop, whose client is closed in the end;
            or such a client itself, for the one event loop that it belongs to, which is not closed.
        name: Of the budget, in the names of its keys; one for each IP (and server).
        safety_margin: Seconds added to the period, for server clocks that tick in whole seconds.
        late_arrival: Seconds after which a request whose client gave up is certain not to be counted any more.
        headroom: Slots that lists and bulk jobs leave to interactive calls at most, and a fifth of the limit at most.
        interactive_interval: Seconds between two interactive calls that there is to be room for: until the next slots come free, lists
            and bulk jobs leave one slot for each.
        use_server_counter: Obey the server's counter too; it makes restarts and strangers on the same IP harmless.
        fallback: The fraction of the limit that this process keeps to while Redis is away.
        retry_every: Seconds between two tries to reach a Redis that is away; the same for all.
        patience: Seconds to wait for an answer of Redis before it counts as away.

    Raises:
        ConfigurationError: Neither or both of `url` and `client`, a bad number or URL, or redis-py is not installed.
    """

    def __init__(
        self,
        limit: int = 150,
        period: float = 60.0,
        *,
        url: str | None = None,
        client: RedisClient | Callable[[], RedisClient] | None = None,
        name: str = "goedgepickt",
        safety_margin: float = 1.0,
        late_arrival: float = 30.0,
        headroom: int = 30,
        interactive_interval: float = 1.0,
        use_server_counter: bool = True,
        fallback: float = 0.25,
        retry_every: float = 3.0,
        patience: float = 1.0,
    ) -> None:
        self.config: LimiterConfig = LimiterConfig(
            limit=limit,
            window=period,
            safety_margin=safety_margin,
            late_arrival=late_arrival,
            headroom=headroom,
            interactive_interval=interactive_interval,
            use_server_counter=use_server_counter,
        )
        _check(name, fallback, retry_every, patience)
        self._name = name
        self._patience = patience
        self._stale = max(nanoseconds(late_arrival), self.config.cooldown // 60)
        self._client = _client_or_maker(url, client, patience)
        self._standing = Standing(self.config, fallback, retry_every, patience)
        self._start_afresh()
        _living.add(self)

    def __repr__(self) -> str:
        return f"RedisBudget(limit={self.config.limit}, period={self.config.window:g}, name={self._name!r})"

    @property
    def limit(self) -> int:
        """Requests in a period."""
        return self.config.limit

    async def take(
        self, lane: Lane, *, max_lifetime: float, max_wait: float | None = None, place: int | None = None
    ) -> Grant:
        """Wait for the right to send one request; see `Budget.take`.

        A Redis that fails is never the caller's trouble. One that hangs may cost up to `patience` beyond `max_wait`.
        """
        if lane is not Lane.BULK or place is not None:  # who was refused has had their turn
            return await self._take(lane, max_lifetime, max_wait, place)
        if max_wait is not None and self._pacer.wait() > max_wait:
            raise exhausted(self._pacer.wait())
        try:
            async with asyncio.timeout(max_wait):
                return await self._pacer.in_turn(lambda: self._take(lane, max_lifetime, None, None))
        except TimeoutError:
            raise exhausted(self.predicted_wait(lane)) from None

    async def _take(self, lane: Lane, max_lifetime: float, max_wait: float | None, place: int | None) -> Grant:
        standing = self._standing
        asked = standing.now()
        wanted = Wanted(
            place=standing.next_place() if place is None else place,
            lane=lane,
            max_lifetime=nanoseconds(max_lifetime),
            asked=asked,
            deadline=None if max_wait is None else asked + nanoseconds(max_wait),
        )
        while True:
            desk, outage = await self._desk_here(), standing.outage
            if outage is None or standing.is_untended(outage):
                grant = await desk.take(wanted)
            else:
                grant = await self._take_from_share(desk, outage, wanted)
            if grant is None:
                continue
            if standing.now() - asked - nanoseconds(grant.waited) < self._stale:
                return grant
            # The loop stood still since it was granted (a suspended machine): it may be somebody else's by now.
            standing.settle(grant, NeverSent())

    def settle(self, grant: Grant, outcome: Outcome) -> None:
        """Say what came of a grant; see `Budget.settle`. It is carried to Redis a moment later."""
        self._standing.settle(grant, outcome)

    def pause(self, retry_after: float | None) -> None:
        """Pause everybody, because the throttle spoke; see `Budget.pause`."""
        self._standing.pause(retry_after)

    def predicted_wait(self, lane: Lane, *, ahead: int = 0) -> float:
        """Seconds that a newcomer in this lane would wait, by the latest answer of Redis; see `Budget.predicted_wait`."""
        standing, outage = self._standing, self._standing.outage
        if outage is not None:
            return outage.share.predicted_wait(lane, ahead=ahead)
        ahead += sum(self._waiting(other) for other in Lane if other <= lane)
        return standing.picture.predicted_wait(standing.now(), ahead, lane, self.config) / _SECOND

    def snapshot(self) -> BudgetSnapshot:
        """The state by the latest answer of Redis, which is as old as this process's latest request.

        Callers are those that wait in this process; everything else is of everybody. While Redis is away, it is the
        state of this process's own share.
        """
        standing, outage = self._standing, self._standing.outage
        if outage is not None:
            return outage.share.snapshot()
        now, seen = standing.now(), standing.picture
        paused = max(0, seen.paused_until - now)
        free = 0 if paused else max(0, seen.free)
        change = None if seen.next_change == FAR else max(0, seen.next_change - now) / _SECOND
        waiting = {lane: self._waiting(lane) for lane in Lane}
        waiting[Lane.BULK] = max(waiting[Lane.BULK], self._pacer.waiting())
        return BudgetSnapshot(
            limit=self.config.limit,
            period=self.config.window,
            used=seen.used,
            free=free,
            in_flight=seen.in_flight,
            next_free_in=0.0 if free else change,
            waiting=waiting,
            foreign_traffic=seen.strangers,
            paused_for=paused / _SECOND,
            throttled=seen.throttled,
        )

    def listen(self, method: Callable[[BudgetEvent], Any]) -> None:
        """Tell a bound method of events; see `Budget.listen`. Strangers are told of whoever's answers show them."""
        self._standing.listeners.add(method)

    async def close(self) -> None:
        """Carry what is left to Redis and close what is open, in whichever event loop; twice is once.

        Whoever waits meanwhile gets a `ClientClosedError`. A later `take` opens anew.
        """
        here = asyncio.get_running_loop()
        with self._lock:
            desks = dict(self._desks)
            self._desks.clear()
            self._standing.desks.clear()
        for loop, desk in desks.items():
            if loop is here:
                await desk.close()
            elif loop.is_running():
                await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(desk.close(), loop))

    # -- inside -------------------------------------------------------------------------------------------------

    def _start_afresh(self) -> None:
        self._lock = threading.Lock()
        self._desks: dict[asyncio.AbstractEventLoop, Desk] = {}
        self._inherited: list[object] = []
        self._pacer = Pacer(self.config.limit, self.config.window)

    def _after_fork(self) -> None:
        inherited = [*self._inherited, self._desks]
        self._start_afresh()
        # Closing the parent's connections here would disturb its selector: keep them alive and untouched.
        self._inherited = inherited
        self._standing.start_afresh()

    async def _desk_here(self) -> Desk:
        """The desk of the running loop."""
        loop = asyncio.get_running_loop()
        with self._lock:
            desk = self._desks.get(loop)
            if desk is not None and not desk.closed:
                return desk
            self._forget_ended_loops()
            desk = Desk(self._standing, self._open_store())
            self._desks[loop] = self._standing.desks[loop] = desk
        # The first step suspends nothing; it registers the generator with the loop, which ends it at shutdown.
        await anext(desk.lifetime)
        return desk

    def _open_store(self) -> Store:
        client = self._client
        if callable(client):
            return Store(client(), self._name, self.config, self._patience, owned=True)
        if self._desks:
            raise ConfigurationError("the Redis client that was passed in belongs to another event loop")
        return Store(client, self._name, self.config, self._patience, owned=False)

    def _forget_ended_loops(self) -> None:
        for loop in [loop for loop, desk in self._desks.items() if loop.is_closed() or desk.closed]:
            del self._desks[loop]
            self._standing.desks.pop(loop, None)

    async def _take_from_share(self, desk: Desk, outage: Outage, wanted: Wanted) -> Grant | None:
        """While Redis is away; None if it came back."""
        left = wanted.left(self._standing.now())
        try:
            async with asyncio.timeout(None) as clock:
                outage.waiting[clock] = asyncio.get_running_loop()
                desk.wake()  # it tries to reach Redis for as long as somebody waits
                try:
                    local = await outage.share.take(
                        wanted.lane,
                        max_lifetime=wanted.max_lifetime / _SECOND,
                        max_wait=None if left is None else left / _SECOND,
                        place=wanted.place,
                    )
                finally:
                    outage.waiting.pop(clock, None)
        except TimeoutError:
            return None
        grant = self._standing.grant_from(outage, wanted, local)
        desk.wake()  # a Redis that is found is told of it at once
        return grant

    def _waiting(self, lane: Lane) -> int:
        return sum(desk.waiting(lane) for desk in list(self._desks.values()))


def _check(name: str, fallback: float, retry_every: float, patience: float) -> None:
    if not name or set(name) & set("{}"):
        raise ConfigurationError("the name of a budget is not empty and has no braces")
    if not 0 < fallback <= 1:
        raise ConfigurationError("fallback is a fraction of the limit, above 0 and at most 1")
    if retry_every <= 0 or patience <= 0:
        raise ConfigurationError("retry_every and patience are seconds, above 0")


def _client_or_maker(
    url: str | None, client: RedisClient | Callable[[], RedisClient] | None, patience: float
) -> RedisClient | Callable[[], RedisClient]:
    if client is not None and url is None:
        return client
    if url is not None and client is None:
        return client_for_url(url, patience)
    raise ConfigurationError("RedisBudget needs either url or client")


def _after_fork_in_child() -> None:
    for budget in list(_living):
        budget._after_fork()  # noqa: SLF001  same module


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
