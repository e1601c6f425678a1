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
import socket
import threading
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Hashable
from functools import partial
from pathlib import Path
from typing import Any

import attrs

from goedgepickt_async.budget.config import FAR, Lane, nanoseconds
from goedgepickt_async.budget.host import HostFile, HostStore
from goedgepickt_async.budget.local import limiter_config
from goedgepickt_async.budget.protocol import Answered, BudgetSnapshot, Grant, Outcome
from goedgepickt_async.budget.queue import Plan, QueuedBudget, running_loop, settle_operation
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
from goedgepickt_async.budget.slots import Slots, StateVersionError
from goedgepickt_async.budget.waiting import Waiter
from goedgepickt_async.errors import ClientClosedError, ConfigurationError
from goedgepickt_async.logs import log_event
from goedgepickt_async.text import safe_repr

__all__ = ["DEFAULT_KEY", "RedisBudget", "RedisClient"]

DEFAULT_KEY = "goedgepickt"
"""The default name of a budget."""
_SECOND = 1_000_000_000
_POLL = 3
"""The part of a window after which a waiting process checks again without a notification."""
_CARRY = 0.5
"""The longest time in seconds for which an outcome is held back, to send it together with others."""
_REMIND = 600 * _SECOND
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


class _ApartError(Exception):
    """The sharing processes use the slots of their hosts for this number of nanoseconds."""

    def __init__(self, nanoseconds: int) -> None:
        super().__init__(nanoseconds)
        self.nanoseconds = nanoseconds


class _AwayError(Exception):
    """Redis is unreachable: the waiting call continues with the slots of its host."""


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


