"""`RedisBudget`: the slots are in Redis, for all hosts behind one IP address. It needs the extra `redis`.

One key has the encoded state of `slots.py`. A transaction decides in Python on the state as last seen, and writes it by
compare-and-set. A short script writes the new state if the old state is unchanged, and otherwise returns the present
state. All times are of Redis's clock, so the clocks of the hosts do not matter. The state contains the waiting calls of
each process. A process that frees a slot early publishes whose turn it is. All others sleep until their slot can become
free.

Requirements for Redis:

- Redis 6.2 or newer, Valkey, or a compatible server; a primary, not a replica.
- The user has the rights EVAL, GET, SET, TIME and PUBLISH for the key and the channel `{name}:*`, and SUBSCRIBE for
  early wake-ups.
- `maxmemory-policy noeviction`, because an evicted key is a lost state. A state takes some kilobytes.
- Its clock may drift or be changed: the processes detect this with their own clocks.

A lost state (a flush, a restart without persistence, an old dump, a failover) is rebuilt. Each process writes back its
requests of the last window, and a single request asks for the server's counter.

While Redis is unreachable, calls continue under a lower limit. The processes of one host share a file as with
`HostBudget`, and each host uses its part of the limit. The logger `goedgepickt_async.budget` logs a warning.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
import threading
import time
from collections.abc import AsyncGenerator, Callable, Hashable
from functools import partial
from typing import Any

import attrs

from goedgepickt_async.budget.config import SECOND, Lane, check_numbers, check_place, limiter_config, nanoseconds
from goedgepickt_async.budget.encoding import HEADER, StateVersionError
from goedgepickt_async.budget.outage import Outage, number_of_host
from goedgepickt_async.budget.protocol import Answered, BudgetSnapshot, Grant, Outcome
from goedgepickt_async.budget.queue import MovedError, QueuedBudget, running_loop
from goedgepickt_async.budget.redis_client import (
    CONNECTING,
    RedisClient,
    RedisStore,
    answers_without_tls,
    client_or_maker,
    close_client,
    is_dropped_connection,
    misconfiguration,
    without_password,
)
from goedgepickt_async.budget.slots import Slots
from goedgepickt_async.budget.store import Plan, settle_operation
from goedgepickt_async.errors import ClientClosedError, ConfigurationError
from goedgepickt_async.text import safe_repr

__all__ = ["DEFAULT_KEY", "RedisBudget", "RedisClient"]

DEFAULT_KEY = "goedgepickt"
"""The default name of a budget."""
_CARRY = 0.5
"""The longest time in seconds for which an outcome is held back, to send it together with others."""
_SCRIPT = """
local state = redis.call('GET', KEYS[1]) or ''
local time = redis.call('TIME')
if string.sub(state, 1, tonumber(ARGV[1])) ~= ARGV[2] then return {0, time[1], time[2], state} end
if ARGV[3] ~= '' then redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4]) end
for sharer in string.gmatch(ARGV[5], '[^,]+') do redis.pcall('PUBLISH', KEYS[1] .. ':wake:' .. sharer, '') end
return {1, time[1], time[2]}
"""
_UNKNOWN = b"?"
"""An unknown state, so that the script returns the present one."""


@attrs.define(eq=False)
class _Link:
    """The connection of one event loop to Redis."""

    client: Any
    owned: bool
    connected: bool = False
    lifetime: AsyncGenerator[None, None] | None = None
    tasks: set[asyncio.Task[Any]] = attrs.field(factory=set)
    listener: asyncio.Task[None] | None = None
    listener_ended: int | None = None
    closing: bool = False


@safe_repr
class RedisBudget(QueuedBudget):
    """A budget for all programs behind one IP address.

    One object serves any number of clients, event loops and threads. All budgets with the same name need the same limit
    and period. It ends with its event loops, or with `close`.

    Args:
        limit: The number of requests that the server allows in a period (150; confidence A). The server's counter
            counts down from it.
        period: The server's window in seconds (60; confidence B).
        share: The number of them that all budgets with this name may use together. The rest is for other programs.
            None: all.
        url: The URL of Redis, such as `redis://host:6379/0`. Each event loop gets its own client. Or pass `client`.
        client: A function that returns a `redis.asyncio` client, also for Sentinel or a cluster. It is called once in
            each event loop, and the client is closed at the end. Or a client for one event loop, which is not closed.
        name: The name of the budget and of its key. Use one name for each IP address and server.
        safety_margin: See `LocalBudget`.
        late_arrival: See `LocalBudget`.
        headroom: See `LocalBudget`.
        interactive_interval: See `LocalBudget`.
        use_server_counter: See `LocalBudget`.
        fallback: The part of the limit of this host during an outage of Redis, and of each process while the server's
            counter shows no other requests. It applies if the number of hosts is unknown; else their parts are equal.
        retry_every: Seconds between two attempts to reach Redis during an outage.
        patience: Seconds to wait for a response before Redis counts as unreachable.
        directory: The directory of the file that the processes of this host share during an outage; see `HostBudget`.
        clock: A function that returns the time of this process in nanoseconds, for tests. It must never go back.

    Raises:
        ConfigurationError: Neither or both of `url` and `client` are given, a number or URL is not valid, or redis-py
            is not installed. The first `take` raises for a wrong password and missing rights.
    """

    _is_carrying: bool = False

    def __init__(
        self,
        limit: int = 150,
        period: float = 60.0,
        *,
        share: int | None = None,
        url: str | None = None,
        client: RedisClient | Callable[[], RedisClient] | None = None,
        name: str = DEFAULT_KEY,
        safety_margin: float = 1.0,
        late_arrival: float = 30.0,
        headroom: int = 30,
        interactive_interval: float = 1.0,
        use_server_counter: bool = True,
        fallback: float = 0.25,
        retry_every: float = 3.0,
        patience: float = 1.0,
        directory: str | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        config = limiter_config(
            limit=limit,
            period=period,
            share=share,
            safety_margin=safety_margin,
            late_arrival=late_arrival,
            headroom=headroom,
            interactive_interval=interactive_interval,
            use_server_counter=use_server_counter,
        )
        check_numbers(fallback=fallback, retry_every=retry_every, patience=patience)
        check_place(name, directory)
        if set(name) & set("{}"):
            raise ConfigurationError("name must have no braces: it is part of Redis's key")
        self._name, self._url = name, url
        self._first_answer = patience * (CONNECTING + 1)
        self._client = client_or_maker(url, client, patience)
        self._key = f"{{{name}}}:slots"
        self._host_number = number_of_host()
        self._links: dict[asyncio.AbstractEventLoop, _Link] = {}
        self._inherited: list[object] = []
        place = without_password(url)
        told_place = f"{place or 'a given client'}, key {self._key}"
        self.store: RedisStore = RedisStore(config, clock, told_place, patience, retry_every)
        file_name = f"redis-{name}-{hashlib.sha256(place.encode()).hexdigest()[:8]}"
        self._new_outage: Callable[[int], Outage] = partial(
            Outage, self.store, file_name=file_name, directory=directory, fallback=fallback
        )
        super().__init__(self.store, config, clock)

    def __repr__(self) -> str:
        return f"RedisBudget(limit={self.config.limit}, period={self.config.window:g}, name={self._name!r})"

    # -- the face -----------------------------------------------------------------------------------------------

    def settle(self, grant: Grant, outcome: Outcome) -> None:
        """Report the outcome of a request; see `Budget.settle`. It is sent to Redis a moment later."""
        outage, loop = self._latest_outage, running_loop()
        if outage is not None and grant.slot in outage.store.memory.in_flight:
            outage.settle(grant, outcome)
        busy = len(self.store.memory.sharers)
        is_urgent = self._outage is not None or self.store.is_cold or not isinstance(outcome, Answered)
        if is_urgent or busy < 2 or loop not in self._links or self._alone.holder == threading.get_ident():
            super().settle(grant, outcome)
            return
        # No call waits for it, so it is sent with the next command, at different times in different processes.
        with self._alone:
            self._operations.append(partial(settle_operation, grant.slot, outcome))
        if not self._is_carrying:
            self._is_carrying = True
            latest = min(_CARRY, 2 * busy * self.store.slack / SECOND)
            loop.call_later(random.uniform(0, latest), self._carry)  # noqa: S311  no secret

    def _carry(self) -> None:
        self._is_carrying = False
        if self._operations:
            self._look_again()

    def pause(self, retry_after: float | None) -> None:
        """Pause all lanes after a 429; see `Budget.pause`."""
        if self._outage is not None:
            self._outage.pause(retry_after)
        super().pause(retry_after)

    def predicted_wait(self, lane: Lane, *, ahead: int = 0, key: Hashable = None) -> float:
        """Return the expected wait in seconds by the state as last seen; see `Budget.predicted_wait`."""
        if self._outage is not None:
            return self._outage.predicted_wait(lane, ahead=ahead, key=key)
        return super().predicted_wait(lane, ahead=ahead, key=key)

    def snapshot(self) -> BudgetSnapshot:
        """Return the state as last seen at the latest request; during an outage, the state of the host."""
        if self._outage is not None:
            host = self._outage.snapshot()
            problem = self.store.problem + (f"; {host.problem}" if host.problem else "")
            return attrs.evolve(host, limit=self.limit, kind="redis", place=self.store.place, problem=problem)
        return super().snapshot()

    async def close(self) -> None:
        """Send the pending outcomes to Redis, and close the connections in all event loops. A second call does nothing.

        A call that still waits gets a `ClientClosedError`. A later `take` connects again.
        """
        here = asyncio.get_running_loop()
        for loop, link in list(self._links.items()):
            if loop is here:
                await self._end_link(loop, link)
            elif loop.is_running():
                await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._end_link(loop, link), loop))

    @property
    def is_settled(self) -> bool:
        """Whether all outcomes of this process are in Redis."""
        return not self._operations and self._working is None

    # -- inside -------------------------------------------------------------------------------------------------

    def _start_afresh(self) -> None:
        super()._start_afresh()
        # Closing the parent's connections in the child would disturb the parent's selector, so they stay open.
        self._inherited = [*self._inherited, self._links]
        self._links = {}
        self._outage: Outage | None = None
        self._latest_outage: Outage | None = None  # its requests may not be settled yet
        self._recovery: asyncio.Task[None] | None = None
        self._working: tuple[asyncio.AbstractEventLoop, int] | None = None
        self._work_again = False
        self._is_carrying = False
        self._looks = False
        self._reopening: set[asyncio.Task[None]] = set()

    def _stale_after(self, max_lifetime: float) -> int:
        return max(nanoseconds(max_lifetime), self.config.cooldown // 60)

    async def _take(
        self, lane: Lane, max_lifetime: float, max_wait: float | None, place: int | None, key: Hashable
    ) -> Grant:
        asked = self._clock()
        while True:
            left = None if max_wait is None else max(0.0, max_wait - (self._clock() - asked) / SECOND)
            await self._link_here()
            outage = self._outage
            if outage is None:
                try:
                    return await super()._take(lane, max_lifetime, left, place, key)
                except MovedError:
                    continue
            self._recover(asyncio.get_running_loop(), outage)
            grant = await outage.take_until_ended(lane, max_lifetime, left, place, key)
            if grant is not None:
                return attrs.evolve(grant, waited=(self._clock() - asked) / SECOND)

    # -- transactions -------------------------------------------------------------------------------------------

    def _transact(self) -> None:
        """Start a transaction in this loop, unless one is running. Called within `_alone`."""
        loop = running_loop()
        link = None if loop is None else self._links.get(loop)
        if loop is None or link is None or link.closing:
            if not self._wake_a_loop() and loop is not None and link is None:
                self._reopening.add(task := loop.create_task(self._reopen()))
                task.add_done_callback(self._reopening.discard)
            return
        if self._outage is not None:  # what was settled is carried by `_until_reached`
            return
        if self._working is not None:
            other, since = self._working
            stuck = self._clock() - since > nanoseconds(self.store.patience * (CONNECTING + 2))
            if not other.is_closed() and not stuck:
                self._work_again = True
                return
        self._working = (loop, self._clock())
        task = loop.create_task(self._work(loop, link))
        link.tasks.add(task)
        task.add_done_callback(link.tasks.discard)

    async def _work(self, loop: asyncio.AbstractEventLoop, link: _Link) -> None:
        """Run transactions until nothing is left to do at the moment."""
        try:
            while True:
                self._work_again = False
                await self._transaction(link)
                if not self._work_again or self._outage is not None:
                    return
        except Exception as error:  # noqa: BLE001  redis-py's, the network's, a client's of another make
            self._failed(link, error, is_plain=not self.store.reached and await answers_without_tls(self._url))
        finally:
            with self._alone:
                if self._working is not None and self._working[0] is loop:
                    self._working = None
                again, self._work_again = self._work_again, False
            if again:
                self._wake_a_loop()

    def _wake_a_loop(self) -> bool:
        """Ask a running loop to check again. Return whether there is one."""
        for loop, link in list(self._links.items()):
            if not loop.is_closed() and not link.closing:
                with contextlib.suppress(RuntimeError):
                    loop.call_soon_threadsafe(self._look_again)
                    return True
        return False

    async def _reopen(self) -> None:
        """An outcome was reported after the budget was closed: send it to Redis."""
        await self._link_here()
        self._look_again()

    async def _transaction(self, link: _Link) -> None:
        """Decide on the state as last seen and write it. If the state has changed, decide again."""
        store = self.store
        for attempt in range(1000):
            if store.slots is None or self._looks:
                self._looks = False
                await self._exchange(link, _UNKNOWN, b"", [])
            with self._alone:
                slots, before = store.slots, store.data
                if slots is None:
                    continue
                apart = 0 if self._outage is not None else slots.apart_until - store.now
                if apart > store.handover:
                    self._begin_outage(link, "", self._clock() + apart)
                    return
                plan, data, wakes = self._decide(slots) if apart <= 0 else (Plan(), b"", [])
            if apart > 0:  # the others report their last requests
                await asyncio.sleep(apart / SECOND)
                continue
            if not data and not wakes:
                return
            sent = self._clock()
            reply = await self._exchange(link, before[:HEADER], data, wakes)
            if reply is not None:
                if data:
                    with self._alone:
                        store.slots, store.data, store.changed = slots, data, False
                        store.memory.is_uncertain = False
                        store.note_time(reply, sent)
                        self._finish(slots, store.now, plan)
                return
            store.memory.is_uncertain = False
            if attempt:  # other processes write too: leave them time
                await asyncio.sleep(random.uniform(0, attempt * store.slack / SECOND))  # noqa: S311  no secret

    def _decide(self, slots: Slots) -> tuple[Plan, bytes, list[int]]:
        """Decide on this state. Return the plan, the new state, and the processes to notify.

        If nothing changes, the new state is empty and the plan is already carried out.
        """
        store, now = self.store, self.store.now
        could = slots.can_take(now, Lane.INTERACTIVE) and slots.free(now)
        plan = self._plan(slots, now, now + store.slack)
        if not plan.changed and not store.changed:
            # A slot is free and it is the turn of another process, which may sleep: notify it once.
            wakes = slots.next_in_line(now)[:1] if plan.yielded and self._yielding_since is None else []
            self._finish(slots, now, plan)
            return plan, b"", wakes
        slots.sequence += 1
        slots.at = now
        can = slots.can_take(now, Lane.INTERACTIVE) and slots.free(now)
        # The waiting processes know what time alone changes. Wake them after a turn, or after an early release.
        wakes = slots.next_in_line(now) if plan.grants or can > could else []
        store.slots = None  # until the write is confirmed
        store.memory.is_uncertain = True
        return plan, slots.encode(), wakes

    async def _exchange(self, link: _Link, token: bytes, data: bytes, wakes: list[int]) -> int | None:
        """Ask Redis to write. Return its time, or None if the state had changed; then the present state is loaded.

        Raises:
            Exception: Any error of the client; TimeoutError without a response in time.
        """
        sent = self._clock()
        keep = 20 * self.config.cooldown // 1_000_000
        wake = ",".join(map(str, wakes))
        arguments = ("EVAL", _SCRIPT, 1, self._key, HEADER, token, data, keep, wake)
        reply: Any = None
        for last_try in (False, True):
            try:
                async with asyncio.timeout(self.store.patience * (1 if link.connected else CONNECTING)):
                    reply = await link.client.execute_command(*arguments, NEVER_DECODE=True)
                break
            except Exception as error:
                # An idle connection may have been closed (a proxy, a failover): try once more with a new one.
                was_connected, link.connected = link.connected, False
                if last_try or not was_connected or not is_dropped_connection(error):
                    raise
        link.connected = True
        told = int(reply[1]) * SECOND + int(reply[2]) * 1_000
        self._reached(link)
        if int(reply[0]):
            self.store.reached = True  # a read-only replica can only be read
            return told
        with self._alone:
            self.store.load(bytes(reply[3]), told, sent)
        return None

    # -- an outage ----------------------------------------------------------------------------------------------

    def _reached(self, link: _Link) -> None:
        ended = link.listener_ended
        if link.listener is not None and (ended is None or self._clock() - ended < nanoseconds(self.store.retry_every)):
            return
        if not link.closing and hasattr(link.client, "pubsub"):
            link.listener_ended = None
            link.listener = asyncio.get_running_loop().create_task(self._listen(link))

    def _failed(self, link: _Link, error: Exception, *, is_plain: bool = False) -> None:
        """Handle an error of Redis: a setting is wrong, or Redis is unreachable."""
        reason = f"{type(error).__name__}: {error}"
        remedy = None if self.store.reached else misconfiguration(error)
        if is_plain:
            remedy = "its port does not use TLS: write redis:// instead of rediss://"
        with self._alone:
            self.store.slots = None
            self.store.problem = reason
            if remedy is not None or isinstance(error, StateVersionError):
                told = remedy or "another version of goedgepickt-async uses this key: pass another name="
                for waiter in list(self._queue):
                    self._reject(waiter, ConfigurationError(f"RedisBudget at {self.store.place}: {told} ({reason})"))
                self._operations.clear()
                return
            self._begin_outage(link, reason)

    def _begin_outage(self, link: _Link, reason: str, until: int | None = None) -> None:
        """Use the slots of this host: Redis is away, or (`until`) other processes report requests of their outage."""
        if link.closing and until is not None:
            return
        if self._outage is None:
            outage = self._outage = self._latest_outage = self._new_outage(self._host_number)
            outage.until = until
            outage.begin(self, self._operations, reason)
        self._move_waiting()
        if not link.closing:
            self._recover(asyncio.get_running_loop(), self._outage)

    def _recover(self, loop: asyncio.AbstractEventLoop, outage: Outage) -> None:
        """Try to reach Redis until the outage ends, in the first loop that needs it."""
        if self._recovery is None or self._recovery.done() or self._recovery.get_loop().is_closed():
            link = self._links[loop]
            self._recovery = loop.create_task(self._until_reached(link, outage))
            link.tasks.add(self._recovery)
            self._recovery.add_done_callback(link.tasks.discard)

    async def _until_reached(self, link: _Link, outage: Outage) -> None:
        await outage.until_reached(partial(self._report, link, outage))
        self._outage = None
        outage.end()

    async def _report(self, link: _Link, outage: Outage) -> None:
        """Write the requests of this process into Redis's state, and the time until which all use their hosts."""
        with self._alone:
            operation = outage.report_operation()
            self.store.slots = None  # decide on what is there
            self._operations.append(operation)
        await self._transaction(link)
        assert self.store.slots is not None
        apart = self.store.slots.apart_until - self.store.now
        if apart > 0:
            outage.until = self._clock() + apart

    # -- one event loop -----------------------------------------------------------------------------------------

    async def _link_here(self) -> _Link:
        loop = asyncio.get_running_loop()
        link = self._links.get(loop)
        if link is not None:
            return link
        with self._alone:
            for ended in [other for other in self._links if other.is_closed()]:
                del self._links[ended]
            client = self._client
            if not callable(client) and self._links:
                raise ConfigurationError("the Redis client that was passed in belongs to another event loop")
            link = _Link(client() if callable(client) else client, owned=callable(client))
            if not hasattr(link.client, "execute_command"):
                raise ConfigurationError("client= must be a client of redis.asyncio or a function that returns one")
            self._links[loop] = link
        link.lifetime = self._until_loop_ends(loop, link)
        # The first step registers the generator with the loop, which closes it at shutdown.
        await anext(link.lifetime)
        return link

    async def _until_loop_ends(self, loop: asyncio.AbstractEventLoop, link: _Link) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            await self._end_link(loop, link)

    async def _end_link(self, loop: asyncio.AbstractEventLoop, link: _Link) -> None:
        if self._links.get(loop) is not link:
            return
        link.closing = True
        tasks = [task for task in (*link.tasks, link.listener) if task is not None and not task.done()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=self.store.patience)
        with self._alone:
            if self._working is not None and self._working[0] is loop:
                self._working = None  # a task that was cancelled before its start cleans up nothing
            for waiter in [waiter for waiter in self._queue if waiter.loop is loop]:
                self._reject(
                    waiter, ClientClosedError("the budget was closed while this call waited for the rate limit")
                )
        if self._operations and self._outage is None:
            with contextlib.suppress(Exception):
                await self._transaction(link)
        self._links.pop(loop, None)
        if self._operations or len(self._queue):
            self._wake_a_loop()
        if link.owned:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(self.store.patience):
                    await close_client(link.client)

    async def _listen(self, link: _Link) -> None:
        """Check immediately when it is this process's turn. Without the right to subscribe, it polls."""
        pubsub = link.client.pubsub()
        try:
            await pubsub.subscribe(f"{self._key}:wake:{self.store.sharer}")
            task = asyncio.current_task()
            # redis-py may swallow a cancellation while it connects.
            while not link.closing and (task is None or not task.cancelling()):
                if await pubsub.get_message(ignore_subscribe_messages=True, timeout=60) is not None:
                    self._looks = True
                    self._look_again()
        except Exception:  # noqa: BLE001  then it looks now and then; the next answer begins this anew
            if link.connected and not link.closing:  # Redis may be away: see, and let the others of this host know
                self._looks = True
                self._look_again()
        finally:
            link.listener_ended = self._clock()
            with contextlib.suppress(Exception):
                await pubsub.aclose()