@attrs.define(eq=False)
class _Outage:
    """An outage of Redis; times in nanoseconds of this process's clock.

    Attributes:
        began: The time of its start.
        until: The time when it ends for all sharing processes. Until then they report the requests that they sent
            during the outage.
        told_at: The time of the last log record; None before the first one.
        has_sent: Whether this process sent requests during the outage.
        is_closing: Whether its last moment has begun, in which no request is sent, because it could not be reported to
            Redis.
        waiting: The calls that wait for slots of the host, each with its loop; they are called back at the end of the
            outage.
    """

    began: int
    until: int | None = None
    told_at: int | None = None
    has_sent: bool = False
    is_closing: bool = False
    waiting: dict[asyncio.Timeout, asyncio.AbstractEventLoop] = attrs.field(factory=dict)


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
        fallback: The part of the limit that each process adds to its host's part during an outage of Redis. It applies
            if the number of sharing hosts is unknown. Otherwise each host uses an equal part.
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
            window=period,
            share=share,
            safety_margin=safety_margin,
            late_arrival=late_arrival,
            headroom=headroom,
            interactive_interval=interactive_interval,
            use_server_counter=use_server_counter,
        )
        _check(name, fallback, retry_every, patience)
        self._name, self._fraction, self._url = name, fallback, url
        self._retry_every, self._patience = retry_every, patience
        self._first_answer = patience * (CONNECTING + 1)
        self._client = client_or_maker(url, client, patience)
        self._directory = directory
        self._file_name = f"redis-{name}-{hashlib.sha256(without_password(url).encode()).hexdigest()[:8]}"
        self._key = f"{{{name}}}:slots"
        self._host_number = _number_of_host()
        self._links: dict[asyncio.AbstractEventLoop, _Link] = {}
        self._inherited: list[object] = []
        self.store: RedisStore = RedisStore(
            config, clock, f"{without_password(url) or 'a given client'}, key {self._key}"
        )
        super().__init__(self.store, config, clock)

    def __repr__(self) -> str:
        return f"RedisBudget(limit={self.config.limit}, period={self.config.window:g}, name={self._name!r})"

    # -- the face -----------------------------------------------------------------------------------------------

    def settle(self, grant: Grant, outcome: Outcome) -> None:
        """Report the outcome of a request; see `Budget.settle`. It is sent to Redis a moment later."""
        host, loop = self._host_budget, running_loop()
        if host is not None:
            host.settle(grant, outcome)
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
            latest = min(_CARRY, 2 * busy * self.store.slack / _SECOND)
            loop.call_later(random.uniform(0, latest), self._carry)  # noqa: S311  no secret

    def _carry(self) -> None:
        self._is_carrying = False
        if self._operations:
            self._look_again()

    def pause(self, retry_after: float | None) -> None:
        """Pause all lanes after a 429; see `Budget.pause`."""
        if self._outage is not None and self._host_budget is not None:
            self._host_budget.pause(retry_after)
        super().pause(retry_after)

    def predicted_wait(self, lane: Lane, *, ahead: int = 0, key: Hashable = None) -> float:
        """Return the expected wait in seconds by the state as last seen; see `Budget.predicted_wait`."""
        if self._outage is not None and self._host_budget is not None:
            return self._host_budget.predicted_wait(lane, ahead=ahead, key=key)
        return super().predicted_wait(lane, ahead=ahead, key=key)

    def snapshot(self) -> BudgetSnapshot:
        """Return the state as last seen at the latest request; during an outage, the state of the host."""
        if self._outage is not None and self._host_budget is not None:
            host = self._host_budget.snapshot()
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
        self._outage: _Outage | None = None
        self._host_budget: QueuedBudget | None = None
        self._recovery: asyncio.Task[None] | None = None
        self._working: tuple[asyncio.AbstractEventLoop, int] | None = None
        self._work_again = False
        self._is_carrying = False
        self._looks = False
        self._reopening: set[asyncio.Task[None]] = set()

    def _host(self) -> int:
        return self._host_number

    def _stale_after(self, max_lifetime: float) -> int:
        return max(nanoseconds(max_lifetime), self.config.cooldown // 60)

    async def _take(
        self, lane: Lane, max_lifetime: float, max_wait: float | None, place: int | None, key: Hashable
    ) -> Grant:
        asked = self._clock()
        while True:
            left = None if max_wait is None else max(0.0, max_wait - (self._clock() - asked) / _SECOND)
            await self._link_here()
            outage = self._outage
            if outage is None:
                try:
                    return await super()._take(lane, max_lifetime, left, place, key)
                except _AwayError:
                    continue
            grant = await self._take_from_host(outage, lane, max_lifetime, left, place, key)
            if grant is not None:
                return attrs.evolve(grant, waited=(self._clock() - asked) / _SECOND)

    def _look_again_in(self, slots: Slots, now: int, first: Waiter, ahead: int) -> int:
        leaves = first.lane is not Lane.INTERACTIVE and slots.config.headroom_kept > 0
        busy = sum(1 for demand in slots.sharers.values() if any(demand.calls))
        each = (
            2 * self.store.slack * min(busy, ahead) // max(1, ahead)
        )  # otherwise all processes try at the same time, and all but one fail
        wake = slots.nth_change(now, ahead + leaves, each)
        room = slots.room_from(now) if leaves else FAR
        if room < FAR:  # otherwise slots must become free first
            wake = max(wake, min(room, now + self.config.part(_POLL)))
        poll = self.config.part(_POLL) * random.uniform(0.8, 1.0)  # noqa: S311  not all at once
        return min(max(wake - now, self.store.slack), round(poll))

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
            stuck = self._clock() - since > nanoseconds(self._patience * (CONNECTING + 2))
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
                if not self._work_again:
                    return
        except _ApartError as error:
            self._fall_apart(link, error)
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
        next_ones: list[int] = []
        for attempt in range(1000):
            if store.slots is None or (attempt == 0 and self._must_look()):
                await self._exchange(link, _UNKNOWN, b"", "")
            with self._alone:
                slots, now = store.slots, store.now
                if slots is None:
                    continue
                apart, handover = slots.apart_until - now, self._handover
                if self._outage is None and apart > handover:
                    raise _ApartError(apart)
            if self._outage is None and apart > 0:  # the others say what they sent last
                await asyncio.sleep(apart / _SECOND)
                continue
            with self._alone:
                now = store.now
                could = slots.can_take(now, Lane.INTERACTIVE) and slots.free(now)
                plan = self._plan(slots, now, now + store.slack)
                if not plan.changed and not store.changed:
                    # A slot is free and it is the turn of another process, which may sleep: notify it once.
                    next_ones = slots.next_in_line(now)[:1] if plan.yielded and self._yielding_since is None else []
                    self._finish(slots, now, plan)
                    break
                before = store.data
                slots.sequence += 1
                slots.at = now
                can = slots.can_take(now, Lane.INTERACTIVE) and slots.free(now)
                # The waiting processes know what time alone changes. Wake them after a turn, or after an early release.
                wakes = slots.next_in_line(now) if plan.grants or can > could else []
                data, wake = slots.encode(), ",".join(map(str, wakes))
                store.slots = None  # until the write is confirmed
                store.memory.is_uncertain = True
            sent = self._clock()
            reply = await self._exchange(link, before[: Slots.HEADER], data, wake)
            if reply is None:
                store.memory.is_uncertain = False
                if attempt:  # other processes write too: leave them time
                    await asyncio.sleep(random.uniform(0, attempt * store.slack / _SECOND))  # noqa: S311  no secret
                continue
            with self._alone:
                store.slots, store.data, store.changed = slots, data, False
                store.memory.is_uncertain = False
                store.note_time(reply, sent)
                self._finish(slots, store.now, plan)
                return
        for sharer in next_ones:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(self._patience):
                    await link.client.execute_command("PUBLISH", f"{self._key}:wake:{sharer}", "")

    def _must_look(self) -> bool:
        """Whether the state as last seen is too old to know the slots that other processes freed."""
        looks, self._looks = self._looks, False
        return looks

    async def _exchange(self, link: _Link, token: bytes, data: bytes, wake: str) -> int | None:
        """Ask Redis to write. Return its time, or None if the state had changed; then the present state is loaded.

        Raises:
            Exception: Any error of the client; TimeoutError without a response in time.
        """
        sent = self._clock()
        keep = 20 * self.config.cooldown // 1_000_000
        arguments = ("EVAL", _SCRIPT, 1, self._key, Slots.HEADER, token, data, keep, wake)
        reply: Any = None
        for last_try in (False, True):
            try:
                async with asyncio.timeout(self._patience * (1 if link.connected else CONNECTING)):
                    reply = await link.client.execute_command(*arguments, NEVER_DECODE=True)
                break
            except Exception as error:
                # An idle connection may have been closed (a proxy, a failover): try once more with a new one.
                was_connected, link.connected = link.connected, False
                if last_try or not was_connected or not is_dropped_connection(error):
                    raise
        link.connected = True
        told = int(reply[1]) * _SECOND + int(reply[2]) * 1_000
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
        if link.listener is not None and (ended is None or self._clock() - ended < nanoseconds(self._retry_every)):
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
            waiting = list(self._queue)
            if remedy is not None or isinstance(error, StateVersionError):
                told = remedy or "another version of goedgepickt-async uses this key: pass another name="
                for waiter in waiting:
                    self._reject(waiter, ConfigurationError(f"RedisBudget at {self.store.place}: {told} ({reason})"))
                self._operations.clear()
                return
            if self._outage is None:
                self._outage = self._begin_outage(reason)
            self._go_away(link, waiting)

    def _fall_apart(self, link: _Link, error: _ApartError) -> None:
        """Use the slots of this host until other processes have reported requests of their outage."""
        with self._alone:
            if self._outage is None:
                self._outage = self._begin_outage("")
                self._outage.until = self._clock() + error.nanoseconds
            self._go_away(link, list(self._queue))

    def _go_away(self, link: _Link, waiting: list[Waiter]) -> None:
        for waiter in waiting:
            self._reject(waiter, _AwayError())
        if not link.closing:
            self._recover(asyncio.get_running_loop())

    def _begin_outage(self, reason: str) -> _Outage:
        """Start the outage: the processes of this host share a file, and each host uses its part."""
        here, memory = self._clock(), self.store.memory
        hosts = {demand.host for demand in memory.sharers.values()}
        share = max(1, self.config.share // max(1, len(hosts)))
        config = attrs.evolve(self.config, share=share, others=self.config.limit - share)
        file = HostFile(self._file_name, None if self._directory is None else Path(self._directory))
        each = None if hosts else self._fraction
        known = memory.part(self._host_number, hosts, here, self.config)
        store = HostStore(config, file, self._fraction, self._clock, each, memory=known)
        host = self._host_budget = QueuedBudget(store, config, self._clock)
        host._first_answer = 1.0  # noqa: SLF001  opening the file
        host._listeners, host._numbers = self._listeners, self._numbers  # noqa: SLF001  the same budget, elsewhere
        # The others see by the file that this process is there; and what was settled did not reach Redis any more.
        for operation in (_join, *self._operations):
            host._change(operation)  # noqa: SLF001  likewise
        outage = _Outage(began=here)
        if reason:
            outage.told_at = here
            self._tell_outage(reason, share if hosts else max(1, round(self.config.limit * self._fraction)))
        return outage

    def _tell_outage(self, reason: str, share: int) -> None:
        limit, period = self.config.limit, self.config.window
        log_event("budget.degraded", why=f"Redis is away ({reason})", share=share, limit=limit, period=period)

    async def _take_from_host(  # noqa: PLR0917
        self,
        outage: _Outage,
        lane: Lane,
        max_lifetime: float,
        max_wait: float | None,
        place: int | None,
        key: Hashable,
    ) -> Grant | None:
        """Take a slot during the outage; None if Redis is reachable again."""
        host, loop = self._host_budget, asyncio.get_running_loop()
        assert host is not None
        self._recover(loop)
        try:
            async with asyncio.timeout(None) as clock:
                outage.waiting[clock] = loop
                try:
                    while outage.is_closing or self._is_alone_yet(outage, host):  # noqa: ASYNC110  other processes decide
                        await asyncio.sleep(min(0.02, self._patience / 20))
                    grant = await host._take(lane, max_lifetime, max_wait, place, key)  # noqa: SLF001
                    outage.has_sent = True
                    return grant
                finally:
                    outage.waiting.pop(clock, None)
        except TimeoutError:
            return None

    def _recover(self, loop: asyncio.AbstractEventLoop) -> None:
        """Try to reach Redis until the outage ends, in the first loop that needs it."""
        if self._recovery is None or self._recovery.done() or self._recovery.get_loop().is_closed():
            link = self._links[loop]
            self._recovery = loop.create_task(self._until_reached(link))
            link.tasks.add(self._recovery)
            self._recovery.add_done_callback(link.tasks.discard)

    def _is_alone_yet(self, outage: _Outage, host: QueuedBudget) -> bool:
        """Whether processes on this host do not use the file yet, so that it lacks their last requests."""
        here = self._clock()
        if here - outage.began > nanoseconds(self._patience) or outage.has_sent:
            return False
        there = host._store.peek()[0].sharers  # noqa: SLF001  the same budget, elsewhere
        last_seen = self.store.memory.neighbours(self._host_number, self.config.cooldown)
        return any(sharer not in there or there[sharer].seen < seen for sharer, seen in last_seen.items())

    async def _until_reached(self, link: _Link) -> None:
        """Poll Redis until it responds.

        Then report the requests of this process, until all processes share the budget again.
        """
        pause = self._retry_every / 32
        while (outage := self._outage) is not None:
            left = None if outage.until is None else outage.until - self._handover - self._clock()
            if left is None:
                await asyncio.sleep(pause)
                pause = min(2 * pause, self._retry_every)
                if outage.told_at is not None and self._clock() - outage.told_at > _REMIND:
                    outage.told_at = self._clock()
                    self._tell_outage(self.store.problem, self.snapshot().share or 0)
            else:
                await asyncio.sleep(max(0.0, min(left / _SECOND, 0.25, self._retry_every / 4)))
            try:
                if outage.until is None:
                    await self._tell_what_the_host_knows(link, outage)
                if outage.until is None or outage.until - self._clock() <= self._handover:
                    await self._stop_sending(outage)
                await self._tell_what_the_host_knows(link, outage)
            except Exception as error:  # noqa: BLE001  still away
                self.store.problem = f"{type(error).__name__}: {error}"
                self.store.slots, outage.until = None, None
            else:
                if outage.is_closing and (outage.until is None or outage.until - self._clock() <= self._handover):
                    self._end_outage(outage)
                    return
            outage.is_closing = False

    async def _stop_sending(self, outage: _Outage) -> None:
        """A grant of the host after the last report would be unknown to all others."""
        outage.is_closing, waiting = True, set(outage.waiting)
        self._call_back(outage)
        until = self._clock() + self._handover
        while waiting & outage.waiting.keys() and self._clock() < until:  # noqa: ASYNC110  bounded
            await asyncio.sleep(0.001)

    @property
    def _handover(self) -> int:
        """The nanoseconds before the end of an outage in which nothing is sent, for the last report."""
        return min(4 * self.store.slack + _SECOND // 50, nanoseconds(self._patience))

    async def _tell_what_the_host_knows(self, link: _Link, outage: _Outage) -> None:
        """Write the requests of this process into Redis's state, and the time until which all use their hosts."""
        host, here = self._host_budget, self._clock()
        assert host is not None
        assert isinstance(host._store, HostStore)  # noqa: SLF001  the same budget, elsewhere
        memory = host._store.memory  # noqa: SLF001  likewise
        with self._alone:
            self.store.memory.own |= memory.recent(here)
            self.store.memory.in_flight |= memory.in_flight
            # For an empty Redis: what the host and the state before the outage know of the server's window.
            self.store.memory._last = [*self.store.memory._last[:1], *memory._last]  # noqa: SLF001  likewise
            is_shared = outage.has_sent or len(host._store.peek()[0].sharers) > 1  # noqa: SLF001  likewise
            if is_shared and outage.until is None:
                outage.until = here + nanoseconds(self._retry_every + self._patience)
            until = 0 if outage.until is None else outage.until - here
            self.store.slots = None  # decide on what is there
            self._operations.append(partial(_report, dict(memory.own), set(memory.in_flight), here, until))
        await self._transaction(link)
        assert self.store.slots is not None
        apart = self.store.slots.apart_until - self.store.now
        if apart > 0:
            outage.until = self._clock() + apart

    def _end_outage(self, outage: _Outage) -> None:
        self._outage, self.store.problem = None, ""
        if outage.told_at is not None:
            log_event("budget.restored", what="Redis is reachable again: the budget is shared again")
        self._call_back(outage)

    def _call_back(self, outage: _Outage) -> None:
        """Wake the calls that wait for slots of the host."""
        for clock, loop in list(outage.waiting.items()):
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(_ring, clock)

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
            await asyncio.wait(tasks, timeout=self._patience)
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
                async with asyncio.timeout(self._patience):
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


def _ring(clock: asyncio.Timeout) -> None:
    with contextlib.suppress(RuntimeError):  # the task has ended
        clock.reschedule(asyncio.get_running_loop().time())


def _number_of_host() -> int:
    """The number of this host, which is the same in all its processes."""
    name = f"{socket.gethostname()} {uuid.getnode()}"
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6])


def _check(name: str, fallback: float, retry_every: float, patience: float) -> None:
    if not name or set(name) & set("{}"):
        raise ConfigurationError("name= must be text that is not empty and has no braces")
    if not 0 < fallback <= 1:
        raise ConfigurationError("fallback must be more than 0 and at most 1")
    if retry_every <= 0 or patience <= 0:
        raise ConfigurationError("retry_every and patience must be more than 0 seconds")
